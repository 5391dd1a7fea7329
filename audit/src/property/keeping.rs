//! What a storage node keeps: an acknowledged notification is on the disk, and stays until its owner says so.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::ValueEnum;
use node::{Store, StoreLimits};
use rand::{RngExt as _, rngs::StdRng};
use sha2::{Digest as _, Sha256};
use tokio::runtime::{Builder, Runtime};

use super::family::{Check, Family, Seen, Tried};

/// How inboxes are kept in a file.
pub(super) trait Keeping {
    /// A new, empty one.
    fn create(&self, path: &Path) -> Option<Box<dyn Inbox>>;
    /// The one that is there. `None`: refused.
    fn open(&self, path: &Path) -> Option<Box<dyn Inbox>>;
}

/// An inbox.
pub(super) trait Inbox {
    /// Appends a notification; whether that is acknowledged.
    fn append(&mut self, bytes: &[u8]) -> bool;
    /// Hands out what is there.
    fn read(&mut self) -> Option<Vec<Vec<u8>>>;
    /// Removes what its owner holds safely; whether it did.
    fn acknowledge(&mut self, bytes: &[u8]) -> bool;
    /// Ends, as a node that is shut down does.
    fn close(self: Box<Self>) -> Option<()>;
}

const INBOX: [u8; 32] = [9; 32];
const EXPIRY: u64 = 2_000_000_000;

fn limits() -> StoreLimits {
    StoreLimits {
        max_bytes: 1 << 24,
        reserve: 0,
        extension: 0,
        max_object: 1 << 20,
        inbox_entries: 1_000,
        inbox_bytes: 1 << 22,
        queue: 64,
        group: 16,
    }
}

/// The project's own store.
struct Real;

struct RealInbox {
    runtime: Arc<Runtime>,
    store: Store,
}

impl RealInbox {
    fn new(store: Store, runtime: Arc<Runtime>) -> Box<Self> {
        Box::new(Self { runtime, store })
    }
}

fn runtime() -> Option<Arc<Runtime>> {
    Some(Arc::new(Builder::new_current_thread().enable_all().build().ok()?))
}

impl Keeping for Real {
    fn create(&self, path: &Path) -> Option<Box<dyn Inbox>> {
        Some(RealInbox::new(Store::create(path, limits()).ok()?, runtime()?))
    }

    fn open(&self, path: &Path) -> Option<Box<dyn Inbox>> {
        Some(RealInbox::new(Store::open(path, limits()).ok()?, runtime()?))
    }
}

impl Inbox for RealInbox {
    fn append(&mut self, bytes: &[u8]) -> bool {
        let digest = Sha256::digest(bytes).into();
        let appended = self.store.append_inbox(INBOX, digest, bytes.to_vec(), EXPIRY);
        self.runtime.block_on(appended).is_ok()
    }

    fn read(&mut self) -> Option<Vec<Vec<u8>>> {
        let read = async {
            let digests = self.store.list_inbox(INBOX, 0, usize::MAX).await?.digests;
            let mut notifications = Vec::new();
            // One by one: together they are handed over in the order of their digests.
            for digest in digests {
                notifications.extend(self.store.hand_over(INBOX, &[digest]).await?);
            }
            Ok::<_, node::store::StoreError>(notifications)
        };
        self.runtime.block_on(read).ok()
    }

    fn acknowledge(&mut self, bytes: &[u8]) -> bool {
        let digests = [Sha256::digest(bytes).into()];
        self.runtime.block_on(self.store.acknowledge(INBOX, &digests)).is_ok()
    }

    fn close(self: Box<Self>) -> Option<()> {
        self.runtime.block_on(self.store.close()).ok()
    }
}

/// What is wrong with a way of keeping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Flaw {
    /// An inbox deletes what it hands out, so that an answer that is lost on its way is a mail that is lost.
    #[value(name = "read and delete")]
    ReadDeletes,
    /// A node signs for what it has not written yet, so that a crash loses mail that counts as sent.
    #[value(name = "receipt before the commit")]
    EarlyReceipt,
    /// A node whose store is gone or damaged starts with an empty one and says nothing.
    #[value(name = "lost store begun anew")]
    BeginsAnew,
}

/// Writes that are put off.
const PUT_OFF: usize = 4;

