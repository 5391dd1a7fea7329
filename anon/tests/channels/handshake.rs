//! Handshakes that were changed, mixed up, replayed or made from weak keys.

use anon::{
    authorization::Deletion,
    cell::{CELL, Cell, CellError},
    channel::{ChannelError, Opening},
    create::{Create, CreateError, Created, HopName},
    handshake::{self, HandshakeError, Hop, Initiator, Responder},
    id::NetworkId,
    keys::{ChannelSecret, DeleteSecret, KeyError},
    request::{Request, Targets},
    wire,
};
use x25519_dalek::x25519;

use super::{
    by_hand::ByHand,
    honest::{KEY, store},
};
use crate::{
    line::accept,
    world::{NOW, Node, network, other_network, rng},
};

const BASE: [u8; 32] = {
    let mut nine = [0; 32];
    nine[0] = 9;
    nine
};

fn respond(create: &Create, node: &Node) -> Result<Option<Request>, HandshakeError> {
    let (.., early) = handshake::respond(create, &node.responder(), &mut rng(9))?;
    assert_eq!(early.onward, None);
    Ok(early.request)
}

/// A first message for `node` by a sender who deviates: `early` as it is, `e` and `es` as they are.
fn create(node: &Node, e: [u8; 32], es: [u8; 32], early: &[u8]) -> Create {
    let digest = node.certificate.digest();
    ByHand::new(network().id, digest, e, es).create(early)
}

/// As an honest sender with this secret makes it.
fn honest_create(node: &Node, early: &[u8]) -> Create {
    let (secret, to) = ([0x44; 32], node.channel.agreement_key().0);
    create(node, x25519(secret, BASE), x25519(secret, to), early)
}

/// Requests that change state and fit into a first message.
fn state_changing() -> Vec<Request> {
    let delete = DeleteSecret::from_seed(&[5; 32]);
    let deletion = Deletion::sign(&delete, &network().id, KEY, Node::new(2).id(), NOW);
    let targets = Targets::Nodes(Vec::new());
    let proxied = Request::Perform { targets, request: Box::new(store(10)) };
    vec![Request::Delete(deletion), store(10), proxied]
}

