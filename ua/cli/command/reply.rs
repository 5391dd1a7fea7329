//! `cutout reply`: an answer to one mail of the list, sent as `cutout send` does.
//!
//! It goes to the address for answers that came with the mail; else to the mail's own Reply-To; else to who signed it.
//! Never to the From line, which is whatever the sender wrote.

use std::path::PathBuf;

use anon::certificate::Address;
use clap::Args;
use mail_parser::HeaderValue;
use ua::{
    compose::Answered,
    fields::fields,
    origin::{Origin, reply_addresses, signers},
};

use super::{
    letters::{Letters, subject},
    send::{self, AnswerArgs, SendArgs},
};
use crate::{
    command::Global,
    printable,
    terminal::{Failure, tell},
};

/// The longest subject that is repeated, characters.
const MAX_SUBJECT: usize = 500;

/// Reply-To fields, and addresses in each, that are looked at: two are too many to be answered.
const MOST_FIELDS: usize = 4;
const MOST_ADDRESSES: usize = 4;

/// Arguments of `cutout reply`.
#[derive(Debug, Args)]
#[command(
    after_help = "The answer goes to the address for answers that came with the mail, else to its Reply-To, else to who signed it.\nIt is sent anonymously, and names in its header the mail that it answers.\n\nExamples:\n  echo 'at noon, then' | cutout reply 1\n  cutout reply 1 answer.txt --sign\n  cutout reply 1 --reply-to new < answer.txt"
)]
pub struct ReplyArgs {
    /// The mail's number in `cutout list`
    #[arg(value_name = "N")]
    number: usize,
    #[command(flatten)]
    how: AnswerArgs,
    /// The Maildir that the mail is in [default: mail/ in the user's directory]
    #[arg(long, value_name = "DIR")]
    maildir: Option<PathBuf>,
}

/// Runs `cutout reply`.
///
/// # Errors
/// [`Failure`]: 67 if the mail says nobody to answer, else as `cutout send`.
pub async fn run(global: &Global, args: ReplyArgs) -> Result<(), Failure> {
    let passphrase = global.passphrase("Passphrase: ")?;
    let letters = Letters::unlocked(global, args.maildir.as_ref(), &passphrase)?;
    let (_, bytes) = letters.numbered(args.number)?;
    let origins = letters.origins(&bytes).unwrap_or_default();
    let (to, why) = recipient(&bytes, &origins)?;
    tell(format!("Answering to {to}, {why}."));
    let subject = answering(&subject(&bytes));
    let args = SendArgs::answer(&to, subject, args.how, Answered::of(&bytes));
    send::run_unlocked(global, args, Some(passphrase)).await
}

/// The subject of an answer.
fn answering(subject: &str) -> String {
    let subject: String = printable::line(subject).chars().take(MAX_SUBJECT).collect();
    let is_answer = subject.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("re:"));
    if is_answer { subject } else { format!("Re: {subject}") }
}

/// Whom an answer to this mail reaches, and by whose word.
fn recipient(bytes: &[u8], origins: &[Origin]) -> Result<(Address, &'static str), Failure> {
    let remedy = "if you know whom to write to, use `cutout send --to ADDR -s SUBJECT`";
    let nobody = |cause: &str| Failure::new(67, "this mail cannot be answered", cause, remedy);
    match reply_addresses(origins).as_slice() {
        [address] => return Ok(((*address).clone(), "the address for answers that came with it")),
        [] => {}
        several => {
            let several: Vec<String> = several.iter().map(ToString::to_string).collect();
            let cause = format!(
                "it came more than once, with different addresses for answers ({})",
                several.join(", ")
            );
            return Err(nobody(&cause));
        }
    }
    match reply_to(bytes).as_slice() {
        [address] => return Ok((address.clone(), "the Reply-To that its sender wrote")),
        [] => {}
        _ => return Err(nobody("its Reply-To names several addresses")),
    }
    match signers(origins).as_slice() {
        [signer] => Ok(((*signer).clone(), "who signed it")),
        [] => Err(nobody(
            "it is anonymous and gives no address for answers; its From line is whatever the sender wrote",
        )),
        _ => Err(nobody("several people signed it")),
    }
}

/// The addresses of all Reply-To fields that could be in a network such as this one, each once.
fn reply_to(bytes: &[u8]) -> Vec<Address> {
    let mut found: Vec<Address> = Vec::new();
    for field in fields(bytes).filter(|field| field.is("Reply-To")).take(MOST_FIELDS) {
        let addresses = field.parsed(|value| match value {
            HeaderValue::Address(all) => all
                .iter()
                .take(MOST_ADDRESSES)
                .filter_map(|one| Address::parse(one.address()?).ok())
                .collect(),
            _ => Vec::new(),
        });
        for address in addresses.unwrap_or_default() {
            if !found.contains(&address) {
                found.push(address);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(name: &str) -> Address {
        Address::parse(&format!("{name}@demo.alt")).unwrap()
    }

    fn origin(signer: Option<&str>, reply_to: Option<&str>) -> Origin {
        Origin { signer: signer.map(address), reply_to: reply_to.map(address) }
    }

    #[test]
    fn an_answer_never_goes_where_only_from_says() {
        let forged = b"From: bob@demo.alt\r\nSubject: x\r\n\r\n";
        let failure = recipient(forged, &[origin(None, None)]).unwrap_err();
        assert!(failure.code == 67 && failure.cause.contains("From line"), "{failure:?}");
        let written = b"From: bob@demo.alt\r\nReply-To: carol@demo.alt\r\n\r\n";
        let to = |bytes: &[u8], origins: &[Origin]| recipient(bytes, origins).unwrap().0;
        assert_eq!(to(written, &[]), address("carol"));
        assert_eq!(to(forged, &[origin(Some("alice"), None)]), address("alice"));
        assert_eq!(to(written, &[origin(Some("alice"), Some("apart"))]), address("apart"));
        // Who copies a signed mail does not get its answers, and who copies an anonymous one is noticed.
        let copied = [origin(None, Some("mallory")), origin(Some("alice"), Some("apart"))];
        assert_eq!(to(forged, &copied), address("apart"));
        let copied = [origin(None, Some("mallory")), origin(None, Some("apart"))];
        assert!(recipient(forged, &copied).is_err());
        let many = b"Reply-To: a@demo.alt, b@demo.alt\r\n\r\n";
        assert!(recipient(many, &[]).is_err());
    }

    #[test]
    fn a_subject_says_once_that_it_is_an_answer() {
        assert_eq!(answering("noon"), "Re: noon");
        assert_eq!(answering("RE: noon\r\nBcc: x"), "RE: noon  Bcc: x");
        assert_eq!(answering("字"), "Re: 字");
        assert!(answering(&"字".repeat(9_000)).chars().count() <= MAX_SUBJECT + 4);
    }
}
