//! Channels as typed states, each consumed by the next (paper, 4.1).
//!
//! ```text
//! sender     Opening ──created──► SenderChannel ──extend──► Extending ──extended──► SenderChannel …
//!            OpeningPath ──created──► Underway ──answer──► ──extended──► Underway … SenderChannel
//! hop        LastHop ──extended──► GoBetween (a layer each way, nothing else, until the end)
//! ```
//! A path can grow hop by hop, or be made in one pass: then each hop finds in its handshake where to go on.
//! A hop serves requests while it is the last one. Once it has extended it can only forward: there is no cell
//! that it could take for its own, and none that tells it which place of the path it has.

mod path;

use rand_core::CryptoRng;
use thiserror::Error;

use crate::{
    cell::{Cell, CellError, Layer, Opener, Sealer},
    create::{Create, CreateError, Created},
    handshake::{self, Early, HandshakeError, HopKeys, Initiator, Responder},
    request::{Request, Response},
    verification::CrossVerified,
    wire::{self, WireError},
};

pub use path::{OpeningPath, Passage, Underway};

/// Why a channel ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// The first cell holds no first message of a handshake.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// The handshake failed.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// A cell was changed, lost, repeated or out of order.
    #[error(transparent)]
    Cell(#[from] CellError),
    /// The last hop sent something that is no message.
    #[error("the last hop sent a message that is {0}")]
    Wire(#[from] WireError),
    /// The go-between could not, or would not, reach the next node.
    #[error("the go-between did not reach the next node")]
    NotExtended,
}

/// A channel whose first hop has not answered yet.
#[derive(Debug)]
pub struct Opening(Initiator);

/// A channel to its last hop, seen by the sender.
#[derive(Debug)]
pub struct SenderChannel {
    layers: Vec<(Layer, Layer)>,
    sealer: Sealer,
    opener: Opener,
    spare: (Layer, Layer),
}

/// A channel that is being extended: only the answer to that is awaited.
#[derive(Debug)]
pub struct Extending {
    channel: SenderChannel,
    initiator: Initiator,
}

/// What a cell did to an [`Extending`] channel.
#[derive(Debug)]
pub enum Extension {
    /// Nothing yet.
    Waiting(Box<Extending>),
    /// The next node is the last hop now; the answer to the early request follows.
    Extended(Box<SenderChannel>),
}

impl Opening {
    /// Starts a channel whose first hop is `to`.
    ///
    /// # Errors
    /// [`HandshakeError`].
    pub fn start<R: CryptoRng>(
        to: &CrossVerified,
        early: Option<&Request>,
        rng: &mut R,
    ) -> Result<(Self, Cell), HandshakeError> {
        let (initiator, create) = Initiator::start(&to.hop(), early, rng)?;
        Ok((Self(initiator), Cell::create(&create)))
    }

    /// Takes the first cell that comes back.
    ///
    /// # Errors
    /// [`ChannelError`].
    pub fn finish(self, created: &Cell) -> Result<SenderChannel, ChannelError> {
        let keys = self.0.finish(&created.to_created()?)?;
        Ok(SenderChannel::over(Vec::new(), keys))
    }
}

impl SenderChannel {
    fn over(layers: Vec<(Layer, Layer)>, keys: HopKeys) -> Self {
        Self {
            layers,
            sealer: Sealer::new(keys.cell_forward),
            opener: Opener::new(keys.cell_backward),
            spare: (Layer::new(keys.layer_forward), Layer::new(keys.layer_backward)),
        }
    }

    /// How many hops the path has.
    #[must_use]
    pub fn hops(&self) -> usize {
        self.layers.len() + 1
    }

    /// The cells that carry a request to the last hop.
    ///
    /// # Errors
    /// [`CellError`] if it is longer than a message may be.
    pub fn request(&mut self, request: &Request) -> Result<Vec<Cell>, CellError> {
        let mut cells = self.sealer.seal(&wire::encode(request))?;
        for cell in &mut cells {
            for (forward, _) in self.layers.iter_mut().rev() {
                forward.apply(cell);
            }
        }
        Ok(cells)
    }

    /// Takes the next cell that comes back; the last hop's response, if it is complete.
    ///
    /// # Errors
    /// [`ChannelError`]; the channel has ended.
    pub fn receive(&mut self, mut cell: Cell) -> Result<Option<Response>, ChannelError> {
        for (_, backward) in &mut self.layers {
            backward.apply(&mut cell);
        }
        match self.opener.open(cell)? {
            Some(message) => Ok(Some(Response::decode(&message)?)),
            None => Ok(None),
        }
    }

    /// The channel with one more hop, whose answer the last hop so far has reported.
    fn extended(self, response: &Response, initiator: Initiator) -> Result<Self, ChannelError> {
        let Response::Extended(created) = response else { return Err(ChannelError::NotExtended) };
        let keys = initiator.finish(created)?;
        let mut layers = self.layers;
        layers.push(self.spare);
        Ok(Self::over(layers, keys))
    }

    /// Asks the last hop to become a go-between to `to`, which becomes the last hop.
    ///
    /// # Errors
    /// [`ChannelError`]; [`HandshakeError::NoCertificate`] if `to` is a node of a view.
    pub fn extend<R: CryptoRng>(
        mut self,
        to: &CrossVerified,
        early: Option<&Request>,
        rng: &mut R,
    ) -> Result<(Extending, Vec<Cell>), ChannelError> {
        let certificate = to.certificate().ok_or(HandshakeError::NoCertificate)?;
        let (initiator, create) = Initiator::start(&to.hop(), early, rng)?;
        let next = Box::new(certificate.to_unverified());
        let cells = self.request(&Request::Extend { next, create: Box::new(create) })?;
        Ok((Extending { channel: self, initiator }, cells))
    }
}

impl Extending {
    /// Takes the next cell that comes back.
    ///
    /// # Errors
    /// [`ChannelError`]; the channel has ended.
    pub fn receive(mut self, cell: Cell) -> Result<Extension, ChannelError> {
        let Some(response) = self.channel.receive(cell)? else {
            return Ok(Extension::Waiting(Box::new(self)));
        };
        let channel = self.channel.extended(&response, self.initiator)?;
        Ok(Extension::Extended(Box::new(channel)))
    }
}

/// A channel at its last hop: an anonymizer, a verifier, or a node that becomes a go-between next.
#[derive(Debug)]
pub struct LastHop {
    sealer: Sealer,
    opener: Opener,
    spare: (Layer, Layer),
}

/// What a hop keeps once it has extended: a layer forward, a layer backward.
#[derive(Debug)]
pub struct GoBetween {
    /// Stripped from cells that come from the sender's side.
    pub forward: Layer,
    /// Added to cells that go to the sender's side.
    pub backward: Layer,
}

/// A channel that was just accepted.
#[derive(Debug)]
pub struct Accepted {
    /// The channel.
    pub last_hop: LastHop,
    /// The cell to answer with.
    pub created: Created,
    /// What rode along: a request to answer, and where to go on.
    pub early: Early,
}

impl LastHop {
    /// Accepts a channel; see [`handshake::respond`] for what the caller has checked.
    ///
    /// # Errors
    /// [`HandshakeError`].
    pub fn accept<R: CryptoRng>(
        create: &Create,
        own: &Responder<'_>,
        rng: &mut R,
    ) -> Result<Accepted, HandshakeError> {
        let (keys, created, early) = handshake::respond(create, own, rng)?;
        let last_hop = Self {
            sealer: Sealer::new(keys.cell_backward),
            opener: Opener::new(keys.cell_forward),
            spare: (Layer::new(keys.layer_forward), Layer::new(keys.layer_backward)),
        };
        Ok(Accepted { last_hop, created, early })
    }

    /// Takes the next cell; the sender's request, if it is complete.
    ///
    /// # Errors
    /// [`ChannelError`]; the channel has ended.
    pub fn receive(&mut self, cell: Cell) -> Result<Option<Request>, ChannelError> {
        match self.opener.open(cell)? {
            Some(message) => Ok(Some(Request::decode(&message)?)),
            None => Ok(None),
        }
    }

    /// Whether a request has begun and not ended.
    #[must_use]
    pub const fn is_amid_request(&self) -> bool {
        self.opener.is_amid_message()
    }

    /// The cells that carry a response back.
    ///
    /// # Errors
    /// [`CellError`] if it is longer than a message may be.
    pub fn respond(&mut self, response: &Response) -> Result<Vec<Cell>, CellError> {
        self.sealer.seal(&wire::encode(response))
    }

    /// Reports the next node's answer and becomes a go-between.
    ///
    /// # Errors
    /// [`CellError`], never in practice: the answer is short.
    pub fn extended(mut self, created: Created) -> Result<(GoBetween, Vec<Cell>), CellError> {
        let cells = self.respond(&Response::Extended(Box::new(created)))?;
        let (forward, backward) = self.spare;
        Ok((GoBetween { forward, backward }, cells))
    }
}
