//! The directory: verified certificates of other nodes, asked for when a connection comes about, so that a
//! lookup's answer needs no round trip more than the lookup.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anon::{
    certificate::{NodeCertificate, NodeId},
    network::Network,
    request::{Request, Response},
    time::Time,
};
use libp2p::Multiaddr;
use tokio::sync::{Semaphore, mpsc};

use crate::{
    clock::now,
    link::{Carrier, LinkError, Links, peer_id},
    roster::RosterKeeper,
    substrate::Found,
};

/// How long a node may take to hand out its certificate.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Certificates asked for at once in the background.
const REFRESHES: usize = 32;

/// Certificates of other nodes, at most a fixed number of them.
#[derive(Debug)]
pub struct Directory {
    network: Arc<Network>,
    links: Links,
    roster: Arc<RosterKeeper>,
    capacity: usize,
    known: Mutex<BTreeMap<NodeId, (NodeCertificate, Time)>>,
    max_age: u64,
}

impl Directory {
    /// An empty directory; certificates older than `max_age` seconds are asked for again when needed.
    #[must_use]
    pub const fn new(
        network: Arc<Network>,
        links: Links,
        roster: Arc<RosterKeeper>,
        capacity: usize,
        max_age: u64,
    ) -> Self {
        Self { network, links, roster, capacity, known: Mutex::new(BTreeMap::new()), max_age }
    }

    /// The node's certificate, from memory or from the node.
    ///
    /// # Errors
    /// [`LinkError`] if it is not known and the node does not hand it out.
    pub async fn certificate(
        &self,
        node: NodeId,
        addresses: Vec<Multiaddr>,
    ) -> Result<NodeCertificate, LinkError> {
        let current = now();
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&node).cloned();
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
    pub async fn refresh(
        &self,
        node: NodeId,
        addresses: Vec<Multiaddr>,
    ) -> Result<NodeCertificate, LinkError> {
        let link = self.links.open_at(peer_id(&node)?, addresses, Carrier::Request).await?;
        match link.request(&Request::Certificate, TIMEOUT).await? {
            Response::Certificate(certificate) if certificate.claimed_node() == node => {
                let current = now();
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
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
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
    pub fn known(&self, node: &NodeId) -> Option<NodeCertificate> {
        let met = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(node).cloned();
        let met = met.map(|(certificate, _)| certificate);
        let listed = self.roster.with(|roster| roster.certificate(node).cloned());
        match (met, listed) {
            (Some(met), Some(listed)) => Some(met.newer(listed)),
            (met, listed) => met.or(listed),
        }
    }

    /// Forgets what is known of a node, after it failed.
    pub fn forget(&self, node: &NodeId) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(node);
    }

    /// Asks every node that the substrate connects to for its certificate, until there are no more.
    pub(crate) async fn fill(self: Arc<Self>, mut seen: mpsc::Receiver<Found>) {
        let permits = Arc::new(Semaphore::new(REFRESHES));
        while let Some((node, addresses)) = seen.recv().await {
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
            let directory = Arc::clone(&self);
            tokio::spawn(async move {
                if directory.refresh(node, addresses).await.is_err() {
                    tracing::debug!("a neighbour did not hand out a certificate");
                }
                drop(permit);
            });
        }
    }
}
