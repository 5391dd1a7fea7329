//! Whether a roster is known to be incomplete, from what the last comparison with other members told.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Operator, Roster, VOUCHERS};
use crate::network::Epoch;

/// Of how many nodes that are alive at most one may be inactive: more is more than churn, as where lists of
/// closest nodes are compared.
const CHURN: usize = 4;

/// Of how many nodes that are alive a member may list one that could not be taken over: nodes go silent while
/// rosters are compared. One node is always allowed.
const LEFT: usize = 100;

/// What came of comparing a roster with one other member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// The member.
    pub operator: Operator,
    /// Nodes that it listed and that were not taken over: it did not hand them out, they did not verify, or
    /// there was no room.
    pub missing: usize,
}

/// What came of comparing a roster with other members, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// When it was done.
    pub epoch: Epoch,
    /// The members that answered, no two of which could be one operator.
    pub members: Vec<Compared>,
}

/// Whether a roster can be relied on to name the nodes that are really closest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completeness {
    /// As far as anything shows.
    Complete,
    /// It is known not to, for this reason.
    Incomplete(Reason),
}

/// Why a roster is known to be incomplete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Reason {
    /// It was not compared with others in this epoch or the one before.
    #[error("it was not compared with other members in this epoch or the last one")]
    NotCompared,
    /// Too few members of different operators answered.
    #[error(
        "only {answered} of the members that it was compared with answered, of {VOUCHERS} needed"
    )]
    TooFewMembers {
        /// How many did.
        answered: usize,
    },
    /// All but one of the members listed nodes that could not be taken over: one of them alone may be lying.
    #[error("{missing} nodes that members listed could not be taken over")]
    NotTakenOver {
        /// How many.
        missing: usize,
    },
    /// Fewer nodes are active than an object has replicas.
    #[error("only {active} nodes are active, fewer than an object has replicas")]
    TooFewActive {
        /// How many are.
        active: usize,
    },
    /// More than a quarter of the nodes that are alive are too new, or known to one source only.
    #[error("{inactive} of {alive} nodes are too new or known to one source only")]
    TooManyInactive {
        /// How many are alive.
        alive: usize,
        /// How many of those are not active.
        inactive: usize,
    },
}

impl Comparison {
    /// Whether enough members answered for the roster to count as compared.
    #[must_use]
    pub fn is_enough(&self) -> bool {
        self.members.len() >= VOUCHERS
    }

    /// Whether what [`VOUCHERS`] members told of was taken over, in a roster where so many nodes are alive.
    #[must_use]
    pub fn is_done(&self, alive: usize) -> bool {
        self.missing().is_some_and(|missing| missing <= (alive / LEFT).max(1))
    }

    /// What was not taken over of the members' lists, but for the [`VOUCHERS`] - 1 members with least missing.
    fn missing(&self) -> Option<usize> {
        let mut missing: Vec<usize> = self.members.iter().map(|m| m.missing).collect();
        missing.sort_unstable();
        missing.get(VOUCHERS - 1).copied()
    }
}

impl Roster {
    /// Whether this roster, last compared as `comparison` says, is complete in a network of `k` replicas. The
    /// first reason that holds is given, in the order of [`Reason`].
    #[must_use]
    pub fn completeness(&self, comparison: &Comparison, k: usize, now: Epoch) -> Completeness {
        let active = self.active(now).count();
        let alive = self.alive().count();
        let inactive = alive.saturating_sub(active);
        let answered = comparison.members.len();
        let reason = if comparison.epoch < now.before() {
            Reason::NotCompared
        } else if !comparison.is_enough() {
            Reason::TooFewMembers { answered }
        } else if !comparison.is_done(alive) {
            Reason::NotTakenOver { missing: comparison.missing().unwrap_or(0) }
        } else if active < k {
            Reason::TooFewActive { active }
        } else if inactive.saturating_mul(CHURN) > alive {
            Reason::TooManyInactive { alive, inactive }
        } else {
            return Completeness::Complete;
        };
        Completeness::Incomplete(reason)
    }
}
