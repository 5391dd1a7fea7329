//! A channel in memory, both ends and the go-betweens between them, with every cell on every link at hand.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use anon::{
    cell::Cell,
    channel::{
        Accepted, ChannelError, Extending, Extension, GoBetween, LastHop, Opening, SenderChannel,
    },
    request::{Request, Response},
};
use rand_core::CryptoRng;

use crate::world::{Member, Node};

/// The cells of one message on each link, from the sender's link to the last hop's.
pub(crate) type Links = Vec<Vec<Cell>>;

/// A channel and whom it passes through.
pub(crate) struct Line {
    pub(crate) sender: SenderChannel,
    pub(crate) go_betweens: Vec<GoBetween>,
    pub(crate) last_hop: LastHop,
    /// What travelled to extend it, both ways, the latest last.
    pub(crate) extensions: Vec<Links>,
    /// The early request that the last hop received.
    pub(crate) early: Option<Request>,
}

/// A node's answer to a handshake.
pub(crate) fn accept<R: CryptoRng>(
    node: &impl Member,
    cell: &Cell,
    rng: &mut R,
) -> Result<Accepted, ChannelError> {
    Ok(LastHop::accept(&cell.to_create()?, &node.responder(), rng)?)
}

impl Line {
    /// A channel with one hop.
    pub(crate) fn open<R: CryptoRng>(to: &Node, early: Option<&Request>, rng: &mut R) -> Self {
        let (opening, create) = Opening::start(&to.verified(), early, rng).expect("a good node");
        let accepted = accept(to, &create, rng).expect("a good handshake");
        let sender = opening.finish(&Cell::created(&accepted.created)).expect("a good answer");
        Self {
            sender,
            go_betweens: Vec::new(),
            last_hop: accepted.last_hop,
            extensions: Vec::new(),
            early: accepted.early.request,
        }
    }

    /// A channel over all of these nodes, in this order.
    pub(crate) fn over<R: CryptoRng>(nodes: &[Node], rng: &mut R) -> Self {
        let (first, rest) = nodes.split_first().expect("at least one hop");
        rest.iter().fold(Self::open(first, None, rng), |line, node| line.extend(node, None, rng))
    }

    /// The same channel with one more hop.
    pub(crate) fn extend<R: CryptoRng>(
        mut self,
        to: &Node,
        early: Option<&Request>,
        rng: &mut R,
    ) -> Self {
        let (extending, cells) =
            self.sender.extend(&to.verified(), early, rng).expect("a good node");
        let links = forward(&mut self.go_betweens, cells);
        let asked = receive_at(&mut self.last_hop, links.last().expect("a link"));
        let Ok([Request::Extend { create, .. }]) = asked.as_deref() else { panic!("{asked:?}") };
        let accepted = accept(to, &Cell::create(create), rng).expect("a good handshake");
        let (go_between, cells) = self.last_hop.extended(accepted.created).expect("it is short");
        self.extensions.push(links);
        let links = backward(&mut self.go_betweens, cells);
        let sender = finish(extending, &links[0]).expect("a good answer");
        self.extensions.push(links);
        self.go_betweens.push(go_between);
        let Self { go_betweens, extensions, .. } = self;
        Self {
            sender,
            go_betweens,
            last_hop: accepted.last_hop,
            extensions,
            early: accepted.early.request,
        }
    }

    /// Sends a request: its cells on each link, not yet received by the last hop.
    pub(crate) fn request(&mut self, request: &Request) -> Links {
        let cells = self.sender.request(request).expect("it is short enough");
        forward(&mut self.go_betweens, cells)
    }

    /// Sends a response: its cells on each link, not yet received by the sender.
    pub(crate) fn respond(&mut self, response: &Response) -> Links {
        let cells = self.last_hop.respond(response).expect("it is short enough");
        backward(&mut self.go_betweens, cells)
    }

    /// What the last hop makes of the cells that came in over its link.
    pub(crate) fn receive_requests(
        &mut self,
        cells: &[Cell],
    ) -> Result<Vec<Request>, ChannelError> {
        receive_at(&mut self.last_hop, cells)
    }

    /// What the sender makes of the cells that came in over its link.
    pub(crate) fn receive_responses(
        &mut self,
        cells: &[Cell],
    ) -> Result<Vec<Response>, ChannelError> {
        let responses = cells.iter().map(|cell| self.sender.receive(cell.clone()));
        responses.filter_map(Result::transpose).collect()
    }
}

fn receive_at(last_hop: &mut LastHop, cells: &[Cell]) -> Result<Vec<Request>, ChannelError> {
    let requests = cells.iter().map(|cell| last_hop.receive(cell.clone()));
    requests.filter_map(Result::transpose).collect()
}

/// Carries cells from the sender's link to the last hop's.
pub(crate) fn forward(go_betweens: &mut [GoBetween], cells: Vec<Cell>) -> Links {
    let mut links = vec![cells];
    for hop in go_betweens {
        let mut cells = links.last().expect("never empty").clone();
        cells.iter_mut().for_each(|cell| hop.forward.apply(cell));
        links.push(cells);
    }
    links
}

/// Carries cells from the last hop's link to the sender's; the sender's link comes first.
pub(crate) fn backward(go_betweens: &mut [GoBetween], cells: Vec<Cell>) -> Links {
    let mut links = vec![cells];
    for hop in go_betweens.iter_mut().rev() {
        let mut cells = links.last().expect("never empty").clone();
        cells.iter_mut().for_each(|cell| hop.backward.apply(cell));
        links.push(cells);
    }
    links.reverse();
    links
}

/// What a sender who is extending makes of the answer.
pub(crate) fn finish(extending: Extending, cells: &[Cell]) -> Result<SenderChannel, ChannelError> {
    let mut waiting = extending;
    for cell in cells {
        match waiting.receive(cell.clone())? {
            Extension::Waiting(still) => waiting = *still,
            Extension::Extended(channel) => return Ok(*channel),
        }
    }
    panic!("the answer is not complete");
}
