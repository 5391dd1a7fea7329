//! Bytes from strangers: what no encoder writes is refused, so that there is one way to write each message.

use anon::{
    keys::DeleteSecret,
    position::Key,
    request::{MAX_MESSAGE, ObjectKind, Request, Store},
    testing::Cast,
    wire,
};
use clap::ValueEnum;
use rand::{RngExt as _, rngs::StdRng};

use super::{
    family::{Check, Family, Seen, Tried},
    world::{NOW, Owner, network, nodes},
};

/// How requests are decoded.
pub(super) trait Decoding {
    /// Reads one, and writes it again. `None`: refused.
    fn reread(&self, bytes: &[u8]) -> Option<Vec<u8>>;
}

/// The project's own decoder.
struct Real;

impl Decoding for Real {
    fn reread(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        Request::decode(bytes).ok().map(|request| wire::encode(&request))
    }
}

/// What a decoder lets pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Lenient {
    /// A message may have something behind it, by which whoever passes it on can mark it.
    #[value(name = "decoder that accepts trailing bytes")]
    Trailing,
    /// A message that was cut off is read as another one.
    #[value(name = "decoder that fills up what is missing")]
    Missing,
    /// One message can be written in several ways, by which whoever passes it on can mark it.
    #[value(name = "decoder that accepts long numbers")]
    LongNumbers,
}

/// The most bytes that are missing or too many.
const SLACK: usize = 4;

impl Decoding for Lenient {
    fn reread(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        Real.reread(bytes).or_else(|| match self {
            Self::Trailing => (1..=SLACK)
                .find_map(|more| Real.reread(bytes.get(..bytes.len().checked_sub(more)?)?)),
            Self::Missing => {
                (1..=SLACK).find_map(|more| Real.reread(&[bytes, &vec![0; more]].concat()))
            }
            Self::LongNumbers => {
                let long =
                    |at: &usize| bytes.get(*at) == Some(&251) && bytes.get(at + 2) == Some(&0);
                let shorter = |at: usize| {
                    Some(
                        [bytes.get(..at)?, bytes.get(at + 1..at + 2)?, bytes.get(at + 3..)?]
                            .concat(),
                    )
                };
                (0..bytes.len()).filter(long).find_map(|at| Real.reread(&shorter(at)?))
            }
        })
    }
}

/// A request of every kind.
fn specimens(rng: &mut StdRng) -> Option<Vec<Vec<u8>>> {
    let all = nodes(3, rng)?;
    let [a, b, c] = &all[..] else { return None };
    let owners = [Owner::named("alice", rng)?, Owner::named("bob", rng)?];
    let cast = Cast {
        network: &network(),
        now: NOW,
        expiry: NOW.after(86_400),
        nodes: [a, b, c].map(|node| (&node.identity, &node.certificate)),
        owners: owners.each_ref().map(|owner| (&owner.secret, &owner.certificate)),
        delete: &DeleteSecret::generate(rng),
        nonce: rng.random(),
        proof_nonce: rng.random(),
    };
    Some(cast.requests().iter().map(|(_, request)| wire::encode(request)).collect())
}

/// Cuts, lengthens and inflates good messages.
fn bad_bytes(decoding: &(dyn Decoding + 'static), rng: &mut StdRng) -> Seen {
    let specimens = specimens(rng)?;
    let limit = u64::try_from(MAX_MESSAGE).ok()?;
    let (mut tried, mut taken) = (0, 0);
    for good in &specimens {
        if decoding.reread(good).as_ref() != Some(good) {
            return None;
        }
        let mut offer = |bad: &[u8]| {
            tried += 1;
            let read = decoding.reread(bad);
            // Other bytes may well be another message; but then exactly what they say.
            taken += usize::from(read.is_some_and(|again| again != bad));
        };
        let step = (good.len() / 100).max(1);
        for at in (0..good.len()).step_by(step) {
            let (front, byte) = (good.get(..at)?, *good.get(at)?);
            let rest = good.get(at + 1..)?;
            offer(front);
            for number in [u64::MAX, 1 << 32, limit + 1] {
                offer(&[front, &[253], &number.to_le_bytes(), rest].concat());
            }
            offer(&[front, &[251, byte, 0], rest].concat());
            offer(&[front, &[252, byte, 0, 0, 0], rest].concat());
        }
        for more in [0, 1, 255] {
            offer(&[&good[..], &[more]].concat());
        }
    }
    // And one that is longer than any frame may be.
    let long = Request::Store(Store {
        key: Key([0; 32]),
        kind: ObjectKind::Body,
        object: vec![0; MAX_MESSAGE],
        deleters: Vec::new(),
        nonce: [0; 16],
    });
    tried += 1;
    taken += usize::from(decoding.reread(&wire::encode(&long)).is_some());
    let seen = format!(
        "{tried} messages cut, lengthened, or with false lengths and long numbers: {taken} taken for something"
    );
    Some((taken == 0, seen))
}

/// Decoders, and mutants of them.
pub(super) fn family() -> Box<dyn Tried> {
    Box::new(Family::<dyn Decoding, Lenient> {
        checks: vec![Check { name: "property.bad-bytes", attack: bad_bytes }],
        real: Box::new(Real),
        mutant: |lenient| Box::new(lenient),
        attack: |_| "Bad inputs: decoders",
    })
}
