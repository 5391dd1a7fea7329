//! `cutout read`: one mail of the Maildir as text, byte for byte, or its attachments as files.

mod save;

use std::path::PathBuf;

use clap::Args;
use mail_parser::{Message, MessageParser, MimeHeaders as _};
use ua::fields::fields;

use super::letters::{Letters, Signed, written};
use crate::{
    command::Global,
    printable,
    terminal::{Failure, pour, say, tell},
};

/// Texts of one mail that are shown; a mail may have 200,000.
const MOST_TEXTS: usize = 1_000;
/// Attachments of one mail that are listed.
const MOST_LISTED: usize = 100;
/// How often a mail may speak of messages within messages before its parts are not looked at: the parser's memory for each
/// is freed from inside the one before, which takes stack.
const MOST_NESTED: usize = 400;

/// Arguments of `cutout read`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cutout read 1                the first mail of the list, as text\n  cutout read 1 --raw          byte for byte, for another program\n  cutout read 1 --save DIR     its attachments into files; none is overwritten"
)]
pub struct ReadArgs {
    /// The mail's number in `cutout list`
    #[arg(value_name = "N")]
    number: usize,
    /// The Maildir to read from [default: mail/ in the user's directory]
    #[arg(long, value_name = "DIR")]
    maildir: Option<PathBuf>,
    /// The message as it came
    #[arg(long)]
    raw: bool,
    /// Save its attachments into this directory, made if it is missing
    #[arg(long, value_name = "DIR", conflicts_with = "raw")]
    save: Option<PathBuf>,
}

/// Runs `cutout read`.
///
/// # Errors
/// [`Failure`].
pub fn read(global: &Global, args: &ReadArgs) -> Result<(), Failure> {
    // What is handed out as it is needs no passphrase.
    let is_shown = !args.raw && args.save.is_none();
    let letters = Letters::open(global, args.maildir.as_ref(), is_shown)?;
    let (entry, bytes) = letters.numbered(args.number)?;
    if args.raw {
        pour(&bytes)?;
    } else if let Some(directory) = &args.save {
        return save::attachments(directory, &parse(&parseable(&bytes)), &bytes);
    } else {
        show(&letters.signed(&bytes), &bytes)?;
    }
    Ok(letters.maildir.mark_read(&entry)?)
}

/// A mail's structure, unless it has none that could be looked at.
fn parse(bytes: &[u8]) -> Option<Message<'_>> {
    if is_too_nested(bytes) {
        tell("This mail holds too many messages within messages; its parts are not taken apart.");
        return None;
    }
    MessageParser::default().parse(bytes)
}

/// The mail for the parser, byte by byte in its place: fields with dates get a name that it does not know, since a date
/// that it stumbles over takes along what follows, be it the text.
fn parseable(bytes: &[u8]) -> Vec<u8> {
    let mut parseable = bytes.to_vec();
    let dates = ["Date", "Resent-Date", "Received"];
    for field in fields(bytes).filter(|field| dates.iter().any(|name| field.is(name))) {
        if let Some(first) = parseable.get_mut(field.at) {
            *first = b'X';
        }
    }
    parseable
}

fn is_too_nested(bytes: &[u8]) -> bool {
    let speaks = |rest: &[u8]| {
        [&b"rfc822"[..], b"global", b"digest"].iter().any(|word| {
            rest.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
        })
    };
    let places = bytes.iter().enumerate().filter(|(_, byte)| byte.is_ascii_alphabetic());
    let found = places.filter(|(at, _)| bytes.get(*at..).is_some_and(speaks));
    found.take(MOST_NESTED + 1).count() > MOST_NESTED
}

fn show(signed: &Signed, bytes: &[u8]) -> Result<(), Failure> {
    say(match signed {
        Signed::By(_) => format!("Signed by: {}", signed.names().unwrap_or_default()),
        Signed::Nobody => "Not signed: the From line is whatever the sender wrote".to_owned(),
        Signed::Unknown => {
            "Not known to be signed: this user's `cutout fetch` did not bring it, or long ago".to_owned()
        }
        Signed::NotChecked => {
            "Signature not checked: that needs the passphrase. The From line is whatever the sender wrote"
                .to_owned()
        }
    })?;
    headers(bytes)?;
    let parseable = parseable(bytes);
    let Some(message) = parse(&parseable) else {
        say("")?;
        return say(String::from_utf8_lossy(bytes));
    };
    say("")?;
    let texts = (0..message.text_body_count()).filter_map(|index| message.body_text(index));
    let mut texts = texts.filter(|text| !text.trim().is_empty());
    for text in texts.by_ref().take(MOST_TEXTS) {
        say(text)?;
    }
    let more = texts.count();
    if more > 0 {
        say(format!("[{more} more texts: --raw shows them]"))?;
    }
    for attachment in message.attachments().take(MOST_LISTED) {
        let name = attachment.attachment_name().map(printable::line);
        let name = name.unwrap_or_else(|| "(no name)".to_owned());
        say(format!("[attachment: {name}, {} bytes]", attachment.len()))?;
    }
    let more = message.attachment_count().saturating_sub(MOST_LISTED);
    if more > 0 {
        say(format!("[{more} more attachments]"))?;
    }
    Ok(())
}

/// What the sender wrote above the text. Each name stands in front of what belongs to it: a second From is shown, too.
fn headers(mail: &[u8]) -> Result<(), Failure> {
    let shown = [
        ("From:    ", "From", "(nobody)"),
        ("Reply-To: ", "Reply-To", ""),
        ("To:      ", "To", ""),
        ("Cc:      ", "Cc", ""),
        ("Subject: ", "Subject", "(none)"),
    ];
    for (label, name, missing) in shown {
        let found = written(mail, name);
        if found.is_empty() && !missing.is_empty() {
            say(format!("{label}{missing}"))?;
        }
        for text in found {
            say(format!("{label}{}", printable::line(&text)))?;
        }
    }
    // As it was written: a date that no calendar has is not made into another one.
    if let Some(date) = fields(mail).filter(|field| field.is("Date")).last() {
        let raw = String::from_utf8_lossy(date.value);
        say(format!("Date:    {}", printable::line(raw.trim())))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_takes_no_text_along() {
        let mail = b"Subject: x\r\nDate: Fri, 25 Dec 2020 08:57:44 Z\r\n\r\nbody";
        let parseable = parseable(mail);
        let message = parse(&parseable).unwrap();
        assert_eq!(message.body_text(0).as_deref(), Some("body"));
    }

    #[test]
    fn messages_within_messages_are_counted() {
        let nested = |n: usize| "Content-Type: MESSAGE/RFC822\r\n\r\n".repeat(n).into_bytes();
        assert!(!is_too_nested(&nested(MOST_NESTED)));
        assert!(is_too_nested(&nested(MOST_NESTED + 1)));
        assert!(!is_too_nested(b""));
    }
}
