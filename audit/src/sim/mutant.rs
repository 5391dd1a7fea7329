//! Selections that are weak on purpose. Each is a [`Rules`] over the public interface, and must be caught by a check
//! that production passes.

use std::{borrow::Cow, collections::BTreeSet};

use anon::selection::{GuardedPath, Planner, Wanted};
use clap::ValueEnum;
use rand::rngs::ChaCha8Rng;

use super::{
    ever::{self, Course},
    guarded::{Production, Rules, Witness},
    mails::{self, Measure, Setting},
    network::{Candidacy, Network, Node},
    options::{Identifiers, Options},
    parallel::Work,
};
use crate::mutant::MutantOutcome;

/// A selection with one weakness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Weak {
    /// A guard is sampled anew for every mail.
    #[value(name = "fresh-guard")]
    FreshGuards,
    /// Nodes near the key may be on the path.
    StorageCarries,
    /// A node is taken that appeared after the sampling.
    MintedBelieved,
    /// Two nodes of one operator may be on a path.
    FamiliesTogether,
    /// Nodes are looked up while a mail is sent.
    LooksUp,
    /// An anonymizer may serve twice in one mail.
    #[value(name = "far-end-twice")]
    AnonymizerTwice,
}

impl Weak {
    const fn attack(self) -> &'static str {
        match self {
            Self::FreshGuards => "10, fresh go-betweens meet every hostile node",
            Self::StorageCarries => "12, path-node reuse",
            Self::MintedBelieved => "2, grinding",
            Self::FamiliesTogether => "4, two liars",
            Self::LooksUp => "1, lookup leak",
            Self::AnonymizerTwice => "9, body and headers through one anonymizer",
        }
    }
}

impl Rules for Weak {
    fn guards(
        &self,
        among: &Candidacy<'_>,
        kept: &[Node],
        count: usize,
        rng: &mut ChaCha8Rng,
    ) -> Vec<Node> {
        let kept = if *self == Self::FreshGuards { &[] } else { kept };
        Production.guards(among, kept, count, rng)
    }

    fn avoid<'n>(&self, near: &'n BTreeSet<Node>) -> Cow<'n, BTreeSet<Node>> {
        match self {
            Self::StorageCarries => Cow::default(),
            _ => Cow::Borrowed(near),
        }
    }

    fn path(
        &self,
        among: &Candidacy<'_>,
        planner: &mut Planner<Node, Node>,
        wanted: Wanted<'_, Node>,
        rng: &mut ChaCha8Rng,
    ) -> Option<GuardedPath<Node>> {
        let blind = Candidacy { declared: None, ..*among };
        let among = if *self == Self::FamiliesTogether { &blind } else { among };
        match self {
            // The anonymizers of one mail know nothing of each other.
            Self::AnonymizerTwice => Production.path(among, &mut planner.clone(), wanted, rng),
            _ => Production.path(among, planner, wanted, rng),
        }
    }

    fn believes_in_minted(&self) -> bool {
        *self == Self::MintedBelieved
    }

    fn looks_up(&self) -> bool {
        *self == Self::LooksUp
    }
}

