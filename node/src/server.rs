//! Accepts links and serves them, as many at once as the limits allow. A peer that is refused sees its stream
//! end, whatever the reason.

use std::{sync::Arc, time::Duration};

use anon::{network::Network, request::Request, wire};
use futures::future::BoxFuture;
use net::{
    link::{Carrier, Inbound, Link, LinkError, Links},
    observer::{Edge, Via},
    peer::Peer,
    sensitive::Sensitive,
    shares::{RangeShare, Shares},
};

use crate::{
    channel::{ChannelContext, serve_channel},
    config::Limits,
    handshake_keys::HandshakeKeys,
    identity::ChannelKeys,
};

/// How long a request waits for its turn before it is dropped.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(3);

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
    /// Its certificates.
    pub keys: Arc<ChannelKeys>,
    /// Its channel keys, by what a handshake calls them.
    pub handshake_keys: Arc<HandshakeKeys>,
    /// Its way to other nodes.
    pub links: Links,
}

/// The honest acceptor: requests to the service, channels to [`serve_channel`].
pub(crate) struct Server {
    context: ChannelContext,
    links: Links,
    channels: Shares,
    requests: Shares,
    rosters: Shares,
    answers: Shares,
}

impl Server {
    pub(crate) fn new(
        context: ChannelContext,
        links: Links,
        limits: &Limits,
        share: RangeShare,
    ) -> Self {
        let of = |what, size, each| Shares::new(what, size, each, share);
        Self {
            context,
            links,
            channels: of("channels", limits.channels, limits.channels_per_peer),
            requests: of("requests", limits.requests, limits.requests_per_peer),
            rosters: of("of the roster", limits.roster_requests, limits.roster_requests_per_peer),
            answers: of("answers", limits.bytes_in_flight / 1024, limits.bytes_per_peer / 1024),
        }
    }

    /// Serves one request. It has its place while this node works for it, and not while its answer is read: who
    /// does not read has its share of the answers' bytes full, and is disconnected.
    async fn serve_request(&self, mut link: Link) -> Result<(), LinkError> {
        let context = &self.context;
        let (request, held) = link.read_request(context.frame_bytes, &context.budget).await?;
        let peer: Peer = link.peer().clone();
        let caller = peer.caller();
        if !context.check.is_right() && !matches!(request, Request::Time) {
            return Err(LinkError::Busy);
        }
        let turn = async |places: &Shares, count| {
            places.wait(caller, count, QUEUE_TIMEOUT).await.ok_or(LinkError::Busy)
        };
        // Small questions with large answers: nobody gets many of them at once.
        let is_long = match &request {
            Request::Roster { .. } | Request::RosterEntries { .. } => true,
            Request::View(view) => view.has_long_answer(),
            _ => false,
        };
        let roster = if is_long { Some(turn(&self.rosters, 1).await?) } else { None };
        // Only a request that is all here takes a place: whoever stalls holds nobody up.
        let place = turn(&self.requests, 1).await?;
        context.observer.received(link.edge(), Via::Direct, &request);
        let response = context.service.handle(&peer, Via::Direct, request).await;
        drop(held);
        let answer = wire::encode(&response);
        drop(response);
        let _held = turn(&self.answers, answer.len().div_ceil(1024)).await?;
        drop((roster, place));
        let responded = link.respond(&answer).await;
        if matches!(responded, Err(LinkError::TimedOut)) {
            self.links.disconnect(peer.id).await;
        }
        responded
    }
}

impl Acceptor for Server {
    fn serve(&self, link: Link, carrier: Carrier) -> BoxFuture<'_, Result<(), LinkError>> {
        Box::pin(async move {
            match carrier {
                Carrier::Request => self.serve_request(link).await,
                Carrier::Channel => {
                    let caller = link.peer().caller();
                    if !self.context.check.is_right() {
                        return Err(LinkError::Busy);
                    }
                    let Some(_held) = self.channels.take(caller, 1) else { return Ok(()) };
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
    while let Some((peer, stream, held)) = inbound.recv().await {
        let acceptor = Arc::clone(&acceptor);
        tokio::spawn(async move {
            let served = async {
                let (link, carrier) = Link::accept(peer.clone(), stream, held).await?;
                acceptor.serve(link, carrier).await
            };
            if let Err(error) = served.await {
                tracing::debug!(peer = ?Sensitive(&peer), %error, "a link ended");
            }
        });
    }
}
