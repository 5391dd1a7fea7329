//! The five primitives at one node (paper, 2.2). A receipt is signed once the object is durable, never before.

use anon::{
    authorization::{Deletion, InboxOperation, InboxOwner, InboxProof},
    certificate::{AddressCertificate, UnverifiedAddressCertificate},
    position::Key,
    receipt::{Receipt, ReceiptClaims, ReceiptKind},
    request::{self, Append, DeletePermission, InboxPage, InboxQuery, ObjectKind, Response},
    time::Time,
};
use serde_bytes::ByteBuf;

use super::StandardService;
use crate::store::{ObjectKind as StoredKind, StoreError, Stored, StoredObject};

impl StandardService {
    pub(super) async fn store_object(&self, store: request::Store) -> Response {
        let current = self.clock.now();
        let Some(deleters) = self.deleters(&store.deleters, current) else {
            return Response::Refused;
        };
        let Some((kind, expiry, replace)) = self.check_object(&store, &deleters, current).await
        else {
            return Response::Refused;
        };
        let digest = store.digest();
        let claims =
            self.claims(ReceiptKind::Stored, store.key, digest, &store.object, expiry, store.nonce);
        let object = StoredObject {
            kind,
            digest: anon_digest(&store.object),
            expiry: expiry.0,
            deleters,
            bytes: store.object,
        };
        let mut stored = self.store.store(store.key.0, object.clone(), replace).await;
        if let Err(StoreError::Full { missing }) = stored {
            self.collector.make_room(missing).await;
            stored = self.store.store(store.key.0, object, replace).await;
        }
        self.acknowledge_write(stored, claims)
    }

    /// What a store keeps and until when; `None` if the object is not what it says it is.
    async fn check_object(
        &self,
        store: &request::Store,
        deleters: &[Vec<u8>],
        current: Time,
    ) -> Option<(StoredKind, Time, bool)> {
        match store.kind {
            ObjectKind::Body => {
                let expiry = current.after(self.limits.retention_seconds);
                (!store.object.is_empty()).then_some((StoredKind::Body, expiry, false))
            }
            ObjectKind::Certificate => {
                let certificate = self.verified_certificate(&store.object, current)?;
                let claims = certificate.claims();
                // Its owner may delete it, and nobody else, whoever brings it.
                let is_owners = *deleters == [claims.verify_key.0.to_vec()];
                if certificate.address().certificate() != store.key || !is_owners {
                    return None;
                }
                // A later certificate takes an earlier one's place; never the other way round.
                let held = self.store.fetch(store.key.0).await.ok()?;
                let newer = match held.and_then(|o| self.verified_certificate(&o.bytes, current)) {
                    Some(held) => held.newer(certificate.clone()) == certificate,
                    None => true,
                };
                let longest = current.after(self.limits.certificate_seconds);
                let expiry = Time(claims.validity.not_after.0.min(longest.0));
                newer.then_some((StoredKind::Certificate, expiry, true))
            }
        }
    }

    fn verified_certificate(&self, bytes: &[u8], current: Time) -> Option<AddressCertificate> {
        UnverifiedAddressCertificate::decode(bytes).ok()?.verify(&self.network, current).ok()
    }

    /// The keys that may delete; `None` if one of them is not acceptable.
    fn deleters(&self, permissions: &[DeletePermission], current: Time) -> Option<Vec<Vec<u8>>> {
        let key = |permission: &DeletePermission| match permission {
            DeletePermission::OneTimeKey(key) => key.check().ok().map(|()| key.0.to_vec()),
            DeletePermission::Certificate(certificate) => {
                let certificate = (**certificate).clone().verify(&self.network, current).ok()?;
                Some(certificate.claims().verify_key.0.to_vec())
            }
        };
        permissions.iter().map(key).collect()
    }

    pub(super) async fn fetch(&self, key: Key) -> Response {
        match self.store.fetch(key.0).await {
            Ok(Some(object)) => Response::Object(object.bytes),
            Ok(None) => Response::NotFound,
            Err(error) => refuse(&error),
        }
    }

    pub(super) async fn delete(&self, deletion: &Deletion) -> Response {
        let current = self.clock.now();
        let verified = deletion.verify(&self.network.id, self.identity.node(), current);
        let Ok((key, permission)) = verified else {
            return Response::Refused;
        };
        use crate::store::Deleted;
        match self.store.delete(key.0, &permission.0).await {
            Ok(Deleted::Kept | Deleted::Discarded | Deleted::NotFound) => Response::Deleted,
            Ok(Deleted::NotPermitted) => Response::Refused,
            Err(error) => refuse(&error),
        }
    }

    pub(super) async fn append_inbox(&self, append: Append) -> Response {
        let expiry = self.clock.now().after(self.limits.retention_seconds);
        let digest = append.digest();
        let claims = self.claims(
            ReceiptKind::Appended,
            append.inbox,
            digest,
            &append.notification,
            expiry,
            append.nonce,
        );
        let (key, entry) = (append.inbox.0, anon_digest(&append.notification));
        let notification = append.notification;
        let mut appended =
            self.store.append_inbox(key, entry, notification.clone(), expiry.0).await;
        if let Err(StoreError::Full { missing }) = appended {
            self.collector.make_room(missing).await;
            appended = self.store.append_inbox(key, entry, notification, expiry.0).await;
        }
        self.acknowledge_write(appended, claims)
    }