/// A check that a selection passes or not, and what it saw.
pub(super) type Checked = (&'static str, bool, String);

/// Runs all mutants.
#[must_use]
pub(crate) fn mutants(seed: u64) -> Vec<MutantOutcome> {
    let run = |mutant: &Weak| {
        let fallen: Vec<Checked> =
            check(mutant, seed).into_iter().filter(|(_, holds, _)| !holds).collect();
        let says = |(rule, _, seen): &Checked| format!("{}: {seen}", words(rule));
        let caught_by = fallen.iter().map(|(rule, ..)| name_of(rule).to_owned()).collect();
        let seen = fallen.first().map_or_else(|| "nothing out of order".to_owned(), says);
        MutantOutcome::new(mutant, mutant.attack(), caught_by, seen)
    };
    Weak::value_variants().iter().map(run).collect()
}

/// The check that a rule belongs to.
fn name_of(rule: &str) -> &str {
    rule.split_once(": ").map_or(rule, |(name, _)| name)
}

/// What the rule says.
fn words(rule: &str) -> &str {
    rule.split_once(": ").map_or(rule, |(_, words)| words)
}

/// The hostile share of the checks.
const SHARE: f64 = 0.1;
/// Nodes of the checks' network: so few that every rule is needed often.
const NODES: usize = 150;
/// First mails, and senders of many mails.
const MAILS: usize = 300;
const SENDERS: usize = 60;
const COURSE: usize = 150;

/// What every selection must pass, in a small network at a hostile share of a tenth.
pub(super) fn check(rules: &dyn Rules, seed: u64) -> Vec<Checked> {
    let options = Options {
        nodes: NODES,
        shares: vec![SHARE],
        mails: COURSE,
        crowd: 100,
        seed,
        threads: 1,
        ..Options::quick()
    };
    let network = Network::new(NODES, seed);
    let work = Work::new(1, seed, 1.0, &|_| ());
    let setting = Setting { hops: 1, witness: Witness::Middle };
    let by_identifiers = |options: &Options| {
        let (points, broken, asked) =
            mails::guarded(options, &network, (setting, rules), MAILS, &work);
        let point = points.into_iter().find(|point| point.measure == Measure::Identifiers);
        (point.map_or(0.0, |point| point.simulated.value), broken, asked)
    };
    let (costly, broken, asked) = by_identifiers(&options);
    let free = Options { identifiers: Identifiers::Free, ..options.clone() };
    let (free, _, _) = by_identifiers(&free);
    let declared = Options { declared: true, ..options.clone() };
    let (_, families, _) = by_identifiers(&declared);
    let ever = linked_in_many_mails(&options, &network, (setting, rules), &work);
    vec![
        (
            "simulation.guarded: storage nodes never carry",
            broken.storage_carried == 0,
            format!("{} of {MAILS} mails", broken.storage_carried),
        ),
        (
            "simulation.guarded: no far end serves twice in one mail",
            broken.anonymizer_twice == 0,
            format!("{} in {MAILS} mails", broken.anonymizer_twice),
        ),
        (
            "simulation.guarded: one node of an operator on a path",
            families.family_together == 0,
            format!("{} paths of {MAILS} mails have two", families.family_together),
        ),
        (
            "simulation.lookups: nothing is looked up to send a mail",
            asked == 0,
            format!("{asked} nodes asked for {MAILS} mails"),
        ),
        (
            "simulation.grinding: minted nodes gain nothing",
            free <= costly + 2.0 * SHARE * SHARE,
            format!("{:.1} % of mails linked, {:.1} % without", free * 100.0, costly * 100.0),
        ),
        (
            "simulation.guarded: a sender is linked if its guard or spare is hostile, not sooner or later",
            // That guard or spare is hostile has probability 0.19; three standard errors of it are 0.15.
            ever <= 0.34,
            format!("{:.0} % of {SENDERS} senders linked in {COURSE} mails", ever * 100.0),
        ),
    ]
}

/// The share of senders that are linked by one of many mails.
fn linked_in_many_mails(
    options: &Options,
    network: &Network,
    (setting, rules): (Setting, &dyn Rules),
    work: &Work<'_>,
) -> f64 {
    let name = "many mails".to_owned();
    let world = mails::world(options, network, setting, rules);
    let course = Course { name, world, setting, is_plain: false };
    let (points, _) = ever::run(options, network, &course, SENDERS, work);
    let is_last =
        |point: &mails::Point| point.measure == Measure::Identifiers && point.mails == COURSE;
    points.into_iter().find(is_last).map_or(1.0, |point| point.simulated.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutant_is_caught_by_its_check_and_production_by_none() {
        let fallen: Vec<Checked> =
            check(&Production, 3).into_iter().filter(|(_, holds, _)| !holds).collect();
        assert!(fallen.is_empty(), "{fallen:?}");
        let checks = ["guarded", "guarded", "grinding", "guarded", "lookups", "guarded"];
        for (outcome, check) in mutants(3).iter().zip(checks) {
            assert!(outcome.caught_by.contains(&format!("simulation.{check}")), "{outcome:?}");
        }
    }
}
