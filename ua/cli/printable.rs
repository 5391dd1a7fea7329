//! Text from outside, made harmless: the one place that decides which characters reach a terminal, a JSON line or a
//! file name.
//!
//! | characters | [`text`] and [`line()`] | [`json`] |
//! |---|---|---|
//! | C0 and C1 controls, DEL; directions (bidi), tags, invisible letters, line and paragraph separators | `�` | `\u` escapes |
//! | joiners and selectors that ordinary writing and emoji use (ZWJ, ZWNJ, U+FE0F, soft hyphen, BOM) | left out | `\u` escapes |
//! | more than [`MOST_MARKS`] combining marks on one letter | left out | as they are |
//! | `\n`, `\t` | kept by `text`, a space in `line` | `\n`, `\t` |
//!
//! In an address nothing is left out silently ([`address`]): it would look like another one.
//!
//! **Invariant:** what these functions return holds no character that moves a cursor, changes a direction or is not seen.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// What stands for characters that are not shown.
const SUBSTITUTE: char = '\u{fffd}';
/// Combining marks that one letter may have. Vietnamese and Hebrew need two or three.
pub const MOST_MARKS: usize = 4;
/// The longest line of a mail's headers that is shown, characters.
pub const LONGEST_LINE: usize = 16_384;
/// The longest file name that is given to an attachment, bytes. File systems allow 255; a number may be added.
pub const LONGEST_NAME: usize = 200;
/// The longest ending that counts as a file's kind, bytes with its dot.
const LONGEST_ENDING: usize = 17;

/// What becomes of a character.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It is shown.
    Shown,
    /// It is left out: ordinary writing has it, and reads well without.
    Joiner,
    /// It is replaced.
    Hidden,
}

const fn kind(c: char) -> Kind {
    match c {
        '\u{ad}' | '\u{34f}' | '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{200c}' | '\u{200d}'
        | '\u{2060}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' => Kind::Joiner,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        // Directions: marks, embeddings, overrides and isolates.
        | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}'
        // Line and paragraph separators; invisible spaces and operators.
        | '\u{2028}' | '\u{2029}' | '\u{180e}' | '\u{200b}' | '\u{2061}'..='\u{2065}'
        // Letters that are not seen: Hangul fillers, Khmer inherent vowels.
        | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{17b4}' | '\u{17b5}'
        // Annotations, shorthand and musical controls; tags and supplementary selectors.
        | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}' => Kind::Hidden,
        _ => Kind::Shown,
    }
}

/// Text of several lines: line ends and tabs are kept.
#[must_use]
pub fn text(text: &str) -> String {
    let mut shown = Shown::default();
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\r' if characters.peek() == Some(&'\n') => {}
            // A lone return would overwrite its line; some programs end lines with it.
            '\r' | '\n' => shown.push('\n'),
            '\t' => shown.push('\t'),
            _ => shown.take(c, true),
        }
    }
    shown.text
}

/// Text for one line, at most [`LONGEST_LINE`] characters of it.
#[must_use]
pub fn line(text: &str) -> String {
    one_line(text, true)
}

/// An address, or another name that must not look like a different one: what is not seen is shown as `�`.
#[must_use]
pub fn address(text: &str) -> String {
    one_line(text, false)
}

fn one_line(text: &str, drop_joiners: bool) -> String {
    let mut shown = Shown::default();
    for (index, c) in text.chars().enumerate() {
        if index == LONGEST_LINE {
            shown.text.push('…');
            break;
        }
        match c {
            '\r' | '\n' | '\t' => shown.push(' '),
            _ => shown.take(c, drop_joiners),
        }
    }
    shown.text
}

/// As [`line()`], at most so many columns of a terminal wide.
#[must_use]
pub fn cell(text: &str, columns: usize) -> String {
    let text = line(text);
    if text.width() <= columns {
        return text;
    }
    let mut cut = String::new();
    let mut used = 0;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used >= columns {
            break;
        }
        cut.push(c);
    }
    cut.push('…');
    cut
}

/// A JSON value as text: all that is in it, and nothing that a terminal would act upon.
#[must_use]
pub fn json(value: &serde_json::Value) -> String {
    let mut escaped = String::new();
    // All of JSON's own characters are shown ones: whatever is not stands inside a string.
    for c in value.to_string().chars() {
        if kind(c) == Kind::Shown {
            escaped.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            escaped.push_str(&format!("\\u{unit:04x}"));
        }
    }
    escaped
}

/// A name for a file whose sender calls it `name`: it stays in its folder, is not hidden, is no option of a command and
/// no device, and has at most [`LONGEST_NAME`] bytes. Empty if nothing is left.
#[must_use]
pub fn file_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let safe: String = one_line(last, true)
        .chars()
        .map(|c| {
            if matches!(c, ':' | '*' | '?' | '"' | '<' | '>' | '|' | SUBSTITUTE) { '_' } else { c }
        })
        .collect();
    let safe = safe.trim_start_matches(['.', '-', ' ', '~']).trim_end_matches(['.', ' ']);
    let (stem, ending) = split_ending(safe);
    let device = ["con", "prn", "aux", "nul", "conin$", "conout$"];
    let numbered = |stem: &str| {
        let number = stem.strip_prefix("com").or_else(|| stem.strip_prefix("lpt"));
        number.is_some_and(|n| n.chars().count() == 1)
    };
    let first = stem.split('.').next().unwrap_or_default().trim_end().to_lowercase();
    let prefix = if device.contains(&first.as_str()) || numbered(&first) { "_" } else { "" };
    let room = LONGEST_NAME.saturating_sub(ending.len() + prefix.len());
    let end = (0..=room.min(stem.len())).rev().find(|end| stem.is_char_boundary(*end)).unwrap_or(0);
    let stem = stem.get(..end).unwrap_or_default().trim_end();
    format!("{prefix}{stem}{ending}")
}

