//! Which receipts count, and which do not, with the exact reason.
#![cfg(test)]

#[path = "support/world.rs"]
mod world;

use anon::{
    keys::{KeyError, SigningSecret as _},
    labels,
    position::Key,
    receipt::{Expected, Receipt, ReceiptClaims, ReceiptError, ReceiptKind, Tally},
    request::{Append, ObjectKind, Request, Store},
    time::Time,
    verification::ReplicaSet,
};

use crate::world::{Change, NOW, Node, network, other_network};

const KEY: Key = Key([3; 32]);
const KEEP_UNTIL: Time = NOW.after(86_400);

fn nodes() -> Vec<Node> {
    (1..=4).map(Node::new).collect()
}

fn replica_set(nodes: &[Node]) -> ReplicaSet {
    let list = || nodes.iter().map(|node| node.certificate.clone()).collect();
    ReplicaSet::agree(KEY, list(), list()).unwrap()
}

fn expected() -> Expected {
    Expected {
        network: network().id,
        kind: ReceiptKind::Stored,
        key: KEY,
        digest: [5; 32],
        size: 300,
        nonce: [6; 16],
        keep_until: KEEP_UNTIL,
    }
}

fn claims(node: &Node) -> ReceiptClaims {
    let Expected { network, kind, key, digest, size, nonce, keep_until } = expected();
    let (expiry, node) = (keep_until, node.id());
    ReceiptClaims { network, kind, key, digest, size, expiry, node, nonce }
}

fn receipt(node: &Node) -> Receipt {
    Receipt::issue(&node.identity, claims(node))
}

/// What a fresh tally over four nodes says to one receipt.
fn counted(receipt: Receipt) -> Result<(), ReceiptError> {
    let mut tally = Tally::new(expected());
    let result = tally.count(&replica_set(&nodes()), receipt);
    assert_eq!(tally.len(), usize::from(result.is_ok()));
    assert_eq!(tally.is_empty(), result.is_err());
    result
}

#[test]
fn a_receipt_is_expected_of_what_is_stored_and_of_nothing_else() {
    let (network, nonce) = (network().id, [6; 16]);
    let of = |request: &Request| Expected::of(request, network, KEEP_UNTIL);
    let (kind, object) = (ObjectKind::Body, vec![1; 300]);
    let store = Store { key: KEY, kind, object, deleters: Vec::new(), nonce };
    let append = Append { inbox: KEY, notification: vec![2; 200], nonce };
    let expect = |kind, digest, size| {
        Some(Expected { network, kind, key: KEY, digest, size, nonce, keep_until: KEEP_UNTIL })
    };
    let (stored, appended) = (store.digest(), append.digest());
    assert_ne!(stored, appended);
    assert_eq!(of(&Request::Store(store)), expect(ReceiptKind::Stored, stored, 300));
    assert_eq!(of(&Request::AppendInbox(append)), expect(ReceiptKind::Appended, appended, 200));
    assert_eq!(of(&Request::Time), None);
}

#[test]
fn one_receipt_a_node_counts() {
    let nodes = nodes();
    let set = replica_set(&nodes);
    let mut tally = Tally::new(expected());
    for (number, node) in nodes.iter().enumerate() {
        assert_eq!(tally.len(), number);
        assert_eq!(tally.count(&set, receipt(node)), Ok(()));
    }
    assert_eq!(tally.len(), 4);
}

#[test]
fn k_copies_of_one_nodes_receipt_count_once() {
    let nodes = nodes();
    let set = replica_set(&nodes);
    let mut tally = Tally::new(expected());
    assert_eq!(tally.count(&set, receipt(&nodes[0])), Ok(()));
    for later in 0..4 {
        let again = claims(&nodes[0]);
        let again = ReceiptClaims { expiry: again.expiry.after(later), ..again };
        let again = Receipt::issue(&nodes[0].identity, again);
        assert_eq!(tally.count(&set, again), Err(ReceiptError::Duplicate));
    }
    assert_eq!(tally.len(), 1);
}

#[test]
fn a_node_outside_the_set_does_not_count() {
    assert_eq!(counted(receipt(&Node::new(9))), Err(ReceiptError::NotAReplica));
}

