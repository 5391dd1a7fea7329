//! What can still be read in a damaged file: its rows, wherever they lie.
//!
//! The tree that leads to the rows is not used, since a damaged page takes with it all that lies
//! beneath it. Instead every page is looked at for what a leaf of redb looks like:
//!
//! ```text
//! 1, 0, count 2, count x (end of the value 4), count x key, values       little endian
//! ```
//! A row counts only if its SHA-256 is the digest that it names, as all that nodes keep does. What lies
//! inside such a row's own bytes is never taken for a row. A page that was given up and not yet written
//! over counts as well: some of what was deleted a short while ago may come back, until its time is over
//! or its recipient deletes it again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::StoreError;
use super::rows::{CHUNK, EntryRow, ObjectRow, payload};

/// Bytes of a page.
const PAGE: u64 = 4096;
/// The longest leaf that is looked for, bytes: the longest row of an object, and its page's own.
const LEAF: usize = 1 << 18;

/// How many copies of an object's pieces are tried: old ones are left where pages were given up.
const VERSIONS: usize = 8;

/// A row's value in the file, and the page that it lies in.
#[derive(Clone, Debug)]
struct Found<T> {
    page: u64,
    value: Range<u64>,
    row: T,
}

/// An entry of an inbox: its inbox, arrival number, digest, expiry and latest expiry.
type Entry = ([u8; 32], u64, [u8; 32], u64, u64);

/// What was found in a file.
#[derive(Debug)]
pub(super) struct Salvage {
    file: File,
    objects: BTreeMap<[u8; 32], Vec<Found<ObjectRow>>>,
    chunks: BTreeMap<([u8; 32], u32), Vec<Range<u64>>>,
    entries: Vec<Found<Entry>>,
}

/// An object that is whole, and where its bytes lie.
#[derive(Debug)]
pub(super) struct WholeObject {
    pub(super) key: [u8; 32],
    pub(super) row: ObjectRow,
    page: u64,
    chunks: Vec<Range<u64>>,
}

/// An entry that is whole, and where its bytes lie.
#[derive(Debug)]
pub(super) struct WholeEntry {
    pub(super) inbox: [u8; 32],
    pub(super) digest: [u8; 32],
    pub(super) expiry: u64,
    pub(super) latest: u64,
    value: Range<u64>,
}

/// What is whole in a file, and how many objects are known that are not.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) objects: Vec<WholeObject>,
    pub(super) entries: Vec<WholeEntry>,
    pub(super) lost: u64,
}

impl Salvage {
    /// Looks through the file at `path`.
    ///
    /// # Errors
    /// [`StoreError::Io`]; a part of the file that cannot be read is passed over.
    pub(super) fn search(path: &Path) -> Result<Self, StoreError> {
        let failed = |error: io::Error| StoreError::Io(error.kind());
        let file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let (objects, chunks, entries) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        let mut salvage = Self { file, objects, chunks, entries };
        let step = usize::try_from(PAGE).unwrap_or(usize::MAX);
        for page in (0..length).step_by(step) {
            let head = salvage.read(page..page.saturating_add(4));
            if let Some([1, _, low, high]) = head.as_deref() {
                salvage.leaf(page, u16::from_le_bytes([*low, *high]));
            }
        }
        Ok(salvage)
    }

