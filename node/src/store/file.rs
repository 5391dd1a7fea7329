//! The store's file: created where there is none, opened only as it is, verified whole.

use std::{
    fs::{self, OpenOptions},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use net::durable;
use redb::{Database, ReadableDatabase as _, StorageBackend, backends::FileBackend};

use super::{
    Corruption, StoreError,
    rows::{CHUNKS, DIGESTS, ENTRIES, EXPIRIES, FORMAT, INBOXES, META, OBJECTS, VERSION},
    space, verify,
    writer::FULL,
};

/// Memory for redb's pages, in bytes; half of it may be pages not yet written.
const CACHE: usize = 64 << 20;

/// Whether the file is open.
#[derive(Debug)]
pub(super) enum Slot {
    /// It is.
    Open(Database),
    /// It is not, for this reason.
    Down(StoreError),
}

/// Creates the file with its tables, and makes its name durable.
///
/// If the machine stops half-way, a file is left that [`open`] calls corrupt; nothing was in it.
///
/// # Errors
/// [`StoreError::Exists`], [`StoreError::Io`].
pub(super) fn create(path: &Path) -> Result<Database, StoreError> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(path);
    let file = file.map_err(|cause| match cause.kind() {
        io::ErrorKind::AlreadyExists => StoreError::Exists,
        kind => StoreError::Io(kind),
    })?;
    let created = guarded(|| {
        let database = begin(FileBackend::new(file)?)?;
        sync_folder(path)?;
        Ok(database)
    });
    if created.is_err() {
        // It was made a moment ago and holds nothing; the first error is the one to tell.
        let _ = fs::remove_file(path);
    }
    created
}

/// Makes a store in what is empty.
///
/// # Errors
/// [`StoreError::Io`].
pub(super) fn begin(backend: impl StorageBackend) -> Result<Database, StoreError> {
    let database = builder().create_with_backend(backend)?;
    lay_out(&database)?;
    Ok(database)
}

/// Opens what holds a store, and verifies every page that is in use.
///
/// # Errors
/// [`StoreError::Corrupt`], [`StoreError::Version`], [`StoreError::Io`].
pub(super) fn open_in(backend: impl StorageBackend) -> Result<Database, StoreError> {
    if backend.len().is_ok_and(|length| length == 0) {
        return Err(StoreError::Corrupt(Corruption::File));
    }
    guarded(|| {
        let database = builder().create_with_backend(backend)?;
        check(&database)?;
        Ok(database)
    })
}

/// Opens the file and verifies every page that is in use. Where the disk is full, the reserve is
/// given up for it.
///
/// # Errors
/// [`StoreError::Missing`], [`StoreError::Locked`], [`StoreError::Corrupt`],
/// [`StoreError::Version`], [`StoreError::Io`].
pub(super) fn open(path: &Path) -> Result<Database, StoreError> {
    match fs::metadata(path) {
        Ok(_) => {}
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Err(StoreError::Missing),
        Err(cause) => return Err(StoreError::Io(cause.kind())),
    }
    with_reserve(path, || {
        guarded(|| {
            let database = builder().open(path)?;
            check(&database)?;
            Ok(database)
        })
    })
}

/// Does `work` on the store at `path`, and where the disk is too full for it once more, without the reserve.
fn with_reserve<T>(path: &Path, work: impl Fn() -> Result<T, StoreError>) -> Result<T, StoreError> {
    match work() {
        Err(FULL) if space::release(path) => work(),
        done => done,
    }
}

/// Gives the space back that is free inside the file; bytes that the file has become shorter by.
///
/// # Errors
/// [`StoreError::Io`], [`StoreError::Corrupt`].
pub(super) fn compact(path: &Path, database: &mut Database) -> Result<u64, StoreError> {
    let length = || fs::metadata(path).map(|file| file.len()).unwrap_or_default();
    let before = length();
    guarded(|| Ok(database.compact()?))?;
    Ok(before.saturating_sub(length()))
}

/// Runs `work`, taking a panic of redb for what it is: a file that is not as redb wrote it.
///
/// # Errors
/// Those of `work`; [`StoreError::Corrupt`] for a panic.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    // What `work` leaves half done is dropped: the caller opens the file anew, or gives up.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(StoreError::Corrupt(Corruption::File)))
}

fn builder() -> redb::Builder {
    let mut builder = redb::Builder::new();
    builder.set_cache_size(CACHE).set_check_integrity_on_open(true);
    builder
}

/// Makes every table, so that a missing one later means a file that is not ours.
fn lay_out(database: &Database) -> Result<(), StoreError> {
    let mut txn = database.begin_write()?;
    txn.set_two_phase_commit(true);
    txn.open_table(OBJECTS)?;
    txn.open_table(CHUNKS)?;
    txn.open_table(INBOXES)?;
    txn.open_table(ENTRIES)?;
    txn.open_table(DIGESTS)?;
    txn.open_table(EXPIRIES)?;
    txn.open_table(META)?.insert(VERSION, FORMAT)?;
    Ok(txn.commit()?)
}

/// Checks the version and that the tables are there; in debug builds the accounts too.
fn check(database: &Database) -> Result<(), StoreError> {
    let txn = database.begin_read()?;
    let version = txn.open_table(META)?.get(VERSION)?.map(|row| row.value());
    match version.ok_or_else(|| StoreError::row("meta"))? {
        FORMAT => {}
        found => {
            return Err(StoreError::Version { found, expected: FORMAT });
        }
    }
    txn.open_table(OBJECTS)?;
    txn.open_table(CHUNKS)?;
    txn.open_table(INBOXES)?;
    txn.open_table(ENTRIES)?;
    txn.open_table(DIGESTS)?;
    txn.open_table(EXPIRIES)?;
    if cfg!(debug_assertions) { verify::verify(&txn) } else { Ok(()) }
}

/// Makes the name of a new file durable in its folder.
///
/// # Errors
/// [`StoreError::Io`].
pub(super) fn sync_folder(path: &Path) -> Result<(), StoreError> {
    durable::sync_folder(path).map_err(|cause| StoreError::Io(cause.kind()))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_full_disk_costs_the_reserve_and_without_one_nothing_is_tried_again() {
        let other = StoreError::Io(io::ErrorKind::Other);
        for (fault, is_reserved, tried) in
            [(FULL, true, 2), (FULL, false, 1), (other, true, 1), (other, false, 1)]
        {
            let folder = tempfile::tempdir().unwrap();
            let reserve = folder.path().join("store.reserve");
            if is_reserved {
                fs::write(&reserve, b"reserve").unwrap();
            }
            let times = Cell::new(0);
            let done: Result<(), _> = with_reserve(&folder.path().join("store"), || {
                times.set(times.get() + 1);
                assert_eq!(reserve.exists(), is_reserved && times.get() == 1);
                Err(fault)
            });
            assert_eq!((done, times.get()), (Err(fault), tried), "{is_reserved}");
        }
    }
}
