//! Subjects of one kind, with the checks that attack them.

use clap::ValueEnum;
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

/// A kind of subject: the project's own, its mutants, which are the variants of `M`, and what all of them are put through.
pub(super) struct Family<S: ?Sized, M> {
    pub(super) checks: Vec<Check<S>>,
    pub(super) real: Box<S>,
    pub(super) mutant: fn(M) -> Box<S>,
    /// The known attack that finds a mutant.
    pub(super) attack: fn(M) -> &'static str,
}

/// A family of whatever kind.
pub(super) trait Tried {
    /// What the checks say of the project's own code.
    fn checks(&self, seed: u64) -> Vec<Outcome>;
    /// What the checks say of the mutants.
    fn mutants(&self, seed: u64) -> Vec<MutantOutcome>;
}

impl<S: ?Sized, M: ValueEnum + Copy> Tried for Family<S, M> {
    fn checks(&self, seed: u64) -> Vec<Outcome> {
        self.put_through(&self.real, seed)
    }

    fn mutants(&self, seed: u64) -> Vec<MutantOutcome> {
        M::value_variants().iter().map(|mutant| self.try_mutant(*mutant, seed)).collect()
    }
}

impl<S: ?Sized, M: ValueEnum + Copy> Family<S, M> {
    fn put_through(&self, subject: &S, seed: u64) -> Vec<Outcome> {
        let attacked = self.checks.iter().map(|check| {
            match (check.attack)(subject, &mut StdRng::seed_from_u64(seed)) {
                Some((holds, seen)) => Outcome::of(check.name, holds, seen),
                None => Outcome::of(check.name, false, NO_WORK),
            }
        });
        attacked.collect()
    }

    fn try_mutant(&self, mutant: M, seed: u64) -> MutantOutcome {
        let outcomes = self.put_through(&(self.mutant)(mutant), seed);
        // What does not work at all is no mutant, and to find that out is no catch.
        let broken = outcomes.iter().any(|o| o.seen == NO_WORK);
        let caught: Vec<&Outcome> =
            outcomes.iter().filter(|o| !broken && o.verdict == Verdict::Fell).collect();
        let seen = match caught.first() {
            Some(outcome) => outcome.seen.clone(),
            None if broken => NO_WORK.to_owned(),
            None => "no check saw it".to_owned(),
        };
        let caught_by = caught.iter().map(|o| o.check.clone()).collect();
        MutantOutcome::new(&mutant, (self.attack)(mutant), caught_by, seen)
    }
}

const NO_WORK: &str = "the honest work could not be done, so nothing was attacked";
