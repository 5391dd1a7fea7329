//! Mutants: versions of the scheme with one known weakness back in. The audit fails if one of them survives.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::outcome::Outcome;

/// What became of one mutant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MutantOutcome {
    /// Its name.
    pub name: String,
    /// What is wrong with it, in a sentence for people who do not read code.
    pub weakness: String,
    /// The attack that this allows.
    pub attack: String,
    /// The checks that saw it; empty: it survived.
    pub caught_by: Vec<String>,
    /// What the first of them saw, or why none could be made.
    pub seen: String,
}

impl MutantOutcome {
    /// Whether no check saw it.
    #[must_use]
    pub const fn survived(&self) -> bool {
        self.caught_by.is_empty()
    }
}

/// Whether there are as many mutants as there should be, and all were caught.
#[must_use]
pub(crate) fn outcome(mutants: &[MutantOutcome], fewest: usize) -> Outcome {
    let survivors: Vec<String> = mutants
        .iter()
        .filter(|mutant| mutant.survived())
        .map(|mutant| format!("{} survived: {}", mutant.name, mutant.seen))
        .collect();
    let caught = mutants.len().saturating_sub(survivors.len());
    let seen = format!("{caught} of {} caught", mutants.len());
    let holds = survivors.is_empty() && mutants.len() >= fewest;
    Outcome::of("mutants.survivors", holds, seen).with_details(survivors)
}
