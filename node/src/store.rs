//! The storage node's durable store: objects and inboxes by DHT key (paper, sections 2.2 and 2.3).
//!
//! Over redb. One writer thread gathers the writes that wait into a group and commits the group in
//! one transaction; every answer is given only after that commit is on the disk (`fsync`). Reads
//! run beside it, each in a snapshot of its own. Everything is plain bytes: keys, digests, delete
//! permissions and payloads mean nothing here; whether a digest fits its bytes and what a requester
//! may do is checked by the caller.
//!
//! ```text
//! table     key                       value                      what it holds
//! meta      name                      u64                        version; bytes, objects, entries;
//!                                                                time
//! objects   key                       kind 1, digest 32,         objects without their bytes;
//!                                     expiry 8, latest 8,        count permissions to delete, and
//!                                     permissions 32, size 8,    the digest of those that it came
//!                                     count 4,                   with
//!                                     count x (length 4, bytes)
//! chunks    key, number               up to 16,256 bytes         the bytes of objects
//! inboxes   key                       entries, bytes, next       usage, next arrival number
//! entries   key, arrival number       digest 32, expiry 8,       notifications
//!                                     latest 8, bytes
//! digests   key, digest               arrival number             the same, by digest
//! expiries  expiry, 0, key, 0         nothing                    when an object is dropped
//!           expiry, 1, key, arrival   nothing                    when an entry is dropped
//! ```
//! Integers in opaque values are big endian. Objects are cut into chunks because redb rounds a
//! large value up to a power of two of pages: a body padded to exactly 1 MiB would take 2 MiB in
//! one piece, and takes 1.02 so.
//!
//! **Invariant:** no answer before its commit is durable. A commit that fails is told to its group
//! alone; the file is then opened anew, which verifies all of it, and the writer rests for a moment.
//!
//! **Invariant:** `bytes` in `meta` is what all objects and entries count for, in the same
//! transaction: their bytes, permissions to delete, and 4,096 more for each. It is at least what they
//! take on the disk, or nearly so: the file is less than three times as long, and a few MiB
//! (`tests/quota.rs` measures it). It can be longer where much was deleted: such a file is made
//! smaller when the store is opened.
//!
//! **Invariant:** what takes something away is never refused for want of space (`space.rs`).
//!
//! **Invariant:** opening never creates: what was acknowledged is there, or opening says why not.
//! redb's checksums are verified over the whole file at every open (some 2 GB/s), and commits have
//! two phases, so that a damaged page is reported; with one phase redb would quietly go back to the
//! commit before. A panic of redb over a damaged file is caught and reported as corruption (this
//! needs `panic = "unwind"`). One bit escapes this: lowest of the file's tenth byte, it says which
//! of the two last commits counts and has no checksum. Flipped after a crash, it takes the last
//! commit back.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::{Mutex, RwLock};
use redb::{ReadTransaction, ReadableDatabase as _};
use tokio::sync::{mpsc, oneshot};

mod error;
mod file;
mod group;
mod inbox;
mod objects;
mod overlay;
mod repair;
mod rows;
mod salvage;
mod space;
mod sweep;
#[cfg(test)]
mod tests;
mod verify;
mod writer;

pub use error::{Corruption, StoreError};
pub use inbox::InboxList;
pub use objects::{Deleted, ObjectKind, Stored, StoredObject};
pub use repair::{Checked, Repaired, check, look, repair};
pub use sweep::{Direction, KeyUsage, Usage};

use file::Slot;
use group::Group;
use writer::{Job, Pending, Writer};

