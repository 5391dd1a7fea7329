//! Objects: the primitives `store`, `fetch` and `delete` (paper, section 2.2).

use redb::ReadTransaction;

use super::group::{Group, sub};
use super::rows::{CHUNKS, MAX_DELETERS, OBJECT, OBJECTS, ObjectRow, payload, permissions};
use super::{Store, StoreError};

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    /// The sealed body of a mail.
    Body,
    /// The certificate of an address.
    Certificate,
}

/// An object as it is stored and fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredObject {
    /// What it is.
    pub kind: ObjectKind,
    /// Its digest, by which a repeated `store` is known; not compared with the bytes here.
    pub digest: [u8; 32],
    /// Unix seconds after which it is dropped.
    pub expiry: u64,
    /// Delete permissions: the object is discarded when each has been used. A set: fetched sorted,
    /// without doubles. They may take 64 KiB in all, each counting 4 bytes more than its length.
    pub deleters: Vec<Vec<u8>>,
    /// The payload.
    pub bytes: Vec<u8>,
}

/// What became of something to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It was stored.
    New,
    /// It was here already, with this digest.
    AlreadyHeld {
        /// Until when it is kept, unix seconds.
        expiry: u64,
    },
}

/// What became of an object to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// There is no object at this key.
    NotFound,
    /// The requester has no permission to delete it, or has used it.
    NotPermitted,
    /// The permission is used; others remain, and so does the object.
    Kept,
    /// That was the last permission, and the object is gone.
    Discarded,
}

impl Store {
    /// Stores `object` at `key`. If it is held already, with the same permissions, the later expiry
    /// stays, but it moves by [`StoreLimits::extension`] at most in all; a permission that was used
    /// stays used. With other permissions it is another object: whoever holds the bytes could
    /// otherwise add a permission that is never used, or take one away. With `replace` it takes the
    /// place of another object at this key, permissions and all.
    ///
    /// [`StoreLimits::extension`]: super::StoreLimits::extension
    ///
    /// # Errors
    /// [`StoreError::TooLarge`], [`StoreError::Conflict`], [`StoreError::Full`],
    /// [`StoreError::Busy`]; faults.
    pub async fn store(
        &self,
        key: [u8; 32],
        object: StoredObject,
        replace: bool,
    ) -> Result<Stored, StoreError> {
        let StoredObject { kind, digest, expiry, deleters, bytes } = object;
        self.check_size(bytes.len())?;
        let deleters = deleters.into_iter().collect();
        let permissions = permissions(&deleters);
        let size = payload(&bytes);
        let latest = expiry.saturating_add(self.inner.shared.limits.extension);
        let object = ObjectRow { kind, digest, expiry, latest, permissions, size, deleters };
        let size = object.deleters_size();
        if size > MAX_DELETERS {
            return Err(StoreError::TooLarge { size, limit: MAX_DELETERS });
        }
        self.write(move |group| put(group, &key, &object, &bytes, replace)).await
    }

    /// Fetches the object at `key`.
    ///
    /// # Errors
    /// Faults.
    pub async fn fetch(&self, key: [u8; 32]) -> Result<Option<StoredObject>, StoreError> {
        self.read(move |txn| fetch(txn, &key)).await
    }

    /// Uses the permission `deleter` to delete the object at `key`.
    ///
    /// # Errors
    /// [`StoreError::Busy`]; faults.
    pub(crate) async fn delete(
        &self,
        key: [u8; 32],
        deleter: &[u8],
    ) -> Result<Deleted, StoreError> {
        let deleter = deleter.to_vec();
        self.free(move |group| delete(group, &key, &deleter)).await
    }
}

