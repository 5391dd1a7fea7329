//! A go-between that does not extend the channel to where it should.

use anon::{
    cell::Cell,
    channel::{ChannelError, Extending},
    create::{Create, Created, HopName},
    handshake::{HandshakeError, Initiator},
    request::{Request, Response},
};
use x25519_dalek::x25519;

use super::{
    by_hand::ByHand,
    honest::{KEY, nodes},
};
use crate::{
    line::{Line, accept, backward, finish, forward},
    world::{Node, network, rng},
};

/// What a go-between holds when it was asked to extend.
struct Asked {
    line: Line,
    extending: Extending,
    create: Box<Create>,
}

/// A channel over all but the last of `nodes`, whose last hop was asked to extend to the last one.
fn asked(nodes: &[Node]) -> Asked {
    let (last, first) = nodes.split_last().unwrap();
    let mut line = Line::over(first, &mut rng(1));
    let spare = Line::over(first, &mut rng(1)).sender;
    let sender = std::mem::replace(&mut line.sender, spare);
    let (extending, cells) = sender.extend(&last.verified(), None, &mut rng(2)).unwrap();
    let cells = forward(&mut line.go_betweens, cells).pop().unwrap();
    let requests = line.receive_requests(&cells).unwrap();
    let [Request::Extend { next, create }] = &requests[..] else { panic!("{requests:?}") };
    assert_eq!(**next, last.certificate.to_unverified());
    assert_eq!(create.name(), HopName::Certificate(last.certificate.digest()));
    Asked { line, extending, create: create.clone() }
}

/// What the sender says to this answer.
fn answered(asked: Asked, response: &Response) -> Result<(), ChannelError> {
    let Asked { mut line, extending, .. } = asked;
    let cells = line.last_hop.respond(response).unwrap();
    let cells = backward(&mut line.go_betweens, cells).swap_remove(0);
    finish(extending, &cells).map(|_| ())
}

fn extended(created: Created) -> Response {
    Response::Extended(Box::new(created))
}

const NOT_CONFIRMED: Result<(), ChannelError> =
    Err(ChannelError::Handshake(HandshakeError::NotConfirmed));

#[test]
fn the_next_nodes_answer_extends_the_channel() {
    for hops in 2..=3 {
        let nodes = nodes(hops);
        let asked = asked(nodes);
        let create = Cell::create(&asked.create);
        let accepted = accept(nodes.last().unwrap(), &create, &mut rng(3)).unwrap();
        assert_eq!(answered(asked, &extended(accepted.created)), Ok(()));
    }
}

#[test]
fn anything_but_extended_is_no_extension() {
    for hops in 2..=3 {
        for response in [
            Response::Refused,
            Response::NotFound,
            Response::Deleted,
            Response::Object(vec![0; 64]),
            Response::Certificate(Box::new(Node::new(3).certificate.to_unverified())),
        ] {
            let answer = answered(asked(nodes(hops)), &response);
            assert_eq!(answer, Err(ChannelError::NotExtended), "{response:?}");
        }
    }
}

/// The answer of somebody who holds `channel` and knows all formulas.
fn made_up(asked: &Asked, channel: [u8; 32], e2: [u8; 32]) -> Created {
    let HopName::Certificate(digest) = asked.create.name() else { panic!("{:?}", asked.create) };
    let e = asked.create.replay_tag();
    let mut base = [0; 32];
    base[0] = 9;
    ByHand::new(network().id, digest, e, x25519(channel, e)).created(
        &asked.create,
        x25519(e2, base),
        x25519(e2, e),
    )
}

#[test]
fn an_answer_made_up_by_the_go_between_is_not_confirmed() {
    for hops in 2..=3 {
        let nodes = nodes(hops);
        let (last, first) = nodes.split_last().unwrap();
        let go_between = first.last().unwrap();
        let asked_once = asked(nodes);
        let forged = made_up(&asked_once, go_between.channel.expose_seed(), [0x66; 32]);
        assert_eq!(answered(asked_once, &extended(forged)), NOT_CONFIRMED);
        // With the next node's own secret the same computation is an answer.
        let asked_again = asked(nodes);
        let genuine = made_up(&asked_again, last.channel.expose_seed(), [0x66; 32]);
        assert_eq!(answered(asked_again, &extended(genuine)), Ok(()));
    }
}

#[test]
fn an_answer_from_another_channel_is_not_confirmed() {
    let nodes = nodes(2);
    let other = Initiator::start(&nodes[1].hop(), None, &mut rng(7));
    let (_, create) = other.unwrap();
    let create = Cell::create(&create);
    let accepted = accept(&nodes[1], &create, &mut rng(3)).unwrap();
    assert_eq!(answered(asked(nodes), &extended(accepted.created)), NOT_CONFIRMED);
}

#[test]
fn another_node_than_the_one_asked_for_cannot_answer() {
    let asked = asked(nodes(2));
    let create = Cell::create(&asked.create);
    let accepted = accept(&Node::new(9), &create, &mut rng(3)).map(|_| ());
    assert_eq!(accepted, Err(ChannelError::Handshake(HandshakeError::BadEarlyRequest)));
}

#[test]
fn a_former_last_hop_cannot_read_what_follows() {
    let nodes = nodes(2);
    // A copy of the go-between's keys as last hop: the last hop of a channel from the same randomness.
    let mut line = Line::over(nodes, &mut rng(4));
    let mut kept = Line::over(&nodes[..1], &mut rng(4)).last_hop;
    let asked = line.extensions[0][0][0].clone();
    assert!(matches!(kept.receive(asked), Ok(Some(Request::Extend { .. }))));
    let links = line.request(&Request::Fetch { key: KEY });
    for link in &links {
        assert!(kept.receive(link[0].clone()).is_err());
    }
    assert_eq!(line.receive_requests(&links[1]), Ok(vec![Request::Fetch { key: KEY }]));
}
