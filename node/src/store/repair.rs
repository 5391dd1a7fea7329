//! Looking at a store without changing it, and making it good again: what `cutout node store` does.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::ops::Bound::Unbounded;
use std::path::Path;
use std::time::{Duration, SystemTime};

use redb::backends::FileBackend;
use redb::{Database, Durability, ReadableDatabase as _, StorageBackend as _};

use super::file::{self, guarded, sync_folder};
use super::group::{Group, Totals};
use super::overlay::{Locks, Overlay};
use super::rows::{EntryRow, META};
use super::salvage::{Salvage, Whole, WholeEntry, WholeObject};
use super::{StoreError, StoreLimits, Usage, verify};

/// Bytes of objects that one transaction of a repair writes, about.
const STEP: usize = 32 << 20;
/// Seconds beyond now that nothing which a repair saved is kept: a damaged expiry is no reason to keep
/// it for ever.
const LONGEST: u64 = 400 * 86_400;

/// How long a file must have rested before the time of its last change tells the next change: file systems keep that
/// time to some milliseconds.
const REST: Duration = Duration::from_millis(50);

/// A store that is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// What it holds.
    pub usage: Usage,
    /// The file's length, bytes.
    pub file: u64,
}

/// What a repair did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Repaired {
    /// There was no file, and a new, empty store was made.
    Begun,
    /// The store was well. Its file was made smaller by so many bytes.
    Compacted {
        /// Bytes given back.
        freed: u64,
    },
    /// The store was damaged: what could be read was written to a new one, and the old one is kept.
    Salvaged {
        /// Objects that were saved.
        objects: u64,
        /// Inbox entries that were saved.
        inbox_entries: u64,
        /// Objects of which something was found and not all; there may be more that left no trace.
        lost: u64,
    },
}

/// Verifies the store in the file at `path` and counts what it holds, without changing a byte of it.
/// Blocks meanwhile.
///
/// # Errors
/// As [`super::Store::open`].
pub fn check(path: &Path) -> Result<Checked, StoreError> {
    let opened = open(path)?;
    let length = opened.metadata().map_err(failed)?.len();
    let overlay = guarded(|| Ok(Overlay::new(opened, Locks::Taken)?))?;
    let database = file::open_in(overlay)?;
    guarded(|| {
        let txn = database.begin_read()?;
        verify::verify(&txn)?;
        let Totals { bytes, objects, entries } = Totals::load(&txn.open_table(META)?)?;
        let usage = Usage { bytes, objects, inbox_entries: entries, commits: 0 };
        Ok(Checked { usage, file: length })
    })
}

/// Whether the store at `path` would open, without taking its lock: a node can start there meanwhile. Changes
/// nothing. Blocks while the file is read.
///
/// # Errors
/// As [`super::Store::open`]; [`StoreError::Locked`] also if somebody has opened it while it was read, because
/// what was read of it then says nothing.
pub fn look(path: &Path) -> Result<(), StoreError> {
    let (opened, asked) = (open(path)?, open(path)?);
    let early = Stamp::of(&asked)?;
    std::thread::sleep(REST);
    let before = Stamp::of(&asked)?;
    let asked = guarded(|| Ok(FileBackend::new(asked)?))?;
    // Where a lock cannot be asked for, whoever holds it shows by what it writes.
    let is_held = || asked.query_lock_range(Unbounded, Unbounded).unwrap_or(false);
    if is_held() || before != early {
        return Err(StoreError::Locked);
    }
    let overlay = guarded(|| Ok(Overlay::new(opened, Locks::Left)?))?;
    let looked = file::open_in(overlay).map(drop);
    let is_other = || is_held() || open(path).and_then(|file| Stamp::of(&file)) != Ok(before);
    if looked.is_err() && is_other() { Err(StoreError::Locked) } else { looked }
}

/// What changes when somebody writes to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp(u64, Option<SystemTime>);

impl Stamp {
    fn of(file: &File) -> Result<Self, StoreError> {
        let file = file.metadata().map_err(failed)?;
        Ok(Self(file.len(), file.modified().ok()))
    }
}

fn open(path: &Path) -> Result<File, StoreError> {
    OpenOptions::new().read(true).write(true).open(path).map_err(failed)
}

fn failed(error: io::Error) -> StoreError {
    match error.kind() {
        ErrorKind::NotFound => StoreError::Missing,
        kind => StoreError::Io(kind),
    }
}

