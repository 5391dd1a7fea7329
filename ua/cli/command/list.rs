//! `cutout list`: what lies in the Maildir, and who signed it. What a mail says of its sender stands apart from what was
//! verified.

use std::path::PathBuf;

use clap::Args;
use comfy_table::{ColumnConstraint, Row, presets::NOTHING};
use jiff::{Timestamp, tz::TimeZone};
use ua::maildir::Entry;

use super::letters::{Letters, Signed, from, subject};
use crate::{
    command::Global,
    printable,
    terminal::{Failure, say, say_json, table, tell},
};

/// The widest cell, columns, where no terminal sets a width.
const WIDEST: usize = 120;

/// Columns whose content is short.
const FIXED: usize = 4;

/// Arguments of `cutout list`.
#[derive(Debug, Args)]
#[command(
    after_help = "SIGNED BY is what was verified when a mail came; FROM is whatever its sender wrote. Who signed is kept sealed:\nwithout the passphrase it is not looked up.\n\nExamples:\n  cutout list\n  cutout list --json | jq .subject\n  cutout list --maildir ~/Maildir"
)]
pub struct ListArgs {
    /// The Maildir to list [default: mail/ in the user's directory]
    #[arg(long, value_name = "DIR")]
    maildir: Option<PathBuf>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// Runs `cutout list`.
///
/// # Errors
/// [`Failure`].
pub fn list(global: &Global, args: &ListArgs) -> Result<(), Failure> {
    let letters = Letters::open(global, args.maildir.as_ref(), true)?;
    let entries = letters.maildir.list()?;
    let mut table = table(NOTHING);
    let mut header =
        Row::from(["N", "", "DELIVERED", "BYTES", "SIGNED BY", "FROM (as written)", "SUBJECT"]);
    header.max_height(1);
    table.set_header(header);
    for (index, entry) in entries.iter().enumerate() {
        let bytes = letters.maildir.read(entry)?;
        let (from, subject) = (from(&bytes), subject(&bytes));
        let signed = letters.signed(&bytes);
        if args.json {
            say_json(&serde_json::json!({
                "n": index + 1, "unread": entry.unread, "delivered": entry.delivered,
                "bytes": entry.size, "signed_by": signed.names(), "signature": signed.to_string(),
                "from": from, "subject": subject,
            }))?;
            continue;
        }
        let mark = if entry.unread { "new" } else { "" };
        let signer = match &signed {
            Signed::By(_) => signed.names().unwrap_or_default(),
            Signed::Nobody => "(nobody)".to_owned(),
            Signed::Unknown => "(unknown)".to_owned(),
            Signed::NotChecked => "(not checked)".to_owned(),
        };
        let from = from.unwrap_or_else(|| "(nobody)".to_owned());
        let cells = [signer, from, subject].map(|text| cell(&text));
        let fixed = [(index + 1).to_string(), mark.to_owned(), date(entry), entry.size.to_string()];
        let mut row = Row::from(fixed.into_iter().chain(cells));
        row.max_height(1);
        table.add_row(row);
    }
    if args.json {
        return Ok(());
    }
    if entries.is_empty() {
        tell("No mail.");
        return Ok(());
    }
    // What must be read whole takes what it needs; signer, sender and subject share the rest.
    for column in table.column_iter_mut().take(FIXED) {
        column.set_constraint(ColumnConstraint::ContentWidth);
    }
    say(table.trim_fmt())?;
    if !letters.knows_signers() {
        tell("Who signed was not checked: that needs the passphrase.");
    }
    Ok(())
}

/// Text for one cell. Its own gaps are one space wide, so that no mail can draw the border to a next column.
fn cell(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    printable::cell(&words.join(" "), WIDEST)
}

fn date(entry: &Entry) -> String {
    let seconds = i64::try_from(entry.delivered).unwrap_or(0);
    let zoned = Timestamp::from_second(seconds).map(|t| t.to_zoned_datetime(TimeZone::system()));
    zoned.map_or_else(|_| String::new(), |z| z.strftime("%Y-%m-%d %H:%M").to_string())
}
