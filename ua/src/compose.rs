//! What goes in at the terminal: a message that exists, or a text that becomes one.

use mail_builder::{MessageBuilder, headers::message_id::MessageId as BuilderMessageId};
use mail_parser::MessageParser;
use thiserror::Error;

use anon::{
    certificate::Address,
    mail::{BODY_MAX, MessageId},
    time::Time,
};

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
        let parsed = MessageParser::default().parse_headers(bytes.as_slice());
        let parsed = parsed.ok_or(ComposeError::NotAMessage)?;
        let named = |name: &str| parsed.header(name.to_owned()).is_some();
        let known = ["From", "To", "Cc", "Bcc", "Subject", "Date", "Message-ID", "Sender"];
        if !known.into_iter().any(named) {
            return Err(ComposeError::NotAMessage);
        }
        let subject = parsed.subject().unwrap_or_default().to_owned();
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
        let bytes = builder.write_to_vec()?;
        if bytes.len() > BODY_MAX {
            return Err(ComposeError::TooLong { length: bytes.len() });
        }
        Ok(Self { bytes, subject: subject.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_message_is_refused() {
        for bad in [&b""[..], b"hello", b"\x00\x01\x02", b"hello world\r\n\r\nFrom: x"] {
            assert!(Message::from_rfc5322(bad.to_vec()).is_err(), "{bad:?}");
        }
        let long = [b"Subject: x\r\n\r\n".to_vec(), vec![b'a'; BODY_MAX]].concat();
        assert!(matches!(Message::from_rfc5322(long), Err(ComposeError::TooLong { .. })));
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