/// What a store may hold and how much work may wait for it.
#[derive(Clone, Debug)]
pub struct StoreLimits {
    /// What objects and inbox entries may count for in all, bytes: each its own, its delete
    /// permissions' and 4,096 more.
    pub max_bytes: u64,
    /// Bytes of the file system that are to stay free: beyond that nothing new is taken in. Some of
    /// them are kept in a file of their own, for deletions. 0: the disk is not looked at.
    pub reserve: u64,
    /// Seconds by which repetitions may move an expiry, all together.
    pub extension: u64,
    /// Bytes of one object or one inbox entry.
    pub max_object: usize,
    /// Entries of one inbox.
    pub inbox_entries: u32,
    /// What one inbox may count for, bytes.
    pub inbox_bytes: u64,
    /// Writes waiting for the writer (at least 1). Together they hold up to `queue * max_object`
    /// bytes of memory.
    pub queue: usize,
    /// Writes in one commit at most (at least 1).
    pub group: usize,
}

/// A file is made smaller when it is opened if so many bytes, and more than half of it, are free.
const WASTE: u64 = 8 << 20;

/// A handle to the store; clones share it.
///
/// Its methods need a tokio runtime. A write whose future is dropped before the answer may or may
/// not be done. When the last clone is dropped the writer finishes what waits and closes the file
/// by itself, a moment later; [`Store::close`] waits for that.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    /// `None` once the store was closed.
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    jobs: mpsc::Sender<Box<dyn Job>>,
    writer: std::thread::JoinHandle<Result<(), StoreError>>,
}

/// What the handles and the writer thread both see.
#[derive(Debug)]
struct Shared {
    slot: RwLock<Slot>,
    limits: StoreLimits,
    /// Commits since the store was opened.
    commits: AtomicU64,
}

impl Store {
    /// Creates a new, empty store in the file at `path`. Blocks for a few disk writes.
    ///
    /// # Errors
    /// [`StoreError::Exists`] if there is a file already, [`StoreError::Io`].
    pub fn create(path: impl AsRef<Path>, limits: StoreLimits) -> Result<Self, StoreError> {
        let database = file::create(path.as_ref())?;
        Self::start(path.as_ref(), database, limits)
    }

