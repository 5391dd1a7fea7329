//! Handshakes that name a node by the epoch of a view: what each hop sees of them, and what they are bound to.

use anon::{
    channel::{ChannelError, Extending, Opening, OpeningPath},
    create::{Create, CreateError, Created, HopName},
    handshake::{self, HandshakeError, Initiator, Responder},
    id::{NetworkId, NodeId},
    keys::ChannelSecret,
    position::Key,
    request::{Request, Response},
    testing::views::{Keepers, NETWORK, descriptor},
    time::Epoch,
    verification::CrossVerified,
    view::{descriptor::Descriptor, list::NodeList, signed::View},
};
use x25519_dalek::x25519;

use super::{
    by_hand::{ByHand, HEAD},
    honest::nodes,
};
use crate::{
    pass::{Pass, start, take},
    world::{Member as _, NOW, Node, Standing, network, rng},
};

const EPOCH: Epoch = Epoch(20_000);
const REFUSED: HandshakeError = HandshakeError::BadEarlyRequest;

fn secret(number: u32, epoch: Epoch) -> ChannelSecret {
    let mut seed = [7; 32];
    seed[..4].copy_from_slice(&number.to_be_bytes());
    seed[4..12].copy_from_slice(&epoch.0.to_be_bytes());
    ChannelSecret::from_seed(&seed)
}

/// Eight nodes in the view of an epoch.
fn view(epoch: Epoch) -> View {
    let with_key = |number| {
        let key = secret(number, epoch).agreement_key();
        descriptor(number, epoch.0).with_channel_key(key).unwrap()
    };
    let mut nodes: Vec<Descriptor> = (0..8).map(with_key).collect();
    nodes.sort_by_key(Descriptor::node);
    Keepers::new(4).view(epoch.0, None, NodeList::new(nodes).unwrap(), None)
}

/// The first of them, each with its secret.
fn standing(count: u32, epoch: Epoch) -> Vec<Standing> {
    let view = view(epoch);
    let one = |number| {
        let verified = CrossVerified::in_view(&view, &descriptor(number, epoch.0).node()).unwrap();
        Standing { network: NETWORK, channel: secret(number, epoch), verified }
    };
    (0..count).map(one).collect()
}

fn closest(key: u8) -> Request {
    Request::Closest { key: Key([key; 32]), count: 1 }
}

fn path(nodes: &[Standing]) -> Vec<(&Standing, Option<Request>)> {
    nodes.iter().zip((0..).map(|at| (at != 1).then(|| closest(at)))).collect()
}

fn by_hand(node: &Standing, create: &Create) -> ByHand {
    let (id, channel) = (node.verified.node(), node.channel.expose_seed());
    ByHand::in_view(NETWORK, EPOCH, id, channel, create.replay_tag())
}

#[test]
fn paths_over_a_view_carry_requests_and_each_hop_learns_the_epoch_and_the_next_node() {
    for hops in 1..=5 {
        let nodes = standing(hops, EPOCH);
        let path = path(&nodes);
        let pass = Pass::through(&path, &mut rng(1));
        for (at, (taken, (node, request))) in pass.hops.iter().zip(&path).enumerate() {
            // Before the ephemeral key stands what is the same for every node and every sender.
            let bytes = taken.create.to_bytes();
            assert_eq!(bytes.len(), Create::LENGTH);
            let expected = [&[1, 1][..], &EPOCH.0.to_be_bytes(), &[0; 24]].concat();
            assert_eq!(bytes[..HEAD - 32], expected);
            assert_eq!(taken.create.name(), HopName::View(EPOCH));
            assert_eq!(taken.early.request, *request);
            let next = taken.early.onward.as_ref().map(|onward| onward.next);
            assert_eq!(next, path.get(at + 1).map(|(next, _)| next.verified.node()));
            // The formulas, step by step.
            let hand = by_hand(node, &taken.create);
            assert_eq!(hand.create_plain(&hand.open(&taken.create)), taken.create);
        }
        let (mut line, _) = pass.finish(&Response::NotFound).unwrap();
        let sent = closest(9);
        let links = line.request(&sent);
        assert_eq!(line.receive_requests(links.last().unwrap()), Ok(vec![sent]));
    }
}

