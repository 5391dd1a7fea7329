//! Channels built ahead of need: each is taken once and never put back.

use std::time::{Duration, Instant};

use anon::{id::NodeId, selection::Draw};
use parking_lot::Mutex;

use super::ReadyChannel;

/// The most channels that wait for use.
pub(super) const MAX_READY: usize = 32;
/// How long one may wait: less than nodes let a silent channel stand (`channel_idle_seconds`, 120 by default).
pub(super) const MAX_AGE: Duration = Duration::from_secs(90);

/// A channel that waits, and the keys that chose its nodes.
pub(super) struct Waiting {
    pub(super) ready: ReadyChannel,
    pub(super) keys: Draw,
    pub(super) since: Instant,
}

/// The channels that wait.
#[derive(Default)]
pub(super) struct Pool(Mutex<Vec<Waiting>>);

impl Pool {
    /// Adds a channel, unless there are enough.
    pub(super) fn put(&self, ready: ReadyChannel, keys: Draw) {
        let mut waiting = self.0.lock();
        if waiting.len() < MAX_READY {
            waiting.push(Waiting { ready, keys, since: Instant::now() });
        }
    }

    /// Takes out the oldest channel that is fresh enough and that `suits`.
    pub(super) fn take(&self, suits: impl Fn(&Waiting) -> bool) -> Option<Waiting> {
        let mut waiting = self.0.lock();
        waiting.retain(|w| w.since.elapsed() < MAX_AGE);
        let index = waiting.iter().position(suits)?;
        Some(waiting.remove(index))
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        let mut waiting = self.0.lock();
        waiting.retain(|w| w.since.elapsed() < MAX_AGE);
        waiting.len()
    }

    /// Closes all that wait: their far ends, which are free again.
    pub(super) fn discard(&self) -> Vec<NodeId> {
        let waiting = std::mem::take(&mut *self.0.lock());
        waiting.iter().map(|w| w.ready.path.far_end).collect()
    }
}
