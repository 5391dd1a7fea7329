//! How well a coalition guesses, and how sure that makes us.
//!
//! Rules. A single role is refuted if the lower bound of its advantage, with a confidence of 95 % over all roles together
//! (Bonferroni), is above [`BOUND`]. Its bound is *shown* if the upper bound of its own one-sided interval of 95 % is not
//! above it; that all are below needs no correction, since each must be shown. A fair coin passes the second in half
//! of all cases after 1,100 tries, and nine in ten after 3,400. With fewer nothing may be refuted and nothing shown: the
//! outcome is then "not shown", and says how much could have been missed.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BOUND, classifier::guessed, view::Sample};
use crate::{
    outcome::Outcome,
    statistics::{Interval, clopper_pearson, number, welch},
};

/// The confidence of intervals.
const CONFIDENCE: f64 = 0.95;
/// What is near enough to always.
const NEARLY_ALWAYS: f64 = 0.8;

/// The number that differs most between the worlds.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Difference {
    /// Which one.
    pub number: String,
    /// Welch's t.
    pub t: f64,
    /// How often chance makes one of all the coalition's numbers differ so much.
    pub p: f64,
}

/// One coalition's guesses.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Trial {
    /// Who guessed, and what they were given.
    pub who: String,
    /// Right guesses, and all.
    pub hits: (usize, usize),
    /// Twice the share of the right ones, less one.
    pub advantage: f64,
    /// Where it truly lies, with 95 % confidence.
    pub interval: Interval,
    /// What differs most.
    pub strongest: Option<Difference>,
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Interval { low, high }, (hits, tries)) = (self.interval, self.hits);
        write!(
            f,
            "{}: {:+.3} [{low:+.3}, {high:+.3}], {hits} of {tries}",
            self.who, self.advantage
        )?;
        match &self.strongest {
            Some(Difference { number, t, p }) => {
                write!(f, "; |t| {:.1} (p {p:.2}): {number}", t.abs())
            }
            None => Ok(()),
        }
    }
}

impl Trial {
    /// The guesses of whoever has these views; `None` where there are too few rounds to guess any.
    #[must_use]
    pub(super) fn of(who: &str, names: &[String], samples: &[Sample]) -> Option<Self> {
        let hits = guessed(samples);
        if hits.1 == 0 {
            return None;
        }
        let advantage = 2.0 * number(hits.0) / number(hits.1) - 1.0;
        let interval = advantages(hits, CONFIDENCE);
        let strongest = strongest(names, samples);
        Some(Self { who: who.to_owned(), hits, advantage, interval, strongest })
    }

    /// Whether it is shown that not nearly all guesses are right. One wrong of six, all that is learned from six rounds
    /// before, shows nothing.
    #[must_use]
    pub(crate) fn is_lost(&self) -> bool {
        self.interval.high < NEARLY_ALWAYS
    }

    /// Whether it is shown that more guesses are right than a coin's.
    #[must_use]
    pub(crate) fn is_won(&self) -> bool {
        self.interval.low > 0.0
    }
}

fn advantages((hits, tries): (usize, usize), confidence: f64) -> Interval {
    let Interval { low, high } = clopper_pearson(hits, tries, confidence);
    Interval { low: 2.0 * low - 1.0, high: 2.0 * high - 1.0 }
}

fn strongest(names: &[String], samples: &[Sample]) -> Option<Difference> {
    let of = |world: bool, at: usize| -> Vec<f64> {
        let there = samples.iter().filter(|sample| sample.world == world);
        there.filter_map(|sample| sample.numbers.get(at).copied()).collect()
    };
    let each = names.iter().enumerate().filter_map(|(at, name)| {
        let welch = welch(&of(true, at), &of(false, at))?;
        let p = (welch.p * number(names.len())).min(1.0);
        Some(Difference { number: name.clone(), t: welch.t, p })
    });
    each.max_by(|a, b| a.t.abs().total_cmp(&b.t.abs()))
}

