//! Mutants: versions of the scheme with one known weakness back in. The audit fails if one of them survives.

use clap::ValueEnum;
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
    /// What became of a mutant. It is a variant of an enum: its name is the variant's value, and the variant's
    /// documentation says what is weak in it.
    pub(crate) fn new(
        mutant: &impl ValueEnum,
        attack: &str,
        caught_by: Vec<String>,
        seen: String,
    ) -> Self {
        let value = mutant.to_possible_value();
        // clap takes the full stop away.
        let weakness = value.and_then(|value| Some(format!("{}.", value.get_help()?)));
        let (weakness, attack) = (weakness.unwrap_or_default(), attack.to_owned());
        Self { name: name(mutant), weakness, attack, caught_by, seen }
    }

    /// Whether no check saw it.
    #[must_use]
    pub const fn survived(&self) -> bool {
        self.caught_by.is_empty()
    }
}

/// What a mutant is called.
pub(crate) fn name(mutant: &impl ValueEnum) -> String {
    mutant.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
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
