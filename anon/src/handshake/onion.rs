//! What a [`Create`] carries, sealed: an onion of constant size (Sphinx's trick, Danezis and Goldberg 2009,
//! without its blinding, since each hop has a fresh ephemeral key of its own).
//!
//! ```text
//! body           secretbox(early key, plaintext)                                        1,241 bytes
//! plaintext      0x00 ‖ padded request (512) ‖ rest (712), which is not looked at         last hop
//!                0x01 ‖ padded question (64) ‖ next node (32) ‖ its name (33) ‖ its e (32)
//!                     ‖ the first 1,063 bytes of the next body                         go-between
//! filler         XSalsa20(filler key), 178 bytes
//! next body      those 1,063 bytes ‖ filler
//! ```
//! The name is the next message's own ([`crate::create`]); its version is that of the message that it came in.
//!
//! A go-between takes 178 bytes off and puts as many on, so every hop gets the same form. It sees ciphertext in
//! what it passes on, and nothing there says how often it will be opened. The sender knows all early keys, so
//! it computes what the fillers become on the way, and every tag covers the filler that is yet to come.
//!
//! The rest in the last hop's plaintext ends in what fillers became; in front of that it is random, never zeros
//! and never derived from what the hop knows: otherwise it would tell the last hop how long the path is (Kuhn,
//! Beck and Strufe, "Breaking and (Partially) Fixing Provably Secure Onion Routing", 2020).
//!
//! A sender who deviates gets an onion through seven go-betweens at the most: then all of the body is filler, and
//! nobody can give that a tag.

use rand_core::CryptoRng;

use super::HandshakeError;
use crate::{
    create::{BODY, Create, EARLY, HopName, MAX_HOPS, PLAIN, QUESTION, SHIFT},
    id::NodeId,
    keys::{AgreementKey, DerivedKey, SharedSecret},
    labels, padding,
    request::Request,
    secretbox::{self, TAG},
    wire,
};

/// What it passes on.
const PASSED: usize = BODY - SHIFT;

const LAST_HOP: u8 = 0;
const GO_BETWEEN: u8 = 1;
const NO_NONCE: [u8; 24] = [0; 24];
/// The part of secretbox's stream that becomes the tag's key.
const TAG_KEY: usize = 32;

/// What came with a handshake's first message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Early {
    /// What to answer first; it changes no state, since it can be replayed.
    pub request: Option<Request>,
    /// Where the channel goes on, if this hop is to be a go-between from the beginning.
    pub onward: Option<Onward>,
}

/// The next piece of a path that is made in one pass.
///
/// Extending changes state, and this can be replayed all the same: who replays the first message to a node
/// that has forgotten it makes that node reach the next one, which still remembers, or forgot as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Onward {
    /// The next node, which this hop must know.
    pub next: NodeId,
    /// The handshake for it.
    pub create: Box<Create>,
}

/// The two keys that a hop and the sender have before the hop has answered.
pub(super) struct OnionKeys {
    seal: DerivedKey,
    filler: DerivedKey,
}

/// A hop as the sender prepares it.
pub(super) struct Prepared<'a> {
    pub(super) keys: &'a OnionKeys,
    pub(super) node: NodeId,
    pub(super) name: HopName,
    pub(super) ephemeral: AgreementKey,
    pub(super) request: Option<&'a Request>,
}

impl OnionKeys {
    pub(super) fn new(h0: &[u8; 32], es: &SharedSecret) -> Self {
        let derive = |label| es.derive(h0, label, &[]);
        Self { seal: derive(labels::HANDSHAKE_EARLY), filler: derive(labels::HANDSHAKE_FILLER) }
    }

    fn filler(&self) -> [u8; SHIFT] {
        let mut filler = [0; SHIFT];
        secretbox::apply_stream(&self.filler.0, &NO_NONCE, &mut filler);
        filler
    }

    /// What the end of a body becomes when it is opened.
    fn open_tail(&self, tail: &mut [u8]) {
        let mut stream = [0; TAG_KEY + PLAIN];
        secretbox::apply_stream(&self.seal.0, &NO_NONCE, &mut stream);
        for (byte, key) in tail.iter_mut().rev().zip(stream.iter().rev()) {
            *byte ^= key;
        }
    }

    /// Seals a plaintext that is [`PLAIN`] bytes long in all.
    fn seal(&self, plain: &[&[u8]]) -> [u8; BODY] {
        let mut body = [0; BODY];
        for (to, from) in body.iter_mut().skip(TAG).zip(plain.iter().copied().flatten()) {
            *to = *from;
        }
        secretbox::seal_in_place(&self.seal.0, &NO_NONCE, &mut body);
        body
    }

    /// Opens a body.
    pub(super) fn open(&self, body: &[u8; BODY]) -> Result<Early, HandshakeError> {
        let bad = HandshakeError::BadEarlyRequest;
        let plain = secretbox::open(&self.seal.0, &NO_NONCE, body).map_err(|_| bad)?;
        self.read(&plain).ok_or(bad)
    }

