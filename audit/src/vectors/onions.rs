//! The protocol's own answers on the wire: paths of one to five hops that are made in one pass, over nodes that are
//! named by their certificates, and over nodes of a view.

use anon::{
    cell::Cell,
    channel::{Accepted, LastHop, OpeningPath, Passage},
    create::HopName,
    handshake::Responder,
    id::NetworkId,
    keys::{ChannelSecret, VerifyKey},
    request::{Request, Response},
    verification::CrossVerified,
    view::{quorum::KeeperSet, signed::View, whole::WholeDecoder},
    wire,
};

use super::{
    Compared, Known,
    channels::{Line, Tape, backward, step, traffic},
    protocol::Members,
};
use crate::property::Node;

/// A node of a path: as the sender knows it, and as who it answers.
struct Member<'a> {
    verified: CrossVerified,
    name: HopName,
    own: Responder<'a>,
}

/// All paths of the file.
pub(super) fn onions(known: Known<'_>, compared: &mut Compared) -> Option<()> {
    let members = Members::read()?;
    let certified = members.nodes.iter().map(certified).collect::<Option<Vec<_>>>()?;
    let network = members.network.id;
    let (view, secrets) = view(known.at("/view")?, network, compared)?;
    let standing = members.nodes.iter().zip(&secrets).map(|(node, secret)| {
        let verified = CrossVerified::in_view(&view, &node.certificate.node())?;
        let own = Responder { network, node: verified.node(), secret };
        Some(Member { verified, name: HopName::View(view.epoch()), own })
    });
    let standing = standing.collect::<Option<Vec<_>>>()?;
    for (paths, nodes) in [("/paths", &certified), ("/in_view", &standing)] {
        for path in known.list(paths)? {
            one_path(known, path, nodes, &members, compared)?;
        }
    }
    Some(())
}

fn certified(node: &Node) -> Option<Member<'_>> {
    let name = HopName::Certificate(node.certificate.digest());
    Some(Member { verified: node.verified()?, name, own: node.responder() })
}

/// The view, under a quorum of its keepers, and its nodes' secrets.
fn view(
    known: Known<'_>,
    network: NetworkId,
    compared: &mut Compared,
) -> Option<(View, Vec<ChannelSecret>)> {
    let keys = known.list("/keeper_keys")?.map(|key| key.array("").map(VerifyKey));
    let keepers = KeeperSet::new(keys.collect::<Option<_>>()?).ok()?;
    let mut decoder = WholeDecoder::new(network, keepers);
    decoder.feed(&known.bytes("/whole")?).ok()?;
    let view = decoder.finish().ok()?;
    compared.same("the nodes' signatures", view.verify_node_signatures().is_ok());
    let secrets =
        known.list("/channels")?.map(|seed| Some(ChannelSecret::from_seed(&seed.array("")?)));
    Some((view, secrets.collect::<Option<_>>()?))
}

fn one_path(
    known: Known<'_>,
    path: Known<'_>,
    nodes: &[Member<'_>],
    members: &Members,
    compared: &mut Compared,
) -> Option<()> {
    let [(_, object), (store, _)] = traffic()?;
    let answer = Response::Certificate(Box::new(members.nodes.get(1)?.certificate.to_unverified()));
    let mut line = one_pass(known, path, nodes, &answer, compared)?;
    let mut steps = path.list("/steps")?;
    let back = line.respond(&object)?;
    step(steps.next(), "backward", &wire::encode(&object), &back, compared)?;
    let there = line.request(&store)?;
    step(steps.next(), "forward", &wire::encode(&store), &there, compared)
}

fn one_pass(
    known: Known<'_>,
    path: Known<'_>,
    nodes: &[Member<'_>],
    answer: &Response,
    compared: &mut Compared,
) -> Option<Line> {
    let nodes = path.list("/nodes")?.map(|at| nodes.get(at.length("")?));
    let nodes: Vec<&Member<'_>> = nodes.collect::<Option<_>>()?;
    let questions = path.list("/questions")?.chain([path.at("/early")?]).map(|question| {
        let bytes = question.bytes("")?;
        Some(if bytes.is_empty() { None } else { Some(Request::decode(&bytes).ok()?) })
    });
    let questions: Vec<Option<Request>> = questions.collect::<Option<_>>()?;
    let seeds = |whose: &str| {
        let each = (0..nodes.len()).map(|at| known.bytes(&format!("/{whose}_seeds/{at}")));
        each.collect::<Option<Vec<_>>>().map(|seeds| seeds.concat())
    };
    let mut tape = Tape::new([seeds("sender")?, path.bytes("/rest")?, seeds("node")?].concat());
    let all = nodes.iter().map(|node| &node.verified);
    let hops: Vec<_> = all.zip(questions.iter().map(Option::as_ref)).collect();
    let (opening, first) = OpeningPath::start(&hops, &mut tape).ok()?;
    let (mut onward, mut taken) = (Some(first.to_create().ok()?), Vec::new());
    for (at, (node, question)) in nodes.iter().zip(&questions).enumerate() {
        let create = onward.take()?;
        let accepted = LastHop::accept(&create, &node.own, &mut tape).ok()?;
        let same = create.to_bytes() == path.bytes(&format!("/creates/{at}"))?
            && create.name() == node.name
            && accepted.early.request == *question;
        compared.same("what a hop receives", same);
        let expected = path.bytes(&format!("/createds/{at}"))?;
        compared.same("its answer", accepted.created.to_bytes() == expected);
        onward = accepted.early.onward.as_ref().map(|onward| (*onward.create).clone());
        taken.push(accepted);
    }
    compared.same("what was sampled", tape.is_used_up() && onward.is_none());
    come_back(opening, taken, path, answer, compared)
}

/// The hops confirm one after the other, each giving the answer if it was asked something.
fn come_back(
    opening: OpeningPath,
    taken: Vec<Accepted>,
    path: Known<'_>,
    answer: &Response,
    compared: &mut Compared,
) -> Option<Line> {
    let mut steps = path.list("/back")?;
    let mut hops = taken.into_iter();
    let Accepted { mut last_hop, created, mut early } = hops.next()?;
    let mut passage = opening.finish(&Cell::created(&created)).ok()?;
    let mut go_betweens = Vec::new();
    for next in hops {
        if early.request.is_some() {
            let links = backward(&mut go_betweens, last_hop.respond(answer).ok()?);
            step(steps.next(), "backward", &wire::encode(answer), &links, compared)?;
            passage = match feed(passage, links.first()?)? {
                Passage::Answered { answer: heard, path, .. } if heard == *answer => {
                    Passage::Underway(path)
                }
                _ => return None,
            };
        }
        let extended = Response::Extended(Box::new(next.created.clone()));
        let (go_between, cells) = last_hop.extended(next.created).ok()?;
        let links = backward(&mut go_betweens, cells);
        step(steps.next(), "backward", &wire::encode(&extended), &links, compared)?;
        passage = feed(passage, links.first()?)?;
        go_betweens.push(go_between);
        (last_hop, early) = (next.last_hop, next.early);
    }
    let Passage::Arrived(sender) = passage else { return None };
    steps.next().is_none().then_some(Line { sender: *sender, go_betweens, last_hop })
}

fn feed(mut passage: Passage, cells: &[Cell]) -> Option<Passage> {
    for cell in cells {
        let Passage::Underway(path) = passage else { return None };
        passage = path.receive(cell.clone()).ok()?;
    }
    Some(passage)
}
