//! The sender's side of a path that is made in one pass: one cell goes out, and the hops confirm one after
//! another, each behind the layers of those before it.
//!
//! ```text
//! back come   created (hop 1) ‖ answer of hop 1 ‖ extended (hop 2) ‖ answer of hop 2 ‖ … ‖ extended (hop n)
//! ```
//! An answer comes where a question was asked. The last hop's is left to the channel that results, which is
//! of no use before every hop has confirmed: until then there is no state that could send.

use std::{collections::BTreeSet, vec};

use rand_core::CryptoRng;

use super::{ChannelError, SenderChannel};
use crate::{
    cell::Cell,
    handshake::{HandshakeError, Initiator},
    id::NodeId,
    request::{Request, Response},
    verification::CrossVerified,
};

/// A hop's handshake, and whether the hop before it was asked something.
type Ahead = vec::IntoIter<(bool, Initiator)>;

/// A path whose first hop has not answered yet.
#[derive(Debug)]
pub struct OpeningPath {
    first: Initiator,
    ahead: Ahead,
}

/// A path of which some hops have confirmed and others have not.
#[derive(Debug)]
pub struct Underway {
    channel: SenderChannel,
    is_answer_due: bool,
    next: Initiator,
    ahead: Ahead,
}

/// How far a path has come.
#[derive(Debug)]
pub enum Passage {
    /// More cells are to come.
    Underway(Box<Underway>),
    /// A go-between has answered its question, and more cells are to come.
    Answered {
        /// Its place on the path, from 0.
        hop: usize,
        /// What it says.
        answer: Response,
        /// The path.
        path: Box<Underway>,
    },
    /// All hops have confirmed. The last one's answer follows, if it was asked something.
    Arrived(Box<SenderChannel>),
}

impl OpeningPath {
    /// Starts a path over these hops; each may be asked something that changes no state, of at most
    /// [`crate::create::QUESTION`] bytes with its padding, and the last one of at most
    /// [`crate::create::EARLY`].
    ///
    /// # Errors
    /// [`HandshakeError`], also if there are no hops, too many, a node is among them twice, or they are not of one
    /// view: what a hop receives must not tell one path from another.
    pub fn start<R: CryptoRng>(
        hops: &[(&CrossVerified, Option<&Request>)],
        rng: &mut R,
    ) -> Result<(Self, Cell), HandshakeError> {
        let path: Vec<_> = hops.iter().map(|(to, request)| (to.hop(), *request)).collect();
        let nodes: BTreeSet<NodeId> = path.iter().map(|(to, _)| to.node()).collect();
        let is_of_one_view = path.windows(2).all(|pair| match pair {
            [(one, _), (other, _)] => one.is_named_like(other),
            _ => false,
        });
        if nodes.len() < hops.len() || !is_of_one_view {
            return Err(HandshakeError::BadPath);
        }
        let (first, rest, create) = Initiator::start_path(&path, rng)?;
        let asked = hops.iter().map(|(_, question)| question.is_some());
        let ahead: Vec<_> = asked.zip(rest).collect();
        Ok((Self { first, ahead: ahead.into_iter() }, Cell::create(&create)))
    }

    /// Takes the first cell that comes back.
    ///
    /// # Errors
    /// [`ChannelError`].
    pub fn finish(self, created: &Cell) -> Result<Passage, ChannelError> {
        let keys = self.first.finish(&created.to_created()?)?;
        Ok(Passage::beyond(SenderChannel::over(Vec::new(), keys), self.ahead))
    }
}

impl Passage {
    /// The passage once the last hop so far has confirmed.
    fn beyond(channel: SenderChannel, mut ahead: Ahead) -> Self {
        match ahead.next() {
            Some((is_answer_due, next)) => {
                Self::Underway(Box::new(Underway { channel, is_answer_due, next, ahead }))
            }
            None => Self::Arrived(Box::new(channel)),
        }
    }
}

impl Underway {
    /// Takes the next cell that comes back.
    ///
    /// # Errors
    /// [`ChannelError`]; the channel has ended. [`ChannelError::NotExtended`] if a hop did not reach the next.
    pub fn receive(mut self, cell: Cell) -> Result<Passage, ChannelError> {
        let Some(response) = self.channel.receive(cell)? else {
            return Ok(Passage::Underway(Box::new(self)));
        };
        if self.is_answer_due {
            self.is_answer_due = false;
            let hop = self.channel.hops() - 1;
            return Ok(Passage::Answered { hop, answer: response, path: Box::new(self) });
        }
        Ok(Passage::beyond(self.channel.extended(&response, self.next)?, self.ahead))
    }
}
