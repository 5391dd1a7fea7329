//! One good encoding of everything that comes from outside, with its decoder.

use std::sync::LazyLock;

use anon::{
    authorization::{Deletion, InboxOperation, InboxProof},
    certificate::{
        NodeCertificate, SigningRequest, UnverifiedAddressCertificate, UnverifiedNodeCertificate,
    },
    create::{Create, Created, EARLY, QUESTION},
    handshake::{Early, Initiator, respond},
    keys::{DeleteSecret, SigningSecret as _},
    mail::NOTIFICATION,
    network::{Revoked, UnverifiedRevocationList},
    padding,
    position::Key,
    receipt::{Receipt, ReceiptClaims, ReceiptKind},
    request::{
        Answer, Append, DeletePermission, Errand, InboxPage, InboxQuery, ObjectKind, Request,
        Response, Store, Targets,
    },
    roster::{PIECES, ShortDigest},
    verification::{Statement, StatementClaims},
    wire,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_bytes::ByteBuf;

use crate::{
    by_hand::ByHand,
    world::{NOW, Node, Owner, TODAY, authority, network, rng},
};

/// The limit of those decoders that leave it to their caller.
pub(crate) const LIMIT: usize = 1_000;

/// Bytes, and what reading and writing them again makes of them.
pub(crate) struct Specimen {
    pub(crate) name: String,
    pub(crate) good: Vec<u8>,
    pub(crate) reread: fn(&[u8]) -> Option<Vec<u8>>,
}

impl Specimen {
    fn new(name: &str, good: Vec<u8>, reread: fn(&[u8]) -> Option<Vec<u8>>) -> Self {
        assert_eq!(reread(&good).as_ref(), Some(&good), "{name}");
        Self { name: name.into(), good, reread }
    }

    fn plain<T: Serialize + DeserializeOwned>(name: &str, value: &T) -> Self {
        Self::new(name, wire::encode(value), |bytes| {
            wire::decode::<T>(bytes, LIMIT).ok().map(|value| wire::encode(&value))
        })
    }
}

pub(crate) const KEY: Key = Key([7; 32]);
const NONCE: [u8; 16] = [9; 16];

pub(crate) fn reread_request(bytes: &[u8]) -> Option<Vec<u8>> {
    Request::decode(bytes).ok().map(|request| wire::encode(&request))
}

pub(crate) fn reread_response(bytes: &[u8]) -> Option<Vec<u8>> {
    Response::decode(bytes).ok().map(|response| wire::encode(&response))
}

fn handshake() -> (Create, Created) {
    let node = Node::new(1);
    let early = Some(&Request::Certificate);
    let (_, create) = Initiator::start(&node.certificate, early, &mut rng(1)).unwrap();
    let (_, created, _) = respond(&create, &node.channel, &network().id, &mut rng(2)).unwrap();
    (create, created)
}

/// The first message for a node that is a go-between, or the far end, and its formulas.
fn onion(hops: usize) -> (Create, ByHand) {
    let (node, next) = (Node::new(1), Node::new(2));
    let question = Some(&Request::Certificate);
    let path = [(&node.certificate, question), (&next.certificate, None)];
    let (.., create) = Initiator::start_path(&path[..hops], &mut rng(1)).unwrap();
    let (digest, channel) = (node.certificate.digest(), node.channel.expose_seed());
    let hand = ByHand::at(network().id, digest, channel, create.replay_tag());
    (create, hand)
}

/// What a node makes of a sealed plaintext, written again. What a far end does not look at stays as it is.
fn reread_onion(plain: &[u8]) -> Option<Vec<u8>> {
    static SENT: LazyLock<(Node, (Create, ByHand))> = LazyLock::new(|| (Node::new(1), onion(1)));
    let (node, (sent, hand)) = &*SENT;
    if plain.len() != hand.open(sent).len() {
        return None;
    }
    let create = hand.create_plain(sent.certificate(), sent.replay_tag(), plain);
    let answered = respond(&create, &node.channel, &node.certificate.claims().network, &mut rng(2));
    let (.., Early { request, onward }) = answered.ok()?;
    let encoded = request.map(|request| wire::encode(&request)).unwrap_or_default();
    Some(match onward {
        None => [&[0], &padding::pad(&encoded, EARLY).unwrap()[..], &plain[1 + EARLY..]].concat(),
        Some(onward) => {
            let passed = onward.create.to_bytes();
            let kept = &passed[..plain.len() - 1 - QUESTION - 32];
            let question = padding::pad(&encoded, QUESTION).unwrap();
            [&[1], &question[..], &onward.next.0, kept].concat()
        }
    })
}

pub(crate) fn store() -> Store {
    let deleter = DeleteSecret::from_seed(&[5; 32]).verify_key();
    let owner = Box::new(Owner::named("alice", 3).certificate.to_unverified());
    Store {
        key: KEY,
        kind: ObjectKind::Body,
        object: vec![0xAB; 300],
        deleters: vec![DeletePermission::OneTimeKey(deleter), DeletePermission::Certificate(owner)],
        nonce: NONCE,
    }
}

pub(crate) fn append() -> Append {
    Append { inbox: KEY, notification: vec![0xCD; NOTIFICATION], nonce: NONCE }
}

pub(crate) fn inbox_proof() -> InboxProof {
    let owner = Owner::self_certifying(4);
    let (node, operation) = (Node::new(1).id(), InboxOperation::Read(&InboxQuery::FROM_THE_OLDEST));
    InboxProof::sign(&owner.secret, &owner.certificate, operation, node, NOW, NONCE)
}

/// A question for an inbox.
pub(crate) fn read(query: InboxQuery) -> Request {
    Request::ReadInbox { proof: inbox_proof(), query }
}

fn receipt() -> Receipt {
    let node = Node::new(1);
    let claims = ReceiptClaims {
        network: network().id,
        kind: ReceiptKind::Stored,
        key: KEY,
        digest: [1; 32],
        size: 300,
        expiry: NOW,
        node: node.id(),
        nonce: NONCE,
    };
    Receipt::issue(&node.identity, claims)
}

pub(crate) fn certificate() -> UnverifiedNodeCertificate {
    let node = Node::new(1);
    let admission = node.admission(TODAY);
    NodeCertificate::issue(&node.identity, {
        let mut claims = node.certificate.claims().clone();
        claims.admission = Some(admission);
        claims
    })
}

/// A request at one node.
pub(crate) fn errand(request: Request) -> Errand {
    Errand { target: Node::new(1).id(), request }
}

fn statement() -> Statement {
    let node = Node::new(1);
    let claims = StatementClaims {
        network: network().id,
        node: node.id(),
        epoch: network().epoch(NOW),
        key: KEY,
        nearest: vec![Node::new(2).id(), node.id()],
    };
    Statement::issue(&node.identity, claims)
}

pub(crate) fn requests() -> Vec<(&'static str, Request)> {
    let (node, create) = (Node::new(1), Box::new(handshake().0));
    let delete = DeleteSecret::from_seed(&[5; 32]);
    let deletion = Deletion::sign(&delete, &network().id, KEY, node.id(), NOW);
    let fetch = || Box::new(Request::Fetch { key: KEY });
    let next = || Box::new(Node::new(1).certificate.to_unverified());
    let nodes = Targets::Nodes(vec![Node::new(1).id(), Node::new(2).id()]);
    let closest = Targets::Closest { key: KEY, count: 8 };
    let nearest = Targets::Nearest { key: KEY, count: 8 };
    vec![
        ("store", Request::Store(store())),
        ("fetch", *fetch()),
        ("delete", Request::Delete(deletion)),
        ("append", Request::AppendInbox(append())),
        ("list", read(InboxQuery::FROM_THE_OLDEST)),
        ("hand over", read(InboxQuery::HandOver(vec![[3; 32]; 2]))),
        ("acknowledge", Request::Acknowledge { proof: inbox_proof(), digests: vec![[3; 32]; 2] }),
        ("closest", Request::Closest { key: KEY, count: 20 }),
        ("certificate", Request::Certificate),
        ("time", Request::Time),
        ("perform at nodes", Request::Perform { targets: nodes, request: fetch() }),
        ("perform at the closest", Request::Perform { targets: closest, request: fetch() }),
        ("perform at the nearest", Request::Perform { targets: nearest, request: fetch() }),
        ("extend", Request::Extend { next: next(), create }),
        ("nearest", Request::Nearest { key: KEY, count: 20 }),
        ("roster", Request::Roster { pieces: vec![ShortDigest([1; 8]); PIECES] }),
        ("roster entries", Request::RosterEntries { wanted: vec![ShortDigest([2; 8]); 3] }),
        ("perform each", Request::PerformEach(vec![errand(*fetch()), errand(*fetch())])),
    ]
}

fn responses() -> Vec<(&'static str, Response)> {
    let node = Node::new(1);
    let answers = vec![
        Answer { node: node.id(), response: Some(Response::Object(vec![1; 20])) },
        Answer { node: node.id(), response: None },
    ];
    let notifications = vec![ByteBuf::from(vec![1; 40]), ByteBuf::from(vec![2; 40])];
    vec![
        ("receipt", Response::Receipt(Box::new(receipt()))),
        ("object", Response::Object(vec![0xEF; 300])),
        ("deleted", Response::Deleted),
        (
            "list",
            Response::Inbox(InboxPage::List { digests: vec![[1; 32]; 2], next: Some(70_000) }),
        ),
        ("last list", Response::Inbox(InboxPage::List { digests: Vec::new(), next: None })),
        ("handed over", Response::Inbox(InboxPage::HandedOver(notifications))),
        ("acknowledged", Response::Acknowledged(70_000)),
        ("closest", Response::Closest(vec![certificate(), certificate()])),
        ("certificate", Response::Certificate(Box::new(certificate()))),
        ("performed", Response::Performed { nodes: vec![certificate()], answers }),
        ("extended", Response::Extended(Box::new(handshake().1))),
        ("not found", Response::NotFound),
        ("full", Response::Full),
        ("refused", Response::Refused),
        ("nearest", Response::Nearest(Box::new(statement()))),
        ("roster", Response::Roster { alike: [0x55; 32], listed: vec![ShortDigest([1; 8]); 3] }),
        ("roster entries", Response::RosterEntries(vec![certificate()])),
        ("time", Response::Time(NOW)),
    ]
}

/// Everything.
pub(crate) fn specimens() -> &'static [Specimen] {
    static ALL: LazyLock<Vec<Specimen>> = LazyLock::new(all);
    &ALL
}