    /// Opens the store in the file at `path`, reading and verifying all of it, and makes the file
    /// smaller where it is mostly free space. Blocks meanwhile.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::Locked`], [`StoreError::Corrupt`],
    /// [`StoreError::Version`], [`StoreError::Io`].
    pub fn open(path: impl AsRef<Path>, limits: StoreLimits) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let mut database = file::open(path)?;
        if waste(path, &database)? > WASTE {
            match file::compact(path, &mut database) {
                Ok(freed) => tracing::info!(freed, "the store's file is smaller now"),
                // It is as good as it was, but redb may not go on with it.
                Err(error) => {
                    tracing::warn!(%error, "the store's file cannot be made smaller");
                    drop(database);
                    database = file::open(path)?;
                }
            }
        }
        Self::start(path, database, limits)
    }

    fn start(
        path: &Path,
        database: redb::Database,
        limits: StoreLimits,
    ) -> Result<Self, StoreError> {
        let (jobs, queue) = mpsc::channel(limits.queue.max(1));
        let shared = Arc::new(Shared {
            slot: RwLock::new(Slot::Open(database)),
            limits,
            commits: AtomicU64::new(0),
        });
        let writer = Writer::new(Arc::clone(&shared), path.to_owned(), queue).spawn()?;
        let running = Mutex::new(Some(Running { jobs, writer }));
        Ok(Self { inner: Arc::new(Inner { shared, running }) })
    }

    /// Whether nothing was ever kept here, or noted.
    ///
    /// # Errors
    /// Faults.
    pub(crate) fn is_untouched(&self) -> Result<bool, StoreError> {
        self.inner.shared.with(|database| {
            let txn = database.begin_read()?;
            let meta = txn.open_table(rows::META)?;
            Ok(group::Totals::load(&meta)? == group::Totals::default()
                && meta.get(rows::TIME)?.is_none())
        })
    }

    /// Finishes the writes that wait, refuses new ones, and closes the file. Every clone is closed
    /// with it; a second call returns at once.
    ///
    /// # Errors
    /// [`StoreError::Io`] if the file could not be closed cleanly; nothing acknowledged is lost by
    /// that.
    pub async fn close(&self) -> Result<(), StoreError> {
        let running = self.inner.running.lock().take();
        let Some(Running { jobs, writer }) = running else {
            return Ok(());
        };
        drop(jobs);
        let joined = tokio::task::spawn_blocking(move || writer.join()).await;
        joined
            .map_err(|_| StoreError::Closed)?
            .map_err(|_| StoreError::Corrupt(Corruption::File))?
    }

    /// Hands `write` to the writer thread and waits for its commit. It may be applied more than once, each time to
    /// another transaction. It refuses before it has changed anything; any other error fails the transaction.
    async fn write<A: Send + 'static>(
        &self,
        write: impl Fn(&mut Group<'_>) -> Result<A, StoreError> + Send + 'static,
    ) -> Result<A, StoreError> {
        self.hand_in(|reply| Box::new(Pending::new(false, write, reply))).await
    }

    /// As [`Self::write`], for what gives space back, so that it is made even where the disk is full.
    async fn free<A: Send + 'static>(
        &self,
        write: impl Fn(&mut Group<'_>) -> Result<A, StoreError> + Send + 'static,
    ) -> Result<A, StoreError> {
        self.hand_in(|reply| Box::new(Pending::new(true, write, reply))).await
    }

    async fn hand_in<A>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<A, StoreError>>) -> Box<dyn Job>,
    ) -> Result<A, StoreError> {
        let (reply, answer) = oneshot::channel();
        {
            let running = self.inner.running.lock();
            let jobs = &running.as_ref().ok_or(StoreError::Closed)?.jobs;
            jobs.try_send(job(reply)).map_err(|refused| match refused {
                mpsc::error::TrySendError::Full(_) => StoreError::Busy,
                mpsc::error::TrySendError::Closed(_) => StoreError::Closed,
            })?;
        }
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Runs `look` over a snapshot, on a thread that may block. If a fault elsewhere has made the
    /// file unusable, lets the writer open it anew first.
    async fn read<T, F>(&self, look: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&ReadTransaction) -> Result<T, StoreError> + Clone + Send + 'static,
    {
        match self.read_once(look.clone()).await {
            Err(StoreError::Reopening) => {
                // Its outcome does not matter: the writer has opened the file anew before it
                // answers.
                let _ = self.write(|_| Ok(())).await;
                self.read_once(look).await
            }
            outcome => outcome,
        }
    }

    async fn read_once<T, F>(&self, look: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&ReadTransaction) -> Result<T, StoreError> + Send + 'static,
    {
        let shared = Arc::clone(&self.inner.shared);
        let task = tokio::task::spawn_blocking(move || {
            shared.with(|database| look(&database.begin_read()?))
        });
        task.await.unwrap_or_else(|failed| {
            let panicked = failed.is_panic();
            Err(if panicked { StoreError::Corrupt(Corruption::File) } else { StoreError::Closed })
        })
    }

    /// Refuses a payload that no quota could admit, before it is queued.
    fn check_size(&self, size: usize) -> Result<(), StoreError> {
        let limit = self.inner.shared.limits.max_object;
        if size > limit { Err(StoreError::TooLarge { size, limit }) } else { Ok(()) }
    }
}

/// Bytes of the file at `path` that can be given back, if that is more than half of it.
fn waste(path: &Path, database: &redb::Database) -> Result<u64, StoreError> {
    let totals = group::Totals::load(&database.begin_read()?.open_table(rows::META)?)?;
    let length = std::fs::metadata(path).map(|file| file.len()).unwrap_or_default();
    Ok(length.saturating_sub(totals.bytes.saturating_mul(2)))
}

impl Shared {
    /// Lends the open database to `work`; the file is not closed or opened anew meanwhile.
    fn with<T>(
        &self,
        work: impl FnOnce(&redb::Database) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match &*self.slot.read() {
            Slot::Open(database) => work(database),
            Slot::Down(fault) => Err(*fault),
        }
    }

    fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }
}
