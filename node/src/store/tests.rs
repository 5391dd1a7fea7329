//! Tests of the store as a whole, and what the tests of its parts share.

use std::sync::mpsc as blocking;

use tokio::task::JoinSet;

use super::group::Group;
use super::*;

mod crash;
mod damage;
mod full_disk;
mod power;
mod quota;
mod repair;

/// Limits that no test meets by accident.
pub(super) fn limits() -> StoreLimits {
    StoreLimits {
        max_bytes: 1 << 30,
        reserve: 0,
        extension: 0,
        max_object: 1 << 20,
        inbox_entries: 10_000,
        inbox_bytes: 1 << 24,
        queue: 1024,
        group: 64,
    }
}

/// A store in a folder that goes with the first value.
pub(super) fn temporary(limits: StoreLimits) -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path().join("store"), limits).unwrap();
    (folder, store)
}

/// An object of `size` bytes with the digest and the contents that `seed` gives it.
pub(super) fn object(seed: u8, size: usize, deleters: &[&[u8]]) -> StoredObject {
    StoredObject {
        kind: ObjectKind::Body,
        digest: [seed; 32],
        expiry: 1000,
        deleters: deleters.iter().map(|deleter| deleter.to_vec()).collect(),
        bytes: (0..size).map(|at| seed.wrapping_add(u8::try_from(at % 241).unwrap())).collect(),
    }
}

/// A digest that `number` gives.
fn digest(number: u64) -> [u8; 32] {
    let mut digest = [0xd1; 32];
    digest[..8].copy_from_slice(&number.to_be_bytes());
    digest
}

/// Keeps the writer busy until the returned sender is used or dropped, so that what comes next
/// waits together.
async fn hold(store: &Store) -> blocking::Sender<()> {
    let (entered, has_entered) = oneshot::channel();
    let (release, released) = blocking::channel();
    let released = Mutex::new((Some(entered), released));
    let store = store.clone();
    tokio::spawn(async move {
        let gate = move |_: &mut Group<'_>| {
            let mut gate = released.lock();
            gate.0.take().into_iter().for_each(|entered| entered.send(()).unwrap());
            let _ = gate.1.recv();
            Ok(())
        };
        store.write(gate).await
    });
    has_entered.await.unwrap();
    release
}

/// Starts appending entries with these numbers; they wait in the queue when this returns.
async fn append(
    store: &Store,
    numbers: std::ops::Range<u64>,
) -> JoinSet<Result<Stored, StoreError>> {
    let mut tasks = JoinSet::new();
    for number in numbers {
        let store = store.clone();
        tasks.spawn(
            async move { store.append_inbox([9; 32], digest(number), vec![1; 50], 1).await },
        );
    }
    for _ in 0..tasks.len() {
        tokio::task::yield_now().await;
    }
    tasks
}

async fn entries(store: &Store) -> usize {
    store.list_inbox([9; 32], 0, usize::MAX).await.unwrap().digests.len()
}

/// A notification and its digest.
pub(super) type Entry = ([u8; 32], Vec<u8>);

/// All that lies in an inbox, in the order of its arrival.
pub(super) async fn held(store: &Store, inbox: u8) -> Result<Vec<Entry>, StoreError> {
    let mut held = Vec::new();
    for digest in store.list_inbox([inbox; 32], 0, usize::MAX).await?.digests {
        let found = store.hand_over([inbox; 32], &[digest]).await?;
        held.extend(found.into_iter().map(|bytes| (digest, bytes)));
    }
    Ok(held)
}

