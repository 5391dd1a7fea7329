//! Garbage collection (paper, 2.3): walk the stored keys in order, from either end, and drop what this node is
//! no longer among the k closest for. On a timer, and when a store needs room. What is past its time goes first,
//! all of it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ageing::Ageing;
use anon::{id::NodeId, network::Network, position::Key};
use futures::{StreamExt as _, stream};
use net::{clock::Clock, roster::RosterKeeper};
use tokio::sync::Mutex;

use crate::{
    config::Limits,
    dht::Dht,
    store::{Direction, Store, StoreError},
};

mod ageing;
#[cfg(test)]
mod tests;

/// Keys read from the store at once.
const STEP: usize = 16;
/// Keys looked up at once.
const AT_ONCE: usize = 4;
/// Expired objects and notifications dropped in one transaction: others write in between.
const EXPIRED: u32 = 500;
/// How long a store that needs room looks for garbage, and if it was in vain does not look again: whoever stores
/// waits meanwhile, and strangers who go on storing do not have it look things up all the time.
const PAUSE: Duration = Duration::from_secs(10);
/// How long whoever stores waits for a collection that others have begun: that of the timer may take minutes.
const TURN: Duration = Duration::from_secs(3);
/// A search that took no longer, and looked nothing up, may be made again at once.
const QUICK: Duration = Duration::from_millis(100);

/// What one collection did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Collected {
    /// Keys looked at.
    pub(crate) looked_at: usize,
    /// Keys that were looked up in the network and stay.
    pub(crate) stayed: usize,
    /// What was freed, as it counts in the store, bytes.
    pub(crate) freed: u64,
}

/// Collects garbage, one collection at a time.
#[derive(Debug)]
pub(crate) struct Collector {
    store: Store,
    dht: Dht,
    network: Arc<Network>,
    roster: Arc<RosterKeeper>,
    local: NodeId,
    clock: Clock,
    keys: usize,
    longest: Duration,
    running: Mutex<State>,
}

/// How far the walk has come from each end, and what is known of the time.
#[derive(Debug, Default)]
struct State {
    ascending: Option<[u8; 32]>,
    descending: Option<[u8; 32]>,
    from_the_top: bool,
    ageing: Option<Ageing>,
    /// When a search for room was in vain.
    vain: Option<Instant>,
}

/// What ends a walk before it has gone once round.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// So many keys were looked up in vain.
    keys: usize,
    /// So much was freed, bytes.
    enough: u64,
    /// So much time has passed.
    longest: Duration,
}

impl Bounds {
    /// Whether a walk that did this, and took so long, goes no further.
    fn end(&self, collected: &Collected, took: Duration) -> bool {
        collected.stayed >= self.keys || collected.freed >= self.enough || took >= self.longest
    }
}

/// Whether a key is still this node's to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// The roster says so.
    Ours,
    /// A lookup says so, or says nothing.
    Stays,
    /// It is not.
    Garbage,
}

impl Collector {
    pub(crate) fn new(
        store: Store,
        dht: Dht,
        network: Arc<Network>,
        roster: Arc<RosterKeeper>,
        local: NodeId,
        clock: Clock,
        limits: &Limits,
    ) -> Self {
        let running = Mutex::new(State::default());
        let longest = Duration::from_secs(limits.garbage_seconds);
        let keys = limits.garbage_keys;
        Self { store, dht, network, roster, local, clock, keys, longest, running }
    }

    /// Tries to free at least `bytes`, as they count in the store; callers that come meanwhile wait for their
    /// turn, three seconds at most.
    pub(crate) async fn make_room(&self, bytes: u64) -> Collected {
        let turn = tokio::time::timeout(TURN, self.running.lock()).await;
        let Ok(mut state) = turn else { return Collected::default() };
        if state.vain.is_some_and(|vain| vain.elapsed() < PAUSE) {
            return Collected::default();
        }
        let began = Instant::now();
        let collected = self.collect(&mut state, bytes, PAUSE).await;
        state.vain = was_vain(&collected, bytes, began.elapsed()).then(Instant::now);
        collected
    }

    /// Drops what is past its time, and looks for garbage as long as one collection may.
    pub(crate) async fn tidy(&self) -> Collected {
        let mut state = self.running.lock().await;
        self.collect(&mut state, u64::MAX, self.longest).await
    }

