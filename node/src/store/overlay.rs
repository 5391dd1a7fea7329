//! A file that is looked at and never written: what redb writes on the way stays in memory.

use std::{collections::BTreeMap, fs::File, io, ops::Bound};

use parking_lot::Mutex;
use redb::{BackendError, StorageBackend, backends::FileBackend};

/// Bytes of one page of the overlay.
const PAGE: usize = 4096;

/// A file beneath, and what was written over it.
#[derive(Debug)]
pub(super) struct Overlay {
    file: FileBackend,
    locks: Locks,
    over: Mutex<Over>,
}

/// What becomes of the locks that redb wants of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Locks {
    /// They are taken: nobody else opens the file meanwhile.
    Taken,
    /// They are left alone: a node may start meanwhile, and what is read may then make no sense.
    Left,
}

#[derive(Debug)]
struct Over {
    length: u64,
    /// Bytes of the file beneath that still show.
    beneath: u64,
    pages: BTreeMap<u64, Vec<u8>>,
}

impl Overlay {
    /// Over this file, which has to be open for writing only because it is locked that way.
    ///
    /// # Errors
    /// The file's.
    pub(super) fn new(file: File, locks: Locks) -> Result<Self, redb::DatabaseError> {
        let length = file.metadata()?.len();
        let over = Mutex::new(Over { length, beneath: length, pages: BTreeMap::new() });
        Ok(Self { file: FileBackend::new(file)?, locks, over })
    }

    fn with<T>(&self, work: impl FnOnce(&mut Over) -> T) -> T {
        work(&mut self.over.lock())
    }

    /// The file, if its locks are asked for.
    fn locked(&self) -> Option<&FileBackend> {
        (self.locks == Locks::Taken).then_some(&self.file)
    }

    /// Fills `out` with what the file has from `at` on, of its first `length` bytes; with zeros beyond them.
    fn beneath(&self, length: u64, at: u64, out: &mut [u8]) -> io::Result<()> {
        out.fill(0);
        let there = to_usize(length.saturating_sub(at)).min(out.len());
        match out.get_mut(..there).filter(|there| !there.is_empty()) {
            Some(there) => self.file.read(at, there),
            None => Ok(()),
        }
    }

    /// The page with this number, as it is now.
    fn page<'a>(&self, over: &'a mut Over, number: u64) -> io::Result<&'a mut Vec<u8>> {
        match over.pages.entry(number) {
            std::collections::btree_map::Entry::Occupied(page) => Ok(page.into_mut()),
            std::collections::btree_map::Entry::Vacant(place) => {
                let mut page = vec![0; PAGE];
                self.beneath(over.beneath, number.saturating_mul(to_u64(PAGE)), &mut page)?;
                Ok(place.insert(page))
            }
        }
    }
}

/// The pages that `length` bytes from `offset` touch: each one's number, and where in it from and to.
fn touched(offset: u64, length: usize) -> impl Iterator<Item = (u64, usize, usize)> {
    let (page, end) = (to_u64(PAGE), offset.saturating_add(to_u64(length)));
    (offset / page..end.div_ceil(page)).map(move |number| {
        let start = number.saturating_mul(page);
        let from = offset.saturating_sub(start);
        (number, to_usize(from), to_usize(end.saturating_sub(start)).min(PAGE))
    })
}

