//! The `guarded` scheme: what the attacks on section 4 force.
//!
//! ```text
//! X   a guard, the same for months; one link to it carries all channels
//! M   drawn over the roster of the last epoch; X is asked who is nearest to keyM
//! Z   likewise; M is asked who is nearest to keyZ, and so is Y, through X, sealed
//! ```
//! Nobody looks anything up: X, M and Y answer from their rosters, signed, and the sender's own roster decides.
//! A node minted next to a key after the key was drawn is in nobody's roster of the last epoch, and never used.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anon::{
    certificate::{NodeCertificate, NodeId},
    network::{Epoch, MAX_K},
    position::Key,
    request::{Request, Response, Targets},
    selection::{Draw, GuardedPath, draw_guarded},
    verification::{CrossVerified, Disagreement, ReplicaSet, differs_by_churn},
    wire,
};
use futures::{TryFutureExt as _, future::BoxFuture};
use node::{Channel, Links, Peer, RosterKeeper, certified_addresses, now};

use super::{OpenChannel, Scheme};
use crate::{
    entrance::Entrance,
    error::AgentError,
    event::{Event, Path, Purpose},
    evidence::Misdeed,
};

/// How often new keys are drawn before a channel is given up.
const ATTEMPTS: usize = 4;
/// How many nodes beyond k a reader asks.
const READ_WIDER: usize = 4;
/// How long a handshake may take, hop by hop.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a hop may take for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Guards, middles and far ends over the agent's own roster.
pub struct GuardedScheme {
    entrance: Arc<Entrance>,
    roster: Arc<RosterKeeper>,
    guards: Vec<NodeCertificate>,
    middle: usize,
    used: Mutex<Used>,
    links: Mutex<Option<(NodeId, Links)>>,
}

/// Who has served in this mail's channels. No far end serves twice; no witness does where there are others.
#[derive(Default)]
struct Used {
    far_ends: BTreeSet<NodeId>,
    witnesses: BTreeSet<NodeId>,
}

impl std::fmt::Debug for GuardedScheme {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GuardedScheme(..)")
    }
}

impl GuardedScheme {
    /// The scheme for one mail, with `middle` go-betweens behind the guard.
    #[must_use]
    pub fn new(
        entrance: Arc<Entrance>,
        roster: Arc<RosterKeeper>,
        guards: Vec<NodeCertificate>,
        middle: usize,
    ) -> Self {
        let (used, links) = (Mutex::default(), Mutex::default());
        Self { entrance, roster, guards, middle, used, links }
    }

    fn epoch(&self) -> Epoch {
        self.entrance.network().epoch(now())
    }

    /// The link to the guard: one identity for all channels, since the guard knows this machine anyway.
    fn guard_links(&self, guard: &NodeCertificate) -> Result<Links, AgentError> {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((node, links)) = &*links
            && *node == guard.node()
        {
            return Ok(links.clone());
        }
        let fresh = Links::disposable(&self.entrance.network().name)?;
        if let Some(address) = certified_addresses(guard).into_iter().next() {
            self.entrance.listener().on(&Event::Identity(Peer { id: fresh.local(), address }));
        }
        *links = Some((guard.node(), fresh.clone()));
        Ok(fresh)
    }

    fn active(&self, node: &NodeCertificate) -> Result<CrossVerified, AgentError> {
        let epoch = self.epoch();
        let token = self.roster.with(|roster| CrossVerified::active(roster, &node.node(), epoch));
        token.ok_or(AgentError::RosterTooSmall)
    }

