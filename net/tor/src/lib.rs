//! Links over Tor: arti (the Tor Project's own client) behind a libp2p transport and an onion service.
//!
//! Nothing here knows of mails, nodes or channels. arti's types do not leave this crate, which so is the only one that
//! is compiled anew when arti changes.
//!
//! ```text
//! config      what a configuration file says of Tor: when it is to be used, and arti's own settings
//! client      a client of the Tor network: its start, told step by step, and why it does not come about
//! transport   libp2p's dialling and listening over it, one isolation group a transport
//! health      whether streams still come about
//! service     an onion service, and whether it can be reached
//! address     onion addresses as multiaddrs
//! ```
//!
//! **Invariant:** a [`TorTransport`] opens no socket: what it dials leaves by arti or not at all. It knows IP addresses
//! with a TCP port and onion addresses, no names, so nothing is ever looked up in the DNS.
//!
//! # Example
//!
//! Where a configuration asks for Tor, settings that arti does not know are refused by name.
//!
//! ```
//! let good: tor::TorConfig = toml::from_str("mode = 'required'\npatience_seconds = 60").unwrap();
//! assert_eq!(good.mode, tor::Mode::Required);
//! assert!(good.check().is_ok());
//! let bad: tor::TorConfig = toml::from_str("mode = 'required'\nbridgse = {}").unwrap();
//! assert!(bad.check().is_err());
//! ```

mod address;
mod client;
mod config;
mod health;
mod service;
mod transport;

pub use address::onion_of_key;
pub use client::{Blockage, Step, Tor, TorError};
pub use config::{ConfigError, Mode, TorConfig};
pub use service::{OnionService, Reachability};
pub use transport::{Serving, Stream, TorTransport};
