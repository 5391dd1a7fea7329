//! Drawing the keys of a channel (paper, 4.1). Which nodes they resolve to is the business of a scheme.
//!
//! A selection is a trait so that schemes can be exchanged and simulated at scale with the very code that
//! sends mail.

mod candidates;
mod mail;

use std::collections::BTreeSet;

use rand_core::CryptoRng;

use crate::{certificate::NodeCertificate, position::Key};

pub use candidates::Candidates;
pub use mail::{Served, serving_guard};

/// The random keys of one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw {
    /// keyX: the node closest to it becomes the go-between.
    pub go_between: Key,
    /// keyY: the node closest to it becomes the witness.
    pub witness: Key,
    /// keyZ: the node closest to it becomes the far end.
    pub far_end: Key,
}

/// The nodes of a guarded path behind its guard, and the keys that chose them.
#[derive(Clone, Debug)]
pub struct GuardedPath<N = NodeCertificate> {
    /// Middle go-betweens and, last, the far end.
    pub hops: Vec<(Key, N)>,
    /// The witness of the far end.
    pub witness: (Key, N),
}

/// How often a key is drawn again because its node cannot serve.
const REDRAWS: usize = 200;

/// Draws a path: `middle` go-betweens, a far end and a witness, no two of which, the guard included, could have
/// one operator, and none of which is in `excluded`. Nothing is looked up, and no node minted after the draw can
/// be chosen. `None` if the candidates are too few for that.
#[must_use]
pub fn draw_guarded<C: Candidates, R: CryptoRng>(
    candidates: &C,
    guard: &C::Node,
    middle: usize,
    excluded: &BTreeSet<C::Id>,
    rng: &mut R,
) -> Option<GuardedPath<C::Node>> {
    let mut operators = vec![candidates.operator(guard)];
    let mut draw = || {
        for _ in 0..REDRAWS {
            let mut bytes = [0; 32];
            rng.fill_bytes(&mut bytes);
            let key = Key(bytes);
            let node = candidates.closest(&key)?;
            let operator = candidates.operator(&node);
            let overlaps = |other: &C::Operator| candidates.overlap(other, &operator);
            if excluded.contains(&candidates.id(&node)) || operators.iter().any(overlaps) {
                continue;
            }
            operators.push(operator);
            return Some((key, node));
        }
        None
    };
    let hops = (0..=middle).map(|_| draw()).collect::<Option<Vec<_>>>()?;
    Some(GuardedPath { hops, witness: draw()? })
}

/// Draws a guard: uniformly over the candidates that are not excluded, weighted by nothing that a node could say
/// of itself.
#[must_use]
pub fn draw_guard<C: Candidates, R: CryptoRng>(
    candidates: &C,
    excluded: &BTreeSet<C::Id>,
    rng: &mut R,
) -> Option<C::Node> {
    let mut left_out: Vec<usize> = excluded.iter().filter_map(|id| candidates.rank(id)).collect();
    left_out.sort_unstable();
    let count = candidates.count().checked_sub(left_out.len())?;
    let count = u64::try_from(count).ok().filter(|count| *count > 0)?;
    // Rejection sampling: no remainder favours the first ones.
    let limit = u64::MAX - u64::MAX % count;
    let mut draw = rng.next_u64();
    while draw >= limit {
        draw = rng.next_u64();
    }
    let mut rank = usize::try_from(draw % count).ok()?;
    for skipped in left_out {
        if skipped <= rank {
            rank += 1;
        }
    }
    candidates.nth(rank)
}

/// A way to choose the nodes of a channel.
pub trait Selection {
    /// Draws the keys of one channel.
    fn draw<R: CryptoRng>(&self, rng: &mut R) -> Draw;
}

/// Section 4.1 to the letter: three fresh, independent, uniform keys for every channel.
#[derive(Clone, Copy, Debug, Default)]
pub struct Paper;

impl Selection for Paper {
    fn draw<R: CryptoRng>(&self, rng: &mut R) -> Draw {
        let mut key = || {
            let mut bytes = [0; 32];
            rng.fill_bytes(&mut bytes);
            Key(bytes)
        };
        Draw { go_between: key(), witness: key(), far_end: key() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_channel_draws_three_keys_of_its_own() {
        let mut keys = BTreeSet::new();
        for _ in 0..100 {
            let Draw { go_between, witness, far_end } = Paper.draw(&mut rand::rng());
            keys.extend([go_between, witness, far_end]);
        }
        assert_eq!(keys.len(), 300);
    }
}
