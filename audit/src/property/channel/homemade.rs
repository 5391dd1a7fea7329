//! A channel made from the public primitives, for flaws to be put in. Without one it withstands all attacks.

use anon::{
    cell::CELL,
    handshake::Responder,
    keys::EphemeralSecret,
    secretbox::{self, TAG, counter_nonce},
};
use clap::ValueEnum;
use rand::rngs::StdRng;
use sha2::{Digest as _, Sha256};
use x25519_dalek::x25519;

use super::{Accepted, End, Scheme, Waiting};
use crate::property::world::Node;

/// What is wrong with a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Flaw {
    /// A channel has one key, so that what the sender sends can be handed back to it as the answer.
    #[value(name = "one key both ways")]
    OneKey,
    /// The node adds no fresh key of its own, so that its key, once stolen, opens all that ever passed.
    #[value(name = "session key sealed to the node's key")]
    NoFreshAnswer,
    /// Cells are enciphered and not authenticated, so that a go-between can change what arrives.
    #[value(name = "cells without a tag")]
    NoTag,
    /// Each cell opens by itself, so that cells can be dropped, repeated and swapped unnoticed.
    #[value(name = "cells without a counter")]
    NoCounter,
    /// The keys do not depend on what was said, so that a channel meant for one network or certificate serves another.
    #[value(name = "handshake without a transcript")]
    NoTranscript,
    /// A refused cell tells what was wrong with it, so that whoever changes cells learns from each try.
    #[value(name = "refusal that says why")]
    Talkative,
}

/// A channel with this flaw.
pub(super) struct Homemade(pub(super) Option<Flaw>);

const NONCE: usize = 24;
const LENGTH: usize = 4;
const LONGEST: usize = 1 << 20;

/// What both sides hash into their keys.
struct Secrets {
    flaw: Option<Flaw>,
    agreed: Vec<u8>,
    transcript: Vec<u8>,
}

impl Secrets {
    fn new(flaw: Option<Flaw>, es: [u8; 32], ee: [u8; 32], transcript: Vec<u8>) -> Self {
        let fresh = flaw != Some(Flaw::NoFreshAnswer);
        let agreed = if fresh { [es, ee].concat() } else { es.to_vec() };
        let bound = flaw != Some(Flaw::NoTranscript);
        Self { flaw, agreed, transcript: if bound { transcript } else { Vec::new() } }
    }

    fn key(&self, label: &str) -> [u8; 32] {
        let parts = [label.as_bytes(), &[0], &self.agreed, &self.transcript];
        Sha256::digest(parts.concat()).into()
    }

    fn end(&self, sends: &str, takes: &str) -> Box<dyn End> {
        let key = |label| self.key(if self.flaw == Some(Flaw::OneKey) { "cells" } else { label });
        Box::new(Side {
            flaw: self.flaw,
            sends: Line { key: key(sends), count: 0 },
            takes: Line { key: key(takes), count: 0 },
            message: Vec::new(),
            missing: 0,
            closed: false,
        })
    }
}

struct Started {
    flaw: Option<Flaw>,
    ephemeral: EphemeralSecret,
    es: [u8; 32],
    transcript: Vec<u8>,
}

impl Scheme for Homemade {
    fn start(&self, to: &Node, rng: &mut StdRng) -> Option<(Box<dyn Waiting>, Vec<u8>)> {
        let ephemeral = EphemeralSecret::generate(rng);
        let claims = to.certificate.claims();
        let es = x25519(ephemeral.expose_seed(), claims.channel_key.0);
        let first = [to.certificate.digest(), ephemeral.agreement_key().0].concat();
        let transcript = [&claims.network.0[..], &first].concat();
        let started = Started { flaw: self.0, ephemeral, es, transcript };
        Some((Box::new(started), filled(first)))
    }

    fn accept(&self, own: &Responder<'_>, first: &[u8], rng: &mut StdRng) -> Option<Accepted> {
        let Responder { network, secret, .. } = own;
        let [digest, e] = unfilled(first)?;
        let es = x25519(secret.expose_seed(), e);
        let ephemeral = EphemeralSecret::generate(rng);
        let fresh = self.0 != Some(Flaw::NoFreshAnswer);
        let e2 = if fresh { ephemeral.agreement_key().0 } else { [0; 32] };
        let ee = x25519(ephemeral.expose_seed(), e);
        let transcript = [network.0, digest, e, e2].concat();
        let secrets = Secrets::new(self.0, es, ee, transcript);
        let answer = [e2, secrets.key("confirmation")].concat();
        Some((secrets.end("backward", "forward"), filled(answer)))
    }
}

