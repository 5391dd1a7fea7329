//! How sure one may be: of a share that was counted (Clopper and Pearson 1934), and of a difference between two means
//! (Welch 1947). The distributions are `statrs`'; the tests hold both against what R prints.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statrs::distribution::{Beta, ContinuousCDF as _, StudentsT};

/// Two ends of an interval, the lower one first.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// A count as a number; counts of more than 2^32 are not made here.
#[must_use]
pub(crate) fn number(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

/// Where the true share lies if `hits` of `trials` were seen, with this confidence, both ends of the interval together:
/// the exact interval of Clopper and Pearson. Without trials it may be anything.
#[must_use]
pub(crate) fn clopper_pearson(hits: usize, trials: usize, confidence: f64) -> Interval {
    let misses = trials.saturating_sub(hits);
    let tail = (1.0 - confidence) / 2.0;
    let quantile = |a: usize, b: usize, at: f64| {
        Beta::new(number(a), number(b)).ok().map(|beta| beta.inverse_cdf(at))
    };
    Interval {
        low: quantile(hits, misses + 1, tail).unwrap_or(0.0),
        high: quantile(hits + 1, misses, 1.0 - tail).unwrap_or(1.0),
    }
}

/// How far apart two means are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Welch {
    /// The difference in standard errors.
    pub t: f64,
    /// Degrees of freedom.
    pub freedom: f64,
    /// How often chance alone makes a difference of this size or larger.
    pub p: f64,
}

/// Welch's test for two samples whose variances may differ; `None` where either has fewer than two values or neither
/// varies.
#[must_use]
pub(crate) fn welch(first: &[f64], second: &[f64]) -> Option<Welch> {
    let ((mean_1, error_1), (mean_2, error_2)) = (moments(first)?, moments(second)?);
    let error = error_1 + error_2;
    if error <= 0.0 {
        return None;
    }
    let t = (mean_1 - mean_2) / error.sqrt();
    let share = |error: f64, sample: &[f64]| error * error / (number(sample.len()) - 1.0);
    let freedom = error * error / (share(error_1, first) + share(error_2, second));
    let p = 2.0 * StudentsT::new(0.0, 1.0, freedom).ok()?.cdf(-t.abs());
    Some(Welch { t, freedom, p })
}

/// The mean, and the variance of the mean.
fn moments(sample: &[f64]) -> Option<(f64, f64)> {
    if sample.len() < 2 {
        return None;
    }
    let count = number(sample.len());
    let mean = sample.iter().sum::<f64>() / count;
    let squares: f64 = sample.iter().map(|value| (value - mean) * (value - mean)).sum();
    Some((mean, squares / (count - 1.0) / count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(seen: f64, published: f64, within: f64) {
        assert!((seen - published).abs() < within, "{seen} is not {published}");
    }

    #[test]
    fn intervals_are_those_of_r() {
        // binom.test(682, 682 + 243, p = 3/4), the example of R's manual: Mendel's peas (Conover 1971).
        let peas = clopper_pearson(682, 925, 0.95);
        near(peas.low, 0.707_668_3, 1e-6);
        near(peas.high, 0.765_406_6, 1e-6);
        // binom.test(0, 10): 0 and 1 - (0.025)^(1/10). binom.test(10, 10) mirrors it.
        let none = clopper_pearson(0, 10, 0.95);
        near(none.low, 0.0, 1e-12);
        near(none.high, 0.308_497_1, 1e-6);
        let all = clopper_pearson(10, 10, 0.95);
        near(all.low, 0.691_502_9, 1e-6);
        near(all.high, 1.0, 1e-12);
        assert_eq!(clopper_pearson(0, 0, 0.95), Interval { low: 0.0, high: 1.0 });
    }

    #[test]
    fn differences_are_those_of_r() {
        // t.test(extra ~ group, data = sleep), the example of R's manual: Student's sleep data (1908).
        let first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0];
        let second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4];
        let welch = welch(&first, &second).unwrap();
        near(welch.t, -1.8608, 1e-4);
        near(welch.freedom, 17.776, 1e-3);
        near(welch.p, 0.07939, 1e-5);
    }

    #[test]
    fn what_does_not_vary_is_no_difference() {
        assert_eq!(welch(&[1.0, 1.0], &[1.0, 1.0]), None);
        assert_eq!(welch(&[1.0], &[1.0, 2.0]), None);
    }
}
