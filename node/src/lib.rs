//! A node of cutout: what every member of the network runs for the others.
//!
//! One process is storage node, go-between, witness, anonymizer and verifier at once (paper, 2.2, 2.3, 4).
//!
//! ```text
//! dht         Kademlia: the k closest        ─► server    accepts links (net)
//! directory   certificates of other nodes    ◄─ service   answers requests: storage, lookup, proxied requests
//! store       redb, fsynced before an answer ◄─ channel   last hop and go-between of channels
//! garbage     the paper's collection from either end
//! view        states the node, gets and hands on each view          keeper    makes the views with others
//! ```
//! Hostile nodes, taps and mutants are composed from [`Service`], [`net::Observer`] and [`net::Links`] by tests and
//! audits; there is no hostile switch in here.
//!
//! # Example
//!
//! A node needs a directory, a network and an address to listen at.
//!
//! ```
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use net::NetworkFile;
//! use node::{Node, NodeConfig};
//!
//! let directory = tempfile::tempdir()?;
//! let network = NetworkFile::parse("name = 'demo.alt'\nk = 1")?;
//! let listen = vec!["/ip4/127.0.0.1/tcp/0".to_owned()];
//! let config = NodeConfig { listen, ..NodeConfig::default() };
//! let running = Node::new(directory.path().to_owned(), network, config).start().await?;
//! assert_eq!(running.addresses().len(), 1);
//! running.shutdown().await;
//! # Ok(())
//! # }
//! ```

mod channel;
mod checked;
mod clock_check;
mod config;
mod dht;
mod directory;
#[cfg(test)]
mod durability;
mod error;
mod garbage;
mod handshake_keys;
mod identity;
mod keeper;
mod node;
mod onion;
mod replay;
mod running;
mod server;
mod service;
mod status_file;
pub mod store;
#[cfg(test)]
mod testing;
mod view;

pub use clock_check::said as clock_fault;
pub use config::{ConfigError, Limits, NodeConfig, Onion};
pub use dht::{Dht, DhtError};
pub use error::NodeError;
pub use handshake_keys::HandshakeKeys;
pub use identity::{ChannelKeys, Identity, IdentityError};
pub use keeper::{
    RecordError,
    status::{KeeperStatus, LastView, numbers},
};
pub use node::{Node, Running};
pub use onion::OnionStatus;
pub use replay::ReplayCache;
pub use running::RunningStatus;
pub use server::{Acceptor, Parts};
pub use service::{Service, StandardService};
pub use store::{Checked, Repaired, Store, StoreError, StoreLimits};
pub use view::{
    exchange::Exchange,
    status::{ViewAtHand, ViewStatus},
};
