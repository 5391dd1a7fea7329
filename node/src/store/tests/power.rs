//! The power goes at any moment: what was not yet synced is lost, kept or torn, as the disk likes, and
//! what was acknowledged is there afterwards.
//!
//! The store runs over a disk of the test's own, which notes every write and every sync. An image is
//! made as a power cut would leave it: all writes before the last sync that was done, and of those
//! after it, sector by sector, some. A store that never syncs, or signs before it does, falls: that is
//! tried as well, or this check could not fail.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use redb::StorageBackend;

use super::*;

/// What a disk writes whole or not at all, bytes.
const SECTOR: usize = 512;
const SEED: u64 = 20_261_127;
const CUTS: usize = 300;

/// What was done to a disk.
#[derive(Clone, Debug)]
enum Done {
    Write(u64, Vec<u8>),
    Length(u64),
    Sync,
}

/// A disk in memory that notes what is done to it.
#[derive(Clone, Debug)]
struct Disk {
    content: Arc<Mutex<Vec<u8>>>,
    done: Arc<Mutex<Vec<Done>>>,
    /// A disk that does not says it has synced, and has not.
    syncs: Arc<AtomicBool>,
}

impl Disk {
    fn new(content: Vec<u8>) -> Self {
        let syncs = Arc::new(AtomicBool::new(true));
        Self { content: Arc::new(Mutex::new(content)), done: Arc::default(), syncs }
    }

    fn note(&self, done: Done) {
        self.done.lock().push(done);
    }
}

fn set(content: &mut Vec<u8>, at: u64, bytes: &[u8]) {
    let at = usize::try_from(at).unwrap();
    if content.len() < at + bytes.len() {
        content.resize(at + bytes.len(), 0);
    }
    content[at..at + bytes.len()].copy_from_slice(bytes);
}

