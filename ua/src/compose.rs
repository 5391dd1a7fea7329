//! What goes in at the terminal: a message that exists, or a text that becomes one.

use mail_builder::{MessageBuilder, headers::message_id::MessageId as BuilderMessageId};
use mail_parser::HeaderValue;
use thiserror::Error;

use anon::{
    certificate::Address,
    mail::{BODY_MAX, MessageId},
    time::Time,
};

use crate::fields::fields;

/// What was handed in cannot be sent.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ComposeError {
    /// Not RFC 5322: no header at all, or bytes before the first one.
    #[error("this is not an RFC 5322 message: it has no header fields")]
    NotAMessage,
    /// Empty.
    #[error("there is nothing to send")]
    Empty,
    /// Longer than a mail may be.
    #[error("the message has {length} bytes; a mail may have {BODY_MAX}")]
    TooLong {
        /// Its length, bytes.
        length: usize,
    },
    /// The text cannot be written as a message.
    #[error("the text cannot be made into a message: {0}")]
    Build(#[from] std::io::Error),
}

/// A message and what its headers say.
#[derive(Debug)]
pub struct Message {
    /// The message, byte for byte.
    pub bytes: Vec<u8>,
    /// Its subject; empty if it has none.
    pub subject: String,
}

impl Message {
    /// Takes a message as it is.
    ///
    /// # Errors
    /// [`ComposeError`] if it is none.
    pub fn from_rfc5322(bytes: Vec<u8>) -> Result<Self, ComposeError> {
        if bytes.is_empty() {
            return Err(ComposeError::Empty);
        }
        if bytes.len() > BODY_MAX {
            return Err(ComposeError::TooLong { length: bytes.len() });
        }
        if !begins_with_a_field(&bytes) {
            return Err(ComposeError::NotAMessage);
        }
        let subject = fields(&bytes).find(|field| field.is("Subject"));
        let text = |value: &HeaderValue<'_>| value.as_text().unwrap_or_default().to_owned();
        let subject = subject.and_then(|field| field.parsed(text)).unwrap_or_default();
        Ok(Self { bytes, subject })
    }

    /// Makes a message of a text. It names no host, no program and, unless `from` or `reply_to` does, no sender.
    ///
    /// # Errors
    /// [`ComposeError`].
    pub fn from_text(
        text: &str,
        subject: &str,
        to: &[Address],
        from: Option<&Address>,
        reply_to: Option<&Address>,
        date: Time,
    ) -> Result<Self, ComposeError> {
        Self::answer(text, subject, to, (from, reply_to), date, &Answered::default())
    }

    /// As [`Self::from_text`], as an answer to another message.
    ///
    /// # Errors
    /// [`ComposeError`].
    pub fn answer(
        text: &str,
        subject: &str,
        to: &[Address],
        (from, reply_to): (Option<&Address>, Option<&Address>),
        date: Time,
        answered: &Answered,
    ) -> Result<Self, ComposeError> {
        let network = to.first().map_or("", Address::domain);
        let id = MessageId::generate(&mut rand::rng()).to_text(network);
        let to: Vec<String> = to.iter().map(ToString::to_string).collect();
        let mut builder = MessageBuilder::new()
            .to(to.iter().map(String::as_str).collect::<Vec<_>>())
            .subject(subject)
            .date(date.0)
            .message_id(BuilderMessageId::new(id.trim_matches(['<', '>']).to_owned()))
            .text_body(text);
        if let Some(from) = from {
            builder = builder.from(from.to_string());
        }
        if let Some(reply_to) = reply_to {
            builder = builder.reply_to(reply_to.to_string());
        }
        if let Some(id) = &answered.message_id {
            let references = answered.references.iter().chain([id]);
            builder = builder
                .in_reply_to(BuilderMessageId::new(id.as_str()))
                .references(BuilderMessageId::new_list(references.map(String::as_str)));
        }
        let bytes = builder.write_to_vec()?;
        if bytes.len() > BODY_MAX {
            return Err(ComposeError::TooLong { length: bytes.len() });
        }
        Ok(Self { bytes, subject: subject.to_owned() })
    }
}

/// The message that another one answers, by its identifiers without their angle brackets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answered {
    message_id: Option<String>,
    references: Vec<String>,
}

impl Answered {
    /// Identifiers of the message in `bytes` that can be repeated in a header as they are; the last twenty of
    /// those that it refers to itself.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let texts = |value: &HeaderValue<'_>| match value {
            HeaderValue::Text(text) => vec![text.clone().into_owned()],
            HeaderValue::TextList(texts) => texts.iter().map(|t| t.clone().into_owned()).collect(),
            _ => Vec::new(),
        };
        let named = |name: &str| {
            let field = fields(bytes).find(|field| field.is(name));
            let mut all = field.and_then(|field| field.parsed(texts)).unwrap_or_default();
            all.retain(|id| is_identifier(id));
            all
        };
        let mut references = named("References");
        references.drain(..references.len().saturating_sub(MAX_REFERENCES));
        let message_id = named("Message-ID").pop();
        Self { message_id, references }
    }
}

