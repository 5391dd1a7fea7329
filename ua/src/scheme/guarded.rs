//! The `guarded` scheme: what the attacks on section 4 force.
//!
//! ```text
//! X   a guard, the same for months; one link to it carries all channels
//! M   drawn over the roster of the last epoch; X is asked who is nearest to keyM
//! Z   likewise; M is asked who is nearest to keyZ, and so is Y, through X and M, sealed
//! ```
//! Nobody looks anything up: X, M and Y answer from their rosters, signed, and the sender's own roster decides.
//! A node minted next to a key after the key was drawn is in nobody's roster of the last epoch, and never used.

mod entry;
mod judge;
mod path;
#[cfg(test)]
mod tests;

use parking_lot::Mutex;
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
    selection::{Draw, GuardedPath, Served},
    verification::{CrossVerified, Disagreement, ReplicaSet},
};
use futures::{StreamExt as _, TryFutureExt as _, future::BoxFuture, stream};
use net::{Channel, LinkError, Links, RosterKeeper};

use self::entry::Stalls;
use super::{
    OpenChannel, ReadyChannel, Scheme,
    pool::{MAX_READY, Pool},
};
use crate::{
    context::Context,
    error::AgentError,
    event::{Event, Path, Purpose},
    evidence::{EvidenceLog, Misdeed},
    roster::nodes_needed,
};

/// How often new keys are drawn before a channel is given up.
const ATTEMPTS: usize = 6;
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
    /// Go-betweens between the guard and the far end.
    pub middle: usize,
    /// Whether the roster is not known to be incomplete, so that "closest" is what it says.
    pub complete: bool,
}

/// Guards, middles and far ends over the agent's own roster.
#[derive(derive_more::Debug)]
#[debug("GuardedScheme(..)")]
pub struct GuardedScheme {
    evidence: Arc<EvidenceLog>,
    plan: GuardedPlan,
    used: Mutex<Served<NodeId>>,
    links: Mutex<BTreeMap<NodeId, Links>>,
    stalls: Mutex<BTreeMap<NodeId, Stalls>>,
    pool: Pool,
}

/// A channel that has just been built.
struct Built {
    channel: Channel,
    answer: Option<Response>,
    path: Path,
    keys: Draw,
}

impl GuardedScheme {
    /// The scheme for one mail.
    #[must_use]
    pub fn new(evidence: Arc<EvidenceLog>, plan: GuardedPlan) -> Self {
        let (used, links, stalls) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { evidence, plan, used, links, stalls, pool: Pool::default() }
    }

    fn context(&self) -> &Context {
        self.evidence.context()
    }

    fn epoch(&self) -> Epoch {
        self.context().epoch()
    }

    fn active(&self, node: &NodeCertificate) -> Result<CrossVerified, AgentError> {
        let epoch = self.epoch();
        let token =
            self.plan.roster.with(|roster| CrossVerified::active(roster, &node.node(), epoch));
        token.ok_or(AgentError::RosterTooSmall)
    }

    async fn try_build(
        &self,
        purpose: Purpose,
        guard: &NodeCertificate,
        avoid: &BTreeSet<NodeId>,
        early: Option<&Request>,
    ) -> Result<Built, AgentError> {
        let path = self.draw(purpose, guard, avoid).ok_or_else(|| self.too_few())?;
        let (Some((key, far_end)), (witness_key, witness)) = (path.hops.last(), &path.witness)
        else {
            return Err(AgentError::RosterTooSmall);
        };
        let links = self.guard_links(guard)?;
        let nodes = Path {
            go_between: guard.node(),
            middle: path.hops.iter().rev().skip(1).rev().map(|(_, n)| n.node()).collect(),
            witness: witness.node(),
            far_end: far_end.node(),
        };
        let along = self.build(&links, guard, &path.hops, early);
        let along = along.inspect_err(|error| self.broke(error, &nodes.along()));
        let confirm = self.ask_witness(&links, guard, &path, far_end);
        let confirm = confirm.inspect_err(|error| self.broke(error, &nodes.to_witness()));
        let built = tokio::try_join!(along, confirm);
        if let Err(AgentError::Link(LinkError::Unreachable)) = built
            && !self.was_reached(guard.node())
        {
            // The guard was never there: nobody behind it has heard of this path.
            self.release(far_end.node());
        }
        let ((channel, answer), ()) = built?;
        let first = path.hops.first().map_or(*key, |(key, _)| *key);
        let keys = Draw { go_between: first, witness: *witness_key, far_end: *key };
        Ok(Built { channel, answer, path: nodes, keys })
    }