impl StorageBackend for Disk {
    fn len(&self) -> std::io::Result<u64> {
        Ok(u64::try_from(self.content.lock().len()).unwrap())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        let (content, at) = (self.content.lock(), usize::try_from(offset).unwrap());
        let bytes = content.get(at..at + out.len());
        out.copy_from_slice(bytes.ok_or(std::io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> std::io::Result<()> {
        self.content.lock().resize(usize::try_from(length).unwrap(), 0);
        self.note(Done::Length(length));
        Ok(())
    }

    fn sync_data(&self) -> std::io::Result<()> {
        if self.syncs.load(Ordering::Relaxed) {
            self.note(Done::Sync);
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        set(&mut self.content.lock(), offset, data);
        self.note(Done::Write(offset, data.to_vec()));
        Ok(())
    }
}

/// The disk after a power cut when `done` was done to one that held `before`.
fn cut(before: &[u8], done: &[Done], rng: &mut StdRng) -> Vec<u8> {
    let synced = done.iter().rposition(|done| matches!(done, Done::Sync)).map_or(0, |at| at + 1);
    let mut image = before.to_vec();
    for (at, done) in done.iter().enumerate() {
        let fate = if at < synced { 2 } else { rng.random_range(0..3) };
        match done {
            Done::Length(length) if fate > 0 => image.resize(usize::try_from(*length).unwrap(), 0),
            Done::Write(offset, data) => {
                for (number, sector) in (0_u64..).zip(data.chunks(SECTOR)) {
                    if fate == 2 || fate == 1 && rng.random_bool(0.5) {
                        let of = u64::try_from(SECTOR).unwrap();
                        set(&mut image, offset + number * of, sector);
                    }
                }
            }
            _ => {}
        }
    }
    image
}

/// What was acknowledged, in order: after how many things done to the disk, and what it was.
#[derive(Default)]
struct Acknowledged(Vec<(usize, Act)>);

#[derive(Clone, Copy)]
enum Act {
    Stored(u64),
    Deleted(u64),
    Appended(u64),
    Removed(u64),
}

fn body(number: u64) -> StoredObject {
    let size = usize::try_from(number * 7919 % 40_000).unwrap();
    object(u8::try_from(number % 251).unwrap(), size, &[b"x"])
}

/// Runs a store on `disk`; what it acknowledged, and when.
async fn work(disk: &Disk) -> Acknowledged {
    let store = store_on(disk, true).unwrap();
    let all = Arc::new(Mutex::new(Acknowledged::default()));
    for round in 0..24_u64 {
        let mut tasks = JoinSet::new();
        for number in round * 6..round * 6 + 6 {
            let (store, all, done) = (store.clone(), Arc::clone(&all), Arc::clone(&disk.done));
            let note = move |act| {
                let at = done.lock().len();
                all.lock().0.push((at, act));
            };
            tasks.spawn(async move {
                if number % 2 == 0 {
                    store.store(digest(number), body(number), false).await.unwrap();
                    note(Act::Stored(number));
                    if number % 4 == 0 {
                        store.delete(digest(number), b"x").await.unwrap();
                        note(Act::Deleted(number));
                    }
                } else {
                    let bytes = vec![9; 4_144];
                    store.append_inbox([9; 32], digest(number), bytes, 1).await.unwrap();
                    note(Act::Appended(number));
                    if number % 5 == 0 {
                        store.acknowledge([9; 32], &[digest(number)]).await.unwrap();
                        note(Act::Removed(number));
                    }
                }
            });
        }
        tasks.join_all().await;
    }
    store.close().await.unwrap();
    Arc::try_unwrap(all).ok().unwrap().into_inner()
}

fn store_on(disk: &Disk, new: bool) -> Result<Store, StoreError> {
    let begin = if new { file::begin(disk.clone()) } else { file::open_in(disk.clone()) };
    Store::start(Path::new("/nowhere/to be seen"), begin?, limits())
}

/// Whether a store on this disk has all that was acknowledged by then.
async fn has(disk: &Disk, acknowledged: &[(usize, Act)], by: usize) -> Result<(), String> {
    let store = store_on(disk, false).map_err(|error| format!("does not open: {error}"))?;
    let mut acts = BTreeMap::new();
    for (at, act) in acknowledged {
        let (Act::Stored(n) | Act::Deleted(n) | Act::Appended(n) | Act::Removed(n)) = *act;
        // A write that was under way, too, may be there or not.
        acts.entry(n).or_insert_with(Vec::new).push((*at <= by, *act));
    }
    let inbox = held(&store, 9).await.map_err(|error| error.to_string())?;
    for (number, acts) in acts {
        let held = match acts[0].1 {
            Act::Stored(_) => {
                store.fetch(digest(number)).await.map_err(|e| e.to_string())?.is_some()
            }
            _ => inbox.iter().any(|(held, _)| *held == digest(number)),
        };
        let came = acts[0].0;
        let (asked, went) = acts.get(1).map_or((false, false), |(by, _)| (true, *by));
        if came && !asked && !held || went && held {
            return Err(format!("{number} was acknowledged: there {held}, removed {went}"));
        }
    }
    store.verify().await.map_err(|error| error.to_string())?;
    store.close().await.map_err(|error| error.to_string())
}

/// Cuts the power at many moments; the first thing that was lost.
async fn lose_power(disk: &Disk, acknowledged: &Acknowledged) -> Result<(), String> {
    let mut rng = StdRng::seed_from_u64(SEED);
    let done = disk.done.lock().clone();
    // Before the first acknowledgement the file may not be a store yet.
    let first = acknowledged.0.iter().map(|(at, _)| *at).min().unwrap();
    for number in 0..CUTS {
        let at = rng.random_range(first..=done.len());
        let again = Disk::new(cut(&[], &done[..at], &mut rng));
        let before = again.content.lock().clone();
        let said =
            |error| format!("seed {SEED}, cut {number} after {at} of {}: {error}", done.len());
        has(&again, &acknowledged.0, at).await.map_err(said)?;
        // And once more, while the store is opened, looked at and closed.
        let done = again.done.lock().clone();
        let twice = rng.random_range(0..=done.len());
        let once_more = Disk::new(cut(&before, &done[..twice], &mut rng));
        has(&once_more, &acknowledged.0, at).await.map_err(|error| format!("again: {error}"))?;
    }
    Ok(())
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_power_cut() {
    let disk = Disk::new(Vec::new());
    let acknowledged = work(&disk).await;
    assert_eq!(acknowledged.0.len(), 24 * 6 + 36 + 14, "stored, appended, deleted, removed");
    lose_power(&disk, &acknowledged).await.unwrap();
}

#[tokio::test]
async fn a_store_that_does_not_sync_is_found_out() {
    let disk = Disk::new(Vec::new());
    disk.syncs.store(false, Ordering::Relaxed);
    let acknowledged = work(&disk).await;
    let lost = lose_power(&disk, &acknowledged).await;
    assert!(lost.is_err(), "nothing was ever synced, and nothing was missed");
}

#[tokio::test]
async fn an_acknowledgement_before_the_sync_is_found_out() {
    let disk = Disk::new(Vec::new());
    let mut acknowledged = work(&disk).await;
    // As if each answer had come before the last sync of its commit.
    let done = disk.done.lock().clone();
    for (at, _) in &mut acknowledged.0 {
        let sync = done[..*at].iter().rposition(|done| matches!(done, Done::Sync));
        *at = sync.unwrap();
    }
    assert!(lose_power(&disk, &acknowledged).await.is_err(), "an early answer went unnoticed");
}