#[test]
fn a_receipt_for_another_operation_does_not_count() {
    let node = Node::new(1);
    let changes: [Change<'_, ReceiptClaims>; 6] = [
        ("network", &|c| c.network = other_network().id),
        ("kind", &|c| c.kind = ReceiptKind::Appended),
        ("key", &|c| c.key.0[31] ^= 1),
        ("digest", &|c| c.digest[0] ^= 1),
        ("size", &|c| c.size += 1),
        ("nonce (a replay)", &|c| c.nonce[15] ^= 1),
    ];
    assert_eq!(counted(receipt(&node)), Ok(()));
    for (what, change) in changes {
        let mut claims = claims(&node);
        change(&mut claims);
        let receipt = Receipt::issue(&node.identity, claims);
        assert_eq!(counted(receipt), Err(ReceiptError::OtherOperation), "{what}");
    }
}

#[test]
fn a_receipt_that_expires_too_soon_does_not_count() {
    let node = Node::new(1);
    for (expiry, result) in [
        (KEEP_UNTIL.before(1), Err(ReceiptError::ExpiresTooSoon)),
        (KEEP_UNTIL, Ok(())),
        (KEEP_UNTIL.after(1), Ok(())),
        (Time(0), Err(ReceiptError::ExpiresTooSoon)),
    ] {
        let claims = ReceiptClaims { expiry, ..claims(&node) };
        assert_eq!(counted(Receipt::issue(&node.identity, claims)), result, "{expiry:?}");
    }
}

#[test]
fn a_forged_receipt_does_not_count() {
    let (node, other) = (Node::new(1), Node::new(2));
    let forged = Err(ReceiptError::Forged(KeyError::BadSignature));
    // Signed by another member, in the first one's name.
    assert_eq!(counted(Receipt::issue(&other.identity, claims(&node))), forged);
    // Another member's signature taken over.
    let taken = Receipt { claims: claims(&node), signature: receipt(&other).signature };
    assert_eq!(counted(taken), forged);
    // What is not compared with the operation is signed all the same.
    let mut longer = receipt(&node);
    longer.claims.expiry = longer.claims.expiry.after(1);
    assert_eq!(counted(longer), forged);
    // Signed for another purpose, or in another network.
    for (label, id) in [(labels::DELETE, network().id), (labels::RECEIPT, other_network().id)] {
        let signature = node.identity.sign(label, &id, &claims(&node));
        assert_eq!(counted(Receipt { claims: claims(&node), signature }), forged);
    }
    for at in 0..64 {
        let mut bent = receipt(&node);
        bent.signature.0[at] ^= 1;
        assert_eq!(counted(bent), forged, "byte {at}");
    }
}

#[test]
fn a_forged_receipt_does_not_keep_out_the_genuine_one() {
    let nodes = nodes();
    let set = replica_set(&nodes);
    let mut tally = Tally::new(expected());
    let mut forged = receipt(&nodes[0]);
    forged.signature = receipt(&nodes[1]).signature;
    assert!(tally.count(&set, forged).is_err());
    assert_eq!(tally.count(&set, receipt(&nodes[0])), Ok(()));
}

#[test]
fn the_missing_nodes_are_named_closest_first() {
    let nodes = nodes();
    let set = replica_set(&nodes);
    let mut tally = Tally::new(expected());
    assert_eq!(tally.missing(&set), set.nodes());
    let mut sorted: Vec<&Node> = nodes.iter().collect();
    sorted.sort_by_key(|node| node.id().position().distance(&KEY.position()));
    tally.count(&set, receipt(sorted[1])).unwrap();
    let ids = |tally: &Tally| tally.missing(&set).iter().map(|n| n.node()).collect::<Vec<_>>();
    assert_eq!(ids(&tally), [sorted[0].id(), sorted[2].id(), sorted[3].id()]);
    tally.count(&set, receipt(sorted[3])).unwrap();
    assert_eq!(ids(&tally), [sorted[0].id(), sorted[2].id()]);
    for node in [sorted[0], sorted[2]] {
        tally.count(&set, receipt(node)).unwrap();
    }
    assert_eq!(ids(&tally), []);
}
