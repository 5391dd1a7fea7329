//! What tells the two worlds apart, if anything does: the best threshold on a single number, or the nearest neighbours in
//! all of them, whichever does better on rounds that it did not learn from.
//!
//! Every round is tested after, and only after, all that is learned from: a model learns from the rounds so far, is tried
//! on the next few, and then learns from those too. Where views tell nothing, each try is a fair coin, independent of the
//! ones before, so the number of hits is exactly binomial.

use super::view::Sample;
use crate::statistics::number;

/// Neighbours that are asked, at most, and never more than a third of all: or the larger class would always win.
const NEIGHBOURS: usize = 9;
/// The fewest rounds that something is learned from.
const FEWEST: usize = 6;
/// How often it is learned anew.
const LESSONS: usize = 8;

/// Something that was learned.
#[derive(Clone, Debug)]
enum Model {
    /// The world in which a number is above a threshold, and the number and threshold.
    Threshold { number: usize, above: f64, world: bool },
    /// Samples, scaled, and by how much.
    Nearest { scale: Vec<(f64, f64)>, samples: Vec<Sample> },
}

impl Model {
    /// The threshold that is right most often; of several the one with the widest gap around it.
    fn threshold(samples: &[Sample]) -> Option<Self> {
        let count = samples.first()?.numbers.len();
        let best = (0..count).filter_map(|number| best_threshold(samples, number));
        let best = best.max_by(|(a, _), (b, _)| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        best.map(|(_, model)| model)
    }

    fn nearest(samples: &[Sample]) -> Option<Self> {
        let count = samples.first()?.numbers.len();
        let scale: Vec<(f64, f64)> = (0..count).map(|number| spread(samples, number)).collect();
        let samples = samples.iter().map(|sample| scaled(sample, &scale)).collect();
        Some(Self::Nearest { scale, samples })
    }

    fn guess(&self, sample: &Sample) -> bool {
        match self {
            Self::Threshold { number, above, world } => {
                let is_above = sample.numbers.get(*number).is_some_and(|value| value > above);
                is_above == *world
            }
            Self::Nearest { scale, samples } => {
                let sample = scaled(sample, scale);
                let mut all: Vec<(f64, bool)> =
                    samples.iter().map(|one| (distance(one, &sample), one.world)).collect();
                let asked = NEIGHBOURS.min((all.len() / 3).max(1));
                if asked < all.len() {
                    all.select_nth_unstable_by(asked, |a, b| a.0.total_cmp(&b.0));
                }
                let ones = all.iter().take(asked).filter(|(_, world)| *world).count();
                ones * 2 > asked
            }
        }
    }

    fn hits(&self, samples: &[Sample]) -> usize {
        samples.iter().filter(|sample| self.guess(sample) == sample.world).count()
    }
}

/// How good a threshold is: how often it is right, then how wide the gap around it is, of all that the number varies.
type Merit = (usize, f64);

fn best_threshold(samples: &[Sample], number: usize) -> Option<(Merit, Model)> {
    let value = |sample: &Sample| sample.numbers.get(number).copied().unwrap_or_default();
    let mut sorted: Vec<(f64, bool)> = samples.iter().map(|s| (value(s), s.world)).collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let range = sorted.last()?.0 - sorted.first()?.0;
    let ones = sorted.iter().filter(|(_, world)| *world).count();
    let (mut ones_below, mut best): (_, Option<(Merit, Model)>) = (0, None);
    for (below, pair) in sorted.windows(2).enumerate() {
        let [(low, world), (high, _)] = pair else { continue };
        ones_below += usize::from(*world);
        if low >= high {
            continue;
        }
        // If all below belong to one world and all above to the other; or the other way round.
        let zeros_below = below + 1 - ones_below;
        let right = zeros_below + (ones - ones_below);
        let either = right.max(sorted.len() - right);
        let gap = (high - low) / range;
        if best.as_ref().is_none_or(|((most, widest), _)| (either, gap) > (*most, *widest)) {
            let (above, world) = (f64::midpoint(*low, *high), either == right);
            best = Some(((either, gap), Model::Threshold { number, above, world }));
        }
    }
    best
}

fn spread(samples: &[Sample], at: usize) -> (f64, f64) {
    let values = || samples.iter().filter_map(|sample| sample.numbers.get(at));
    let mean = values().sum::<f64>() / number(samples.len());
    let variance = values().map(|value| (value - mean).powi(2)).sum::<f64>();
    (mean, (variance / number(samples.len())).sqrt())
}

fn scaled(sample: &Sample, scale: &[(f64, f64)]) -> Sample {
    let numbers = sample.numbers.iter().zip(scale).filter(|(_, (_, deviation))| *deviation > 0.0);
    let numbers = numbers.map(|(value, (mean, deviation))| (value - mean) / deviation).collect();
    Sample { world: sample.world, numbers }
}

fn distance(one: &Sample, other: &Sample) -> f64 {
    one.numbers.iter().zip(&other.numbers).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// Learns from samples: of the two ways the one that does better on the last third, having learned from the rest.
fn learn(samples: &[Sample]) -> Option<Model> {
    let (first, last) = samples.split_at(samples.len() * 2 / 3);
    let ways = [Model::threshold, Model::nearest];
    let tried = ways.into_iter().filter_map(|way| Some((way(first)?.hits(last), way)));
    // Of two that do equally well the simpler one: `max_by_key` takes the last.
    let (_, way) = tried.rev().max_by_key(|(hits, _)| *hits)?;
    way(samples)
}

/// How often the world of a round was guessed, of how many rounds.
#[must_use]
pub(super) fn guessed(samples: &[Sample]) -> (usize, usize) {
    let (mut at, mut hits) = ((samples.len() / 4).max(FEWEST), 0);
    let lesson = (samples.len().saturating_sub(at)).div_ceil(LESSONS).max(1);
    let mut tries = 0;
    while at < samples.len() {
        let (past, rest) = samples.split_at(at);
        let next = rest.get(..lesson.min(rest.len())).unwrap_or(rest);
        // Where no number varies there is nothing to learn, and one answer is as good as the other.
        hits += match learn(past) {
            Some(model) => model.hits(next),
            None => next.iter().filter(|sample| sample.world).count(),
        };
        tries += next.len();
        at += next.len();
    }
    (hits, tries)
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

    use super::*;

    fn samples(count: usize, view: impl Fn(bool, &mut StdRng) -> Vec<f64>) -> Vec<Sample> {
        let mut rng = StdRng::seed_from_u64(7);
        let mut all = Vec::new();
        for _ in 0..count {
            let world = rng.random();
            all.push(Sample { world, numbers: view(world, &mut rng) });
        }
        all
    }

    #[test]
    fn a_view_that_tells_nothing_is_a_coin() {
        let noise = |_: bool, rng: &mut StdRng| (0..20).map(|_| rng.random()).collect();
        let (hits, tries) = guessed(&samples(800, noise));
        assert_eq!(tries, 600);
        assert!((250..350).contains(&hits), "{hits}");
        let (hits, tries) = guessed(&samples(800, |_, _| vec![1.0; 4]));
        assert!((250..350).contains(&hits) && tries == 600, "{hits}");
        assert_eq!(guessed(&[]), (0, 0));
    }

    #[test]
    fn of_six_rounds_the_commoner_world_is_not_the_answer() {
        let worlds = [[true; 4].as_slice(), &[false, true], &[false; 6]].concat();
        let sample =
            |world: &bool| Sample { world: *world, numbers: vec![f64::from(u8::from(*world))] };
        assert_eq!(guessed(&worlds.iter().map(sample).collect::<Vec<_>>()), (6, 6));
    }

    #[test]
    fn one_number_among_many_that_tells_it_is_found() {
        let view = |world: bool, rng: &mut StdRng| {
            let mut numbers: Vec<f64> = (0..60).map(|_| rng.random()).collect();
            numbers[33] = if world { 512.0 } else { 768.0 };
            numbers
        };
        let (hits, tries) = guessed(&samples(30, view));
        assert_eq!(hits, tries);
    }

    #[test]
    fn what_only_several_numbers_tell_together_is_found() {
        let view = |world: bool, rng: &mut StdRng| {
            let first: bool = rng.random();
            [first, first ^ world].map(|b| f64::from(u8::from(b))).to_vec()
        };
        let (hits, tries) = guessed(&samples(200, view));
        assert!(hits * 10 > tries * 9, "{hits} of {tries}");
    }
}
