//! Strangers at somebody else's inbox (paper, 2.2: "only the owner"): nobody reads, nothing is deleted. And nodes that
//! keep it, and answer so much that nobody else would be heard.

use std::sync::{Arc, Mutex};

use anon::{
    authorization::{InboxOperation, InboxProof},
    certificate::{Address, AddressClaims, UnverifiedAddressCertificate},
    id::NodeId,
    keys::{AddressSecret, Signature, SigningSecret as _},
    labels,
    position::Key,
    request::{InboxPage, InboxQuery, MAX_OBJECT, ProxiedRequest, Request, Response, Targets},
    time::{MAX_SKEW, Time},
    wire,
};
use net::{Channel, now};
use node::{Limits, Running};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{
    liars::{lie, lying},
    network::{Network, TIMEOUT, User, mail},
};

/// The digests of what a node holds in an inbox.
async fn held(node: &Running, inbox: Key) -> Vec<[u8; 32]> {
    node.service().store().list_inbox(inbox.0, 0, usize::MAX).await.unwrap().digests
}

/// What is asked for.
const LIST: InboxQuery = InboxQuery::FROM_THE_OLDEST;

fn list(proof: InboxProof) -> Request {
    Request::ReadInbox { proof, query: LIST }
}

/// An inbox proof as it travels, every field at hand.
#[derive(Clone, Serialize)]
struct Proof {
    certificate: UnverifiedAddressCertificate,
    node: NodeId,
    time: Time,
    nonce: [u8; 16],
    signature: Signature,
}

/// What its signature covers.
#[derive(Serialize)]
struct Claims<'a> {
    address: &'a Address,
    node: NodeId,
    time: Time,
    nonce: [u8; 16],
    operation: [u8; 32],
}

impl Proof {
    /// A proof for reading `address`'s inbox, signed by whoever's secret this is.
    fn read(
        secret: &AddressSecret,
        certificate: UnverifiedAddressCertificate,
        address: &Address,
        node: &Running,
        time: Time,
    ) -> Self {
        let (node, network, nonce) = (node.id(), node.network().id, rand::random());
        let operation = Sha256::digest(wire::encode(&LIST)).into();
        let claims = Claims { address, node, time, nonce, operation };
        let signature = secret.sign(labels::READ_INBOX, &network, &claims);
        Self { certificate, node, time, nonce, signature }
    }

    fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut changed = self.clone();
        change(&mut changed);
        changed
    }

    fn wired(&self) -> InboxProof {
        wire::decode(&wire::encode(self), 4096).unwrap()
    }
}

fn signed(user: &User, operation: InboxOperation<'_>, node: &Running, time: Time) -> InboxProof {
    let nonce = rand::random();
    InboxProof::sign(user.account.signing(), &user.certificate, operation, node.id(), time, nonce)
}

/// What a stranger would say to be the owner: the owner's address, the stranger's keys.
fn impostor(owner: &User, stranger: &User) -> UnverifiedAddressCertificate {
    let claims = AddressClaims {
        address: owner.address().clone(),
        verify_key: stranger.account.signing().verify_key(),
        sealing_key: stranger.account.sealing().agreement_key(),
        ..owner.certificate.claims().clone()
    };
    UnverifiedAddressCertificate::self_signed(stranger.account.signing(), claims)
}

/// All that a stranger, or an eavesdropper at another node, might hand to `node`.
fn bad_reads(bob: &User, eve: &User, node: &Running, other: &Running) -> Vec<(String, InboxProof)> {
    let (t, bobs) = (now(), bob.certificate.to_unverified());
    let (bob_key, eve_key) = (bob.account.signing(), eve.account.signing());
    let read = |secret, certificate, node, time| {
        Proof::read(secret, certificate, bob.address(), node, time)
    };
    let elsewhere = read(bob_key, bobs.clone(), other, t);
    let early = read(bob_key, bobs.clone(), node, t.before(MAX_SKEW + 60));
    let late = read(bob_key, bobs.clone(), node, t.after(MAX_SKEW + 60));
    let acknowledgement = signed(bob, InboxOperation::Acknowledge(&[]), node, t);
    [
        ("the owner's, for another node", elsewhere.wired()),
        ("that one, readdressed", elsewhere.with(|p| p.node = node.id()).wired()),
        ("the owner's, too old", early.wired()),
        ("the owner's, from the future", late.wired()),
        ("the old one, with a new time", early.with(|p| p.time = t).wired()),
        ("the owner's certificate, another's key", read(eve_key, bobs, node, t).wired()),
        ("another's certificate for it", read(eve_key, impostor(bob, eve), node, t).wired()),
        ("the owner's acknowledgement", acknowledgement),
    ]
    .map(|(name, proof)| (name.to_owned(), proof))
    .into()
}

