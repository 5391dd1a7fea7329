//! One write transaction and what a write may do in it.
//!
//! **Invariant:** a write that refuses ([`StoreError::is_refusal`]) has changed nothing, so the
//! others of its group stand. Any other error undoes the whole transaction.

use redb::{ReadableTable as _, Table, WriteTransaction};

use super::rows::{
    CHUNK, CHUNKS, DIGESTS, ENTRIES, ENTRY, EXPIRIES, EntryKey, EntryRow, ExpiryKey, INBOXES,
    InboxRow, LEAST, META, OBJECT, OBJECTS, ObjectRow, TIME, entry_counted, payload,
};
use super::{StoreError, StoreLimits};

/// What the store holds in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    /// What objects and entries count for, bytes.
    pub(super) bytes: u64,
    pub(super) objects: u64,
    pub(super) entries: u64,
}

impl Totals {
    /// Reads the totals; a store that was never written to has none yet.
    pub(super) fn load(
        meta: &impl redb::ReadableTable<&'static str, u64>,
    ) -> Result<Self, StoreError> {
        let row = |name: &str| meta.get(name).map(|row| row.map_or(0, |row| row.value()));
        Ok(Self { bytes: row("bytes")?, objects: row("objects")?, entries: row("entries")? })
    }

    fn save(&self, meta: &mut Table<'_, &'static str, u64>) -> Result<(), StoreError> {
        meta.insert("bytes", self.bytes)?;
        meta.insert("objects", self.objects)?;
        meta.insert("entries", self.entries)?;
        Ok(())
    }
}

/// The tables of one write transaction.
pub(super) struct Group<'txn> {
    pub(super) limits: &'txn StoreLimits,
    pub(super) totals: Totals,
    pub(super) objects: Table<'txn, &'static [u8; 32], &'static [u8]>,
    pub(super) chunks: Table<'txn, (&'static [u8; 32], u32), &'static [u8]>,
    pub(super) inboxes: Table<'txn, &'static [u8; 32], InboxRow>,
    pub(super) entries: Table<'txn, EntryKey, &'static [u8]>,
    pub(super) digests: Table<'txn, (&'static [u8; 32], &'static [u8; 32]), u64>,
    pub(super) expiries: Table<'txn, ExpiryKey, ()>,
    meta: Table<'txn, &'static str, u64>,
    /// Bytes by which what is counted may grow on this disk.
    room: u64,
    changed: bool,
}

impl<'txn> Group<'txn> {
    /// Opens the tables in `txn`; `room` tells what the disk has for what is counted so much now.
    ///
    /// # Errors
    /// Failures of the transaction.
    pub(super) fn open(
        txn: &'txn WriteTransaction,
        limits: &'txn StoreLimits,
        room: impl FnOnce(u64) -> u64,
    ) -> Result<Self, StoreError> {
        let meta = txn.open_table(META)?;
        let totals = Totals::load(&meta)?;
        Ok(Self {
            limits,
            totals,
            room: room(totals.bytes),
            objects: txn.open_table(OBJECTS)?,
            chunks: txn.open_table(CHUNKS)?,
            inboxes: txn.open_table(INBOXES)?,
            entries: txn.open_table(ENTRIES)?,
            digests: txn.open_table(DIGESTS)?,
            expiries: txn.open_table(EXPIRIES)?,
            meta,
            changed: false,
        })
    }

    /// Records the totals; tells whether there is anything to commit.
    ///
    /// # Errors
    /// Failures of the transaction.
    pub(super) fn finish(mut self) -> Result<bool, StoreError> {
        if self.changed {
            self.totals.save(&mut self.meta)?;
        }
        Ok(self.changed)
    }

    /// Notes that the transaction must be committed.
    pub(super) fn change(&mut self) {
        self.changed = true;
    }

    /// Checks that what counts for `added` fits once what counts for `freed` is gone: into the
    /// quota, and onto the disk. What is freed in a transaction is of no use on the disk before the
    /// next one.
    ///
    /// # Errors
    /// [`StoreError::Full`].
    pub(super) fn check_room(&self, added: u64, freed: u64) -> Result<(), StoreError> {
        let kept = self.totals.bytes.saturating_sub(freed);
        let over = kept.saturating_add(added).saturating_sub(self.limits.max_bytes);
        match over.max(added.saturating_sub(self.room)) {
            0 => Ok(()),
            missing => Err(StoreError::Full { missing }),
        }
    }

    /// Whether a change that only rewrites a row may be made: not where it would take of the space for
    /// deletions.
    pub(super) const fn may_rewrite(&self) -> bool {
        self.room >= LEAST
    }

    /// Counts what was added.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if the total overflows.
    pub(super) fn count(&mut self, added: u64) -> Result<(), StoreError> {
        self.room = self.room.saturating_sub(added);
        self.totals.bytes = add(self.totals.bytes, added)?;
        Ok(())
    }

