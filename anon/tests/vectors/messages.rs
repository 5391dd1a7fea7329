//! Our own known answers: requests, responses, receipts, proofs.

use std::fmt::Debug;

use anon::{
    authorization::{AuthorizationError, Deletion, InboxOperation, InboxProof},
    keys::{DeleteSecret, KeyError, SigningSecret as _},
    request::{InboxQuery, Request, Response},
    testing::{Cast, DIGESTS, LIST, key},
    time::Time,
    wire::{self, WireError},
};
use serde::Serialize;

use super::names::Members;
use crate::vector::{Vector, known_answers};

/// The messages of `generate.py`.
pub(crate) struct Messages {
    members: Members,
    delete: DeleteSecret,
    nonce: [u8; 16],
    expiry: Time,
}

impl Messages {
    pub(crate) fn read() -> Self {
        let file = known_answers!("cutout-storage");
        let expected = Vector(&file);
        Self {
            members: Members::read(),
            delete: DeleteSecret::from_seed(&expected.array("/delete_seed")),
            nonce: expected.array("/nonce"),
            expiry: Time(expected.number("/expiry")),
        }
    }

    pub(crate) fn cast(&self) -> Cast<'_> {
        let Members { network, now, nodes, owners, .. } = &self.members;
        Cast {
            network,
            now: *now,
            expiry: self.expiry,
            nodes: [0, 1, 2].map(|i| (&nodes[i].identity, &nodes[i].certificate)),
            owners: [0, 1].map(|i| (&owners[i].secret, &owners[i].certificate)),
            delete: &self.delete,
            nonce: self.nonce,
            proof_nonce: [8; 16],
        }
    }
}

#[test]
fn digests_and_receipts() {
    let file = known_answers!("cutout-storage");
    let (expected, messages) = (Vector(&file), Messages::read());
    let cast = messages.cast();
    assert_eq!(cast.store().digest(), expected.array("/store_digest"));
    assert_eq!(cast.append().digest(), expected.array("/append_digest"));
    for (number, receipt) in cast.receipts().iter().enumerate() {
        assert_eq!(wire::encode(receipt), expected.bytes(&format!("/receipts/{number}")));
    }
}

#[test]
fn proofs_of_permission() {
    let file = known_answers!("cutout-storage");
    let (expected, messages) = (Vector(&file), Messages::read());
    let (cast, members) = (messages.cast(), &messages.members);
    for (proof, name) in [
        (wire::encode(&cast.deletion()), "/deletion"),
        (wire::encode(&cast.proof(&LIST)), "/list"),
        (wire::encode(&cast.proof(&InboxQuery::HandOver(DIGESTS.to_vec()))), "/hand_over"),
        (wire::encode(&cast.acknowledgement()), "/acknowledge"),
    ] {
        assert_eq!(proof, expected.bytes(name), "{name}");
    }
    let (network, now) = (&members.network, members.now);
    let read: InboxProof = wire::decode(&expected.bytes("/list"), 1_024).unwrap();
    let owner =
        read.verify(network, InboxOperation::Read(&LIST), members.nodes[0].id(), now).unwrap();
    assert_eq!(owner.certificate, members.owners[1].certificate);
    let proof: InboxProof = wire::decode(&expected.bytes("/acknowledge"), 1_024).unwrap();
    let operation = InboxOperation::Acknowledge(&DIGESTS);
    assert!(proof.verify(network, operation, members.nodes[1].id(), now).is_ok());
    let deletion: Deletion = wire::decode(&expected.bytes("/deletion"), 1_024).unwrap();
    let permitted = deletion.verify(&network.id, members.nodes[2].id(), now);
    assert_eq!(permitted, Ok((key(), cast.delete.verify_key())));
    // Signed by the holder of the key, with R of small order.
    let lax: Deletion = wire::decode(&expected.bytes("/lax_deletion"), 1_024).unwrap();
    let refused = lax.verify(&network.id, members.nodes[2].id(), now);
    assert_eq!(refused, Err(AuthorizationError::Key(KeyError::BadSignature)));
}

/// The messages that `generate.py` does not make: it knows no handshake here, and no time.
const OTHERS: [&str; 4] = ["time", "extend", "extended", "listed_to_the_end"];

/// Compares messages with those of the file, of which none is left over.
fn assert_messages<M: Serialize + Debug + PartialEq>(
    which: &str,
    messages: Vec<(&str, M)>,
    decode: fn(&[u8]) -> Result<M, WireError>,
) {
    let file = known_answers!("cutout-messages");
    let known = file[which].as_object().unwrap();
    let messages = messages.into_iter().filter(|(name, _)| !OTHERS.contains(name));
    let mut compared = 0;
    for (name, message) in messages {
        let bytes = Vector(&file).bytes(&format!("/{which}/{name}"));
        assert_eq!(wire::encode(&message), bytes, "{name}");
        assert_eq!(decode(&bytes).as_ref(), Ok(&message), "{name}");
        compared += 1;
    }
    assert_eq!(compared, known.len());
}

#[test]
fn requests() {
    assert_messages("requests", Messages::read().cast().requests(), Request::decode);
}

#[test]
fn responses() {
    assert_messages("responses", Messages::read().cast().responses(), Response::decode);
}
