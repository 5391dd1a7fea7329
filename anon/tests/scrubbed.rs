//! What is secret, or tells of a person, is not printed, not even by `{:?}`: whatever is logged, an error or a panic
//! shows a name and no more.
#![cfg(test)]

#[path = "support/world.rs"]
mod world;

use std::fmt::Debug;

use anon::{
    answers::AnswerSeed,
    cell::Cell,
    certificate::Address,
    handshake::{self, Initiator},
    keys::EphemeralSecret,
    labels,
    mail::{DeleteSeed, Headers, MessageId, SealedPart, seal_body},
};

use crate::world::{NOW, Node, Owner, rng};

#[track_caller]
fn prints(value: &impl Debug, expected: &str) {
    assert_eq!(format!("{value:?}"), expected);
}

#[test]
fn secrets_and_persons_are_not_printed() {
    let mut rng = rng(1);
    prints(&AnswerSeed::from_bytes([0x42; 32]), "AnswerSeed(..)");
    prints(&DeleteSeed::from_bytes([0x42; 32]), "DeleteSeed(..)");
    prints(&MessageId([0x42; 20]), "MessageId([scrubbed])");
    prints(&Address::parse("bob@test.alt").unwrap(), "Address([scrubbed])");
    let ephemeral = EphemeralSecret::generate(&mut rng);
    let shared = ephemeral.agree(&EphemeralSecret::generate(&mut rng).agreement_key()).unwrap();
    prints(&shared, "SharedSecret(..)");
    prints(&shared.derive(&[], labels::DELETE_KEY, &[]), "DerivedKey(..)");

    let SealedPart { part, .. } = seal_body(b"secret", &mut rng).unwrap().remove(0);
    let shown = format!("{part:?}");
    assert!(
        shown.contains("key: BodyKey(..)") && shown.contains("MessageId([scrubbed])"),
        "{shown}"
    );
    let alice = Owner::named("alice", 1);
    let to = alice.certificate.address().clone();
    let headers = Headers::new(to, NOW, "secret", 6, &[part], None);
    let headers = headers.signed(&alice.secret, &alice.certificate);
    prints(&headers, "Headers(..)");
    prints(&headers.sender.unwrap(), "SenderProof(..)");
}

#[test]
fn handshakes_and_cells_are_not_printed() {
    let (node, mut rng) = (Node::new(1), rng(2));
    prints(&node.certificate, &format!("NodeCertificate({})", node.id().short()));
    assert_eq!(node.id().short(), data_encoding::HEXLOWER.encode(&node.id().0[..4]));
    let (initiator, create) = Initiator::start(&node.hop(), None, &mut rng).unwrap();
    prints(&initiator, "Initiator(..)");
    prints(&Cell::create(&create), "Cell(..)");
    let (_, created, _) = handshake::respond(&create, &node.responder(), &mut rng).unwrap();
    prints(&initiator.finish(&created).unwrap(), "HopKeys(..)");
}
