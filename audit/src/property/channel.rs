//! Channels: a handshake, and cells in two directions. Everything that somebody on the way can do to them, and
//! what a thief of the node's key can do afterwards.

mod attacks;
mod homemade;
mod theft;

use anon::{
    cell::{CELL, Cell},
    channel::{LastHop, Opening, SenderChannel},
    handshake::Responder,
    position::Key,
    request::{ObjectKind, Request, Response, Store},
    wire,
};
use homemade::{Flaw, Homemade};
use rand::rngs::StdRng;

use super::{
    family::{Check, Family, Tried},
    world::Node,
};

/// A node's end of a channel, and its answer to the first message.
pub(super) type Accepted = (Box<dyn End>, Vec<u8>);

/// How a channel is made, in bytes.
pub(super) trait Scheme {
    /// A sender's first message to a node.
    fn start(&self, to: &Node, rng: &mut StdRng) -> Option<(Box<dyn Waiting>, Vec<u8>)>;
    /// A node's answer to it, with its channel key. `None`: refused.
    fn accept(&self, own: &Responder<'_>, first: &[u8], rng: &mut StdRng) -> Option<Accepted>;
}

/// A sender who waits for the answer.
pub(super) trait Waiting {
    /// Takes it. `None`: refused.
    fn finish(self: Box<Self>, answer: &[u8]) -> Option<Box<dyn End>>;
}

/// An end of a channel.
pub(super) trait End {
    /// The cells of a message.
    fn seal(&mut self, message: &[u8]) -> Option<Vec<Vec<u8>>>;
    /// Takes a cell; the message, if that was its last one.
    ///
    /// # Errors
    /// What somebody at this end could tell of why it was refused.
    fn open(&mut self, cell: &[u8]) -> Result<Option<Vec<u8>>, String>;
}

/// A channel that stands, and what travelled to make it.
struct Session {
    node: Node,
    first: Vec<u8>,
    answer: Vec<u8>,
    sender: Box<dyn End>,
    far: Box<dyn End>,
}

impl Session {
    /// Opens a channel to a new node, which carries a message of several cells each way.
    fn open(scheme: &dyn Scheme, rng: &mut StdRng) -> Option<Self> {
        let mut session = Self::fresh(scheme, rng)?;
        for message in [&[1; 9_000][..], &[2; 3]] {
            let sent = session.sender.seal(message)?;
            let back = session.far.seal(message)?;
            let arrived = deliver(&mut *session.far, &sent).ok()? == [message];
            let returned = deliver(&mut *session.sender, &back).ok()? == [message];
            if !arrived || !returned {
                return None;
            }
        }
        Some(session)
    }

    /// Opens a channel and sends nothing.
    fn fresh(scheme: &dyn Scheme, rng: &mut StdRng) -> Option<Self> {
        let node = Node::new(1, rng)?;
        let (waiting, first) = scheme.start(&node, rng)?;
        let (far, answer) = scheme.accept(&node.responder(), &first, rng)?;
        let sender = waiting.finish(&answer)?;
        Some(Self { node, first, answer, sender, far })
    }
}

/// The messages that an end makes of these cells.
fn deliver(end: &mut dyn End, cells: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, String> {
    cells.iter().filter_map(|cell| end.open(cell).transpose()).collect()
}

/// The project's own channels.
struct Real;

impl Scheme for Real {
    fn start(&self, to: &Node, rng: &mut StdRng) -> Option<(Box<dyn Waiting>, Vec<u8>)> {
        let (opening, first) = Opening::start(&to.verified()?, None, rng).ok()?;
        Some((Box::new(opening), first.as_bytes().to_vec()))
    }

    fn accept(&self, own: &Responder<'_>, first: &[u8], rng: &mut StdRng) -> Option<Accepted> {
        let create = cell(first)?.to_create().ok()?;
        let accepted = LastHop::accept(&create, own, rng).ok()?;
        let answer = Cell::created(&accepted.created).as_bytes().to_vec();
        Some((Box::new(accepted.last_hop), answer))
    }
}

impl Waiting for Opening {
    fn finish(self: Box<Self>, answer: &[u8]) -> Option<Box<dyn End>> {
        let channel = (*self).finish(&cell(answer)?).ok()?;
        Some(Box::new(channel))
    }
}

impl End for SenderChannel {
    fn seal(&mut self, message: &[u8]) -> Option<Vec<Vec<u8>>> {
        Some(bytes(self.request(&carry(message)).ok()?))
    }

    fn open(&mut self, bytes: &[u8]) -> Result<Option<Vec<u8>>, String> {
        let cell = cell(bytes).ok_or_else(|| "no cell".to_owned())?;
        let response = self.receive(cell).map_err(|error| format!("{error:?}"))?;
        Ok(response.map(|response| match response {
            Response::Object(message) => message,
            other => wire::encode(&other),
        }))
    }
}

impl End for LastHop {
    fn seal(&mut self, message: &[u8]) -> Option<Vec<Vec<u8>>> {
        Some(bytes(self.respond(&Response::Object(message.to_vec())).ok()?))
    }

    fn open(&mut self, bytes: &[u8]) -> Result<Option<Vec<u8>>, String> {
        let cell = cell(bytes).ok_or_else(|| "no cell".to_owned())?;
        let request = self.receive(cell).map_err(|error| format!("{error:?}"))?;
        Ok(request.map(|request| match request {
            Request::Store(store) => store.object,
            other => wire::encode(&other),
        }))
    }
}

/// A request that carries a message.
fn carry(message: &[u8]) -> Request {
    Request::Store(Store {
        key: Key([0; 32]),
        kind: ObjectKind::Body,
        object: message.to_vec(),
        deleters: Vec::new(),
        nonce: [0; 16],
    })
}

fn cell(bytes: &[u8]) -> Option<Cell> {
    let bytes: [u8; CELL] = bytes.try_into().ok()?;
    Some(Cell::from_bytes(Box::new(bytes)))
}

fn bytes(cells: Vec<Cell>) -> Vec<Vec<u8>> {
    cells.into_iter().map(|cell| cell.as_bytes().to_vec()).collect()
}

/// Channels, and mutants of them.
pub(super) fn family() -> Box<dyn Tried> {
    Box::new(with(Box::new(Real)))
}

fn with(real: Box<dyn Scheme>) -> Family<dyn Scheme, Flaw> {
    let check = |name, attack| Check { name, attack };
    Family {
        checks: vec![
            check("property.directions", attacks::directions),
            check("property.integrity", attacks::integrity),
            check("property.counting", attacks::counting),
            check("property.replay", theft::replay),
            check("property.transcript", attacks::transcript),
            check("property.forward-secrecy", theft::forward_secrecy),
        ],
        real,
        mutant: |flaw| Box::new(Homemade(Some(flaw))),
        attack: |flaw| match flaw {
            Flaw::OneKey => "5. Reflection",
            Flaw::NoFreshAnswer | Flaw::NoTranscript => "6. Replay and no forward secrecy",
            Flaw::NoTag | Flaw::Talkative => "13. Tagging",
            Flaw::NoCounter => "Bad inputs: cells replayed, reordered",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_mutants_are_made_of_holds_without_a_flaw() {
        for outcome in with(Box::new(Homemade(None))).checks(3) {
            assert_eq!(outcome.verdict, crate::outcome::Verdict::Holds, "{outcome:?}");
        }
    }
}
