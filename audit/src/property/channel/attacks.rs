//! What somebody on the way can do to a handshake or to cells.

use std::collections::BTreeSet;

use anon::{cell::CELL, handshake::Responder};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::{End, Scheme, Session, deliver};
use crate::property::{
    family::Seen,
    world::{network, network_named},
};

/// Hands each side its own cells.
pub(super) fn directions(scheme: &(dyn Scheme + 'static), rng: &mut StdRng) -> Seen {
    let (mut returned, mut accepted) = (0, 0);
    Session::open(scheme, rng)?;
    for round in 0..16_u8 {
        let Session { mut sender, mut far, .. } = Session::fresh(scheme, rng)?;
        for side in [&mut sender, &mut far] {
            let own = side.seal(&[round; 5_000])?;
            returned += own.len();
            accepted += own.iter().filter(|cell| side.open(cell).is_ok()).count();
        }
    }
    let seen = format!("{returned} cells returned to who had sent them: {accepted} accepted");
    Some((accepted == 0, seen))
}

/// Flips a bit of a cell, on either way.
pub(super) fn integrity(scheme: &(dyn Scheme + 'static), rng: &mut StdRng) -> Seen {
    let (mut accepted, mut answers) = (0, BTreeSet::new());
    Session::open(scheme, rng)?;
    let places: Vec<usize> = (0..20).chain((20..CELL).step_by(131)).chain([CELL - 1]).collect();
    for (number, place) in places.iter().enumerate() {
        let Session { mut sender, mut far, .. } = Session::fresh(scheme, rng)?;
        let (from, to) =
            if number % 2 == 0 { (&mut sender, &mut far) } else { (&mut far, &mut sender) };
        let mut cells = from.seal(&[7; 4_000])?;
        let byte = cells.first_mut()?.get_mut(*place)?;
        *byte ^= 1 << (number % 8);
        match deliver(&mut **to, &cells) {
            Ok(_) => accepted += 1,
            Err(why) => {
                answers.insert(why);
            }
        }
    }
    let (tried, kinds) = (places.len(), answers.len());
    let seen = format!(
        "{tried} cells with one bit flipped: {accepted} accepted, {kinds} kinds of refusal"
    );
    Some((accepted == 0 && kinds <= 1, seen))
}

/// One way of meddling with the cells of four messages, of which some belong to another channel.
type Meddling = fn(Vec<Vec<u8>>, &[Vec<u8>], usize) -> Vec<Vec<u8>>;

/// Drops, repeats, swaps, invents and splices cells, on either way.
pub(super) fn counting(scheme: &(dyn Scheme + 'static), rng: &mut StdRng) -> Seen {
    const MEDDLING: [Meddling; 6] = [
        |mut cells, _, at| {
            cells.remove(at);
            cells
        },
        |mut cells, _, at| {
            let again = cells.iter().skip(at).take(1).cloned().collect::<Vec<_>>();
            cells.splice(at..at, again);
            cells
        },
        |mut cells, _, at| {
            let first = cells.iter().take(1).cloned().collect::<Vec<_>>();
            cells.splice(at + 1..=at + 1, first);
            cells
        },
        |mut cells, _, at| {
            cells.swap(at, at + 1);
            cells
        },
        |mut cells, other, at| {
            let foreign = other.iter().skip(at).take(1).cloned().collect::<Vec<_>>();
            cells.splice(at..=at, foreign);
            cells
        },
        |mut cells, _, at| {
            cells.insert(at, vec![0x5A; CELL]);
            cells
        },
    ];
    Session::open(scheme, rng)?;
    let (mut tried, mut unnoticed) = (0, 0);
    for meddling in MEDDLING {
        for at in 0..3 {
            let mut other = Session::fresh(scheme, rng)?;
            let Session { mut sender, mut far, .. } = Session::fresh(scheme, rng)?;
            for backward in [false, true] {
                let (from, to) =
                    if backward { (&mut far, &mut sender) } else { (&mut sender, &mut far) };
                let elsewhere = if backward { &mut other.far } else { &mut other.sender };
                let cells = four_messages(&mut **from)?;
                let foreign = four_messages(&mut **elsewhere)?;
                tried += 1;
                unnoticed +=
                    usize::from(deliver(&mut **to, &meddling(cells, &foreign, at)).is_ok());
            }
        }
    }
    let seen = format!(
        "{tried} times cells dropped, repeated, put back, swapped, spliced or invented: {unnoticed} unnoticed"
    );
    Some((unnoticed == 0, seen))
}

fn four_messages(end: &mut dyn End) -> Option<Vec<Vec<u8>>> {
    (0..4_u8).map(|number| end.seal(&[number; 8])?.pop()).collect()
}

/// Changes what the two sides say to each other, or what they believe, before they have agreed.
pub(super) fn transcript(scheme: &(dyn Scheme + 'static), rng: &mut StdRng) -> Seen {
    let Session { node, first, answer, .. } = Session::open(scheme, rng)?;
    let (here, elsewhere) = (network().id, network_named("elsewhere.alt").id);
    let places: Vec<usize> =
        (0..64).step_by(3).chain((64..CELL).step_by(173)).chain([31]).collect();
    let (mut tried, mut confirmed) = (0, 0);
    // Each time the same sender: what it samples is the same again.
    let seed = rng.next_u64();
    let attempt = |of_first: Option<usize>, of_answer: Option<usize>, network| {
        let mut rng = StdRng::seed_from_u64(seed);
        let (waiting, mut first) = scheme.start(&node, &mut rng)?;
        flip(&mut first, of_first);
        let (_, mut answer) =
            scheme.accept(&Responder { network, ..node.responder() }, &first, &mut rng)?;
        flip(&mut answer, of_answer);
        waiting.finish(&answer)
    };
    attempt(None, None, here)?;
    for place in &places {
        for (of_first, of_answer) in [(Some(*place), None), (None, Some(*place))] {
            tried += 1;
            confirmed += usize::from(attempt(of_first, of_answer, here).is_some());
        }
    }
    tried += 1;
    confirmed += usize::from(attempt(None, None, elsewhere).is_some());
    // The answer that the node gave to another first message.
    for old in [&answer, &first] {
        let (waiting, _) = scheme.start(&node, rng)?;
        tried += 1;
        confirmed += usize::from(waiting.finish(old).is_some());
    }
    let seen = format!(
        "{tried} handshakes with a changed byte, another network or an old answer: {confirmed} confirmed"
    );
    Some((confirmed == 0, seen))
}

/// Flips the highest bit of a byte, which some encodings do not look at.
fn flip(bytes: &mut [u8], at: Option<usize>) {
    if let Some(byte) = at.and_then(|at| bytes.get_mut(at)) {
        *byte ^= 0x80;
    }
}
