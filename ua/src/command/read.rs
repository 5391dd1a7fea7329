//! `cutout list` and `cutout read`: what lies in the Maildir.

use std::{io::Write as _, path::PathBuf};

use clap::Args;
use comfy_table::{Table, presets::NOTHING};
use jiff::{Timestamp, tz::TimeZone};
use mail_parser::{Message, MessageParser};

use super::fetch::printable;
use crate::{
    command::Global,
    home::{Home, HomeError},
    maildir::{Entry, Maildir},
    terminal::{Failure, say, tell},
};

/// Arguments of `cutout list`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cutout list\n  cutout list --json | jq .subject\n  cutout list --maildir ~/Maildir"
)]
pub struct ListArgs {
    /// The Maildir to list [default: mail/ in the user's directory]
    #[arg(long, value_name = "DIR")]
    maildir: Option<PathBuf>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// Arguments of `cutout read`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cutout read 1            the first mail of the list, as text\n  cutout read 1 --raw      byte for byte, for another program"
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
}

fn open(global: &Global, maildir: Option<&PathBuf>) -> Result<Maildir, Failure> {
    let path = match maildir {
        Some(path) => path.clone(),
        None => {
            let directory = global.directory()?;
            if !Home::exists(&directory) {
                return Err(HomeError::NotInitialised(directory).into());
            }
            Home::default_maildir(&directory)
        }
    };
    Ok(Maildir::open(&path)?)
}

/// Runs `cutout list`.
///
/// # Errors
/// [`Failure`].
pub fn list(global: &Global, args: &ListArgs) -> Result<(), Failure> {
    let maildir = open(global, args.maildir.as_ref())?;
    let entries = maildir.list()?;
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(["N", "", "DELIVERED", "BYTES", "FROM", "SUBJECT"]);
    for (index, entry) in entries.iter().enumerate() {
        let bytes = maildir.read(entry)?;
        let message = MessageParser::default().parse_headers(bytes.as_slice());
        let (from, subject) = (from(message.as_ref()), subject(message.as_ref()));
        if args.json {
            let object = serde_json::json!({
                "n": index + 1, "unread": entry.unread, "delivered": entry.delivered,
                "bytes": entry.size, "from": from, "subject": subject,
            });
            say(object.to_string())?;
            continue;
        }
        let mark = if entry.unread { "new" } else { "" };
        let from = from.unwrap_or_else(|| "(nobody)".to_owned());
        let number = (index + 1).to_string();
        let (date, size) = (date(entry), entry.size.to_string());
        table.add_row([&number, mark, &date, &size, &printable(&from), &printable(&subject)]);
    }
    if args.json {
        Ok(())
    } else if entries.is_empty() {
        tell("No mail.");
        Ok(())
    } else {
        say(table.to_string())
    }
}

fn from(message: Option<&Message<'_>>) -> Option<String> {
    let address = message?.from()?.first()?.address()?;
    Some(address.to_owned())
}

fn subject(message: Option<&Message<'_>>) -> String {
    message.and_then(Message::subject).unwrap_or_default().to_owned()
}

fn date(entry: &Entry) -> String {
    let seconds = i64::try_from(entry.delivered).unwrap_or(0);
    let zoned = Timestamp::from_second(seconds).map(|t| t.to_zoned_datetime(TimeZone::system()));
    zoned.map_or_else(|_| String::new(), |z| z.strftime("%Y-%m-%d %H:%M").to_string())
}

/// Runs `cutout read`.
///
/// # Errors
/// [`Failure`].
pub fn read(global: &Global, args: &ReadArgs) -> Result<(), Failure> {
    let maildir = open(global, args.maildir.as_ref())?;
    let entries = maildir.list()?;
    let entry =
        args.number.checked_sub(1).and_then(|index| entries.get(index)).ok_or_else(|| {
            let what = format!("there is no mail {}", args.number);
            Failure::new(64, &what, format!("the list has {}", entries.len()), "see `cutout list`")
        })?;
    let bytes = maildir.read(entry)?;
    if args.raw {
        std::io::stdout()
            .write_all(&bytes)
            .map_err(|error| Failure::new(74, "the output cannot be written", error, ""))?;
    } else {
        show(&bytes)?;
    }
    Ok(maildir.mark_read(entry)?)
}

fn show(bytes: &[u8]) -> Result<(), Failure> {
    let message = MessageParser::default().parse(bytes);
    say(format!(
        "From:    {}",
        printable(&from(message.as_ref()).unwrap_or_else(|| "(nobody)".to_owned()))
    ))?;
    say(format!("Subject: {}", printable(&subject(message.as_ref()))))?;
    let Some(message) = message else {
        return say(String::from_utf8_lossy(bytes));
    };
    if let Some(date) = message.date() {
        say(format!("Date:    {}", date.to_rfc822()))?;
    }
    say("")?;
    for text in (0..).map_while(|index| message.body_text(index)) {
        // Whatever a stranger wrote: line ends and tabs are kept, other control characters are not.
        let safe = text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t'));
        say(safe.collect::<String>())?;
    }
    for attachment in message.attachments() {
        use mail_parser::MimeHeaders as _;
        let name = attachment.attachment_name().unwrap_or("(no name)");
        say(format!("[attachment: {}, {} bytes]", printable(name), attachment.len()))?;
    }
    Ok(())
}
