//! Measuring: each node that stated itself is dialled at each address that it states, as a stranger would.
//!
//! Each attempt has an identity and a connection of its own, so that no node knows by its name who measures it, and no
//! connection that is there already is taken for an answer. When it comes is drawn at random. A node is reached at an
//! address if it proves there that it is that node, and hands out its certificate, which this network must accept: so a
//! node without the admission that its network wants is not reached. Those that stood in the view before and strangers are
//! measured in two rows of [`AT_ONCE`], so that no number of strangers at dead addresses holds the others up.

use std::{pin::pin, sync::Arc, time::Duration};

use anon::{
    id::NodeId,
    keeper::{schedule::Moment, vote::Reached},
    network::Network,
    request::{Request, Response},
    view::statement::NodeStatement,
};
use futures::{StreamExt as _, future::BoxFuture, stream};
use libp2p::Multiaddr;
use net::{Carrier, Links, Transport, clock::Clock, peer_id};
use rand::RngExt as _;

use crate::view::address;

/// How many nodes are dialled at once, of those that stood in the view before, and of the others.
const AT_ONCE: usize = 32;
/// How often a node that does not answer is tried.
const TRIES: usize = 2;
/// How long the answer on a link may take, over TCP.
const ANSWER: Duration = Duration::from_secs(5);

/// Where a keeper can reach nodes, and where not.
pub(crate) trait Probe: Send + Sync + 'static {
    /// Whether this node answers at this address.
    fn reaches<'a>(&'a self, node: NodeId, at: Multiaddr) -> BoxFuture<'a, bool>;

    /// Where an onion is dialled; `None` if this keeper has no Tor, so that it does not vote on onions.
    fn onion_of(&self, statement: &NodeStatement) -> Option<Multiaddr>;
}

/// Dials nodes over links of disposable identities.
pub(crate) struct Prober {
    pub(crate) network: Arc<Network>,
    pub(crate) clock: Clock,
    #[cfg(feature = "tor")]
    pub(crate) tor: Option<tor::Tor>,
    /// Whether TCP addresses are dialled over Tor as well: this machine has nothing else.
    pub(crate) is_only_tor: bool,
}

impl Prober {
    #[cfg(feature = "tor")]
    fn transport(&self, at: &Multiaddr) -> Option<Transport> {
        if net::is_onion(at) || self.is_only_tor {
            return self.tor.clone().map(Transport::Tor);
        }
        Some(Transport::Tcp)
    }

    #[cfg(not(feature = "tor"))]
    fn transport(&self, at: &Multiaddr) -> Option<Transport> {
        (!net::is_onion(at) && !self.is_only_tor).then_some(Transport::Tcp)
    }

    async fn certificate(&self, node: NodeId, at: Multiaddr) -> Option<Response> {
        let links = Links::disposable_over(&self.network.name, &self.transport(&at)?).ok()?;
        let peer = peer_id(&node).ok()?;
        let link = links.open_at(peer, vec![at], Carrier::Request).await.ok()?;
        link.request(&Request::Certificate, ANSWER).await.ok()
    }
}

impl Probe for Prober {
    fn reaches<'a>(&'a self, node: NodeId, at: Multiaddr) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            let Some(Response::Certificate(own)) = self.certificate(node, at).await else {
                return false;
            };
            own.verify(&self.network, self.clock.now()).is_ok_and(|own| own.node() == node)
        })
    }

    #[cfg(feature = "tor")]
    fn onion_of(&self, statement: &NodeStatement) -> Option<Multiaddr> {
        self.tor.as_ref()?;
        address::of_onion(statement.descriptor().addresses().onion()?)
    }

    #[cfg(not(feature = "tor"))]
    fn onion_of(&self, _: &NodeStatement) -> Option<Multiaddr> {
        None
    }
}

/// Measures nodes until a moment, those that are known and strangers, and tells `found` where each was reached.
pub(crate) async fn measure(
    probe: &dyn Probe,
    clock: &Clock,
    until: Moment,
    known_and_strangers: [Vec<NodeStatement>; 2],
    found: impl Fn(&NodeStatement, Reached),
) {
    let [known, strangers] =
        known_and_strangers.map(|row| measure_row(probe, clock, until, row, &found));
    let both = pin!(async { tokio::join!(known, strangers) });
    let end = pin!(clock.reach(until));
    futures::future::select(both, end).await;
}

async fn measure_row(
    probe: &dyn Probe,
    clock: &Clock,
    until: Moment,
    statements: Vec<NodeStatement>,
    found: &impl Fn(&NodeStatement, Reached),
) {
    let now = clock.moment();
    // The last ones, too, have time to answer.
    let window = until.0.saturating_sub(now.0) * 3 / 4;
    let draw = |statement| (now.after(rand::rng().random_range(0..=window)), statement);
    let mut row: Vec<(Moment, NodeStatement)> = statements.into_iter().map(draw).collect();
    row.sort_by_key(|(at, _)| *at);
    let one = async |(at, statement): (Moment, NodeStatement)| {
        clock.reach(at).await;
        if let Some(reached) = measure_one(probe, &statement).await {
            found(&statement, reached);
        }
    };
    stream::iter(row).for_each_concurrent(AT_ONCE, one).await;
}

