//! The audit of a store: everything counted anew, compared with the accounts and the indexes.

use redb::{ReadTransaction, ReadableTable as _, ReadableTableMetadata as _};

use super::StoreError;
use super::group::{Totals, add};
use super::rows::{
    CHUNKS, DIGESTS, ENTRIES, ENTRY, EXPIRIES, EntryRow, INBOXES, InboxRow, META, OBJECT, OBJECTS,
    ObjectRow, entry_counted, payload,
};

/// Verifies a snapshot.
///
/// # Errors
/// [`StoreError::Corrupt`] with the table that contradicts another.
pub(super) fn verify(txn: &ReadTransaction) -> Result<(), StoreError> {
    let mut counted = Totals::default();
    objects(txn, &mut counted)?;
    entries(txn, &mut counted)?;
    let indexed = txn.open_table(EXPIRIES)?.len()?;
    expect("expiries", indexed == add(counted.objects, counted.entries)?)?;
    expect("digests", txn.open_table(DIGESTS)?.len()? == counted.entries)?;
    expect("meta", counted == Totals::load(&txn.open_table(META)?)?)
}

/// Every object has its bytes and its place in `expiries`; there are no other chunks.
fn objects(txn: &ReadTransaction, counted: &mut Totals) -> Result<(), StoreError> {
    let chunks = txn.open_table(CHUNKS)?;
    let expiries = txn.open_table(EXPIRIES)?;
    let mut owned = 0;
    for row in txn.open_table(OBJECTS)?.iter()? {
        let (key, row) = row?;
        let key = key.value();
        let object = ObjectRow::decode(row.value())?;
        let mut size = 0;
        for chunk in chunks.range((key, 0)..=(key, u32::MAX))? {
            size = add(size, payload(chunk?.1.value()))?;
            owned = add(owned, 1)?;
        }
        expect("chunks", size == object.size)?;
        expect("expiries", expiries.get((object.expiry, OBJECT, key, 0))?.is_some())?;
        counted.objects = add(counted.objects, 1)?;
        counted.bytes = add(counted.bytes, object.counted())?;
    }
    expect("chunks", owned == chunks.len()?)
}

/// Every entry has its digest and its place in `expiries`, and every inbox counts its entries;
/// there are no others.
fn entries(txn: &ReadTransaction, counted: &mut Totals) -> Result<(), StoreError> {
    let entries = txn.open_table(ENTRIES)?;
    for row in txn.open_table(INBOXES)?.iter()? {
        let (key, row) = row?;
        let inbox = row.value();
        let found = inbox_row(txn, key.value(), inbox.2)?;
        expect("inboxes", found == inbox && inbox.0 > 0)?;
        counted.entries = add(counted.entries, u64::from(found.0))?;
        counted.bytes = add(counted.bytes, found.1)?;
    }
    expect("entries", entries.len()? == counted.entries)
}

/// What the row of the inbox at `key` ought to be, up to the arrival number `next`.
fn inbox_row(txn: &ReadTransaction, key: &[u8; 32], next: u64) -> Result<InboxRow, StoreError> {
    let digests = txn.open_table(DIGESTS)?;
    let expiries = txn.open_table(EXPIRIES)?;
    let (mut count, mut bytes) = (0_u32, 0);
    for row in txn.open_table(ENTRIES)?.range((key, 0)..(key, next))? {
        let (place, row) = row?;
        let arrival = place.value().1;
        let entry = EntryRow::decode(row.value())?;
        let by_digest = digests.get((key, &entry.digest))?.map(|row| row.value());
        expect("digests", by_digest == Some(arrival))?;
        expect("expiries", expiries.get((entry.expiry, ENTRY, key, arrival))?.is_some())?;
        count = count.saturating_add(1);
        bytes = add(bytes, entry_counted(payload(entry.bytes)))?;
    }
    Ok((count, bytes, next))
}

fn expect(table: &'static str, holds: bool) -> Result<(), StoreError> {
    if holds { Ok(()) } else { Err(StoreError::row(table)) }
}
