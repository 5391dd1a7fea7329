//! A keeper: a node that makes, with the network's other keepers, the view of each epoch (`docs/protocol.md`).
//!
//! What keepers exchange, and what each of them may sign, is `anon::keeper`, which knows no clock, disk or network. This is
//! what gives it all three.
//!
//! | module | what it does |
//! |---|---|
//! | [`statements`] | takes what nodes state, within bounds |
//! | [`measure`] | dials the nodes that stated themselves |
//! | [`work`] | all that is known for the view of one epoch, and what is due next |
//! | [`answer`] | answers nodes and keepers |
//! | [`exchange`] | sends chains, and fetches votes and signatures |
//! | [`gather`] | fetches what the votes name and is not here, and computes the view |
//! | [`sign`] | promises, records, signs; says that there is no view |
//! | [`late`] | finds a view that others have, and keeps the one that a quorum signed |
//! | [`record`] | the promise and the vote on disk |
//! | [`evidence`] | proof against whoever showed two faces, on disk |
//! | [`status`] | `keeper.json`, which `cutout keeper status` reads |
//! | [`driver`] | one loop by the deadlines of the epoch |

mod answer;
mod driver;
mod evidence;
mod exchange;
mod gather;
mod late;
mod measure;
mod record;
mod sign;
mod statements;
pub(crate) mod status;
mod work;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use anon::{
    id::NodeId,
    keeper::{charter::Charter, signing::Promises, vote::VoteDigest},
    keys::{KeeperSecret, SigningSecret as _},
    network::{Epoch, Network},
    time::Time,
};
use net::{clock::Clock, shares::RangeShare};
use parking_lot::Mutex;
use tokio::{sync::Notify, task::AbortHandle};

use crate::view::{exchange::Exchange, kept::Views};
use evidence::Evidence;
use exchange::Line;
use measure::Probe;
pub(crate) use record::Disk;
use status::Board;
use work::Work;

pub(crate) use measure::Prober;
pub use record::RecordError;

/// A keeper that works.
#[derive(derive_more::Debug)]
#[debug("Keeper(..)")]
pub(crate) struct Keeper {
    network: Arc<Network>,
    charter: Charter,
    secret: KeeperSecret,
    clock: Clock,
    exchange: Arc<dyn Exchange>,
    probe: Arc<dyn Probe>,
    views: Arc<Views>,
    /// The network file's revocation list, encoded.
    revocations: Option<Vec<u8>>,
    /// What other lists revoke, by their digests.
    other_lists: Mutex<BTreeMap<[u8; 32], BTreeSet<NodeId>>>,
    /// What one address range may have of the room for strangers.
    share: RangeShare,
    disk: Disk,
    /// Whoever holds it writes the record.
    promises: tokio::sync::Mutex<Promises>,
    evidence: Evidence,
    board: Board,
    /// What is known for the views of the present epoch and of the next.
    works: Mutex<BTreeMap<Epoch, Work>>,
    lines: BTreeMap<NodeId, Line>,
    fetches: Mutex<BTreeMap<VoteDigest, Vec<AbortHandle>>>,
    /// Something has come that may make something due.
    wake: Notify,
}

/// What a keeper is made of.
pub(crate) struct Means<'a> {
    pub(crate) directory: &'a Path,
    pub(crate) network: Arc<Network>,
    pub(crate) charter: Charter,
    pub(crate) secret: KeeperSecret,
    pub(crate) clock: Clock,
    pub(crate) exchange: Arc<dyn Exchange>,
    pub(crate) probe: Prober,
    pub(crate) views: Arc<Views>,
    pub(crate) revocations: Option<Vec<u8>>,
    pub(crate) share: RangeShare,
}

impl Keeper {
    /// The keeper of a node, which has promised what its record says.
    ///
    /// # Errors
    /// [`RecordError`].
    pub(crate) fn open(means: Means<'_>) -> Result<Self, RecordError> {
        let Means { directory, network, charter, secret, clock, exchange, probe, views, .. } =
            means;
        let disk = Disk::new(directory);
        let promises = disk.promises()?;
        let own = NodeId(secret.verify_key().0);
        let others = charter.all_keepers().map(|key| NodeId(key.0)).filter(|node| *node != own);
        Ok(Self {
            views,
            lines: others.map(|node| (node, Line::default())).collect(),
            evidence: Evidence::new(directory),
            board: Board::new(directory),
            promises: tokio::sync::Mutex::new(promises),
            probe: Arc::new(probe),
            revocations: means.revocations,
            share: means.share,
            other_lists: Mutex::default(),
            works: Mutex::default(),
            fetches: Mutex::default(),
            wake: Notify::new(),
            disk,
            network,
            charter,
            secret,
            clock,
            exchange,
        })
    }

    /// The epoch that it is now.
    fn present(&self) -> Epoch {
        self.network.epoch(Time(self.clock.moment().0 / 1_000))
    }

    /// Uses what is known for the view of an epoch; `None` if nothing is done for it any more.
    fn with<T>(&self, epoch: Epoch, use_it: impl FnOnce(&mut Work) -> T) -> Option<T> {
        self.works.lock().get_mut(&epoch).map(use_it)
    }
}