/// A file name and its ending, which has its dot, or is empty.
#[must_use]
pub fn split_ending(name: &str) -> (&str, &str) {
    let split = name.rfind('.').filter(|at| *at > 0 && name.len() - at <= LONGEST_ENDING);
    name.split_at(split.unwrap_or(name.len()))
}

/// What has been made harmless so far.
#[derive(Default)]
struct Shown {
    text: String,
    marks: usize,
}

impl Shown {
    fn push(&mut self, c: char) {
        self.marks = 0;
        self.text.push(c);
    }

    fn take(&mut self, c: char, drop_joiners: bool) {
        match kind(c) {
            Kind::Joiner if drop_joiners => {}
            // Many in a row are one.
            Kind::Joiner | Kind::Hidden if self.text.ends_with(SUBSTITUTE) => {}
            Kind::Joiner | Kind::Hidden => self.push(SUBSTITUTE),
            Kind::Shown if c.width() == Some(0) => {
                self.marks += 1;
                if self.marks <= MOST_MARKS {
                    self.text.push(c);
                }
            }
            Kind::Shown => self.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What may reach no terminal, written down a second time, from the Unicode ranges.
    fn is_harmful(c: char) -> bool {
        (c.is_control() && c != '\n' && c != '\t')
            || matches!(u32::from(c), 0x202A..=0x202E | 0x2066..=0x2069 | 0x200B..=0x200F | 0x61C
                | 0x2028 | 0x2029 | 0x2060 | 0xFEFF | 0xE0000..=0xE007F | 0xFE00..=0xFE0F | 0xAD)
    }

    #[test]
    fn what_is_not_seen_is_replaced_and_what_joins_is_left_out() {
        assert_eq!(text("a\u{1b}[2Jb\r\nc\rd\te\u{202e}\u{200b}f"), "a�[2Jb\nc\nd\te�f");
        assert_eq!(line("invoice\u{202e}gpj.exe\n\tx"), "invoice�gpj.exe  x");
        assert_eq!(line("\u{1f469}\u{200d}\u{1f467}\u{fe0f} \u{ad}ok"), "\u{1f469}\u{1f467} ok");
        assert_eq!(address("bob\u{200d}@demo.alt"), "bob�@demo.alt");
        let many = format!("e{}", "\u{301}".repeat(1_000));
        assert_eq!(line(&many).chars().count(), 1 + MOST_MARKS);
        assert_eq!(line(&"字".repeat(LONGEST_LINE + 9)).chars().count(), LONGEST_LINE + 1);
    }

    #[test]
    fn a_cell_has_its_width_in_columns() {
        assert_eq!(cell("four", 4), "four");
        assert_eq!(cell("five!", 4), "fiv…");
        // Each of these is two columns wide.
        assert_eq!(cell("字字字", 4), "字…");
    }

    #[test]
    fn json_keeps_the_data_and_escapes_it() {
        let value = serde_json::json!({ "s": "\u{9b}31m\u{202e}\u{e0041}\u{7f}é\"\\\n" });
        let shown = json(&value);
        assert!(shown.is_ascii() || !shown.chars().any(is_harmful), "{shown}");
        assert!(shown.contains(r"\u009b31m\u202e\udb40\udc41\u007fé"), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }

    #[test]
    fn a_file_name_stays_in_its_folder() {
        for (name, safe) in [
            ("../../.ssh/authorized_keys", "authorized_keys"),
            ("/etc/cron.d/x", "x"),
            ("..\\..\\x.bat", "x.bat"),
            ("report\u{202e}fdp.sh", "report_fdp.sh"),
            ("..", ""),
            ("", ""),
            ("-rf", "rf"),
            (".bashrc", "bashrc"),
            ("con.txt", "_con.txt"),
            ("COM1", "_COM1"),
            ("a\0b:c|d", "a_b_c_d"),
            ("dot. ", "dot"),
            ("~root", "root"),
        ] {
            assert_eq!(file_name(name), safe, "{name:?}");
        }
        let long = file_name(&format!("{}.tar.gz", "n".repeat(5_000)));
        assert!(long.len() == LONGEST_NAME && long.ends_with("n.gz"), "{long}");
        let wide = file_name(&"字".repeat(5_000));
        assert!(wide.len() <= LONGEST_NAME && wide.chars().all(|c| c == '字'));
    }

    proptest! {
        #[test]
        fn nothing_harmful_is_left(outside in any::<String>()) {
            let name = file_name(&outside);
            prop_assert!(!name.contains(['/', '\\']) && !name.starts_with('.') && name.len() <= LONGEST_NAME);
            for shown in [text(&outside), line(&outside), address(&outside), name] {
                prop_assert!(!shown.chars().any(is_harmful), "{shown:?}");
            }
            let value = serde_json::json!(outside);
            prop_assert!(!json(&value).chars().any(is_harmful));
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&json(&value)).unwrap(), value);
        }

        #[test]
        fn nothing_harmful_is_left_of_what_is(outside in "[\\x00-\\xa0\u{200b}-\u{206f}\u{fe00}-\u{feff}\u{e0000}-\u{e01ff}a/.]{0,64}") {
            for shown in [text(&outside), line(&outside), address(&outside), file_name(&outside)] {
                prop_assert!(!shown.chars().any(is_harmful), "{shown:?}");
            }
        }
    }
}