#[tokio::test]
async fn opening_never_creates_and_creating_never_overwrites() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    assert_eq!(Store::open(&path, limits()).unwrap_err(), StoreError::Missing);
    std::fs::write(&path, b"").unwrap();
    let corrupt = StoreError::Corrupt(Corruption::File);
    assert_eq!(Store::open(&path, limits()).unwrap_err(), corrupt);
    assert_eq!(Store::create(&path, limits()).unwrap_err(), StoreError::Exists);
    std::fs::write(&path, b"not a store".repeat(1000)).unwrap();
    assert_eq!(Store::open(&path, limits()).unwrap_err(), corrupt);
    std::fs::remove_file(&path).unwrap();
    drop(redb::Database::create(&path).unwrap());
    assert_eq!(Store::open(&path, limits()).unwrap_err(), corrupt, "a redb file, but none of ours");
    assert!(matches!(Store::open(folder.path(), limits()).unwrap_err(), StoreError::Io(_)));
}

#[tokio::test]
async fn another_version_is_refused() {
    let (folder, store) = temporary(limits());
    store.close().await.unwrap();
    let path = folder.path().join("store");
    let database = redb::Database::open(&path).unwrap();
    let txn = database.begin_write().unwrap();
    txn.open_table(rows::META).unwrap().insert(rows::VERSION, 1).unwrap();
    txn.commit().unwrap();
    drop(database);
    let refused = Store::open(&path, limits()).unwrap_err();
    assert_eq!(refused, StoreError::Version { found: 1, expected: 2 });
}

#[tokio::test]
async fn closing_finishes_what_waits_and_frees_the_file() {
    let (folder, store) = temporary(limits());
    let path = folder.path().join("store");
    assert_eq!(Store::open(&path, limits()).unwrap_err(), StoreError::Locked);
    let gate = hold(&store).await;
    let tasks = append(&store, 0..10).await;
    drop(gate);
    store.close().await.unwrap();
    assert_eq!(tasks.join_all().await, vec![Ok(Stored::New); 10]);
    assert_eq!(store.clone().close().await, Ok(()));
    assert_eq!(store.usage().await, Err(StoreError::Closed));
    assert_eq!(store.drop_key([1; 32]).await, Err(StoreError::Closed));
    let store = Store::open(&path, limits()).unwrap();
    assert_eq!(entries(&store).await, 10);
}

#[tokio::test]
async fn writes_that_wait_share_a_commit() {
    let (_folder, store) = temporary(limits());
    let gate = hold(&store).await;
    let tasks = append(&store, 0..64).await;
    drop(gate);
    assert_eq!(tasks.join_all().await, vec![Ok(Stored::New); 64]);
    assert_eq!(entries(&store).await, 64);
    assert_eq!(store.usage().await.unwrap().commits, 1);
    let gate = hold(&store).await;
    let tasks = append(&store, 100..300).await;
    drop(gate);
    assert_eq!(tasks.join_all().await.len(), 200);
    assert_eq!(store.usage().await.unwrap().commits, 1 + 4, "groups of 64 at most");
    store.verify().await.unwrap();
}

#[tokio::test]
async fn a_refused_write_leaves_its_group_alone() {
    let max_bytes = 6 * rows::LEAST + 1_000;
    let (_folder, store) = temporary(StoreLimits { inbox_entries: 5, max_bytes, ..limits() });
    store.store([1; 32], object(1, 500, &[]), false).await.unwrap();
    let gate = hold(&store).await;
    let before = append(&store, 0..3).await;
    let (one, two) = (store.clone(), store.clone());
    let full =
        tokio::spawn(async move { one.store([2; 32], object(2, 400 + 4_096, &[]), false).await });
    let conflict = tokio::spawn(async move { two.store([1; 32], object(2, 1, &[]), false).await });
    tokio::task::yield_now().await;
    let after = append(&store, 3..7).await;
    drop(gate);
    assert_eq!(before.join_all().await, vec![Ok(Stored::New); 3]);
    assert_eq!(full.await.unwrap(), Err(StoreError::Full { missing: 50 }));
    assert_eq!(conflict.await.unwrap(), Err(StoreError::Conflict));
    let after = after.join_all().await;
    assert_eq!(after.iter().filter(|stored| **stored == Ok(Stored::New)).count(), 2);
    assert_eq!(after.iter().filter(|stored| **stored == Err(StoreError::InboxFull)).count(), 2);
    assert_eq!((entries(&store).await, store.usage().await.unwrap().commits), (5, 2));
    store.verify().await.unwrap();
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let (_folder, store) = temporary(StoreLimits { queue: 2, ..limits() });
    let gate = hold(&store).await;
    let tasks = append(&store, 0..2).await;
    assert_eq!(store.drop_key([1; 32]).await, Err(StoreError::Busy));
    assert_eq!(entries(&store).await, 0, "reads do not wait for the writer");
    drop(gate);
    assert_eq!(tasks.join_all().await, vec![Ok(Stored::New); 2]);
}