    /// Builds until a channel stands, at most [`ATTEMPTS`] times.
    async fn build_one(
        &self,
        purpose: Purpose,
        avoid: &BTreeSet<NodeId>,
        early: Option<&Request>,
    ) -> Result<Built, AgentError> {
        let mut last = AgentError::RosterTooSmall;
        let mut is_cut_off = true;
        for attempt in 0..ATTEMPTS {
            let Some(guard) = self.guard(attempt, avoid) else { return Err(last) };
            let built = self.try_build(purpose, guard, avoid, early).await;
            self.note(guard.node(), built.as_ref());
            match built {
                Ok(built) => return Ok(built),
                Err(
                    error @ (AgentError::RosterTooSmall
                    | AgentError::TooFewNodes
                    | AgentError::NetworkTooSmall { .. }),
                ) => return Err(error),
                Err(error) => {
                    self.context().tell(&Event::failed(purpose, &error));
                    is_cut_off &= matches!(error, AgentError::Link(LinkError::Unreachable));
                    last = error;
                }
            }
        }
        Err(if is_cut_off { AgentError::NoGuard } else { last })
    }

    /// Draws a path and notes who is to serve, in one step: no two channels that are drawn at once fall on one far end.
    /// Where there is none left, what stands ready makes room. In a network too small for all paths of a mail that is
    /// sent, a far end serves again: none that has another to serve in its place. A reader may need more channels than
    /// there are nodes.
    fn draw(
        &self,
        purpose: Purpose,
        guard: &NodeCertificate,
        avoid: &BTreeSet<NodeId>,
    ) -> Option<GuardedPath> {
        let (epoch, middle) = (self.epoch(), self.plan.middle);
        let draw = || {
            let mut used = self.used.lock();
            let (path, times) = self.plan.roster.with(|roster| {
                let (among, rng) = ((&*roster, epoch), &mut rand::rng());
                if purpose == Purpose::Reading {
                    used.draw_again(&among, guard, middle, avoid, rng)
                } else {
                    used.draw(&among, guard, middle, avoid, rng).map(|path| (path, 0))
                }
            })?;
            let (_, far_end) = path.hops.last()?;
            used.reserve_again(far_end.node(), path.witness.1.node(), times).then_some(path)
        };
        let make_room = || {
            self.pool.discard().iter().for_each(|far_end| self.release(*far_end));
            draw()
        };
        let begin_anew = || {
            if purpose == Purpose::Reading {
                return None;
            }
            self.used.lock().begin_anew();
            draw()
        };
        draw().or_else(make_room).or_else(begin_anew)
    }

    /// Why no path can be drawn: the network is small, or young, or this mail's own paths take up its nodes.
    fn too_few(&self) -> AgentError {
        let (known, alive, active) = self.plan.roster.with(|roster| {
            (roster.len(), roster.alive().count(), roster.active(self.epoch()).count())
        });
        let needed = nodes_needed(self.context().network.k, self.plan.middle);
        if alive < needed {
            return AgentError::NetworkTooSmall { known: alive, needed };
        }
        if active * 2 < known { AgentError::RosterTooSmall } else { AgentError::TooFewNodes }
    }

    /// The nodes near a key: they hold what is kept there, and must not also see it carried.
    fn near_to(&self, key: &Key) -> BTreeSet<NodeId> {
        let (k, epoch) = (self.context().network.k, self.epoch());
        let near = self.plan.roster.with(|roster| roster.closest(key, k, epoch));
        near.iter().map(NodeCertificate::node).collect()
    }

    fn release(&self, far_end: NodeId) {
        self.used.lock().release(&far_end);
    }

    /// Makes a path through the guard to the far end; each hop is asked who is nearest to the key that chose the
    /// next one, and judged as its answer comes.
    async fn build(
        &self,
        links: &Links,
        guard: &NodeCertificate,
        hops: &[(Key, NodeCertificate)],
        early: Option<&Request>,
    ) -> Result<(Channel, Option<Response>), AgentError> {
        let nearest = hops.iter().map(|(key, _)| Some(Request::Nearest { key: *key, count: 1 }));
        let questions = nearest.chain([early.cloned()]);
        let nodes = [guard].into_iter().chain(hops.iter().map(|(_, node)| node));
        let path: Result<Vec<_>, AgentError> =
            nodes.zip(questions).map(|(node, asked)| Ok((self.active(node)?, asked))).collect();
        let path = path?;
        let judge = |place: usize, statement: &Response| match (path.get(place), hops.get(place)) {
            (Some((asked, _)), Some((key, next))) => {
                self.judge(asked.certificate().node(), *key, next, statement)
            }
            _ => Err(AgentError::BadAnswer),
        };
        let mut channel = path::make(links, &path, judge).await?;
        let answer = match early {
            Some(_) => Some(channel.response(ANSWER_TIMEOUT).await?),
            None => None,
        };
        Ok((channel, answer))
    }