    /// The bytes at this place in the file; `None` where the disk does not give them.
    fn read(&mut self, at: Range<u64>) -> Option<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(at.end.checked_sub(at.start)?).ok()?];
        self.file.seek(SeekFrom::Start(at.start)).ok()?;
        self.file.read_exact(&mut bytes).ok()?;
        Some(bytes)
    }

    /// Takes what a page at this place holds, if it is a leaf with so many rows.
    fn leaf(&mut self, page: u64, count: u16) {
        let table = page..page.saturating_add(4 + 4 * u64::from(count));
        let ends = self.read(table).and_then(|table| ends(&table, count));
        let Some(last) = ends.and_then(|ends| u64::try_from(*ends.last()?).ok()) else { return };
        let Some(bytes) = self.read(page..page.saturating_add(last)) else { return };
        for (key, value) in rows::<32>(&bytes, count) {
            let Some(row) = bytes.get(value.clone()).and_then(|row| ObjectRow::decode(row).ok())
            else {
                continue;
            };
            self.objects.entry(key).or_default().push(found(page, &value, row));
        }
        for (key, value) in rows::<36>(&bytes, count) {
            let Some((key, number)) = split::<36, 4>(&key) else { continue };
            let place = found(page, &value, ()).value;
            self.chunks.entry((key, u32::from_le_bytes(number))).or_default().push(place);
        }
        for (key, value) in rows::<40>(&bytes, count) {
            let Some((inbox, arrival)) = split::<40, 8>(&key) else { continue };
            let Some(row) = bytes.get(value.clone()).and_then(|row| EntryRow::decode(row).ok())
            else {
                continue;
            };
            if digest(row.bytes) == row.digest {
                let arrival = u64::from_le_bytes(arrival);
                let entry = (inbox, arrival, row.digest, row.expiry, row.latest);
                self.entries.push(found(page, &value, entry));
            }
        }
    }

    /// Sorts out what is whole. Entries come in the order of their arrival.
    pub(super) fn whole(&mut self) -> Whole {
        let candidates = std::mem::take(&mut self.objects);
        let mut known: BTreeSet<[u8; 32]> = candidates.keys().copied().collect();
        let mut objects = Vec::new();
        for (key, rows) in candidates {
            for Found { page, row, .. } in rows {
                if let Some(chunks) = self.assemble(&key, &row) {
                    objects.push(WholeObject { key, row, page, chunks });
                }
            }
        }
        let entries = std::mem::take(&mut self.entries);
        let of_objects = objects.iter().flat_map(|object| object.chunks.iter().cloned());
        let content = union(of_objects.chain(entries.iter().map(|entry| entry.value.clone())));
        objects.retain(|object| !lies_in(&content, object.page));
        // A permission that was used does not come back, and no earlier certificate.
        objects.sort_by_key(|o| (o.key, o.row.deleters.len(), std::cmp::Reverse(o.row.expiry)));
        objects.dedup_by_key(|object| object.key);
        for object in &objects {
            known.remove(&object.key);
        }
        let mut entries: Vec<_> =
            entries.into_iter().filter(|entry| !lies_in(&content, entry.page)).collect();
        entries.sort_by_key(|entry| entry.row);
        entries.dedup_by_key(|entry| (entry.row.0, entry.row.2));
        let entries = entries.into_iter().map(|Found { value, row, .. }| {
            let (inbox, _, digest, expiry, latest) = row;
            WholeEntry { inbox, digest, expiry, latest, value }
        });
        Whole { objects, entries: entries.collect(), lost: to_u64(known.len()) }
    }

    /// Where the bytes of an object lie, if all are there and are what its row says.
    fn assemble(&mut self, key: &[u8; 32], row: &ObjectRow) -> Option<Vec<Range<u64>>> {
        let count = u32::try_from(row.size.div_ceil(to_u64(CHUNK))).ok()?;
        let chunks = self.chunks.range((*key, 0)..=(*key, u32::MAX));
        let versions = chunks.map(|(_, versions)| versions.len()).max().unwrap_or(1);
        for version in 0..versions.min(VERSIONS) {
            let chunk = |number| {
                let found = self.chunks.get(&(*key, number))?;
                found.get(version).or_else(|| found.last()).cloned()
            };
            let Some(chunks) = (0..count).map(chunk).collect::<Option<Vec<_>>>() else { continue };
            let bytes = self.bytes(&chunks);
            let is_it = |b: &Vec<u8>| payload(b) == row.size && digest(b) == row.digest;
            if bytes.as_ref().is_some_and(is_it) {
                return Some(chunks);
            }
        }
        None
    }

    /// The bytes of an object.
    pub(super) fn object(&mut self, object: &WholeObject) -> Option<Vec<u8>> {
        self.bytes(&object.chunks)
    }

    /// The bytes of an entry.
    pub(super) fn entry(&mut self, entry: &WholeEntry) -> Option<Vec<u8>> {
        let row = self.read(entry.value.clone())?;
        EntryRow::decode(&row).ok().map(|row| row.bytes.to_vec())
    }

    fn bytes(&mut self, places: &[Range<u64>]) -> Option<Vec<u8>> {
        let mut all = Vec::new();
        for place in places {
            all.extend(self.read(place.clone())?);
        }
        Some(all)
    }
}

