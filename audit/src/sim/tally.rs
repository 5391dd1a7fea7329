//! Counts of what many trials showed, for several measures and hostile shares at once.

use rand::rngs::ChaCha8Rng;

use super::{
    estimate::Estimate,
    parallel::{Gather, Work},
    view::{Broken, View},
};

/// Counts for `measures` times `shares`.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    shares: usize,
    trials: usize,
    hits: Vec<usize>,
    sums: Vec<(f64, f64)>,
    /// Nodes asked by lookups, and lookups.
    pub(super) asked: usize,
    pub(super) looked_up: usize,
    pub(super) broken: Broken,
}

impl Tally {
    pub(super) fn new(shares: usize) -> Self {
        Self { shares, ..Self::default() }
    }

    /// Counts a trial, and what lookups it needed.
    pub(super) const fn trial(&mut self, view: &View) {
        self.trials += 1;
        self.asked += view.asked;
        self.looked_up += view.looked_up;
        self.broken.add(&view.broken);
    }

    /// Counts a measure that comes true from the share `from` on.
    pub(super) fn from(&mut self, measure: usize, shares: &[f64], from: f64) {
        for (place, share) in shares.iter().enumerate() {
            let place = measure * self.shares + place;
            if self.hits.len() <= place {
                self.hits.resize(place + 1, 0);
            }
            if let Some(hits) = self.hits.get_mut(place) {
                *hits += usize::from(from < *share);
            }
        }
    }

    /// Counts a value of a measure at one share.
    pub(super) fn value(&mut self, measure: usize, place: usize, value: f64) {
        let place = measure * self.shares + place;
        if self.sums.len() <= place {
            self.sums.resize(place + 1, (0.0, 0.0));
        }
        if let Some((sum, squares)) = self.sums.get_mut(place) {
            *sum += value;
            *squares += value * value;
        }
    }

    /// The share of trials in which a measure was true.
    pub(super) fn share(&self, measure: usize, place: usize) -> Estimate {
        let hits = self.hits.get(measure * self.shares + place).copied().unwrap_or(0);
        Estimate::share(hits, self.trials)
    }

    /// The mean of a measure.
    pub(super) fn mean(&self, measure: usize, place: usize) -> Estimate {
        let (sum, squares) =
            self.sums.get(measure * self.shares + place).copied().unwrap_or_default();
        Estimate::mean(sum, squares, self.trials)
    }
}

/// How trials are counted: so many for each of these shares, in units of work, each by `trial`.
pub(super) fn count(
    (name, work): (&str, &Work<'_>),
    (trials, units): (usize, f64),
    shares: &[f64],
    trial: impl Fn(&mut Tally, &mut View, &mut ChaCha8Rng) + Sync,
) -> Tally {
    work.run(name, trials, units, |trials, rng| {
        let (mut tally, mut view) = (Tally::new(shares.len()), View::default());
        for _ in 0..trials {
            trial(&mut tally, &mut view, rng);
            tally.trial(&view);
        }
        tally
    })
}

impl Gather for Tally {
    fn add(&mut self, other: Self) {
        self.shares = self.shares.max(other.shares);
        self.trials += other.trials;
        self.hits.resize(self.hits.len().max(other.hits.len()), 0);
        for (all, new) in self.hits.iter_mut().zip(other.hits) {
            *all += new;
        }
        self.sums.resize(self.sums.len().max(other.sums.len()), (0.0, 0.0));
        for (all, new) in self.sums.iter_mut().zip(other.sums) {
            *all = (all.0 + new.0, all.1 + new.1);
        }
        self.asked += other.asked;
        self.looked_up += other.looked_up;
        self.broken.add(&other.broken);
    }
}
