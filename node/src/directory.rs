//! The directory: verified certificates of other nodes, asked for when a connection comes about, so that a
//! lookup's answer needs no round trip more than the lookup.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anon::{
    certificate::NodeCertificate,
    id::NodeId,
    network::Network,
    request::{Request, Response},
    time::Time,
};
use libp2p::Multiaddr;
use net::{
    clock::Clock,
    link::{Carrier, LinkError, Links, peer_id},
    roster::RosterKeeper,
    shares::{RangeShare, Shares},
};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::dht::Seen;

/// How long a node may take to hand out its certificate.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Certificates asked for at once in the background.
const REFRESHES: usize = 32;
/// Nodes that wait to be asked.
const WAITING: usize = 1_024;
/// How long each of them waits.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(30);

/// Certificates of other nodes, at most a fixed number of them.
#[derive(Debug)]
pub(crate) struct Directory {
    network: Arc<Network>,
    links: Links,
    roster: Arc<RosterKeeper>,
    clock: Clock,
    capacity: usize,
    known: Mutex<BTreeMap<NodeId, (NodeCertificate, Time)>>,
    max_age: u64,
}

impl Directory {
    /// An empty directory; certificates older than `max_age` seconds are asked for again when needed.
    #[must_use]
    pub(crate) const fn new(
        network: Arc<Network>,
        links: Links,
        roster: Arc<RosterKeeper>,
        clock: Clock,
        capacity: usize,
        max_age: u64,
    ) -> Self {
        let known = Mutex::new(BTreeMap::new());
        Self { network, links, roster, clock, capacity, known, max_age }
    }

    /// The node's certificate, from memory or from the node.
    ///
    /// # Errors
    /// [`LinkError`] if it is not known and the node does not hand it out.
    pub(crate) async fn certificate(
        &self,
        node: NodeId,
        addresses: Vec<Multiaddr>,
    ) -> Result<NodeCertificate, LinkError> {
        let current = self.clock.now();
        let known = self.known.lock().get(&node).cloned();
        match known {
            Some((certificate, asked)) if current.0 <= asked.after(self.max_age).0 => {
                Ok(certificate)
            }
            _ => self.refresh(node, addresses).await,
        }
    }

    /// Asks the node for its certificate.
    ///
    /// # Errors
    /// [`LinkError`].
    pub(crate) async fn refresh(
        &self,
        node: NodeId,
        addresses: Vec<Multiaddr>,
    ) -> Result<NodeCertificate, LinkError> {
        let link = self.links.open_at(peer_id(&node)?, addresses, Carrier::Request).await?;
        match link.request(&Request::Certificate, TIMEOUT).await? {
            Response::Certificate(certificate) if certificate.claimed_node() == node => {
                let current = self.clock.now();
                let certificate = certificate
                    .verify(&self.network, current)
                    .map_err(|_| LinkError::Unreachable)?;
                self.insert(certificate.clone(), current);
                self.roster.met(certificate.clone());
                Ok(certificate)
            }
            _ => Err(LinkError::Unreachable),
        }
    }

    fn insert(&self, certificate: NodeCertificate, current: Time) {
        let mut known = self.known.lock();
        let node = certificate.node();
        if known.len() >= self.capacity && !known.contains_key(&node) {
            // The directory is full: the one that was asked for longest ago makes room.
            let oldest = known.iter().min_by_key(|(_, (_, asked))| *asked).map(|(n, _)| *n);
            if let Some(oldest) = oldest {
                known.remove(&oldest);
            }
        }
        known.insert(node, (certificate, current));
    }

    /// The certificate of a node that was met or is in the roster, without asking anybody.
    #[must_use]
    pub(crate) fn known(&self, node: &NodeId) -> Option<NodeCertificate> {
        let met = self.known.lock().get(node).cloned();
        let met = met.map(|(certificate, _)| certificate);
        let listed = self.roster.with(|roster| roster.certificate(node).cloned());
        match (met, listed) {
            (Some(met), Some(listed)) => Some(met.newer(listed)),
            (met, listed) => met.or(listed),
        }
    }

    /// Forgets what is known of a node, after it failed.
    pub(crate) fn forget(&self, node: &NodeId) {
        self.known.lock().remove(node);
    }

    /// Asks every node that the DHT connects to for its certificate, until there are no more. Who does not
    /// answer holds up others of its address range alone.
    pub(crate) async fn fill(self: Arc<Self>, mut seen: mpsc::Receiver<Seen>, share: RangeShare) {
        let waiting = Shares::new("nodes that wait to be asked", WAITING, 1, share);
        let asking = Arc::new(Shares::new("nodes that are asked", REFRESHES, 1, share));
        while let Some((caller, (node, addresses))) = seen.recv().await {
            // What is beyond a share is seen again, when it describes itself the next time.
            let Some(place) = waiting.take(caller, 1) else { continue };
            let (directory, asking) = (Arc::clone(&self), Arc::clone(&asking));
            tokio::spawn(async move {
                let Some(_turn) = asking.wait(caller, 1, REFRESH_TIMEOUT).await else { return };
                if directory.refresh(node, addresses).await.is_err() {
                    tracing::debug!("a neighbour did not hand out a certificate");
                }
                drop(place);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use net::shares::{Caller, Range};

    const HALF: RangeShare = RangeShare { percent: 50, unknown: 100 };

    #[tokio::test(flavor = "multi_thread")]
    async fn nodes_that_hand_out_nothing_hold_up_their_own_address_range_alone() {
        let (honest, _directory) = testing::node().await;
        let mut address = honest.addresses()[0].clone();
        address.pop();

        let network = Arc::new(honest.network().clone());
        let links = Links::disposable(testing::NETWORK).unwrap();
        let roster = Arc::new(RosterKeeper::open(Arc::clone(&network), None, Clock::default()));
        let directory =
            Arc::new(Directory::new(network, links, roster, Clock::default(), 100, 1_000));
        let (sender, seen) = mpsc::channel(2_000);
        let filling = tokio::spawn(Arc::clone(&directory).fill(seen, HALF));
        let see = |node: NodeId, from: &str, at: Multiaddr| {
            let range = Range::of(&from.parse().unwrap());
            let peer = peer_id(&node).unwrap();
            sender.try_send((Caller { peer, range }, (node, vec![at]))).unwrap();
        };
        // It takes calls and says nothing.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let silent = format!("/ip4/127.0.0.1/tcp/{}", silent.local_addr().unwrap().port());
        for number in 0..1_500_u16 {
            let identity = crate::Identity::from_seed(
                &[&number.to_be_bytes()[..], &[7; 30]].concat().try_into().unwrap(),
            );
            see(identity.unwrap().node(), "/ip4/127.66.0.1/tcp/1", silent.parse().unwrap());
        }
        see(honest.id(), "/ip4/127.1.0.1/tcp/1", address);
        let known = async {
            while directory.known(&honest.id()).is_none() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(TIMEOUT, known).await.expect("a place of the other half");
        filling.abort();
    }
}