fn to_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// These places, in order, those that touch made one.
fn union(places: impl Iterator<Item = Range<u64>>) -> BTreeMap<u64, u64> {
    let mut places: Vec<_> = places.map(|place| (place.start, place.end)).collect();
    places.sort_unstable();
    let mut union = BTreeMap::new();
    let mut last: Option<(u64, u64)> = None;
    for (start, end) in places {
        let (start, end) = match last {
            Some((before, until)) if start <= until => (before, end.max(until)),
            _ => (start, end),
        };
        union.insert(start, end);
        last = Some((start, end));
    }
    union
}

/// Whether `at` lies inside one of these places.
fn lies_in(union: &BTreeMap<u64, u64>, at: u64) -> bool {
    union.range(..=at).next_back().is_some_and(|(_, end)| at < *end)
}

fn found<T>(page: u64, value: &Range<usize>, row: T) -> Found<T> {
    let place = |at: usize| page.saturating_add(to_u64(at));
    Found { page, value: place(value.start)..place(value.end), row }
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// The ends of the values of a leaf with so many rows, in order; `None` if they are in no order.
fn ends(leaf: &[u8], count: u16) -> Option<Vec<usize>> {
    let table = leaf.get(4..)?.get(..usize::from(count).checked_mul(4)?)?;
    let mut ends: Vec<usize> = Vec::with_capacity(usize::from(count));
    for end in table.chunks_exact(4) {
        let end = usize::try_from(u32::from_le_bytes(end.try_into().ok()?)).ok()?;
        if end > LEAF || ends.last().is_some_and(|last| *last > end) {
            return None;
        }
        ends.push(end);
    }
    Some(ends)
}

/// The rows of a leaf whose keys have `N` bytes: each key, and where its value lies. None if it is no
/// such leaf.
fn rows<const N: usize>(leaf: &[u8], count: u16) -> Vec<([u8; N], Range<usize>)> {
    let read = || {
        let ends = ends(leaf, count)?;
        let keys = 4 + 4 * ends.len();
        let mut start = keys + N * ends.len();
        let mut rows: Vec<([u8; N], Range<usize>)> = Vec::with_capacity(ends.len());
        for (number, end) in ends.into_iter().enumerate() {
            let key = leaf.get(keys + N * number..)?.first_chunk::<N>()?;
            if end < start || end > leaf.len() {
                return None;
            }
            rows.push((*key, start..end));
            start = end;
        }
        Some(rows)
    };
    read().unwrap_or_default()
}

/// A key in two parts: 32 bytes and the rest.
fn split<const N: usize, const R: usize>(key: &[u8; N]) -> Option<([u8; 32], [u8; R])> {
    Some((*key.first_chunk()?, *key.last_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A leaf with values that end at these places.
    fn table(places: &[usize]) -> Vec<u8> {
        let count = u16::try_from(places.len()).unwrap().to_le_bytes();
        let mut leaf = vec![1, 0, count[0], count[1]];
        for place in places {
            leaf.extend(u32::try_from(*place).unwrap().to_le_bytes());
        }
        leaf
    }

    #[test]
    fn no_leaf_is_longer_than_the_longest_and_its_values_are_in_order() {
        let of = |places: &[usize]| ends(&table(places), u16::try_from(places.len()).unwrap());
        for fine in [&[][..], &[LEAF], &[100, 100], &[100, 200, LEAF]] {
            assert_eq!(of(fine).as_deref(), Some(fine));
        }
        // Four gigabytes would otherwise be read for a page that only looks like a leaf.
        for odd in [&[LEAF + 1][..], &[u32::MAX as usize], &[100, LEAF + 2], &[100, 99]] {
            assert_eq!(of(odd), None, "{odd:?}");
        }
        assert_eq!(ends(&table(&[100, 200])[..11], 2), None, "cut off");
    }

    #[test]
    fn a_row_may_be_empty_and_none_begins_before_the_keys_end() {
        // 4 bytes and 4 for each end, then the keys: values begin at 4 + 2 * 4 + 2 * 32 = 76.
        let leaf = |places: &[usize]| {
            let mut leaf = table(places);
            leaf.extend([[1; 32], [2; 32]].concat());
            leaf.extend(b"abc");
            leaf
        };
        let of = |places: [usize; 2]| rows::<32>(&leaf(&places), 2);
        assert_eq!(of([76, 79]), [([1; 32], 76..76), ([2; 32], 76..79)]);
        assert_eq!(of([78, 78]), [([1; 32], 76..78), ([2; 32], 78..78)]);
        for odd in [[75, 79], [76, 80], [79, 78]] {
            assert_eq!(of(odd), [], "{odd:?}");
        }
    }
}