#[test]
fn only_the_answer_to_this_very_message_is_taken() {
    let node = Node::new(1);
    let start = || Opening::start(&node.verified(), None, &mut rng(1)).unwrap();
    let (opening, create) = start();
    let created = Cell::created(&accept(&node, &create, &mut rng(2)).unwrap().created);
    assert!(opening.finish(&created).is_ok());

    let not_confirmed = Err(ChannelError::Handshake(HandshakeError::NotConfirmed));
    let (_, other) = Opening::start(&node.verified(), None, &mut rng(3)).unwrap();
    let others = Cell::created(&accept(&node, &other, &mut rng(2)).unwrap().created);
    assert_eq!(start().0.finish(&others).map(|_| ()), not_confirmed);
    for at in 0..Created::LENGTH {
        for bit in 0..8 {
            let mut bytes = *created.as_bytes();
            bytes[at] ^= 1 << bit;
            let finished = start().0.finish(&Cell::from_bytes(Box::new(bytes))).map(|_| ());
            let unused_bit = (at, bit) == (31, 7);
            let expected = if unused_bit { bad_key().map_err(Into::into) } else { not_confirmed };
            assert_eq!(finished, expected, "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn first_cells_are_padded_with_zeros_only() {
    let node = Node::new(1);
    let (_, create) = Opening::start(&node.verified(), None, &mut rng(1)).unwrap();
    let created = Cell::created(&accept(&node, &create, &mut rng(2)).unwrap().created);
    assert!(create.to_create().is_ok() && created.to_created().is_ok());
    for at in [Create::LENGTH, 2_000, CELL - 1] {
        let with = |cell: &Cell| {
            let mut bytes = *cell.as_bytes();
            bytes[at] = 1;
            Cell::from_bytes(Box::new(bytes))
        };
        assert_eq!(with(&create).to_create(), Err(CreateError::Length));
        assert_eq!(with(&created).to_created(), Err(CellError));
        let (opening, _) = Opening::start(&node.verified(), None, &mut rng(1)).unwrap();
        let finished = opening.finish(&with(&created)).map(|_| ());
        assert_eq!(finished, Err(ChannelError::Cell(CellError)));
    }
}

#[test]
fn every_byte_of_the_first_message_counts() {
    let node = Node::new(1);
    let (_, create) = Initiator::start(&node.hop(), None, &mut rng(1)).unwrap();
    assert_eq!(respond(&create, &node), Ok(None));
    for at in 0..Create::LENGTH {
        let mut bytes = create.to_bytes();
        bytes[at] ^= 1 << (at % 7);
        match Create::from_padded(&bytes) {
            Ok(create) => {
                let refused = respond(&create, &node);
                assert_eq!(refused, Err(HandshakeError::BadEarlyRequest), "byte {at}");
            }
            Err(error) => {
                let bad =
                    [CreateError::UnknownVersion(bytes[0]), CreateError::UnknownName(bytes[1])];
                assert_eq!(Some(&error), bad.get(at), "byte {at}");
            }
        }
    }
}

#[test]
fn a_handshake_is_for_one_certificate_one_key_and_one_network() {
    let node = Node::new(1);
    let (_, create) = Initiator::start(&node.hop(), None, &mut rng(1)).unwrap();
    let refused = |secret: &ChannelSecret, network: NetworkId, create: &Create| {
        let own = Responder { network, node: node.id(), secret };
        handshake::respond(create, &own, &mut rng(2)).map(|_| ()).err()
    };
    let bad = Some(HandshakeError::BadEarlyRequest);
    assert_eq!(refused(&node.channel, network().id, &create), None);
    assert_eq!(refused(&Node::new(2).channel, network().id, &create), bad);
    assert_eq!(refused(&node.channel, other_network().id, &create), bad);

    // The same node, the same channel key, a certificate a second longer: another handshake.
    let longer =
        node.certify(|claims| claims.validity.not_after = claims.validity.not_after.after(1));
    let longer = longer.verify(&network(), NOW).unwrap();
    let name = HopName::Certificate(longer.digest()).encode();
    let renamed = [&[1][..], &name, &create.to_bytes()[34..]].concat();
    assert_eq!(refused(&node.channel, network().id, &Create::from_padded(&renamed).unwrap()), bad);
    let (waiting, _) = Initiator::start(&Hop::certified(&longer), None, &mut rng(1)).unwrap();
    let (_, created, _) = handshake::respond(&create, &node.responder(), &mut rng(2)).unwrap();
    assert_eq!(waiting.finish(&created).map(|_| ()), Err(HandshakeError::NotConfirmed));
}

#[test]
fn early_requests_never_change_state() {
    let node = Node::new(1);
    for request in state_changing() {
        let started = Initiator::start(&node.hop(), Some(&request), &mut rng(1));
        assert_eq!(started.map(|_| ()), Err(HandshakeError::BadEarlyRequest), "{request:?}");
        let create = honest_create(&node, &wire::encode(&request));
        assert_eq!(respond(&create, &node), Err(HandshakeError::BadEarlyRequest), "{request:?}");
    }
    let create = honest_create(&node, &wire::encode(&Request::Certificate));
    assert_eq!(respond(&create, &node), Ok(Some(Request::Certificate)));
}

#[test]
fn early_requests_are_well_formed_and_short() {
    let node = Node::new(1);
    let too_many = wire::encode(&Request::Lookup { key: KEY, count: 21 });
    for early in [&b"no request"[..], &[7, 0], &too_many] {
        let refused = respond(&honest_create(&node, early), &node);
        assert_eq!(refused, Err(HandshakeError::BadEarlyRequest), "{early:?}");
    }
    let (e, digest) = (x25519([0x44; 32], BASE), node.certificate.digest());
    let es = x25519([0x44; 32], node.channel.agreement_key().0);
    for padding in [[1_u8; 512], [255; 512]] {
        let create = ByHand::new(network().id, digest, e, es).create_padded(&padding);
        assert_eq!(respond(&create, &node), Err(HandshakeError::BadEarlyRequest));
    }
    let targets = Targets::Nodes(vec![node.id(); 20]);
    let long = Request::Perform { targets, request: Box::new(Request::Certificate) };
    let started = Initiator::start(&node.hop(), Some(&long), &mut rng(1));
    assert_eq!(started.map(|_| ()), Err(HandshakeError::EarlyRequestTooLong));
}

#[test]
fn a_replayed_first_message_leads_to_other_keys() {
    let node = Node::new(1);
    let (opening, create) = Opening::start(&node.verified(), None, &mut rng(1)).unwrap();
    let mut rng = rng(2);
    let mut first = accept(&node, &create, &mut rng).unwrap();
    let mut second = accept(&node, &create, &mut rng).unwrap();
    assert_ne!(first.created, second.created);
    let mut sender = opening.finish(&Cell::created(&first.created)).unwrap();
    let cell = sender.request(&Request::Certificate).unwrap().remove(0);
    let refused = second.last_hop.receive(cell.clone());
    assert_eq!(refused, Err(ChannelError::Cell(CellError)));
    assert_eq!(first.last_hop.receive(cell), Ok(Some(Request::Certificate)));
    let create = create.to_create().unwrap();
    assert_eq!(create.replay_tag()[..], create.to_bytes()[34..66]);
}

/// The points of order 1, 2, 4 and 8, in their canonical encodings; x25519.json has the others.
fn small_order() -> Vec<[u8; 32]> {
    let hex = |text: &str| data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap();
    let mut minus_one = [0xFF; 32];
    (minus_one[0], minus_one[31]) = (0xEC, 0x7F);
    let mut one = [0; 32];
    one[0] = 1;
    vec![
        [0; 32],
        one,
        minus_one,
        hex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800").try_into().unwrap(),
        hex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157").try_into().unwrap(),
    ]
}

fn bad_key() -> Result<(), HandshakeError> {
    Err(HandshakeError::Key(KeyError::BadPublicKey))
}

#[test]
fn ephemeral_keys_of_small_order_are_refused_by_the_node() {
    let node = Node::new(1);
    for e in small_order() {
        // Everything but the key is as it should be: the secret that comes out of it is zero.
        let create = create(&node, e, [0; 32], &[]);
        assert_eq!(respond(&create, &node).map(|_| ()), bad_key(), "{e:?}");
    }
}

#[test]
fn ephemeral_keys_of_small_order_are_refused_by_the_sender() {
    let node = Node::new(1);
    for e2 in small_order() {
        let (waiting, create) = Initiator::start(&node.hop(), None, &mut rng(1)).unwrap();
        let e: [u8; 32] = create.replay_tag();
        let es = x25519(node.channel.expose_seed(), e);
        let by_hand = ByHand::new(network().id, node.certificate.digest(), e, es);
        let created = by_hand.created(&create, e2, [0; 32]);
        assert_eq!(waiting.finish(&created).map(|_| ()), bad_key(), "{e2:?}");
    }
}

#[test]
fn ephemeral_keys_have_one_encoding() {
    let node = Node::new(1);
    // The base point is u = 9, so what it leads to is the node's public key; p + 9 encodes it as well.
    let es = node.channel.agreement_key().0;
    assert_eq!(respond(&create(&node, BASE, es, &[]), &node), Ok(None));
    let mut base_plus_p = [0xFF; 32];
    (base_plus_p[0], base_plus_p[31]) = (0xF6, 0x7F);
    let mut high = BASE;
    high[31] = 0x80;
    for e in [base_plus_p, high] {
        assert_eq!(respond(&create(&node, e, es, &[]), &node).map(|_| ()), bad_key(), "{e:?}");
    }
}

#[test]
fn a_channel_key_of_small_order_is_not_spoken_to() {
    let node = Node::new(1);
    for key in small_order() {
        let certificate = node.certify(|claims| claims.channel_key.0 = key);
        let Ok(certificate) = certificate.verify(&network(), NOW) else { continue };
        let started = Initiator::start(&Hop::certified(&certificate), None, &mut rng(1));
        assert_eq!(started.map(|_| ()), bad_key(), "{key:?}");
    }
}