/// What a handshake in a view is bound to, each time with one thing else.
fn others(node: &Standing) -> Vec<(&'static str, NetworkId, Epoch, NodeId, ChannelSecret)> {
    let (id, key) = (node.verified.node(), || secret(0, EPOCH));
    vec![
        ("another network", NetworkId([0x4f; 32]), EPOCH, id, key()),
        ("another epoch", NETWORK, EPOCH.after(1), id, key()),
        ("another node", NETWORK, EPOCH, descriptor(1, EPOCH.0).node(), key()),
        ("another key", NETWORK, EPOCH, id, secret(1, EPOCH)),
    ]
}

#[test]
fn a_handshake_is_for_one_network_epoch_node_and_key() {
    let node = &standing(1, EPOCH)[0];
    let started = || Initiator::start(&node.verified.hop(), None, &mut rng(1)).unwrap();
    let create = started().1;
    assert!(handshake::respond(&create, &node.responder(), &mut rng(2)).is_ok());
    for (what, network, epoch, id, secret) in others(node) {
        let named = [&[1][..], &HopName::View(epoch).encode(), &create.to_bytes()[34..]].concat();
        let named = Create::from_padded(&named).unwrap();
        let own = Responder { network, node: id, secret: &secret };
        let answered = handshake::respond(&named, &own, &mut rng(2)).map(|_| ());
        assert_eq!(answered, Err(REFUSED), "{what}");
    }
}

#[test]
fn an_answer_that_is_bound_to_anything_else_is_not_confirmed() {
    let node = &standing(1, EPOCH)[0];
    let answered = |network, epoch, id, secret: &ChannelSecret| {
        let started = Initiator::start(&node.verified.hop(), None, &mut rng(1));
        let (waiting, create) = started.unwrap();
        let (e, e2) = (create.replay_tag(), [0x66; 32]);
        let hand = ByHand::in_view(network, epoch, id, secret.expose_seed(), e);
        let base = x25519_dalek::X25519_BASEPOINT_BYTES;
        let created: Created = hand.created(&create, x25519(e2, base), x25519(e2, e));
        waiting.finish(&created).map(|_| ())
    };
    assert_eq!(answered(NETWORK, EPOCH, node.verified.node(), &node.channel), Ok(()));
    for (what, network, epoch, id, secret) in others(node) {
        let answer = answered(network, epoch, id, &secret);
        assert_eq!(answer, Err(HandshakeError::NotConfirmed), "{what}");
    }
}

#[test]
fn a_first_message_does_not_open_under_a_name_of_the_other_kind() {
    // One node with one key, by certificate and in a view: nothing but the name differs.
    let (certified, epoch) = (Node::new(1), HopName::View(EPOCH));
    let name = HopName::Certificate(certified.certificate.digest());
    let key = certified.channel.agreement_key();
    let described = Descriptor::new(certified.id(), key, descriptor(1, 1).addresses(), None);
    let nodes = NodeList::new([described.unwrap()]).unwrap();
    let view = Keepers::new(1).view(EPOCH.0, None, nodes, None);
    let standing = CrossVerified::in_view(&view, &certified.id()).unwrap();
    for (hop, network, own, other) in
        [(certified.hop(), network().id, name, epoch), (standing.hop(), NETWORK, epoch, name)]
    {
        let (_, create) = Initiator::start(&hop, None, &mut rng(1)).unwrap();
        assert_eq!(create.name(), own);
        let renamed = [&[1][..], &other.encode(), &create.to_bytes()[34..]].concat();
        let renamed = Create::from_padded(&renamed).unwrap();
        assert_eq!(renamed.replay_tag(), create.replay_tag(), "recognised all the same");
        let responder = Responder { network, ..certified.responder() };
        assert!(handshake::respond(&create, &responder, &mut rng(2)).is_ok());
        let answered = handshake::respond(&renamed, &responder, &mut rng(2)).map(|_| ());
        assert_eq!(answered, Err(REFUSED), "{own:?}");
    }
}