/// References that an answer repeats.
const MAX_REFERENCES: usize = 20;
/// The longest identifier that it repeats, bytes.
const MAX_IDENTIFIER: usize = 250;

fn is_identifier(text: &str) -> bool {
    let is_good = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>');
    (1..=MAX_IDENTIFIER).contains(&text.len()) && text.bytes().all(is_good)
}

/// Whether the first line is a header field (RFC 5322, 2.2): a name of visible ASCII, perhaps spaces, and a colon.
fn begins_with_a_field(bytes: &[u8]) -> bool {
    let Some(colon) = bytes.iter().position(|byte| *byte == b':') else { return false };
    let name = bytes.get(..colon).unwrap_or_default().trim_ascii_end();
    !name.is_empty() && name.iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_message_is_refused() {
        let mbox = b"From a@b Thu Jan  1 00:00:00 2026\nSubject: x\n\n";
        let bad =
            [&b""[..], b"hello", b"\x00\x01\x02", b"hello world\r\n\r\nFrom: x", b": x", mbox];
        for bad in bad {
            assert!(Message::from_rfc5322(bad.to_vec()).is_err(), "{bad:?}");
        }
        let long = [b"Subject: x\r\n\r\n".to_vec(), vec![b'a'; BODY_MAX]].concat();
        assert!(matches!(Message::from_rfc5322(long), Err(ComposeError::TooLong { .. })));
    }

    #[test]
    fn any_header_field_makes_a_message() {
        for (good, subject) in [
            (&b"X-Note: x\r\n\r\n"[..], ""),
            (b"Subject: only this", "only this"),
            (b"subject : with a space\n\nbody", "with a space"),
            (b"Comments: \xff\xfe\x00\n", ""),
            (b"From: a\rSubject: b\r\rbody", ""),
            (
                b"Subject: =?iso-2022-jp?B?GyRCN29MPiROO244MxsoQg==?=\n\n",
                "\u{4ef6}\u{540d}\u{306e}\u{8a66}\u{9a13}",
            ),
        ] {
            let message = Message::from_rfc5322(good.to_vec()).unwrap();
            assert_eq!((message.bytes.as_slice(), message.subject.as_str()), (good, subject));
        }
    }

    #[test]
    fn no_subject_and_no_identifier_adds_a_header() {
        let to = [Address::parse("bob@demo.alt").unwrap()];
        let evil = b"Message-ID: <a@b>\r\nReferences: <c@d> <e\tBcc:x@f>\r\n <\xc3\xa9@g>\r\n\r\n";
        let answered = Answered::of(evil);
        assert_eq!(answered.message_id.as_deref(), Some("a@b"));
        let subject = "Re: x\r\nBcc: eve@demo.alt\n\nbody";
        let message =
            Message::answer("t", subject, &to, (None, None), Time(1_800_000_000), &answered)
                .unwrap();
        let text = String::from_utf8(message.bytes).unwrap();
        let headers = text.split("\r\n\r\n").next().unwrap();
        assert!(!headers.lines().any(|line| line.to_lowercase().starts_with("bcc")), "{text}");
        assert!(headers.contains("In-Reply-To: <a@b>\r\n"), "{text}");
        assert!(headers.contains("References: <c@d>"), "{text}");
        assert_eq!(Answered::of(b"Message-ID: <>\n\n"), Answered::default());
    }

    #[test]
    fn a_message_stays_as_it_is() {
        let bytes = b"From: a@b\nSubject: =?utf-8?q?h=C3=A9?=\n\nmixed\r\nline ends\n".to_vec();
        let message = Message::from_rfc5322(bytes.clone()).unwrap();
        assert_eq!((message.bytes, message.subject.as_str()), (bytes, "hé"));
    }

    #[test]
    fn a_text_becomes_a_message_that_says_nothing_of_its_sender() {
        let to = [Address::parse("bob@demo.alt").unwrap()];
        let message =
            Message::from_text("hello\n", "hi", &to, None, None, Time(1_800_000_000)).unwrap();
        let text = String::from_utf8(message.bytes.clone()).unwrap();
        assert!(Message::from_rfc5322(message.bytes).is_ok());
        let (headers, body) = text.split_once("\r\n\r\n").unwrap();
        assert_eq!(body.trim_end(), "hello");
        let (ids, others): (Vec<&str>, Vec<&str>) =
            headers.split("\r\n").partition(|line| line.starts_with("Message-ID: "));
        let expected = [
            "To: <bob@demo.alt>",
            "Subject: hi",
            "Date: Fri, 15 Jan 2027 08:00:00 +0000",
            "MIME-Version: 1.0",
            "Content-Type: text/plain; charset=\"utf-8\"",
            "Content-Transfer-Encoding: 7bit",
        ];
        assert_eq!(others, expected, "{text}");
        let random = ids.concat();
        let random = random.strip_prefix("Message-ID: <").unwrap();
        let random = random.strip_suffix("@demo.alt>").unwrap();
        let is_digit = |c: char| matches!(c, 'a'..='z' | '2'..='7');
        assert!(random.len() == 32 && random.chars().all(is_digit), "{text}");
    }
}
