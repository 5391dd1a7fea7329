//! Links: authenticated, encrypted streams between two ends, over libp2p (TCP, Noise, Yamux).
//!
//! A node opens links through the swarm of its DHT; a user agent through a disposable one
//! ([`Links::disposable`]) with a fresh key pair that runs no Kademlia, no identify and no listener. The first
//! byte of a stream says what it carries: one request and its answer, or the cells of one channel.

mod behaviour;
mod callers;
mod door;
mod framing;
mod handler;
mod transport;

use std::{sync::Arc, time::Duration};

use anon::{
    certificate::NodeCertificate,
    id::NodeId,
    verification::CrossVerified,
    view::descriptor::{Addresses, TcpAddress},
};
use futures::StreamExt as _;
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder, core::upgrade::Version,
    identity::Keypair, multiaddr::Protocol, swarm::NetworkBehaviour,
};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use crate::{
    peer::Peer,
    shares::{Held, Shares},
};

pub use behaviour::{Accepting, Streams};
pub use callers::Callers;
pub use door::{Door, Strangers, only_listener};
pub use framing::{ANSWER_TIMEOUT, REQUEST_TIMEOUT};
pub use framing::{CellReader, CellWriter, Link};
pub use handler::Handler;
pub use transport::{Carriage, is_dialable, is_plain_tcp};
pub use transport::{Transport, TransportLost, is_onion};

/// How long one link may take to come about over TCP: connection, encryption and stream.
pub(crate) const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// Commands that wait for the swarm before `open` itself waits.
const COMMANDS: usize = 256;
/// Inbound streams that wait to be served before more are dropped.
const ACCEPTED: usize = 256;

/// Why a link fails. All but [`LinkError::NoAddress`] are the network's or the peer's doing.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The certificate names no address that can be dialled.
    #[error("the node names no address that can be dialled")]
    NoAddress,
    /// Another program, or another node, listens at this address.
    #[error("another program listens at {0}")]
    AddressInUse(Multiaddr),
    /// Nobody answers there, or somebody else does.
    #[error("the node cannot be reached")]
    Unreachable,
    /// Something took too long.
    #[error("the node does not answer in time")]
    TimedOut,
    /// The stream ended.
    #[error("the link broke: {0}")]
    Io(#[from] std::io::Error),
    /// The peer, its address range or everybody together has as much of this node as it may.
    #[error("too much at once")]
    Busy,
    /// A frame claims more bytes than its reader accepts.
    #[error("a frame is longer than its limit")]
    FrameTooLong,
    /// The bytes are no message.
    #[error(transparent)]
    Wire(#[from] anon::wire::WireError),
    /// A channel's peer broke the rules of cells.
    #[error(transparent)]
    Channel(#[from] anon::channel::ChannelError),
}

/// What a stream carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// One request, one response.
    Request,
    /// The cells of a channel.
    Channel,
}

/// What the swarm is told to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// Open a stream.
    Open(Open),
    /// Close all connections with this peer.
    Disconnect(PeerId),
}

/// A stream that is wanted.
#[derive(derive_more::Debug)]
#[debug("Open(..)")]
pub struct Open {
    peer: PeerId,
    addresses: Vec<Multiaddr>,
    reply: oneshot::Sender<Result<(libp2p::Stream, Multiaddr), LinkError>>,
}

/// Opens links to other nodes.
#[derive(Clone, Debug)]
pub struct Links {
    commands: mpsc::Sender<Command>,
    local: PeerId,
    /// By how much all times that one waits are multiplied.
    pace: u32,
    /// How long a link may take to come about.
    opening: Duration,
}

/// Inbound streams: what the peer is, and the stream.
pub type Inbound = mpsc::Receiver<(Peer, libp2p::Stream, Held)>;

impl Links {
    /// The behaviour for a swarm, the handle that opens links through it, and what arrives.
    pub fn new(
        protocol: StreamProtocol,
        local: PeerId,
        shares: Shares,
        carriage: &Carriage,
    ) -> (Streams, Self, Inbound) {
        let (pace, opening) = (carriage.pace(), carriage.opening());
        let (commands, receiver) = mpsc::channel(COMMANDS);
        let (accepted, inbound) = mpsc::channel(ACCEPTED);
        let accepting = Accepting { queue: accepted, shares: Arc::new(shares) };
        let streams = Streams::new(protocol, receiver, Some(accepting), pace);
        (streams, Self { commands, local, pace, opening }, inbound)
    }

    /// Links over TCP under a fresh identity that nobody has seen before and that ends with the last clone.
    ///
    /// # Errors
    /// [`LinkError::Unreachable`] if no swarm can be made, which means a broken random source.
    pub fn disposable(network_name: &str) -> Result<Self, LinkError> {
        Self::disposable_over(network_name, &Transport::Tcp)
    }

    /// As [`Self::disposable`], over whatever carries links; over Tor by circuits that carry nothing else.
    ///
    /// # Errors
    /// As [`Self::disposable`].
    pub fn disposable_over(network_name: &str, transport: &Transport) -> Result<Self, LinkError> {
        let keypair = Keypair::generate_ed25519();
        let local = keypair.public().to_peer_id();
        let (commands, receiver) = mpsc::channel(COMMANDS);
        let carriage = transport.carriage();
        let (pace, opening) = (carriage.pace(), carriage.opening());
        let streams = Streams::new(stream_protocol(network_name), receiver, None, pace);
        let idle = Duration::from_secs(30);
        let mut swarm = build_swarm(keypair, streams, idle, carriage, Door::closed())?;
        let links = Self { commands, local, pace, opening };
        tokio::spawn(async move {
            while !swarm.behaviour().is_abandoned() || swarm.behaviour().is_busy() {
                swarm.next().await;
            }
        });
        Ok(links)
    }

