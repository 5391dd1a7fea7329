//! Accepts links and serves them, as many at once as the limits allow. A peer that is refused sees its stream
//! end, whatever the reason.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anon::{network::Network, request::Request};
use futures::future::BoxFuture;
use libp2p::PeerId;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{
    channel::{ChannelContext, serve_channel},
    config::Limits,
    identity::ChannelKeys,
    link::{Carrier, Inbound, Link, LinkError, Links, Peer},
    observer::{Edge, Via},
    sensitive::Sensitive,
};

/// How long a request waits for its turn before it is dropped.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(3);

/// How many of something each peer has.
#[derive(Debug)]
struct PerPeer {
    limit: usize,
    counts: Arc<Mutex<HashMap<PeerId, usize>>>,
}

/// One of a peer's share; given back when dropped.
struct Share {
    peer: PeerId,
    counts: Arc<Mutex<HashMap<PeerId, usize>>>,
}

impl PerPeer {
    fn new(limit: usize) -> Self {
        Self { limit, counts: Arc::default() }
    }

    fn take(&self, peer: PeerId) -> Option<Share> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(peer).or_default();
        if *count >= self.limit {
            return None;
        }
        *count += 1;
        Some(Share { peer, counts: Arc::clone(&self.counts) })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.peer);
            }
        }
    }
}

/// Serves links. The standard one is this module's; tests and audits put others in its place.
pub trait Acceptor: Send + Sync + 'static {
    /// Serves one link until it ends.
    fn serve(&self, link: Link, carrier: Carrier) -> BoxFuture<'_, Result<(), LinkError>>;
}

/// What an [`Acceptor`] of one's own can be made of.
#[derive(Debug)]
pub struct Parts {
    /// The node's network.
    pub network: Arc<Network>,
    /// Its channel keys.
    pub keys: Arc<ChannelKeys>,
    /// Its way to other nodes.
    pub links: Links,
}

/// The honest acceptor: requests to the service, channels to [`serve_channel`].
pub(crate) struct Server {
    context: ChannelContext,
    channels: Semaphore,
    requests: Semaphore,
    shares: PerPeer,
    rosters: Semaphore,
    roster_shares: PerPeer,
}

impl Server {
    pub(crate) fn new(context: ChannelContext, limits: &Limits) -> Self {
        Self {
            context,
            channels: Semaphore::new(limits.channels),
            requests: Semaphore::new(limits.requests),
            shares: PerPeer::new(limits.channels_per_peer),
            rosters: Semaphore::new(limits.roster_requests),
            roster_shares: PerPeer::new(limits.roster_requests_per_peer),
        }
    }
}

impl Server {
    async fn serve_request(&self, mut link: Link) -> Result<(), LinkError> {
        let context = &self.context;
        let (request, _held) = link.read_request(context.frame_bytes, &context.budget).await?;
        let peer: Peer = link.peer().clone();
        // Small questions with large answers: nobody gets many of them at once.
        let is_long = matches!(request, Request::Roster { .. } | Request::RosterEntries { .. });
        let share = if is_long { self.roster_shares.take(peer.id) } else { None };
        if is_long && share.is_none() {
            return Err(LinkError::Busy);
        }
        // Only a request that is all here takes a place: whoever stalls holds nobody up.
        let _roster = if is_long { Some(turn(&self.rosters).await?) } else { None };
        let _permit = turn(&self.requests).await?;
        if let Some(observer) = &context.observer {
            observer.received(link.edge(), Via::Direct, &request);
        }
        let response = context.service.handle(&peer, Via::Direct, request).await;
        link.respond(&response).await
    }
}

/// A place, when it is this one's turn.
async fn turn(places: &Semaphore) -> Result<SemaphorePermit<'_>, LinkError> {
    match tokio::time::timeout(QUEUE_TIMEOUT, places.acquire()).await {
        Ok(Ok(permit)) => Ok(permit),
        _ => Err(LinkError::Busy),
    }
}

impl Acceptor for Server {
    fn serve(&self, link: Link, carrier: Carrier) -> BoxFuture<'_, Result<(), LinkError>> {
        Box::pin(async move {
            match carrier {
                Carrier::Request => self.serve_request(link).await,
                Carrier::Channel => {
                    let Ok(_permit) = self.channels.try_acquire() else { return Ok(()) };
                    let Some(_share) = self.shares.take(link.peer().id) else { return Ok(()) };
                    let peer = link.peer().clone();
                    let at = Edge { peer: &peer, ..link.edge() };
                    let (reader, writer) = link.into_cells();
                    serve_channel(&self.context, at, reader, writer).await
                }
            }
        })
    }
}

/// Accepts links until the swarm is gone. Tasks are bounded by the streams that connections may have.
pub(crate) async fn accept(acceptor: Arc<dyn Acceptor>, mut inbound: Inbound) {
    while let Some((peer, stream, permit)) = inbound.recv().await {
        let acceptor = Arc::clone(&acceptor);
        tokio::spawn(async move {
            let served = async {
                let (link, carrier) = Link::accept(peer.clone(), stream, permit).await?;
                acceptor.serve(link, carrier).await
            };
            if let Err(error) = served.await {
                tracing::debug!(peer = ?Sensitive(&peer), %error, "a link ended");
            }
        });
    }
}
