//! Once an epoch the node states itself to all keepers of the next view: where it is reached, and its channel key for it.
//!
//! It states the same several times, at moments that nobody knows before, so that a keeper that was away hears it. One key
//! belongs to one view, and a node that starts again states the same ([`super::keys`]).

use std::sync::Arc;

use anon::{
    id::NodeId,
    keeper::{
        charter::Charter,
        schedule::{Deadlines, Moment, Schedule},
    },
    keys::ChannelSecret,
    network::{Epoch, Network},
    request::view::ViewRequest,
    time::Time,
    view::{
        descriptor::{Addresses, Descriptor},
        keys::ViewKey,
        statement::UnverifiedNodeStatement,
    },
};
use futures::future::join_all;
use net::clock::Clock;
use parking_lot::Mutex;
use rand::RngExt as _;

use super::{exchange::Exchange, keys::KeysOnDisk, status::Board};
use crate::identity::Identity;

/// How often a node states itself for one view.
const TIMES: u64 = 3;

/// The moment until which a node may state itself for a view, the way to the keeper and a slow clock being allowed for.
fn latest(deadlines: &Deadlines, schedule: &Schedule) -> Moment {
    deadlines.statements_until.before(schedule.skew() + schedule.delay())
}

/// From this moment on every node states itself once more.
pub(crate) fn last_told(deadlines: &Deadlines, schedule: &Schedule) -> Moment {
    let window = latest(deadlines, schedule).0.saturating_sub(deadlines.opens.0) / TIMES;
    deadlines.opens.after((TIMES - 1) * window)
}

/// Takes what this node states itself, where it is a keeper.
pub(crate) type OwnEar = Arc<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// States a node.
pub(crate) struct Stater {
    pub(crate) network: Arc<Network>,
    pub(crate) charter: Charter,
    pub(crate) identity: Arc<Identity>,
    pub(crate) addresses: Addresses,
    pub(crate) clock: Clock,
    pub(crate) exchange: Arc<dyn Exchange>,
    /// Takes what the node states itself, if it is a keeper.
    pub(crate) own: Option<OwnEar>,
    pub(crate) keys: Arc<Mutex<KeysOnDisk>>,
    pub(crate) board: Arc<Board>,
}

impl Stater {
    /// States the node for every view, for as long as it runs.
    pub(crate) async fn run(self) {
        loop {
            let now = self.clock.moment();
            let present = self.network.epoch(Time(now.0 / 1_000));
            let Some(view) = self.charter.stated_for(present, now) else {
                // The first keepers are of a later epoch.
                self.clock.reach(self.begins(present.after(1))).await;
                continue;
            };
            let is_lost = self.keys.lock().take_loss();
            let end = if is_lost {
                tracing::warn!("this node stays out of the view of epoch {}", view.0);
                self.end_of(view)
            } else {
                self.state_for(view).await
            };
            self.clock.reach(end.after(1)).await;
        }
    }

    /// When an epoch begins.
    fn begins(&self, epoch: Epoch) -> Moment {
        Moment::at(self.network.begins(epoch))
    }

    /// Until when statements for a view are any use.
    fn end_of(&self, view: Epoch) -> Moment {
        self.charter
            .deadlines(view)
            .map_or_else(|| self.begins(view), |deadlines| deadlines.statements_until)
    }

    /// States the node for one view, and says until when that is any use.
    async fn state_for(&self, view: Epoch) -> Moment {
        let (Some(deadlines), Some(schedule)) =
            (self.charter.deadlines(view), self.charter.schedule(view))
        else {
            return self.begins(view);
        };
        self.clock.reach(deadlines.opens).await;
        let begins = self.clock.moment();
        let window = latest(&deadlines, &schedule).0.saturating_sub(begins.0) / TIMES;
        for number in 0..TIMES {
            let later = number * window + rand::rng().random_range(0..=window);
            self.clock.reach(begins.after(later)).await;
            self.state_to_all(view).await;
        }
        deadlines.statements_until
    }

    async fn state_to_all(&self, view: Epoch) {
        let Some(statement) = self.statement(view) else { return };
        let Some(keepers) = self.charter.keepers(view) else { return };
        let heard = keepers.keys().iter().map(async |key| {
            let (keeper, own) = (NodeId(key.0), self.identity.node());
            match &self.own {
                Some(ear) if keeper == own => ear(&statement),
                _ => {
                    let request = ViewRequest::State(statement.clone());
                    self.exchange.ask(&keeper, request).await.is_some()
                }
            }
        });
        let heard = join_all(heard).await.into_iter().filter(|heard| *heard).count();
        let all = keepers.keys().len();
        self.board.told(view, heard, all);
        tracing::debug!(view = view.0, "{heard} of {all} keepers took this node's statement");
    }

