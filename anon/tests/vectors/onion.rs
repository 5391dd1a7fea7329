//! Our own known answers: paths of one to five hops that are made in one pass, over nodes that are named by their
//! certificates, and over nodes of a view.

use anon::{
    create::HopName,
    keys::{ChannelSecret, VerifyKey},
    request::{Request, Response},
    testing::object,
    verification::CrossVerified,
    view::{quorum::KeeperSet, signed::View, whole::WholeDecoder},
    wire,
};

use super::{channel::assert_step, messages::Messages, names::Members};
use crate::{
    pass::Pass,
    tape::Tape,
    vector::{Vector, known_answers},
    world::{Member, Standing},
};

/// Compares a path over these members with the file, and says how many hops it has.
fn assert_path<M: Member>(
    all: &Vector<'_>,
    known: &Vector<'_>,
    nodes: &[M],
    name: impl Fn(&M) -> HopName,
) -> usize {
    let (members, messages) = (Members::read(), Messages::read());
    let seeds = |whose: &str, count| -> Vec<u8> {
        (0..count).flat_map(|at| all.bytes(&format!("/{whose}_seeds/{at}"))).collect()
    };
    let mut questions = known.list("/questions");
    questions.push(known.at("/early"));
    let asked = known.list("/nodes").into_iter().zip(&questions);
    let path: Vec<_> = asked
        .map(|(node, question)| {
            let question = question.bytes("");
            let request = (!question.is_empty()).then(|| Request::decode(&question).unwrap());
            (&nodes[node.length("")], request)
        })
        .collect();
    let (sender, node) = (seeds("sender", path.len()), seeds("node", path.len()));
    let mut tape = Tape::new(&[&sender, &known.bytes("/rest"), &node]);
    let pass = Pass::through(&path, &mut tape);
    assert!(tape.is_used_up());
    for (at, (taken, (node, request))) in pass.hops.iter().zip(&path).enumerate() {
        assert_eq!(taken.create.to_bytes(), known.bytes(&format!("/creates/{at}")));
        assert_eq!(taken.created.to_bytes(), known.bytes(&format!("/createds/{at}")));
        assert_eq!(taken.create.name(), name(node));
        assert_eq!(taken.early.request, *request);
        let onward = taken.early.onward.as_ref().map(|onward| onward.next);
        assert_eq!(onward, path.get(at + 1).map(|(node, _)| node.verified().node()));
    }
    let answer = Response::Certificate(Box::new(members.nodes[1].certificate.to_unverified()));
    let (mut line, back) = pass.finish(&answer).unwrap();
    assert_eq!(back.len(), known.list("/back").len());
    for (step, back) in known.list("/back").iter().zip(&back) {
        assert_step(step, "backward", &back.message, &back.links);
    }
    let [backward, forward] = &known.list("/steps")[..] else { panic!("two steps") };
    let response = Response::Object(object());
    assert_step(backward, "backward", &wire::encode(&response), &line.respond(&response));
    let request = Request::Store(messages.cast().store());
    assert_step(forward, "forward", &wire::encode(&request), &line.request(&request));
    path.len()
}

#[test]
fn paths_over_nodes_that_are_named_by_their_certificates() {
    let file = known_answers!("cutout-onions");
    let (all, members) = (Vector(&file), Members::read());
    let lengths = all.list("/paths").into_iter().map(|known| {
        assert_path(&all, &known, &members.nodes, |node| {
            HopName::Certificate(node.certificate.digest())
        })
    });
    assert_eq!(lengths.collect::<Vec<_>>(), [1, 2, 3, 5]);
}

/// The view, and the file's nodes as they stand there.
fn standing(all: &Vector<'_>) -> (View, Vec<Standing>) {
    let members = Members::read();
    let network = members.nodes[0].certificate.claims().network;
    let keys = all.list("/view/keeper_keys");
    let keys = keys.iter().map(|key| VerifyKey(key.array(""))).collect();
    let mut decoder = WholeDecoder::new(network, KeeperSet::new(keys).unwrap());
    decoder.feed(&all.bytes("/view/whole")).unwrap();
    let view = decoder.finish().unwrap();
    view.verify_node_signatures().unwrap();
    let secrets = all.list("/view/channels");
    let nodes = members.nodes.iter().zip(&secrets).map(|(node, secret)| Standing {
        network,
        channel: ChannelSecret::from_seed(&secret.array("")),
        verified: CrossVerified::in_view(&view, &node.id()).unwrap(),
    });
    let nodes = nodes.collect();
    (view, nodes)
}

#[test]
fn paths_over_nodes_of_a_view() {
    let file = known_answers!("cutout-onions");
    let all = Vector(&file);
    let (view, nodes) = standing(&all);
    let name = HopName::View(view.epoch());
    let lengths =
        all.list("/in_view").into_iter().map(|known| assert_path(&all, &known, &nodes, |_| name));
    assert_eq!(lengths.collect::<Vec<_>>(), [1, 2, 5]);
}
