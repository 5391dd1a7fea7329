//! What a file in a Maildir says by its name: when it came, and what was done with it.
//!
//! ```text
//! <id>          in `new`
//! <id>:2,<F>    in `cur`; F are flags, one letter each, in ASCII order; S means read
//! <id> = <unix seconds>.<whatever makes it unique>; ours: <unix seconds>.R<16 hex>.cutout
//! ```
//!
//! Names are bytes: those that other programs give need not be text.

use std::ffi::{OsStr, OsString};
use std::fs::DirEntry;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use rand::{TryRng, rngs::SysRng};

use super::MaildirError;

/// What separates a name from its flags, as a mail program appends them.
const FLAGS_MARK: &[u8] = b":2,";
/// The flag of a mail that was read.
const SEEN: u8 = b'S';

/// One mail as [`Maildir::list`](super::Maildir::list) saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The name without flags: it stays the same when the mail is marked or moved to `cur`.
    pub(crate) id: OsString,
    /// Whether the mail lacks the flag `S`.
    pub unread: bool,
    /// Size in bytes.
    pub size: u64,
    /// Time of delivery, in seconds since the Unix epoch.
    pub delivered: u64,
    pub(super) path: PathBuf,
}

impl Entry {
    /// The file name that this mail has in `cur` once it is read.
    pub(super) fn read_name(&self) -> OsString {
        let mut flags = split_flags(self.path.file_name().unwrap_or_default()).1.to_vec();
        flags.push(SEEN);
        flags.sort_unstable();
        let name = [self.id.as_bytes(), FLAGS_MARK, &flags].concat();
        OsStr::from_bytes(&name).to_owned()
    }
}

/// Describes a file of `new` or `cur`; none for what is no mail or has just gone.
pub(super) fn describe(found: &DirEntry) -> io::Result<Option<Entry>> {
    let name = found.file_name();
    let Some(metadata) = ignore_vanished(found.metadata())? else {
        return Ok(None);
    };
    if !metadata.is_file() || name.as_bytes().starts_with(b".") {
        return Ok(None);
    }
    let (id, flags) = split_flags(&name);
    let stamp = id.to_str().and_then(|id| id.split('.').next()?.parse().ok());
    let delivered = match stamp {
        Some(seconds) => seconds,
        None => unix_seconds(metadata.modified()?),
    };
    let unread = !flags.contains(&SEEN);
    let size = metadata.len();
    Ok(Some(Entry { id: id.to_owned(), unread, size, delivered, path: found.path() }))
}

/// Splits a file name into the mail's id and its flags, one letter each.
fn split_flags(name: &OsStr) -> (&OsStr, &[u8]) {
    let bytes = name.as_bytes();
    let mark = bytes.windows(FLAGS_MARK.len()).position(|window| window == FLAGS_MARK);
    let split = mark.and_then(|place| bytes.split_at_checked(place));
    let (id, flags) = split.unwrap_or((bytes, b""));
    (OsStr::from_bytes(id), flags.strip_prefix(FLAGS_MARK).unwrap_or_default())
}

/// Makes a name that no other delivery has: the second, and 64 random bits.
pub(super) fn unique_name() -> Result<String, MaildirError> {
    let random = SysRng.try_next_u64().map_err(|_| MaildirError::Randomness)?;
    Ok(format!("{}.R{random:016x}.cutout", unix_seconds(SystemTime::now())))
}

/// Seconds since the Unix epoch; 0 before it.
pub(super) fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// A mail program may move or delete a file between our seeing its name and our looking at it.
pub(super) fn ignore_vanished<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}
