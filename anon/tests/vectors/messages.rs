//! Our own known answers: requests, responses, receipts, proofs.

use anon::{
    authorization::{AuthorizationError, Deletion, InboxOperation, InboxProof},
    keys::{DeleteSecret, KeyError, SigningSecret as _},
    position::Key,
    receipt::{Receipt, ReceiptClaims, ReceiptKind},
    request::{
        Answer, Append, DeletePermission, Errand, InboxPage, InboxQuery, ObjectKind, Request,
        Response, Store, Targets,
    },
    roster::ShortDigest,
    time::Time,
    verification::{Statement, StatementClaims},
    wire,
};
use serde_bytes::ByteBuf;
use serde_json::Value;

use super::names::Members;
use crate::vector::{Vector, known_answers};

pub(crate) fn key() -> Key {
    Key::of_identifier("an identifier")
}

fn ramp(length: u64, modulus: u64) -> Vec<u8> {
    (0..length).map(|i| u8::try_from(i % modulus).unwrap()).collect()
}

pub(crate) fn object() -> Vec<u8> {
    ramp(5_000, 251)
}

/// What `generate.py` stores, and what it appends.
pub(crate) struct Stored {
    pub(crate) store: Store,
    pub(crate) append: Append,
    pub(crate) receipts: [Receipt; 2],
    delete: DeleteSecret,
}

impl Stored {
    pub(crate) fn new(members: &Members) -> Self {
        Self::from_file(members, &known_answers!("cutout-storage"))
    }

    fn from_file(members: &Members, file: &Value) -> Self {
        let expected = Vector(file);
        let nonce = expected.array("/nonce");
        let delete = DeleteSecret::from_seed(&expected.array("/delete_seed"));
        let certificate = members.owners[0].certificate.to_unverified();
        let store = Store {
            key: key(),
            kind: ObjectKind::Body,
            object: object(),
            deleters: vec![
                DeletePermission::OneTimeKey(delete.verify_key()),
                DeletePermission::Certificate(Box::new(certificate)),
            ],
            nonce,
        };
        let inbox = members.owners[1].certificate.address().inbox();
        let append = Append { inbox, notification: ramp(4_144, 241), nonce };
        let claims = ReceiptClaims {
            network: members.network.id,
            kind: ReceiptKind::Stored,
            key: key(),
            digest: store.digest(),
            size: 5_000,
            expiry: Time(expected.number("/expiry")),
            node: members.nodes[0].id(),
            nonce,
        };
        let appended = ReceiptClaims {
            kind: ReceiptKind::Appended,
            key: inbox,
            digest: append.digest(),
            size: 4_144,
            node: members.nodes[1].id(),
            ..claims
        };
        let receipts = [
            Receipt::issue(&members.nodes[0].identity, claims),
            Receipt::issue(&members.nodes[1].identity, appended),
        ];
        Self { store, append, receipts, delete }
    }
}

/// A list that goes on in the middle of an inbox.
const LIST: InboxQuery = InboxQuery::List { from: 300, count: 4_096 };

struct Proofs {
    deletion: Deletion,
    list: InboxProof,
    hand_over: InboxProof,
    acknowledge: InboxProof,
    digests: Vec<[u8; 32]>,
}

impl Proofs {
    fn new(members: &Members, stored: &Stored) -> Self {
        let (alice, bob) = (&members.owners[0], &members.owners[1]);
        let [a, b, c] = [0, 1, 2].map(|i| members.nodes[i].id());
        let (now, nonce) = (members.now, [8; 16]);
        let digests = vec![[1; 32], [2; 32], [3; 32]];
        let acknowledge = InboxOperation::Acknowledge(&digests);
        let read = |query: &InboxQuery| {
            let read = InboxOperation::Read(query);
            InboxProof::sign(&bob.secret, &bob.certificate, read, a, now, nonce)
        };
        Self {
            deletion: Deletion::sign(&stored.delete, &members.network.id, key(), c, now),
            list: read(&LIST),
            hand_over: read(&InboxQuery::HandOver(digests.clone())),
            acknowledge: InboxProof::sign(
                &alice.secret,
                &alice.certificate,
                acknowledge,
                b,
                now,
                nonce,
            ),
            digests,
        }
    }
}

#[test]
fn digests_and_receipts() {
    let file = known_answers!("cutout-storage");
    let expected = Vector(&file);
    let members = Members::read();
    let stored = Stored::from_file(&members, &file);
    assert_eq!(stored.store.digest(), expected.array("/store_digest"));
    assert_eq!(stored.append.digest(), expected.array("/append_digest"));
    for (number, receipt) in stored.receipts.iter().enumerate() {
        assert_eq!(wire::encode(receipt), expected.bytes(&format!("/receipts/{number}")));
    }
}