fn put(
    group: &mut Group<'_>,
    key: &[u8; 32],
    object: &ObjectRow,
    bytes: &[u8],
    replace: bool,
) -> Result<Stored, StoreError> {
    // The same object, stored with the same permissions.
    let known = |object: &ObjectRow| (object.kind, object.digest, object.permissions);
    let added = object.counted();
    match group.object(key)? {
        Some(held) if known(&held) == known(object) => {
            return repeat(group, key, held, object.expiry);
        }
        Some(_) if !replace => return Err(StoreError::Conflict),
        Some(other) => {
            group.check_room(added, other.counted())?;
            group.discard_object(key, &other)?;
        }
        None => group.check_room(added, 0)?,
    }
    group.put_object(key, object, bytes)?;
    Ok(Stored::New)
}

/// Moves the expiry of the object that is held already, as far as it may move.
fn repeat(
    group: &mut Group<'_>,
    key: &[u8; 32],
    mut held: ObjectRow,
    expiry: u64,
) -> Result<Stored, StoreError> {
    let before = held.expiry;
    if group.may_rewrite() {
        held.expiry = moved(before, expiry, held.latest);
    }
    if held.expiry != before {
        let row = held.encode()?;
        group.change();
        group.objects.insert(key, row.as_slice())?;
        group.expiries.remove((before, OBJECT, key, 0))?;
        group.expiries.insert((held.expiry, OBJECT, key, 0), ())?;
    }
    Ok(Stored::AlreadyHeld { expiry: held.expiry })
}

/// Where a repetition moves an expiry: ahead only, and not beyond `latest`. All unix seconds.
pub(super) fn moved(held: u64, repeated: u64, latest: u64) -> u64 {
    held.max(repeated.min(latest))
}

fn delete(group: &mut Group<'_>, key: &[u8; 32], deleter: &Vec<u8>) -> Result<Deleted, StoreError> {
    let Some(mut object) = group.object(key)? else {
        return Ok(Deleted::NotFound);
    };
    if !object.deleters.contains(deleter) {
        return Ok(Deleted::NotPermitted);
    }
    if object.deleters.len() == 1 {
        group.discard_object(key, &object)?;
        return Ok(Deleted::Discarded);
    }
    let before = object.counted();
    object.deleters.remove(deleter);
    group.change();
    group.totals.bytes = sub(group.totals.bytes, before.saturating_sub(object.counted()))?;
    group.objects.insert(key, object.encode()?.as_slice())?;
    Ok(Deleted::Kept)
}

fn fetch(txn: &ReadTransaction, key: &[u8; 32]) -> Result<Option<StoredObject>, StoreError> {
    let Some(row) = txn.open_table(OBJECTS)?.get(key)? else {
        return Ok(None);
    };
    let row = ObjectRow::decode(row.value())?;
    let ObjectRow { kind, digest, expiry, size, deleters, .. } = row;
    let mut bytes = Vec::new();
    for chunk in txn.open_table(CHUNKS)?.range((key, 0)..=(key, u32::MAX))? {
        bytes.extend_from_slice(chunk?.1.value());
    }
    if payload(&bytes) != size {
        return Err(StoreError::row("chunks"));
    }
    let deleters = deleters.into_iter().collect();
    Ok(Some(StoredObject { kind, digest, expiry, deleters, bytes }))
}

#[cfg(test)]
mod tests {
    use super::super::rows::{CHUNK, LEAST};
    use super::super::tests::{limits, object, temporary};
    use super::*;

