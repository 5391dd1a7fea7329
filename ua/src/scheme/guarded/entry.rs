//! The way onto a path: which guard serves, and the link to it.

use std::{collections::BTreeSet, sync::PoisonError};

use anon::certificate::{NodeCertificate, NodeId};
use node::{Links, Peer, certified_addresses};

use super::{ATTEMPTS, Built, GuardedScheme};
use crate::{error::AgentError, event::Event};

/// How many paths in a row may break behind a guard before the spare serves for the rest of the mail.
const MAX_STALLS: usize = 3;

impl GuardedScheme {
    /// The link to a guard: one identity for all channels, since the guard knows this machine anyway.
    pub(super) fn guard_links(&self, guard: &NodeCertificate) -> Result<Links, AgentError> {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(links) = links.get(&guard.node()) {
            return Ok(links.clone());
        }
        let fresh = Links::disposable(&self.entrance.network().name)?;
        if let Some(address) = certified_addresses(guard).into_iter().next() {
            self.entrance.listener().on(&Event::Identity(Peer { id: fresh.local(), address }));
        }
        links.insert(guard.node(), fresh.clone());
        Ok(fresh)
    }

    /// The guard that serves: the first, unless it is near what the channel is for, or channel after channel broke
    /// behind it while this mail was sent; on the last attempt the spare. In a network so small that both are near,
    /// the first serves all the same.
    pub(super) fn guard(
        &self,
        attempt: usize,
        avoid: &BTreeSet<NodeId>,
    ) -> Option<&NodeCertificate> {
        let stalls = self.stalls.lock().unwrap_or_else(PoisonError::into_inner);
        let is_stalled = |node: &NodeId| stalls.get(node).is_some_and(|count| *count >= MAX_STALLS);
        let fit = self.plan.guards.iter().filter(|guard| !avoid.contains(&guard.node()));
        let (stalled, going): (Vec<_>, Vec<_>) = fit.partition(|guard| is_stalled(&guard.node()));
        let in_order = || going.iter().chain(&stalled).copied();
        let first = in_order().next().or_else(|| self.plan.guards.first())?;
        if attempt + 1 == ATTEMPTS { in_order().nth(1).or(Some(first)) } else { Some(first) }
    }

    /// Notes whether a path through a guard came about.
    pub(super) fn note(&self, guard: NodeId, built: Result<&Built, &AgentError>) {
        let mut stalls = self.stalls.lock().unwrap_or_else(PoisonError::into_inner);
        match built {
            Ok(_) => {
                stalls.remove(&guard);
            }
            Err(AgentError::Link(_)) => *stalls.entry(guard).or_default() += 1,
            Err(_) => {}
        }
    }
}
