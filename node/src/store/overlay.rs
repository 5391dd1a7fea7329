//! A file that is looked at and never written: what redb writes on the way stays in memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Bound;
use std::sync::{Mutex, PoisonError};

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};

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
        work(&mut self.over.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The page with this number, as it is now.
    fn page<'a>(&self, over: &'a mut Over, number: u64) -> io::Result<&'a mut Vec<u8>> {
        match over.pages.entry(number) {
            std::collections::btree_map::Entry::Occupied(page) => Ok(page.into_mut()),
            std::collections::btree_map::Entry::Vacant(place) => {
                let mut page = vec![0; PAGE];
                let at = number.saturating_mul(to_u64(PAGE));
                let there = to_usize(over.beneath.saturating_sub(at)).min(PAGE);
                if let Some(beneath) = page.get_mut(..there).filter(|beneath| !beneath.is_empty()) {
                    self.file.read(at, beneath)?;
                }
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
                        let there = to_usize(over.beneath.saturating_sub(at)).min(piece.len());
                        piece.fill(0);
                        if let Some(beneath) = piece.get_mut(..there).filter(|b| !b.is_empty()) {
                            self.file.read(at, beneath)?;
                        }
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
        match self.locks {
            Locks::Taken => self.file.try_lock_range(start, end),
            Locks::Left => Ok(true),
        }
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        match self.locks {
            Locks::Taken => self.file.try_lock_shared_range(start, end),
            Locks::Left => Ok(true),
        }
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        match self.locks {
            Locks::Taken => self.file.lock_range(start, end),
            Locks::Left => Ok(()),
        }
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        match self.locks {
            Locks::Taken => self.file.lock_shared_range(start, end),
            Locks::Left => Ok(()),
        }
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        match self.locks {
            Locks::Taken => self.file.unlock_range(start, end),
            Locks::Left => Ok(()),
        }
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        match self.locks {
            Locks::Taken => self.file.query_lock_range(start, end),
            Locks::Left => Ok(false),
        }
    }
}
