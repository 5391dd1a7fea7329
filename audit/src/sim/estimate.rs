//! Estimates, and how far they can be trusted.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::number::real;

/// The normal quantile of a two-sided 95 % interval.
const Z95: f64 = 1.959_964;
/// How many standard errors a difference may have.
pub(super) const SIGMAS: f64 = 3.0;

/// A share of trials, 0 to 1, or a mean.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Estimate {
    /// The estimate.
    pub value: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// The 95 % interval's lower end: Wilson's for a share, the normal one for a mean.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// The trials.
    pub trials: usize,
}

impl Estimate {
    /// The share of `hits` in `trials` (Wilson, 1927).
    #[must_use]
    pub(crate) fn share(hits: usize, trials: usize) -> Self {
        let n = real(trials).max(1.0);
        let p = real(hits) / n;
        let z2 = Z95 * Z95;
        let middle = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
        let half = Z95 / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
        Self {
            value: p,
            standard_error: (p * (1.0 - p) / n).sqrt(),
            low: (middle - half).max(0.0),
            high: (middle + half).min(1.0),
            trials,
        }
    }

    /// The mean of `trials` values with this sum and sum of squares.
    #[must_use]
    pub(crate) fn mean(sum: f64, squares: f64, trials: usize) -> Self {
        let n = real(trials).max(1.0);
        let mean = sum / n;
        let variance = (squares / n - mean * mean).max(0.0);
        let standard_error = (variance / n).sqrt();
        let (low, high) = (mean - Z95 * standard_error, mean + Z95 * standard_error);
        Self { value: mean, standard_error, low, high, trials }
    }

    /// Whether it is what `expected` says, if that is exact: within three binomial standard errors of it.
    #[must_use]
    pub(crate) fn agrees(&self, expected: f64) -> bool {
        self.agrees_with_sample(expected, f64::INFINITY)
    }

    /// The same, if `expected` is itself from a sample of so many.
    #[must_use]
    pub(crate) fn agrees_with_sample(&self, expected: f64, sample: f64) -> bool {
        self.deviation_from_sample(expected, sample) <= SIGMAS
    }

    /// How far it is from `expected`, in standard errors.
    #[must_use]
    pub(crate) fn deviation(&self, expected: f64) -> f64 {
        self.deviation_from_sample(expected, f64::INFINITY)
    }

    /// Against a sample the share of both together is what both are held to be samples from.
    fn deviation_from_sample(&self, expected: f64, sample: f64) -> f64 {
        let trials = real(self.trials).max(1.0);
        let (p, of_sample) = if sample.is_finite() {
            let both = trials + sample;
            let pooled = (self.value * trials + expected * sample) / both;
            (pooled.clamp(1.0 / both, 1.0 - 1.0 / both), 1.0 / sample)
        } else {
            // Of a share of which no case was seen, one more trial might have been one.
            (expected.clamp(1.0 / trials, 1.0 - 1.0 / trials), 0.0)
        };
        (self.value - expected).abs() / (p * (1.0 - p) * (1.0 / trials + of_sample)).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_those_of_the_books() {
        // Wilson's interval for 1 of 10: 0.0179 to 0.4042.
        let estimate = Estimate::share(1, 10);
        assert!((estimate.low - 0.0179).abs() < 5e-4 && (estimate.high - 0.4042).abs() < 5e-4);
        assert!(Estimate::share(0, 100).low.abs() < 1e-12);
        assert!(estimate.agrees(0.1) && !Estimate::share(500, 1_000).agrees(0.4));
        let mean = Estimate::mean(10.0, 20.0, 10);
        assert!(
            (mean.value - 1.0).abs() < 1e-12
                && (mean.standard_error - 0.1_f64.sqrt()).abs() < 1e-12
        );
    }
}
