//! A node's configuration: `node.toml` in its directory. Every limit has its name and its default here.

use std::path::Path;

use libp2p::Multiaddr;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{link::is_plain_tcp, store::StoreLimits};

/// What bounds a node's memory, disk and work. All counts are for the whole process unless said otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The store's size on disk, payload bytes.
    pub store_bytes: u64,
    /// The largest object, bytes; at most 1 MiB.
    pub object_bytes: usize,
    /// Notifications one inbox holds.
    pub inbox_entries: u32,
    /// Bytes one inbox holds.
    pub inbox_bytes: u64,
    /// Writes that wait for the disk before more are refused.
    pub store_queue: usize,
    /// Writes that share one commit.
    pub store_group: usize,
    /// Connections in all, and of those at most three quarters inbound.
    pub connections: u32,
    /// Connections with one peer.
    pub connections_per_peer: u32,
    /// Connections that are being set up, in each direction.
    pub pending_connections: u32,
    /// Streams that one connection of a peer may have open; yamux ends a connection above 512.
    pub streams_per_connection: usize,
    /// The longest request that is read, bytes; at most what a message may have.
    pub frame_bytes: usize,
    /// Channels open at once, whatever their role here.
    pub channels: usize,
    /// Channels open at once for one peer.
    pub channels_per_peer: usize,
    /// Direct requests served at once.
    pub requests: usize,
    /// Direct questions about the roster answered at once: an answer may have 800 KB.
    pub roster_requests: usize,
    /// The same for one peer.
    pub roster_requests_per_peer: usize,
    /// Bytes of requests held in memory at once; answers are bounded by those who are served.
    pub bytes_in_flight: usize,
    /// Lookups under way at once.
    pub lookups: usize,
    /// Seconds a channel may stay silent.
    pub channel_idle_seconds: u64,
    /// Seconds a node waits for another node's answer.
    pub answer_seconds: u64,
    /// Certificates of other nodes kept in memory.
    pub certificates: usize,
    /// Handshakes and inbox proofs remembered to recognise a replay.
    pub replays: usize,
    /// Seconds a body or a notification is kept.
    pub retention_seconds: u64,
    /// Seconds between two garbage collections.
    pub garbage_seconds: u64,
    /// Keys that one garbage collection looks at.
    pub garbage_keys: usize,
    /// Seconds a channel key lives before the next one takes its place; it is honoured twice as long.
    pub channel_key_seconds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            store_bytes: 4 << 30,
            object_bytes: anon::request::MAX_OBJECT,
            inbox_entries: 8_000,
            inbox_bytes: 40 << 20,
            store_queue: 256,
            store_group: 64,
            connections: 1_024,
            connections_per_peer: 8,
            pending_connections: 128,
            streams_per_connection: 256,
            frame_bytes: anon::request::MAX_MESSAGE,
            channels: 512,
            channels_per_peer: 64,
            requests: 256,
            roster_requests: 16,
            roster_requests_per_peer: 4,
            bytes_in_flight: 128 << 20,
            lookups: 64,
            channel_idle_seconds: 120,
            answer_seconds: 10,
            certificates: 20_000,
            replays: 65_536,
            retention_seconds: 30 * 86_400,
            garbage_seconds: 600,
            garbage_keys: 256,
            channel_key_seconds: 86_400,
        }
    }
}

impl Limits {
    /// The store's share of the limits.
    #[must_use]
    pub fn store(&self) -> StoreLimits {
        StoreLimits {
            max_bytes: self.store_bytes,
            max_object: self.object_bytes.min(anon::request::MAX_OBJECT),
            inbox_entries: self.inbox_entries,
            inbox_bytes: self.inbox_bytes,
            queue: self.store_queue.max(1),
            group: self.store_group.max(1),
        }
    }
}

/// Whether a node offers an onion service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Onion {
    /// It does not, and has nothing to do with Tor.
    #[default]
    Off,
    /// Beside its TCP addresses.
    Beside,
    /// It has no other address, binds no public socket, and dials others over Tor as well.
    Only,
}

/// A node's configuration file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NodeConfig {
    /// Who operates the node; the guarded scheme puts no two nodes of one family on one path.
    pub family: String,
    /// Where to listen: multiaddrs.
    pub listen: Vec<String>,
    /// What others should dial, where that differs from where the node listens.
    pub advertise: Vec<String>,
    /// Whether the node offers an onion service.
    pub onion: Onion,
    /// Tor, for a node with an onion service: `mode` does not matter here, the rest is as for user agents.
    #[cfg(feature = "tor")]
    pub tor: tor::TorConfig,
    /// The limits.
    pub limits: Limits,
}

/// Why a configuration cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// It cannot be read.
    #[error("the configuration cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// It is not the TOML that is expected.
    #[error("the configuration is not valid: {0}")]
    Toml(#[from] toml::de::Error),
    /// This program was built without Tor.
    #[error("this program was built without Tor, and the node is to have an onion service")]
    NoTor,
    /// A node that is reached over Tor only cannot listen elsewhere.
    #[error("a node with an onion service alone listens nowhere else: {0}")]
    OnionOnly(String),
    /// The settings of Tor.
    #[cfg(feature = "tor")]
    #[error("{0}")]
    Tor(#[from] tor::ConfigError),
    /// A listening or advertised address is not `/ip4/…/tcp/…` or `/ip6/…/tcp/…`.
    #[error("not an address of the form /ip4/…/tcp/… or /ip6/…/tcp/…: {0}")]
    BadAddress(String),
    /// The family's name is too long.
    #[error("the family's name is longer than {} bytes", anon::certificate::MAX_FAMILY)]
    LongFamily,
}

impl NodeConfig {
    /// Reads the file at `path`; without one, the defaults.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn read_or_default(path: &Path) -> Result<Self, ConfigError> {
        match std::fs::read_to_string(path) {
            Ok(text) => {
                let config: Self = toml::from_str(&text)?;
                config.check()?;
                Ok(config)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error.into()),
        }
    }

    /// Checks what TOML cannot: addresses and the family's length.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn check(&self) -> Result<(), ConfigError> {
        addresses(&self.listen)?;
        addresses(&self.advertise)?;
        if self.onion == Onion::Only
            && let Some(address) = self.listen.iter().chain(&self.advertise).next()
        {
            return Err(ConfigError::OnionOnly(address.clone()));
        }
        #[cfg(feature = "tor")]
        self.tor.check()?;
        #[cfg(not(feature = "tor"))]
        if self.onion != Onion::Off {
            return Err(ConfigError::NoTor);
        }
        let is_long = self.family.len() > anon::certificate::MAX_FAMILY;
        if is_long { Err(ConfigError::LongFamily) } else { Ok(()) }
    }
}

/// The addresses that these texts name.
///
/// # Errors
/// [`ConfigError::BadAddress`].
pub(crate) fn addresses(texts: &[String]) -> Result<Vec<Multiaddr>, ConfigError> {
    let parse = |text: &String| {
        let address = text.parse().ok().filter(is_plain_tcp);
        address.ok_or_else(|| ConfigError::BadAddress(text.clone()))
    };
    texts.iter().map(parse).collect()
}
