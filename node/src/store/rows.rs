//! The store's tables and the rows that are opaque to redb. The layout is drawn in [the
//! module](super).
//!
//! Every opaque row is decoded with checks: an odd one is [`StoreError::Corrupt`], never a panic.

use std::collections::BTreeSet;

use redb::TableDefinition;
use sha2::{Digest as _, Sha256};

use super::{ObjectKind, StoreError};

/// The version of the layout, in `meta` under [`VERSION`].
pub(super) const FORMAT: u64 = 2;
/// Name of the row of `meta` that holds [`FORMAT`].
pub(super) const VERSION: &str = "version";
/// Name of the row of `meta` that holds when the node last looked at its clock, unix seconds.
pub(super) const TIME: &str = "time";

/// An entry's place: its inbox's key and its arrival number.
pub(super) type EntryKey = (&'static [u8; 32], u64);
/// When something expires (unix seconds), what it is ([`OBJECT`] or [`ENTRY`]), its key, its
/// arrival number.
pub(super) type ExpiryKey = (u64, u8, &'static [u8; 32], u64);
/// An inbox's entries, what they count for, and the next arrival number.
pub(super) type InboxRow = (u32, u64, u64);

pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
pub(super) const OBJECTS: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("objects");
pub(super) const CHUNKS: TableDefinition<'_, (&[u8; 32], u32), &[u8]> =
    TableDefinition::new("chunks");
pub(super) const INBOXES: TableDefinition<'_, &[u8; 32], InboxRow> =
    TableDefinition::new("inboxes");
pub(super) const ENTRIES: TableDefinition<'_, EntryKey, &[u8]> = TableDefinition::new("entries");
pub(super) const DIGESTS: TableDefinition<'_, (&[u8; 32], &[u8; 32]), u64> =
    TableDefinition::new("digests");
pub(super) const EXPIRIES: TableDefinition<'_, ExpiryKey, ()> = TableDefinition::new("expiries");

/// Marks an object in `expiries`.
pub(super) const OBJECT: u8 = 0;
/// Marks an inbox entry in `expiries`.
pub(super) const ENTRY: u8 = 1;

/// Bytes of an object in one row of `chunks`: four of redb's 4 KiB pages less its own overhead.
pub(super) const CHUNK: usize = 4 * 4096 - 128;
/// Bytes that an object's delete permissions may take in its row.
pub(super) const MAX_DELETERS: usize = 64 * 1024;
/// What every object and every notification counts for beside its bytes: at least what its rows and
/// their places in the indexes take on the disk. `tests/quota.rs` measures it.
pub(super) const LEAST: u64 = 4_096;
/// Bytes of an object's row before its permissions.
const HEAD: usize = 93;

/// An object without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ObjectRow {
    pub(super) kind: ObjectKind,
    pub(super) digest: [u8; 32],
    /// Unix seconds.
    pub(super) expiry: u64,
    /// Unix seconds beyond which no repetition moves the expiry.
    pub(super) latest: u64,
    /// [`permissions`] of those that it was stored with, before any was used.
    pub(super) permissions: [u8; 32],
    /// Payload bytes.
    pub(super) size: u64,
    pub(super) deleters: BTreeSet<Vec<u8>>,
}

impl ObjectRow {
    /// Bytes that the delete permissions take in the row.
    pub(super) fn deleters_size(&self) -> usize {
        self.deleters.iter().map(|deleter| deleter.len().saturating_add(4)).sum()
    }

    /// What the object counts for, with its bytes and the permissions that are left.
    pub(super) fn counted(&self) -> u64 {
        let deleters = u64::try_from(self.deleters_size()).unwrap_or(u64::MAX);
        LEAST.saturating_add(self.size).saturating_add(deleters)
    }

    /// Encodes the row for `objects`.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] if the delete permissions take more than [`MAX_DELETERS`].
    pub(super) fn encode(&self) -> Result<Vec<u8>, StoreError> {
        let size = self.deleters_size();
        let too_large = StoreError::TooLarge { size, limit: MAX_DELETERS };
        if size > MAX_DELETERS {
            return Err(too_large);
        }
        let mut row = Vec::with_capacity(HEAD + size);
        row.push(match self.kind {
            ObjectKind::Body => 0,
            ObjectKind::Certificate => 1,
        });
        row.extend_from_slice(&self.digest);
        row.extend_from_slice(&self.expiry.to_be_bytes());
        row.extend_from_slice(&self.latest.to_be_bytes());
        row.extend_from_slice(&self.permissions);
        row.extend_from_slice(&self.size.to_be_bytes());
        let count = u32::try_from(self.deleters.len()).map_err(|_| too_large)?;
        row.extend_from_slice(&count.to_be_bytes());
        for deleter in &self.deleters {
            let length = u32::try_from(deleter.len()).map_err(|_| too_large)?;
            row.extend_from_slice(&length.to_be_bytes());
            row.extend_from_slice(deleter);
        }
        Ok(row)
    }

    /// Decodes a row of `objects`.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] unless it is exactly what [`ObjectRow::encode`] writes.
    pub(super) fn decode(row: &[u8]) -> Result<Self, StoreError> {
        Self::decode_checked(row).ok_or_else(|| StoreError::row("objects"))
    }

    fn decode_checked(mut row: &[u8]) -> Option<Self> {
        let kind = match take(&mut row)? {
            [0] => ObjectKind::Body,
            [1] => ObjectKind::Certificate,
            _ => return None,
        };
        let digest = take(&mut row)?;
        let expiry = u64::from_be_bytes(take(&mut row)?);
        let latest = u64::from_be_bytes(take(&mut row)?);
        let permissions = take(&mut row)?;
        let size = u64::from_be_bytes(take(&mut row)?);
        let count = u32::from_be_bytes(take(&mut row)?);
        let mut deleters = BTreeSet::new();
        for _ in 0..count {
            let length = usize::try_from(u32::from_be_bytes(take(&mut row)?)).ok()?;
            let (deleter, rest) = row.split_at_checked(length)?;
            row = rest;
            if deleters.last().is_some_and(|last: &Vec<u8>| last.as_slice() >= deleter) {
                return None;
            }
            deleters.insert(deleter.to_vec());
        }
        row.is_empty().then_some(Self { kind, digest, expiry, latest, permissions, size, deleters })
    }
}

/// A row of `entries`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EntryRow<'a> {
    pub(super) digest: [u8; 32],
    /// Unix seconds.
    pub(super) expiry: u64,
    /// Unix seconds beyond which no repetition moves the expiry.
    pub(super) latest: u64,
    pub(super) bytes: &'a [u8],
}

