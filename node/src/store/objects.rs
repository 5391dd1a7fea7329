//! Objects: the primitives `store`, `fetch` and `delete` (paper, section 2.2).

use std::mem;

use redb::ReadTransaction;

use super::group::{Group, Write};
use super::rows::{CHUNKS, MAX_DELETERS, OBJECT, OBJECTS, ObjectRow, payload};
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
    AlreadyHeld,
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
    /// Stores `object` at `key`. If it is held already, its permissions are united and the later
    /// expiry stays; an object held without any permission stays without, so that nobody can add
    /// one and delete it. With `replace` it takes the place of another object at this key,
    /// permissions and all.
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
        let object = ObjectRow { kind, digest, expiry, size: payload(&bytes), deleters };
        let size = object.deleters_size();
        if size > MAX_DELETERS {
            return Err(StoreError::TooLarge { size, limit: MAX_DELETERS });
        }
        self.write(StoreObject { key, object, bytes, replace }).await
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
    pub async fn delete(&self, key: [u8; 32], deleter: &[u8]) -> Result<Deleted, StoreError> {
        self.write(DeleteObject { key, deleter: deleter.to_vec() }).await
    }
}

struct StoreObject {
    key: [u8; 32],
    object: ObjectRow,
    bytes: Vec<u8>,
    replace: bool,
}

impl Write for StoreObject {
    type Answer = Stored;

    fn apply(&self, group: &mut Group<'_>) -> Result<Stored, StoreError> {
        let size = self.object.size;
        match group.object(&self.key)? {
            Some(held) if held.digest == self.object.digest => return self.unite(group, held),
            Some(_) if !self.replace => return Err(StoreError::Conflict),
            Some(other) => {
                group.check_room(size, other.size)?;
                group.discard_object(&self.key, &other)?;
            }
            None => group.check_room(size, 0)?,
        }
        group.put_object(&self.key, &self.object, &self.bytes)?;
        Ok(Stored::New)
    }
}

impl StoreObject {
    /// Adds what this `store` brings to the object that is held already.
    fn unite(&self, group: &mut Group<'_>, mut held: ObjectRow) -> Result<Stored, StoreError> {
        let before = (held.deleters.len(), held.expiry);
        if !held.deleters.is_empty() {
            held.deleters.extend(self.object.deleters.iter().cloned());
        }
        let expiry = held.expiry.max(self.object.expiry);
        let expired = mem::replace(&mut held.expiry, expiry);
        if before == (held.deleters.len(), held.expiry) {
            return Ok(Stored::AlreadyHeld);
        }
        let row = held.encode()?;
        group.change();
        group.objects.insert(&self.key, row.as_slice())?;
        group.expiries.remove((expired, OBJECT, &self.key, 0))?;
        group.expiries.insert((expiry, OBJECT, &self.key, 0), ())?;
        Ok(Stored::AlreadyHeld)
    }
}

struct DeleteObject {
    key: [u8; 32],
    deleter: Vec<u8>,
}

impl Write for DeleteObject {
    type Answer = Deleted;

    fn apply(&self, group: &mut Group<'_>) -> Result<Deleted, StoreError> {
        let Some(mut object) = group.object(&self.key)? else {
            return Ok(Deleted::NotFound);
        };
        if !object.deleters.remove(&self.deleter) {
            return Ok(Deleted::NotPermitted);
        }
        if object.deleters.is_empty() {
            group.discard_object(&self.key, &object)?;
            return Ok(Deleted::Discarded);
        }
        group.change();
        group.objects.insert(&self.key, object.encode()?.as_slice())?;
        Ok(Deleted::Kept)
    }
}

fn fetch(txn: &ReadTransaction, key: &[u8; 32]) -> Result<Option<StoredObject>, StoreError> {
    let Some(row) = txn.open_table(OBJECTS)?.get(key)? else {
        return Ok(None);
    };
    let ObjectRow { kind, digest, expiry, size, deleters } = ObjectRow::decode(row.value())?;
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
    use super::super::rows::CHUNK;
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
            assert_eq!(store.usage().await.unwrap().bytes, payload(&body.bytes));
            assert_eq!(store.delete(key, b"alice").await, Ok(Deleted::Discarded));
            assert_eq!(store.delete(key, b"alice").await, Ok(Deleted::NotFound));
            assert_eq!(store.fetch(key).await, Ok(None));
        }
        assert_eq!(store.usage().await.unwrap().bytes, 0);
        store.verify().await.unwrap();
    }

    #[tokio::test]
    async fn a_repeated_store_unites() {
        let (_folder, store) = temporary(limits());
        let key = [1; 32];
        let first = object(1, 9, &[b"bob"]);
        let again =
            StoredObject { expiry: 2000, deleters: vec![b"carol".to_vec()], ..first.clone() };
        assert_eq!(store.store(key, first.clone(), false).await, Ok(Stored::New));
        let commits = store.usage().await.unwrap().commits;
        assert_eq!(store.store(key, first.clone(), false).await, Ok(Stored::AlreadyHeld));
        assert_eq!(store.usage().await.unwrap().commits, commits, "nothing to commit");
        assert_eq!(store.store(key, again, true).await, Ok(Stored::AlreadyHeld));
        assert_eq!(store.store(key, first, false).await, Ok(Stored::AlreadyHeld));
        let held = store.fetch(key).await.unwrap().unwrap();
        assert_eq!((held.expiry, held.deleters), (2000, vec![b"bob".to_vec(), b"carol".to_vec()]));
        store.verify().await.unwrap();
        assert_eq!(store.expire(1999, 10).await, Ok(0));
        assert_eq!(store.expire(2001, 10).await, Ok(1));
        store.verify().await.unwrap();
    }

    #[tokio::test]
    async fn nobody_makes_an_undeletable_object_deletable() {
        let (_folder, store) = temporary(limits());
        let key = [1; 32];
        store.store(key, object(1, 9, &[]), false).await.unwrap();
        store.store(key, object(1, 9, &[b"eve"]), false).await.unwrap();
        assert_eq!(store.delete(key, b"eve").await, Ok(Deleted::NotPermitted));
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
        assert_eq!((usage.bytes, usage.objects), (10, 1));
        store.verify().await.unwrap();
    }

    #[tokio::test]
    async fn quotas_are_exact() {
        let (_folder, store) =
            temporary(super::super::StoreLimits { max_bytes: 100, max_object: 60, ..limits() });
        let too_large = store.store([1; 32], object(1, 61, &[]), false).await;
        assert_eq!(too_large, Err(StoreError::TooLarge { size: 61, limit: 60 }));
        store.store([1; 32], object(1, 60, &[]), false).await.unwrap();
        let full = store.store([2; 32], object(2, 41, &[]), false).await;
        assert_eq!(full, Err(StoreError::Full { missing: 1 }));
        assert!(store.store([2; 32], object(2, 40, &[]), false).await.is_ok());
        assert_eq!(store.usage().await.unwrap().bytes, 100);
        let full = store.append_inbox([3; 32], [3; 32], vec![0; 7], 1).await;
        assert_eq!(full, Err(StoreError::Full { missing: 7 }));
        assert!(store.append_inbox([3; 32], [3; 32], vec![], 1).await.is_ok());
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