    /// The statement for a view: the same each time.
    fn statement(&self, view: Epoch) -> Option<Vec<u8>> {
        let (identity, network) = (&self.identity, &self.network.id);
        let make = || {
            let secret = ChannelSecret::generate(&mut rand::rng());
            let (node, key) = (identity.node(), secret.agreement_key());
            let descriptor = Descriptor::new(node, key, self.addresses, None).ok()?;
            let statement =
                UnverifiedNodeStatement::issue(identity.secret(), network, view, descriptor, None);
            Some(ViewKey { secret, statement: statement.encode() })
        };
        match self.keys.lock().statement(view, make) {
            Ok(statement) => statement,
            Err(error) => {
                tracing::error!(%error, "the channel key of a view cannot be written, and is not stated");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use anon::{id::NetworkId, request::view::ViewRequest};
    use futures::future::BoxFuture;
    use net::NetworkFile;

    use super::*;
    use crate::view::address::stated;

    /// Takes what is stated to anybody.
    #[derive(Default)]
    struct Ear(Mutex<Vec<(Moment, NodeId, Vec<u8>)>>, Clock);

    impl Exchange for Ear {
        fn ask<'a>(
            &'a self,
            node: &'a NodeId,
            request: ViewRequest,
        ) -> BoxFuture<'a, Option<Vec<u8>>> {
            let ViewRequest::State(statement) = request else { panic!("not stated") };
            self.0.lock().push((self.1.moment(), *node, statement));
            Box::pin(std::future::ready(Some(Vec::new())))
        }
    }

    /// What was stated to three other keepers and to the node itself, in two hundred seconds from the beginning of epoch 7.
    struct Stated {
        network: NetworkId,
        charter: Charter,
        others: Vec<(Moment, NodeId, Vec<u8>)>,
        own: Vec<Vec<u8>>,
    }

    impl Stated {
        /// What the others were told for the view of an epoch.
        fn of(&self, view: Epoch) -> Vec<&(Moment, NodeId, Vec<u8>)> {
            let is_of = |bytes: &[u8]| {
                UnverifiedNodeStatement::decode(bytes).unwrap().verify(&self.network, view).is_ok()
            };
            self.others.iter().filter(|(_, _, bytes)| is_of(bytes)).collect()
        }
    }

    async fn stated_from(directory: &Path) -> Stated {
        let peers: Vec<String> = (1..=4)
            .map(|seed| {
                let peer = net::peer_id(&Identity::from_seed(&[seed; 32]).unwrap().node()).unwrap();
                format!("'/ip4/192.0.2.{seed}/tcp/1/p2p/{peer}'")
            })
            .collect();
        let text = format!(
            "name = 'test.alt'\nk = 1\nepoch_seconds = 100\nround_milliseconds = 1000\n\
             [[keepers]]\nfrom_epoch = 0\nnodes = [{}]",
            peers.join(",")
        );
        let network = NetworkFile::parse(&text).unwrap().network().unwrap();
        let charter = network.charter.clone().unwrap();
        let clock = Clock::stopped_at(Time(700));
        let ear = Arc::new(Ear(Mutex::default(), clock.clone()));
        let identity = Arc::new(Identity::from_seed(&[1; 32]).unwrap());
        let own: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let heard = Arc::clone(&own);
        let addresses = stated(&["/ip4/192.0.2.9/tcp/7".parse().unwrap()]).unwrap();
        let exchange: Arc<dyn Exchange> = Arc::clone(&ear) as _;
        let (network, ear_of_own) = (
            Arc::new(network),
            Some(Arc::new(move |bytes: &[u8]| {
                heard.lock().push(bytes.to_vec());
                true
            }) as OwnEar),
        );
        let id = network.id;
        let stater = Stater {
            charter: charter.clone(),
            clock: clock.clone(),
            keys: Arc::new(Mutex::new(KeysOnDisk::open(directory, identity.secret(), &id))),
            own: ear_of_own,
            board: Arc::new(Board::new(directory, identity.node(), Arc::clone(&network))),
            network,
            identity,
            addresses,
            exchange,
        };
        let running = tokio::spawn(stater.run());
        for second in 700..900 {
            clock.set(Time(second));
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
        }
        running.abort();
        let (others, own) = (ear.0.lock().clone(), own.lock().clone());
        Stated { network: id, charter, others, own }
    }

    #[tokio::test]
    async fn the_same_is_stated_to_all_keepers_in_time_and_another_key_for_the_next_view() {
        let directory = tempfile::tempdir().unwrap();
        let all = stated_from(directory.path()).await;
        let mut keys = Vec::new();
        for view in [Epoch(8), Epoch(9)] {
            let (deadlines, schedule) =
                (all.charter.deadlines(view).unwrap(), all.charter.schedule(view).unwrap());
            let stated = all.of(view);
            assert_eq!(stated.len(), 3 * 3, "three times to the three other keepers");
            let first = &stated[0].2;
            assert!(stated.iter().all(|(_, _, bytes)| bytes == first));
            assert!(stated.iter().all(|(at, ..)| *at <= deadlines.statements_until));
            let last = last_told(&deadlines, &schedule);
            let late = stated.iter().filter(|(at, ..)| *at >= last).count();
            assert!(late >= 3, "who begins to listen at {last:?} hears it from {late}");
            assert!(all.own.iter().filter(|bytes| *bytes == first).count() == 3);
            keys.push(first.clone());
        }
        assert_ne!(keys[0], keys[1]);
    }

    #[tokio::test]
    async fn a_node_that_has_lost_its_keys_stays_out_of_one_view() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("view-keys.sealed"), "damaged").unwrap();
        let all = stated_from(directory.path()).await;
        assert_eq!(all.of(Epoch(8)).len(), 0, "it may have stated something else for this one");
        assert_eq!(all.of(Epoch(9)).len(), 3 * 3);
    }
}
