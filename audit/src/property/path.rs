//! A path in memory, made in one pass: the sender, the go-betweens and the last hop.

use anon::{
    cell::Cell,
    channel::{GoBetween, LastHop, OpeningPath, Passage, SenderChannel},
    request::Response,
};
use rand::rngs::StdRng;

use super::world::Node;

/// A path that stands.
pub(super) struct Path {
    pub(super) sender: SenderChannel,
    pub(super) go_betweens: Vec<GoBetween>,
    pub(super) last_hop: LastHop,
}

impl Path {
    /// A path over these nodes, in this order.
    pub(super) fn over(nodes: &[Node], rng: &mut StdRng) -> Option<Self> {
        let verified: Vec<_> = nodes.iter().map(Node::verified).collect::<Option<_>>()?;
        let hops: Vec<_> = verified.iter().map(|node| (node, None)).collect();
        let (opening, first) = OpeningPath::start(&hops, rng).ok()?;
        let mut accepted = Vec::new();
        let mut onward = Some(first.to_create().ok()?);
        for node in nodes {
            let create = onward.take()?;
            let hop = LastHop::accept(&create, &node.responder(), rng).ok()?;
            onward = hop.early.onward.as_ref().map(|onward| (*onward.create).clone());
            accepted.push(hop);
        }
        let mut hops = accepted.into_iter();
        let first = hops.next()?;
        let mut passage = opening.finish(&Cell::created(&first.created)).ok()?;
        let (mut last_hop, mut go_betweens) = (first.last_hop, Vec::new());
        for next in hops {
            let (go_between, cells) = last_hop.extended(next.created).ok()?;
            for cell in backward(&mut go_betweens, cells) {
                let Passage::Underway(path) = passage else { return None };
                passage = path.receive(cell).ok()?;
            }
            go_betweens.push(go_between);
            last_hop = next.last_hop;
        }
        let Passage::Arrived(sender) = passage else { return None };
        Some(Self { sender: *sender, go_betweens, last_hop })
    }

    /// Carries what the last hop answers back to the sender; whether it arrived.
    pub(super) fn answer(&mut self, response: &Response) -> Option<bool> {
        let cells = self.last_hop.respond(response).ok()?;
        let mut came = None;
        for cell in backward(&mut self.go_betweens, cells) {
            came = self.sender.receive(cell).ok()?;
        }
        Some(came.as_ref() == Some(response))
    }
}

/// Carries cells from the last hop's side to the sender's.
fn backward(go_betweens: &mut [GoBetween], mut cells: Vec<Cell>) -> Vec<Cell> {
    for hop in go_betweens.iter_mut().rev() {
        cells.iter_mut().for_each(|cell| hop.backward.apply(cell));
    }
    cells
}
