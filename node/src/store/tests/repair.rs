//! A damaged store is made good: all that can be read is saved, nothing is made up, and the old file
//! stays.

use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};

use super::*;

const SEED: u64 = 17;
const OBJECTS: u64 = 60;
const ENTRIES: u64 = 40;
const NOW: u64 = 500;

fn key(number: u64) -> [u8; 32] {
    Sha256::digest(number.to_be_bytes()).into()
}

/// An object that names its own digest, as all that nodes keep do.
fn whole(number: u64) -> StoredObject {
    let size = usize::try_from(number * number * 31 % 90_000).unwrap();
    let named = object(u8::try_from(number).unwrap(), size, &[b"alice", b"bob"]);
    let mut bytes = named.bytes;
    bytes.extend(number.to_be_bytes());
    StoredObject { digest: Sha256::digest(&bytes).into(), bytes, ..named }
}

fn notification(number: u64) -> Vec<u8> {
    let mut bytes = vec![u8::try_from(number).unwrap(); 4_136];
    bytes.extend(number.to_be_bytes());
    bytes
}

/// A store of objects and entries, and its file as a crash leaves it.
async fn filled(path: &Path) -> (Store, Vec<u8>) {
    let store = Store::create(path, limits()).unwrap();
    for number in 0..OBJECTS {
        store.store(key(number), whole(number), false).await.unwrap();
        if number % 3 == 0 {
            store.delete(key(number), b"alice").await.unwrap();
        }
    }
    for number in 0..ENTRIES {
        let bytes = notification(number);
        let digest = Sha256::digest(&bytes).into();
        store
            .append_inbox([u8::try_from(number % 2).unwrap(); 32], digest, bytes, 900)
            .await
            .unwrap();
    }
    let crashed = std::fs::read(path).unwrap();
    (store, crashed)
}

/// What of it a store holds: objects, entries. Whatever it holds is as it was stored.
async fn holds(path: &Path) -> (u64, u64) {
    let store = Store::open(path, limits()).unwrap();
    store.verify().await.unwrap();
    let mut objects = 0;
    for number in 0..OBJECTS {
        let Some(held) = store.fetch(key(number)).await.unwrap() else { continue };
        let StoredObject { kind, digest, bytes, expiry, .. } = whole(number);
        assert!(held.bytes == bytes && (held.kind, held.digest) == (kind, digest));
        assert!(held.expiry == expiry || held.expiry <= NOW + 400 * 86_400, "{}", held.expiry);
        objects += 1;
    }
    let mut entries = 0;
    for inbox in 0..2_u8 {
        let held = held(&store, inbox).await.unwrap();
        let numbers: Vec<_> = held.iter().map(|(_, bytes)| bytes[0]).collect();
        assert!(numbers.is_sorted(), "in the order of their arrival");
        for (_, bytes) in held {
            assert_eq!(bytes, notification(u64::from(bytes[0])));
            entries += 1;
        }
    }
    let usage = store.usage().await.unwrap();
    assert_eq!((usage.objects, usage.inbox_entries), (objects, entries), "nothing else");
    store.close().await.unwrap();
    (objects, entries)
}

struct Place {
    _folder: tempfile::TempDir,
    path: PathBuf,
    aside: PathBuf,
}

fn place() -> Place {
    // In memory if there is such a folder: many files, each synced.
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    let folder = folder.unwrap();
    let (path, aside) = (folder.path().join("store"), folder.path().join("store.damaged"));
    Place { _folder: folder, path, aside }
}

/// Repairs this file; what was saved, and what a repair says of it.
async fn repaired(bytes: &[u8]) -> ((u64, u64), Repaired) {
    let Place { _folder, path, aside } = place();
    std::fs::write(&path, bytes).unwrap();
    let damaged = matches!(check(&path), Err(StoreError::Corrupt(_)));
    assert!(std::fs::read(&path).unwrap() == bytes, "a check changes nothing");
    let done = repair(&path, &aside, NOW).unwrap();
    assert_eq!(damaged, matches!(done, Repaired::Salvaged { .. }), "{done:?}");
    if damaged {
        assert!(std::fs::read(&aside).unwrap() == bytes, "the old file is kept");
    }
    assert!(!path.with_extension("repaired").exists());
    assert!(check(&path).is_ok());
    (holds(&path).await, done)
}

