//! Channels are built along the paths that the planner names: to the guard, through it to the anonymizer, and to the
//! witness that confirms the anonymizer.

use std::collections::BTreeSet;

use anon::{
    certificate::NodeCertificate,
    id::NodeId,
    position::Key,
    request::{Request, Response},
    selection::{ATTEMPTS, Failure, GuardedPath, SampledKeys, Wanted},
    verification::CrossVerified,
};
use futures::TryFutureExt as _;
use net::{Channel, LinkError, Links};

use super::{ANSWER_TIMEOUT, GuardedScheme, State, path};
use crate::{
    error::AgentError,
    event::{Event, Path, Purpose},
    roster::nodes_needed,
};

/// A channel that has just been built.
pub(super) struct Built {
    pub(super) channel: Channel,
    pub(super) answer: Option<Response>,
    pub(super) path: Path,
    pub(super) keys: SampledKeys,
}

impl GuardedScheme {
    /// Builds until a channel stands, at most [`ATTEMPTS`] times.
    pub(super) async fn build_one(
        &self,
        purpose: Purpose,
        near: &BTreeSet<NodeId>,
        early: Option<&Request>,
    ) -> Result<Built, AgentError> {
        let mut last = AgentError::RosterTooSmall;
        let mut is_cut_off = true;
        for attempt in 0..ATTEMPTS {
            let wanted = Wanted { is_reading: purpose == Purpose::Reading, near, attempt };
            let path = self.next_path(wanted).ok_or_else(|| self.too_few())?;
            let built = self.try_build(&path, early).await;
            let result = built.as_ref().map(|_| ()).map_err(failure);
            self.state.lock().planner.note(path.guard.node(), path.anonymizer.1.node(), result);
            match built {
                Err(error) if !matches!(error, AgentError::RosterTooSmall) => {
                    self.context().tell(&Event::failed(purpose, &error));
                    is_cut_off &= matches!(error, AgentError::Link(LinkError::Unreachable));
                    last = error;
                }
                built => return built,
            }
        }
        Err(if is_cut_off { AgentError::NoGuard } else { last })
    }

    /// The next path, by the agent's own roster.
    pub(super) fn next_path(&self, wanted: Wanted<'_>) -> Option<GuardedPath> {
        let (epoch, mut state) = (self.epoch(), self.state.lock());
        let State { planner, pool, .. } = &mut *state;
        self.plan.roster.with(|roster| {
            planner.next_path(&(&*roster, epoch), wanted, &mut rand::rng(), || pool.discard())
        })
    }

    /// Why no path can be planned: the network is small, or young, or this mail's own paths take up its nodes.
    pub(super) fn too_few(&self) -> AgentError {
        if self.plan.guards.is_empty() {
            return AgentError::RosterTooSmall;
        }
        let (known, alive, active) = self.plan.roster.with(|roster| {
            (roster.len(), roster.alive().count(), roster.active(self.epoch()).count())
        });
        let needed = nodes_needed(self.context().network.k, self.plan.middle);
        if alive < needed {
            return AgentError::NetworkTooSmall { known: alive, needed };
        }
        if active * 2 < known { AgentError::RosterTooSmall } else { AgentError::TooFewNodes }
    }

    async fn try_build(
        &self,
        path: &GuardedPath,
        early: Option<&Request>,
    ) -> Result<Built, AgentError> {
        let links = self.guard_links(&path.guard)?;
        let nodes = Path::from(path);
        let along = self.build(&links, path, early);
        let along = along.inspect_err(|error| self.broke(error, &nodes.along()));
        let confirm = self.ask_witness(&links, path);
        let confirm = confirm.inspect_err(|error| self.broke(error, &nodes.to_witness()));
        let ((channel, answer), ()) = tokio::try_join!(along, confirm)?;
        Ok(Built { channel, answer, path: nodes, keys: path.keys() })
    }

    /// The link to a guard: one identity for all channels, since the guard knows this machine anyway; over Tor, where it
    /// does not, another for each.
    fn guard_links(&self, guard: &NodeCertificate) -> Result<Links, AgentError> {
        if self.context().transport.is_tor() {
            return Ok(self.context().disposable()?);
        }
        let links = &mut self.state.lock().links;
        if let Some(links) = links.get(&guard.node()) {
            return Ok(links.clone());
        }
        let fresh = self.context().disposable()?;
        links.insert(guard.node(), fresh.clone());
        Ok(fresh)
    }

    /// Makes a path through the guard to the anonymizer; each hop is asked who is closest to the key that chose the
    /// next one, and judged as its answer comes.
    async fn build(
        &self,
        links: &Links,
        path: &GuardedPath,
        early: Option<&Request>,
    ) -> Result<(Channel, Option<Response>), AgentError> {
        let questions = path.hops().map(|(key, _)| Some(closest(*key))).chain([early.cloned()]);
        let nodes = [&path.guard].into_iter().chain(path.hops().map(|(_, node)| node));
        let hops = self.active(nodes.zip(questions))?;
        let judge =
            |place: usize, statement: &Response| match (hops.get(place), path.hops().nth(place)) {
                (Some((asked, _)), Some((key, next))) => {
                    self.judge(asked.node(), *key, next, statement)
                }
                _ => Err(AgentError::BadAnswer),
            };
        let mut channel = path::make(links, &hops, judge).await?;
        let answer = match early {
            Some(_) => Some(channel.response(ANSWER_TIMEOUT).await?),
            None => None,
        };
        Ok((channel, answer))
    }

    /// Asks the witness, through the guard and the middle, sealed: it learns neither who asks nor for what, and the
    /// guard not whom it knows. Asked through the guard alone it would be as good as the middle to a hostile guard.
    async fn ask_witness(&self, links: &Links, path: &GuardedPath) -> Result<(), AgentError> {
        let ((key, anonymizer), (_, witness)) = (&path.anonymizer, &path.witness);
        let go_betweens = [&path.guard].into_iter().chain(path.middle.iter().map(|(_, node)| node));
        let unasked = go_betweens.map(|node| (node, None));
        let hops = self.active(unasked.chain([(witness, Some(closest(*key)))]))?;
        let unasked = |_: usize, _: &Response| Err(AgentError::BadAnswer);
        let mut channel = path::make(links, &hops, unasked).await?;
        let statement = channel.response(ANSWER_TIMEOUT).await?;
        self.judge(witness.node(), *key, anonymizer, &statement)
    }

    /// The nodes of a path, each active in the agent's own roster, and what they are asked.
    fn active<'a>(
        &self,
        nodes: impl Iterator<Item = (&'a NodeCertificate, Option<Request>)>,
    ) -> Result<Vec<(CrossVerified, Option<Request>)>, AgentError> {
        let epoch = self.epoch();
        let hops = self.plan.roster.with(|roster| {
            nodes
                .map(|(node, asked)| {
                    Some((CrossVerified::active(roster, &node.node(), epoch)?, asked))
                })
                .collect::<Option<_>>()
        });
        hops.ok_or(AgentError::RosterTooSmall)
    }
}

const fn closest(key: Key) -> Request {
    Request::Closest { key, count: 1 }
}

/// What the planner is told of an error.
pub(super) const fn failure(error: &AgentError) -> Failure {
    match error {
        AgentError::Link(LinkError::Unreachable) => Failure::Unreachable,
        AgentError::Link(_) => Failure::Broke,
        _ => Failure::BadAnswer,
    }
}
