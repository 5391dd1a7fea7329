//! What carries links: TCP connections of this machine's own, or Tor, or, for a node that is reached both ways, each
//! address by what can carry it.

use std::time::Duration;

use futures::{AsyncRead, AsyncWrite};
#[cfg(feature = "tor")]
use libp2p::Transport as _;
use libp2p::{
    Multiaddr, PeerId,
    core::{self, muxing::StreamMuxerBox, transport::Boxed, upgrade::Version},
    identity::Keypair,
    multiaddr::Protocol,
    noise, yamux,
};

use super::{Door, LinkError, OPEN_TIMEOUT};

/// How much longer everything may take over Tor: six relays lie between two onion services.
#[cfg(feature = "tor")]
const TOR_PACE: u32 = 6;
/// The same for a node that goes over Tor only where it must.
#[cfg(feature = "tor")]
const MIXED_PACE: u32 = 2;

/// Why what carries links is gone.
#[cfg(feature = "tor")]
pub type TransportLost = tor::TorError;
/// Why what carries links is gone: TCP never is.
#[cfg(not(feature = "tor"))]
pub type TransportLost = std::convert::Infallible;

/// What carries the links of a user agent.
#[derive(Clone, Debug, Default)]
pub enum Transport {
    /// TCP: whoever is connected to sees this machine's address.
    #[default]
    Tcp,
    /// Tor, and nothing else: there is no socket that could be used instead.
    #[cfg(feature = "tor")]
    Tor(tor::Tor),
}

impl Transport {
    /// Whether links go over Tor.
    #[must_use]
    pub const fn is_tor(&self) -> bool {
        !matches!(self, Self::Tcp)
    }

    /// Waits until what carries links is gone, and says why; over TCP for ever.
    pub async fn lost(&self) -> TransportLost {
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
pub enum Carriage {
    /// TCP.
    Tcp,
    /// Tor, and nothing else.
    #[cfg(feature = "tor")]
    Tor(tor::TorTransport),
    /// IP addresses over TCP, onion addresses over Tor.
    #[cfg(feature = "tor")]
    Mixed(tor::TorTransport),
}

impl Carriage {
    /// Whether nobody comes but over Tor.
    pub const fn is_only_tor(&self) -> bool {
        match self {
            Self::Tcp => false,
            #[cfg(feature = "tor")]
            Self::Tor(_) => true,
            #[cfg(feature = "tor")]
            Self::Mixed(_) => false,
        }
    }

    /// By how much all times that one waits are multiplied.
    pub const fn pace(&self) -> u32 {
        match self {
            Self::Tcp => 1,
            #[cfg(feature = "tor")]
            Self::Tor(_) => TOR_PACE,
            #[cfg(feature = "tor")]
            Self::Mixed(_) => MIXED_PACE,
        }
    }

    /// How long a link may take to come about, whichever of a node's addresses answers.
    pub(super) fn opening(&self) -> Duration {
        match self {
            // They are tried one after the other, and TCP first.
            #[cfg(feature = "tor")]
            Self::Mixed(_) => OPEN_TIMEOUT + OPEN_TIMEOUT * TOR_PACE,
            other => OPEN_TIMEOUT * other.pace(),
        }
    }

    /// The transport: Noise and Yamux over it. The time of each of a node's addresses runs from when the first is tried.
    /// Whoever comes over TCP comes through the `door`.
    pub(super) fn transport(
        self,
        keypair: &Keypair,
        door: Door,
    ) -> Result<Transporting, LinkError> {
        #[cfg(feature = "tor")]
        let opening = self.opening();
        let tcp = || upgraded(door, keypair, OPEN_TIMEOUT);
        match self {
            Self::Tcp => tcp(),
            #[cfg(feature = "tor")]
            Self::Tor(tor) => upgraded(tor, keypair, opening),
            #[cfg(feature = "tor")]
            Self::Mixed(tor) => Ok(beside(tcp()?, upgraded(tor.onions_only(), keypair, opening)?)),
        }
    }
}

/// What makes connections for a swarm.
type Transporting = Boxed<(PeerId, StreamMuxerBox)>;

/// Noise and Yamux over what carries bytes; `timeout` is for all of it together.
fn upgraded<T>(carrier: T, keypair: &Keypair, timeout: Duration) -> Result<Transporting, LinkError>
where
    T: core::Transport<Error: Send + Sync, Dial: Send, ListenerUpgrade: Send>
        + Send
        + Unpin
        + 'static,
    T::Output: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let noise = noise::Config::new(keypair).map_err(|_| LinkError::Unreachable)?;
    Ok(carrier
        .upgrade(Version::V1Lazy)
        .authenticate(noise)
        .multiplex(yamux::Config::default())
        .timeout(timeout)
        .boxed())
}

/// Each address by whichever of two can carry it, each within its own time.
#[cfg(feature = "tor")]
fn beside(one: Transporting, other: Transporting) -> Transporting {
    one.or_transport(other).map(|made, _| made.into_inner()).boxed()
}

/// Whether an address is an IP address and a TCP port and nothing else.
#[must_use]
pub fn is_plain_tcp(address: &Multiaddr) -> bool {
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
pub fn is_dialable(address: &Multiaddr) -> bool {
    is_plain_tcp(address) || is_onion(address)
}

#[cfg(test)]
#[cfg(feature = "tor")]
mod tests {
    use std::num::NonZeroU8;

    use futures::StreamExt as _;
    use libp2p::{
        Swarm, SwarmBuilder,
        core::transport::MemoryTransport,
        swarm::{SwarmEvent, dial_opts::DialOpts, dummy},
    };
    use tokio::net::TcpListener;

    use super::*;

    /// A swarm for which `/memory/…` is what `/onion3/…` is for a node.
    fn swarm() -> Swarm<dummy::Behaviour> {
        let keypair = Keypair::generate_ed25519();
        let tcp = Carriage::Tcp.transport(&keypair, Door::closed()).unwrap();
        let memory = upgraded(MemoryTransport::new(), &keypair, OPEN_TIMEOUT * 4).unwrap();
        let Ok(builder) = SwarmBuilder::with_existing_identity(keypair)
            .with_tokio()
            .with_other_transport(|_| beside(tcp, memory));
        let Ok(builder) = builder.with_behaviour(|_| dummy::Behaviour);
        let builder = builder.with_swarm_config(|config| config);
        builder.with_connection_timeout(OPEN_TIMEOUT * 4).build()
    }

    #[tokio::test]
    async fn an_address_at_which_nobody_speaks_leaves_time_for_the_next() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = silent.local_addr().unwrap().port();
        let (mut caller, mut called) = (swarm(), swarm());
        called.listen_on("/memory/0".parse().unwrap()).unwrap();
        let SwarmEvent::NewListenAddr { address, .. } = called.select_next_some().await else {
            panic!("it does not listen")
        };
        let addresses =
            vec![format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap(), address.clone()];
        let dial = DialOpts::peer_id(*called.local_peer_id())
            .addresses(addresses)
            .override_dial_concurrency_factor(NonZeroU8::MIN);
        caller.dial(dial.build()).unwrap();
        tokio::spawn(async move { while called.next().await.is_some() {} });
        let reached = async {
            loop {
                match caller.select_next_some().await {
                    SwarmEvent::ConnectionEstablished { endpoint, .. } => break endpoint,
                    SwarmEvent::OutgoingConnectionError { error, .. } => panic!("{error}"),
                    _ => {}
                }
            }
        };
        let reached = tokio::time::timeout(OPEN_TIMEOUT * 8, reached).await.unwrap();
        assert_eq!(reached.get_remote_address().iter().next(), address.iter().next());
    }
}