#[tokio::test]
async fn all_that_can_be_read_is_saved() {
    let Place { _folder, path, .. } = place();
    let (store, crashed) = filled(&path).await;
    store.close().await.unwrap();
    let closed = std::fs::read(&path).unwrap();
    let mut rng = StdRng::seed_from_u64(SEED);
    let mut damaged = 0;
    for number in 0..80 {
        let mut bytes = if number % 2 == 0 { crashed.clone() } else { closed.clone() };
        let at = rng.random_range(0..bytes.len());
        bytes[at] ^= 1 << rng.random_range(0..8);
        let ((objects, entries), done) = repaired(&bytes).await;
        // A page holds one object's pieces or some rows of several.
        assert!(objects + 30 >= OBJECTS && entries + 2 >= ENTRIES, "{number}: {done:?}");
        damaged += u32::from(matches!(done, Repaired::Salvaged { .. }));
    }
    assert!(damaged > 20, "{damaged} were damaged");
}

#[tokio::test]
async fn neither_the_first_page_nor_a_tree_nor_the_end_is_needed() {
    let Place { _folder, path, .. } = place();
    let (_store, crashed) = filled(&path).await;
    let mut headless = crashed.clone();
    headless[..4096].fill(0);
    let ((objects, entries), done) = repaired(&headless).await;
    assert_eq!((objects, entries), (OBJECTS, ENTRIES));
    assert!(matches!(done, Repaired::Salvaged { objects: OBJECTS, inbox_entries: ENTRIES, .. }));
    // No page that leads to another.
    let mut rootless = crashed.clone();
    for page in rootless.chunks_mut(4096).filter(|page| page[..2] == [2, 0]) {
        page.fill(0xff);
    }
    assert_eq!(repaired(&rootless).await.0, (OBJECTS, ENTRIES));
    let half = &crashed[..crashed.len() / 2];
    let ((objects, entries), done) = repaired(half).await;
    assert!(objects + entries > 10, "{done:?}");
    for nothing in [&b""[..], b"not a store", &[0; 100_000]] {
        let (saved, done) = repaired(nothing).await;
        assert_eq!(saved, (0, 0));
        assert_eq!(done, Repaired::Salvaged { objects: 0, inbox_entries: 0, lost: 0 });
    }
}

/// A leaf with one row, as redb writes it, filled up to a page.
fn leaf(key: &[u8], row: &[u8]) -> Vec<u8> {
    let end = u32::try_from(8 + key.len() + row.len()).unwrap();
    let mut page = [&[1, 0, 1, 0], end.to_le_bytes().as_slice(), key, row].concat();
    page.resize(4096, 0);
    page
}

#[tokio::test]
async fn what_a_mail_says_is_no_row() {
    // A body with leaves of a store in it, where its pages begin: an object at another's key, and an
    // entry in another's inbox.
    let nothing = Sha256::digest(b"").into();
    let row = rows::ObjectRow {
        kind: ObjectKind::Body,
        digest: nothing,
        expiry: 900,
        latest: 900,
        permissions: [0; 32],
        size: 0,
        deleters: [b"eve".to_vec()].into(),
    };
    let entry = rows::EntryRow { digest: nothing, expiry: 900, latest: 900, bytes: b"" };
    // 44 bytes of a leaf come before the first piece of an object.
    let mut bytes = vec![0; 4096 - 44];
    bytes.extend(leaf(&[8; 32], &row.encode().unwrap()));
    bytes.extend(leaf(&[8; 40], &entry.encode()));
    let Place { _folder, path, .. } = place();
    let store = Store::create(&path, limits()).unwrap();
    let digest = Sha256::digest(&bytes).into();
    let carrier = StoredObject { digest, bytes, ..object(1, 0, &[b"eve"]) };
    store.store([7; 32], carrier.clone(), false).await.unwrap();
    store.close().await.unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[..4096].fill(0);
    std::fs::write(&path, bytes).unwrap();
    let done = repair(&path, &path.with_extension("damaged"), NOW).unwrap();
    assert!(matches!(done, Repaired::Salvaged { objects: 1, inbox_entries: 0, .. }), "{done:?}");
    let store = Store::open(&path, limits()).unwrap();
    assert_eq!(store.fetch([7; 32]).await.unwrap(), Some(carrier));
}

