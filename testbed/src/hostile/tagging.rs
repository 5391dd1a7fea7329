//! A guard that writes, and an anonymizer that reads. Layers are streams: whoever strips one can change single bits of what
//! is under it, and does not need the key of what it changes. A guard XORs a note into the end of each cell that it passes
//! on. An anonymizer of the same operator finds it in the zeros behind a short message, takes it out of this cell and of
//! those before it, and serves the channel as if nothing had been.
//!
//! The anonymizer also accepts channels that name a mark (`marking`), and writes down which.

use std::sync::{Arc, OnceLock};

use anon::{
    cell::{CELL, Cell, Layer},
    certificate::NodeCertificate,
    channel::{Accepted, ChannelError, GoBetween, LastHop},
    create::Create,
    handshake::HandshakeError,
    request::Request,
    secretbox::{self, TAG, counter_nonce},
};
use futures::future::BoxFuture;
use net::{Carrier, CellReader, CellWriter, Link, LinkError, Peer, Via, now};
use node::{Acceptor, Parts};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::{
    behaviour::{Act, Behaviour, Hostile, Ledger},
    note::{Note, key_of},
    opened::Opened,
    silence::Handed,
};

/// The length of a note, bytes, at the end of a cell.
const NOTE: usize = 80;
/// What a note begins with, by which an anonymizer knows it.
const MAGIC: [u8; 8] = *b"cutout!\n";
/// Bytes of a note that make it one of its kind.
const SERIAL: usize = 8;
/// Cells that an anonymizer holds back at most while it waits for one with zeros at its end.
const MOST_HELD: usize = 600;

/// Serves channels in the honest acceptor's place while its node marks or tags.
pub(crate) struct Tagging {
    pub(crate) standard: Arc<dyn Acceptor>,
    pub(crate) parts: Parts,
    pub(crate) handed: Arc<OnceLock<Handed>>,
    pub(crate) hostile: Hostile,
    pub(crate) ledger: Arc<Ledger>,
}

impl Acceptor for Tagging {
    fn serve(&self, link: Link, carrier: Carrier) -> BoxFuture<'_, Result<(), LinkError>> {
        let own = self.parts.keys.certificate();
        let acts = own.is_some_and(|own| {
            [Behaviour::Marking, Behaviour::Tagging]
                .iter()
                .any(|does| self.hostile.has(&own.node(), *does))
        });
        match (carrier, self.handed.get().filter(|_| acts)) {
            (Carrier::Channel, Some(handed)) => Box::pin(self.channel(link, handed)),
            _ => self.standard.serve(link, carrier),
        }
    }
}

impl Tagging {
    async fn channel(&self, link: Link, handed: &Handed) -> Result<(), LinkError> {
        let peer = link.peer().clone();
        let (mut reader, mut writer) = link.into_cells();
        let create = reader.read().await?.to_create().map_err(ChannelError::Cell)?;
        let (accepted, mut reading) = self.accept(&create).map_err(ChannelError::Handshake)?;
        let Accepted { mut last_hop, created, early } = accepted;
        writer.write(&[Cell::created(&created)]).await?;
        let mark = create.certificate();
        if let Some(request) = early.request {
            self.was_asked(&peer, &mark, &reading, &request);
            let response = handed.service.handle(&peer, Via::Channel, request).await;
            writer.write(&last_hop.respond(&response).map_err(ChannelError::Cell)?).await?;
        }
        if let Some(onward) = early.onward {
            let next = handed.roster.with(|roster| roster.certificate(&onward.next).cloned());
            let next = next.ok_or(LinkError::Unreachable)?;
            return self
                .go_on(&peer, handed, last_hop, (reader, writer), &next, &onward.create)
                .await;
        }
        loop {
            for cell in reading.take(reader.read().await?) {
                let Some(request) = last_hop.receive(cell)? else { continue };
                if let Request::Extend { next, create } = request {
                    let next = next.verify(&self.parts.network, now());
                    let next = next.map_err(|_| LinkError::Unreachable)?;
                    return self
                        .go_on(&peer, handed, last_hop, (reader, writer), &next, &create)
                        .await;
                }
                self.was_asked(&peer, &mark, &reading, &request);
                let response = handed.service.handle(&peer, Via::Channel, request).await;
                writer.write(&last_hop.respond(&response).map_err(ChannelError::Cell)?).await?;
            }
        }
    }

