//! Garbage collection (paper, 2.3): walk the stored keys in order, from either end, and drop what this node is
//! no longer among the k closest for. On a timer, and when a store needs room.

use std::sync::Arc;

use anon::{certificate::NodeId, network::Network, position::Key};
use tokio::sync::Mutex;

use crate::{
    clock::now,
    config::Limits,
    roster::RosterKeeper,
    store::{Direction, Store},
    substrate::Substrate,
};

/// Keys read from the store at once.
const STEP: usize = 16;
/// Expired objects and notifications dropped at once.
const EXPIRED: u32 = 1_000;

/// What one collection did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Collected {
    /// Keys looked at.
    pub(crate) looked_at: usize,
    /// Payload bytes freed.
    pub(crate) freed: u64,
}

/// Collects garbage, one collection at a time.
#[derive(Debug)]
pub(crate) struct Collector {
    store: Store,
    substrate: Substrate,
    network: Arc<Network>,
    roster: Arc<RosterKeeper>,
    local: NodeId,
    keys: usize,
    running: Mutex<Ends>,
}

/// How far the walk has come from each end.
#[derive(Debug, Default)]
struct Ends {
    ascending: Option<[u8; 32]>,
    descending: Option<[u8; 32]>,
    from_the_top: bool,
}

impl Collector {
    pub(crate) fn new(
        store: Store,
        substrate: Substrate,
        network: Arc<Network>,
        roster: Arc<RosterKeeper>,
        local: NodeId,
        limits: &Limits,
    ) -> Self {
        let running = Mutex::new(Ends::default());
        Self { store, substrate, network, roster, local, keys: limits.garbage_keys, running }
    }

    /// Tries to free at least `bytes`; callers that come meanwhile wait for their turn.
    pub(crate) async fn make_room(&self, bytes: u64) -> Collected {
        self.collect(bytes).await
    }

    /// Looks at as many keys as one collection may.
    pub(crate) async fn tidy(&self) -> Collected {
        self.collect(u64::MAX).await
    }

    async fn collect(&self, enough: u64) -> Collected {
        let mut ends = self.running.lock().await;
        let mut collected = Collected::default();
        if let Err(error) = self.store.expire(now().0, EXPIRED).await {
            tracing::warn!(%error, "expired objects stay");
        }
        // Each collection starts at the other end, where the last one from there stopped, and goes once round.
        ends.from_the_top = !ends.from_the_top;
        let direction =
            if ends.from_the_top { Direction::Descending } else { Direction::Ascending };
        let cursor = if ends.from_the_top { &mut ends.descending } else { &mut ends.ascending };
        let mut whole_walk = cursor.is_none();
        while collected.looked_at < self.keys && collected.freed < enough {
            let Ok(keys) = self.store.keys(*cursor, direction, STEP).await else { break };
            if keys.is_empty() {
                *cursor = None;
                if whole_walk {
                    break;
                }
                whole_walk = true;
            }
            for usage in keys {
                if collected.looked_at == self.keys || collected.freed >= enough {
                    break;
                }
                *cursor = Some(usage.key);
                collected.looked_at += 1;
                if self.is_garbage(Key(usage.key)).await {
                    collected.freed += self.store.drop_key(usage.key).await.unwrap_or(0);
                }
            }
        }
        tracing::debug!(?collected, "collected garbage");
        collected
    }

    /// Whether at least k other nodes are closer, by a lookup and by the roster of the last epoch, which is what
    /// readers of the guarded scheme go by. In doubt it is not.
    async fn is_garbage(&self, key: Key) -> bool {
        let (k, epoch) = (self.network.k, self.network.epoch(now()));
        let stated = self.roster.with(|roster| roster.stated(&key, k, epoch));
        if stated.iter().any(|n| n.node() == self.local) {
            return false;
        }
        match self.substrate.closest(key, self.network.k).await {
            Ok(closest) => {
                closest.len() >= self.network.k && !closest.iter().any(|(n, _)| *n == self.local)
            }
            Err(_) => false,
        }
    }
}
