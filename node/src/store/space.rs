//! The disk beneath the store: how much of it is free, and a reserve for when none is.
//!
//! A write needs space even where it takes something away, since pages are written anew and the old
//! ones are free only afterwards. So new things are taken in only while [`StoreLimits::reserve`] stays
//! free on the file system; and should others fill it, a file of [`FILE`] bytes beside the store is
//! given up, so that deletions, acknowledgements and expiry go on. It is made again when there is
//! space.
//!
//! [`StoreLimits::reserve`]: super::StoreLimits::reserve

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Bytes of the reserve's file: what a thousand deletions in one commit may need.
const FILE: u64 = 8 << 20;
/// Between two looks whether the reserve can be made again, and between two lines in the log.
const PAUSE: Duration = Duration::from_secs(60);

/// The disk beneath one store.
#[derive(Debug)]
pub(super) struct Space {
    store: PathBuf,
    reserve: u64,
    told: Option<Instant>,
    looked: Option<Instant>,
}

impl Space {
    /// The disk beneath the store at `path`, of which `reserve` bytes are to stay free.
    pub(super) const fn new(path: PathBuf, reserve: u64) -> Self {
        Self { store: path, reserve, told: None, looked: None }
    }

    /// Bytes by which what is counted may grow, where it is `counted` now: what the disk has beyond
    /// the reserve, and what is free inside the file.
    pub(super) fn room(&mut self, counted: u64) -> u64 {
        let Some(free) = self.tell() else { return u64::MAX };
        free.saturating_sub(self.reserve).saturating_add(self.slack(counted))
    }

    /// Bytes that are free on the disk, and a line in the log, once a minute at most, if those are too few.
    pub(super) fn tell(&mut self) -> Option<u64> {
        let free = free(&self.store)?;
        if free < self.reserve && self.told.is_none_or(|told| told.elapsed() >= PAUSE) {
            self.told = Some(Instant::now());
            let reserve = self.reserve;
            tracing::warn!(
                free,
                reserve,
                "the disk is nearly full: the store takes in nothing new"
            );
        }
        Some(free)
    }

    /// Bytes of the file, as the disk has them, that nothing takes where `counted` bytes are counted.
    /// Large objects take some 2 % more than they count for.
    fn slack(&self, counted: u64) -> u64 {
        let taken = counted.saturating_add(counted / 16);
        allocated(&self.store).unwrap_or(0).saturating_sub(taken)
    }

    /// Makes the reserve's file, if there is space for it and it is not there. Looks at most once a
    /// minute.
    pub(super) fn restore(&mut self) {
        if self.looked.is_some_and(|looked| looked.elapsed() < PAUSE) {
            return;
        }
        self.looked = Some(Instant::now());
        let (path, size) = (reserve_of(&self.store), FILE.min(self.reserve));
        let there = fs::metadata(&path).is_ok_and(|file| file.len() >= size);
        let enough =
            free(&self.store).is_some_and(|free| free >= self.reserve.saturating_add(size));
        if size == 0 || there || !enough {
            return;
        }
        if let Err(error) = fill(&path, size) {
            tracing::warn!(%error, "there is no reserve for deletions");
            let _ = fs::remove_file(&path);
        }
    }

    /// Gives the reserve up; whether there was one.
    pub(super) fn release(&mut self) -> bool {
        self.looked = Some(Instant::now());
        let released = release(&self.store);
        if released {
            tracing::warn!("the disk is full: the reserve for deletions is used");
        }
        released
    }
}

/// Gives up the reserve beside the store at `path`; whether there was one.
pub(super) fn release(path: &Path) -> bool {
    fs::remove_file(reserve_of(path)).is_ok()
}

/// Where the reserve of the store at `path` lies.
fn reserve_of(path: &Path) -> PathBuf {
    path.with_extension("reserve")
}

/// Makes a file whose bytes are really on the disk: a hole would be no reserve.
fn fill(path: &Path, size: u64) -> io::Result<()> {
    let mut file = File::create(path)?;
    #[cfg(target_os = "linux")]
    if rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, size).is_ok() {
        return Ok(());
    }
    io::copy(&mut io::repeat(0).take(size), &mut file)?;
    file.sync_all()
}

/// Bytes that are free for this user on the file system of the file at `path`; `None` if it cannot be
/// told.
fn free(path: &Path) -> Option<u64> {
    let told = rustix::fs::statvfs(path).ok()?;
    Some(told.f_bavail.saturating_mul(told.f_frsize))
}

/// Bytes that the file at `path` takes on the disk.
fn allocated(path: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt as _;
    Some(fs::metadata(path).ok()?.blocks().saturating_mul(512))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_made_given_up_and_made_again_later() {
        let folder = tempfile::tempdir().unwrap();
        let (path, file) = (folder.path().join("store"), folder.path().join("store.reserve"));
        fs::write(&path, vec![7; 1 << 20]).unwrap();
        let mut space = Space::new(path.clone(), 1 << 20);
        space.restore();
        assert_eq!(allocated(&file), Some(1 << 20), "its bytes are on the disk");
        assert!(space.release() && !file.exists());
        assert!(!space.release(), "there is none any more");
        space.restore();
        assert!(!file.exists(), "not at once, or it would take what deletions need");
        space.looked = None;
        space.restore();
        assert_eq!(allocated(&file), Some(1 << 20));
        let mut none = Space::new(path, 0);
        assert!(none.release());
        none.restore();
        assert!(!file.exists(), "no reserve was asked for");
    }

    #[test]
    fn a_disk_that_is_nearly_full_is_told_of_once_a_minute_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        fs::write(&path, b"store").unwrap();
        let mut ample = Space::new(path.clone(), 0);
        assert!(ample.tell().is_some() && ample.told.is_none());
        let mut full = Space::new(path, u64::MAX);
        assert!(full.tell().is_some());
        let told = full.told;
        assert!(told.is_some());
        assert!(full.tell().is_some() && full.told == told, "not twice");
    }

    #[test]
    fn room_is_what_is_free_beyond_the_reserve_and_inside_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        fs::write(&path, vec![7; 1 << 20]).unwrap();
        // More than any disk has.
        let mut full = Space::new(path.clone(), u64::MAX);
        assert_eq!(full.room(0), 1 << 20);
        assert_eq!(full.room(512 << 10), (1 << 20) - (512 << 10) - (32 << 10));
        assert_eq!(full.room(1 << 20), 0);
        assert!(Space::new(path, 0).room(1 << 20) > 0, "this disk is not full");
        assert_eq!(
            Space::new(folder.path().join("none"), 1).room(0),
            u64::MAX,
            "it cannot be told"
        );
    }
}