    #[tokio::test]
    async fn stores_fetches_and_deletes() {
        let (_folder, store) = temporary(limits());
        for size in [0, 1, CHUNK, CHUNK + 1, 5 * CHUNK, 1 << 20] {
            let key = [u8::try_from(size % 251).unwrap(); 32];
            let body = object(1, size, &[b"bob", b"alice", b"bob"]);
            assert_eq!(store.store(key, body.clone(), false).await, Ok(Stored::New));
            let fetched = store.fetch(key).await.unwrap().unwrap();
            assert_eq!(fetched.deleters, [b"alice".to_vec(), b"bob".to_vec()]);
            assert_eq!(fetched.bytes, body.bytes);
            assert_eq!(store.delete(key, b"eve").await, Ok(Deleted::NotPermitted));
            assert_eq!(store.delete(key, b"bob").await, Ok(Deleted::Kept));
            assert_eq!(store.delete(key, b"bob").await, Ok(Deleted::NotPermitted));
            let alices = LEAST + payload(&body.bytes) + 4 + 5;
            assert_eq!(store.usage().await.unwrap().bytes, alices);
            assert_eq!(store.delete(key, b"alice").await, Ok(Deleted::Discarded));
            assert_eq!(store.delete(key, b"alice").await, Ok(Deleted::NotFound));
            assert_eq!(store.fetch(key).await, Ok(None));
        }
        assert_eq!(store.usage().await.unwrap().bytes, 0);
        store.verify().await.unwrap();
    }

    #[tokio::test]
    async fn a_repetition_moves_the_expiry_so_far_and_no_permission() {
        let (_folder, store) = temporary(super::super::StoreLimits { extension: 1000, ..limits() });
        let key = [1; 32];
        let first = object(1, 9, &[b"bob", b"carol"]);
        assert_eq!(store.store(key, first.clone(), false).await, Ok(Stored::New));
        let commits = store.usage().await.unwrap().commits;
        let again = async |expiry| {
            let again = StoredObject { expiry, ..first.clone() };
            store.store(key, again, true).await
        };
        assert_eq!(again(1000).await, Ok(Stored::AlreadyHeld { expiry: 1000 }));
        assert_eq!(store.usage().await.unwrap().commits, commits, "nothing to commit");
        assert_eq!(store.delete(key, b"bob").await, Ok(Deleted::Kept));
        for (expiry, held) in [(1500, 1500), (1400, 1500), (2500, 2000), (9999, 2000)] {
            assert_eq!(again(expiry).await, Ok(Stored::AlreadyHeld { expiry: held }));
        }
        let held = store.fetch(key).await.unwrap().unwrap();
        assert_eq!((held.expiry, held.deleters), (2000, vec![b"carol".to_vec()]), "bob's is used");
        store.verify().await.unwrap();
        assert_eq!(store.expire(2000, 10).await, Ok(0));
        assert_eq!(store.expire(2001, 10).await, Ok(1));
        store.verify().await.unwrap();
    }

    #[tokio::test]
    async fn nobody_adds_or_takes_a_permission() {
        let (_folder, store) = temporary(limits());
        let (none, bobs) = ([1; 32], [2; 32]);
        store.store(none, object(1, 9, &[]), false).await.unwrap();
        store.store(bobs, object(1, 9, &[b"bob"]), false).await.unwrap();
        for (key, others) in [
            (none, &[b"eve".as_slice()][..]),
            (bobs, &[b"eve"]),
            (bobs, &[b"bob", b"eve"]),
            (bobs, &[]),
        ] {
            let stored = store.store(key, object(1, 9, others), false).await;
            assert_eq!(stored, Err(StoreError::Conflict));
            assert_eq!(store.delete(key, b"eve").await, Ok(Deleted::NotPermitted));
        }
        assert_eq!(store.delete(bobs, b"bob").await, Ok(Deleted::Discarded), "bob is the last");
    }

    #[tokio::test]
    async fn delete_permissions_may_take_all_of_their_space_and_no_byte_more() {
        let (_folder, store) = temporary(limits());
        // Each counts for four bytes beside its own.
        let [most, over] = [0, 1].map(|more| vec![7; 65_536 - 4 + more]);
        let stored = store.store([1; 32], object(1, 9, &[&most]), false).await;
        assert_eq!(stored, Ok(Stored::New));
        assert_eq!(store.fetch([1; 32]).await.unwrap().unwrap().deleters, [most]);
        let refused = store.store([2; 32], object(2, 9, &[&over]), false).await;
        assert_eq!(refused, Err(StoreError::TooLarge { size: 65_537, limit: 65_536 }));
    }