    /// Accepts a channel, under a mark too, and keeps the key of its cells.
    fn accept(&self, create: &Create) -> Result<(Accepted, Reading), HandshakeError> {
        let keys = &self.parts.keys;
        let seed = rand::random();
        let (mut rng, mut own) = (StdRng::from_seed(seed), [0; 32]);
        // What the library is about to sample from it.
        StdRng::from_seed(seed).fill_bytes(&mut own);
        let network = self.parts.network.id;
        let mut with = |digest: &[u8; 32]| {
            keys.with_key(digest, |secret| {
                let opened = Opened::of(create, secret.expose_seed(), &network);
                (LastHop::accept(create, secret, &network, &mut rng), opened)
            })
        };
        let public = keys.certificate().map(|own| own.digest());
        let served = with(&create.certificate()).or_else(|| with(&public?));
        let (accepted, opened) = served.ok_or(HandshakeError::UnknownKey)?;
        let key = opened.and_then(|opened| opened.cell_key(own));
        let key = key.ok_or(HandshakeError::UnknownKey)?;
        Ok((accepted?, Reading { key, cells: 0, held: Vec::new(), note: None }))
    }

    fn was_asked(&self, peer: &Peer, mark: &[u8; 32], reading: &Reading, request: &Request) {
        let Some(key) = key_of(request) else { return };
        let mut values: Vec<&[u8]> = vec![mark];
        values.extend(reading.note.iter().map(|note| &note[..]));
        self.ledger.note(&Note::new(Act::WasAsked, peer, &values).about(key));
    }

    /// Extends a channel as an honest node does, and writes into its cells if it comes from an agent.
    async fn go_on(
        &self,
        peer: &Peer,
        handed: &Handed,
        last_hop: LastHop,
        (reader, mut writer): (CellReader, CellWriter),
        next: &NodeCertificate,
        create: &Create,
    ) -> Result<(), LinkError> {
        let link = self.parts.links.open(next, Carrier::Channel).await?;
        let (mut from_next, mut to_next) = link.into_cells();
        to_next.write(&[Cell::create(create)]).await?;
        let created = from_next.read().await?.to_created().map_err(ChannelError::Cell)?;
        let (GoBetween { forward, backward }, cells) =
            last_hop.extended(created).map_err(ChannelError::Cell)?;
        writer.write(&cells).await?;
        let own = self.parts.keys.certificate().map(|own| own.node());
        let tags = own.is_some_and(|own| self.hostile.has(&own, Behaviour::Tagging));
        let is_node = |node| handed.roster.with(|roster| roster.certificate(&node).is_some());
        let note = (tags && !peer.node().is_some_and(is_node)).then(|| {
            let note = note_on(peer);
            self.ledger.note(&Note::new(Act::WroteNote, peer, &[&note]));
            note
        });
        let there = pass(reader, to_next, forward, note);
        let back = pass(from_next, writer, backward, None);
        tokio::select! { ended = there => ended, ended = back => ended }
    }
}

/// A note that says who calls.
fn note_on(peer: &Peer) -> [u8; NOTE] {
    let mut note = [0; NOTE];
    let serial: [u8; SERIAL] = rand::random();
    let says = [&MAGIC[..], &serial, peer.address.to_string().as_bytes()].concat();
    for (to, from) in note.iter_mut().zip(says) {
        *to = from;
    }
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
struct Reading {
    key: [u8; 32],
    cells: u64,
    /// Cells with a note in them that is not known yet.
    held: Vec<Cell>,
    note: Option<[u8; NOTE]>,
}

impl Reading {
    /// Takes the next cell, and gives those that are as the sender made them.
    fn take(&mut self, cell: Cell) -> Vec<Cell> {
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
