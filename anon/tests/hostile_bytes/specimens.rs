//! One good encoding of everything that comes from outside, with its decoder.

use std::sync::LazyLock;

use anon::{
    certificate::{
        NodeCertificate, SigningRequest, UnverifiedAddressCertificate, UnverifiedNodeCertificate,
    },
    create::{Create, Created, EARLY, QUESTION},
    handshake::{Early, Initiator, respond},
    keys::{DeleteSecret, SigningSecret as _},
    network::{Network, Revoked, UnverifiedRevocationList},
    padding,
    request::{ProxiedRequest, Request, Response},
    testing::{
        Cast,
        views::{self, Keepers},
    },
    verification::CrossVerified,
    wire,
};
use serde::{Serialize, de::DeserializeOwned};

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

pub(crate) fn reread_request(bytes: &[u8]) -> Option<Vec<u8>> {
    Request::decode(bytes).ok().map(|request| wire::encode(&request))
}

pub(crate) fn reread_response(bytes: &[u8]) -> Option<Vec<u8>> {
    Response::decode(bytes).ok().map(|response| wire::encode(&response))
}

fn handshake() -> (Create, Created) {
    let node = Node::new(1);
    let early = Some(&Request::Certificate);
    let (_, create) = Initiator::start(&node.hop(), early, &mut rng(1)).unwrap();
    let (_, created, _) = respond(&create, &node.responder(), &mut rng(2)).unwrap();
    (create, created)
}

/// The first message to a node of a view.
fn create_in_view() -> Create {
    let view = Keepers::new(1).view_of(20_000, None, 0..3);
    let node = CrossVerified::in_view(&view, &views::node(1)).unwrap();
    Initiator::start(&node.hop(), None, &mut rng(1)).unwrap().1
}

fn reread_create(bytes: &[u8]) -> Option<Vec<u8>> {
    let padded = [Create::from_padded(bytes).ok()?.to_bytes(), vec![0; bytes.len()]].concat();
    Some(padded[..bytes.len()].to_vec())
}

/// The first message for a node that is a go-between, or the last hop, and its formulas.
fn onion(hops: usize) -> (Create, ByHand) {
    let (node, next) = (Node::new(1), Node::new(2));
    let question = Some(&Request::Certificate);
    let path = [(node.hop(), question), (next.hop(), None)];
    let (.., create) = Initiator::start_path(&path[..hops], &mut rng(1)).unwrap();
    let (digest, channel) = (node.certificate.digest(), node.channel.expose_seed());
    let hand = ByHand::at(network().id, digest, channel, create.replay_tag());
    (create, hand)
}

/// What a node makes of a sealed plaintext, written again. What a last hop does not look at stays as it is.
fn reread_onion(plain: &[u8]) -> Option<Vec<u8>> {
    static SENT: LazyLock<(Node, (Create, ByHand))> = LazyLock::new(|| (Node::new(1), onion(1)));
    let (node, (sent, hand)) = &*SENT;
    if plain.len() != hand.open(sent).len() {
        return None;
    }
    let create = hand.create_plain(plain);
    let (.., Early { request, onward }) = respond(&create, &node.responder(), &mut rng(2)).ok()?;
    let encoded = request.map(|request| wire::encode(&request)).unwrap_or_default();
    Some(match onward {
        None => [&[0], &padding::pad(&encoded, EARLY).unwrap()[..], &plain[1 + EARLY..]].concat(),
        Some(onward) => {
            // Its version is not written down.
            let passed = &onward.create.to_bytes()[1..];
            let kept = &passed[..plain.len() - 1 - QUESTION - 32];
            let question = padding::pad(&encoded, QUESTION).unwrap();
            [&[1], &question[..], &onward.next.0, kept].concat()
        }
    })
}

/// Those whose messages the specimens are.
struct Members {
    network: Network,
    nodes: [Node; 3],
    owners: [Owner; 2],
    delete: DeleteSecret,
}

/// The messages of three nodes and two owners.
pub(crate) fn cast() -> Cast<'static> {
    static ALL: LazyLock<Members> = LazyLock::new(|| Members {
        network: network(),
        nodes: [1, 2, 3].map(Node::new),
        owners: [Owner::named("alice", 3), Owner::self_certifying(4)],
        delete: DeleteSecret::from_seed(&[5; 32]),
    });
    let Members { network, nodes, owners, delete } = &*ALL;
    Cast {
        network,
        now: NOW,
        expiry: NOW,
        nodes: nodes.each_ref().map(|node| (&node.identity, &node.certificate)),
        owners: owners.each_ref().map(|owner| (&owner.secret, &owner.certificate)),
        delete,
        nonce: [9; 16],
        proof_nonce: [9; 16],
    }
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
pub(crate) fn proxied(request: Request) -> ProxiedRequest {
    ProxiedRequest { target: Node::new(1).id(), request }
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
        Specimen::plain("receipt", &cast().receipts()[0]),
        Specimen::plain("revocation list", &list),
        Specimen::new("create", create.to_bytes(), reread_create),
        Specimen::new("create, in a view", create_in_view().to_bytes(), reread_create),
        Specimen::new("created", created.to_bytes(), |bytes| {
            let padded = [Created::from_padded(bytes)?.to_bytes(), vec![0; bytes.len()]].concat();
            Some(padded[..bytes.len()].to_vec())
        }),
    ];
    for (name, hops) in [("onion, last hop", 1), ("onion, go-between", 2)] {
        let (create, hand) = onion(hops);
        all.push(Specimen::new(name, hand.open(&create), reread_onion));
    }
    for (name, request) in cast().requests() {
        all.push(Specimen::new(&format!("request {name}"), wire::encode(&request), reread_request));
    }
    for (name, response) in cast().responses() {
        let name = format!("response {name}");
        all.push(Specimen::new(&name, wire::encode(&response), reread_response));
    }
    all
}