impl<'a> EntryRow<'a> {
    /// Encodes the row for `entries`.
    pub(super) fn encode(&self) -> Vec<u8> {
        let (expiry, latest) = (self.expiry.to_be_bytes(), self.latest.to_be_bytes());
        [&self.digest, expiry.as_slice(), latest.as_slice(), self.bytes].concat()
    }

    /// Decodes a row of `entries`.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if it is shorter than 48 bytes.
    pub(super) fn decode(mut row: &'a [u8]) -> Result<Self, StoreError> {
        let number = |row: &mut &[u8]| take(row).map(u64::from_be_bytes);
        let head = (|| Some((take(&mut row)?, number(&mut row)?, number(&mut row)?)))();
        let (digest, expiry, latest) = head.ok_or_else(|| StoreError::row("entries"))?;
        Ok(Self { digest, expiry, latest, bytes: row })
    }
}

/// The digest of a set of delete permissions, by which a repeated `store` is known to bring the same.
pub(super) fn permissions(deleters: &BTreeSet<Vec<u8>>) -> [u8; 32] {
    let mut digest = Sha256::new();
    for deleter in deleters {
        digest.update(payload(deleter).to_be_bytes());
        digest.update(deleter);
    }
    digest.finalize().into()
}

/// What a notification of so many bytes counts for.
pub(super) const fn entry_counted(bytes: u64) -> u64 {
    LEAST.saturating_add(bytes)
}

/// A slice's length, bytes.
pub(super) fn payload(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// Takes the first `N` bytes off `row`.
fn take<const N: usize>(row: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = row.split_first_chunk::<N>()?;
    *row = rest;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::{btree_set, vec};
    use proptest::prelude::*;

    fn row(deleters: &[&[u8]]) -> ObjectRow {
        ObjectRow {
            kind: ObjectKind::Certificate,
            digest: [7; 32],
            expiry: 1 << 40,
            latest: 1 << 41,
            permissions: [8; 32],
            size: 99,
            deleters: deleters.iter().map(|deleter| deleter.to_vec()).collect(),
        }
    }

    #[test]
    fn an_odd_object_row_is_corrupt() {
        let good = row(&[b"alice", b"", b"bob"]).encode().unwrap();
        for length in 0..good.len() {
            assert_eq!(ObjectRow::decode(&good[..length]), Err(StoreError::row("objects")));
        }
        assert!(ObjectRow::decode(&[good.as_slice(), b"x"].concat()).is_err());
        assert!(ObjectRow::decode(&[&[2], &good[1..]].concat()).is_err());
        let count = [&good[..HEAD - 4], &[0xff; 4], &good[HEAD..]].concat();
        assert!(ObjectRow::decode(&count).is_err());
        let mut order = row(&[b"a", b"b"]).encode().unwrap();
        order[HEAD + 4] = b'c';
        assert!(ObjectRow::decode(&order).is_err());
    }

    #[test]
    fn deleters_are_bounded() {
        let limit = vec![0; MAX_DELETERS - 4];
        assert!(row(&[&limit]).encode().is_ok());
        assert!(matches!(row(&[&limit, b""]).encode(), Err(StoreError::TooLarge { .. })));
    }

    proptest! {
        #[test]
        fn object_rows_survive(
            digest: [u8; 32], expiry: u64, latest: u64, permissions: [u8; 32], size: u64,
            deleters in btree_set(vec(any::<u8>(), 0..40), 0..8),
        ) {
            let kind = ObjectKind::Body;
            let row = ObjectRow { kind, digest, expiry, latest, permissions, size, deleters };
            prop_assert_eq!(ObjectRow::decode(&row.encode().unwrap()).unwrap(), row);
        }

        #[test]
        fn any_bytes_decode_to_themselves_or_not_at_all(bytes in vec(0..3u8, 0..120)) {
            if let Ok(row) = ObjectRow::decode(&bytes) {
                prop_assert_eq!(row.encode().unwrap(), bytes.clone());
            }
            if let Ok(row) = EntryRow::decode(&bytes) {
                prop_assert_eq!(row.encode(), bytes);
            }
        }
    }
}
