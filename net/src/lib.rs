//! What a node and a user agent share: links to nodes, requests and channels over them, the network file, the clock.
//!
//! ```text
//! link          streams over libp2p: TCP, Noise and Yamux, or Tor     client    one request, or one channel
//! roster        the nodes one knows, kept up in the background        shares    what one peer and one address range get
//! network_file  what all who are in a network agree on                durable   files that are there in full or not at all
//! ```
//! **Invariant:** nothing here stores what others hand in, and nothing here is a DHT.
//!
//! # Example
//!
//! A network file says what all members agree on. An invitation says the same in one line.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use net::NetworkFile;
//!
//! let bootstrap = "/ip4/192.0.2.1/tcp/4001/p2p/12D3KooWGzBXWNvHpLtvkfM8T5vUhwVAbTC6Ff2rBbYg1hyGCYnD";
//! let file = NetworkFile::parse(&format!("name = 'demo.alt'\nk = 3\nbootstrap = ['{bootstrap}']"))?;
//! let line = file.invitation()?;
//! assert!(line.starts_with("cutout:demo.alt,k=3,"));
//! assert_eq!(NetworkFile::from_invitation(&line)?.network()?.id, file.network()?.id);
//! # Ok(())
//! # }
//! ```

pub mod client;
pub mod clock;
pub mod durable;
pub mod invitation;
pub mod link;
pub mod network_file;
pub mod observer;
pub mod peer;
pub mod roster;
pub mod sensitive;
pub mod shares;

pub use client::{Channel, ask};
pub use clock::{Clock, now};
pub use invitation::InvitationError;
pub use link::{
    Carrier, CellReader, CellWriter, Link, LinkError, Links, Transport, TransportLost,
    certified_addresses, is_onion, peer_id, stated_addresses,
};
pub use network_file::{NetworkFile, NetworkFileError};
pub use observer::{Edge, Observer, Via};
pub use peer::Peer;
pub use roster::RosterKeeper;
pub use sensitive::Sensitive;
#[cfg(feature = "tor")]
pub use tor;