#[tokio::test]
async fn an_odd_row_fails_whoever_meets_it_and_nobody_else() {
    let (_folder, store) = temporary(limits());
    let garble = |group: &mut Group<'_>| {
        group.objects.insert(&[1; 32], b"odd".as_slice())?;
        group.change();
        Ok::<(), StoreError>(())
    };
    store.write(garble).await.unwrap();
    let gate = hold(&store).await;
    let tasks = append(&store, 0..3).await;
    let other = store.clone();
    let met = tokio::spawn(async move { other.delete([1; 32], b"x").await });
    tokio::task::yield_now().await;
    let more = append(&store, 3..5).await;
    drop(gate);
    assert_eq!(met.await.unwrap(), Err(StoreError::row("objects")));
    assert_eq!(tasks.join_all().await, vec![Ok(Stored::New); 3]);
    assert_eq!(more.join_all().await, vec![Ok(Stored::New); 2]);
    assert_eq!(store.fetch([1; 32]).await, Err(StoreError::row("objects")));
    assert_eq!(store.verify().await, Err(StoreError::row("objects")));
}

#[tokio::test]
async fn a_fault_fails_its_group_and_the_store_comes_back() {
    let (_folder, store) = temporary(limits());
    append(&store, 0..3).await.join_all().await;
    let io = StoreError::Io(std::io::ErrorKind::Other);
    let failing = move |_: &mut Group<'_>| Err::<(), _>(io);
    let panicking = |_: &mut Group<'_>| -> Result<(), StoreError> {
        panic!("as redb might over a damaged page")
    };
    let gate = hold(&store).await;
    let tasks = append(&store, 3..6).await;
    let other = store.clone();
    let fault = tokio::spawn(async move { other.write(failing).await });
    tokio::task::yield_now().await;
    drop(gate);
    assert_eq!(fault.await.unwrap(), Err(io));
    assert_eq!(tasks.join_all().await, vec![Err(io); 3]);
    assert_eq!(entries(&store).await, 3, "what was acknowledged before is there at once");
    again(&store, 3..6).await;
    assert_eq!(store.write(panicking).await, Err(StoreError::Corrupt(Corruption::File)));
    assert_eq!(entries(&store).await, 6);
    again(&store, 6..7).await;
    store.verify().await.unwrap();
}

#[tokio::test]
async fn a_file_that_went_away_is_missed_and_not_made_anew() {
    let (folder, store) = temporary(limits());
    std::fs::remove_file(folder.path().join("store")).unwrap();
    let io = StoreError::Io(std::io::ErrorKind::Other);
    assert_eq!(store.write(move |_| Err::<(), _>(io)).await, Err(io));
    // Its answer comes after the writer has looked for the file.
    assert!(store.write(|_| Ok(())).await.is_err());
    assert_eq!(store.usage().await, Err(StoreError::Missing));
    assert!(store.drop_key([1; 32]).await.is_err());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// Appends, patiently: after a fault the writer rests for a moment.
async fn again(store: &Store, numbers: std::ops::Range<u64>) {
    for _ in 0..2000 {
        let appended = append(store, numbers.clone()).await.join_all().await;
        if appended.iter().all(|stored| stored.is_ok()) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the store did not come back");
}
