//! Guards: the one node that learns this agent's address, and a spare, kept for months.
//!
//! Fresh go-betweens for every mail would hand the sender, sooner or later, to every hostile node there is; a
//! guard that is honest stays honest. It is replaced when it has been in place long enough, is gone from the
//! roster, or evidence speaks against it, and never because a channel through it failed. While it is silent others
//! serve in its place; when it comes back it is the guard again.
//!
//! The file is no cache: a guard sampled anew is one more node that learns this agent's address, and whoever can damage
//! this disk could have it sampled until it is theirs. So a file that is damaged, or that another version wrote, ends
//! the command. `cutout init` writes an empty one, so that one that is gone is noticed: then a guard is sampled, and said.

use std::collections::BTreeSet;

use anon::{
    certificate::NodeCertificate, id::NodeId, network::Epoch, roster::Roster,
    selection::sample_guard, time::Time, wire,
};
use serde::{Deserialize, Serialize};

use crate::{error::AgentError, sealed, vault::Vault};

/// The sealed file.
const FILE: &str = "guards";
/// Its greatest length, bytes.
const MAX_FILE: usize = 4096;
/// How long a guard stays, seconds: 120 days.
pub const GUARD_SECONDS: u64 = 120 * 86_400;
/// A guard and a spare.
const GUARDS: usize = 2;
/// The most guards remembered, silent ones included: the ones that have been silent longest make room.
const REMEMBERED: usize = 8;

/// One guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guard {
    /// The node.
    pub node: NodeId,
    /// Since when it is one.
    pub since: Time,
}

/// The guards of an agent, the one in use first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guards {
    guards: Vec<Guard>,
    /// Nodes against which evidence speaks: never guards again.
    banned: BTreeSet<NodeId>,
}

impl Guards {
    /// The guards in the vault.
    ///
    /// # Errors
    /// [`AgentError::LostGuards`] if they are damaged or of another version, [`AgentError::Vault`] if they cannot be
    /// read.
    pub fn read(vault: &Vault) -> Result<Self, AgentError> {
        match sealed::read(vault, FILE, MAX_FILE) {
            Ok(Some(guards)) => Ok(guards),
            Ok(None) => {
                vault.notice(
                    "vault/guards is gone, so the next mail chooses a new guard: one more node that learns this machine's \
                     address. If you did not remove it, restore it from your backup; if it goes again, somebody else \
                     writes to this disk",
                );
                Ok(Self::default())
            }
            Err(error) if error.is_lost() => Err(AgentError::LostGuards(error)),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes them to the vault.
    ///
    /// # Errors
    /// [`AgentError::Vault`].
    pub fn write(&self, vault: &Vault) -> Result<(), AgentError> {
        Ok(vault.write(FILE, &wire::encode(self))?)
    }

    /// Replaces guards that have served their time or are gone from the roster, and fills up to two.
    pub(crate) fn renew(&mut self, roster: &Roster, epoch: Epoch, now: Time) {
        self.guards.retain(|guard| {
            guard.since.after(GUARD_SECONDS) > now
                && roster.certificate(&guard.node).is_some()
                && !self.banned.contains(&guard.node)
        });
        let is_alive = |guard: &Guard| roster.is_alive(&guard.node);
        while self.guards.iter().filter(|guard| is_alive(guard)).count() < GUARDS {
            let mut excluded = self.banned.clone();
            excluded.extend(self.guards.iter().map(|guard| guard.node));
            let Some(node) = sample_guard(&(roster, epoch), &excluded, &mut rand::rng()) else {
                return;
            };
            if self.guards.len() >= REMEMBERED
                && let Some(silent) = self.guards.iter().position(|guard| !is_alive(guard))
            {
                self.guards.remove(silent);
            }
            self.guards.push(Guard { node: node.node(), since: now });
        }
    }

    /// Replaces a guard against which evidence speaks.
    pub(crate) fn ban(&mut self, node: NodeId) {
        if self.banned.len() < MAX_FILE / 64 {
            self.banned.insert(node);
        }
        self.guards.retain(|guard| guard.node != node);
    }

    /// The guards, the one in use first.
    #[must_use]
    pub fn all(&self) -> &[Guard] {
        &self.guards
    }

    /// The certificates of the guards that are not silent, the one in use first.
    #[must_use]
    pub(crate) fn certificates(&self, roster: &Roster) -> Vec<NodeCertificate> {
        let alive = self.guards.iter().filter(|guard| roster.is_alive(&guard.node));
        alive.filter_map(|guard| roster.certificate(&guard.node).cloned()).collect()
    }
}
