//! The known answers of `tests/vectors/`, computed anew by this program: the published ones of the primitives, and
//! the protocol's own, which were computed a second time in another language.
//!
//! The answers travel in the program, so that whoever has it can check what it does without its sources.

mod channels;
mod messages;
mod onions;
mod protocol;
mod standards;
mod view;

use serde::Serialize;
use serde_json::Value;

/// What came of one file of known answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct FileOutcome {
    /// The file's name, without `.json`.
    pub file: &'static str,
    /// Where its answers come from.
    pub source: String,
    /// How many answers were computed and compared.
    pub compared: usize,
    /// Which of them came out different.
    pub different: Vec<String>,
}

impl FileOutcome {
    /// Whether there was something to compare and all of it was right.
    #[must_use]
    pub(crate) const fn holds(&self) -> bool {
        self.compared > 0 && self.different.is_empty()
    }
}

macro_rules! files {
    ($($name:literal => $check:path),* $(,)?) => {
        /// Every file: its name, what is in it, and what computes it.
        const FILES: &[(&str, &str, fn(Known<'_>, &mut Compared) -> Option<()>)] = &[$((
            $name,
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/", $name, ".json")),
            $check,
        )),*];
    };
}

files! {
    "sha256" => standards::sha256,
    "hkdf-sha256" => standards::hkdf_sha256,
    "x25519" => standards::x25519,
    "ed25519" => standards::ed25519,
    "secretbox" => standards::secretbox,
    "cutout-encoding" => protocol::encoding,
    "cutout-names" => protocol::names,
    "cutout-messages" => messages::messages,
    "cutout-storage" => protocol::storage,
    "cutout-mail" => protocol::mail,
    "cutout-channel" => channels::channel,
    "cutout-onions" => onions::onions,
    "cutout-view" => view::view,
}

/// Computes all known answers and compares.
#[must_use]
pub(crate) fn check() -> Vec<FileOutcome> {
    FILES.iter().map(|(file, text, compute)| check_file(file, text, *compute)).collect()
}

fn check_file(
    file: &'static str,
    text: &str,
    compute: fn(Known<'_>, &mut Compared) -> Option<()>,
) -> FileOutcome {
    let value: Value = serde_json::from_str(text).unwrap_or_default();
    let known = Known(&value);
    let mut compared = Compared::default();
    if compute(known, &mut compared).is_none() {
        compared.same("what the file should hold, or a step on the way to it", false);
    }
    let source = known.text("/source").unwrap_or_default().to_owned();
    let Compared { count, different } = compared;
    FileOutcome { file, source, compared: count, different }
}

/// What was compared so far.
#[derive(Debug, Default)]
struct Compared {
    count: usize,
    different: Vec<String>,
}

impl Compared {
    fn same(&mut self, case: &str, same: bool) {
        self.count += 1;
        if !same {
            self.different.push(case.to_owned());
        }
    }
}

/// A JSON value of known answers.
#[derive(Clone, Copy, Debug)]
struct Known<'a>(&'a Value);

impl<'a> Known<'a> {
    fn at(self, path: &str) -> Option<Self> {
        self.0.pointer(path).map(Self)
    }

    fn text(self, path: &str) -> Option<&'a str> {
        self.0.pointer(path)?.as_str()
    }

    fn bytes(self, path: &str) -> Option<Vec<u8>> {
        data_encoding::HEXLOWER.decode(self.text(path)?.as_bytes()).ok()
    }

    fn array<const N: usize>(self, path: &str) -> Option<[u8; N]> {
        self.bytes(path)?.try_into().ok()
    }

    fn number(self, path: &str) -> Option<u64> {
        self.0.pointer(path)?.as_u64()
    }

    fn length(self, path: &str) -> Option<usize> {
        usize::try_from(self.number(path)?).ok()
    }

    fn flag(self, path: &str) -> Option<bool> {
        self.0.pointer(path)?.as_bool()
    }

    fn list(self, path: &str) -> Option<impl Iterator<Item = Self> + use<'a>> {
        Some(self.0.pointer(path)?.as_array()?.iter().map(Known))
    }

    /// The texts of an object, by their names.
    fn texts(self, path: &str) -> Option<impl Iterator<Item = (&'a str, Vec<u8>)> + use<'a>> {
        let decode = |(name, value): (&'a String, &'a Value)| {
            let bytes = data_encoding::HEXLOWER.decode(value.as_str()?.as_bytes()).ok()?;
            Some((name.as_str(), bytes))
        };
        let all: Option<Vec<_>> = self.0.pointer(path)?.as_object()?.iter().map(decode).collect();
        Some(all?.into_iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_answer_comes_out() {
        let outcomes = check();
        assert_eq!(outcomes.len(), FILES.len());
        for outcome in outcomes {
            assert!(outcome.holds() && !outcome.source.is_empty(), "{outcome:?}");
        }
    }

    #[test]
    fn every_file_is_among_them() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors");
        let names = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name());
        let json = names.filter(|name| name.to_str().unwrap().ends_with(".json")).count();
        assert_eq!(json, FILES.len());
    }

    #[test]
    fn a_file_with_one_digit_changed_anywhere_is_different() {
        let is_hex = |b: &u8| b.is_ascii_digit() || (b'a'..=b'f').contains(b);
        for (file, text, compute) in FILES {
            let bytes = text.as_bytes();
            let long = if *file == "cutout-encoding" { 2 } else { 32 };
            // The last digits of texts that are long and hexadecimal. Of the standards' only the answers: what is
            // refused stays refused when it is changed.
            let is_answer = |end: usize| {
                let start = bytes[..end].iter().rposition(|b| *b == b'"').unwrap();
                let names = ["out", "digest", "okm", "prk", "sealed", "seed", "encoded"];
                let named = |name| bytes[..start].ends_with(format!("\"{name}\": ").as_bytes());
                (long > 2 && file.starts_with("cutout")) || names.into_iter().any(named)
            };
            let ends: Vec<usize> = (long..bytes.len())
                .filter(|end| bytes[*end] == b'"' && bytes[end - long..*end].iter().all(is_hex))
                .filter(|end| is_answer(*end))
                .map(|end| end - 1)
                .collect();
            assert!(!ends.is_empty(), "{file}");
            for end in ends.iter().step_by(ends.len() / 12 + 1).chain(ends.last()) {
                let mut changed = bytes.to_vec();
                changed[*end] = if changed[*end] == b'0' { b'1' } else { b'0' };
                let changed = String::from_utf8(changed).unwrap();
                assert!(!check_file(file, &changed, *compute).holds(), "{file} at {end}");
            }
        }
    }
}