    /// Asks the witness, through the guard and the middle, sealed: it learns neither who asks nor for what, and the
    /// guard not whom it knows. Asked through the guard alone it would be as good as the middle to a hostile guard.
    async fn ask_witness(
        &self,
        links: &Links,
        guard: &NodeCertificate,
        drawn: &GuardedPath,
        far_end: &NodeCertificate,
    ) -> Result<(), AgentError> {
        let Some(((key, _), middle)) = drawn.hops.split_last() else {
            return Err(AgentError::RosterTooSmall);
        };
        let (key, witness) = (*key, &drawn.witness.1);
        let go_betweens = [guard].into_iter().chain(middle.iter().map(|(_, node)| node));
        let mut path = Vec::new();
        for node in go_betweens {
            path.push((self.active(node)?, None));
        }
        path.push((self.active(witness)?, Some(Request::Nearest { key, count: 1 })));
        let unasked = |_: usize, _: &Response| Err(AgentError::BadAnswer);
        let mut channel = path::make(links, &path, unasked).await?;
        let statement = channel.response(ANSWER_TIMEOUT).await?;
        self.judge(witness.node(), key, far_end, &statement)
    }
}

/// The key that a request to a far end is about.
const fn key_of(request: &Request) -> Option<&Key> {
    match request {
        Request::Nearest { key, .. }
        | Request::Closest { key, .. }
        | Request::Perform { targets: Targets::Nearest { key, .. }, .. }
        | Request::Perform { targets: Targets::Closest { key, .. }, .. } => Some(key),
        _ => None,
    }
}

impl Scheme for GuardedScheme {
    fn open<'a>(
        &'a self,
        purpose: Purpose,
        early: &'a Request,
    ) -> BoxFuture<'a, Result<OpenChannel, AgentError>> {
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

    fn build_ahead(self: Arc<Self>, channels: usize, avoid: &[Key]) {
        let avoid: BTreeSet<NodeId> = avoid.iter().flat_map(|key| self.near_to(key)).collect();
        let scheme = Arc::downgrade(&self);
        tokio::spawn(async move {
            let building = stream::iter(0..channels.min(MAX_READY)).map(async |_| {
                // Whoever wanted them may be gone.
                let Some(scheme) = scheme.upgrade() else { return };
                if let Ok(built) = scheme.build_one(Purpose::Ahead, &avoid, None).await {
                    let Built { channel, path, keys, .. } = built;
                    scheme.pool.put(ReadyChannel { channel, path }, keys);
                }
            });
            building.buffer_unordered(AHEAD_AT_ONCE).collect::<()>().await;
        });
    }

    fn set_apart(&self, far_end: NodeId) {
        self.used.lock().set_apart(far_end);
    }

    fn ready(&self) -> usize {
        self.pool.len()
    }

    fn take_ready(&self, purpose: Purpose, key: &Key) -> Option<ReadyChannel> {
        let near = self.near_to(key);
        let waiting = self.pool.take(|waiting| {
            let path = &waiting.ready.path;
            let fits = |node| !near.contains(node);
            fits(&path.go_between) && fits(&path.far_end) && path.middle.iter().all(fits)
        })?;
        let (path, keys) = (waiting.ready.path.clone(), waiting.keys);
        self.context().tell(&Event::Channel { purpose, path, keys });
        Some(waiting.ready)
    }

    fn own_replicas(&self, key: &Key) -> Option<Vec<NodeCertificate>> {
        let (k, epoch) = (self.context().network.k, self.epoch());
        let nodes = || self.plan.roster.with(|roster| roster.closest(key, k, epoch));
        self.plan.complete.then(nodes).filter(|nodes| !nodes.is_empty())
    }

    fn list_replicas(&self, key: Key, k: u8) -> Request {
        if self.plan.complete {
            Request::Nearest { key, count: k }
        } else {
            Request::Closest { key, count: k }
        }
    }

    fn compare_replicas(
        &self,
        key: Key,
        z: (NodeId, Response),
        w: (NodeId, Response),
    ) -> Result<ReplicaSet, AgentError> {
        if !self.plan.complete {
            return Ok(ReplicaSet::agree(
                key,
                self.looked_up(key, z.1)?,
                self.looked_up(key, w.1)?,
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
                self.accuse(z.0, Misdeed::FalseList, &z.1);
            }
            if *only_second > 0 {
                self.accuse(w.0, Misdeed::FalseList, &w.1);
            }
        }
        Ok(confirmed?)
    }

    fn candidates(&self, key: Key, answer: Response) -> Result<Vec<NodeCertificate>, AgentError> {
        // Wider than k: a sender whose roster differs by churn may have used one of the next ones.
        let (count, epoch) = (self.context().network.k + READ_WIDER, self.epoch());
        let mut nodes =
            self.plan.roster.with(|roster| roster.closest(&key, count.min(MAX_K), epoch));
        if !self.plan.complete {
            for found in self.looked_up(key, answer)? {
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
            Targets::Nearest { key, count }
        } else {
            Targets::Closest { key, count }
        }
    }
}
