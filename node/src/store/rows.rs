//! The store's tables and the rows that are opaque to redb. The layout is drawn in [the
//! module](super).
//!
//! Every opaque row is decoded with checks: an odd one is [`StoreError::Corrupt`], never a panic.

use std::collections::BTreeSet;

use redb::TableDefinition;

use super::{ObjectKind, StoreError};

/// The version of the layout, in `meta` under [`VERSION`].
pub(super) const FORMAT: u64 = 1;
/// Name of the row of `meta` that holds [`FORMAT`].
pub(super) const VERSION: &str = "version";

/// An entry's place: its inbox's key and its arrival number.
pub(super) type EntryKey = (&'static [u8; 32], u64);
/// When something expires (unix seconds), what it is ([`OBJECT`] or [`ENTRY`]), its key, its
/// arrival number.
pub(super) type ExpiryKey = (u64, u8, &'static [u8; 32], u64);
/// An inbox's entries, payload bytes, and next arrival number.
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
/// Bytes that an object's delete permissions may take in its row, since anybody may add to them.
pub(super) const MAX_DELETERS: usize = 64 * 1024;

/// An object without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ObjectRow {
    pub(super) kind: ObjectKind,
    pub(super) digest: [u8; 32],
    /// Unix seconds.
    pub(super) expiry: u64,
    /// Payload bytes.
    pub(super) size: u64,
    pub(super) deleters: BTreeSet<Vec<u8>>,
}

impl ObjectRow {
    /// Bytes that the delete permissions take in the row.
    pub(super) fn deleters_size(&self) -> usize {
        self.deleters.iter().map(|deleter| deleter.len().saturating_add(4)).sum()
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
        let mut row = Vec::with_capacity(53 + size);
        row.push(match self.kind {
            ObjectKind::Body => 0,
            ObjectKind::Certificate => 1,
        });
        row.extend_from_slice(&self.digest);
        row.extend_from_slice(&self.expiry.to_be_bytes());
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
        row.is_empty().then_some(Self { kind, digest, expiry, size, deleters })
    }
}

/// A row of `entries`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EntryRow<'a> {
    pub(super) digest: [u8; 32],
    /// Unix seconds.
    pub(super) expiry: u64,
    pub(super) bytes: &'a [u8],
}

impl<'a> EntryRow<'a> {
    /// Encodes the row for `entries`.
    pub(super) fn encode(&self) -> Vec<u8> {
        [&self.digest, self.expiry.to_be_bytes().as_slice(), self.bytes].concat()
    }

    /// Decodes a row of `entries`.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if it is shorter than 40 bytes.
    pub(super) fn decode(mut row: &'a [u8]) -> Result<Self, StoreError> {
        let head = (|| Some((take(&mut row)?, u64::from_be_bytes(take(&mut row)?))))();
        let (digest, expiry) = head.ok_or_else(|| StoreError::row("entries"))?;
        Ok(Self { digest, expiry, bytes: row })
    }
}

/// The payload bytes that a slice counts for in the accounts.
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
        let count = [&good[..49], &[0xff; 4], &good[53..]].concat();
        assert!(ObjectRow::decode(&count).is_err());
        let mut order = row(&[b"a", b"b"]).encode().unwrap();
        order[57] = b'c';
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
            digest: [u8; 32], expiry: u64, size: u64,
            deleters in btree_set(vec(any::<u8>(), 0..40), 0..8),
        ) {
            let row = ObjectRow { kind: ObjectKind::Body, digest, expiry, size, deleters };
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
