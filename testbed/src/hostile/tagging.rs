//! A guard that writes, and an anonymizer that reads. Layers are streams: whoever strips one can change single bits of what
//! is under it, and does not need the key of what it changes. A guard XORs a note into the end of each cell that it passes
//! on. An anonymizer of the same operator finds it in the zeros behind a short message, takes it out of this cell and of
//! those before it, and serves the channel as if nothing had been.
//!
//! The anonymizer also accepts channels that name a mark (`marking`), and writes down which.

use anon::{
    cell::{CELL, Cell, Layer},
    channel::{Accepted, GoBetween, LastHop},
    create::{Create, HopName},
    handshake::HandshakeError,
    request::Request,
    secretbox::{self, TAG, counter_nonce},
};
use net::{CellReader, CellWriter, LinkError, Peer};
use node::Parts;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::{
    behaviour::{Act, Ledger},
    channels::Ends,
    note::{Note, key_of},
    opened::Opened,
};

/// The length of a note, bytes, at the end of a cell.
const NOTE: usize = 80;
/// What a note begins with, by which an anonymizer knows it.
const MAGIC: [u8; 8] = *b"cutout!\n";
/// Bytes of a note that make it one of its kind.
const SERIAL: usize = 8;
/// Cells that an anonymizer holds back at most while it waits for one with zeros at its end.
const MOST_HELD: usize = 600;

/// A note that says who calls, to be written into the cells of a channel.
pub(super) fn note_on(ledger: &Ledger, peer: &Peer) -> [u8; NOTE] {
    let mut note = [0; NOTE];
    let serial: [u8; SERIAL] = rand::random();
    let says = [&MAGIC[..], &serial, peer.address.to_string().as_bytes()].concat();
    for (to, from) in note.iter_mut().zip(says) {
        *to = from;
    }
    ledger.note(&Note::new(Act::WroteNote, peer, &[&note]));
    note
}

/// XORs a note with the end of a cell: writes it, or takes it out.
fn scribble(cell: Cell, note: &[u8; NOTE]) -> Cell {
    let mut bytes = *cell.as_bytes();
    for (to, from) in bytes.iter_mut().skip(CELL - NOTE).zip(note) {
        *to ^= from;
    }
    Cell::from_bytes(Box::new(bytes))
}

/// Forwards a channel, with the note in what goes towards its end.
pub(super) async fn forward(
    GoBetween { forward, backward }: GoBetween,
    (from_sender, to_sender): Ends,
    (from_next, to_next): Ends,
    note: Option<[u8; NOTE]>,
) -> Result<(), LinkError> {
    let there = pass(from_sender, to_next, forward, note);
    let back = pass(from_next, to_sender, backward, None);
    tokio::select! { ended = there => ended, ended = back => ended }
}

async fn pass(
    mut from: CellReader,
    mut to: CellWriter,
    mut layer: Layer,
    note: Option<[u8; NOTE]>,
) -> Result<(), LinkError> {
    loop {
        let mut cell = from.read().await?;
        layer.apply(&mut cell);
        let cell = match &note {
            Some(note) => scribble(cell, note),
            None => cell,
        };
        to.write(&[cell]).await?;
    }
}

/// What an anonymizer that reads notes keeps of a channel.
pub(super) struct Reading {
    /// What the channel names: the digest of a certificate, or a view.
    mark: HopName,
    key: [u8; 32],
    cells: u64,
    /// Cells with a note in them that is not known yet.
    held: Vec<Cell>,
    note: Option<[u8; NOTE]>,
}

impl Reading {
    /// Accepts a channel, under a mark too, and keeps the key of its cells.
    pub(super) fn accept(
        parts: &Parts,
        create: &Create,
    ) -> Result<(Accepted, Option<Self>), HandshakeError> {
        let seed = rand::random();
        let (mut rng, mut own) = (StdRng::from_seed(seed), [0; 32]);
        // What the library is about to sample from it.
        StdRng::from_seed(seed).fill_bytes(&mut own);
        let mut with = |name: &HopName| {
            parts
                .handshake_keys
                .with(name, |own| (LastHop::accept(create, own, &mut rng), Opened::of(create, own)))
        };
        let public = parts.keys.certificate().map(|own| HopName::Certificate(own.digest()));
        let served = with(&create.name()).or_else(|| with(&public?));
        let (accepted, opened) = served.ok_or(HandshakeError::UnknownKey)?;
        let key = opened.and_then(|opened| opened.cell_key(own));
        let key = key.ok_or(HandshakeError::UnknownKey)?;
        let mark = create.name();
        Ok((accepted?, Some(Self { mark, key, cells: 0, held: Vec::new(), note: None })))
    }

    /// Writes down what is asked through the channel, if it is about a key.
    pub(super) fn was_asked(&self, ledger: &Ledger, peer: &Peer, request: &Request) {
        let Some(key) = key_of(request) else { return };
        let mark = match self.mark {
            HopName::Certificate(digest) => digest.to_vec(),
            HopName::View(epoch) => epoch.0.to_be_bytes().to_vec(),
        };
        let mut values: Vec<&[u8]> = vec![&mark];
        values.extend(self.note.iter().map(|note| &note[..]));
        ledger.note(&Note::new(Act::WasAsked, peer, &values).about(key));
    }

    /// Takes the next cell, and gives those that are as the sender made them.
    pub(super) fn take(&mut self, cell: Cell) -> Vec<Cell> {
        let nonce = counter_nonce(self.cells);
        self.cells += 1;
        if secretbox::open(&self.key, &nonce, cell.as_bytes()).is_ok() {
            return vec![cell];
        }
        if self.note.is_none() {
            self.note = self.find(&cell, &nonce);
        }
        self.held.push(cell);
        match self.note {
            Some(note) => self.held.drain(..).map(|cell| scribble(cell, &note)).collect(),
            // Nobody's note: the honest end must see it, and close.
            None if self.held.len() > MOST_HELD => std::mem::take(&mut self.held),
            None => Vec::new(),
        }
    }

    /// The note in a cell, if its message ends before that: deciphered without a look at the tag.
    fn find(&self, cell: &Cell, nonce: &[u8; 24]) -> Option<[u8; NOTE]> {
        // The stream begins with the key of the tag.
        let mut plain = vec![0; 32];
        plain.extend(cell.as_bytes().get(TAG..)?);
        secretbox::apply_stream(&self.key, nonce, &mut plain);
        let note: [u8; NOTE] = *plain.last_chunk()?;
        note.starts_with(&MAGIC).then_some(note)
    }
}