#[tokio::test]
async fn a_store_that_is_well_in_use_or_of_another_version_is_left_alone() {
    let Place { _folder, path, aside } = place();
    assert_eq!(check(&path), Err(StoreError::Missing));
    let (store, crashed) = filled(&path).await;
    assert_eq!(check(&path), Err(StoreError::Locked));
    assert_eq!(repair(&path, &aside, NOW), Err(StoreError::Locked));
    for number in 0..OBJECTS {
        for deleter in [b"alice".as_slice(), b"bob"] {
            let _ = store.delete(key(number), deleter).await.unwrap();
        }
    }
    store.close().await.unwrap();
    let before = std::fs::metadata(&path).unwrap().len();
    let Ok(Repaired::Compacted { freed }) = repair(&path, &aside, NOW) else { panic!() };
    assert!(freed > 0 && std::fs::metadata(&path).unwrap().len() == before - freed);
    assert_eq!(holds(&path).await, (0, ENTRIES));
    assert!(!aside.exists());

    std::fs::write(&path, &crashed).unwrap();
    let database = redb::Database::open(&path).unwrap();
    let txn = database.begin_write().unwrap();
    txn.open_table(rows::META).unwrap().insert(rows::VERSION, 9).unwrap();
    txn.commit().unwrap();
    drop(database);
    let other = std::fs::read(&path).unwrap();
    let refused = StoreError::Version { found: 9, expected: 2 };
    assert_eq!(check(&path), Err(refused));
    assert_eq!(repair(&path, &aside, NOW), Err(refused));
    assert!(std::fs::read(&path).unwrap() == other);

    std::fs::remove_file(&path).unwrap();
    assert_eq!(repair(&path, &aside, NOW), Ok(Repaired::Begun));
    assert_eq!(holds(&path).await, (0, 0));
}

#[tokio::test]
async fn whoever_looks_keeps_nobody_from_opening_and_changes_nothing() {
    let Place { _folder, path, .. } = place();
    assert_eq!(look(&path), Err(StoreError::Missing));
    let (store, crashed) = filled(&path).await;
    assert_eq!(look(&path), Err(StoreError::Locked));
    store.close().await.unwrap();

    // Eight look all the time, and a store that is opened, changed and closed is always to be had.
    let stop = std::sync::atomic::AtomicBool::new(false);
    let looks = std::thread::scope(|scope| {
        let looking: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut looks = 0;
                    while !stop.load(Ordering::Relaxed) {
                        let looked = look(&path);
                        assert!(matches!(looked, Ok(()) | Err(StoreError::Locked)), "{looked:?}");
                        looks += 1;
                    }
                    looks
                })
            })
            .collect();
        let mut opened = Vec::new();
        for _ in 0..20 {
            let open = redb::Database::open(&path);
            opened.push(open.map(|mut store| store.compact().unwrap()));
            std::thread::sleep(std::time::Duration::from_millis(80));
        }
        stop.store(true, Ordering::Relaxed);
        assert!(opened.iter().all(Result::is_ok), "nobody has locked it: {opened:?}");
        looking.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>()
    });
    assert!(looks > 8, "{looks}");

    for damage in [0..4096, 4096..8192, 0..crashed.len()] {
        let mut damaged = crashed.clone();
        damaged[damage].fill(0x55);
        std::fs::write(&path, &damaged).unwrap();
        assert!(matches!(look(&path), Err(StoreError::Corrupt(_))));
        assert!(std::fs::read(&path).unwrap() == damaged);
    }
    // One that was not closed is well, and stays as it is.
    std::fs::write(&path, &crashed).unwrap();
    assert_eq!(look(&path), Ok(()));
    assert!(std::fs::read(&path).unwrap() == crashed);
}
