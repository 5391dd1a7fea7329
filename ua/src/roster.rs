//! The agent's own roster: kept sealed, compared with members of different operators, never at the moment when
//! a mail makes it necessary if it can be helped. It says itself whether it is known to be incomplete.

use std::{sync::Arc, time::Duration};

use anon::{
    certificate::NodeCertificate,
    network::Epoch,
    request::{Request, Response},
    roster::{Compared, Comparison, Completeness, Operator, Roster, StoredRoster},
};
use node::{Carrier, RosterKeeper, now};
use rand::seq::{IteratorRandom as _, SliceRandom as _};
use serde::{Deserialize, Serialize};

use crate::{entrance::Entrance, error::AgentError, sealed, vault::Vault};

/// The sealed file.
const FILE: &str = "roster";
/// The most bytes of roster that are kept: honest entries have some 350, so [`anon::roster::MAX_NODES`] of them fit. Of
/// more, those go that fewest vouch for; the next comparison brings them back, if others have them.
const MAX_ROSTER: usize = 40 << 20;
/// The file's greatest length, bytes: the vault's own limit, below which the above keeps it.
const MAX_FILE: usize = crate::vault::MAX_FILE_BYTES;
/// Members of different operators that a roster is compared with.
const MEMBERS: usize = 3;
/// Members that are tried in one go: some may be gone, some may not hand out what they list.
const TRIES: usize = 12;
/// How long a node may take to hand out its certificate.
const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Default, Serialize, Deserialize)]
struct Stored {
    comparison: Comparison,
    roster: StoredRoster,
}

/// An agent's roster, and what came of comparing it last.
#[derive(Debug)]
pub struct AgentRoster {
    keeper: Arc<RosterKeeper>,
    comparison: Comparison,
}

impl AgentRoster {
    /// The roster in the vault, or an empty one; one that is damaged or of another version counts as none, since the
    /// network has it all, and is said to be.
    ///
    /// # Errors
    /// [`AgentError::Vault`] if the file cannot be read.
    pub fn read(vault: &Vault, entrance: &Entrance) -> Result<Self, AgentError> {
        let costs = "other nodes are asked once more for all nodes of the network";
        let stored: Stored = sealed::read_or_new(vault, FILE, MAX_FILE, costs)?;
        let network = entrance.network();
        let keeper = Arc::new(RosterKeeper::open(Arc::clone(network), None));
        keeper.with(|roster| *roster = Roster::restore(stored.roster, network, now()));
        Ok(Self { keeper, comparison: stored.comparison })
    }

    /// Writes it to the vault. Where that fails it is said, and the network is asked again the next time.
    pub fn write(&self, vault: &Vault) {
        let roster = self.keeper.with(|roster| roster.store()).within(MAX_ROSTER);
        sealed::keep(vault, FILE, &Stored { comparison: self.comparison.clone(), roster });
    }

    /// The roster, for whoever chooses nodes.
    #[must_use]
    pub const fn keeper(&self) -> &Arc<RosterKeeper> {
        &self.keeper
    }

    /// Whether the roster is known to be incomplete in this epoch, and why. It is, if
    ///
    /// 1. it was compared neither in this epoch nor in the last one,
    /// 2. fewer than two members of different operators answered then,
    /// 3. fewer than two of them handed out all but a hundredth (and one) of what they listed,
    /// 4. fewer nodes are active than an object has replicas, or
    /// 5. more than a quarter of the nodes that are alive are not active.
    #[must_use]
    pub fn completeness(&self, epoch: Epoch) -> Completeness {
        let k = self.keeper.network().k;
        self.keeper.with(|roster| roster.completeness(&self.comparison, k, epoch))
    }

    /// Compares the roster with members of different operators, unless that was done in this epoch. Who is
    /// asked learns that somebody at this address uses the network, and nothing of any mail. A roster that
    /// could not be compared is still used while any node is active in it; [`Self::completeness`] says so.
    ///
    /// # Errors
    /// [`AgentError::NoNode`], [`AgentError::OneOperator`] if too few members answer and no node is active.
    pub async fn keep_up(&mut self, entrance: &Entrance) -> Result<(), AgentError> {
        let network = Arc::clone(entrance.network());
        let epoch = network.epoch(now());
        if self.is_compared(epoch) {
            return Ok(());
        }
        self.keeper.with(|roster| roster.expire(&network, now()));
        let mut comparison = Comparison { epoch, members: Vec::new() };
        let known: Vec<NodeCertificate> = self
            .keeper
            .with(|roster| roster.active(epoch).cloned().sample(&mut rand::rng(), TRIES));
        if known.len() >= MEMBERS * 2 {
            self.compare(entrance, known, &mut comparison).await?;
        }
        // A new agent knows nobody, one that was away for long nobody who is still there.
        if !comparison.is_enough() {
            self.compare(entrance, Self::entrances(entrance).await, &mut comparison).await?;
        }
        let answered = comparison.members.len();
        if comparison.is_enough() {
            self.keeper.listen();
            self.comparison = comparison;
        }
        let is_usable = self.keeper.with(|roster| roster.active(epoch).next().is_some());
        match answered {
            _ if is_usable => Ok(()),
            0 => Err(AgentError::NoNode),
            1 => Err(AgentError::OneOperator),
            _ => Ok(()),
        }
    }

    /// Whether there is nothing to be gained by comparing again in this epoch.
    fn is_compared(&self, epoch: Epoch) -> bool {
        let (alive, active) =
            self.keeper.with(|roster| (roster.alive().count(), roster.active(epoch).count()));
        self.comparison.epoch == epoch
            && self.comparison.is_done(alive)
            && active >= self.keeper.network().k
    }

    /// Compares the roster with these members, in a random order, until enough have told all they know.
    async fn compare(
        &self,
        entrance: &Entrance,
        mut members: Vec<NodeCertificate>,
        comparison: &mut Comparison,
    ) -> Result<(), AgentError> {
        members.shuffle(&mut rand::rng());
        for member in members {
            let alive = self.keeper.with(|roster| roster.alive().count());
            if comparison.members.len() >= MEMBERS && comparison.is_done(alive) {
                break;
            }
            let operator = Operator::of(&member);
            if comparison.members.iter().any(|m| m.operator.overlaps(&operator)) {
                continue;
            }
            let links = entrance.disposable()?;
            if let Ok(exchanged) = self.keeper.exchange(&links, &member).await {
                comparison.members.push(Compared { operator, missing: exchanged.missing });
            }
        }
        Ok(())
    }

    /// The certificates of the nodes that lead into the network.
    async fn entrances(entrance: &Entrance) -> Vec<NodeCertificate> {
        let mut members = Vec::new();
        for (peer, addresses) in entrance.known().into_iter().take(TRIES) {
            let Ok(links) = entrance.disposable() else { continue };
            let Ok(link) = links.open_at(peer, addresses, Carrier::Request).await else { continue };
            if let Ok(Response::Certificate(certificate)) =
                link.request(&Request::Certificate, TIMEOUT).await
                && let Ok(certificate) = certificate.verify(entrance.network(), now())
            {
                members.push(certificate);
            }
        }
        members
    }
}
