//! Which nodes carry a channel: the keys that are sampled for it (paper, 4.1), and in the guarded scheme the whole path.
//!
//! Everything here is a pure value: an agent that sends mail and a simulation of many thousands of agents run this very
//! code, each with its own nodes and its own randomness.

mod candidates;
mod mail;
mod planner;

use std::collections::BTreeSet;

use rand_core::CryptoRng;

use crate::{certificate::NodeCertificate, position::Key};

pub use candidates::Candidates;
pub use planner::{ATTEMPTS, Failure, Planner, Wanted};

/// The random keys of one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampledKeys {
    /// keyX: the node closest to it becomes the go-between.
    pub go_between: Key,
    /// keyY: the node closest to it becomes the witness.
    pub witness: Key,
    /// keyZ: the node closest to it becomes the anonymizer.
    pub anonymizer: Key,
}

impl SampledKeys {
    /// Section 4.1 to the letter: three fresh, independent, uniform keys for every channel.
    #[must_use]
    pub fn fresh<R: CryptoRng>(rng: &mut R) -> Self {
        Self { go_between: fresh_key(rng), witness: fresh_key(rng), anonymizer: fresh_key(rng) }
    }
}

fn fresh_key<R: CryptoRng>(rng: &mut R) -> Key {
    let mut bytes = [0; 32];
    rng.fill_bytes(&mut bytes);
    Key(bytes)
}

/// The nodes of a guarded path, and the keys that chose those behind the guard.
#[derive(Clone, Debug)]
pub struct GuardedPath<N = NodeCertificate> {
    /// The guard.
    pub guard: N,
    /// The go-betweens between the guard and the anonymizer.
    pub middle: Vec<(Key, N)>,
    /// The anonymizer.
    pub anonymizer: (Key, N),
    /// The witness of the anonymizer.
    pub witness: (Key, N),
}

impl<N> GuardedPath<N> {
    /// The nodes that cells pass behind the guard, the anonymizer last, and the keys that chose them.
    pub fn hops(&self) -> impl Iterator<Item = &(Key, N)> {
        self.middle.iter().chain([&self.anonymizer])
    }

    /// The keys of the first node behind the guard, the witness and the anonymizer.
    #[must_use]
    pub fn keys(&self) -> SampledKeys {
        let (go_between, _) = self.middle.first().unwrap_or(&self.anonymizer);
        SampledKeys {
            go_between: *go_between,
            witness: self.witness.0,
            anonymizer: self.anonymizer.0,
        }
    }
}

/// How often a key is sampled again because its node cannot serve.
const RESAMPLES: usize = 200;

/// Samples a path: `middle` go-betweens, an anonymizer and a witness, no two of which, the guard included, could have
/// one operator, and none of which is in `excluded`. Nothing is looked up, and no node minted after the sampling can
/// be chosen. `None` if the candidates are too few for that.
#[must_use]
pub fn sample_guarded<C: Candidates, R: CryptoRng>(
    candidates: &C,
    guard: &C::Node,
    middle: usize,
    excluded: &BTreeSet<C::Id>,
    rng: &mut R,
) -> Option<GuardedPath<C::Node>> {
    let mut operators = vec![candidates.operator(guard)];
    let mut sample = || {
        for _ in 0..RESAMPLES {
            let key = fresh_key(rng);
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
    let middle = (0..middle).map(|_| sample()).collect::<Option<Vec<_>>>()?;
    let (anonymizer, witness) = (sample()?, sample()?);
    Some(GuardedPath { guard: guard.clone(), middle, anonymizer, witness })
}

/// Samples a guard: uniformly over the candidates that are not excluded, weighted by nothing that a node could say
/// of itself.
#[must_use]
pub fn sample_guard<C: Candidates, R: CryptoRng>(
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
    let mut sample = rng.next_u64();
    while sample >= limit {
        sample = rng.next_u64();
    }
    let mut rank = usize::try_from(sample % count).ok()?;
    for skipped in left_out {
        if skipped <= rank {
            rank += 1;
        }
    }
    candidates.nth(rank)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_channel_samples_three_keys_of_its_own() {
        let mut keys = BTreeSet::new();
        for _ in 0..100 {
            let SampledKeys { go_between, witness, anonymizer } =
                SampledKeys::fresh(&mut rand::rng());
            keys.extend([go_between, witness, anonymizer]);
        }
        assert_eq!(keys.len(), 300);
    }
}
