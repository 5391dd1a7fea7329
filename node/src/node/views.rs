//! What a node has to do with views: it states itself to the keepers, and is one of them if it was told so.

use std::{sync::Arc, time::Duration};

use anon::{keeper::charter::Charter, keys::SigningSecret as _, network::Network, wire};
use parking_lot::Mutex;
use tokio::task::JoinSet;

use super::{Node, files::Storage, transport::Transport};
use crate::{
    config::Onion,
    error::NodeError,
    identity::Identity,
    keeper::{Keeper, Means, Prober},
    service::StandardService,
    view::{
        address,
        exchange::{Exchange, OverLinks},
        follow::Follower,
        kept::Views,
        keys::KeysOnDisk,
        state::{OwnEar, Stater},
        status::Board,
        turn::Turn,
    },
};

/// What a node needs for views; a network without keepers has none.
pub(super) struct Viewing {
    charter: Charter,
    exchange: Arc<dyn Exchange>,
    pub(super) views: Arc<Views>,
    pub(super) keys: Arc<Mutex<KeysOnDisk>>,
    board: Arc<Board>,
    pub(super) keeper: Option<Arc<Keeper>>,
}

impl Node {
    /// Checks that a node that is to be a keeper is named as one. One that is named and was not told so says it.
    ///
    /// # Errors
    /// [`NodeError::NotKeeper`].
    pub(super) fn check_keeper(&self, storage: &Storage) -> Result<(), NodeError> {
        let is_named = self.is_named_as_keeper(&storage.network, &storage.identity);
        if self.config.keeper && !is_named {
            return Err(NodeError::NotKeeper);
        }
        if is_named && !self.config.keeper {
            tracing::warn!("the network file names this node as a keeper: start it with --keeper");
        }
        Ok(())
    }

    /// What this node needs for views.
    ///
    /// # Errors
    /// [`NodeError::Record`].
    pub(super) fn viewing(
        &mut self,
        storage: &Storage,
        transport: &Transport,
    ) -> Result<Option<Viewing>, NodeError> {
        let Some(charter) = storage.network.charter.clone() else { return Ok(None) };
        let limits = &self.config.limits;
        let (identity, network) = (storage.identity.secret(), storage.network.id);
        let views = Arc::new(Views::open(&self.directory, network, charter.clone()));
        let links: Arc<dyn Exchange> = Arc::new(OverLinks {
            links: transport.started.links.clone(),
            views: Arc::clone(&views),
            keepers: self.network.keeper_addresses()?,
            timeout: Duration::from_secs(limits.answer_seconds),
        });
        let exchange = match self.wrap_exchange.take() {
            Some(wrap) => wrap(links),
            None => links,
        };
        let keys = KeysOnDisk::open(&self.directory, identity, &network);
        let keys = Arc::new(Mutex::new(keys));
        let node = storage.identity.node();
        let board = Board::new(&self.directory, node, Arc::clone(&storage.network));
        let board = Arc::new(board);
        let mut viewing = Viewing { charter, exchange, views, keys, board, keeper: None };
        if self.config.keeper {
            viewing.keeper = Some(self.keeper(storage, transport, &viewing)?);
        }
        Ok(Some(viewing))
    }

    fn keeper(
        &self,
        storage: &Storage,
        transport: &Transport,
        viewing: &Viewing,
    ) -> Result<Arc<Keeper>, NodeError> {
        let network = Arc::clone(&storage.network);
        let list = self.network.revocation_list()?;
        let keeper = Keeper::open(Means {
            directory: &self.directory,
            charter: viewing.charter.clone(),
            secret: storage.identity.keeper_secret(),
            clock: self.clock.clone(),
            exchange: Arc::clone(&viewing.exchange),
            views: Arc::clone(&viewing.views),
            probe: Prober {
                network: Arc::clone(&network),
                clock: self.clock.clone(),
                #[cfg(feature = "tor")]
                tor: self.tor.clone(),
                is_only_tor: self.config.onion == Onion::Only,
            },
            network,
            revocations: list.map(|list| wire::encode(&list)),
            share: transport.share,
        })?;
        Ok(Arc::new(keeper))
    }

    /// Whether the network file names this node as a keeper of the present epoch or of a coming one.
    fn is_named_as_keeper(&self, network: &Network, identity: &Identity) -> bool {
        let present = network.epoch(self.clock.now());
        let key = identity.secret().verify_key();
        network.charter.as_ref().is_some_and(|charter| charter.is_keeper(&key, present))
    }

    /// Whether this node is to be a keeper, and whether the network file says that it is.
    ///
    /// # Errors
    /// [`NodeError`] if the identity or the network file cannot be read.
    pub fn is_keeper(&self) -> Result<(bool, bool), NodeError> {
        let Some(identity) = Identity::read(&self.directory)? else {
            return Ok((self.config.keeper, false));
        };
        let is_named = self.is_named_as_keeper(&self.network.network()?, &identity);
        Ok((self.config.keeper, is_named))
    }
}

impl Viewing {
    /// States the node, and makes views if it is a keeper, or gets them.
    pub(super) fn begin(self, service: &StandardService, at: &Transport, tasks: &mut JoinSet<()>) {
        let Self { charter, exchange, views, keys, board, keeper } = self;
        let (network, identity) = (Arc::clone(&service.network), Arc::clone(&service.identity));
        let (clock, node) = (service.clock.clone(), identity.node());
        let turn = Turn {
            network: Arc::clone(&network),
            clock: clock.clone(),
            views: Arc::clone(&views),
            keys: Arc::clone(&keys),
            board: Arc::clone(&board),
        };
        tasks.spawn(turn.run());
        let own = keeper
            .clone()
            .map(|keeper| Arc::new(move |bytes: &[u8]| keeper.hear(&node, bytes)) as OwnEar);
        let follower = Follower {
            network: Arc::clone(&network),
            charter: charter.clone(),
            own: node,
            is_keeper: keeper.is_some(),
            clock: clock.clone(),
            exchange: Arc::clone(&exchange),
            views,
            board: Arc::clone(&board),
        };
        tasks.spawn(follower.run());
        if let Some(keeper) = keeper {
            tasks.spawn(keeper.run());
        }
        let Some(addresses) = address::stated(&at.addresses) else {
            tracing::warn!("this node has no address that it could state to keepers");
            return board.has_no_address();
        };
        let stater =
            Stater { network, charter, identity, addresses, clock, exchange, own, keys, board };
        tasks.spawn(stater.run());
    }
}