#[test]
fn a_go_between_is_not_told_of_a_name_with_anything_behind_the_epoch() {
    let nodes = standing(2, EPOCH);
    let (_, sent) = start(&path(&nodes), &mut rng(1)).unwrap();
    let hand = by_hand(&nodes[0], &sent);
    let plain = hand.open(&sent);
    let name = 1 + 64 + 32;
    assert_eq!(plain[name..name + 33], HopName::View(EPOCH).encode());
    for at in name + 9..name + 33 {
        let mut marked = plain.clone();
        marked[at] = 1;
        let taken = take(&nodes[0], &hand.create_plain(&marked), &mut rng(2)).map(|_| ());
        assert_eq!(taken, Err(ChannelError::Handshake(REFUSED)), "byte {at}");
    }
    let mut marked = sent.to_bytes();
    marked[33] = 1;
    assert_eq!(Create::from_padded(&marked), Err(CreateError::NotAnEpoch));
}

#[test]
fn a_path_is_of_one_view_in_one_network() {
    let (today, tomorrow) = (standing(3, EPOCH), standing(3, EPOCH.after(1)));
    let certified = [Node::new(1).verified(), Node::new(2).verified()];
    let elsewhere = Node::new(3).certify(|claims| claims.network = NetworkId([9; 32]));
    let mut there = network();
    there.id = NetworkId([9; 32]);
    let elsewhere = elsewhere.verify(&there, NOW).unwrap();
    let elsewhere = anon::verification::cross_verify(elsewhere.clone(), elsewhere).unwrap();
    let of = |hops: &[&CrossVerified]| {
        let hops: Vec<_> = hops.iter().map(|hop| (*hop, None)).collect();
        OpeningPath::start(&hops, &mut rng(1)).map(|_| ()).err()
    };
    let bad = Some(HandshakeError::BadPath);
    let [a, b, c] = [0, 1, 2].map(|at| &today[at].verified);
    assert_eq!(of(&[a, b, c]), None);
    assert_eq!(of(&[a, b, a]), bad);
    assert_eq!(of(&[a, b, &tomorrow[2].verified]), bad);
    assert_eq!(of(&[&tomorrow[2].verified, a]), bad);
    assert_eq!(of(&[&certified[0], &certified[1]]), None);
    assert_eq!(of(&[a, b, &certified[1]]), bad);
    assert_eq!(of(&[&certified[0], &certified[1], c]), bad);
    assert_eq!(of(&[&certified[0], &elsewhere]), bad);
}

#[test]
fn a_node_of_a_view_is_vouched_for_as_it_stands_there() {
    let view = view(EPOCH);
    let described = descriptor(3, EPOCH.0);
    let verified = CrossVerified::in_view(&view, &described.node()).unwrap();
    assert_eq!((verified.node(), verified.hop().node()), (described.node(), described.node()));
    assert_eq!(verified.addresses(), Some(&described.addresses()));
    assert_eq!(verified.certificate(), None);
    assert_eq!(CrossVerified::in_view(&view, &descriptor(8, EPOCH.0).node()), None);
    let certified = nodes(1)[0].verified();
    assert_eq!((certified.node(), certified.addresses()), (nodes(1)[0].id(), None));
    assert_eq!(certified.hop(), nodes(1)[0].hop());
}

#[test]
fn a_channel_to_one_node_of_a_view_stands_and_is_not_extended_to_another() {
    let nodes = standing(2, EPOCH);
    let (opening, cell) = Opening::start(&nodes[0].verified, None, &mut rng(1)).unwrap();
    let taken = take(&nodes[0], &cell.to_create().unwrap(), &mut rng(2)).unwrap();
    let sender = opening.finish(&anon::cell::Cell::created(&taken.created)).unwrap();
    let extended: Result<(Extending, _), _> = sender.extend(&nodes[1].verified, None, &mut rng(3));
    let refused = ChannelError::Handshake(HandshakeError::NoCertificate);
    assert_eq!(extended.map(|_| ()), Err(refused));
}
