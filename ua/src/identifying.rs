//! Which header fields of a finished message tell who wrote it, where, and to whom else. `cutout send FILE` sends it byte
//! for byte, so its user is warned.
//!
//! Only names are judged, and of some fields the value. What stands in the text or inside attachments is not looked at.

use std::collections::BTreeSet;

use anon::certificate::Address;

/// A header field that tells something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telling {
    /// Its name as it is written.
    pub name: String,
    /// What it shows.
    pub shows: &'static str,
}

/// The fields of the message's header that tell of its sender, each name once, in their order. `network` is whose names a
/// Message-ID may have; `signer` signs the mail, so that a From with the same address tells nothing new.
#[must_use]
pub fn fields(message: &[u8], network: &str, signer: Option<&Address>) -> Vec<Telling> {
    let mut seen = BTreeSet::new();
    let mut telling = Vec::new();
    for (name, value) in header(message) {
        let lower = name.to_ascii_lowercase();
        if seen.contains(&lower) {
            continue;
        }
        if let Some(shows) = shows(&lower, &value, network, signer) {
            seen.insert(lower);
            telling.push(Telling { name, shows });
        }
    }
    telling
}

fn shows(name: &str, value: &str, network: &str, signer: Option<&Address>) -> Option<&'static str> {
    let with = |start: &str| name.starts_with(start);
    Some(match name {
        _ if name.ends_with("bcc") => "whom else it goes to, although they were to be hidden",
        "from"
        | "sender"
        | "reply-to"
        | "return-path"
        | "resent-from"
        | "resent-sender"
        | "disposition-notification-to"
        | "return-receipt-to"
        | "errors-to"
        | "x-sender"
        | "envelope-from"
        | "x-envelope-from"
        | "mail-followup-to"
        | "mail-reply-to" => {
            let is_signers = signer.is_some_and(|signer| value.contains(&signer.to_string()));
            return (value.contains('@') && !is_signers)
                .then_some("an address, perhaps its sender's");
        }
        "received" | "x-received" | "delivered-to" | "x-original-to" => {
            "the way it took: machines and their network addresses"
        }
        _ if name.ends_with("-ip") || name.contains("originating") || with("x-forwarded-") => {
            "a network address"
        }
        "user-agent" | "x-mailer" | "x-newsreader" | "x-mimeole" => "the mail program and system",
        _ if with("x-mozilla-") || with("x-ms-") || with("x-apple-") || with("x-evolution-") => {
            "the mail program"
        }
        "message-id" | "resent-message-id" | "content-id" => {
            let domain = value.rsplit('@').next().unwrap_or_default();
            let domain = domain.trim_end_matches(['>', ' ', '\t']);
            return (!domain.eq_ignore_ascii_case(network))
                .then_some("a machine's or provider's name");
        }
        "date" | "resent-date" => {
            return (!is_universal(value)).then_some("the time zone, and by it the region");
        }
        "autocrypt" | "openpgp" | "x-face" | "face" | "x-image-url" => {
            "a key or picture of its sender"
        }
        _ if with("x-pgp") || with("x-gpg") => "a key of its sender",
        "content-language" | "accept-language" | "x-accept-language" => "the sender's language",
        "organization" | "organisation" => "where the sender belongs",
        "dkim-signature" | "domainkey-signature" | "authentication-results" | "received-spf" => {
            "a mail server that it passed"
        }
        _ if with("arc-") || with("list-") || with("x-google-") => "a mail server that it passed",
        _ if with("x-") => "something that cutout does not know; look at it",
        _ => return None,
    })
}

/// Whether a date is given in universal time.
fn is_universal(date: &str) -> bool {
    // A comment may follow; it would name the zone.
    let zone = date.split_whitespace().next_back().unwrap_or_default();
    ["+0000", "-0000", "GMT", "UT", "UTC", "Z"].contains(&zone)
}

/// The fields of a header, unfolded. A lone return counts as a line end, too, since some programs take it for one.
fn header(message: &[u8]) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in lines(message) {
        if line.is_empty() {
            break;
        }
        let text = String::from_utf8_lossy(line);
        if line.starts_with(b" ") || line.starts_with(b"\t") {
            if let Some((_, value)) = fields.last_mut() {
                value.push_str(&text);
            }
        } else if let Some((name, value)) = text.split_once(':') {
            fields.push((name.trim_end().to_owned(), value.trim().to_owned()));
        }
    }
    fields
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        let bytes = rest?;
        let end = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
        let (line, behind) = bytes.split_at_checked(end.unwrap_or(bytes.len()))?;
        let skipped = if behind.starts_with(b"\r\n") { 2 } else { 1 };
        rest = behind.get(skipped..).filter(|_| end.is_some());
        Some(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(message: &str) -> Vec<String> {
        fields(message.as_bytes(), "demo.alt", None).into_iter().map(|field| field.name).collect()
    }

    #[test]
    fn each_field_that_tells_is_named_however_it_is_written() {
        assert_eq!(
            names(
                "To: bob@demo.alt\r\nbCC : a@demo.alt\r\nX-Bcc: b\nSubject: x\rUser-Agent: y\r\n\r\nFrom: z@z\r\n"
            ),
            ["bCC", "X-Bcc", "User-Agent"]
        );
        for (field, is_told) in [
            ("From: alice@demo.alt", true),
            ("From: Somebody", false),
            ("Date: Fri, 27 Nov 2026 13:05:09 +0530 (IST)", true),
            ("Date: Fri, 27 Nov 2026 13:05:09 +0000", false),
            ("Date: Fri, 27 Nov 2026 13:05:09 +0000 (Rome)", true),
            ("Message-ID: <1@laptop.home.example>", true),
            ("Message-ID: <1@Demo.alt> ", false),
            ("X-Originating-IP: [192.0.2.1]", true),
            ("Received: from laptop", true),
            ("X-Anything: y", true),
            ("Resent-Bcc: a@b", true),
            ("To: bob@demo.alt", false),
            ("Cc: bob@demo.alt", false),
            ("Content-Type: text/plain", false),
        ] {
            assert_eq!(!names(field).is_empty(), is_told, "{field}");
        }
    }

    #[test]
    fn who_signs_is_no_news() {
        let alice = Address::parse("alice@demo.alt").unwrap();
        assert!(fields(b"From: A <alice@demo.alt>\n\n", "demo.alt", Some(&alice)).is_empty());
        assert_eq!(fields(b"From: a@home.example\n\n", "demo.alt", Some(&alice)).len(), 1);
    }

    #[test]
    fn a_folded_value_is_read_whole_and_a_name_is_told_once() {
        assert_eq!(names("Received: a\r\n\tb\r\nReceived: c\r\n\r\n"), ["Received"]);
        let message = "Message-ID:\r\n <1@demo.alt>\r\n\r\n";
        assert!(names(message).is_empty(), "{:?}", names(message));
    }
}
