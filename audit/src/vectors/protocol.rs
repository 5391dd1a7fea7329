//! The protocol's own answers: encoding, names, certificates, receipts, proofs, sealed mail.

use anon::{
    answers::AnswerSeed,
    authorization::{AuthorizationError, Deletion, InboxOperation, InboxProof},
    certificate::{
        Address, NodeCertificate, SigningRequest, UnverifiedAddressCertificate,
        UnverifiedNodeCertificate,
    },
    id::{NetworkId, NodeId},
    keys::{
        AddressSecret, AuthoritySecret, ChannelSecret, DeleteSecret, IdentitySecret, KeyError,
        SealingSecret, SigningSecret as _,
    },
    mail::{DeleteSeed, Headers, MessageId, open_notification, seal_body, seal_notification},
    network::{Network, Revoked, UnverifiedRevocationList},
    padding::padme,
    position::Key,
    receipt::{Receipt, ReceiptKind},
    request::{InboxQuery, Request},
    testing::Cast,
    time::{Time, Validity},
    wire,
};

use super::{Compared, Known, channels::Tape};
use crate::property::{Node, Owner};

/// The text of a file, for those that build on another.
macro_rules! other_file {
    ($name:literal) => {
        &serde_json::from_str::<serde_json::Value>(include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../tests/vectors/",
            $name,
            ".json"
        )))
        .ok()?
    };
}
pub(super) use other_file;

/// The answers' network, and who is in it.
pub(super) struct Members {
    pub(super) network: Network,
    authority: AuthoritySecret,
    pub(super) now: Time,
    pub(super) nodes: Vec<Node>,
    owners: Vec<Owner>,
}

impl Members {
    pub(super) fn read() -> Option<Self> {
        Self::of(Known(other_file!("cutout-names")))
    }

    fn of(all: Known<'_>) -> Option<Self> {
        let authority = AuthoritySecret::from_seed(&all.array("/authority")?);
        let name = all.text("/name")?.to_owned();
        let network = Network {
            id: NetworkId::derive(&name, Some(&authority.verify_key())),
            name,
            authority: Some(authority.verify_key()),
            admission_required: false,
            k: 8,
            quorum: 5,
            epoch_seconds: 86_400,
            revoked: Revoked::default(),
            charter: None,
        };
        let now = Time(all.number("/now")?);
        let node = |known: Known<'_>| {
            let bytes = known.bytes("/certificate")?;
            let read: UnverifiedNodeCertificate = wire::decode(&bytes, 4_096).ok()?;
            Some(Node {
                identity: IdentitySecret::from_seed(&known.array("/identity")?),
                channel: ChannelSecret::from_seed(&known.array("/channel")?),
                certificate: read.verify(&network, now).ok()?,
            })
        };
        let owner = |known: Known<'_>| {
            let read = UnverifiedAddressCertificate::decode(&known.bytes("/certificate")?).ok()?;
            Some(Owner {
                secret: AddressSecret::from_seed(&known.array("/secret")?),
                sealing: SealingSecret::from_seed(&known.array("/sealing")?),
                certificate: read.verify(&network, now).ok()?,
            })
        };
        let nodes = all.list("/nodes")?.map(node).collect::<Option<_>>()?;
        let owners = all.list("/owners")?.map(owner).collect::<Option<_>>()?;
        Some(Self { network, authority, now, nodes, owners })
    }

    /// Three of the nodes and two of the owners, for messages of theirs.
    pub(super) fn cast<'a>(
        &'a self,
        delete: &'a DeleteSecret,
        nonce: [u8; 16],
        proof_nonce: [u8; 16],
        expiry: Time,
    ) -> Option<Cast<'a>> {
        let ([a, b, c, ..], [alice, bob, ..]) = (&self.nodes[..], &self.owners[..]) else {
            return None;
        };
        let (network, now) = (&self.network, self.now);
        let nodes = [a, b, c].map(|node| (&node.identity, &node.certificate));
        let owners = [alice, bob].map(|owner| (&owner.secret, &owner.certificate));
        Some(Cast { network, now, expiry, nodes, owners, delete, nonce, proof_nonce })
    }

    pub(super) fn node(&self, at: usize) -> Option<NodeId> {
        self.nodes.get(at).map(|node| node.certificate.node())
    }
}

/// Numbers, and padded lengths.
pub(super) fn encoding(known: Known<'_>, compared: &mut Compared) -> Option<()> {
    for case in known.list("/numbers")? {
        let number: u64 = case.text("/number")?.parse().ok()?;
        let encoded = case.bytes("/encoded")?;
        let same = wire::encode(&number) == encoded && wire::decode(&encoded, 9) == Ok(number);
        compared.same(case.text("/number")?, same);
    }
    for case in known.list("/padme")? {
        let length = case.length("/length")?;
        compared.same("a padded length", padme(length) == case.length("/padded")?);
    }
    Some(())
}

