//! A whole node: from its directory and network file to a running process of all roles.

use std::{path::PathBuf, sync::Arc};

use anon::{id::NodeId, network::Network};
use files::{open, read_admission};
use libp2p::Multiaddr;
use net::{clock::Clock, network_file::NetworkFile, observer::Observer};
use tokio::task::JoinSet;

use crate::{
    config::NodeConfig,
    dht::Dht,
    error::NodeError,
    identity::{ChannelKeys, Identity},
    server::{Acceptor, Parts},
    service::{Service, StandardService},
    view::exchange::Exchange,
};

mod certifier;
mod files;
mod tasks;
mod transport;
mod views;

type WrapService = Box<dyn FnOnce(Arc<StandardService>) -> Arc<dyn Service> + Send>;
type WrapExchange = Box<dyn FnOnce(Arc<dyn Exchange>) -> Arc<dyn Exchange> + Send>;
type WrapAcceptor = Box<dyn FnOnce(Arc<dyn Acceptor>, Parts) -> Arc<dyn Acceptor> + Send>;

/// What a node is made of before it starts.
#[derive(derive_more::Debug)]
#[debug("Node(..)")]
pub struct Node {
    directory: PathBuf,
    network: NetworkFile,
    config: NodeConfig,
    clock: Clock,
    #[cfg(feature = "tor")]
    tor: Option<tor::Tor>,
    observer: Arc<dyn Observer>,
    wrap_service: WrapService,
    wrap_acceptor: WrapAcceptor,
    wrap_exchange: Option<WrapExchange>,
}

/// A node that runs. Dropping it stops it; [`Running::shutdown`] waits for the store to close.
#[derive(Debug)]
pub struct Running {
    service: Arc<StandardService>,
    addresses: Vec<Multiaddr>,
    tasks: JoinSet<()>,
}

impl Node {
    /// A node in `directory`, created there if it is new, in this network.
    #[must_use]
    pub fn new(directory: PathBuf, network: NetworkFile, config: NodeConfig) -> Self {
        Self {
            directory,
            network,
            config,
            clock: Clock::default(),
            #[cfg(feature = "tor")]
            tor: None,
            observer: Arc::new(()),
            wrap_service: Box::new(|standard| standard),
            wrap_acceptor: Box::new(|standard, _| standard),
            wrap_exchange: None,
        }
    }

    /// Gives the node the client through which it offers the onion service that its configuration asks for.
    #[cfg(feature = "tor")]
    #[must_use]
    pub fn over(mut self, tor: tor::Tor) -> Self {
        self.tor = Some(tor);
        self
    }

    /// Gives the node another clock than this machine's.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Its configuration.
    #[must_use]
    pub const fn config(&self) -> &NodeConfig {
        &self.config
    }

    /// Installs an observer at the protocol's edge.
    #[must_use]
    pub fn observed_by(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    /// Puts another service in front of the standard one.
    #[must_use]
    pub fn serving(
        mut self,
        wrap: impl FnOnce(Arc<StandardService>) -> Arc<dyn Service> + Send + 'static,
    ) -> Self {
        self.wrap_service = Box::new(wrap);
        self
    }

    /// Puts another acceptor in front of the standard one.
    #[must_use]
    pub fn accepting(
        mut self,
        wrap: impl FnOnce(Arc<dyn Acceptor>, Parts) -> Arc<dyn Acceptor> + Send + 'static,
    ) -> Self {
        self.wrap_acceptor = Box::new(wrap);
        self
    }

    /// Puts another way to ask keepers in front of the standard one.
    #[must_use]
    pub fn exchanging(
        mut self,
        wrap: impl FnOnce(Arc<dyn Exchange>) -> Arc<dyn Exchange> + Send + 'static,
    ) -> Self {
        self.wrap_exchange = Some(Box::new(wrap));
        self
    }

    /// Makes the node's identity and store without starting it.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn initialise(&self) -> Result<Identity, NodeError> {
        Ok(open(&self.directory, &self.config.limits)?.0)
    }

    /// Checks that the network would accept this node's certificate.
    ///
    /// # Errors
    /// [`NodeError`] saying why not.
    pub fn check_admission(&self) -> Result<(), NodeError> {
        let Some(identity) = Identity::read(&self.directory)? else { return Ok(()) };
        let (keys, network) = (self.keys(1)?, self.network.network()?);
        Ok(keys.rotate(&identity, &network, Vec::new(), self.clock.now())?)
    }

    /// Starts it: opens the store, listens, enters the network.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn start(mut self) -> Result<Running, NodeError> {
        self.config.check()?;
        let storage = self.storage()?;
        self.check_keeper(&storage)?;
        let transport = self.transport(&storage).await?;
        let viewing = self.viewing(&storage, &transport)?;
        Ok(self.tasks(storage, transport, viewing))
    }

    /// No keys yet; each of those that are made lives for so many seconds.
    fn keys(&self, seconds: u64) -> Result<ChannelKeys, NodeError> {
        let admission = read_admission(&self.directory)?;
        Ok(ChannelKeys::new(self.config.family.clone(), admission, seconds))
    }
}

impl Running {
    /// Who the node is.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.service.identity.node()
    }

    /// Where others dial it, each with the node's peer id at the end, as a network file wants it.
    #[must_use]
    pub fn addresses(&self) -> Vec<Multiaddr> {
        let peer = self.service.identity.keypair().public().to_peer_id();
        let with_id = |a: &Multiaddr| a.clone().with(libp2p::multiaddr::Protocol::P2p(peer));
        self.addresses.iter().map(with_id).collect()
    }

    /// The node's standard service.
    #[must_use]
    pub const fn service(&self) -> &Arc<StandardService> {
        &self.service
    }

    /// What the network expects of its members.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.service.network
    }

    /// Waits until the node has entered the network.
    pub async fn joined(&self) {
        let mut dht: Dht = self.service.dht.clone();
        dht.joined().await;
    }

    /// Stops serving and closes the store.
    pub async fn shutdown(mut self) {
        self.tasks.shutdown().await;
        if let Err(error) = self.service.store.close().await {
            tracing::error!(%error, "the store did not close cleanly");
        }
    }
}
