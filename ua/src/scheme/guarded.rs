//! The `guarded` scheme: what the attacks on section 4 force.
//!
//! ```text
//! X   a guard, the same for months; one link to it carries all channels
//! M   sampled over the roster of the last epoch; X is asked who is closest to keyM
//! Z   likewise; M is asked who is closest to keyZ, and so is Y, through X and M, sealed
//! ```
//! Nobody looks anything up: X, M and Y answer from their rosters, signed, and the sender's own roster decides.
//! A node minted next to a key after the key was sampled is in nobody's roster of the last epoch, and never used.

mod build;
mod judge;
mod path;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use anon::{
    certificate::NodeCertificate,
    id::NodeId,
    network::{Epoch, MAX_K},
    position::{Key, keep_closest},
    request::{Request, Response, Targets},
    selection::Planner,
    verification::{Disagreement, ReplicaSet},
};
use futures::{StreamExt as _, stream};
use net::{Links, RosterKeeper};
use parking_lot::Mutex;

use self::build::Built;
use super::{
    OpenChannel, Opening, ReadyChannel, Scheme, Told, listed,
    pool::{MAX_READY, Pool},
};
use crate::{
    context::Context,
    error::AgentError,
    event::{Event, Purpose},
    evidence::{EvidenceLog, Violation},
};

/// How many nodes beyond k a reader asks.
const READ_WIDER: usize = 4;
/// How long a handshake may take, hop by hop.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a hop may take for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Channels that are built ahead at once.
const AHEAD_AT_ONCE: usize = 8;

/// What a scheme for one mail is made of.
#[derive(Clone, Debug)]
pub struct GuardedPlan {
    /// The agent's own roster.
    pub roster: Arc<RosterKeeper>,
    /// The guard, and the spare.
    pub guards: Vec<NodeCertificate>,
    /// Go-betweens between the guard and the anonymizer.
    pub middle: usize,
    /// Whether the roster is not known to be incomplete, so that "closest" is what it says.
    pub complete: bool,
}

/// Guards, middles and anonymizers over the agent's own roster.
#[derive(derive_more::Debug)]
#[debug("GuardedScheme(..)")]
pub struct GuardedScheme {
    evidence: Arc<EvidenceLog>,
    plan: GuardedPlan,
    state: Mutex<State>,
}

/// What the channels of one mail share.
struct State {
    planner: Planner,
    /// The link to each guard.
    links: BTreeMap<NodeId, Links>,
    pool: Pool,
}

impl GuardedScheme {
    /// The scheme for one mail.
    #[must_use]
    pub fn new(evidence: Arc<EvidenceLog>, plan: GuardedPlan) -> Self {
        let planner = Planner::new(plan.guards.clone(), plan.middle);
        let state = State { planner, links: BTreeMap::new(), pool: Pool::default() };
        Self { evidence, plan, state: Mutex::new(state) }
    }

    fn context(&self) -> &Context {
        self.evidence.context()
    }

    fn epoch(&self) -> Epoch {
        self.context().epoch()
    }

    /// The nodes closest to a key, by the agent's own roster.
    fn closest(&self, key: &Key, count: usize) -> Vec<NodeCertificate> {
        let epoch = self.epoch();
        self.plan.roster.with(|roster| roster.closest(key, count, epoch))
    }

    /// The nodes near a key: they hold what is kept there, and must not also see it carried.
    fn near_to(&self, key: &Key) -> BTreeSet<NodeId> {
        let near = self.closest(key, self.context().network.k);
        near.iter().map(NodeCertificate::node).collect()
    }

    /// Begins to build so many channels ahead, in the background, over nodes that are not near the keys in
    /// `avoid`. Each serves this scheme's one mail, once.
    pub fn build_ahead(self: &Arc<Self>, channels: usize, avoid: &[Key]) {
        let avoid: BTreeSet<NodeId> = avoid.iter().flat_map(|key| self.near_to(key)).collect();
        let scheme = Arc::downgrade(self);
        tokio::spawn(async move {
            let building = stream::iter(0..channels.min(MAX_READY)).map(async |_| {
                // Whoever wanted them may be gone.
                let Some(scheme) = scheme.upgrade() else { return };
                if let Ok(built) = scheme.build_one(Purpose::Ahead, &avoid, None).await {
                    let Built { channel, path, keys, .. } = built;
                    scheme.state.lock().pool.put(ReadyChannel { channel, path }, keys);
                }
            });
            building.buffer_unordered(AHEAD_AT_ONCE).collect::<()>().await;
        });
    }

    /// How many channels stand ready.
    #[must_use]
    pub fn ready(&self) -> usize {
        self.state.lock().pool.len()
    }

