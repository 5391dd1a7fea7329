//! A node's configuration: `node.toml` in its directory. Every limit has its name and its default here.

use std::path::Path;

use anon::certificate::{MAX_ADDRESSES, MAX_FAMILY};
use libp2p::Multiaddr;
use net::{link::is_plain_tcp, shares::RangeShare};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::store::StoreLimits;

/// What bounds a node's memory, disk and work. All counts are for the whole process unless said otherwise. Of what
/// strangers can take, one peer gets at most what `…_per_peer` says, and all peers of one address range (a /24 of IPv4,
/// a /48 of IPv6, all that comes over Tor) at most [`Self::range_percent`] of the whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// What the store may hold, bytes: every body, certificate and notification counts for its own
    /// bytes, its delete permissions and 4,096 more. The file is less than three times as long.
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
    /// Connections that are being set up, in each direction. Whoever has said nothing yet makes room first.
    pub pending_connections: u32,
    /// Of everything that strangers can take: how much those of one address range get together, percent. 100 for a node
    /// whose visitors all come through one address, a proxy's say.
    pub range_percent: u8,
    /// Streams that others may have open.
    pub streams: usize,
    /// Streams that one peer may have open, over all its connections; yamux ends a connection above 512.
    pub streams_per_peer: usize,
    /// The longest request that is read, bytes; at most what a message may have.
    pub frame_bytes: usize,
    /// Channels open at once, whatever their role here.
    pub channels: usize,
    /// Channels open at once for one peer.
    pub channels_per_peer: usize,
    /// Direct requests served at once.
    pub requests: usize,
    /// The same for one peer; more wait for three seconds at most.
    pub requests_per_peer: usize,
    /// Direct questions about the roster or a view answered at once: an answer may have a mebibyte.
    pub roster_requests: usize,
    /// The same for one peer.
    pub roster_requests_per_peer: usize,
    /// Bytes of requests held in memory at once, and again as many of direct answers that are on their way.
    pub bytes_in_flight: usize,
    /// The same for one peer.
    pub bytes_per_peer: usize,
    /// Lookups under way at once; three quarters of them at most are other peers'.
    pub lookups: usize,
    /// Lookups under way for one peer.
    pub lookups_per_peer: usize,
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
    /// Keys that one garbage collection looks up in vain: as long as it finds garbage it goes on.
    pub garbage_keys: usize,
    /// Seconds a channel key lives before the next one takes its place; it is honoured twice as long.
    pub channel_key_seconds: u64,
    /// Bytes of the disk that stay free: with less the store takes in nothing new.
    pub store_reserve_bytes: u64,
    /// Seconds a certificate of an address is kept at most, whatever it says itself.
    pub certificate_seconds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            store_bytes: 4 << 30,
            object_bytes: anon::request::MAX_OBJECT,
            inbox_entries: 8_000,
            inbox_bytes: 64 << 20,
            store_queue: 256,
            store_group: 64,
            connections: 1_024,
            connections_per_peer: 8,
            pending_connections: 128,
            range_percent: 50,
            streams: 4_096,
            streams_per_peer: 256,
            frame_bytes: anon::request::MAX_MESSAGE,
            channels: 512,
            channels_per_peer: 64,
            requests: 256,
            requests_per_peer: 32,
            roster_requests: 16,
            roster_requests_per_peer: 4,
            bytes_in_flight: 128 << 20,
            bytes_per_peer: 32 << 20,
            lookups: 64,
            lookups_per_peer: 8,
            channel_idle_seconds: 120,
            answer_seconds: 10,
            certificates: 20_000,
            replays: 65_536,
            retention_seconds: 30 * 86_400,
            garbage_seconds: 600,
            garbage_keys: 256,
            channel_key_seconds: 86_400,
            store_reserve_bytes: 64 << 20,
            certificate_seconds: 400 * 86_400,
        }
    }
}

impl Limits {
    /// What one address range gets; where all come over Tor, it is all one range.
    #[must_use]
    pub(crate) const fn range_share(&self, only_tor: bool) -> RangeShare {
        let unknown = if only_tor { 100 } else { self.range_percent };
        RangeShare { percent: self.range_percent, unknown }
    }

    /// The store's share of the limits.
    #[must_use]
    pub fn store(&self) -> StoreLimits {
        StoreLimits {
            max_bytes: self.store_bytes,
            reserve: self.store_reserve_bytes,
            extension: self.retention_seconds,
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
    /// Whether it is a keeper, which the network file must name.
    pub keeper: bool,
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
    #[error(transparent)]
    Tor(#[from] tor::ConfigError),
    /// A listening or advertised address is not `/ip4/…/tcp/…` or `/ip6/…/tcp/…`.
    #[error("not an address of the form /ip4/…/tcp/… or /ip6/…/tcp/…: {0}")]
    BadAddress(String),
    /// The family's name is too long.
    #[error("the family's name is longer than {} bytes", MAX_FAMILY)]
    LongFamily,
    /// There are more addresses than a certificate names.
    #[error("a node has at most {} addresses", MAX_ADDRESSES)]
    ManyAddresses,
    /// Channel keys live longer than a certificate may hold.
    #[error("channel_key_seconds is more than {}", LONGEST_KEY)]
    LongKey,
    /// No share is no share.
    #[error("range_percent is not between 1 and 100")]
    BadPercent,
}

/// The longest life of a channel key, seconds: its certificate holds twice as long.
const LONGEST_KEY: u64 = anon::certificate::MAX_NODE_VALIDITY / 2;

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
        let onions = usize::from(self.onion != Onion::Off);
        if self.listen.len().max(self.advertise.len()) + onions > MAX_ADDRESSES {
            return Err(ConfigError::ManyAddresses);
        }
        if self.limits.channel_key_seconds > LONGEST_KEY {
            return Err(ConfigError::LongKey);
        }
        if !(1..=100).contains(&self.limits.range_percent) {
            return Err(ConfigError::BadPercent);
        }
        let is_long = self.family.len() > MAX_FAMILY;
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
