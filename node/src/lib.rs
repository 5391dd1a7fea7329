//! A node of cutout: what every member of the network runs for the others.
//!
//! One process is storage node, go-between, witness, anonymizer and verifier at once (paper, 2.2, 2.3, 4).
//!
//! ```text
//! link        streams over libp2p            ─► server    accepts them
//! substrate   Kademlia: the k closest        ◄─ service   answers requests: storage, lookup, errands
//! directory   certificates of other nodes    ◄─ channel   far end and go-between of channels
//! roster      the nodes one knows, kept up in the background
//! store       redb, fsynced before an answer ◄─ garbage   the paper's collection from either end
//! ```
//! Hostile nodes, taps and mutants are composed from [`Service`], [`Observer`] and [`Links`] by tests and
//! audits; there is no hostile switch in here.

mod channel;
mod client;
mod clock;
mod clock_check;
mod config;
mod directory;
mod durable;
mod garbage;
mod identity;
mod link;
mod network_file;
mod node;
mod observer;
mod onion;
mod replay;
mod roster;
mod running;
mod sensitive;
mod server;
mod service;
mod shares;
pub mod store;
mod substrate;
#[cfg(test)]
mod testing;

pub use client::{Channel, ask};
pub use clock::now;
pub use clock_check::{ClockCheck, said as clock_fault};
pub use config::{ConfigError, Limits, NodeConfig, Onion};
pub use directory::Directory;
pub use identity::{ChannelKeys, Identity, IdentityError};
pub use link::{
    Carrier, CellReader, CellWriter, Link, LinkError, Links, OPEN_TIMEOUT, Peer, Underlay,
    UnderlayLost, certified_addresses, is_onion, peer_id,
};
pub use network_file::{NetworkFile, NetworkFileError};
pub use node::{Node, NodeError, Running};
pub use observer::{Edge, Observer, Via};
pub use onion::OnionStatus;
pub use replay::ReplayCache;
pub use roster::{Exchanged, RosterKeeper};
pub use running::RunningStatus;
pub use sensitive::Sensitive;
pub use server::{Acceptor, Parts};
pub use service::{Service, StandardService};
pub use store::{Checked, Repaired, Store, StoreError, StoreLimits};
pub use substrate::{Substrate, SubstrateError};
#[cfg(feature = "tor")]
pub use tor;