    async fn try_open(
        &self,
        guard: &NodeCertificate,
        purpose: Purpose,
        early: &Request,
    ) -> Result<OpenChannel, AgentError> {
        let path = self.draw(guard, early).ok_or(AgentError::RosterTooSmall)?;
        let (Some((key, far_end)), (witness_key, witness)) = (path.hops.last(), &path.witness)
        else {
            return Err(AgentError::RosterTooSmall);
        };
        self.reserve(far_end.node(), witness.node())?;
        let links = self.guard_links(guard)?;
        let nodes = Path {
            go_between: guard.node(),
            middle: path.hops.iter().rev().skip(1).rev().map(|(_, n)| n.node()).collect(),
            witness: witness.node(),
            far_end: far_end.node(),
        };
        let along = self.build(&links, guard, &path.hops, early);
        let along = along.inspect_err(|error| self.broke(error, &nodes.along()));
        let confirm = self.ask_witness(&links, guard, witness, *key, far_end);
        let confirm =
            confirm.inspect_err(|error| self.broke(error, &[nodes.go_between, nodes.witness]));
        let ((channel, answer), ()) = tokio::try_join!(along, confirm)?;
        let first = path.hops.first().map_or(*key, |(key, _)| *key);
        let keys = Draw { go_between: first, witness: *witness_key, far_end: *key };
        self.entrance.listener().on(&Event::Channel { purpose, path: nodes.clone(), keys });
        Ok(OpenChannel { channel, answer, path: nodes })
    }

    /// Draws a path on which nobody serves who served this mail before, or is near what the channel is for; in a
    /// small network a witness may serve again.
    fn draw(&self, guard: &NodeCertificate, early: &Request) -> Option<GuardedPath> {
        let mut excluded = self.near_to(early);
        let witnesses = {
            let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
            excluded.extend(&used.far_ends);
            used.witnesses.clone()
        };
        let strict: BTreeSet<NodeId> = excluded.union(&witnesses).copied().collect();
        let epoch = self.epoch();
        self.roster.with(|roster| {
            let draw = |excluded| {
                draw_guarded(roster, guard, self.middle, excluded, epoch, &mut rand::rng())
            };
            draw(&strict).or_else(|| draw(&excluded))
        })
    }

    /// The nodes near what a channel is for: they hold it, and must not also see it carried.
    fn near_to(&self, early: &Request) -> BTreeSet<NodeId> {
        let key = match early {
            Request::Nearest { key, .. } => key,
            Request::Perform { targets: Targets::Nearest { key, .. }, .. } => key,
            _ => return BTreeSet::new(),
        };
        let (k, epoch) = (self.entrance.network().k, self.epoch());
        let near = self.roster.with(|roster| roster.closest(key, k, epoch));
        near.iter().map(NodeCertificate::node).collect()
    }

