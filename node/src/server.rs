//! Accepts links and serves them, as many at once as the limits allow. A peer that is refused sees its stream
//! end, whatever the reason.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anon::network::Network;
use futures::future::BoxFuture;
use libp2p::PeerId;
use tokio::sync::Semaphore;

use crate::{
    channel::{ChannelContext, serve_channel},
    config::Limits,
    identity::ChannelKeys,
    link::{Carrier, Inbound, Link, LinkError, Links, Peer},
    observer::Via,
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
}

impl Server {
    pub(crate) fn new(context: ChannelContext, limits: &Limits) -> Self {
        Self {
            context,
            channels: Semaphore::new(limits.channels),
            requests: Semaphore::new(limits.requests),
            shares: PerPeer::new(limits.channels_per_peer),
        }
    }
}

impl Acceptor for Server {
    fn serve(&self, link: Link, carrier: Carrier) -> BoxFuture<'_, Result<(), LinkError>> {
        Box::pin(async move {
            match carrier {
                Carrier::Request => serve_request(&self.context, link, &self.requests).await,
                Carrier::Channel => {
                    let peer = link.peer().clone();
                    let Ok(_permit) = self.channels.try_acquire() else { return Ok(()) };
                    let Some(_share) = self.shares.take(peer.id) else { return Ok(()) };
                    let (reader, writer) = link.into_cells();
                    serve_channel(&self.context, &peer, reader, writer).await
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

async fn serve_request(
    context: &ChannelContext,
    mut link: Link,
    requests: &Semaphore,
) -> Result<(), LinkError> {
    let (request, _held) = link.read_request(context.frame_bytes, &context.budget).await?;
    // Only a request that is all here takes a place: whoever stalls holds nobody up.
    let permit = tokio::time::timeout(QUEUE_TIMEOUT, requests.acquire()).await;
    let Ok(Ok(_permit)) = permit else { return Err(LinkError::Busy) };
    let peer: Peer = link.peer().clone();
    if let Some(observer) = &context.observer {
        observer.received(&peer, Via::Direct, &request);
    }
    let response = context.service.handle(&peer, Via::Direct, request).await;
    link.respond(&response).await
}
