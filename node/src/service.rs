//! What a node answers. [`StandardService`] is the honest one; tests and audits wrap it to lie.

mod lookup;
mod proxied;
mod storage;

use std::{sync::Arc, time::Duration};

use anon::{
    network::Network,
    request::{Request, Response, view::ViewRequest},
};
use futures::future::BoxFuture;
use net::{
    clock::Clock,
    link::Links,
    observer::{Observer, Via},
    peer::Peer,
    roster::RosterKeeper,
    shares::Shares,
};
use parking_lot::Mutex;

use crate::{
    config::Limits,
    dht::Dht,
    directory::Directory,
    garbage::Collector,
    identity::{ChannelKeys, Identity},
    keeper::Keeper,
    replay::ReplayCache,
    store::Store,
    view::{kept::Views, keys::KeysOnDisk},
};

/// Answers requests, however they came.
pub trait Service: Send + Sync + 'static {
    /// Answers `request` of `peer`.
    fn handle<'a>(&'a self, peer: &'a Peer, via: Via, request: Request) -> BoxFuture<'a, Response>;
}

/// An honest node's service: storage, lookup and proxied requests (paper, 2.2, 2.3, 4.2).
#[derive(derive_more::Debug)]
#[debug("StandardService(..)")]
pub struct StandardService {
    pub(crate) network: Arc<Network>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) keys: Arc<ChannelKeys>,
    pub(crate) store: Store,
    pub(crate) dht: Dht,
    pub(crate) directory: Arc<Directory>,
    pub(crate) roster: Arc<RosterKeeper>,
    pub(crate) links: Links,
    pub(crate) clock: Clock,
    pub(crate) collector: Collector,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) nonces: ReplayCache<[u8; 16]>,
    pub(crate) lookups: Shares,
    pub(crate) limits: Limits,
    /// The views that this node keeps; none in a network without keepers.
    pub(crate) views: Option<Arc<Views>>,
    /// The node's channel keys for views; none in a network without keepers.
    pub(crate) view_keys: Option<Arc<Mutex<KeysOnDisk>>>,
    /// The keeper that this node is, if it is one.
    pub(crate) keeper: Option<Arc<Keeper>>,
}

impl StandardService {
    /// The store behind this node.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// The DHT behind this node.
    #[must_use]
    pub const fn dht(&self) -> &Dht {
        &self.dht
    }

    /// The roster behind this node.
    #[must_use]
    pub const fn roster(&self) -> &Arc<RosterKeeper> {
        &self.roster
    }

    /// What the network expects of its members.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The node's identity, for tests and audits that make a node lie in its own name.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Answers for the sake of the view: a keeper all of it, another node as far as it keeps views.
    fn answer_view(&self, peer: &Peer, request: &ViewRequest) -> Response {
        match (&self.keeper, &self.views) {
            (Some(keeper), _) => keeper.answer(peer.node(), request),
            (None, Some(views)) if request.is_for_any_node() => {
                views.answer(request).map_or(Response::NotFound, Response::View)
            }
            (None, _) => Response::Refused,
        }
    }

    pub(crate) const fn answer_timeout(&self) -> Duration {
        Duration::from_secs(self.limits.answer_seconds)
    }
}

impl Service for StandardService {
    fn handle<'a>(&'a self, peer: &'a Peer, via: Via, request: Request) -> BoxFuture<'a, Response> {
        Box::pin(async move {
            match request {
                Request::Store(store) => self.store_object(store).await,
                Request::Fetch { key } => self.fetch(key).await,
                Request::Delete(deletion) => self.delete(&deletion).await,
                Request::AppendInbox(append) => self.append_inbox(append).await,
                Request::ReadInbox { proof, query } => self.read_inbox(&proof, &query).await,
                Request::Acknowledge { proof, digests } => self.acknowledge(&proof, &digests).await,
                Request::Lookup { key, count } => self.lookup(peer, key, usize::from(count)).await,
                Request::Time if via == Via::Direct => Response::Time(self.clock.now()),
                Request::Certificate => match self.keys.certificate() {
                    Some(own) => Response::Certificate(Box::new(own.to_unverified())),
                    None => Response::Refused,
                },
                // A proxied request makes this node work for somebody: only for those who hide behind a channel.
                Request::Perform { targets, request } if via == Via::Channel => {
                    self.perform(peer, targets, *request).await
                }
                Request::PerformEach(proxied_requests) if via == Via::Channel => {
                    self.perform_each(proxied_requests).await
                }
                Request::Closest { key, count } => self.closest(key, usize::from(count)),
                // Members compare openly, where each peer has its share.
                Request::Roster { pieces } if via == Via::Direct => self.roster.compare(&pieces),
                Request::RosterEntries { wanted } if via == Via::Direct => {
                    self.roster.hand_out(&wanted)
                }
                Request::View(request) if via == Via::Direct => self.answer_view(peer, &request),
                // A channel's own server has dealt with `Extend` before it would come here.
                Request::Perform { .. }
                | Request::PerformEach(_)
                | Request::Roster { .. }
                | Request::RosterEntries { .. }
                | Request::Time
                | Request::View(_)
                | Request::Extend { .. } => Response::Refused,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use anon::{position::Key, request::Targets};

    use super::*;
    use crate::testing;

    #[tokio::test(flavor = "multi_thread")]
    async fn some_requests_are_answered_directly_alone_and_others_through_a_channel_alone() {
        let (node, _directory) = testing::node().await;
        let address = "/ip4/127.9.0.1/tcp/1".parse().unwrap();
        let peer = Peer { id: libp2p::PeerId::random(), address };
        let fetch = Request::Fetch { key: Key([7; 32]) };
        let targets = Targets::Nodes(vec![node.id()]);
        // Which of the two ways a request may come.
        for (request, direct, channel) in [
            (Request::Time, true, false),
            (Request::Roster { pieces: Vec::new() }, true, false),
            (Request::RosterEntries { wanted: Vec::new() }, true, false),
            (Request::Perform { targets, request: Box::new(fetch.clone()) }, false, true),
            (Request::PerformEach(Vec::new()), false, true),
            (fetch, true, true),
            (Request::Certificate, true, true),
        ] {
            for (via, is_answered) in [(Via::Direct, direct), (Via::Channel, channel)] {
                let response = node.service().handle(&peer, via, request.clone()).await;
                assert_eq!(response != Response::Refused, is_answered, "{via:?} {request:?}");
            }
        }
    }
}
