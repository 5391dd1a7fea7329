//! Subjects of one kind, with the checks that attack them.

use rand::{SeedableRng as _, rngs::StdRng};

use crate::{
    mutant::MutantOutcome,
    outcome::{Outcome, Verdict},
};

/// What an attack saw: whether the property held, and the numbers. `None`: the subject does not do its honest
/// work, so that there was nothing to attack.
pub(super) type Seen = Option<(bool, String)>;

/// An attack on a subject.
pub(super) struct Check<S: ?Sized> {
    pub(super) name: &'static str,
    pub(super) attack: fn(&S, &mut StdRng) -> Seen,
}

/// A subject with a weakness.
pub(super) struct Mutant<S: ?Sized> {
    pub(super) name: &'static str,
    pub(super) weakness: &'static str,
    pub(super) attack: &'static str,
    pub(super) subject: Box<S>,
}

/// The project's own subject, the mutants of it, and what all of them are put through.
pub(super) struct Family<S: ?Sized> {
    pub(super) checks: Vec<Check<S>>,
    pub(super) real: Box<S>,
    pub(super) mutants: Vec<Mutant<S>>,
}

impl<S: ?Sized> Family<S> {
    /// What the checks say of the project's own code.
    pub(super) fn checks(&self, seed: u64) -> Vec<Outcome> {
        self.put_through(&self.real, seed)
    }

    fn put_through(&self, subject: &S, seed: u64) -> Vec<Outcome> {
        let attacked = self.checks.iter().map(|check| {
            match (check.attack)(subject, &mut StdRng::seed_from_u64(seed)) {
                Some((holds, seen)) => Outcome::of(check.name, holds, seen),
                None => Outcome::of(check.name, false, NO_WORK),
            }
        });
        attacked.collect()
    }

    /// What the checks say of the mutants.
    pub(super) fn mutants(&self, seed: u64) -> Vec<MutantOutcome> {
        self.mutants.iter().map(|mutant| self.try_mutant(mutant, seed)).collect()
    }

    fn try_mutant(&self, mutant: &Mutant<S>, seed: u64) -> MutantOutcome {
        let outcomes = self.put_through(&mutant.subject, seed);
        // What does not work at all is no mutant, and to find that out is no catch.
        let broken = outcomes.iter().any(|o| o.seen == NO_WORK);
        let caught: Vec<&Outcome> =
            outcomes.iter().filter(|o| !broken && o.verdict == Verdict::Fell).collect();
        let seen = match caught.first() {
            Some(outcome) => outcome.seen.clone(),
            None if broken => NO_WORK.to_owned(),
            None => "no check saw it".to_owned(),
        };
        MutantOutcome {
            name: mutant.name.to_owned(),
            weakness: mutant.weakness.to_owned(),
            attack: mutant.attack.to_owned(),
            caught_by: caught.iter().map(|o| o.check.clone()).collect(),
            seen,
        }
    }
}

const NO_WORK: &str = "the honest work could not be done, so nothing was attacked";
