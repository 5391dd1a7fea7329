//! What comes of a check: the one shape in which every part of the audit reports.

use derive_more::Display;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a check ended.
#[derive(
    Clone, Copy, Debug, Display, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// What was to hold was seen to hold.
    #[display("holds")]
    Holds,
    /// It does not hold, `claims.toml` says so, and names the limit that tells why.
    #[display("fails: known")]
    Known,
    /// It ran and looked at too little to show anything. Never counted as holding.
    #[display("not shown")]
    NotShown,
    /// It was not run here; the outcome says why. Never counted as holding.
    #[display("not run")]
    NotRun,
    /// It does not hold.
    #[display("FELL")]
    Fell,
}

/// What one check saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Outcome {
    /// The check's name, as `claims.toml` has it: family and name, such as `simulation.guarded`.
    pub check: String,
    /// How it ended.
    pub verdict: Verdict,
    /// What was seen, in one line, numbers and bound included.
    pub seen: String,
    /// More of it, a line each, for whoever wants to argue.
    pub details: Vec<String>,
}

impl Outcome {
    /// The outcome of a check that ran.
    #[must_use]
    pub(crate) fn of(check: &str, holds: bool, seen: impl Into<String>) -> Self {
        Self::ended(check, if holds { Verdict::Holds } else { Verdict::Fell }, seen)
    }

    /// The outcome of a check that could not run.
    #[must_use]
    pub(crate) fn not_run(check: &str, why: impl Into<String>) -> Self {
        Self::ended(check, Verdict::NotRun, why)
    }

    /// The outcome of a check that ran, if it looked at anything; of one that looked at nothing it is "not shown".
    #[must_use]
    pub(crate) fn of_some(
        check: &str,
        looked_at: usize,
        holds: bool,
        seen: impl Into<String>,
    ) -> Self {
        if looked_at > 0 { Self::of(check, holds, seen) } else { Self::not_shown(check, seen) }
    }

    /// The outcome of a check that ran and looked at too little to show anything.
    #[must_use]
    pub(crate) fn not_shown(check: &str, why: impl Into<String>) -> Self {
        Self::ended(check, Verdict::NotShown, why)
    }

    fn ended(check: &str, verdict: Verdict, seen: impl Into<String>) -> Self {
        Self { check: check.to_owned(), verdict, seen: seen.into(), details: Vec::new() }
    }

    /// The outcome of a check that is known to fail, as this limit says. One that holds all the same is a failure: either
    /// the check went blind, or the mark is out of date.
    #[must_use]
    pub(crate) fn known_to_fail(self, limit: &str) -> Self {
        let (verdict, seen) = match self.verdict {
            Verdict::Fell => (Verdict::Known, format!("see {limit}. {}", self.seen)),
            Verdict::Holds => {
                let says =
                    "passes unexpectedly: if that is right, remove its mark from audit/claims.toml";
                (Verdict::Fell, format!("{says} and restate {limit}. {}", self.seen))
            }
            verdict => (verdict, self.seen),
        };
        Self { verdict, seen, ..self }
    }

    /// The same with more to read.
    #[must_use]
    pub(crate) fn with_details(mut self, details: Vec<String>) -> Self {
        self.details = details;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_failure_is_no_fall_and_one_that_passes_is() {
        let judged = |outcome: Outcome| outcome.known_to_fail("L-01");
        let fails = judged(Outcome::of("a.check", false, "two of two"));
        assert_eq!((fails.verdict, fails.seen.as_str()), (Verdict::Known, "see L-01. two of two"));
        let passes = judged(Outcome::of("a.check", true, "none of two"));
        assert_eq!(passes.verdict, Verdict::Fell);
        assert!(passes.seen.contains("passes unexpectedly"), "{}", passes.seen);
        // What was not looked at is neither.
        assert_eq!(judged(Outcome::not_shown("a.check", "")).verdict, Verdict::NotShown);
        assert_eq!(judged(Outcome::not_run("a.check", "")).verdict, Verdict::NotRun);
    }

    #[test]
    fn a_check_that_looked_at_nothing_does_not_hold() {
        assert_eq!(Outcome::of_some("a.check", 0, true, "").verdict, Verdict::NotShown);
        assert_eq!(Outcome::of_some("a.check", 1, true, "").verdict, Verdict::Holds);
    }
}
