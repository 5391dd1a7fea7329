//! The way onto a path: which guard serves, and the link to it.

use std::collections::BTreeSet;

use anon::{certificate::NodeCertificate, id::NodeId, selection::serving_guard};
use net::{LinkError, Links};

use super::{ATTEMPTS, Built, GuardedScheme};
use crate::error::AgentError;

/// How many paths in a row may break behind a guard before the spare serves for the rest of the mail.
const MAX_STALLS: usize = 3;

/// How paths behind a guard went while this mail was sent.
#[derive(Default)]
pub(super) struct Stalls {
    /// How many broke since the last one that came about.
    in_a_row: usize,
    /// Whether it was ever there.
    reached: bool,
}

impl GuardedScheme {
    /// Whether this guard has been there at all.
    pub(super) fn was_reached(&self, guard: NodeId) -> bool {
        let stalls = self.stalls.lock();
        stalls.get(&guard).is_some_and(|stalls| stalls.reached)
    }

    /// The link to a guard: one identity for all channels, since the guard knows this machine anyway; over Tor, where it
    /// does not, another for each.
    pub(super) fn guard_links(&self, guard: &NodeCertificate) -> Result<Links, AgentError> {
        if self.context().transport.is_tor() {
            return Ok(self.context().disposable()?);
        }
        let mut links = self.links.lock();
        if let Some(links) = links.get(&guard.node()) {
            return Ok(links.clone());
        }
        let fresh = self.context().disposable()?;
        links.insert(guard.node(), fresh.clone());
        Ok(fresh)
    }

    /// The guard that serves: the first, unless it is near what the channel is for, or channel after channel broke
    /// behind it while this mail was sent; on the last attempt the spare. In a network so small that both are near, or
    /// one is and the other is gone, a near one serves all the same.
    pub(super) fn guard(
        &self,
        attempt: usize,
        avoid: &BTreeSet<NodeId>,
    ) -> Option<&NodeCertificate> {
        let stalls = self.stalls.lock();
        let is_stalled =
            |node: &NodeId| stalls.get(node).is_some_and(|stalls| stalls.in_a_row >= MAX_STALLS);
        let is_last = attempt + 1 == ATTEMPTS;
        serving_guard(&self.plan.guards, NodeCertificate::node, avoid, is_stalled, is_last)
    }

    /// Notes whether a path through a guard came about.
    pub(super) fn note(&self, guard: NodeId, built: Result<&Built, &AgentError>) {
        let mut stalls = self.stalls.lock();
        let stalls = stalls.entry(guard).or_default();
        match built {
            Ok(_) => *stalls = Stalls { in_a_row: 0, reached: true },
            Err(AgentError::Link(error)) => {
                stalls.in_a_row += 1;
                stalls.reached |= !matches!(error, LinkError::Unreachable);
            }
            // Somebody answered, if not as hoped.
            Err(_) => stalls.reached = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use net::{NetworkFile, RosterKeeper, now};
    use node::{ChannelKeys, Identity};

    use super::*;
    use crate::{context::Context, evidence::EvidenceLog, scheme::GuardedPlan};

    /// A scheme with a guard and a spare.
    fn scheme() -> (GuardedScheme, NodeId, NodeId) {
        let network = NetworkFile::parse("name = 'entry.alt'").unwrap().network().unwrap();
        let certificate = |seed| {
            let keys = ChannelKeys::new(String::new(), None, 1_000);
            let identity = Identity::from_seed(&[seed; 32]).unwrap();
            keys.rotate(&identity, &network, Vec::new(), now()).unwrap();
            keys.certificate().unwrap()
        };
        let guards = vec![certificate(1), certificate(2)];
        let (guard, spare) = (guards[0].node(), guards[1].node());
        let context = Context::quiet(network);
        let roster =
            Arc::new(RosterKeeper::open(Arc::clone(&context.network), None, context.clock.clone()));
        let plan = GuardedPlan { roster, guards, middle: 1, complete: true };
        (GuardedScheme::new(Arc::new(EvidenceLog::new(context)), plan), guard, spare)
    }

    fn serves(scheme: &GuardedScheme, attempt: usize, avoid: &[NodeId]) -> NodeId {
        scheme.guard(attempt, &avoid.iter().copied().collect()).unwrap().node()
    }

    #[test]
    fn the_guard_stays_until_it_is_near_or_path_after_path_breaks_behind_it() {
        let (scheme, guard, spare) = scheme();
        assert_eq!(serves(&scheme, 0, &[]), guard);
        assert_eq!(serves(&scheme, 0, &[guard]), spare, "near what the path is for");
        assert_eq!(serves(&scheme, 0, &[guard, spare]), guard, "both are near");
        assert_eq!(serves(&scheme, ATTEMPTS - 1, &[]), spare, "the last attempt");

        let broke = AgentError::Link(LinkError::TimedOut);
        for _ in 1..MAX_STALLS {
            scheme.note(guard, Err(&broke));
            assert_eq!(serves(&scheme, 0, &[]), guard);
        }
        scheme.note(guard, Err(&AgentError::BadAnswer));
        assert_eq!(serves(&scheme, 0, &[]), guard, "a lie behind it is not the guard's");
        scheme.note(guard, Err(&broke));
        assert_eq!(serves(&scheme, 0, &[]), spare);
        assert_eq!(serves(&scheme, 0, &[spare]), spare, "near, and the guard is gone");
    }

    #[test]
    fn a_guard_that_was_never_there_is_told_from_one_that_was() {
        let (scheme, guard, spare) = scheme();
        scheme.note(guard, Err(&AgentError::Link(LinkError::Unreachable)));
        assert!(!scheme.was_reached(guard) && !scheme.was_reached(spare));
        scheme.note(guard, Err(&AgentError::Link(LinkError::TimedOut)));
        assert!(scheme.was_reached(guard));
    }
}
