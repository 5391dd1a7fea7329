//! What carries links: TCP connections of this machine's own, or Tor, or, for a node that is reached both ways, each
//! address by what can carry it.

use std::time::Duration;

use libp2p::{
    Multiaddr, PeerId, Transport as _,
    core::{muxing::StreamMuxerBox, transport::Boxed, upgrade::Version},
    identity::Keypair,
    multiaddr::Protocol,
    noise, tcp, yamux,
};

use super::LinkError;

/// How much longer everything may take over Tor: six relays lie between two onion services.
#[cfg(feature = "tor")]
const TOR_PACE: u32 = 6;
/// The same for a node that goes over Tor only where it must.
#[cfg(feature = "tor")]
const MIXED_PACE: u32 = 2;

/// Why what carries links is gone.
#[cfg(feature = "tor")]
pub type UnderlayLost = tor::TorError;
/// Why what carries links is gone: TCP never is.
#[cfg(not(feature = "tor"))]
pub type UnderlayLost = std::convert::Infallible;

/// What carries the links of a user agent.
#[derive(Clone, Debug, Default)]
pub enum Underlay {
    /// TCP: whoever is connected to sees this machine's address.
    #[default]
    Tcp,
    /// Tor, and nothing else: there is no socket that could be used instead.
    #[cfg(feature = "tor")]
    Tor(tor::Tor),
}

impl Underlay {
    /// By how much all times that one waits are multiplied.
    #[must_use]
    pub const fn pace(&self) -> u32 {
        match self {
            Self::Tcp => 1,
            #[cfg(feature = "tor")]
            Self::Tor(_) => TOR_PACE,
        }
    }

    /// Whether links go over Tor.
    #[must_use]
    pub const fn is_tor(&self) -> bool {
        !matches!(self, Self::Tcp)
    }

    /// Waits until what carries links is gone, and says why; over TCP for ever.
    pub async fn lost(&self) -> UnderlayLost {
        match self {
            Self::Tcp => std::future::pending().await,
            #[cfg(feature = "tor")]
            Self::Tor(tor) => tor.lost().await,
        }
    }

    /// A carriage for one swarm, which shares no circuit with any other.
    pub(crate) fn carriage(&self) -> Carriage {
        match self {
            Self::Tcp => Carriage::Tcp,
            #[cfg(feature = "tor")]
            Self::Tor(tor) => Carriage::Tor(tor.transport()),
        }
    }
}

/// What carries the links of one swarm.
#[derive(Debug)]
pub(crate) enum Carriage {
    Tcp,
    #[cfg(feature = "tor")]
    Tor(tor::TorTransport),
    /// IP addresses over TCP, onion addresses over Tor.
    #[cfg(feature = "tor")]
    Mixed(tor::TorTransport),
}

impl Carriage {
    /// By how much all times that one waits are multiplied.
    pub(crate) const fn pace(&self) -> u32 {
        match self {
            Self::Tcp => 1,
            #[cfg(feature = "tor")]
            Self::Tor(_) => TOR_PACE,
            #[cfg(feature = "tor")]
            Self::Mixed(_) => MIXED_PACE,
        }
    }

    /// The transport: Noise and Yamux over it. `timeout` is for both together.
    pub(super) fn transport(
        self,
        keypair: &Keypair,
        timeout: Duration,
    ) -> Result<Boxed<(PeerId, StreamMuxerBox)>, LinkError> {
        let tcp = || tcp::tokio::Transport::new(tcp::Config::default().nodelay(true));
        let plain = match self {
            Self::Tcp => tcp().map(|stream, _| Stream::Left(stream)).boxed(),
            #[cfg(feature = "tor")]
            Self::Tor(tor) => tor.map(|stream, _| Stream::Right(stream)).boxed(),
            #[cfg(feature = "tor")]
            Self::Mixed(tor) => tcp().or_transport(tor.onions_only()).boxed(),
        };
        let noise = noise::Config::new(keypair).map_err(|_| LinkError::Unreachable)?;
        Ok(plain
            .upgrade(Version::V1Lazy)
            .authenticate(noise)
            .multiplex(yamux::Config::default())
            .timeout(timeout)
            .boxed())
    }
}

#[cfg(feature = "tor")]
type Stream = futures::future::Either<tcp::tokio::TcpStream, tor::Stream>;
#[cfg(not(feature = "tor"))]
type Stream = futures::future::Either<tcp::tokio::TcpStream, tcp::tokio::TcpStream>;

/// Whether an address is an IP address and a TCP port and nothing else.
#[must_use]
pub(crate) fn is_plain_tcp(address: &Multiaddr) -> bool {
    use Protocol::{Ip4, Ip6, Tcp};
    let parts: Vec<_> = address.iter().collect();
    matches!(parts.as_slice(), [Ip4(_) | Ip6(_), Tcp(_)])
}

/// Whether an address is an onion service's and nothing else.
#[must_use]
pub fn is_onion(address: &Multiaddr) -> bool {
    let parts: Vec<_> = address.iter().collect();
    matches!(parts.as_slice(), [Protocol::Onion3(_)])
}

/// Whether an address is one that nodes may have.
#[must_use]
pub(crate) fn is_dialable(address: &Multiaddr) -> bool {
    is_plain_tcp(address) || is_onion(address)
}
