//! What can be done with a recording: playing it again, or taking the node's key and opening it.

use anon::{labels, secretbox};
use hkdf::Hkdf;
use rand::rngs::StdRng;
use sha2::{Digest as _, Sha256};
use x25519_dalek::x25519;

use super::{End, Scheme, Session};
use crate::property::{family::Seen, world::Node};

/// Messages each way of a channel that is recorded.
const MESSAGES: u8 = 6;

/// Plays recorded channels to the node again.
pub(super) fn replay(scheme: &(dyn Scheme + 'static), rng: &mut StdRng) -> Seen {
    let (mut played, mut again) = (0, 0);
    Session::open(scheme, rng)?;
    for _ in 0..8 {
        let recorded = Recorded::make(scheme, rng)?;
        played += recorded.forward.len();
        again += recorded.opened_again(scheme, rng);
    }
    let seen =
        format!("{played} recorded requests played to the node again: {again} performed again");
    Some((again == 0, seen))
}

/// Opens a recorded channel with the node's channel key, after its end.
pub(super) fn forward_secrecy(scheme: &(dyn Scheme + 'static), rng: &mut StdRng) -> Seen {
    Session::open(scheme, rng)?;
    let (mut cells, mut guesses, mut opened) = (0, 0, 0);
    for _ in 0..4 {
        let recorded = Recorded::make(scheme, rng)?;
        cells += recorded.forward.len() + recorded.backward.len();
        // As the node: it has the key, and only what was fresh is gone.
        opened += recorded.opened_again(scheme, rng);
        opened += recorded.sealed_again(scheme, rng)?;
        for key in recorded.guessed_keys() {
            guesses += 1;
            opened += recorded.first_cells().filter(|cell| opens(&key, cell)).count();
        }
    }
    let seen = format!(
        "{cells} recorded cells, the node's channel key, {guesses} keys computed from it: {opened} opened"
    );
    Some((opened == 0, seen))
}

/// A channel, as whoever was on the way has it, and the node's key.
struct Recorded {
    node: Node,
    first: Vec<u8>,
    answer: Vec<u8>,
    forward: Vec<Vec<u8>>,
    backward: Vec<Vec<u8>>,
}

fn message(number: u8) -> [u8; 100] {
    [number; 100]
}

impl Recorded {
    fn make(scheme: &dyn Scheme, rng: &mut StdRng) -> Option<Self> {
        let Session { node, first, answer, mut sender, mut far } = Session::fresh(scheme, rng)?;
        let all = |end: &mut dyn End| (0..MESSAGES).map(|n| end.seal(&message(n))?.pop()).collect();
        let (forward, backward): (Option<_>, Option<_>) = (all(&mut *sender), all(&mut *far));
        Some(Self { node, first, answer, forward: forward?, backward: backward? })
    }

    fn accepted_again(&self, scheme: &dyn Scheme, rng: &mut StdRng) -> Option<Box<dyn End>> {
        scheme.accept(&self.node.responder(), &self.first, rng).map(|(end, _)| end)
    }

    /// How many recorded requests the node takes if it is told the same first message again.
    fn opened_again(&self, scheme: &dyn Scheme, rng: &mut StdRng) -> usize {
        let Some(mut end) = self.accepted_again(scheme, rng) else { return 0 };
        self.forward.iter().filter(|cell| matches!(end.open(cell), Ok(Some(_)))).count()
    }

    /// How many recorded answers come out the same if the node gives them again.
    fn sealed_again(&self, scheme: &dyn Scheme, rng: &mut StdRng) -> Option<usize> {
        let Some(mut end) = self.accepted_again(scheme, rng) else { return Some(0) };
        let again = (0..MESSAGES).map(|n| end.seal(&message(n))?.pop());
        let again: Vec<Vec<u8>> = again.collect::<Option<_>>()?;
        Some(again.iter().zip(&self.backward).filter(|(again, cell)| again == cell).count())
    }

    fn first_cells(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.forward.first().into_iter().chain(self.backward.first())
    }

    /// Keys that somebody who has the node's secret would try: what it agrees on with every key that was sent,
    /// as it is, hashed, and through the key derivation under the labels of cells and handshakes.
    fn guessed_keys(&self) -> Vec<[u8; 32]> {
        let sent = |cell: &[u8]| cell.chunks(32).take(2).map(<[u8]>::to_vec).collect::<Vec<_>>();
        let (first, answer) = (sent(&self.first), sent(&self.answer));
        let mut keys = Vec::new();
        for public in first.iter().chain(&answer) {
            let Ok(public) = <[u8; 32]>::try_from(public.as_slice()) else { continue };
            let shared = x25519(self.node.channel.expose_seed(), public);
            keys.extend([shared, Sha256::digest(shared).into()]);
            for salt in [&[][..], &public, &first.concat(), &answer.concat()] {
                let extracted = Hkdf::<Sha256>::new(Some(salt), &shared);
                for label in [labels::CELL_FORWARD, labels::CELL_BACKWARD, labels::HANDSHAKE_CHAIN]
                {
                    let mut key = [0; 32];
                    let info = [label.as_bytes(), &[0]].concat();
                    keys.extend(extracted.expand(&info, &mut key).ok().map(|()| key));
                }
            }
        }
        keys
    }
}

fn opens(key: &[u8; 32], cell: &[u8]) -> bool {
    secretbox::open(key, &secretbox::counter_nonce(0), cell).is_ok()
}