struct FlawedInbox {
    flaw: Flaw,
    inner: Box<dyn Inbox>,
    waiting: Vec<Vec<u8>>,
}

impl FlawedInbox {
    fn flush(&mut self) -> bool {
        let inner = &mut self.inner;
        self.waiting.drain(..).all(|bytes| inner.append(&bytes))
    }
}

impl Keeping for Flaw {
    fn create(&self, path: &Path) -> Option<Box<dyn Inbox>> {
        let inner = Real.create(path)?;
        Some(Box::new(FlawedInbox { flaw: *self, inner, waiting: Vec::new() }))
    }

    fn open(&self, path: &Path) -> Option<Box<dyn Inbox>> {
        let inner = Real.open(path).or_else(|| {
            let anew = (*self == Self::BeginsAnew).then(|| std::fs::remove_file(path));
            anew.and_then(|_| Real.create(path))
        });
        Some(Box::new(FlawedInbox { flaw: *self, inner: inner?, waiting: Vec::new() }))
    }
}

impl Inbox for FlawedInbox {
    fn append(&mut self, bytes: &[u8]) -> bool {
        self.waiting.push(bytes.to_vec());
        let puts_off = self.flaw == Flaw::EarlyReceipt && self.waiting.len() < PUT_OFF;
        puts_off || self.flush()
    }

    fn read(&mut self) -> Option<Vec<Vec<u8>>> {
        self.flush();
        let read = self.inner.read()?;
        if self.flaw == Flaw::ReadDeletes {
            for bytes in &read {
                self.inner.acknowledge(bytes);
            }
        }
        Some(read)
    }

    fn acknowledge(&mut self, bytes: &[u8]) -> bool {
        self.inner.acknowledge(bytes)
    }

    fn close(mut self: Box<Self>) -> Option<()> {
        self.flush();
        self.inner.close()
    }
}

fn notification(number: u8, rng: &mut StdRng) -> Vec<u8> {
    let mut bytes = vec![number; 4_144];
    bytes.extend(rng.random::<[u8; 8]>());
    bytes
}

/// A folder with a store of some notifications in it.
struct Kept {
    folder: tempfile::TempDir,
    path: PathBuf,
    inbox: Box<dyn Inbox>,
    acknowledged: Vec<Vec<u8>>,
}

impl Kept {
    fn new(keeping: &dyn Keeping, count: u8, rng: &mut StdRng) -> Option<Self> {
        let folder = tempfile::tempdir().ok()?;
        let path = folder.path().join("store");
        let inbox = keeping.create(&path)?;
        let mut kept = Self { folder, path, inbox, acknowledged: Vec::new() };
        (0..count).all(|number| kept.append(number, rng)).then_some(kept)
    }

    fn append(&mut self, number: u8, rng: &mut StdRng) -> bool {
        let bytes = notification(number, rng);
        let acknowledged = self.inbox.append(&bytes);
        self.acknowledged.push(bytes);
        acknowledged
    }

    /// How many of those that were acknowledged are missing.
    fn missing_from(&self, read: &[Vec<u8>]) -> usize {
        self.acknowledged.iter().filter(|bytes| !read.contains(bytes)).count()
    }
}