    async fn collect(&self, state: &mut State, enough: u64, longest: Duration) -> Collected {
        let expired = match self.expire(state).await {
            Ok(expired) => expired,
            Err(error) => {
                tracing::warn!(%error, "expired objects stay");
                0
            }
        };
        let bounds = Bounds { keys: self.keys, enough: enough.saturating_sub(expired), longest };
        let collected = self.walk(state, bounds).await;
        tracing::debug!(?collected, expired, "collected garbage");
        Collected { freed: collected.freed.saturating_add(expired), ..collected }
    }

    /// Drops all that is past its time, in steps; what that freed, bytes.
    async fn expire(&self, state: &mut State) -> Result<u64, StoreError> {
        let mut ageing = match state.ageing.take() {
            Some(ageing) => ageing,
            None => Ageing::since(self.store.noted_time().await?),
        };
        let time = ageing.at(self.clock.now().0, Instant::now());
        state.ageing = Some(ageing);
        let before = self.store.usage().await?.bytes;
        while self.store.expire(time, EXPIRED).await? == EXPIRED {
            tokio::task::yield_now().await;
        }
        let freed = before.saturating_sub(self.store.usage().await?.bytes);
        self.store.note_time(time).await?;
        Ok(freed)
    }

    /// Walks the keys, each walk from the other end, where the last one from there stopped, and once round. Where
    /// its bounds end it earlier, the next one goes on.
    async fn walk(&self, state: &mut State, bounds: Bounds) -> Collected {
        let mut collected = Collected::default();
        state.from_the_top = !state.from_the_top;
        let (direction, cursor) = if state.from_the_top {
            (Direction::Descending, &mut state.descending)
        } else {
            (Direction::Ascending, &mut state.ascending)
        };
        let (began, start) = (Instant::now(), *cursor);
        let mut wrapped = start.is_none();
        'walk: while !bounds.end(&collected, began.elapsed()) {
            let Ok(keys) = self.store.keys(*cursor, direction, STEP).await else { break };
            if keys.is_empty() {
                *cursor = None;
                if wrapped {
                    break;
                }
                wrapped = true;
                continue;
            }
            let mut verdicts = stream::iter(keys)
                .map(async |usage| (usage.key, self.judge(Key(usage.key)).await))
                .buffered(AT_ONCE);
            while let Some((key, verdict)) = verdicts.next().await {
                if wrapped && start.is_some_and(|start| beyond(direction, key, start)) {
                    break 'walk;
                }
                *cursor = Some(key);
                collected.looked_at += 1;
                collected.stayed += usize::from(verdict == Verdict::Stays);
                if verdict == Verdict::Garbage {
                    collected.freed += self.store.drop_key(key).await.unwrap_or(0);
                }
                if bounds.end(&collected, began.elapsed()) {
                    break 'walk;
                }
            }
        }
        collected
    }

    /// It is garbage if at least k other nodes are closer, by a lookup and by the roster of the last epoch, which
    /// is what readers of the guarded scheme go by. In doubt it is not.
    async fn judge(&self, key: Key) -> Verdict {
        let (k, epoch) = (self.network.k, self.network.epoch(self.clock.now()));
        let stated = self.roster.with(|roster| roster.stated(&key, k, epoch));
        if stated.iter().any(|n| n.node() == self.local) {
            return Verdict::Ours;
        }
        match self.dht.lookup(key, k).await {
            Ok(closest) if closest.len() >= k && !closest.iter().any(|(n, _)| *n == self.local) => {
                Verdict::Garbage
            }
            Ok(_) | Err(_) => Verdict::Stays,
        }
    }
}

/// Whether a collection that should free so many bytes did not, and cost lookups or time.
fn was_vain(collected: &Collected, bytes: u64, took: Duration) -> bool {
    collected.freed < bytes && (collected.stayed > 0 || took > QUICK)
}

/// Whether a walk in this direction comes to `start` before `key`.
fn beyond(direction: Direction, key: [u8; 32], start: [u8; 32]) -> bool {
    match direction {
        Direction::Ascending => key > start,
        Direction::Descending => key < start,
    }
}
