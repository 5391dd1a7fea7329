//! The protocol's own answers on the wire: handshakes, and every cell on every link of channels that grow hop by hop.

use std::convert::Infallible;

use anon::{
    cell::Cell,
    channel::{Accepted, Extension, GoBetween, LastHop, Opening, SenderChannel},
    create::{Create, Created},
    receipt::Receipt,
    request::{Request, Response},
    wire,
};
use rand::{TryCryptoRng, TryRng};
use sha2::{Digest as _, Sha256};

use super::{
    Compared, Known,
    protocol::{Members, other_file},
};
use crate::property::Node;

/// Randomness that is known beforehand; zeros when it is used up, which [`Tape::is_used_up`] then denies.
pub(super) struct Tape {
    bytes: std::vec::IntoIter<u8>,
    short: bool,
}

impl Tape {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes: bytes.into_iter(), short: false }
    }

    pub(super) fn is_used_up(&self) -> bool {
        self.bytes.len() == 0 && !self.short
    }
}

impl TryRng for Tape {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Infallible> {
        self.short |= self.bytes.len() < to.len();
        to.iter_mut().for_each(|byte| *byte = self.bytes.next().unwrap_or_default());
        Ok(())
    }
}

impl TryCryptoRng for Tape {}

/// The cells of one message on each link, the sender's link first.
pub(super) type Links = Vec<Vec<Cell>>;

fn accept(node: &Node, create: &Create, tape: &mut Tape) -> Option<Accepted> {
    LastHop::accept(create, &node.responder(), tape).ok()
}

/// A channel and whom it passes through.
pub(super) struct Line {
    pub(super) sender: SenderChannel,
    pub(super) go_betweens: Vec<GoBetween>,
    pub(super) last_hop: LastHop,
}

impl Line {
    pub(super) fn request(&mut self, request: &Request) -> Option<Links> {
        let cells = self.sender.request(request).ok()?;
        Some(forward(&mut self.go_betweens, cells))
    }

    pub(super) fn respond(&mut self, response: &Response) -> Option<Links> {
        let cells = self.last_hop.respond(response).ok()?;
        Some(backward(&mut self.go_betweens, cells))
    }

    /// A request that arrives, and a response that does.
    fn exchange(&mut self, request: &Request, response: &Response) -> Option<(Links, Links)> {
        let there = self.request(request)?;
        let mut asked = None;
        for cell in there.last()? {
            asked = self.last_hop.receive(cell.clone()).ok()?;
        }
        let back = self.respond(response)?;
        let mut answered = None;
        for cell in back.first()? {
            answered = self.sender.receive(cell.clone()).ok()?;
        }
        (asked.as_ref() == Some(request) && answered.as_ref() == Some(response))
            .then_some((there, back))
    }
}

fn forward(go_betweens: &mut [GoBetween], cells: Vec<Cell>) -> Links {
    let mut links = vec![cells.clone()];
    let mut cells = cells;
    for hop in go_betweens {
        cells.iter_mut().for_each(|cell| hop.forward.apply(cell));
        links.push(cells.clone());
    }
    links
}

pub(super) fn backward(go_betweens: &mut [GoBetween], cells: Vec<Cell>) -> Links {
    let mut links = vec![cells.clone()];
    let mut cells = cells;
    for hop in go_betweens.iter_mut().rev() {
        cells.iter_mut().for_each(|cell| hop.backward.apply(cell));
        links.push(cells.clone());
    }
    links.reverse();
    links
}

/// Compares one message's cells on every link with a step of the file.
pub(super) fn step(
    known: Option<Known<'_>>,
    way: &str,
    message: &[u8],
    links: &Links,
    compared: &mut Compared,
) -> Option<()> {
    let known = known?;
    let digest = |bytes: &[u8]| <[u8; 32]>::from(Sha256::digest(bytes));
    let same = known.text("/way")? == way && digest(message) == known.array("/message_sha256")?;
    compared.same("a message", same);
    if let Some(first) = known.bytes("/first_cell") {
        let cell = links.first()?.first()?;
        compared.same("its first cell", cell.as_bytes()[..] == first);
    }
    let mut made = links.iter();
    for link in known.list("/links")? {
        let expected = link.list("")?.map(|cell| cell.array("")).collect::<Option<Vec<_>>>()?;
        let cells: Vec<_> = made.next()?.iter().map(|cell| digest(cell.as_bytes())).collect();
        compared.same("its cells on a link", cells == expected);
    }
    compared.same("the number of links", made.next().is_none());
    Some(())
}

