//! The onion service of a node that runs.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anon::{
    request::{Request, Response},
    time::Time,
};
use libp2p::{Multiaddr, PeerId};
use net::{
    clock::Clock,
    link::{Carriage, Carrier, Links, Transport},
};
use tor::{OnionService, Tor};

use super::{FILE, OnionStatus, Reach};
use crate::{
    config::{NodeConfig, Onion, addresses},
    error::NodeError,
    status_file,
};

/// How long a descriptor may take to be published before the node says where it listens all the same.
const PUBLISHED_WITHIN: Duration = Duration::from_secs(180);
/// How often it is looked whether it is.
const LOOK: Duration = Duration::from_millis(100);
/// How long until a node that did not reach itself tries again, and one that did.
const AGAIN: Duration = Duration::from_secs(15);
const ONCE_MORE: Duration = Duration::from_secs(600);
/// How long its own answer may take, over TCP.
const ANSWER: Duration = Duration::from_secs(5);

/// A node's onion service, and the client that offers it.
pub(crate) struct Service {
    tor: Tor,
    service: OnionService,
}

impl Reach {
    /// By an onion service, and at TCP addresses if it is beside them.
    pub(crate) async fn over_tor(config: &NodeConfig, tor: &Tor) -> Result<Self, NodeError> {
        let (service, serving) = tor.serve()?;
        let began = tokio::time::Instant::now();
        while !service.reachability().published && began.elapsed() < PUBLISHED_WITHIN {
            tokio::time::sleep(LOOK).await;
        }
        let transport = tor.transport().serving(serving);
        let mut listen = addresses(&config.listen)?;
        listen.push(service.address().clone());
        let is_only = config.onion == Onion::Only;
        let carriage = if is_only { Carriage::Tor(transport) } else { Carriage::Mixed(transport) };
        let service = Some(Service { tor: tor.clone(), service });
        Ok(Self { carriage, listen, service })
    }
}

impl Service {
    /// Its address.
    pub(crate) const fn address(&self) -> &Multiaddr {
        self.service.address()
    }

    /// Tries it for as long as the node lives, and writes down what came of it.
    pub(crate) async fn watch(
        self,
        directory: PathBuf,
        network: String,
        peer: PeerId,
        clock: Clock,
    ) {
        let (mut last, mut reached) = (None, None);
        loop {
            write(&directory, &self.status(last, reached));
            let tried = clock.now();
            let is_reached = self.reaches_itself(&network, peer).await;
            last = Some(tried);
            if is_reached {
                reached = last;
            }
            write(&directory, &self.status(last, reached));
            tokio::time::sleep(if is_reached { ONCE_MORE } else { AGAIN }).await;
        }
    }

    fn status(&self, tried: Option<Time>, reached: Option<Time>) -> OnionStatus {
        let reachability = self.service.reachability();
        let (address, state) = (self.address().to_string(), reachability.state.to_owned());
        OnionStatus { address, state, published: reachability.published, tried, reached }
    }

    async fn reaches_itself(&self, network: &str, peer: PeerId) -> bool {
        let transport = Transport::Tor(self.tor.clone());
        let Ok(links) = Links::disposable_over(network, &transport) else { return false };
        let to = vec![self.address().clone()];
        let Ok(link) = links.open_at(peer, to, Carrier::Request).await else { return false };
        let answer = link.request(&Request::Certificate, ANSWER).await;
        matches!(answer, Ok(Response::Certificate(_)))
    }
}

fn write(directory: &Path, status: &OnionStatus) {
    let written = status_file::write(&directory.join(FILE), status);
    if let Err(error) = written {
        tracing::warn!(%error, "the onion service's status was not written");
    }
}