    fn read(&self, plain: &[u8]) -> Option<Early> {
        let (form, rest) = plain.split_first()?;
        match *form {
            LAST_HOP => {
                let (padded, _) = rest.split_first_chunk::<EARLY>()?;
                Some(Early { request: read_request(padded)?, onward: None })
            }
            GO_BETWEEN => {
                let (padded, rest) = rest.split_first_chunk::<QUESTION>()?;
                let (next, rest) = rest.split_first_chunk::<32>()?;
                let (name, rest) = rest.split_first_chunk()?;
                let name = HopName::decode(name).ok()?;
                let (ephemeral, rest) = rest.split_first_chunk::<32>()?;
                let body = [rest, &self.filler()].concat().try_into().ok()?;
                let ephemeral = AgreementKey(*ephemeral);
                let create = Create { name, ephemeral, body };
                let onward = Onward { next: NodeId(*next), create: Box::new(create) };
                Some(Early { request: read_request(padded)?, onward: Some(onward) })
            }
            _ => None,
        }
    }
}

/// The request in its padding: none if that is empty, `None` if it is not acceptable.
fn read_request(padded: &[u8]) -> Option<Option<Request>> {
    let encoded = padding::unpad(padded).ok()?;
    if encoded.is_empty() {
        return Some(None);
    }
    let request = Request::decode(encoded).ok()?;
    (!request.changes_state()).then_some(Some(request))
}

fn write_request(request: Option<&Request>, room: usize) -> Result<Vec<u8>, HandshakeError> {
    let encoded = match request {
        Some(request) if request.changes_state() => return Err(HandshakeError::BadEarlyRequest),
        Some(request) => wire::encode(request),
        None => Vec::new(),
    };
    padding::pad(&encoded, room).map_err(|_| HandshakeError::EarlyRequestTooLong)
}

/// Seals the onion of a path: what each hop will receive as its body, the first hop's first.
pub(super) fn seal_path<R: CryptoRng>(
    path: &[Prepared<'_>],
    rng: &mut R,
) -> Result<Vec<[u8; BODY]>, HandshakeError> {
    let (last, go_betweens) = path.split_last().ok_or(HandshakeError::BadPath)?;
    let free = (MAX_HOPS - 1).checked_sub(go_betweens.len()).ok_or(HandshakeError::BadPath)?;
    let mut tail = Vec::new();
    for hop in go_betweens {
        hop.keys.open_tail(&mut tail);
        tail.extend(hop.keys.filler());
    }
    last.keys.open_tail(&mut tail);
    let mut rest = vec![0; free * SHIFT];
    rng.fill_bytes(&mut rest);
    let early = write_request(last.request, EARLY)?;
    let mut inner = last.keys.seal(&[&[LAST_HOP], &early, &rest, &tail]);
    let (mut bodies, mut next) = (vec![inner], last);
    for hop in go_betweens.iter().rev() {
        let question = write_request(hop.request, QUESTION)?;
        let (passed, _) = inner.split_at(PASSED);
        let (node, name, e) = (&next.node.0, &next.name.encode(), &next.ephemeral.0);
        inner = hop.keys.seal(&[&[GO_BETWEEN], &question, node, name, e, passed]);
        bodies.push(inner);
        next = hop;
    }
    bodies.reverse();
    Ok(bodies)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys() -> OnionKeys {
        OnionKeys { seal: DerivedKey([1; 32]), filler: DerivedKey([2; 32]) }
    }

    #[test]
    fn the_sizes_are_those_of_the_documentation() {
        assert_eq!((SHIFT, PASSED, PLAIN, BODY), (178, 1_063, 1_225, 1_241));
        assert_eq!(BODY / SHIFT, 6, "behind seven go-betweens nothing is the sender's");
    }

    proptest! {
        /// Whatever somebody seals to a node is refused or read, and what it asks to pass on has its size.
        #[test]
        fn every_plaintext_is_refused_or_read(
            form in 0_u8..4,
            claimed in prop_oneof![Just(0_u32), 0..70_u32, 500..520_u32, any::<u32>()],
            junk in prop::collection::vec(any::<u8>(), PLAIN - 5),
            quiet: bool,
        ) {
            let mut plain = [&[form][..], &claimed.to_le_bytes(), &junk].concat();
            if quiet {
                // Zeros where the request is, so that the padding is canonical more often than never.
                plain[5..=EARLY].fill(0);
            }
            let body = keys().seal(&[&plain]);
            match keys().open(&body) {
                Err(error) => prop_assert_eq!(error, HandshakeError::BadEarlyRequest),
                Ok(Early { onward: None, .. }) => prop_assert_eq!(form, LAST_HOP),
                Ok(Early { onward: Some(onward), .. }) => {
                    prop_assert_eq!(form, GO_BETWEEN);
                    prop_assert_eq!(onward.create.to_bytes().len(), Create::LENGTH);
                }
            }
        }

        /// And so is every length of it, which no seal would let through.
        #[test]
        fn every_length_is_refused_or_read(plain: Vec<u8>, form in 0_u8..3) {
            let read = keys().read(&[&[form][..], &plain].concat());
            prop_assert!(read.is_none(), "shorter than any form");
            prop_assert!(keys().read(&plain).is_none());
        }
    }
}
