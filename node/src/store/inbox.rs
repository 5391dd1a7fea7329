//! Inboxes: the primitives `append_inbox` and `read_inbox`, and its acknowledgement (paper, section
//! 2.2).
//!
//! Reading deletes nothing: a notification that gets lost on its way to the reader is read again,
//! and goes when the reader acknowledges it.

use std::collections::BTreeSet;

use redb::{ReadTransaction, ReadableTable as _};

use super::group::Group;
use super::objects::moved;
use super::rows::{DIGESTS, ENTRIES, ENTRY, EntryRow, entry_counted, payload};
use super::{Store, StoreError, Stored};

/// What an inbox holds, from some arrival number on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InboxList {
    /// Digests of the entries, oldest first.
    pub digests: Vec<[u8; 32]>,
    /// The arrival number of the first entry that is not listed, if there is one.
    pub next: Option<u64>,
}

impl Store {
    /// Appends an entry to the inbox at `key`. It is dropped after `expiry` (unix seconds). If one
    /// with this digest is there, its expiry moves, by [`StoreLimits::extension`] at most in all.
    ///
    /// [`StoreLimits::extension`]: super::StoreLimits::extension
    ///
    /// # Errors
    /// [`StoreError::TooLarge`], [`StoreError::InboxFull`], [`StoreError::Full`],
    /// [`StoreError::Busy`]; faults.
    pub async fn append_inbox(
        &self,
        key: [u8; 32],
        digest: [u8; 32],
        bytes: Vec<u8>,
        expiry: u64,
    ) -> Result<Stored, StoreError> {
        self.check_size(bytes.len())?;
        self.write(move |group| append(group, &key, &digest, &bytes, expiry)).await
    }

    /// Lists the inbox at `key` from the arrival number `from` on, at most `count` entries. Arrival numbers only grow
    /// while the inbox is not empty, and begin with 0 again when it has been.
    ///
    /// # Errors
    /// Faults.
    pub async fn list_inbox(
        &self,
        key: [u8; 32],
        from: u64,
        count: usize,
    ) -> Result<InboxList, StoreError> {
        self.read(move |txn| list(txn, &key, from, count)).await
    }

    /// Hands over the payloads of the entries with these digests from the inbox at `key`; those that are not there are
    /// left out, and none comes twice.
    ///
    /// # Errors
    /// Faults.
    pub async fn hand_over(
        &self,
        key: [u8; 32],
        digests: &[[u8; 32]],
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let digests: BTreeSet<[u8; 32]> = digests.iter().copied().collect();
        self.read(move |txn| hand_over(txn, &key, &digests)).await
    }

    /// Removes the entries with these digests from the inbox at `key`; returns how many there were.
    ///
    /// # Errors
    /// [`StoreError::Busy`]; faults.
    pub async fn acknowledge(
        &self,
        key: [u8; 32],
        digests: &[[u8; 32]],
    ) -> Result<u32, StoreError> {
        let digests: BTreeSet<[u8; 32]> = digests.iter().copied().collect();
        self.free(move |group| acknowledge(group, &key, &digests)).await
    }
}

fn append(
    group: &mut Group<'_>,
    key: &[u8; 32],
    digest: &[u8; 32],
    bytes: &[u8],
    expiry: u64,
) -> Result<Stored, StoreError> {
    let held = group.digests.get((key, digest))?.map(|row| row.value());
    if let Some(arrival) = held {
        return repeat(group, key, arrival, expiry);
    }
    let size = entry_counted(payload(bytes));
    let (entries, held, _) = group.inbox(key)?;
    let held = held.saturating_add(size);
    if entries >= group.limits.inbox_entries || held > group.limits.inbox_bytes {
        return Err(StoreError::InboxFull);
    }
    group.check_room(size, 0)?;
    let latest = expiry.saturating_add(group.limits.extension);
    group.put_entry(key, &EntryRow { digest: *digest, expiry, latest, bytes })?;
    Ok(Stored::New)
}