impl Waiting for Started {
    fn finish(self: Box<Self>, answer: &[u8]) -> Option<Box<dyn End>> {
        let [e2, confirmation] = unfilled(answer)?;
        let ee = x25519(self.ephemeral.expose_seed(), e2);
        let transcript = [&self.transcript[..], &e2].concat();
        let secrets = Secrets::new(self.flaw, self.es, ee, transcript);
        let confirmed = secrets.key("confirmation") == confirmation;
        confirmed.then(|| secrets.end("forward", "backward"))
    }
}

/// One direction.
struct Line {
    key: [u8; 32],
    count: u64,
}

struct Side {
    flaw: Option<Flaw>,
    sends: Line,
    takes: Line,
    message: Vec<u8>,
    missing: usize,
    closed: bool,
}

impl Side {
    fn room(&self) -> usize {
        let nonce = if self.flaw == Some(Flaw::NoCounter) { NONCE } else { 0 };
        CELL - TAG - nonce
    }

    fn seal_cell(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut plain = piece.to_vec();
        plain.resize(self.room(), 0);
        let counted = counter_nonce(self.sends.count);
        self.sends.count += 1;
        match self.flaw {
            Some(Flaw::NoTag) => {
                secretbox::apply_stream(&self.sends.key, &counted, &mut plain);
                [vec![0; TAG], plain].concat()
            }
            Some(Flaw::NoCounter) => {
                // As good as random: nobody else can tell, and the same seed gives the same cells.
                let mut nonce = [0; NONCE];
                secretbox::apply_stream(&self.sends.key, &counted, &mut nonce);
                [&nonce[..], &secretbox::seal(&self.sends.key, &nonce, &plain)].concat()
            }
            _ => secretbox::seal(&self.sends.key, &counted, &plain),
        }
    }

    fn open_cell(&mut self, cell: &[u8]) -> Option<Vec<u8>> {
        let nonce = counter_nonce(self.takes.count);
        self.takes.count += 1;
        match self.flaw {
            Some(Flaw::NoTag) => {
                let mut plain = cell.get(TAG..)?.to_vec();
                secretbox::apply_stream(&self.takes.key, &nonce, &mut plain);
                Some(plain)
            }
            Some(Flaw::NoCounter) => {
                let (nonce, sealed) = cell.split_first_chunk::<NONCE>()?;
                secretbox::open(&self.takes.key, nonce, sealed).ok()
            }
            _ => secretbox::open(&self.takes.key, &nonce, cell).ok(),
        }
    }

    fn read(&mut self, plain: &[u8]) -> Option<Option<Vec<u8>>> {
        let mut piece = plain;
        if self.missing == 0 {
            let (length, rest) = piece.split_first_chunk::<LENGTH>()?;
            self.missing = usize::try_from(u32::from_le_bytes(*length)).ok()?;
            piece = (self.missing <= LONGEST).then_some(rest)?;
        }
        let (content, filling) = piece.split_at(piece.len().min(self.missing));
        if filling.iter().any(|byte| *byte != 0) {
            return None;
        }
        self.message.extend(content);
        self.missing -= content.len();
        Some((self.missing == 0).then(|| std::mem::take(&mut self.message)))
    }
}

impl End for Side {
    fn seal(&mut self, message: &[u8]) -> Option<Vec<Vec<u8>>> {
        let length = u32::try_from(message.len()).ok()?;
        let whole = [&length.to_le_bytes()[..], message].concat();
        Some(whole.chunks(self.room()).map(|piece| self.seal_cell(piece)).collect())
    }

    fn open(&mut self, cell: &[u8]) -> Result<Option<Vec<u8>>, String> {
        let why = match (self.flaw, cell.first()) {
            // As if it had come so far as to look at it.
            (Some(Flaw::Talkative), Some(first)) => format!("the cell began with {first}"),
            _ => "closed".to_owned(),
        };
        let opened = if self.closed { None } else { self.open_cell(cell) };
        let read = opened.and_then(|plain| self.read(&plain));
        self.closed = read.is_none();
        read.ok_or(why)
    }
}

/// Two fields in a cell of their own.
fn filled(mut fields: Vec<u8>) -> Vec<u8> {
    fields.resize(CELL, 0);
    fields
}

fn unfilled(cell: &[u8]) -> Option<[[u8; 32]; 2]> {
    let (first, rest) = cell.split_first_chunk::<32>()?;
    let (second, rest) = rest.split_first_chunk::<32>()?;
    rest.iter().all(|byte| *byte == 0).then_some([*first, *second])
}
