//! Why a node does not start.

use std::path::PathBuf;

use net::{LinkError, NetworkFileError};
use thiserror::Error;

use crate::{config::ConfigError, identity::IdentityError, keeper::RecordError, store::StoreError};

/// Why a node does not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The network file.
    #[error(transparent)]
    Network(#[from] NetworkFileError),
    /// The node's configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The node's identity.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The node's store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The node has an identity, so it had a store: it will not go on without what it promised to keep.
    #[error("the store {0} is gone, though this node has served before")]
    StoreMissing(PathBuf),
    /// The store holds what a node promised to keep, and that node's identity is gone.
    #[error("the identity file {0} is gone, though this node has served before")]
    IdentityMissing(PathBuf),
    /// Listening failed.
    #[error("cannot listen: {0}")]
    Listen(#[from] LinkError),
    /// Tor, or the onion service.
    #[cfg(feature = "tor")]
    #[error(transparent)]
    Tor(#[from] tor::TorError),
    /// No address to listen at, or none that others could dial.
    #[error("no address to listen at")]
    NoAddress,
    /// The admission file is not one.
    #[error("the admission file {0} is damaged")]
    BadAdmission(PathBuf),
    /// The network file does not name this node as a keeper of the present epoch or of a coming one.
    #[error("the network file does not name this node as a keeper")]
    NotKeeper,
    /// What a keeper has promised.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A file or directory cannot be used.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
}