/// All acknowledgements that are not the owner's for exactly these digests at exactly this node.
fn bad_acknowledgements(
    bob: &User,
    eve: &User,
    (node, other): (&Running, &Running),
    digests: &[[u8; 32]],
) -> Vec<(String, InboxProof)> {
    let t = now();
    let of = InboxOperation::Acknowledge;
    let another_list = [[7; 32]];
    let by_stranger = InboxProof::sign(
        eve.account.signing(),
        &bob.certificate,
        of(digests),
        node.id(),
        t,
        rand::random(),
    );
    let early = t.before(MAX_SKEW + 60);
    [
        ("the owner's, for another list", signed(bob, of(&another_list), node, t)),
        ("the owner's, for no list", signed(bob, of(&[]), node, t)),
        ("the owner's, for another node", signed(bob, of(digests), other, t)),
        ("the owner's, too old", signed(bob, of(digests), node, early)),
        ("the owner's, for reading", signed(bob, InboxOperation::Read(&LIST), node, t)),
        ("the owner's certificate, another's key", by_stranger),
    ]
    .map(|(name, proof)| (name.to_owned(), proof))
    .into()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_does_not_own_an_inbox_reads_nothing_and_deletes_nothing() {
    let network = Network::start(6, 3, Limits::default(), |node| node).await;
    let (alice, bob) = (network.stranger("alice"), network.user("bob").await);
    let eve = network.user("eve").await;
    let sent = mail("for bob alone", 2);
    let id = alice.prepare(&sent, &bob, true);
    assert!(alice.deliver(&id).await.error.is_none());
    let inbox = bob.address().inbox();
    let nodes = network.closest(&inbox, 3);
    let mut attempts = 0;

    for (index, node) in nodes.iter().enumerate() {
        let (node, other) = (network.node(node), network.node(&nodes[(index + 1) % nodes.len()]));
        let digests = held(node, inbox).await;
        assert_eq!(digests.len(), 1);
        for (name, proof) in bad_reads(&bob, &eve, node, other) {
            let answer = network.ask(node, &list(proof)).await;
            assert_eq!(answer, Response::Refused, "read: {name}");
            attempts += 1;
        }
        for (name, proof) in bad_acknowledgements(&bob, &eve, (node, other), &digests) {
            let request = Request::Acknowledge { proof, digests: digests.clone() };
            assert_eq!(network.ask(node, &request).await, Response::Refused, "delete: {name}");
            attempts += 1;
        }
        // Eve may speak for her own inbox only, whatever she names.
        let hers = signed(&eve, InboxOperation::Read(&LIST), node, now());
        let nothing = InboxPage::List { digests: Vec::new(), next: None };
        assert_eq!(network.ask(node, &list(hers)).await, Response::Inbox(nothing));
        let query = InboxQuery::HandOver(digests.clone());
        let hers = signed(&eve, InboxOperation::Read(&query), node, now());
        let request = Request::ReadInbox { proof: hers, query };
        let nothing = InboxPage::HandedOver(Vec::new());
        assert_eq!(network.ask(node, &request).await, Response::Inbox(nothing));
        let hers = signed(&eve, InboxOperation::Acknowledge(&digests), node, now());
        let request = Request::Acknowledge { proof: hers, digests: digests.clone() };
        assert_eq!(network.ask(node, &request).await, Response::Acknowledged(0));

        // The owner's own proof, overheard and handed in again; also under another nonce.
        let proof = Proof::read(
            bob.account.signing(),
            bob.certificate.to_unverified(),
            bob.address(),
            node,
            now(),
        );
        let read = list(proof.wired());
        assert!(matches!(network.ask(node, &read).await, Response::Inbox(_)), "the owner reads");
        assert_eq!(network.ask(node, &read).await, Response::Refused, "replayed");
        let renewed = list(proof.with(|p| p.nonce[0] ^= 1).wired());
        assert_eq!(network.ask(node, &renewed).await, Response::Refused, "replayed, renumbered");

        assert_eq!(held(node, inbox).await.len(), 1, "nothing was deleted");
    }
    assert_eq!(attempts, 3 * (8 + 6));
    let fetched = bob.fetch().await;
    assert_eq!((fetched.delivered.len(), fetched.inboxes), (1, 3));
    assert_eq!(bob.mails(), [sent]);
    for node in nodes {
        let left = held(network.node(&node), inbox).await;
        assert!(left.is_empty(), "the owner's acknowledgement deletes");
    }
}

/// How long each answer is that an anonymizer brings; for a list, how many digests it has.
async fn brought(channel: &mut Channel, request: &Request) -> Vec<Option<usize>> {
    let performed = channel.request(request, TIMEOUT).await.unwrap();
    let Response::Performed { answers, .. } = performed else { panic!("{performed:?}") };
    let length = |response| match response {
        Some(Response::Object(object)) => Some(object.len()),
        Some(Response::Inbox(InboxPage::List { digests, .. })) => Some(digests.len()),
        _ => None,
    };
    answers.into_iter().map(|answer| length(answer.response)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_answers_at_length_silences_no_other() {
    let loud = Arc::new(Mutex::new(None::<NodeId>));
    let who = Arc::clone(&loud);
    let lie = lie(move |asked| {
        let is_loud = *who.lock().unwrap() == Some(asked.node.identity().node());
        async move {
            match &asked.request {
                Request::Fetch { .. } | Request::ReadInbox { .. } if is_loud => {
                    Response::Object(vec![7; MAX_OBJECT])
                }
                _ => asked.honestly().await,
            }
        }
    });
    let network = Network::start(6, 3, Limits::default(), |node| lying(node, &lie)).await;
    let (alice, bob) = (network.stranger("alice"), network.user("bob").await);
    let id = alice.prepare(&mail("heard", 2), &bob, true);
    assert!(alice.deliver(&id).await.error.is_none());

    for key in [bob.address().inbox(), bob.address().certificate()] {
        let replicas = network.closest(&key, 3);
        let anonymizer =
            network.nodes.iter().position(|node| !replicas.contains(&node.id())).unwrap();
        let anonymizer = network.cross_verified(anonymizer).await;
        let mut channel =
            Channel::open(&network.links(), &anonymizer, None, TIMEOUT).await.unwrap();
        for loud_one in [None, Some(0), Some(1), Some(2)] {
            *loud.lock().unwrap() = loud_one.map(|at| replicas[at]);
            let fetch = Request::Fetch { key };
            let proxied = |node: &NodeId| {
                let node = network.node(node);
                let proof = signed(&bob, InboxOperation::Read(&LIST), node, now());
                ProxiedRequest { target: node.id(), request: list(proof) }
            };
            let request = if key == bob.address().inbox() {
                Request::PerformEach(replicas.iter().map(proxied).collect())
            } else {
                let targets = Targets::Nodes(replicas.clone());
                Request::Perform { targets, request: Box::new(fetch) }
            };
            let brought = brought(&mut channel, &request).await;
            println!("the loud one: {loud_one:?}, brought: {brought:?}");
            for (at, length) in brought.iter().enumerate() {
                assert_eq!(length.is_some(), Some(at) != loud_one, "{brought:?}");
            }
        }
    }
    *loud.lock().unwrap() = Some(network.closest(&bob.address().inbox(), 1)[0]);
    assert_eq!(bob.fetch().await.delivered.len(), 1);
}
