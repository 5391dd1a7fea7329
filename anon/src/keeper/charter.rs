//! What a network file says of keepers: which of them make the views from which epoch on, how long their rounds are, and
//! what they go by.

use std::collections::BTreeMap;

use thiserror::Error;

use super::{
    ballot::Ballot,
    schedule::{Deadlines, Moment, Schedule, ScheduleError},
    vote::Rules,
};
use crate::{
    id::NetworkId,
    keys::VerifyKey,
    time::Epoch,
    view::{
        header::DEFAULT_VIEW_NODES,
        quorum::{KeeperSet, QuorumError},
    },
};

/// The most sets of keepers that a network file names: those of coming epochs and of views that may still be asked for.
pub const MAX_SETS: usize = 4;
/// How long a round is where the network file does not say, milliseconds.
pub const DEFAULT_ROUND: u64 = 60_000;

/// What no network file may say of keepers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CharterError {
    /// None, more than [`MAX_SETS`], or not by ascending epochs.
    #[error(
        "a network file has 1 to {MAX_SETS} sets of keepers, each from a later epoch than the one before"
    )]
    BadSets,
    /// No set of keepers.
    #[error(transparent)]
    Keepers(#[from] QuorumError),
    /// Epochs are too short for the rounds.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
}

/// What a network file says of keepers, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charter {
    network: NetworkId,
    sets: BTreeMap<Epoch, (KeeperSet, Schedule)>,
    rules: Rules,
    is_capped: bool,
}

/// What a network file says of keepers.
#[derive(Clone, Debug)]
pub struct CharterTerms {
    /// An epoch's length, seconds.
    pub epoch_seconds: u64,
    /// A round's length, milliseconds.
    pub round: u64,
    /// The keepers' keys from an epoch on.
    pub sets: Vec<(Epoch, Vec<VerifyKey>)>,
    /// The file's serial number, and its revocation list.
    pub rules: Rules,
    /// Whether a view has two nodes at one address at most.
    pub is_capped: bool,
}

impl Charter {
    /// Checks what a network file says.
    ///
    /// # Errors
    /// [`CharterError`].
    pub fn new(network: NetworkId, terms: CharterTerms) -> Result<Self, CharterError> {
        let CharterTerms { epoch_seconds, round, sets: stated, rules, is_capped } = terms;
        let ascends = stated.is_sorted_by(|(one, _), (next, _)| one < next);
        if !(1..=MAX_SETS).contains(&stated.len()) || !ascends {
            return Err(CharterError::BadSets);
        }
        let mut sets = BTreeMap::new();
        for (from, keys) in stated {
            let keepers = KeeperSet::new(keys)?;
            let schedule = Schedule::new(epoch_seconds, round, keepers.faults())?;
            sets.insert(from, (keepers, schedule));
        }
        Ok(Self { network, sets, rules, is_capped })
    }

    fn of(&self, view: Epoch) -> Option<&(KeeperSet, Schedule)> {
        self.sets.range(..=view).next_back().map(|(_, set)| set)
    }

    /// Who makes the view of an epoch; `None` for one from before the first set.
    #[must_use]
    pub fn keepers(&self, view: Epoch) -> Option<&KeeperSet> {
        self.of(view).map(|(keepers, _)| keepers)
    }

    /// The vote for the view of an epoch.
    #[must_use]
    pub fn ballot(&self, view: Epoch) -> Option<Ballot> {
        let keepers = self.keepers(view)?.clone();
        Some(Ballot::new(self.network, view, keepers, DEFAULT_VIEW_NODES))
    }

    /// How long everything takes for the view of an epoch.
    #[must_use]
    pub fn schedule(&self, view: Epoch) -> Option<Schedule> {
        self.of(view).map(|(_, schedule)| *schedule)
    }

    /// What is done until when for the view of an epoch.
    #[must_use]
    pub fn deadlines(&self, view: Epoch) -> Option<Deadlines> {
        self.schedule(view)?.deadlines(view)
    }

    /// The epoch of whose view the votes are made next: the first whose time for statements is not over.
    #[must_use]
    pub fn stated_for(&self, present: Epoch, now: Moment) -> Option<Epoch> {
        let next = present.after(1);
        let is_open = |view: &Epoch| {
            self.deadlines(*view).is_some_and(|deadlines| now <= deadlines.statements_until)
        };
        [next, next.after(1)].into_iter().find(is_open)
    }

    /// The last set of keepers, and the first epoch whose view it makes.
    #[must_use]
    pub fn last_set(&self) -> Option<(Epoch, &KeeperSet)> {
        self.sets.last_key_value().map(|(from, (keepers, _))| (*from, keepers))
    }

    /// The keys of the keepers of all sets.
    pub fn all_keepers(&self) -> impl Iterator<Item = &VerifyKey> {
        self.sets.values().flat_map(|(keepers, _)| keepers.keys())
    }