    /// Notes the time in `meta`, unix seconds.
    ///
    /// # Errors
    /// Failures of the transaction.
    pub(super) fn note_time(&mut self, now: u64) -> Result<(), StoreError> {
        self.change();
        self.meta.insert(TIME, now)?;
        Ok(())
    }

    /// The object at `key`, without its bytes.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] and failures of the transaction.
    pub(super) fn object(&self, key: &[u8; 32]) -> Result<Option<ObjectRow>, StoreError> {
        self.objects.get(key)?.map(|row| ObjectRow::decode(row.value())).transpose()
    }

    /// Puts an object and its bytes where there is none.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] for its delete permissions, before any change; failures of the
    /// transaction.
    pub(super) fn put_object(
        &mut self,
        key: &[u8; 32],
        object: &ObjectRow,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let row = object.encode()?;
        self.change();
        self.objects.insert(key, row.as_slice())?;
        for (number, chunk) in (0u32..).zip(bytes.chunks(CHUNK)) {
            self.chunks.insert((key, number), chunk)?;
        }
        self.expiries.insert((object.expiry, OBJECT, key, 0), ())?;
        self.totals.objects = add(self.totals.objects, 1)?;
        self.count(object.counted())
    }

    /// Puts an entry at the end of the inbox at `key`.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] and failures of the transaction.
    pub(super) fn put_entry(
        &mut self,
        key: &[u8; 32],
        entry: &EntryRow<'_>,
    ) -> Result<(), StoreError> {
        let size = entry_counted(payload(entry.bytes));
        let (entries, held, arrival) = self.inbox(key)?;
        self.change();
        self.entries.insert((key, arrival), entry.encode().as_slice())?;
        self.digests.insert((key, &entry.digest), arrival)?;
        self.expiries.insert((entry.expiry, ENTRY, key, arrival), ())?;
        let row = (entries.saturating_add(1), add(held, size)?, add(arrival, 1)?);
        self.inboxes.insert(key, row)?;
        self.totals.entries = add(self.totals.entries, 1)?;
        self.count(size)
    }

    /// Removes `object`, which lies at `key`, and its bytes.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] and failures of the transaction.
    pub(super) fn discard_object(
        &mut self,
        key: &[u8; 32],
        object: &ObjectRow,
    ) -> Result<(), StoreError> {
        self.change();
        self.objects.remove(key)?;
        self.chunks.retain_in((key, 0)..=(key, u32::MAX), |_, _| false)?;
        self.expiries.remove((object.expiry, OBJECT, key, 0))?;
        self.totals.objects = sub(self.totals.objects, 1)?;
        self.totals.bytes = sub(self.totals.bytes, object.counted())?;
        Ok(())
    }

    /// Removes the entry that arrived at `key` as number `arrival`; returns what it counted for, if
    /// it was there.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] and failures of the transaction.
    pub(super) fn discard_entry(
        &mut self,
        key: &[u8; 32],
        arrival: u64,
    ) -> Result<Option<u64>, StoreError> {
        let Some(row) = self.entries.remove((key, arrival))? else {
            return Ok(None);
        };
        let EntryRow { digest, expiry, bytes, .. } = EntryRow::decode(row.value())?;
        let size = entry_counted(payload(bytes));
        drop(row);
        self.change();
        self.digests.remove((key, &digest))?;
        self.expiries.remove((expiry, ENTRY, key, arrival))?;
        let (entries, held, next) = self.inbox(key)?;
        let left = entries.checked_sub(1).zip(held.checked_sub(size));
        match left.ok_or_else(|| StoreError::row("inboxes"))? {
            (0, _) => drop(self.inboxes.remove(key)?),
            (entries, bytes) => drop(self.inboxes.insert(key, (entries, bytes, next))?),
        }
        self.totals.entries = sub(self.totals.entries, 1)?;
        self.totals.bytes = sub(self.totals.bytes, size)?;
        Ok(Some(size))
    }

    /// The usage of the inbox at `key`, and its next arrival number; zeros if there is none.
    ///
    /// # Errors
    /// Failures of the transaction.
    pub(super) fn inbox(&self, key: &[u8; 32]) -> Result<InboxRow, StoreError> {
        Ok(self.inboxes.get(key)?.map_or((0, 0, 0), |row| row.value()))
    }
}

/// Adds to a total; one that overflows was never right.
pub(super) fn add(total: u64, more: u64) -> Result<u64, StoreError> {
    total.checked_add(more).ok_or_else(|| StoreError::row("meta"))
}

/// Subtracts from a total; one that would fall below zero was never right.
pub(super) fn sub(total: u64, less: u64) -> Result<u64, StoreError> {
    total.checked_sub(less).ok_or_else(|| StoreError::row("meta"))
}
