//! Mutants: versions of the scheme with one known weakness back in. The audit fails if one of them survives.

use serde::{Deserialize, Serialize};

/// What became of one mutant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