/// Where a node is reached of the addresses that it states.
async fn measure_one(probe: &dyn Probe, statement: &NodeStatement) -> Option<Reached> {
    let addresses = statement.descriptor().addresses();
    let tcp = addresses.tcp().map(address::of_tcp);
    let node = statement.descriptor().node();
    let [tcp, onion] = [tcp, probe.onion_of(statement)].map(async |at| match at {
        Some(at) => tries(probe, node, at).await,
        None => false,
    });
    match tokio::join!(tcp, onion) {
        (true, true) => Some(Reached::Both),
        (true, false) => Some(Reached::Tcp),
        (false, true) => Some(Reached::Onion),
        (false, false) => None,
    }
}

async fn tries(probe: &dyn Probe, node: NodeId, at: Multiaddr) -> bool {
    for _ in 0..TRIES {
        if probe.reaches(node, at.clone()).await {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeMap,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use anon::{
        keys::ChannelSecret,
        network::Epoch,
        time::Time,
        view::{descriptor::Descriptor, statement::UnverifiedNodeStatement},
    };
    use parking_lot::Mutex;

    use super::*;
    use crate::{Identity, testing};

    /// What the node with this identity states, be it at its own address or at another one's.
    fn statement(network: &Network, identity: &Identity, addresses: &[Multiaddr]) -> NodeStatement {
        let key = ChannelSecret::from_seed(&[9; 32]).agreement_key();
        let addresses = address::stated(addresses).unwrap();
        let descriptor = Descriptor::new(identity.node(), key, addresses, None).unwrap();
        let (secret, epoch) = (identity.secret(), Epoch(5));
        let stated = UnverifiedNodeStatement::issue(secret, &network.id, epoch, descriptor, None);
        stated.verify(&network.id, epoch).unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_states_an_address_at_which_somebody_else_answers_is_not_reached() {
        let (node, _directory) = testing::node().await;
        let service = node.service();
        let network = Arc::clone(&service.network);
        let prober = Prober {
            network: Arc::clone(&network),
            clock: Clock::default(),
            #[cfg(feature = "tor")]
            tor: None,
            is_only_tor: false,
        };
        let at = node.addresses();
        let honest = statement(&network, &service.identity, &at);
        let liar = statement(&network, &Identity::from_seed(&[3; 32]).unwrap(), &at);
        let dead = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
        let nowhere = statement(&network, &service.identity, &[dead]);
        assert_eq!(measure_one(&prober, &honest).await, Some(Reached::Tcp));
        assert_eq!(measure_one(&prober, &liar).await, None);
        assert_eq!(measure_one(&prober, &nowhere).await, None);
    }

    /// Reaches those whose id begins with an even byte, and counts how many it asks at once.
    struct Town {
        clock: Clock,
        now: AtomicUsize,
        most: AtomicUsize,
        asked: Mutex<BTreeMap<NodeId, (usize, Moment)>>,
    }

    impl Probe for Town {
        fn reaches<'a>(&'a self, node: NodeId, _: Multiaddr) -> BoxFuture<'a, bool> {
            Box::pin(async move {
                let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
                self.most.fetch_max(now, Ordering::SeqCst);
                self.asked.lock().entry(node).or_insert_with(|| (0, self.clock.moment())).0 += 1;
                self.clock.reach(self.clock.moment().after(10)).await;
                self.now.fetch_sub(1, Ordering::SeqCst);
                node.0[0].is_multiple_of(2)
            })
        }

        fn onion_of(&self, _: &NodeStatement) -> Option<Multiaddr> {
            None
        }
    }

    #[tokio::test]
    async fn all_are_tried_at_random_times_a_limited_number_at_once_and_not_after_the_end() {
        let clock = Clock::stopped_at(Time(100));
        let town = Arc::new(Town {
            clock: clock.clone(),
            now: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            asked: Mutex::default(),
        });
        let network = net::NetworkFile::parse("name = 'test.alt'").unwrap().network().unwrap();
        let all: Vec<_> = (0..200)
            .map(|seed| {
                let at = format!("/ip4/192.0.2.{seed}/tcp/1").parse().unwrap();
                statement(&network, &Identity::from_seed(&[seed; 32]).unwrap(), &[at])
            })
            .collect();
        let (known, strangers) = all.split_at(100);
        let rows = [known.to_vec(), strangers.to_vec()];
        let reached: Arc<Mutex<Vec<NodeId>>> = Arc::default();
        let until = clock.moment().after(10_000);
        let running = tokio::spawn({
            let (town, clock, reached) = (Arc::clone(&town), clock.clone(), Arc::clone(&reached));
            async move {
                let found = |statement: &NodeStatement, at| {
                    assert_eq!(at, Reached::Tcp);
                    reached.lock().push(statement.descriptor().node());
                };
                measure(&*town, &clock, until, rows, found).await;
            }
        });
        while clock.moment() < until {
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            clock.set_to(clock.moment().after(5));
        }
        running.await.unwrap();
        let asked = town.asked.lock().clone();
        assert_eq!(asked.len(), 200);
        let mut expected: Vec<NodeId> = asked.keys().copied().collect();
        assert!(expected.iter().all(|n| asked[n].0 == 1 + usize::from(n.0[0] % 2)));
        expected.retain(|node| node.0[0].is_multiple_of(2));
        reached.lock().sort();
        assert_eq!(*reached.lock(), expected);
        let late = asked.values().filter(|(_, at)| at.0 > until.0 - 5_000).count();
        assert!((20..120).contains(&late), "{late} of 200 were tried in the second half");
        assert!(town.most.load(Ordering::SeqCst) <= 2 * AT_ONCE);
    }
}
