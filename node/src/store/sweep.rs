//! Garbage collection and accounts: the walk over all keys from either end (paper, section 2.3),
//! retention, usage.

use std::collections::BTreeMap;
use std::ops::Bound;

use redb::{ReadOnlyTable, ReadTransaction, ReadableTable as _, Value};

use super::group::{Group, Totals, add};
use super::rows::{INBOXES, META, OBJECT, OBJECTS, ObjectRow, TIME};
use super::{Store, StoreError};

/// The end of the key order to walk from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Smallest key first.
    Ascending,
    /// Largest key first.
    Descending,
}

/// A key under which something is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyUsage {
    /// The DHT key.
    pub key: [u8; 32],
    /// What the object and the inbox there count for, bytes.
    pub bytes: u64,
}

/// What the store holds in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// What objects and inbox entries count for, bytes: see `LEAST` in `rows.rs`.
    pub bytes: u64,
    /// Objects.
    pub objects: u64,
    /// Inbox entries.
    pub inbox_entries: u64,
    /// Commits since the store was opened.
    pub commits: u64,
}

impl Store {
    /// Lists up to `limit` keys that hold something, in key order after `from` (from the end if
    /// `None`).
    ///
    /// # Errors
    /// Faults.
    pub async fn keys(
        &self,
        from: Option<[u8; 32]>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<KeyUsage>, StoreError> {
        self.read(move |txn| keys(txn, from.as_ref(), direction, limit)).await
    }

    /// Tells whether there is an object or an inbox at `key`.
    ///
    /// # Errors
    /// Faults.
    #[cfg(test)]
    pub(crate) async fn holds(&self, key: [u8; 32]) -> Result<bool, StoreError> {
        let look = move |txn: &ReadTransaction| {
            let object = txn.open_table(OBJECTS)?.get(&key)?.is_some();
            Ok(object || txn.open_table(INBOXES)?.get(&key)?.is_some())
        };
        self.read(look).await
    }

    /// Drops the object and the inbox at `key`; returns what they counted for, bytes.
    ///
    /// # Errors
    /// [`StoreError::Busy`]; faults.
    pub async fn drop_key(&self, key: [u8; 32]) -> Result<u64, StoreError> {
        self.free(move |group| drop_key(group, &key)).await
    }

    /// Drops up to `limit` objects and inbox entries whose expiry lies before `now` (unix seconds),
    /// the oldest first; returns how many. Fewer than `limit` means that none is left.
    ///
    /// # Errors
    /// [`StoreError::Busy`]; faults.
    pub(crate) async fn expire(&self, now: u64, limit: u32) -> Result<u32, StoreError> {
        self.free(move |group| expire(group, now, limit)).await
    }

    /// Keeps `now` (unix seconds) as the time at which the node last looked at its clock.
    ///
    /// # Errors
    /// [`StoreError::Busy`]; faults.
    pub async fn note_time(&self, now: u64) -> Result<(), StoreError> {
        self.write(move |group| group.note_time(now)).await
    }

    /// The time that was noted last, unix seconds.
    ///
    /// # Errors
    /// Faults.
    pub async fn noted_time(&self) -> Result<Option<u64>, StoreError> {
        self.read(|txn| Ok(txn.open_table(META)?.get(TIME)?.map(|row| row.value()))).await
    }

    /// Tells what the store holds.
    ///
    /// # Errors
    /// Faults.
    pub async fn usage(&self) -> Result<Usage, StoreError> {
        let totals = self.read(|txn| Totals::load(&txn.open_table(META)?)).await?;
        let Totals { bytes, objects, entries } = totals;
        let commits = self.inner.shared.commits();
        Ok(Usage { bytes, objects, inbox_entries: entries, commits })
    }

    /// Counts everything anew and compares it with the accounts and the indexes. Reads the whole
    /// store.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if they differ.
    #[cfg(test)]
    pub(crate) async fn verify(&self) -> Result<(), StoreError> {
        self.read(super::verify::verify).await
    }
}

fn drop_key(group: &mut Group<'_>, key: &[u8; 32]) -> Result<u64, StoreError> {
    let mut freed = 0;
    if let Some(object) = group.object(key)? {
        group.discard_object(key, &object)?;
        freed = object.counted();
    }
    let mut arrivals = Vec::new();
    for row in group.entries.range((key, 0)..=(key, u64::MAX))? {
        arrivals.push(row?.0.value().1);
    }
    for arrival in arrivals {
        freed = add(freed, group.discard_entry(key, arrival)?.unwrap_or(0))?;
    }
    Ok(freed)
}

fn expire(group: &mut Group<'_>, now: u64, limit: u32) -> Result<u32, StoreError> {
    let mut due = Vec::new();
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    for row in group.expiries.range(..(now, OBJECT, &[0; 32], 0))?.take(limit) {
        let (place, _) = row?;
        let (_, what, key, arrival) = place.value();
        due.push((what, *key, arrival));
    }
    let mut dropped: u32 = 0;
    for (what, key, arrival) in due {
        if what == OBJECT {
            let object = group.object(&key)?.ok_or_else(|| StoreError::row("expiries"))?;
            group.discard_object(&key, &object)?;
        } else {
            let entry = group.discard_entry(&key, arrival)?;
            entry.ok_or_else(|| StoreError::row("expiries"))?;
        }
        dropped = dropped.saturating_add(1);
    }
    Ok(dropped)
}

fn keys(
    txn: &ReadTransaction,
    from: Option<&[u8; 32]>,
    direction: Direction,
    limit: usize,
) -> Result<Vec<KeyUsage>, StoreError> {
    let objects = txn.open_table(OBJECTS)?;
    let inboxes = txn.open_table(INBOXES)?;
    // The first `limit` keys overall are among the first `limit` of each table.
    let mut sizes = BTreeMap::new();
    walk(&objects, from, direction, limit, |key, row| {
        sizes.insert(*key, ObjectRow::decode(row)?.counted());
        Ok(())
    })?;
    walk(&inboxes, from, direction, limit, |key, (_, bytes, _)| {
        let size = sizes.entry(*key).or_insert(0);
        *size = add(*size, bytes)?;
        Ok(())
    })?;
    let usage = |(key, bytes)| KeyUsage { key, bytes };
    Ok(match direction {
        Direction::Ascending => sizes.into_iter().map(usage).take(limit).collect(),
        Direction::Descending => sizes.into_iter().rev().map(usage).take(limit).collect(),
    })
}

/// Visits up to `limit` rows of a table by DHT key, in key order after `from`.
fn walk<V: Value + 'static>(
    table: &ReadOnlyTable<&'static [u8; 32], V>,
    from: Option<&[u8; 32]>,
    direction: Direction,
    limit: usize,
    mut visit: impl FnMut(&[u8; 32], V::SelfType<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let after = from.map_or(Bound::Unbounded, Bound::Excluded);
    let mut rows = match direction {
        Direction::Ascending => table.range::<&[u8; 32]>((after, Bound::Unbounded))?,
        Direction::Descending => table.range::<&[u8; 32]>((Bound::Unbounded, after))?,
    };
    for _ in 0..limit {
        let row = match direction {
            Direction::Ascending => rows.next(),
            Direction::Descending => rows.next_back(),
        };
        let Some(row) = row else { break };
        let (key, value) = row?;
        visit(key.value(), value.value())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::rows::LEAST;
    use super::super::tests::{limits, object, temporary};
    use super::super::{StoreLimits, StoredObject};
    use super::*;

    async fn listed(
        store: &Store,
        from: Option<u8>,
        direction: Direction,
        limit: usize,
    ) -> Vec<(u8, (u64, u64))> {
        let keys = store.keys(from.map(|byte| [byte; 32]), direction, limit).await.unwrap();
        // How many rows, and their bytes.
        let rows = |usage: &KeyUsage| (usage.key[0], (usage.bytes / LEAST, usage.bytes % LEAST));
        keys.iter().map(rows).collect()
    }

    #[tokio::test]
    async fn keys_are_walked_from_either_end_and_dropped() {
        use Direction::{Ascending, Descending};
        let (_folder, store) = temporary(limits());
        for key in [5, 1, 9] {
            store.store([key; 32], object(key, 100, &[]), false).await.unwrap();
        }
        for (key, digest) in [(5, 1), (5, 2), (3, 3), (7, 4)] {
            store.append_inbox([key; 32], [digest; 32], vec![0; 10], 1000).await.unwrap();
        }
        let all = [(1, (1, 100)), (3, (1, 10)), (5, (3, 120)), (7, (1, 10)), (9, (1, 100))];
        assert_eq!(listed(&store, None, Ascending, 10).await, all);
        assert_eq!(listed(&store, None, Descending, 2).await, [(9, (1, 100)), (7, (1, 10))]);
        assert_eq!(listed(&store, Some(3), Ascending, 2).await, [(5, (3, 120)), (7, (1, 10))]);
        assert_eq!(listed(&store, Some(4), Descending, 9).await, [(3, (1, 10)), (1, (1, 100))]);
        assert_eq!(listed(&store, Some(9), Ascending, 9).await, []);
        assert_eq!(listed(&store, None, Ascending, 0).await, []);
        assert_eq!(store.drop_key([5; 32]).await, Ok(3 * LEAST + 120));
        assert_eq!(store.drop_key([5; 32]).await, Ok(0));
        assert!(!store.holds([5; 32]).await.unwrap() && store.holds([3; 32]).await.unwrap());
        let Usage { bytes, objects, inbox_entries, .. } = store.usage().await.unwrap();
        assert_eq!((bytes, objects, inbox_entries), (4 * LEAST + 220, 2, 2));
        store.verify().await.unwrap();
    }

    #[tokio::test]
    async fn the_time_that_is_noted_is_there_after_a_restart() {
        let (folder, store) = temporary(limits());
        assert_eq!(store.noted_time().await, Ok(None));
        assert_eq!(store.is_untouched(), Ok(true));
        for now in [1_700_000_000, 1_700_000_600] {
            store.note_time(now).await.unwrap();
            assert_eq!(store.noted_time().await, Ok(Some(now)));
        }
        store.close().await.unwrap();
        let store = Store::open(folder.path().join("store"), limits()).unwrap();
        assert_eq!(store.noted_time().await, Ok(Some(1_700_000_600)));
        assert_eq!(store.is_untouched(), Ok(false), "a node has been here");
    }

    #[tokio::test]
    async fn what_is_past_its_time_goes_in_batches() {
        let (_folder, store) = temporary(StoreLimits { inbox_entries: 100, ..limits() });
        for age in 0..20 {
            let stored = StoredObject { expiry: 100 + u64::from(age), ..object(age, 10, &[]) };
            store.store([age; 32], stored, false).await.unwrap();
            let expiry = 100 + u64::from(age);
            store.append_inbox([9; 32], [age; 32], vec![age], expiry).await.unwrap();
        }
        assert_eq!(store.expire(100, 50).await, Ok(0), "not yet at the very second");
        assert_eq!(store.expire(110, 15).await, Ok(15));
        assert_eq!(store.expire(110, 15).await, Ok(5));
        assert_eq!(store.expire(0, 15).await, Ok(0), "a clock set back");
        store.verify().await.unwrap();
        let Usage { bytes, objects, inbox_entries, .. } = store.usage().await.unwrap();
        assert_eq!((bytes, objects, inbox_entries), (20 * LEAST + 110, 10, 10));
        assert_eq!(store.list_inbox([9; 32], 0, 1).await.unwrap().digests[0], [10; 32]);
        assert_eq!(store.expire(u64::MAX, u32::MAX).await, Ok(20));
        assert_eq!(store.usage().await.unwrap().bytes, 0);
        store.verify().await.unwrap();
    }
}