    fn reserve(&self, far_end: NodeId, witness: NodeId) -> Result<(), AgentError> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.witnesses.insert(witness);
        // Two channels that are drawn at once may fall on one node: the later one draws again.
        if used.far_ends.insert(far_end) { Ok(()) } else { Err(AgentError::BadAnswer) }
    }

    /// Telescopes through the guard to the far end; each hop is asked, as it is reached, who is nearest to the
    /// key that chose the next one.
    async fn build(
        &self,
        links: &Links,
        guard: &NodeCertificate,
        hops: &[(Key, NodeCertificate)],
        early: &Request,
    ) -> Result<(Channel, Response), AgentError> {
        let question = |index: usize| match hops.get(index) {
            Some((key, _)) => Request::Nearest { key: *key, count: 1 },
            None => early.clone(),
        };
        let first = self.active(guard)?;
        let mut channel =
            Channel::open(links, &first, Some(&question(0)), HANDSHAKE_TIMEOUT).await?;
        let mut asked = guard.node();
        for (index, (key, next)) in hops.iter().enumerate() {
            let statement = channel.response(ANSWER_TIMEOUT).await?;
            self.judge(asked, *key, next, &statement)?;
            let token = self.active(next)?;
            let question = question(index + 1);
            channel = channel.extend(&token, Some(&question), HANDSHAKE_TIMEOUT).await?;
            asked = next.node();
        }
        let answer = channel.response(ANSWER_TIMEOUT).await?;
        Ok((channel, answer))
    }

    /// Asks the witness, through the guard and sealed, so that it learns neither who asks nor for what.
    async fn ask_witness(
        &self,
        links: &Links,
        guard: &NodeCertificate,
        witness: &NodeCertificate,
        key: Key,
        far_end: &NodeCertificate,
    ) -> Result<(), AgentError> {
        let first = self.active(guard)?;
        let channel = Channel::open(links, &first, None, HANDSHAKE_TIMEOUT).await?;
        let token = self.active(witness)?;
        let question = Request::Nearest { key, count: 1 };
        let mut channel = channel.extend(&token, Some(&question), HANDSHAKE_TIMEOUT).await?;
        let statement = channel.response(ANSWER_TIMEOUT).await?;
        self.judge(witness.node(), key, far_end, &statement)
    }

    /// Holds what a node states of a key against one's own roster.
    fn judge(
        &self,
        asked: NodeId,
        key: Key,
        own: &NodeCertificate,
        answer: &Response,
    ) -> Result<(), AgentError> {
        let nearest = self.stated(asked, key, answer)?;
        let own = std::slice::from_ref(own);
        if self.roster.with(|roster| differs_by_churn(&key, &nearest, own, roster)) {
            return Ok(());
        }
        self.accuse(asked, Misdeed::FalseNearest, answer);
        let second = nearest.first().copied().unwrap_or(asked);
        let first = own.first().map_or(asked, NodeCertificate::node);
        Err(Disagreement::Node { first, second }.into())
    }

    /// Notes who was on a path that broke while it was built.
    fn broke(&self, error: &AgentError, nodes: &[NodeId]) {
        if matches!(error, AgentError::Link(_)) {
            self.entrance.path_broke(nodes);
        }
    }

    fn accuse(&self, node: NodeId, misdeed: Misdeed, answer: &Response) {
        let proof = match answer {
            Response::Nearest(statement) => wire::encode(&**statement),
            _ => Vec::new(),
        };
        self.entrance.accuse(node, misdeed, proof);
    }

    /// The nodes that a signed answer states.
    fn stated(
        &self,
        asked: NodeId,
        key: Key,
        answer: &Response,
    ) -> Result<Vec<NodeId>, AgentError> {
        let Response::Nearest(statement) = answer else { return Err(AgentError::BadAnswer) };
        let network = self.entrance.network().id;
        statement.verify(&network, asked, key, self.epoch()).map_err(|_| AgentError::BadAnswer)?;
        Ok(statement.claims.nearest.clone())
    }
}

impl Scheme for GuardedScheme {
    fn open<'a>(
        &'a self,
        purpose: Purpose,
        early: &'a Request,
    ) -> BoxFuture<'a, Result<OpenChannel, AgentError>> {
        Box::pin(async move {
            let mut last = AgentError::RosterTooSmall;
            for attempt in 0..ATTEMPTS {
                // The guard stays; the spare serves only while the guard itself cannot be reached.
                let index = if attempt + 1 == ATTEMPTS { 1 } else { 0 };
                let Some(guard) = self.guards.get(index).or_else(|| self.guards.first()) else {
                    return Err(AgentError::RosterTooSmall);
                };
                match self.try_open(guard, purpose, early).await {
                    Ok(open) => return Ok(open),
                    Err(error @ AgentError::RosterTooSmall) => return Err(error),
                    Err(error) => {
                        self.entrance.listener().on(&Event::failed(purpose, &error));
                        last = error;
                    }
                }
            }
            Err(last)
        })
    }

    fn list_replicas(&self, key: Key, k: u8) -> Request {
        Request::Nearest { key, count: k }
    }

    fn compare_replicas(
        &self,
        key: Key,
        z: (NodeId, Response),
        w: (NodeId, Response),
    ) -> Result<ReplicaSet, AgentError> {
        let (from_z, from_w) = (self.stated(z.0, key, &z.1)?, self.stated(w.0, key, &w.1)?);
        let (k, epoch) = (self.entrance.network().k, self.epoch());
        let confirmed = self
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

    fn candidates(&self, key: Key, _: Response) -> Result<Vec<NodeCertificate>, AgentError> {
        // Wider than k: a sender whose roster differs by churn may have used one of the next ones.
        let (count, epoch) = (self.entrance.network().k + READ_WIDER, self.epoch());
        let nodes = self.roster.with(|roster| roster.closest(&key, count.min(MAX_K), epoch));
        if nodes.is_empty() { Err(AgentError::RosterTooSmall) } else { Ok(nodes) }
    }

    fn near(&self, key: Key, count: u8) -> Targets {
        Targets::Nearest { key, count }
    }
}