    /// A channel that was built ahead and may serve for `key`, if there is one.
    #[must_use]
    pub(crate) fn take_ready(&self, purpose: Purpose, key: &Key) -> Option<ReadyChannel> {
        let near = self.near_to(key);
        let waiting = self.state.lock().pool.take(&near)?;
        let (path, keys) = (waiting.ready.path.clone(), waiting.keys);
        self.context().tell(&Event::Channel { purpose, path, keys });
        Some(waiting.ready)
    }

    /// Notes that an anonymizer knows whose inbox is read, or did not do what it was asked: it serves for nothing else of
    /// this reading, where there is any other.
    pub(crate) fn set_apart(&self, anonymizer: NodeId) {
        self.state.lock().planner.set_apart(anonymizer);
    }

    /// The replicas of a key as the agent itself knows them, so that it need not wait for what others list before
    /// it uses them; what they list is compared all the same. `None` where the agent does not know.
    #[must_use]
    pub fn own_replicas(&self, key: &Key) -> Option<Vec<NodeCertificate>> {
        let nodes = || self.closest(key, self.context().network.k);
        self.plan.complete.then(nodes).filter(|nodes| !nodes.is_empty())
    }
}

/// The key that a request to an anonymizer is about.
const fn key_of(request: &Request) -> Option<&Key> {
    match request {
        Request::Closest { key, .. }
        | Request::Lookup { key, .. }
        | Request::Perform { targets: Targets::Closest { key, .. }, .. }
        | Request::Perform { targets: Targets::LookedUp { key, .. }, .. } => Some(key),
        _ => None,
    }
}

impl Scheme for GuardedScheme {
    fn open<'a>(&'a self, purpose: Purpose, early: &'a Request) -> Opening<'a> {
        Box::pin(async move {
            if let Some(key) = key_of(early)
                && let Some(ready) = self.take_ready(purpose, key)
            {
                let ReadyChannel { mut channel, path } = ready;
                // One that stood too long may have been closed behind our back: then another is built.
                if let Ok(answer) = channel.request(early, ANSWER_TIMEOUT).await {
                    return Ok(OpenChannel { channel, answer, path });
                }
            }
            let avoid = key_of(early).map(|key| self.near_to(key)).unwrap_or_default();
            let built = self.build_one(purpose, &avoid, Some(early)).await?;
            let Built { channel, answer: Some(answer), path, keys } = built else {
                return Err(AgentError::BadAnswer);
            };
            self.context().tell(&Event::Channel { purpose, path: path.clone(), keys });
            Ok(OpenChannel { channel, answer, path })
        })
    }

    fn guarded(self: Arc<Self>) -> Option<Arc<GuardedScheme>> {
        Some(self)
    }

    fn list_replicas(&self, key: Key, k: u8) -> Request {
        if self.plan.complete {
            Request::Closest { key, count: k }
        } else {
            Request::Lookup { key, count: k }
        }
    }

    fn compare_replicas(&self, key: Key, z: Told, w: Told) -> Result<ReplicaSet, AgentError> {
        if !self.plan.complete {
            return Ok(ReplicaSet::agree(
                key,
                listed(key, z.1, self.context())?,
                listed(key, w.1, self.context())?,
            )?);
        }
        let (from_z, from_w) = (self.stated(z.0, key, &z.1)?, self.stated(w.0, key, &w.1)?);
        let (k, epoch) = (self.context().network.k, self.epoch());
        let confirmed = self
            .plan
            .roster
            .with(|roster| ReplicaSet::confirmed(key, roster, k, (&from_z, &from_w), epoch));
        if let Err(Disagreement::Lists { only_first, only_second }) = &confirmed {
            if *only_first > 0 {
                self.report(z.0, Violation::FalseList, &z.1);
            }
            if *only_second > 0 {
                self.report(w.0, Violation::FalseList, &w.1);
            }
        }
        Ok(confirmed?)
    }

    fn candidates(&self, key: Key, answer: Response) -> Result<Vec<NodeCertificate>, AgentError> {
        // Wider than k: a sender whose roster differs by churn may have used one of the next ones.
        let count = self.context().network.k + READ_WIDER;
        let mut nodes = self.closest(&key, count.min(MAX_K));
        if !self.plan.complete {
            for found in listed(key, answer, self.context())? {
                if !nodes.iter().any(|node| node.node() == found.node()) {
                    nodes.push(found);
                }
            }
            keep_closest(&mut nodes, &key, MAX_K, |node| node.node().position());
        }
        if nodes.is_empty() { Err(AgentError::RosterTooSmall) } else { Ok(nodes) }
    }

    fn near(&self, key: Key, count: u8) -> Targets {
        if self.plan.complete {
            Targets::Closest { key, count }
        } else {
            Targets::LookedUp { key, count }
        }
    }
}