fn all() -> Vec<Specimen> {
    let (alice, node) = (Owner::named("alice", 3), Node::new(1));
    let (create, created) = handshake();
    let id = network().id;
    let revoked =
        Revoked { nodes: [node.id()].into(), addresses: [alice.secret.verify_key()].into() };
    let list = UnverifiedRevocationList::issue(&authority(), &id, 700, NOW, &revoked);
    let (address, sealing) = (alice.certificate.address().clone(), alice.sealing.agreement_key());
    let mut all = vec![
        Specimen::plain("node certificate", &certificate()),
        Specimen::new("address certificate", alice.certificate.encode(), |bytes| {
            UnverifiedAddressCertificate::decode(bytes).ok().map(|c| wire::encode(&c))
        }),
        Specimen::plain(
            "signing request, address",
            &SigningRequest::for_address(&id, &alice.secret, address, sealing),
        ),
        Specimen::plain("signing request, node", &SigningRequest::for_node(&id, &node.identity)),
        Specimen::plain("receipt", &receipt()),
        Specimen::plain("revocation list", &list),
        Specimen::new("create", create.to_bytes(), |bytes| {
            let padded = [Create::from_padded(bytes)?.to_bytes(), vec![0; bytes.len()]].concat();
            Some(padded[..bytes.len()].to_vec())
        }),
        Specimen::new("created", created.to_bytes(), |bytes| {
            let padded = [Created::from_padded(bytes)?.to_bytes(), vec![0; bytes.len()]].concat();
            Some(padded[..bytes.len()].to_vec())
        }),
    ];
    for (name, hops) in [("onion, far end", 1), ("onion, go-between", 2)] {
        let (create, hand) = onion(hops);
        all.push(Specimen::new(name, hand.open(&create), reread_onion));
    }
    for (name, request) in requests() {
        all.push(Specimen::new(&format!("request {name}"), wire::encode(&request), reread_request));
    }
    for (name, response) in responses() {
        let name = format!("response {name}");
        all.push(Specimen::new(&name, wire::encode(&response), reread_response));
    }
    all
}