    pub(super) async fn read_inbox(&self, proof: &InboxProof, query: &InboxQuery) -> Response {
        let Some(owner) = self.owner(proof, InboxOperation::Read(query)) else {
            return Response::Refused;
        };
        let inbox = owner.certificate.address().inbox().0;
        let page = match query {
            InboxQuery::List { from, count } => {
                let list = self.store.list_inbox(inbox, *from, usize::from(*count)).await;
                list.map(|list| InboxPage::List { digests: list.digests, next: list.next })
            }
            InboxQuery::HandOver(digests) => {
                let handed_over = self.store.hand_over(inbox, digests).await;
                handed_over
                    .map(|all| InboxPage::HandedOver(all.into_iter().map(ByteBuf::from).collect()))
            }
        };
        page.map_or_else(|error| refuse(&error), Response::Inbox)
    }

    pub(super) async fn acknowledge(&self, proof: &InboxProof, digests: &[[u8; 32]]) -> Response {
        let Some(owner) = self.owner(proof, InboxOperation::Acknowledge(digests)) else {
            return Response::Refused;
        };
        match self.store.acknowledge(owner.certificate.address().inbox().0, digests).await {
            Ok(removed) => Response::Acknowledged(removed),
            Err(error) => refuse(&error),
        }
    }

    /// Who the owner is, if the proof is good, for this node, and new.
    fn owner(&self, proof: &InboxProof, operation: InboxOperation<'_>) -> Option<InboxOwner> {
        let (node, current) = (self.identity.node(), self.clock.now());
        let owner = proof.verify(&self.network, operation, node, current).ok()?;
        self.nonces.insert(owner.nonce).then_some(owner)
    }

    fn claims(
        &self,
        kind: ReceiptKind,
        key: Key,
        digest: [u8; 32],
        content: &[u8],
        expiry: Time,
        nonce: [u8; 16],
    ) -> ReceiptClaims {
        let size = u64::try_from(content.len()).unwrap_or(u64::MAX);
        let (network, node) = (self.network.id, self.identity.node());
        ReceiptClaims { network, kind, key, digest, size, expiry, node, nonce }
    }

    /// Signs for what was kept, until when it is kept.
    fn acknowledge_write(
        &self,
        written: Result<Stored, StoreError>,
        mut claims: ReceiptClaims,
    ) -> Response {
        match written {
            Ok(stored) => {
                if let Stored::AlreadyHeld { expiry } = stored {
                    claims.expiry = Time(expiry);
                }
                Response::Receipt(Box::new(Receipt::issue(self.identity.secret(), claims)))
            }
            Err(error) => refuse(&error),
        }
    }
}

fn anon_digest(bytes: &[u8]) -> [u8; 32] {
    use sha2::{Digest as _, Sha256};
    Sha256::digest(bytes).into()
}

/// What a peer is told of a failure: that there is no room, or nothing.
fn refuse(error: &StoreError) -> Response {
    tracing::debug!(%error, "the store refuses");
    match error {
        StoreError::Full { .. }
        | StoreError::InboxFull
        | StoreError::Io(std::io::ErrorKind::StorageFull) => Response::Full,
        _ => Response::Refused,
    }
}

#[cfg(test)]
mod tests {
    use anon::{
        certificate::{Address, AddressClaims},
        keys::{AddressSecret, SealingSecret, SigningSecret as _},
        time::Validity,
    };

    use super::*;
    use crate::{Running, testing};

    /// A certificate of one address that was signed so many seconds ago.
    fn signed(node: &Running, ago: u64) -> UnverifiedAddressCertificate {
        let (signing, sealing) =
            (AddressSecret::from_seed(&[1; 32]), SealingSecret::from_seed(&[2; 32]));
        let (verify_key, sealing_key) = (signing.verify_key(), sealing.agreement_key());
        let network = node.network();
        let claims = AddressClaims {
            network: network.id,
            address: Address::self_certifying(network, &verify_key, &sealing_key),
            verify_key,
            sealing_key,
            validity: Validity::starting(node.service().clock.now().before(ago), 1_000_000),
        };
        UnverifiedAddressCertificate::self_signed(&signing, claims)
    }

    /// What the node answers to whoever brings a certificate for this key.
    async fn bring(
        node: &Running,
        key: Key,
        certificate: &UnverifiedAddressCertificate,
    ) -> Response {
        let deleter = AddressSecret::from_seed(&[1; 32]).verify_key();
        let store = request::Store {
            key,
            kind: ObjectKind::Certificate,
            object: anon::wire::encode(certificate),
            deleters: vec![DeletePermission::OneTimeKey(deleter)],
            nonce: [0; 16],
        };
        node.service().store_object(store).await
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_certificate_lies_at_its_own_key_and_gives_way_to_newer_ones_alone() {
        let (node, _directory) = testing::node().await;
        let own = signed(&node, 0)
            .verify(node.network(), node.service().clock.now())
            .unwrap()
            .address()
            .certificate();
        let held = async || node.service().fetch(own).await;
        let holds = |certificate| Response::Object(anon::wire::encode(certificate));
        // Elsewhere it would be in the way of whoever belongs there.
        for key in [Key([7; 32]), Key(own.0.map(|byte| byte ^ 1))] {
            assert_eq!(bring(&node, key, &signed(&node, 0)).await, Response::Refused);
            assert_eq!(node.service().fetch(key).await, Response::NotFound);
        }
        let [older, newer, newest] = [300, 200, 100].map(|ago| signed(&node, ago));
        for (brought, is_kept) in
            [(&newer, true), (&older, false), (&newest, true), (&newer, false), (&older, false)]
        {
            let answer = bring(&node, own, brought).await;
            assert_eq!(matches!(answer, Response::Receipt(_)), is_kept, "{answer:?}");
            assert_eq!(held().await == holds(brought), is_kept);
        }
        assert_eq!(held().await, holds(&newest));
    }
}
