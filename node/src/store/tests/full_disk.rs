//! A disk that fills up: refusals that say so, nothing acknowledged lost, and work again once there
//! is space.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::*;

/// A file system of 4 MiB, unmounted when dropped.
struct Mount<'a>(&'a Path);

impl<'a> Mount<'a> {
    fn new(at: &'a Path) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=4m", "none"]).arg(at).stderr(Stdio::null());
        mount.status().is_ok_and(|status| status.success()).then_some(Self(at))
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
    let Some(_mount) = Mount::new(folder.path()) else {
        writeln!(std::io::stderr(), "skipped: mounting a tmpfs needs root").unwrap();
        return;
    };
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
        let page = store.read_inbox([9; 32], usize::MAX).await.unwrap();
        let read: Vec<_> = page.entries.iter().map(|entry| entry.digest).collect();
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
