//! The header fields of a message as they stand, cut by the rule alone (RFC 5322, 2.2): lines, and what begins with a space
//! continues. The parser of values gets one field at a time: one that it stumbles over, such as a date that ends in `Z` or
//! a last line without an end, then takes no other along.

use mail_parser::{HeaderValue, MessageParser};

/// One field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name, without the spaces that may follow it.
    pub(crate) name: &'a [u8],
    /// Its value, folds and all.
    pub value: &'a [u8],
    /// Where its name begins in the message, bytes.
    pub at: usize,
}

impl Field<'_> {
    /// Whether it has this name; case does not matter.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// What its value is to the parser, decoded, as `read` makes something of it.
    pub fn parsed<T>(&self, read: impl FnOnce(&HeaderValue<'_>) -> T) -> Option<T> {
        let alone = [self.name, b":", self.value, b"\r\n\r\n"].concat();
        let message = MessageParser::default().parse_headers(alone.as_slice())?;
        message.headers().first().map(|header| read(&header.value))
    }
}

/// The fields of a message's header, in order; lines that are none are passed over.
pub fn fields(message: &[u8]) -> impl Iterator<Item = Field<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let start = at;
            let mut end = line_end(message, start)?;
            while matches!(message.get(end), Some(b' ' | b'\t')) {
                end = line_end(message, end)?;
            }
            at = end;
            let text = message.get(start..end)?.trim_ascii_end();
            if text.is_empty() {
                at = message.len();
                return None;
            }
            let colon = text.iter().position(|byte| *byte == b':');
            let parts = colon.and_then(|colon| text.split_at_checked(colon));
            if let Some((name, value)) = parts {
                let (name, value) = (name.trim_ascii_end(), value.get(1..).unwrap_or_default());
                return Some(Field { name, value, at: start });
            }
        }
    })
}

/// Where the line that begins at `from` ends, behind its line feed; `None` behind the last one.
fn line_end(message: &[u8], from: usize) -> Option<usize> {
    let rest = message.get(from..).filter(|rest| !rest.is_empty())?;
    let feed = rest.iter().position(|byte| *byte == b'\n');
    Some(feed.map_or(message.len(), |feed| from + feed + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_cut_by_lines_and_folds() {
        let message = b"A: 1\r\nno field\r\nb : 2\r\n\t3\r\nC:\n\nD: body\n";
        let found: Vec<_> = fields(message).map(|f| (f.name.to_vec(), f.value.to_vec())).collect();
        let expected = [(&b"A"[..], &b" 1"[..]), (b"b", b" 2\r\n\t3"), (b"C", b"")];
        assert_eq!(found, expected.map(|(name, value)| (name.to_vec(), value.to_vec())));
        assert_eq!(fields(b"Subject: no end").count(), 1);
        assert_eq!(
            fields(b"").count() + fields(b"\n").count() + fields(b"\r\n\r\nA: b").count(),
            0
        );
        let at = fields(message).nth(1).unwrap().at;
        assert!(message[at..].starts_with(b"b :"));
    }

    #[test]
    fn a_field_that_the_parser_stumbles_over_takes_no_other_along() {
        let message = b"Date: Fri, 25 Dec 2020 08:57:44 Z\r\nSubject: =?utf-8?q?h=C3=A9?=";
        let subject = fields(message).find(|field| field.is("subject")).unwrap();
        let text = subject.parsed(|value| value.as_text().map(str::to_owned)).flatten();
        assert_eq!(text.as_deref(), Some("hé"));
    }
}