/// What the guesses of single roles come to, provided that no control was lost.
pub(super) fn bounded(check: &str, trials: &[Trial], lost: &[String]) -> Outcome {
    let Some(worst) = trials.iter().max_by(|a, b| a.advantage.total_cmp(&b.advantage)) else {
        return Outcome::not_run(check, "no round was played");
    };
    let details = trials.iter().map(Trial::to_string).collect();
    let together = 1.0 - 2.0 * (1.0 - CONFIDENCE) / number(trials.len());
    let refuted: Vec<String> = trials
        .iter()
        .filter(|trial| advantages(trial.hits, together).low > BOUND)
        .map(Trial::to_string)
        .collect();
    let one_sided = |trial: &Trial| advantages(trial.hits, 2.0 * CONFIDENCE - 1.0).high;
    let highest = trials.iter().map(one_sided).fold(-1.0, f64::max);
    let shown = trials.iter().filter(|trial| one_sided(trial) <= BOUND).count();
    let tries = worst.hits.1;
    let seen = if !refuted.is_empty() {
        format!("told apart: {}", refuted.join("; "))
    } else if !lost.is_empty() {
        format!("blind: {}", lost.join("; "))
    } else if shown == trials.len() {
        format!(
            "each of {shown} views gains {BOUND} at most, with 95 % confidence ({tries} rounds)"
        )
    } else {
        format!(
            "none of {} views is refuted, {shown} are shown to gain {BOUND} at most; the most seen is {:+.3}, \
             and {highest:.2} is not ruled out ({tries} rounds)",
            trials.len(),
            worst.advantage,
        )
    };
    let outcome = if !refuted.is_empty() || !lost.is_empty() {
        Outcome::of(check, false, seen)
    } else if shown == trials.len() {
        Outcome::of(check, true, seen)
    } else {
        Outcome::not_shown(check, seen)
    };
    outcome.with_details(details)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Verdict;

    fn trial(hits: usize, tries: usize) -> Trial {
        let advantage = 2.0 * number(hits) / number(tries) - 1.0;
        let interval = advantages((hits, tries), CONFIDENCE);
        Trial { who: "M".to_owned(), hits: (hits, tries), advantage, interval, strongest: None }
    }

    #[test]
    fn a_coin_holds_and_a_lead_falls() {
        let fair = bounded("game.single-roles", &[trial(1_500, 3_000), trial(1_512, 3_000)], &[]);
        assert_eq!(fair.verdict, Verdict::Holds, "{}", fair.seen);
        let led = bounded("game.single-roles", &[trial(600, 1200), trial(720, 1200)], &[]);
        assert_eq!(led.verdict, Verdict::Fell, "{}", led.seen);
        let blind = bounded("game.single-roles", &[trial(600, 1200)], &["Z1".to_owned()]);
        assert_eq!(blind.verdict, Verdict::Fell, "{}", blind.seen);
        assert_eq!(bounded("game.presence", &[], &[]).verdict, Verdict::NotRun);
    }

    #[test]
    fn a_bound_is_shown_with_enough_rounds() {
        let shown = bounded("game.single-roles", &[trial(1_500, 3_000)], &[]);
        assert!(shown.seen.starts_with("each of 1"), "{}", shown.seen);
        let few = bounded("game.single-roles", &[trial(5, 10)], &[]);
        assert!(few.seen.contains("not ruled out"), "{}", few.seen);
        assert_eq!(few.verdict, Verdict::NotShown);
        // Six rounds of a quick run show nothing, whatever comes of them.
        let six = bounded("game.single-roles", &[trial(3, 6), trial(2, 6)], &[]);
        assert_eq!(six.verdict, Verdict::NotShown, "{}", six.seen);
    }

    #[test]
    fn a_coin_loses_and_one_mistake_does_not() {
        assert!(!trial(8, 8).is_lost() && !trial(5, 6).is_lost() && !trial(95, 100).is_lost());
        assert!(trial(3, 6).is_lost() && trial(80, 100).is_lost() && trial(6_600, 7_500).is_lost());
    }
}