/// What is sent over the channels of the answers.
pub(super) fn traffic() -> Option<[(Request, Response); 2]> {
    let (messages, storage) =
        (Known(other_file!("cutout-messages")), Known(other_file!("cutout-storage")));
    let request = |name: &str| Request::decode(&messages.bytes(name)?).ok();
    let receipt: Receipt = wire::decode(&storage.bytes("/receipts/0")?, 1_024).ok()?;
    let object = Response::decode(&messages.bytes("/responses/object")?).ok()?;
    Some([
        (request("/requests/fetch")?, object),
        (request("/requests/store")?, Response::Receipt(Box::new(receipt))),
    ])
}

/// A channel that grows to three hops.
pub(super) fn channel(known: Known<'_>, compared: &mut Compared) -> Option<()> {
    let members = Members::read()?;
    let mut steps = known.list("/steps")?;
    let mut line: Option<Line> = None;
    for (number, node) in members.nodes.iter().enumerate().take(3) {
        let handshake = steps.next()?;
        compared.same("a hop", handshake.length("/extended_to")? == number);
        let early = handshake.bytes("/early")?;
        let early = if early.is_empty() { None } else { Some(Request::decode(&early).ok()?) };
        let seed = |whose: &str| known.bytes(&format!("/{whose}_seeds/{number}"));
        let mut tape = Tape::new([seed("sender")?, known.bytes("/rest")?, seed("node")?].concat());
        let (create, created) = (handshake.bytes("/create")?, handshake.bytes("/created")?);
        let mut longer = match line {
            None => {
                let (opening, first) =
                    Opening::start(&node.verified()?, early.as_ref(), &mut tape).ok()?;
                let sent = first.to_create().ok()?;
                let accepted = accept(node, &sent, &mut tape)?;
                compared.same("a first message", sent.to_bytes() == create);
                compared.same("its answer", accepted.created.to_bytes() == created);
                compared.same("its request", accepted.early.request == early);
                let sender = opening.finish(&Cell::created(&accepted.created)).ok()?;
                Line { sender, go_betweens: Vec::new(), last_hop: accepted.last_hop }
            }
            Some(line) => {
                let sent = (Create::from_padded(&create).ok()?, Created::from_padded(&created)?);
                let (next, early) = ((node, early), [steps.next(), steps.next()]);
                extend(line, next, sent, early, &mut tape, compared)?
            }
        };
        compared.same("what was sampled", tape.is_used_up());
        for (request, response) in traffic()? {
            let (there, back) = longer.exchange(&request, &response)?;
            step(steps.next(), "forward", &wire::encode(&request), &there, compared)?;
            step(steps.next(), "backward", &wire::encode(&response), &back, compared)?;
        }
        line = Some(longer);
    }
    steps.next().is_none().then_some(())
}

/// One hop more; what the sender and the node should say, and the steps of that.
fn extend(
    mut line: Line,
    (node, early): (&Node, Option<Request>),
    (create, created): (Create, Created),
    [there, back]: [Option<Known<'_>>; 2],
    tape: &mut Tape,
    compared: &mut Compared,
) -> Option<Line> {
    let (mut extending, cells) =
        line.sender.extend(&node.verified()?, early.as_ref(), tape).ok()?;
    let links = forward(&mut line.go_betweens, cells);
    let next = Box::new(node.certificate.to_unverified());
    let asked = Request::Extend { next, create: Box::new(create.clone()) };
    step(there, "forward", &wire::encode(&asked), &links, compared)?;
    let mut received = None;
    for cell in links.last()? {
        received = line.last_hop.receive(cell.clone()).ok()?;
    }
    let Request::Extend { create: sent, .. } = received? else { return None };
    let accepted = accept(node, &sent, tape)?;
    compared.same("a first message", *sent == create);
    compared.same("its answer", accepted.created == created);
    compared.same("its request", accepted.early.request == early);
    let (go_between, cells) = line.last_hop.extended(accepted.created).ok()?;
    let links = backward(&mut line.go_betweens, cells);
    let answer = Response::Extended(Box::new(created));
    step(back, "backward", &wire::encode(&answer), &links, compared)?;
    for cell in links.first()? {
        match extending.receive(cell.clone()).ok()? {
            Extension::Waiting(still) => extending = *still,
            Extension::Extended(sender) => {
                line.go_betweens.push(go_between);
                let last_hop = accepted.last_hop;
                return Some(Line { sender: *sender, go_betweens: line.go_betweens, last_hop });
            }
        }
    }
    None
}
