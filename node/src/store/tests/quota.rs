//! The quota bounds the disk, whatever is stored: how long the file gets is compared with what its
//! rows count for.

use std::path::Path;

use futures::StreamExt as _;

use super::*;

/// The file of a full store is at most so many times as long as what it counts for, and [`BEGUN`]
/// more. redb makes its file twice as long when it is full, and rewrites pages beside the old ones.
const TIMES: u64 = 3;
/// What an empty store takes, and what one commit of large objects leaves free.
const BEGUN: u64 = 4 << 20;
const QUOTA: u64 = 16 << 20;

fn length(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().len()
}

/// A key that is as good as random.
fn key(number: u64) -> [u8; 32] {
    use sha2::{Digest as _, Sha256};
    Sha256::digest(number.to_be_bytes()).into()
}

/// Stores objects until there is no room for more; how many there was room for.
async fn fill(store: &Store, size: usize, permissions: u8) -> u64 {
    let stored = |number: u64| {
        let deleters = (0..permissions).map(|of| [key(number).as_slice(), &[of]].concat());
        let bytes = vec![7; size];
        let object = StoredObject { bytes, deleters: deleters.collect(), ..object(1, 0, &[]) };
        let object = StoredObject { digest: key(number), ..object };
        let store = store.clone();
        async move { store.store(key(number), object, false).await }
    };
    let mut answers = futures::stream::iter(0..).map(stored).buffered(64);
    let mut count = 0;
    while answers.next().await.unwrap().is_ok() {
        count += 1;
    }
    count
}

async fn append_all(store: &Store, size: usize) -> u64 {
    let mut count = 0;
    loop {
        let mut all = JoinSet::new();
        for number in count..count + 64 {
            let (store, bytes) = (store.clone(), vec![7; size]);
            all.spawn(async move {
                // Some in one inbox, and some that are alone in theirs.
                let inbox = if number % 2 == 0 { key(number) } else { [9; 32] };
                store.append_inbox(inbox, key(number), bytes, 1000).await
            });
        }
        let answers = all.join_all().await;
        count += 64;
        if answers.iter().any(Result::is_err) {
            return count;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_counted_bounds_the_file() {
    let limits = StoreLimits { max_bytes: QUOTA, ..limits() };
    let sizes = [0, 20, 3_000, 4_100, 8_300, 16_300, 16_400, 33_000, 300_000, 1 << 20];
    for (size, permissions) in sizes.map(|size| (size, 1)).into_iter().chain([(0, 0), (0, 64)]) {
        let (folder, store) = temporary(limits.clone());
        let count = fill(&store, size, permissions).await;
        let usage = store.usage().await.unwrap();
        assert_eq!(usage.objects, count);
        assert!(usage.bytes <= QUOTA && usage.bytes > QUOTA - (3 << 20), "{usage:?}");
        let file = length(&folder.path().join("store"));
        assert!(
            file <= TIMES * usage.bytes + BEGUN,
            "{count} objects of {size} bytes with {permissions} permissions: {file} bytes for {}",
            usage.bytes
        );
    }
    for size in [10, 4_144] {
        let (folder, store) = temporary(limits.clone());
        append_all(&store, size).await;
        let (usage, file) = (store.usage().await.unwrap(), length(&folder.path().join("store")));
        assert!(file <= TIMES * usage.bytes + BEGUN, "{size}: {file} bytes for {}", usage.bytes);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_space_of_what_was_deleted_is_given_back_when_the_store_opens() {
    let (folder, store) = temporary(StoreLimits { max_bytes: 2 * QUOTA, ..limits() });
    let path = folder.path().join("store");
    let count = fill(&store, 60_000, 1).await;
    let full = length(&path);
    // All but one in ten.
    for number in (0..count).filter(|number| number % 10 != 0) {
        let deleted = store.delete(key(number), &[key(number).as_slice(), &[0]].concat()).await;
        assert_eq!(deleted, Ok(Deleted::Discarded));
    }
    store.close().await.unwrap();
    let store = Store::open(&path, limits()).unwrap();
    let (usage, file) = (store.usage().await.unwrap(), length(&path));
    assert!(file < full / 3, "{file} of {full} bytes for {}", usage.bytes);
    assert!(file <= TIMES * usage.bytes + BEGUN, "{file} bytes for {}", usage.bytes);
    for number in (0..count).step_by(10) {
        let held = store.fetch(key(number)).await.unwrap().unwrap();
        assert_eq!(held.bytes.len(), 60_000);
    }
    store.verify().await.unwrap();
}
