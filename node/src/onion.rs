//! How a node is reached: at TCP addresses, by an onion service, or both; and what it knows of that.
//!
//! A node with an onion service tries it as a stranger would, by circuits of its own, and writes down what came of it:
//! `onion.json` in its directory, which `cutout node status` reads.

#[cfg(feature = "tor")]
pub(crate) mod service;

use std::path::Path;

use anon::time::Time;
use libp2p::Multiaddr;
use serde::{Deserialize, Serialize};

use crate::{
    config::{NodeConfig, addresses},
    error::NodeError,
    status_file,
};
use net::link::Carriage;

/// The file's name.
const FILE: &str = "onion.json";

/// What a node's directory says of its onion service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnionStatus {
    /// The address.
    pub address: String,
    /// What the service says of itself and of its descriptor.
    pub state: String,
    /// Whether the descriptor is published.
    pub published: bool,
    /// When the node last tried to reach itself.
    pub tried: Option<Time>,
    /// When it last did.
    pub reached: Option<Time>,
}

impl OnionStatus {
    /// What the node in this directory last wrote down; `None` if it has no onion service.
    ///
    /// # Errors
    /// If the file is there and cannot be read.
    pub fn read(directory: &Path) -> std::io::Result<Option<Self>> {
        status_file::read(&directory.join(FILE))
    }

    /// Forgets what an earlier run wrote down.
    pub(crate) fn forget(directory: &Path) {
        let _ = std::fs::remove_file(directory.join(FILE));
    }

    /// Whether a stranger reaches it, as far as is known: the last attempt was a success.
    #[must_use]
    pub fn is_reachable(&self) -> bool {
        self.reached.is_some() && self.reached == self.tried
    }
}

/// What carries a node's links, and where it is reached.
pub(crate) struct Reach {
    pub(crate) carriage: Carriage,
    pub(crate) listen: Vec<Multiaddr>,
    #[cfg(feature = "tor")]
    pub(crate) service: Option<service::Service>,
}

impl Reach {
    /// At TCP addresses alone.
    pub(crate) fn over_tcp(config: &NodeConfig) -> Result<Self, NodeError> {
        Ok(Self {
            carriage: Carriage::Tcp,
            listen: addresses(&config.listen)?,
            #[cfg(feature = "tor")]
            service: None,
        })
    }
}