/// Loses the answer to every read.
fn acknowledge(keeping: &(dyn Keeping + 'static), rng: &mut StdRng) -> Seen {
    const COUNT: u8 = 8;
    let mut kept = Kept::new(keeping, COUNT, rng)?;
    let first = kept.inbox.read()?;
    if kept.missing_from(&first) > 0 {
        return None;
    }
    let mut lost = 0;
    for _ in 0..3 {
        let read = kept.inbox.read()?;
        lost = lost.max(kept.missing_from(&read));
    }
    let path = kept.path.clone();
    kept.inbox.close()?;
    let mut inbox = keeping.open(&path)?;
    let read = inbox.read()?;
    lost = lost.max(kept.acknowledged.iter().filter(|bytes| !read.contains(bytes)).count());
    let stayed = inbox.acknowledge(kept.acknowledged.first()?);
    let left = inbox.read()?.len();
    inbox.close()?;
    let seen = format!(
        "{COUNT} notifications, five answers lost, a restart: {lost} gone; one said to be safe: {left} left"
    );
    Some((lost == 0 && stayed && left == usize::from(COUNT) - 1, seen))
}

/// Takes the file as it lies at the moment of each acknowledgement, as a crash would leave it.
fn receipt_after_commit(keeping: &(dyn Keeping + 'static), rng: &mut StdRng) -> Seen {
    const COUNT: u8 = 7;
    let mut kept = Kept::new(keeping, 0, rng)?;
    let (mut lost, mut unopened) = (0, 0);
    for number in 0..COUNT {
        if !kept.append(number, rng) {
            return None;
        }
        let left = kept.folder.path().join(format!("left {number}"));
        std::fs::copy(&kept.path, &left).ok()?;
        match keeping.open(&left) {
            Some(mut inbox) => {
                lost = lost.max(kept.missing_from(&inbox.read()?));
                inbox.close()?;
            }
            None => unopened += 1,
        }
    }
    let path = kept.path.clone();
    kept.inbox.close()?;
    let mut inbox = keeping.open(&path)?;
    let read = inbox.read()?;
    if kept.acknowledged.iter().any(|bytes| !read.contains(bytes)) {
        return None;
    }
    inbox.close()?;
    let seen = format!(
        "the file as it lay at {COUNT} acknowledgements: {unopened} did not open, up to {lost} acknowledged notifications missing"
    );
    Some((lost == 0 && unopened == 0, seen))
}

/// Damages the file while no node runs.
fn never_empty(keeping: &(dyn Keeping + 'static), rng: &mut StdRng) -> Seen {
    let kept = Kept::new(keeping, 6, rng)?;
    let Kept { folder, path, inbox, acknowledged } = kept;
    inbox.close()?;
    let good = std::fs::read(&path).ok()?;
    let (mut tried, mut refused, mut emptied) = (0, 0, 0);
    let mut damaged: Vec<Vec<u8>> = [0, 1, 4_096]
        .map(|cut| good.get(..cut).map(<[u8]>::to_vec))
        .into_iter()
        .collect::<Option<_>>()?;
    damaged.push(good.get(..good.len() / 2)?.to_vec());
    damaged.push(b"not a store".repeat(1_000));
    // No byte of the first sixteen: which of two commits counts is told there, with no checksum.
    for _ in 0..4 {
        let mut bytes = good.clone();
        let at = rng.random_range(16..bytes.len());
        *bytes.get_mut(at)? ^= 1 << rng.random_range(0..8);
        damaged.push(bytes);
    }
    let left = folder.path().join("left");
    let mut look = |found: Option<&[u8]>| {
        let _ = std::fs::remove_file(&left);
        if let Some(bytes) = found {
            std::fs::write(&left, bytes).ok()?;
        }
        tried += 1;
        match keeping.open(&left) {
            None => refused += 1,
            Some(mut inbox) => {
                let read = inbox.read().unwrap_or_default();
                let all = acknowledged.iter().all(|bytes| read.contains(bytes));
                emptied += usize::from(!all);
                inbox.close()?;
            }
        }
        Some(())
    };
    look(None)?;
    for bytes in &damaged {
        look(Some(bytes))?;
    }
    let mut whole = keeping.open(&path)?;
    let unharmed = whole.read()?.len() == acknowledged.len();
    whole.close()?;
    let seen = format!(
        "{tried} times the file gone, cut, replaced or with a bit flipped: {refused} refused, {emptied} opened without what was acknowledged"
    );
    Some((emptied == 0 && unharmed, seen))
}

/// Keeping, and mutants of it.
pub(super) fn family() -> Box<dyn Tried> {
    Box::new(Family::<dyn Keeping, Flaw> {
        checks: vec![
            Check { name: "property.acknowledge", attack: acknowledge },
            Check { name: "property.receipt-after-commit", attack: receipt_after_commit },
            Check { name: "property.never-empty", attack: never_empty },
        ],
        real: Box::new(Real),
        mutant: |flaw| Box::new(flaw),
        attack: |flaw| match flaw {
            Flaw::ReadDeletes => "17. Read-and-delete loses mail",
            Flaw::EarlyReceipt => "Bad inputs: storage, kill at any write",
            Flaw::BeginsAnew => "Bad inputs: storage, a corrupt page",
        },
    })
}