/// Moves the expiry of the notification that is held already, as far as it may move.
fn repeat(
    group: &mut Group<'_>,
    key: &[u8; 32],
    arrival: u64,
    expiry: u64,
) -> Result<Stored, StoreError> {
    let row = group.entries.get((key, arrival))?.map(|row| row.value().to_vec());
    let row = row.ok_or_else(|| StoreError::row("digests"))?;
    let mut entry = EntryRow::decode(&row)?;
    let before = entry.expiry;
    if group.may_rewrite() {
        entry.expiry = moved(before, expiry, entry.latest);
    }
    if entry.expiry != before {
        group.change();
        group.entries.insert((key, arrival), entry.encode().as_slice())?;
        group.expiries.remove((before, ENTRY, key, arrival))?;
        group.expiries.insert((entry.expiry, ENTRY, key, arrival), ())?;
    }
    Ok(Stored::AlreadyHeld { expiry: entry.expiry })
}

fn acknowledge(
    group: &mut Group<'_>,
    key: &[u8; 32],
    digests: &BTreeSet<[u8; 32]>,
) -> Result<u32, StoreError> {
    let mut removed: u32 = 0;
    for digest in digests {
        let arrival = group.digests.get((key, digest))?.map(|row| row.value());
        let Some(arrival) = arrival else { continue };
        let entry = group.discard_entry(key, arrival)?;
        entry.ok_or_else(|| StoreError::row("digests"))?;
        removed = removed.saturating_add(1);
    }
    Ok(removed)
}

fn list(
    txn: &ReadTransaction,
    key: &[u8; 32],
    from: u64,
    count: usize,
) -> Result<InboxList, StoreError> {
    let mut list = InboxList::default();
    for row in txn.open_table(ENTRIES)?.range((key, from)..=(key, u64::MAX))? {
        let (place, row) = row?;
        if list.digests.len() >= count {
            list.next = Some(place.value().1);
            break;
        }
        list.digests.push(EntryRow::decode(row.value())?.digest);
    }
    Ok(list)
}

fn hand_over(
    txn: &ReadTransaction,
    key: &[u8; 32],
    wanted: &BTreeSet<[u8; 32]>,
) -> Result<Vec<Vec<u8>>, StoreError> {
    let (digests, entries) = (txn.open_table(DIGESTS)?, txn.open_table(ENTRIES)?);
    let mut handed_over = Vec::new();
    for digest in wanted {
        let Some(arrival) = digests.get((key, digest))?.map(|row| row.value()) else { continue };
        let row = entries.get((key, arrival))?.ok_or_else(|| StoreError::row("digests"))?;
        handed_over.push(EntryRow::decode(row.value())?.bytes.to_vec());
    }
    Ok(handed_over)
}

#[cfg(test)]
mod tests {
    use super::super::StoreLimits;
    use super::super::rows::LEAST;
    use super::super::tests::{held, limits, temporary};
    use super::*;

    async fn digests(store: &Store) -> Vec<u8> {
        held(store, 9).await.unwrap().iter().map(|(digest, _)| digest[0]).collect()
    }

    /// Entries and counted bytes of the whole store.
    async fn usage(store: &Store) -> (u64, u64) {
        let usage = store.usage().await.unwrap();
        (usage.inbox_entries, usage.bytes)
    }

    #[tokio::test]
    async fn entries_keep_their_order_until_acknowledged() {
        let (_folder, store) = temporary(limits());
        assert!(digests(&store).await.is_empty());
        for digest in [5, 3, 4, 1] {
            let appended = store.append_inbox([9; 32], [digest; 32], vec![digest; 10], 1000).await;
            assert_eq!(appended, Ok(Stored::New));
        }
        // A neighbour's entries are not seen.
        store.append_inbox([8; 32], [8; 32], vec![8], 1000).await.unwrap();
        store.append_inbox([10; 32], [10; 32], vec![10], 1000).await.unwrap();
        let again = store.append_inbox([9; 32], [3; 32], vec![3; 10], 1000).await;
        assert_eq!(again, Ok(Stored::AlreadyHeld { expiry: 1000 }));
        assert_eq!(digests(&store).await, [5, 3, 4, 1]);
        let removed =
            store.acknowledge([9; 32], &[[3; 32], [5; 32], [3; 32], [77; 32], [8; 32]]).await;
        assert_eq!(removed, Ok(2));
        assert_eq!(digests(&store).await, [4, 1]);
        // The neighbours' are two of a byte each.
        assert_eq!(usage(&store).await, (4, 4 * LEAST + 22));
        // What was acknowledged may come again, at the end.
        store.append_inbox([9; 32], [5; 32], vec![5; 10], 1000).await.unwrap();
        assert_eq!(digests(&store).await, [4, 1, 5]);
        assert_eq!(store.acknowledge([9; 32], &[[4; 32], [1; 32], [5; 32]]).await, Ok(3));
        assert_eq!(usage(&store).await, (2, 2 * LEAST + 2));
        assert!(!store.holds([9; 32]).await.unwrap());
        store.verify().await.unwrap();
    }

