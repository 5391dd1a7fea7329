//! Channels built ahead of need: each is taken once and never put back.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use anon::{id::NodeId, selection::SampledKeys};

use super::ReadyChannel;

/// The most channels that wait for use.
pub(super) const MAX_READY: usize = 32;
/// How long one may wait: less than nodes let a silent channel stand (`channel_idle_seconds`, 120 by default).
pub(super) const MAX_AGE: Duration = Duration::from_secs(90);

/// A channel that waits, and the keys that chose its nodes.
pub(super) struct Waiting {
    pub(super) ready: ReadyChannel,
    pub(super) keys: SampledKeys,
    pub(super) since: Instant,
}

/// The channels that wait.
#[derive(Default)]
pub(super) struct Pool(Vec<Waiting>);

impl Pool {
    /// Adds a channel, unless there are enough.
    pub(super) fn put(&mut self, ready: ReadyChannel, keys: SampledKeys) {
        if self.0.len() < MAX_READY {
            self.0.push(Waiting { ready, keys, since: Instant::now() });
        }
    }

    /// Takes out the oldest channel that is fresh enough and along which nobody is in `near`.
    pub(super) fn take(&mut self, near: &BTreeSet<NodeId>) -> Option<Waiting> {
        self.expire();
        let suits = |w: &Waiting| w.ready.path.along().iter().all(|node| !near.contains(node));
        let index = self.0.iter().position(suits)?;
        Some(self.0.remove(index))
    }

    /// How many wait.
    pub(super) fn len(&mut self) -> usize {
        self.expire();
        self.0.len()
    }

    fn expire(&mut self) {
        self.0.retain(|waiting| waiting.since.elapsed() < MAX_AGE);
    }

    /// Closes all that wait: their anonymizers, which are free again.
    pub(super) fn discard(&mut self) -> Vec<NodeId> {
        self.0.drain(..).map(|waiting| waiting.ready.path.anonymizer).collect()
    }
}