/// Makes the store at `path` good: a sound one gives back the space that it does not need, of a damaged
/// one all that can be read is written to a new one, and the old file is kept as `aside`. `now` in unix
/// seconds. Blocks meanwhile. A machine that stops half-way leaves the old file where it was.
///
/// # Errors
/// [`StoreError::Locked`], [`StoreError::Version`], [`StoreError::Exists`] if there is a file at
/// `aside`; [`StoreError::Io`].
pub fn repair(path: &Path, aside: &Path, now: u64) -> Result<Repaired, StoreError> {
    match check(path) {
        Err(StoreError::Missing) => file::create(path).map(|_| Repaired::Begun),
        Ok(_) => {
            let length = || fs::metadata(path).map(|file| file.len()).unwrap_or_default();
            let before = length();
            let mut database = file::open(path)?;
            file::compact(path, &mut database)?;
            guarded(|| Ok(database.close()?))?;
            Ok(Repaired::Compacted { freed: before.saturating_sub(length()) })
        }
        Err(StoreError::Corrupt(_)) => salvage(path, aside, now),
        Err(error) => Err(error),
    }
}

fn salvage(path: &Path, aside: &Path, now: u64) -> Result<Repaired, StoreError> {
    if aside.try_exists().map_err(failed)? {
        return Err(StoreError::Exists);
    }
    let new = path.with_extension("repaired");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let mut found = Salvage::search(path)?;
    let whole = found.whole();
    let written = file::create(&new)
        .and_then(|database| guarded(|| write(&database, &mut found, &whole, now)));
    let (objects, inbox_entries) = match written {
        Ok(counts) => counts,
        Err(error) => {
            // The first error is the one to tell, and the old file is as it was.
            let _ = fs::remove_file(&new);
            return Err(error);
        }
    };
    // A second name for the old file, so that there is always one of the two under the first.
    fs::hard_link(path, aside).or_else(|_| fs::rename(path, aside)).map_err(failed)?;
    fs::rename(&new, path).map_err(failed)?;
    sync_folder(path)?;
    let unread = u64::try_from(whole.objects.len()).unwrap_or(u64::MAX).saturating_sub(objects);
    Ok(Repaired::Salvaged { objects, inbox_entries, lost: whole.lost.saturating_add(unread) })
}

/// Writes what is whole to a new store; how many objects and entries that is.
fn write(
    database: &Database,
    found: &mut Salvage,
    whole: &Whole,
    now: u64,
) -> Result<(u64, u64), StoreError> {
    let mut counts = (0_u64, 0_u64);
    let mut objects = whole.objects.iter().peekable();
    let mut entries = whole.entries.iter().peekable();
    while objects.peek().is_some() || entries.peek().is_some() {
        in_one(database, |group| {
            let mut written = 0;
            while written < STEP
                && let Some(object) = objects.next()
            {
                let bytes = put_object(group, found, object, now)?;
                counts.0 = counts.0.saturating_add(u64::from(bytes.is_some()));
                written = written.saturating_add(bytes.unwrap_or(0)).saturating_add(4_096);
            }
            while written < STEP
                && let Some(entry) = entries.next()
            {
                let bytes = put_entry(group, found, entry, now)?;
                counts.1 = counts.1.saturating_add(u64::from(bytes.is_some()));
                written = written.saturating_add(bytes.unwrap_or(0)).saturating_add(4_096);
            }
            Ok(())
        })?;
    }
    Ok(counts)
}

fn put_object(
    group: &mut Group<'_>,
    found: &mut Salvage,
    object: &WholeObject,
    now: u64,
) -> Result<Option<usize>, StoreError> {
    let Some(bytes) = found.object(object) else { return Ok(None) };
    let mut row = object.row.clone();
    row.expiry = row.expiry.min(now.saturating_add(LONGEST));
    row.latest = row.latest.min(now.saturating_add(LONGEST));
    group.put_object(&object.key, &row, &bytes)?;
    Ok(Some(bytes.len()))
}

fn put_entry(
    group: &mut Group<'_>,
    found: &mut Salvage,
    entry: &WholeEntry,
    now: u64,
) -> Result<Option<usize>, StoreError> {
    let Some(bytes) = found.entry(entry) else { return Ok(None) };
    let (expiry, latest) = (entry.expiry, entry.latest);
    let most = now.saturating_add(LONGEST);
    let (expiry, latest) = (expiry.min(most), latest.min(most));
    let row = EntryRow { digest: entry.digest, expiry, latest, bytes: &bytes };
    group.put_entry(&entry.inbox, &row)?;
    Ok(Some(bytes.len()))
}

/// Makes changes in one transaction, whatever quotas say.
fn in_one(
    database: &Database,
    change: impl FnOnce(&mut Group<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let limits = StoreLimits {
        max_bytes: u64::MAX,
        reserve: 0,
        extension: 0,
        max_object: usize::MAX,
        inbox_entries: u32::MAX,
        inbox_bytes: u64::MAX,
        queue: 1,
        group: 1,
    };
    let mut txn = database.begin_write()?;
    txn.set_durability(Durability::Immediate)?;
    txn.set_two_phase_commit(true);
    let mut group = Group::open(&txn, &limits, |_| u64::MAX)?;
    change(&mut group)?;
    group.finish()?;
    Ok(txn.commit()?)
}
