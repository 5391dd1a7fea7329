//! The agent's own roster: kept sealed, compared with members of different operators, never at the moment when
//! a mail makes it necessary if it can be helped. It says itself whether it is known to be incomplete.

use std::{sync::Arc, time::Duration};

use anon::{
    certificate::NodeCertificate,
    network::Epoch,
    request::{Request, Response},
    roster::{Compared, Comparison, Completeness, Operator, Roster, StoredRoster},
    time::Time,
};
use futures::{StreamExt as _, stream};
use net::{Carrier, RosterKeeper};
use parking_lot::Mutex;
use rand::seq::{IteratorRandom as _, SliceRandom as _};
use serde::{Deserialize, Serialize};

use crate::{
    bootstrap::{Bootstrap, ENOUGH},
    context::Context,
    error::AgentError,
    hedge::{MOST, hedge},
    sealed,
    vault::Vault,
};

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
    pub fn read(vault: &Vault, context: &Context) -> Result<Self, AgentError> {
        let stored = Self::stored(vault)?;
        let network = &context.network;
        let keeper = Arc::new(RosterKeeper::open(Arc::clone(network), None, context.clock.clone()));
        keeper.with(|roster| *roster = Roster::restore(stored.roster, network, context.now()));
        Ok(Self { keeper, comparison: stored.comparison })
    }

    /// Writes it to the vault, together with what another command of the same user has written there meanwhile: none
    /// of them forgets a node that the other one has made its guard. The caller holds the vault's lock. Where writing
    /// fails it is said, and the network is asked again the next time.
    ///
    /// # Errors
    /// [`AgentError::Vault`] if the file cannot be read.
    pub fn write(&mut self, vault: &Vault, now: Time) -> Result<(), AgentError> {
        let network = Arc::clone(self.keeper.network());
        let Stored { comparison, roster: theirs } = Self::stored(vault)?;
        if comparison.epoch > self.comparison.epoch {
            self.comparison = comparison;
        }
        let roster = self.keeper.with(|roster| {
            roster.take_in(theirs, &network, now);
            roster.store()
        });
        let roster = roster.within(MAX_ROSTER);
        sealed::keep(vault, FILE, &Stored { comparison: self.comparison.clone(), roster });
        Ok(())
    }

    fn stored(vault: &Vault) -> Result<Stored, AgentError> {
        let costs = "other nodes are asked once more for all nodes of the network";
        Ok(sealed::read_or_new(vault, FILE, MAX_FILE, costs)?)
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
    /// Whom an agent asks: nodes of its own roster, where it has enough of them; else the bootstrap nodes; else, where
    /// those are gone or one operator's, whoever is still in the roster, and those of whom a bootstrap node tells. So an
    /// agent with one bootstrap node meets the others through it, and believes of the network what that node lets it see
    /// until it has met others (THREATMODEL, L-14); two operators must vouch for each node all the same.
    ///
    /// # Errors
    /// [`AgentError::NoNode`], [`AgentError::NetworkTooSmall`] or [`AgentError::OneOperator`] if too few members answer
    /// and no node is active.
    pub async fn keep_up(&mut self, bootstrap: &Bootstrap) -> Result<(), AgentError> {
        let context = bootstrap.context();
        let epoch = context.epoch();
        if self.is_compared(epoch) {
            return Ok(());
        }
        self.keeper.with(|roster| roster.expire(&context.network, context.now()));
        let mut comparison = Comparison { epoch, members: Vec::new() };
        let known = self.active(epoch, TRIES);
        if known.len() >= MEMBERS * 2 {
            self.compare(context, known, &mut comparison).await?;
        }
        // A new agent knows nobody, one that was away for long nobody who is still there.
        if !comparison.is_enough() {
            self.compare(context, Self::certificates(bootstrap).await, &mut comparison).await?;
        }
        if !comparison.is_enough() {
            let mut others = self.active(epoch, TRIES);
            others.extend(self.told_of());
            self.compare(context, others, &mut comparison).await?;
        }
        let answered = comparison.members.len();
        if comparison.is_enough() {
            self.keeper.listen();
            self.comparison = comparison;
        }
        // For the ways that go by bootstrap nodes: those of the network file may be gone one day. They are any nodes, not
        // such as somebody's key led to.
        bootstrap.remember(&self.active(epoch, ENOUGH));
        let is_usable = self.keeper.with(|roster| roster.active(epoch).next().is_some());
        if is_usable || answered > 1 {
            return Ok(());
        }
        Err(if answered == 0 { AgentError::NoNode } else { self.one_operator() })
    }

    /// Why one operator's word is all there is: the network has hardly any nodes, or all that answer are of one kind.
    fn one_operator(&self) -> AgentError {
        let known = self.keeper.with(|roster| roster.alive().count()).max(1);
        let needed = nodes_needed(self.keeper.network().k, 1);
        if known < needed {
            return AgentError::NetworkTooSmall { known, needed };
        }
        AgentError::OneOperator
    }

    /// So many of the active nodes, at random.
    fn active(&self, epoch: Epoch, count: usize) -> Vec<NodeCertificate> {
        self.keeper.with(|roster| roster.active(epoch).cloned().sample(&mut rand::rng(), count))
    }

    /// Some of the nodes of which somebody has told, whether or not another vouches for them.
    fn told_of(&self) -> Vec<NodeCertificate> {
        self.keeper.with(|roster| roster.alive().cloned().sample(&mut rand::rng(), TRIES))
    }

    /// Whether there is nothing to be gained by comparing again in this epoch.
    fn is_compared(&self, epoch: Epoch) -> bool {
        let (alive, active) =
            self.keeper.with(|roster| (roster.alive().count(), roster.active(epoch).count()));
        self.comparison.epoch == epoch
            && self.comparison.is_done(alive)
            && active >= self.keeper.network().k
    }

    /// Compares the roster with these members, in a random order and each operator once, until enough have told all
    /// they know. Who takes long is passed by, not waited for.
    async fn compare(
        &self,
        context: &Context,
        mut members: Vec<NodeCertificate>,
        comparison: &mut Comparison,
    ) -> Result<(), AgentError> {
        members.shuffle(&mut rand::rng());
        let (mut candidates, mut failed) = (members.into_iter(), None);
        let compared = Mutex::new(&mut *comparison);
        let is_known = |operator: &Operator| {
            let compared = compared.lock();
            compared.members.iter().any(|m| m.operator.overlaps(operator))
        };
        let is_enough = || {
            let alive = self.keeper.with(|roster| roster.alive().count());
            let compared = compared.lock();
            compared.members.len() >= MEMBERS && compared.is_done(alive)
        };
        if is_enough() {
            return Ok(());
        }
        let next = || {
            let member = candidates.find(|m| !is_known(&Operator::of(m)))?;
            let links = context.disposable().map_err(|error| failed = Some(error)).ok()?;
            Some(async move {
                let exchanged = self.keeper.exchange(&links, &member).await;
                exchanged.ok().map(|e| (Operator::of(&member), e.missing))
            })
        };
        let take = |exchanged: Option<(Operator, usize)>| {
            // Two of one operator may have been under way at once: its word counts once.
            if let Some((operator, missing)) = exchanged.filter(|(o, _)| !is_known(o)) {
                let mut compared = compared.lock();
                compared.members.push(Compared { operator, missing });
            }
            is_enough()
        };
        hedge(next, 1, context.gap(), take).await;
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    /// The certificates of bootstrap nodes, of those that answer.
    async fn certificates(bootstrap: &Bootstrap) -> Vec<NodeCertificate> {
        let (context, known) = (bootstrap.context(), bootstrap.known());
        let known = known.into_iter().sample(&mut rand::rng(), TRIES);
        let asked = known.into_iter().map(async |(peer, addresses)| {
            let links = context.disposable().ok()?;
            let link = links.open_at(peer, addresses, Carrier::Request).await.ok()?;
            match link.request(&Request::Certificate, TIMEOUT).await {
                Ok(Response::Certificate(certificate)) => {
                    certificate.verify(&context.network, context.now()).ok()
                }
                _ => None,
            }
        });
        stream::iter(asked).buffer_unordered(MOST).filter_map(std::future::ready).collect().await
    }
}

/// How many nodes a network needs for an anonymous mail of `hops` middle go-betweens: the `k` that keep it, and beside
/// them, for nobody may both keep and carry it, the guard, the middle, the witness, the anonymizer and the verifier.
#[must_use]
pub(crate) const fn nodes_needed(k: usize, hops: usize) -> usize {
    k + 1 + hops + 3
}
