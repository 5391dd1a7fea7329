//! The first message on its way through a path: no hop may tell its place from what it receives, nor from what it finds
//! under its own layer once it has used its key.
//!
//! The attack is a classifier that looks at one byte at a time, of the message and of what its hop opened. It learns from
//! half of the paths which value stands there at which place, and guesses the places of the other half. No byte may
//! tell it more than chance. Nodes change places from path to path, so that a byte of somebody's name tells none.

use std::collections::BTreeMap;

use anon::{channel::OpeningPath, secretbox};
use clap::ValueEnum;
use rand::{Rng as _, rngs::StdRng, seq::SliceRandom as _};
use testbed::hostile::opened::Opened;
use x25519_dalek::{PublicKey, StaticSecret};

use super::{
    family::{Check, Family, Seen, Tried},
    world::{Node, nodes},
};
use crate::statistics::{clopper_pearson, number};

/// What one hop has of a first message.
#[derive(Clone, Debug)]
pub(super) struct Received {
    /// What reached it.
    message: Vec<u8>,
    /// What its key makes of that.
    opened: Vec<u8>,
}

/// How a path's first message is made.
pub(super) trait Onions {
    /// What each hop of a path over these nodes has of it.
    fn received(&self, path: &[Node], rng: &mut StdRng) -> Option<Vec<Received>>;
}

/// The project's own.
struct Real;

impl Onions for Real {
    fn received(&self, path: &[Node], rng: &mut StdRng) -> Option<Vec<Received>> {
        let verified: Vec<_> = path.iter().map(Node::verified).collect::<Option<_>>()?;
        let hops: Vec<_> = verified.iter().map(|node| (node, None)).collect();
        let (_, first) = OpeningPath::start(&hops, rng).ok()?;
        let mut onward = Some(first.to_create().ok()?);
        let mut all = Vec::new();
        for node in path {
            let create = onward.take()?;
            let own = node.responder();
            let opened = Opened::of(&create, &own)?.plain;
            all.push(Received { message: create.to_bytes(), opened });
            let (_, _, early) = anon::handshake::respond(&create, &own, rng).ok()?;
            onward = early.onward.map(|onward| *onward.create);
        }
        Some(all)
    }
}

/// What a go-between of the project's own takes off, bytes: a tag, a mark, a question; the next node, its name and the key.
const SHIFT: usize = 16 + 1 + 64 + 32 + 33 + 32;
/// The mark and the request in the last hop's plaintext.
const REQUEST_ROOM: usize = 1 + 512;

/// A request as long as the project's own leave room for.
const REQUEST: usize = 512;
/// The length of the project's own first message.
const ROOM: usize = 1_307;

/// What tells a hop its place. All but the last are one layer around another, an ephemeral key and a box for each hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Telltale {
    /// Each hop takes off its layer and passes on less, so that the size tells a hop its place.
    #[value(name = "first message that grows with the path")]
    Growth,
    /// Each hop fills up with zeros what it took off, so that their number tells a hop its place.
    #[value(name = "first message filled up with zeros")]
    Zeros,
    /// All that travels is of one size and looks random, but a hop that opens its layer finds how many are behind it.
    #[value(name = "first message that counts the hops inside")]
    Count,
    /// The last hop finds zeros where random bytes should be, and where they end tells how many hops there were.
    #[value(name = "first message with zeros before the fillers")]
    ZerosBeforeFillers,
}

impl Onions for Telltale {
    fn received(&self, path: &[Node], rng: &mut StdRng) -> Option<Vec<Received>> {
        if *self != Self::ZerosBeforeFillers {
            return self.nested(path, rng);
        }
        let mut received = Real.received(path, rng)?;
        let fillers = SHIFT * (path.len() - 1);
        let last = &mut received.last_mut()?.opened;
        let end = last.len().checked_sub(fillers)?;
        last.get_mut(REQUEST_ROOM..end)?.fill(0);
        Some(received)
    }
}

impl Telltale {
    fn nested(&self, path: &[Node], rng: &mut StdRng) -> Option<Vec<Received>> {
        let mut message = vec![0; REQUEST];
        rng.fill_bytes(&mut message);
        let mut received = Vec::new();
        for (behind, hop) in (0_u8..).zip(path.iter().rev()) {
            let mut seed = [0; 32];
            rng.fill_bytes(&mut seed);
            let ephemeral = StaticSecret::from(seed);
            let key = PublicKey::from(hop.certificate.claims().channel_key.0);
            let shared = ephemeral.diffie_hellman(&key).to_bytes();
            let counted = (*self == Self::Count).then_some(behind);
            let opened: Vec<u8> = counted.into_iter().chain(message).collect();
            let sealed = secretbox::seal(&shared, &[0; 24], &opened);
            message = [PublicKey::from(&ephemeral).as_bytes(), &sealed[..]].concat();
            let mut form = message.clone();
            if *self != Self::Growth {
                let room = form.len().max(ROOM);
                let used = form.len();
                form.resize(room, 0);
                if *self == Self::Count {
                    rng.fill_bytes(form.get_mut(used..)?);
                }
            }
            received.push(Received { message: form, opened });
        }
        received.reverse();
        Some(received)
    }
}

/// The most hops of a path.
const MOST: usize = 5;
/// Paths of each length; half of them teach.
const PATHS: usize = 48;
/// How seldom chance alone makes one of some eight thousand guessers look better than it is: once in 10^8 runs.
const DOUBT: f64 = 1e-12;

/// What one hop has, and the place that is to be guessed.
type Sample = (Vec<u8>, usize);

