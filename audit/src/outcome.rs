//! What comes of a check: the one shape in which every part of the audit reports.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a check ended.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// What was to hold was seen to hold.
    Holds,
    /// It was not run here; the outcome says why. Never counted as holding.
    NotRun,
    /// It does not hold.
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
    pub fn of(check: &str, holds: bool, seen: impl Into<String>) -> Self {
        let verdict = if holds { Verdict::Holds } else { Verdict::Fell };
        Self { check: check.to_owned(), verdict, seen: seen.into(), details: Vec::new() }
    }

    /// The outcome of a check that could not run.
    #[must_use]
    pub fn not_run(check: &str, why: impl Into<String>) -> Self {
        let (check, seen) = (check.to_owned(), why.into());
        Self { check, verdict: Verdict::NotRun, seen, details: Vec::new() }
    }

    /// The same with more to read.
    #[must_use]
    pub fn with_details(mut self, details: Vec<String>) -> Self {
        self.details = details;
        self
    }
}