    /// Ends all connections with a peer that does not do what a peer must.
    pub async fn disconnect(&self, peer: PeerId) {
        let _ = self.commands.send(Command::Disconnect(peer)).await;
    }

    /// The identity that the other ends see.
    #[must_use]
    pub const fn local(&self) -> PeerId {
        self.local
    }

    /// How long a wait may be, of which one knows how long it may be over TCP.
    #[must_use]
    pub fn timeout(&self, over_tcp: Duration) -> Duration {
        over_tcp * self.pace
    }

    /// Opens a link to the node of a certificate, at one of the addresses it names.
    ///
    /// # Errors
    /// [`LinkError`], after at most `OPEN_TIMEOUT`, which is longer over Tor.
    pub async fn open(&self, to: &NodeCertificate, carrier: Carrier) -> Result<Link, LinkError> {
        let addresses = certified_addresses(to);
        self.open_at(peer_id(&to.node())?, addresses, carrier).await
    }

    /// Opens a link to a node at one of the addresses that its certificate names, or its view.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_to(&self, to: &CrossVerified, carrier: Carrier) -> Result<Link, LinkError> {
        let stated = to.addresses().copied().map(stated_addresses);
        let addresses = stated.or_else(|| to.certificate().map(certified_addresses));
        self.open_at(peer_id(&to.node())?, addresses.unwrap_or_default(), carrier).await
    }

    /// Opens a link to a peer at one of some addresses.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_at(
        &self,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        carrier: Carrier,
    ) -> Result<Link, LinkError> {
        let (reply, answer) = oneshot::channel();
        let open = Open { peer, addresses, reply };
        let opened = async {
            self.commands.send(Command::Open(open)).await.map_err(|_| LinkError::Unreachable)?;
            answer.await.map_err(|_| LinkError::Unreachable)?
        };
        let (stream, address) =
            tokio::time::timeout(self.opening, opened).await.map_err(|_| LinkError::TimedOut)??;
        Link::initiate(Peer { id: peer, address }, stream, carrier, self.pace).await
    }
}

/// The name under which a network's links are negotiated.
#[must_use]
pub fn stream_protocol(network_name: &str) -> StreamProtocol {
    StreamProtocol::try_from_owned(format!("/cutout/{network_name}/link/1"))
        .unwrap_or(StreamProtocol::new("/cutout/link/1"))
}

/// A node's libp2p peer id.
///
/// # Errors
/// [`LinkError::Unreachable`], never in practice: any 32 bytes make one.
pub fn peer_id(node: &NodeId) -> Result<PeerId, LinkError> {
    PeerId::from_bytes(&node.peer_id()).map_err(|_| LinkError::Unreachable)
}

/// The addresses of a certificate that can be dialled over TCP or Tor, without any peer id.
#[must_use]
pub fn certified_addresses(certificate: &NodeCertificate) -> Vec<Multiaddr> {
    let addresses = certificate.claims().addresses.iter();
    addresses.filter_map(|a| a.parse().ok()).filter(is_dialable).collect()
}

/// The addresses of a descriptor, without any peer id: TCP first, and an onion only where this program has Tor.
#[must_use]
pub fn stated_addresses(addresses: Addresses) -> Vec<Multiaddr> {
    let tcp = addresses.tcp().map(tcp_multiaddr);
    #[cfg(feature = "tor")]
    let onion = addresses.onion().and_then(onion_multiaddr);
    #[cfg(not(feature = "tor"))]
    let onion: Option<Multiaddr> = None;
    tcp.into_iter().chain(onion).collect()
}

/// Where to dial a TCP address.
#[must_use]
pub fn tcp_multiaddr(tcp: TcpAddress) -> Multiaddr {
    Multiaddr::from(tcp.ip()).with(Protocol::Tcp(tcp.port()))
}

/// Where to dial an onion.
#[cfg(feature = "tor")]
#[must_use]
pub fn onion_multiaddr(onion: anon::view::descriptor::OnionAddress) -> Option<Multiaddr> {
    tor::onion_of_key(*onion.key(), onion.port())
}

/// A swarm over what carries links, with Noise and Yamux. Streams are negotiated without a round trip of their own.
pub fn build_swarm<B: NetworkBehaviour>(
    keypair: Keypair,
    behaviour: B,
    idle: Duration,
    carriage: Carriage,
    door: Door,
) -> Result<Swarm<B>, LinkError> {
    let timeout = carriage.opening();
    let transport = carriage.transport(&keypair, door)?;
    let Ok(builder) = SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_other_transport(|_| transport);
    let Ok(builder) = builder.with_behaviour(|_| behaviour);
    Ok(builder
        .with_swarm_config(|config| {
            config
                .with_substream_upgrade_protocol_override(Version::V1Lazy)
                .with_idle_connection_timeout(idle)
                .with_max_negotiating_inbound_streams(128)
        })
        .with_connection_timeout(timeout)
        .build())
}