/// Everything that a guesser may look at: size, form, each byte.
fn features(received: &Received) -> Vec<u8> {
    let low = |count: usize| u8::try_from(count % 256).unwrap_or(0);
    let mut all = Vec::new();
    for bytes in [&received.message, &received.opened] {
        all.extend([low(bytes.len()), low(bytes.len() / 256)]);
        let run = longest_run(bytes);
        all.extend([low(run), low(run / 256)]);
    }
    // What is not there at every hop is told by the sizes.
    let cut = |bytes: &[u8], length: usize| {
        let mut bytes = bytes.to_vec();
        bytes.resize(length, 0);
        bytes
    };
    all.extend(cut(&received.message, ROOM));
    all.extend(cut(&received.opened, ROOM));
    all
}

fn longest_run(bytes: &[u8]) -> usize {
    bytes.chunk_by(|a, b| a == b).map(<[u8]>::len).max().unwrap_or(0)
}

/// The byte that tells most of the place: where it stands, and how many of how many guesses by it are right.
fn best_guesser(samples: &[Sample]) -> Option<(usize, usize, usize)> {
    let (teaching, asked): (Vec<_>, Vec<_>) =
        samples.iter().enumerate().partition(|(number, _)| number % 2 == 0);
    let positions = samples.iter().map(|(bytes, _)| bytes.len()).min()?;
    let hits = |position: usize| {
        // How often each value stood there at each place.
        let mut seen = [[0_u16; MOST]; 256];
        let counts = |seen: &mut [[u16; MOST]; 256], (_, (bytes, place)): &(usize, &Sample)| {
            let row = seen.get_mut(usize::from(*bytes.get(position)?))?;
            *row.get_mut(*place)? += 1;
            Some(())
        };
        for sample in &teaching {
            let _ = counts(&mut seen, sample);
        }
        let guess = |byte: u8| {
            let row = seen.get(usize::from(byte))?;
            let places = row.iter().zip(0..).filter(|(times, _)| **times > 0);
            places.max_by_key(|(times, _)| **times).map(|(_, place)| place)
        };
        let right = |(_, (bytes, place)): &&(usize, &Sample)| {
            bytes.get(position).is_some_and(|byte| guess(*byte).unwrap_or(0) == *place)
        };
        asked.iter().filter(right).count()
    };
    let best = (0..positions).map(|position| (hits(position), position)).max()?;
    Some((best.1, best.0, asked.len()))
}

fn first_message(onions: &(dyn Onions + 'static), rng: &mut StdRng) -> Seen {
    let mut nodes = nodes(5, rng)?;
    // Who has how many hops before it on the longest path; who, as the first, has how many behind; and the last ones.
    let (mut between, mut first, mut last) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..PATHS {
        for hops in 1..=MOST {
            nodes.shuffle(rng);
            let received = onions.received(nodes.get(..hops)?, rng)?;
            if received.len() != hops {
                return None;
            }
            let seen: Vec<Vec<u8>> = received.iter().map(features).collect();
            last.push((seen.last()?.clone(), hops - 1));
            if hops > 1 {
                first.push((seen.first()?.clone(), hops - 2));
            }
            if hops == MOST {
                between.extend(seen.into_iter().take(MOST - 1).zip(0..));
            }
        }
    }
    let (mut holds, mut seen, mut looked_at) = (true, Vec::new(), 0);
    for (name, samples, places) in [
        ("go-betweens, hops before", between, MOST - 1),
        ("first hops, hops behind", first, MOST - 1),
        ("last hops, hops before", last, MOST),
    ] {
        // Every other path teaches: the samples of one path stay together.
        let samples: Vec<Sample> = interleaved(samples, places);
        let (position, hits, tries) = best_guesser(&samples)?;
        looked_at += tries;
        let chance = 1.0 / number(places);
        holds &= clopper_pearson(hits, tries, 1.0 - DOUBT).low <= chance;
        let share = 100 * hits / tries.max(1);
        seen.push(format!(
            "{name}: {share} % right by byte {position}, chance {:.0} %",
            chance * 100.0
        ));
    }
    (looked_at > 0).then(|| (holds, seen.join("; ")))
}

/// Brings samples into an order in which every other one of each place teaches.
fn interleaved(samples: Vec<Sample>, places: usize) -> Vec<Sample> {
    let mut by_place: BTreeMap<usize, Vec<Sample>> = BTreeMap::new();
    for sample in samples {
        by_place.entry(sample.1).or_default().push(sample);
    }
    debug_assert_eq!(by_place.len(), places);
    by_place.into_values().flatten().collect()
}

/// First messages, and mutants of them.
pub(super) fn family() -> Box<dyn Tried> {
    Box::new(Family::<dyn Onions, Telltale> {
        checks: vec![Check { name: "property.first-message", attack: first_message }],
        real: Box::new(Real),
        mutant: |telltale| Box::new(telltale),
        attack: |_| "Claim C-41: a hop's place on the path",
    })
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn every_way_to_leak_a_place_is_seen() {
        for mutant in Telltale::value_variants() {
            let seen = first_message(mutant, &mut StdRng::seed_from_u64(7));
            let (holds, seen) = seen.unwrap_or_else(|| panic!("{mutant:?} does no honest work"));
            println!("{mutant:?}: {seen}");
            assert!(!holds, "{mutant:?}: {seen}");
        }
        let (holds, seen) = first_message(&Real, &mut StdRng::seed_from_u64(7)).unwrap();
        assert!(holds, "{seen}");
        println!("{seen}");
    }
}