/// The network, keys, addresses and certificates.
pub(super) fn names(known: Known<'_>, compared: &mut Compared) -> Option<()> {
    let members = Members::of(known)?;
    let id = members.network.id;
    compared.same("the network", id.0 == known.array("/network")?);
    let authority = members.authority.verify_key();
    compared.same("the authority", authority.0 == known.array("/authority_key")?);
    let alone = NetworkId::derive(known.text("/name")?, None);
    compared.same("without authority", alone.0 == known.array("/network_without_authority")?);
    let key = Key::of_identifier(known.text("/key/identifier")?);
    compared.same("a key", key.0 == known.array("/key/key")?);
    compared.same("a position", key.position().0 == known.array("/key/position")?);
    let message = MessageId(known.array("/message_id/bytes")?);
    let name = known.text("/name")?;
    compared.same("a Message-ID", message.to_text(name) == known.text("/message_id/text")?);
    compared.same("its key", message.key(name).0 == known.array("/message_id/key")?);
    nodes(known, &members, compared)?;
    owners(known, &members, compared)?;
    let request = SigningRequest::for_node(&id, &members.nodes.first()?.identity);
    let expected = known.bytes("/node_signing_request")?;
    compared.same("a node's signing request", wire::encode(&request) == expected);
    let revoked = Revoked {
        nodes: [members.node(1)?].into(),
        addresses: [members.owners.first()?.secret.verify_key()].into(),
    };
    let list = UnverifiedRevocationList::issue(&members.authority, &id, 7, members.now, &revoked);
    compared.same("a revocation list", wire::encode(&list) == known.bytes("/revocation_list")?);
    Some(())
}

fn nodes(known: Known<'_>, members: &Members, compared: &mut Compared) -> Option<()> {
    let validity = Validity {
        not_before: Time(known.number("/not_before")?),
        not_after: Time(known.number("/not_after")?),
    };
    for (case, node) in known.list("/nodes")?.zip(&members.nodes) {
        let claims = node.certificate.claims();
        let same = claims.identity.0 == case.array("/id")?
            && node.identity.verify_key().0 == claims.identity.0
            && claims.identity.position().0 == case.array("/position")?
            && claims.channel_key == node.channel.agreement_key()
            && claims.validity == validity
            && claims.family == case.text("/family")?
            && node.certificate.digest() == case.array("/digest")?;
        compared.same("a node", same);
        let issued = NodeCertificate::issue(&node.identity, claims.clone());
        compared.same("its certificate", wire::encode(&issued) == case.bytes("/certificate")?);
    }
    Some(())
}

fn owners(known: Known<'_>, members: &Members, compared: &mut Compared) -> Option<()> {
    let id = members.network.id;
    for (case, owner) in known.list("/owners")?.zip(&members.owners) {
        let (claims, address) = (owner.certificate.claims(), owner.certificate.address());
        let sealing = owner.sealing.agreement_key();
        let own = (owner.secret.verify_key(), sealing);
        let same = address.to_string() == case.text("/address")?
            && address.inbox().0 == case.array("/inbox")?
            && address.certificate().0 == case.array("/certificate_key")?
            && (claims.verify_key, claims.sealing_key) == own;
        compared.same("an address", same);
        let by_itself = Address::self_certifying(&members.network, &own.0, &own.1) == *address;
        let issued = if by_itself {
            UnverifiedAddressCertificate::self_signed(&owner.secret, claims.clone())
        } else {
            UnverifiedAddressCertificate::issue(&members.authority, claims.clone())
        };
        compared.same("its certificate", wire::encode(&issued) == case.bytes("/certificate")?);
        let request = SigningRequest::for_address(&id, &owner.secret, address.clone(), sealing);
        let expected = case.bytes("/signing_request")?;
        compared.same("its signing request", wire::encode(&request) == expected);
    }
    Some(())
}

/// Digests, receipts and proofs of permission.
pub(super) fn storage(known: Known<'_>, compared: &mut Compared) -> Option<()> {
    let members = Members::read()?;
    let messages = Known(other_file!("cutout-messages"));
    let request = |name: &str| Request::decode(&messages.bytes(&format!("/requests/{name}"))?).ok();
    let Request::Store(store) = request("store")? else { return None };
    let Request::AppendInbox(append) = request("append")? else { return None };
    compared.same("store digest", store.digest() == known.array("/store_digest")?);
    compared.same("append digest", append.digest() == known.array("/append_digest")?);
    compared.same("nonce", store.nonce == known.array("/nonce")? && append.nonce == store.nonce);
    let expected = [
        (ReceiptKind::Stored, store.key, store.digest(), store.object.len()),
        (ReceiptKind::Appended, append.inbox, append.digest(), append.notification.len()),
    ];
    let all = known.list("/receipts")?.zip(&members.nodes).zip(expected);
    for ((receipt, node), (kind, key, digest, size)) in all {
        let bytes = receipt.bytes("")?;
        let read: Receipt = wire::decode(&bytes, 1_024).ok()?;
        let claims = &read.claims;
        let same = (claims.kind, claims.key, claims.digest) == (kind, key, digest)
            && usize::try_from(claims.size) == Ok(size)
            && claims.expiry.0 == known.number("/expiry")?
            && claims.nonce == store.nonce
            && read.verify(&members.network.id).is_ok();
        compared.same("a receipt", same);
        let issued = Receipt::issue(&node.identity, read.claims);
        compared.same("its signature", wire::encode(&issued) == bytes);
    }
    proofs(known, compared, &members, store.key)
}