    #[test]
    fn no_repetition_moves_an_expiry_where_the_space_is_for_deletions() {
        let limits = super::super::StoreLimits { extension: 1_000, ..limits() };
        let deleters = [b"bob".to_vec()].into();
        let row = |expiry| ObjectRow {
            kind: ObjectKind::Body,
            digest: [1; 32],
            expiry,
            latest: 2_000,
            permissions: permissions(&deleters),
            size: 9,
            deleters: deleters.clone(),
        };
        // The disk has room for one row, or for one byte less.
        for (room, held) in [(LEAST - 1, 1_000), (LEAST, 1_500)] {
            let folder = tempfile::tempdir().unwrap();
            let database = super::super::file::create(&folder.path().join("store")).unwrap();
            let store = |room, expiry| {
                let txn = database.begin_write().unwrap();
                let mut group = Group::open(&txn, &limits, |_| room).unwrap();
                let stored = put(&mut group, &[1; 32], &row(expiry), &[7; 9], false);
                group.finish().unwrap();
                txn.commit().unwrap();
                stored
            };
            assert_eq!(store(u64::MAX, 1_000), Ok(Stored::New));
            assert_eq!(store(room, 1_500), Ok(Stored::AlreadyHeld { expiry: held }), "{room}");
        }
    }

    #[tokio::test]
    async fn another_object_conflicts_unless_it_replaces() {
        let (_folder, store) = temporary(limits());
        let key = [1; 32];
        store.store(key, object(1, 3 * CHUNK, &[b"bob"]), false).await.unwrap();
        let other = object(2, 10, &[b"carol"]);
        assert_eq!(store.store(key, other.clone(), false).await, Err(StoreError::Conflict));
        assert_eq!(store.store(key, other.clone(), true).await, Ok(Stored::New));
        assert_eq!(store.fetch(key).await, Ok(Some(other)));
        let usage = store.usage().await.unwrap();
        assert_eq!((usage.bytes, usage.objects), (LEAST + 10 + 4 + 5, 1));
        store.verify().await.unwrap();
    }

    #[tokio::test]
    async fn quotas_are_exact() {
        let max_bytes = 2 * LEAST + 100;
        let (_folder, store) =
            temporary(super::super::StoreLimits { max_bytes, max_object: 60, ..limits() });
        let too_large = store.store([1; 32], object(1, 61, &[]), false).await;
        assert_eq!(too_large, Err(StoreError::TooLarge { size: 61, limit: 60 }));
        store.store([1; 32], object(1, 60, &[]), false).await.unwrap();
        let full = store.store([2; 32], object(2, 41, &[]), false).await;
        assert_eq!(full, Err(StoreError::Full { missing: 1 }));
        let full = store.store([2; 32], object(2, 31, &[b"carol!"]), false).await;
        assert_eq!(full, Err(StoreError::Full { missing: 1 }), "a permission counts 4 bytes more");
        assert!(store.store([2; 32], object(2, 40, &[]), false).await.is_ok());
        assert_eq!(store.usage().await.unwrap().bytes, max_bytes);
        let full = store.append_inbox([3; 32], [3; 32], vec![0; 7], 1).await;
        assert_eq!(full, Err(StoreError::Full { missing: LEAST + 7 }));
        let full = store.store([3; 32], object(3, 0, &[]), false).await;
        assert_eq!(full, Err(StoreError::Full { missing: LEAST }), "nothing is for nothing");
        assert!(
            store.store([1; 32], object(3, 60, &[]), true).await.is_ok(),
            "in place of as much"
        );
        let vast: Vec<&[u8]> = vec![&[0; MAX_DELETERS]];
        let refused = store.store([1; 32], object(3, 1, &vast), true).await;
        assert!(matches!(refused, Err(StoreError::TooLarge { limit: MAX_DELETERS, .. })));
        store.verify().await.unwrap();
    }
}
