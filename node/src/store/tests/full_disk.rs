//! A disk that fills up: refusals that say so, nothing acknowledged lost, and work again once there
//! is space.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::*;

/// A file system of a few MiB, unmounted when dropped.
struct Mount<'a>(&'a Path);

impl<'a> Mount<'a> {
    /// `None` where mounting is not allowed. CI sets `CUTOUT_REQUIRE_ROOT=1`, and then it must be.
    fn new(at: &'a Path, size: &str) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "none"]);
        mount.arg(at).stderr(Stdio::null());
        let mounted = mount.status().is_ok_and(|status| status.success());
        let is_required = std::env::var("CUTOUT_REQUIRE_ROOT").is_ok_and(|value| value == "1");
        assert!(mounted || !is_required, "mounting a tmpfs fails");
        if !mounted {
            writeln!(std::io::stderr(), "skipped: mounting a tmpfs needs root").unwrap();
        }
        mounted.then_some(Self(at))
    }
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[tokio::test]
async fn a_full_disk_is_told_and_survived() {
    let folder = tempfile::tempdir().unwrap();
    let Some(_mount) = Mount::new(folder.path(), "4m") else { return };
    let path = folder.path().join("store");
    let ballast = folder.path().join("ballast");
    std::fs::write(&ballast, vec![0; 1 << 20]).unwrap();
    let store = Store::create(&path, limits()).unwrap();
    let full = StoreError::Io(std::io::ErrorKind::StorageFull);
    let mut held = Vec::new();
    let mut refused = 0;
    for number in 0..100 {
        match store.append_inbox([9; 32], digest(number), vec![7; 50_000], 1).await {
            Ok(_) => held.push(digest(number)),
            Err(failure) => {
                assert_eq!(failure, full);
                refused += 1;
            }
        }
        if number % 10 != 9 {
            continue;
        }
        let read = store.list_inbox([9; 32], 0, usize::MAX).await.unwrap().digests;
        assert!(held.iter().all(|digest| read.contains(digest)), "nothing acknowledged is lost");
    }
    assert!(held.len() > 10 && refused > 10, "{} held, {refused} refused", held.len());
    std::fs::remove_file(&ballast).unwrap();
    again(&store, 1000..1010).await;
    store.verify().await.unwrap();
    store.close().await.unwrap();
    let store = Store::open(&path, limits()).unwrap();
    assert!(entries(&store).await >= held.len() + 10);
}

/// What is stored until the store says that it is full.
async fn until_full(store: &Store, kept: &mut Vec<u64>) -> StoreError {
    let first = kept.last().map_or(0, |last| last + 1);
    for number in first.. {
        let key = digest(number);
        let object = StoredObject { digest: key, ..object(1, 30_000, &[b"bob"]) };
        match store.store(key, object, false).await {
            Ok(_) => kept.push(number),
            Err(error) => return error,
        }
    }
    panic!("it is never full")
}

#[tokio::test]
async fn the_store_leaves_the_reserve_free_and_takes_in_again_what_has_room() {
    let folder = tempfile::tempdir().unwrap();
    let Some(_mount) = Mount::new(folder.path(), "16m") else { return };
    let path = folder.path().join("store");
    let limits = StoreLimits { reserve: 2 << 20, ..limits() };
    let store = Store::create(&path, limits.clone()).unwrap();
    let mut kept = Vec::new();
    for round in 0..4 {
        let full = until_full(&store, &mut kept).await;
        assert!(matches!(full, StoreError::Full { .. }), "{full:?}");
        assert!(kept.len() > 50, "round {round}: {} kept", kept.len());
        // What frees space is never refused, and what it frees is used again.
        for number in kept.split_off(kept.len() / 2) {
            assert_eq!(store.delete(digest(number), b"bob").await, Ok(Deleted::Discarded));
        }
    }
    store.verify().await.unwrap();
    for number in &kept {
        assert!(store.fetch(digest(*number)).await.unwrap().is_some());
    }
    assert_eq!(store.expire(u64::MAX, u32::MAX).await, Ok(u32::try_from(kept.len()).unwrap()));
    store.close().await.unwrap();
    let store = Store::open(&path, limits).unwrap();
    assert_eq!(store.usage().await.unwrap().objects, 0);
    assert!(std::fs::metadata(&path).unwrap().len() < 9 << 20, "the space is given back");
}

#[tokio::test]
async fn deletions_go_through_though_others_have_filled_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let Some(_mount) = Mount::new(folder.path(), "16m") else { return };
    let (path, reserve) = (folder.path().join("store"), folder.path().join("store.reserve"));
    let limits = StoreLimits { reserve: 2 << 20, ..limits() };
    let store = Store::create(&path, limits.clone()).unwrap();
    let mut kept = Vec::new();
    until_full(&store, &mut kept).await;
    for number in 0..200 {
        let _ = store.append_inbox([9; 32], digest(number), vec![7; 4_144], 1).await;
    }
    // Nothing is free inside the file, either.
    store.close().await.unwrap();
    repair(&path, &folder.path().join("aside"), 0).unwrap();
    let store = Store::open(&path, limits.clone()).unwrap();
    assert_eq!(std::fs::metadata(&reserve).unwrap().len(), 2 << 20);
    // Every byte that is left.
    let mut ballast = std::fs::File::create(folder.path().join("ballast")).unwrap();
    for piece in [1 << 16, 1 << 12, 1] {
        while ballast.write_all(&vec![7; piece]).is_ok() {}
    }
    // Small things until not one more page is to be had.
    let mut small = 0;
    for number in 10_000..12_000 {
        let stored = store.store(digest(number), object(1, 10, &[b"bob"]), false).await;
        small += u32::from(stored.is_ok());
    }
    assert!(small < 2_000, "the disk is full");
    let entries = entries(&store).await;
    for number in &kept {
        assert_eq!(store.delete(digest(*number), b"bob").await, Ok(Deleted::Discarded), "{number}");
    }
    let digests: Vec<_> = (0..200).map(digest).collect();
    let acknowledged = store.acknowledge([9; 32], &digests).await;
    assert_eq!(acknowledged, Ok(u32::try_from(entries).unwrap()));
    assert_eq!(store.expire(u64::MAX, u32::MAX).await, Ok(small));
    assert_eq!(store.usage().await.unwrap().bytes, 0);
    store.close().await.unwrap();
    // It starts on a disk that is full, too, and when there is space again the reserve is there again.
    let store = Store::open(&path, limits.clone()).unwrap();
    assert_eq!(store.usage().await.unwrap().objects, 0);
    store.close().await.unwrap();
    std::fs::remove_file(folder.path().join("ballast")).unwrap();
    let store = Store::open(&path, limits).unwrap();
    assert!(until_full(&store, &mut Vec::new()).await.is_refusal());
    assert_eq!(std::fs::metadata(&reserve).unwrap().len(), 2 << 20);
}