    /// Whether a key is that of a keeper of this epoch's view or of a later one.
    #[must_use]
    pub fn is_keeper(&self, key: &VerifyKey, from: Epoch) -> bool {
        let later = self.sets.range(from.after(1)..).map(|(_, (keepers, _))| keepers);
        self.keepers(from).into_iter().chain(later).any(|set| set.number_of(key).is_some())
    }

    /// The network.
    #[must_use]
    pub const fn network(&self) -> NetworkId {
        self.network
    }

    /// The network file's serial number, and its revocation list.
    #[must_use]
    pub const fn rules(&self) -> Rules {
        self.rules
    }

    /// Whether a view has two nodes at one address at most.
    #[must_use]
    pub const fn is_capped(&self) -> bool {
        self.is_capped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{KeeperSecret, SigningSecret as _};

    fn keys(numbers: std::ops::Range<u8>) -> Vec<VerifyKey> {
        numbers.map(|n| KeeperSecret::from_seed(&[n + 1; 32]).verify_key()).collect()
    }

    fn charter(sets: Vec<(u64, Vec<VerifyKey>)>, round: u64) -> Result<Charter, CharterError> {
        let sets = sets.into_iter().map(|(from, keys)| (Epoch(from), keys)).collect();
        let rules = Rules::default();
        let terms = CharterTerms { epoch_seconds: 10, round, sets, rules, is_capped: true };
        Charter::new(NetworkId([1; 32]), terms)
    }

    #[test]
    fn a_set_makes_the_views_from_its_epoch_to_the_next_sets() {
        let charter = charter(vec![(3, keys(0..1)), (7, keys(0..4))], 500).unwrap();
        let count = |epoch| charter.keepers(Epoch(epoch)).map(|set| set.keys().len());
        assert_eq!([2, 3, 6, 7, 70].map(count), [None, Some(1), Some(1), Some(4), Some(4)]);
        let [before, after] = [6, 7].map(|epoch| charter.ballot(Epoch(epoch)).unwrap());
        assert_ne!(before.keepers_digest(), after.keepers_digest());
        // Of four keepers one may be hostile, which takes a round more.
        let rounds = |epoch| charter.deadlines(Epoch(epoch)).unwrap().rounds.count();
        assert_eq!((rounds(6), rounds(7)), (1, 2));
        let newcomer = keys(3..4)[0];
        assert!(charter.is_keeper(&newcomer, Epoch(5)) && charter.is_keeper(&newcomer, Epoch(9)));
        assert!(!charter.is_keeper(&keys(5..6)[0], Epoch(0)));
        let last = charter.last_set().map(|(from, set)| (from, set.keys().len()));
        assert_eq!(last, Some((Epoch(7), 4)));
    }

    #[test]
    fn what_a_network_file_says_of_views_is_there_to_read() {
        for is_capped in [true, false] {
            let rules = Rules { network_serial: 3, ..Rules::default() };
            let sets = vec![(Epoch(0), keys(0..1))];
            let terms = CharterTerms { epoch_seconds: 10, round: 500, sets, rules, is_capped };
            let charter = Charter::new(NetworkId([1; 32]), terms).unwrap();
            assert_eq!((charter.rules(), charter.is_capped()), (rules, is_capped));
            assert_eq!(charter.network(), NetworkId([1; 32]));
        }
    }

    #[test]
    fn sets_that_do_not_ascend_or_are_too_many_and_rounds_that_do_not_fit_are_refused() {
        let one = || keys(0..1);
        let bad = Err(CharterError::BadSets);
        assert_eq!(charter(vec![], 500), bad);
        assert_eq!(charter(vec![(3, one()), (3, one())], 500), bad);
        assert_eq!(charter(vec![(4, one()), (3, one())], 500), bad);
        assert_eq!(charter((0..5).map(|from| (from, one())).collect(), 500), bad);
        assert!(charter((0..4).map(|from| (from, one())).collect(), 500).is_ok());
        let twice = vec![(3, [one(), one()].concat())];
        assert_eq!(charter(twice, 500), Err(CharterError::Keepers(QuorumError::BadKeepers)));
        // 10 s hold 4 rounds of 1.25 s in their half, and 5 of 1 s.
        assert!(charter(vec![(0, one())], 1_250).is_ok());
        let later = charter(vec![(0, one()), (9, keys(0..4))], 1_250);
        assert!(matches!(later, Err(CharterError::Schedule(_))), "the later set needs more rounds");
    }

    #[test]
    fn what_is_stated_late_is_stated_for_the_view_after() {
        let charter = charter(vec![(0, keys(0..1))], 500).unwrap();
        let until = charter.deadlines(Epoch(8)).unwrap().statements_until;
        assert_eq!(charter.stated_for(Epoch(7), until), Some(Epoch(8)));
        assert_eq!(charter.stated_for(Epoch(7), until.after(1)), Some(Epoch(9)));
    }
}