fn proofs(known: Known<'_>, compared: &mut Compared, members: &Members, key: Key) -> Option<()> {
    let (network, now) = (&members.network, members.now);
    let [alice, bob, ..] = &members.owners[..] else { return None };
    let [a, b, c] = [members.node(0)?, members.node(1)?, members.node(2)?];
    let delete = DeleteSecret::from_seed(&known.array("/delete_seed")?);
    let digests =
        known.list("/digests")?.map(|digest| digest.array("")).collect::<Option<Vec<_>>>()?;
    let acknowledge = InboxOperation::Acknowledge(&digests);
    let nonce = known.array("/proof_nonce")?;
    let prove = |owner: &Owner, operation, node| {
        InboxProof::sign(&owner.secret, &owner.certificate, operation, node, now, nonce)
    };
    let deletion = Deletion::sign(&delete, &network.id, key, c, now);
    let good = deletion.verify(&network.id, c, now) == Ok((key, delete.verify_key()));
    compared.same("a deletion", good && wire::encode(&deletion) == known.bytes("/deletion")?);
    let list = InboxQuery::List { from: 300, count: 4_096 };
    let hand_over = InboxQuery::HandOver(digests.clone());
    for (name, owner, operation, node) in [
        ("/list", bob, InboxOperation::Read(&list), a),
        ("/hand_over", bob, InboxOperation::Read(&hand_over), a),
        ("/acknowledge", alice, acknowledge, b),
    ] {
        let proof = prove(owner, operation, node);
        let good = proof.verify(network, operation, node, now).is_ok();
        compared.same(name, good && wire::encode(&proof) == known.bytes(name)?);
    }
    // Signed by the holder of the key, with R of small order.
    let lax: Deletion = wire::decode(&known.bytes("/lax_deletion")?, 1_024).ok()?;
    let refused = lax.verify(&network.id, c, now);
    let expected = Err(AuthorizationError::Key(KeyError::BadSignature));
    compared.same("a deletion by the lax rules", refused == expected);
    Some(())
}

/// A sealed body and a sealed, signed notification.
pub(super) fn mail(known: Known<'_>, compared: &mut Compared) -> Option<()> {
    let members = Members::read()?;
    let [alice, bob, ..] = &members.owners[..] else { return None };
    let content = known.bytes("/content")?;
    let mut tape = Tape::new([known.bytes("/body_key")?, known.bytes("/message_id")?].concat());
    let sealed = seal_body(&content, &mut tape).ok()?.pop()?;
    compared.same("a body", tape.is_used_up() && sealed.object == known.bytes("/object")?);
    let seed = Some(DeleteSeed::from_bytes(known.array("/delete_seed")?));
    let (to, date) = (bob.certificate.address().clone(), Time(known.number("/date")?));
    let headers = Headers::new(to, date, known.text("/subject")?, 1_000, &[sealed.part], seed)
        .signed(&alice.secret, &alice.certificate);
    compared.same("headers", wire::encode(&headers) == known.bytes("/headers")?);
    let mut tape = Tape::new(known.bytes("/ephemeral")?);
    let notification = seal_notification(&headers, &bob.certificate, &mut tape).ok()?;
    compared.same("a notification", notification == known.bytes("/notification")?);
    let opened = open_notification(&notification, &bob.sealing, &bob.certificate).ok()?;
    let part = opened.parts.first()?;
    compared.same("the body, opened", part.open(&known.bytes("/object")?) == Ok(content));
    let secret = opened.delete_secret(part)?.expose_seed();
    compared.same("the delete key", secret == known.array("/delete_secret")?);
    let sender = opened.verified_sender(&members.network, members.now);
    compared.same("the sender", sender == Ok(Some(alice.certificate.address().clone())));
    answers(known, compared, &members)
}

/// The secrets of addresses for answers.
fn answers(known: Known<'_>, compared: &mut Compared, members: &Members) -> Option<()> {
    let seed = AnswerSeed::from_bytes([0x84; 32]);
    for answer in known.list("/answers")? {
        let number = u32::try_from(answer.number("/number")?).ok()?;
        let (signing, sealing) = seed.secrets(&members.network.id, number);
        let same = signing.expose_seed() == answer.array("/signing")?
            && sealing.expose_seed() == answer.array("/sealing")?;
        compared.same("an address for answers", same);
    }
    Some(())
}