fn to_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn to_usize(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.with(|over| over.length))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.with(|over| {
            if offset.saturating_add(to_u64(out.len())) > over.length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let mut left = out;
            for (number, from, to) in touched(offset, left.len()) {
                let (piece, rest) = left.split_at_mut(to.saturating_sub(from));
                left = rest;
                match over.pages.get(&number).and_then(|page| page.get(from..to)) {
                    Some(page) => piece.copy_from_slice(page),
                    None => {
                        let at = number.saturating_mul(to_u64(PAGE)).saturating_add(to_u64(from));
                        self.beneath(over.beneath, at, piece)?;
                    }
                }
            }
            Ok(())
        })
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        // New places are zero: no page beyond the end is kept, and none beneath shows.
        self.with(|over| {
            let first = length.div_ceil(to_u64(PAGE));
            drop(over.pages.split_off(&first));
            over.beneath = over.beneath.min(length);
            over.length = length;
        });
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, mut data: &[u8]) -> io::Result<()> {
        self.with(|over| {
            over.length = over.length.max(offset.saturating_add(to_u64(data.len())));
            for (number, from, to) in touched(offset, data.len()) {
                let (piece, rest) = data.split_at(to.saturating_sub(from));
                data = rest;
                if let Some(page) = self.page(over, number)?.get_mut(from..to) {
                    page.copy_from_slice(piece);
                }
            }
            Ok(())
        })
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.locked().map_or(Ok(true), |file| file.try_lock_range(start, end))
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.locked().map_or(Ok(true), |file| file.try_lock_shared_range(start, end))
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.locked().map_or(Ok(()), |file| file.lock_range(start, end))
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.locked().map_or(Ok(()), |file| file.lock_shared_range(start, end))
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.locked().map_or(Ok(()), |file| file.unlock_range(start, end))
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.locked().map_or(Ok(false), |file| file.query_lock_range(start, end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::StdRng;
    use rand::{RngExt as _, SeedableRng as _};
    use std::fs::OpenOptions;
    use std::ops::Bound::Unbounded;
    use std::path::Path;

    const SEED: u64 = 12;

    fn opened(path: &Path) -> File {
        OpenOptions::new().read(true).write(true).open(path).unwrap()
    }

    /// Bytes that tell where they are from.
    fn noise(rng: &mut StdRng, length: usize) -> Vec<u8> {
        (0..length).map(|_| rng.random_range(1..=255)).collect()
    }

    #[test]
    fn what_is_written_is_read_again_and_the_file_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut rng = StdRng::seed_from_u64(SEED);
        // It ends amid a page.
        let beneath = noise(&mut rng, 5 * PAGE + 1_000);
        std::fs::write(&path, &beneath).unwrap();
        let overlay = Overlay::new(opened(&path), Locks::Taken).unwrap();
        let mut expected = beneath.clone();
        for step in 0..2_000 {
            let at = rng.random_range(0..=expected.len() + 100);
            let length = rng.random_range(1..=2 * PAGE);
            match rng.random_range(0..20) {
                // Now shorter, now longer, by whole pages as redb does it; what comes anew is zero.
                0 => {
                    let length = PAGE * rng.random_range(1..9);
                    overlay.set_len(to_u64(length)).unwrap();
                    expected.resize(length, 0);
                }
                1..8 => {
                    let data = noise(&mut rng, length);
                    overlay.write(to_u64(at), &data).unwrap();
                    expected.resize(expected.len().max(at + length), 0);
                    expected[at..at + length].copy_from_slice(&data);
                }
                _ => {
                    let mut read = vec![7; length];
                    let outcome = overlay.read(to_u64(at), &mut read);
                    match expected.get(at..at + length) {
                        Some(bytes) => assert!(outcome.is_ok() && read == bytes, "step {step}"),
                        None => assert!(outcome.is_err(), "step {step}: beyond the end"),
                    }
                }
            }
            assert_eq!(overlay.len().unwrap(), to_u64(expected.len()), "step {step}");
        }
        assert!(std::fs::read(&path).unwrap() == beneath);
    }

    #[test]
    fn locks_are_the_files_or_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, b"a store").unwrap();
        let holder = FileBackend::new(opened(&path)).unwrap();
        let over = |locks| Overlay::new(opened(&path), locks).unwrap();
        let (taken, left) = (over(Locks::Taken), over(Locks::Left));
        assert!(holder.try_lock_range(Unbounded, Unbounded).unwrap());
        assert!(taken.query_lock_range(Unbounded, Unbounded).unwrap(), "somebody has it");
        assert!(!taken.try_lock_range(Unbounded, Unbounded).unwrap());
        assert!(!taken.try_lock_shared_range(Unbounded, Unbounded).unwrap());
        // Who leaves the locks alone sees none, and is stopped by none.
        assert!(!left.query_lock_range(Unbounded, Unbounded).unwrap());
        assert!(left.try_lock_range(Unbounded, Unbounded).unwrap());
        assert!(left.try_lock_shared_range(Unbounded, Unbounded).unwrap());
        left.lock_range(Unbounded, Unbounded).unwrap();
        left.lock_shared_range(Unbounded, Unbounded).unwrap();
        left.unlock_range(Unbounded, Unbounded).unwrap();
        assert!(taken.query_lock_range(Unbounded, Unbounded).unwrap(), "it has it still");

        holder.unlock_range(Unbounded, Unbounded).unwrap();
        assert!(!taken.query_lock_range(Unbounded, Unbounded).unwrap());
        for lock in [Overlay::try_lock_range, Overlay::try_lock_shared_range] {
            assert!(lock(&taken, Unbounded, Unbounded).unwrap());
            assert!(!holder.try_lock_range(Unbounded, Unbounded).unwrap(), "it is the file's lock");
            taken.unlock_range(Unbounded, Unbounded).unwrap();
            assert!(!holder.query_lock_range(Unbounded, Unbounded).unwrap());
        }
    }
}
