//! Reads the known answers of `tests/vectors/`.

use serde_json::Value;

/// One JSON value of a file of known answers.
pub(crate) struct Vector<'a>(pub(crate) &'a Value);

impl Vector<'_> {
    /// What lies at a path such as `/nodes/0/id`.
    pub(crate) fn at(&self, path: &str) -> Vector<'_> {
        Vector(self.0.pointer(path).unwrap_or_else(|| panic!("nothing at {path}")))
    }

    pub(crate) fn bytes(&self, path: &str) -> Vec<u8> {
        data_encoding::HEXLOWER.decode(self.text(path).as_bytes()).expect("hexadecimal")
    }

    pub(crate) fn array<const N: usize>(&self, path: &str) -> [u8; N] {
        self.bytes(path).try_into().expect("of this length")
    }

    pub(crate) fn number(&self, path: &str) -> u64 {
        self.at(path).0.as_u64().expect("a number")
    }

    pub(crate) fn length(&self, path: &str) -> usize {
        usize::try_from(self.number(path)).expect("a length")
    }

    pub(crate) fn flag(&self, path: &str) -> bool {
        self.at(path).0.as_bool().expect("true or false")
    }

    pub(crate) fn text(&self, path: &str) -> &str {
        self.0.pointer(path).and_then(Value::as_str).unwrap_or_else(|| panic!("no text at {path}"))
    }

    pub(crate) fn list(&self, path: &str) -> Vec<Vector<'_>> {
        let list = self.0.pointer(path).and_then(Value::as_array);
        list.unwrap_or_else(|| panic!("no list at {path}")).iter().map(Vector).collect()
    }
}

/// A file of known answers.
macro_rules! known_answers {
    ($name:literal) => {
        serde_json::from_str::<serde_json::Value>(include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../tests/vectors/",
            $name,
            ".json"
        )))
        .expect("JSON")
    };
}
pub(crate) use known_answers;
