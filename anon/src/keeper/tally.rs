//! What the votes say together, counted the same by every keeper that holds the same votes.
//!
//! More than half of *all* keepers count, not of those that voted: then at least one honest keeper is among them, whatever
//! up to f others say, and all honest ones together are enough.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use thiserror::Error;

use super::{
    ballot::Ballot,
    vote::{Rules, Vote},
};
use crate::{
    id::NodeId,
    time::Epoch,
    view::{
        quorum::{KeeperSet, SignedView, UnverifiedSignedView},
        statement::{NodeStatement, StatementDigest},
    },
};

/// Why no view follows from the votes. Nobody signs anything then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TallyError {
    /// Fewer keepers voted than a quorum: whoever is cut off must not sign that hardly a node is there.
    #[error("{votes} keepers voted, and a quorum is {threshold}")]
    TooFewVotes {
        /// How many votes count.
        votes: usize,
        /// How many it takes.
        threshold: usize,
    },
    /// No f + 1 keepers go by the same network file and revocations, and no view before says which.
    #[error("the keepers agree on no network file and revocation list")]
    NoRules,
}

/// Which statement of a node counts, and where it was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elected {
    /// The statement by which more than half of the keepers reached it at one and the same address.
    pub statement: StatementDigest,
    /// Whether more than half reached it over TCP.
    pub tcp: bool,
    /// Whether more than half reached its onion.
    pub onion: bool,
}

/// What follows from the votes alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    before: Option<SignedView>,
    network_serial: u64,
    revocations: [u8; 32],
    elected: BTreeMap<NodeId, Elected>,
    disputed: BTreeMap<NodeId, BTreeSet<StatementDigest>>,
}

#[derive(Clone, Copy, Default)]
struct Count {
    tcp: usize,
    onion: usize,
}

impl Tally {
    /// Counts the votes of a ballot. `keepers_of` says who were the keepers of an earlier epoch, by the network file.
    ///
    /// # Errors
    /// [`TallyError`] if no view follows from them.
    pub fn of(
        ballot: &Ballot,
        votes: &BTreeMap<u8, &Vote>,
        keepers_of: impl Fn(Epoch) -> Option<KeeperSet>,
    ) -> Result<Self, TallyError> {
        let threshold = ballot.keepers().threshold();
        if votes.len() < threshold {
            return Err(TallyError::TooFewVotes { votes: votes.len(), threshold });
        }
        let before = latest_before(ballot, votes, keepers_of);
        let (network_serial, revocations) = rules(ballot, votes, before.as_ref())?;
        let (elected, disputed) = elect(ballot, votes);
        Ok(Self { before, network_serial, revocations, elected, disputed })
    }

    /// The view that this one follows: all keepers name the same, and whoever lacks its nodes fetches them from who signed.
    #[must_use]
    pub const fn before(&self) -> Option<&SignedView> {
        self.before.as_ref()
    }

    /// The serial number of the network file that counts, and the digest of the revocation list.
    #[must_use]
    pub const fn rules(&self) -> (u64, [u8; 32]) {
        (self.network_serial, self.revocations)
    }

    /// The nodes that more than half of the keepers reached at one of their addresses.
    #[must_use]
    pub const fn elected(&self) -> &BTreeMap<NodeId, Elected> {
        &self.elected
    }

    /// The nodes for which keepers named more than one statement, and those statements: to be fetched as evidence.
    #[must_use]
    pub const fn disputed(&self) -> &BTreeMap<NodeId, BTreeSet<StatementDigest>> {
        &self.disputed
    }

    /// Of the disputed nodes' statements that are here, two of each node that contradict each other: evidence against it.
    #[must_use]
    pub fn contradictions<'a>(
        &self,
        statements: &'a BTreeMap<StatementDigest, NodeStatement>,
    ) -> Vec<[&'a NodeStatement; 2]> {
        let pair = |digests: &BTreeSet<StatementDigest>| {
            let here: Vec<&NodeStatement> =
                digests.iter().filter_map(|digest| statements.get(digest)).collect();
            let (first, others) = here.split_first()?;
            let other = others.iter().find(|other| first.contradicts(other))?;
            Some([*first, *other])
        };
        self.disputed.values().filter_map(pair).collect()
    }
}

/// The latest view that any vote shows a quorum for: only what is signed counts, so one keeper is enough.
fn latest_before(
    ballot: &Ballot,
    votes: &BTreeMap<u8, &Vote>,
    keepers_of: impl Fn(Epoch) -> Option<KeeperSet>,
) -> Option<SignedView> {
    let mut shown: Vec<&UnverifiedSignedView> =
        votes.values().filter_map(|vote| vote.before.as_ref()).collect();
    shown.sort_by_key(|view| (Reverse(view.header.epoch), view.header.id()));
    shown.into_iter().find_map(|view| {
        let keepers = keepers_of(view.header.epoch)?;
        view.clone().verify(&ballot.network(), &keepers).ok()
    })
}

/// The latest rules that f + 1 keepers go by, one of them honest, so that the authority made them; never older than those of
/// the view before, which stay if there are no others.
fn rules(
    ballot: &Ballot,
    votes: &BTreeMap<u8, &Vote>,
    before: Option<&SignedView>,
) -> Result<(u64, [u8; 32]), TallyError> {
    let mut counts: BTreeMap<Rules, usize> = BTreeMap::new();
    for vote in votes.values() {
        *counts.entry(vote.rules).or_default() += 1;
    }
    let least = before.map_or(0, |before| before.header().network_serial);
    let needed = ballot.keepers().faults() + 1;
    let latest = counts
        .iter()
        .filter(|(rules, count)| **count >= needed && rules.network_serial >= least)
        .map(|(rules, _)| (rules.network_serial, rules.revocations))
        .next_back();
    let kept = || before.map(|b| (b.header().network_serial, b.header().revocations));
    latest.or_else(kept).ok_or(TallyError::NoRules)
}

type Election = (BTreeMap<NodeId, Elected>, BTreeMap<NodeId, BTreeSet<StatementDigest>>);

fn elect(ballot: &Ballot, votes: &BTreeMap<u8, &Vote>) -> Election {
    let mut counts: BTreeMap<NodeId, BTreeMap<StatementDigest, Count>> = BTreeMap::new();
    for (node, (statement, reached)) in votes.values().flat_map(|vote| &vote.nodes) {
        let count = counts.entry(*node).or_default().entry(*statement).or_default();
        count.tcp += usize::from(reached.tcp());
        count.onion += usize::from(reached.onion());
    }
    let majority = ballot.keepers().majority();
    let (mut elected, mut disputed) = (BTreeMap::new(), BTreeMap::new());
    for (node, statements) in counts {
        let elect = |(statement, count): (&StatementDigest, &Count)| {
            let (tcp, onion) = (count.tcp >= majority, count.onion >= majority);
            (tcp || onion).then_some(Elected { statement: *statement, tcp, onion })
        };
        if let Some(choice) = statements.iter().find_map(elect) {
            elected.insert(node, choice);
        }
        if statements.len() > 1 {
            disputed.insert(node, statements.into_keys().collect());
        }
    }
    (elected, disputed)
}