#[test]
fn proofs_of_permission() {
    let file = known_answers!("cutout-storage");
    let expected = Vector(&file);
    let members = Members::read();
    let stored = Stored::from_file(&members, &file);
    let proofs = Proofs::new(&members, &stored);
    for (proof, name) in [
        (wire::encode(&proofs.deletion), "/deletion"),
        (wire::encode(&proofs.list), "/list"),
        (wire::encode(&proofs.hand_over), "/hand_over"),
        (wire::encode(&proofs.acknowledge), "/acknowledge"),
    ] {
        assert_eq!(proof, expected.bytes(name), "{name}");
    }
    let (network, now) = (&members.network, members.now);
    let read: InboxProof = wire::decode(&expected.bytes("/list"), 1_024).unwrap();
    let owner =
        read.verify(network, InboxOperation::Read(&LIST), members.nodes[0].id(), now).unwrap();
    assert_eq!(owner.certificate, members.owners[1].certificate);
    let proof: InboxProof = wire::decode(&expected.bytes("/acknowledge"), 1_024).unwrap();
    let operation = InboxOperation::Acknowledge(&proofs.digests);
    assert!(proof.verify(network, operation, members.nodes[1].id(), now).is_ok());
    let deletion: Deletion = wire::decode(&expected.bytes("/deletion"), 1_024).unwrap();
    let permitted = deletion.verify(&network.id, members.nodes[2].id(), now);
    assert_eq!(permitted, Ok((key(), stored.delete.verify_key())));
    // Signed by the holder of the key, with R of small order.
    let lax: Deletion = wire::decode(&expected.bytes("/lax_deletion"), 1_024).unwrap();
    let refused = lax.verify(&network.id, members.nodes[2].id(), now);
    assert_eq!(refused, Err(AuthorizationError::Key(KeyError::BadSignature)));
}

#[test]
fn requests() {
    let members = Members::read();
    let stored = Stored::new(&members);
    let Proofs { deletion, list, hand_over, acknowledge, digests } = Proofs::new(&members, &stored);
    let fetch = || Box::new(Request::Fetch { key: key() });
    let errand = |i: usize, request| Errand { target: members.nodes[i].id(), request };
    let closest = Targets::Closest { key: key(), count: 8 };
    let nearest = Targets::Nearest { key: key(), count: 8 };
    let nodes = Targets::Nodes(vec![members.nodes[0].id(), members.nodes[1].id()]);
    let file = known_answers!("cutout-messages");
    for (name, request) in [
        ("store", Request::Store(stored.store)),
        ("fetch", *fetch()),
        ("delete", Request::Delete(deletion)),
        ("append", Request::AppendInbox(stored.append)),
        ("list", Request::ReadInbox { proof: list, query: LIST }),
        (
            "hand_over",
            Request::ReadInbox { proof: hand_over, query: InboxQuery::HandOver(digests.clone()) },
        ),
        ("acknowledge", Request::Acknowledge { proof: acknowledge, digests }),
        ("closest", Request::Closest { key: key(), count: 20 }),
        ("certificate", Request::Certificate),
        ("perform_nodes", Request::Perform { targets: nodes, request: fetch() }),
        ("perform_closest", Request::Perform { targets: closest, request: fetch() }),
        ("perform_nearest", Request::Perform { targets: nearest, request: fetch() }),
        ("nearest", Request::Nearest { key: key(), count: 5 }),
        ("roster", Request::Roster { pieces: (0..=255).map(|i| ShortDigest([i; 8])).collect() }),
        ("roster_entries", Request::RosterEntries { wanted: vec![ShortDigest([5; 8])] }),
        (
            "perform_each",
            Request::PerformEach(vec![errand(0, *fetch()), errand(1, Request::Certificate)]),
        ),
    ] {
        let bytes = Vector(&file).bytes(&format!("/requests/{name}"));
        assert_eq!(wire::encode(&request), bytes, "{name}");
        assert_eq!(Request::decode(&bytes).as_ref(), Ok(&request), "{name}");
    }
}

#[test]
fn responses() {
    let members = Members::read();
    let stored = Stored::new(&members);
    let certificate = |i: usize| members.nodes[i].certificate.to_unverified();
    let notifications = vec![ByteBuf::from(stored.append.notification)];
    let listed = InboxPage::List { digests: vec![[1; 32], [2; 32], [3; 32]], next: Some(300) };
    let [first, second] = stored.receipts.map(|r| Response::Receipt(Box::new(r)));
    let answers = vec![
        Answer { node: members.nodes[0].id(), response: Some(first) },
        Answer { node: members.nodes[1].id(), response: None },
    ];
    let claims = StatementClaims {
        network: members.network.id,
        node: members.nodes[0].id(),
        epoch: members.network.epoch(members.now),
        key: key(),
        nearest: vec![members.nodes[1].id(), members.nodes[2].id()],
    };
    let statement = Statement::issue(&members.nodes[0].identity, claims);
    let file = known_answers!("cutout-messages");
    for (name, response) in [
        ("receipt", second),
        ("object", Response::Object(object())),
        ("deleted", Response::Deleted),
        ("listed", Response::Inbox(listed)),
        ("handed_over", Response::Inbox(InboxPage::HandedOver(notifications))),
        ("acknowledged", Response::Acknowledged(300)),
        ("closest", Response::Closest(vec![certificate(2)])),
        ("certificate", Response::Certificate(Box::new(certificate(2)))),
        ("performed", Response::Performed { nodes: vec![certificate(1)], answers }),
        ("not_found", Response::NotFound),
        ("full", Response::Full),
        ("refused", Response::Refused),
        ("nearest", Response::Nearest(Box::new(statement))),
        ("roster", Response::Roster { alike: [0x55; 32], listed: vec![ShortDigest([6; 8])] }),
        ("roster_entries", Response::RosterEntries(vec![certificate(2)])),
    ] {
        let bytes = Vector(&file).bytes(&format!("/responses/{name}"));
        assert_eq!(wire::encode(&response), bytes, "{name}");
        assert_eq!(Response::decode(&bytes).as_ref(), Ok(&response), "{name}");
    }
}