    #[tokio::test]
    async fn a_list_goes_on_where_it_ended_and_what_is_named_is_handed_over() {
        let (_folder, store) = temporary(limits());
        assert_eq!(store.list_inbox([9; 32], 0, 10).await, Ok(InboxList::default()));
        for digest in [5, 3, 4, 1, 2] {
            store.append_inbox([9; 32], [digest; 32], vec![digest; 10], 1000).await.unwrap();
        }
        store.append_inbox([8; 32], [8; 32], vec![8], 1000).await.unwrap();
        let list = async |from, count| {
            let list = store.list_inbox([9; 32], from, count).await.unwrap();
            (list.digests.iter().map(|digest| digest[0]).collect::<Vec<_>>(), list.next)
        };
        assert_eq!(list(0, 2).await, (vec![5, 3], Some(2)));
        assert_eq!(list(2, 2).await, (vec![4, 1], Some(4)));
        assert_eq!(list(4, 2).await, (vec![2], None));
        assert_eq!(list(0, 5).await, (vec![5, 3, 4, 1, 2], None));
        assert_eq!(list(u64::MAX, 5).await, (vec![], None));
        // What goes meanwhile moves nothing: the list neither repeats nor leaves out.
        store.acknowledge([9; 32], &[[5; 32], [4; 32]]).await.unwrap();
        assert_eq!(list(2, 2).await, (vec![1, 2], None));
        let asked = [[2; 32], [77; 32], [3; 32], [8; 32], [2; 32]];
        let handed_over = store.hand_over([9; 32], &asked).await.unwrap();
        assert_eq!(handed_over, [vec![2; 10], vec![3; 10]]);
        assert_eq!(store.hand_over([7; 32], &asked).await, Ok(Vec::new()));
    }

    #[tokio::test]
    async fn quotas_are_exact() {
        let inbox_bytes = 3 * LEAST + 100;
        let (_folder, store) = temporary(StoreLimits { inbox_entries: 3, inbox_bytes, ..limits() });
        let append = |inbox: u8, digest: u8, size: usize| {
            store.append_inbox([inbox; 32], [digest; 32], vec![0; size], 1000)
        };
        assert_eq!(append(1, 1, 60).await, Ok(Stored::New));
        assert_eq!(append(1, 2, 40).await, Ok(Stored::New));
        assert_eq!(append(1, 2, 40).await, Ok(Stored::AlreadyHeld { expiry: 1000 }));
        assert_eq!(append(1, 3, 1).await, Err(StoreError::InboxFull), "by a byte");
        assert_eq!(append(1, 3, 0).await, Ok(Stored::New));
        assert_eq!(append(1, 4, 0).await, Err(StoreError::InboxFull));
        assert_eq!(append(2, 4, 100).await, Ok(Stored::New), "another inbox");
        assert_eq!(store.acknowledge([1; 32], &[[3; 32]]).await, Ok(1));
        assert_eq!(append(1, 4, 0).await, Ok(Stored::New));
        store.verify().await.unwrap();
    }
    #[tokio::test]
    async fn a_repetition_moves_the_expiry_so_far_and_no_further() {
        let (_folder, store) = temporary(StoreLimits { extension: 1000, ..limits() });
        let append = async |expiry| store.append_inbox([9; 32], [1; 32], vec![1; 10], expiry).await;
        assert_eq!(append(1000).await, Ok(Stored::New));
        for (expiry, held) in [(500, 1000), (1500, 1500), (1400, 1500), (2500, 2000)] {
            let moved = append(expiry).await;
            assert_eq!(moved, Ok(Stored::AlreadyHeld { expiry: held }));
            store.verify().await.unwrap();
        }
        assert_eq!(digests(&store).await, [1]);
        assert_eq!(store.expire(2000, 10).await, Ok(0));
        assert_eq!(store.expire(2001, 10).await, Ok(1));
        store.verify().await.unwrap();
    }
}
