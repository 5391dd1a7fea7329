//! The DHT (paper, 2.1): libp2p's Kademlia behind one question, *which k nodes are closest?*
//!
//! Kademlia finds nodes here and nothing else: it stores no records. Its settings are those under which silent
//! or lying nodes cost a lookup 1.5 seconds each at most.

mod listening;
mod settings;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anon::{
    id::NodeId,
    position::{Key, keep_closest},
};
use futures::StreamExt as _;
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, connection_limits, identify, kad,
    swarm::{NetworkBehaviour, SwarmEvent},
};
use thiserror::Error;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use crate::{config::Limits, identity::Identity};
use net::{
    link::{
        Callers, Carriage, Door, Inbound, LinkError, Links, Strangers, Streams, build_swarm,
        is_dialable, stream_protocol,
    },
    shares::{Caller, Range, Shares},
};

/// Lookups that wait for the swarm.
const COMMANDS: usize = 256;
/// How long a lookup waits for its turn before it is refused.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a connection to another node outlives its last use.
const IDLE: Duration = Duration::from_secs(120);
/// How often a node without neighbours tries to enter again.
const REENTRY: Duration = Duration::from_secs(3);
/// Addresses of one peer that are kept, the newest: twenty peers with so many fit an answer to a lookup.
const ADDRESSES_PER_PEER: usize = 4;
/// How often a peer's own description counts.
const DESCRIBED_EVERY: Duration = Duration::from_secs(30);

/// Why a lookup gives nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DhtError {
    /// As many lookups as allowed are under way.
    #[error("too many lookups at once")]
    Busy,
    /// The node is shutting down.
    #[error("the node is shutting down")]
    Closed,
}

/// A node and where it was found.
pub(crate) type Found = (NodeId, Vec<Multiaddr>);

/// A node that this one is connected to now, and whose shares it takes.
pub(crate) type Seen = (Caller, Found);

enum Command {
    Neighbours { reply: oneshot::Sender<Vec<(PeerId, Multiaddr)>> },
    Lookup { key: Key, count: NonZeroUsize, reply: oneshot::Sender<Vec<Found>> },
}

/// What the DHT did since the node started.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) kademlia_requests: AtomicU64,
    pub(crate) lookups: AtomicU64,
}

/// Asks the DHT.
#[derive(Clone, Debug)]
pub struct Dht {
    commands: mpsc::Sender<Command>,
    local: NodeId,
    lookups: Arc<Semaphore>,
    counters: Arc<Counters>,
    joined: watch::Receiver<bool>,
}

impl Dht {
    /// The `count` nodes closest to `key`, closest first, this node among them if it is.
    ///
    /// # Errors
    /// [`DhtError`].
    pub(crate) async fn lookup(&self, key: Key, count: usize) -> Result<Vec<Found>, DhtError> {
        let wanted = NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN);
        let permit = tokio::time::timeout(QUEUE_TIMEOUT, self.lookups.acquire()).await;
        let Ok(Ok(_permit)) = permit else { return Err(DhtError::Busy) };
        let (reply, answer) = oneshot::channel();
        let command = Command::Lookup { key, count: wanted, reply };
        self.commands.send(command).await.map_err(|_| DhtError::Closed)?;
        let mut found = answer.await.map_err(|_| DhtError::Closed)?;
        found.push((self.local, Vec::new()));
        keep_closest(&mut found, &key, count, |(node, _)| node.position());
        self.counters.lookups.fetch_add(1, Ordering::Relaxed);
        Ok(found)
    }

    /// The nodes that this one is connected to, and where each was reached, or from where it came.
    pub(crate) async fn neighbours(&self) -> Vec<(PeerId, Multiaddr)> {
        let (reply, answer) = oneshot::channel();
        match self.commands.send(Command::Neighbours { reply }).await {
            Ok(()) => answer.await.unwrap_or_default(),
            Err(_) => Vec::new(),
        }
    }

    /// Waits until the node has entered the network: another node of it has answered (at once for the first one).
    pub(crate) async fn joined(&mut self) {
        let _ = self.joined.wait_for(|joined| *joined).await;
    }

    /// Kademlia requests of other nodes handled so far.
    #[must_use]
    pub fn kademlia_requests(&self) -> u64 {
        self.counters.kademlia_requests.load(Ordering::Relaxed)
    }

    /// Lookups done so far.
    #[must_use]
    pub fn lookups(&self) -> u64 {
        self.counters.lookups.load(Ordering::Relaxed)
    }
}

#[derive(NetworkBehaviour)]
struct Behaviour {
    limits: connection_limits::Behaviour,
    callers: Callers,
    streams: Streams,
    kademlia: kad::Behaviour<kad::store::MemoryStore>,
    identify: identify::Behaviour,
}

/// The swarm's side of [`Dht`]: [`DhtLoop::run`] drives it for as long as the node lives.
pub(crate) struct DhtLoop {
    swarm: Swarm<Behaviour>,
    commands: mpsc::Receiver<Command>,
    pending: HashMap<kad::QueryId, oneshot::Sender<Vec<Found>>>,
    bootstrap: Vec<(PeerId, Multiaddr)>,
    protocol: StreamProtocol,
    seen: mpsc::Sender<Seen>,
    counters: Arc<Counters>,
    joined: watch::Sender<bool>,
    /// Whether another node of this network has answered a lookup.
    answered: bool,
    neighbours: HashMap<PeerId, Neighbour>,
}

/// A peer that this node is connected to; there are no more of them than connections.
struct Neighbour {
    /// Where it was reached, or from where it came.
    address: Multiaddr,
    /// When it last described itself as a node of this network.
    described: Option<Instant>,
}

/// A new node's connections to the network, before it listens.
pub(crate) struct Started {
    pub(crate) dht: Dht,
    pub(crate) links: Links,
    pub(crate) inbound: Inbound,
    pub(crate) driver: DhtLoop,
}

pub(crate) fn start(
    identity: &Identity,
    network_name: &str,
    bootstrap: Vec<(PeerId, Multiaddr)>,
    limits: &Limits,
    seen: mpsc::Sender<Seen>,
    carriage: Carriage,
) -> Result<Started, LinkError> {
    let local = identity.keypair().public().to_peer_id();
    let protocol = StreamProtocol::try_from_owned(format!("/cutout/{network_name}/kad/1"))
        .unwrap_or(StreamProtocol::new("/cutout/kad/1"));
    let pace = carriage.pace();
    let share = limits.range_share(carriage.is_only_tor());
    let streams = Shares::new("streams", limits.streams, limits.streams_per_peer, share);
    let (streams, links, inbound) =
        Links::new(stream_protocol(network_name), local, streams, &carriage);
    let pending = usize::try_from(limits.pending_connections).unwrap_or(usize::MAX);
    let called = usize::try_from(settings::inbound_connections(limits)).unwrap_or(usize::MAX);
    let strangers = Arc::new(Strangers::new(pending, share));
    let behaviour = Behaviour {
        limits: connection_limits::Behaviour::new(settings::connection_limits(limits)),
        callers: Callers::new(Arc::clone(&strangers), called, pending, share),
        streams,
        kademlia: settings::kademlia(local, protocol.clone(), pace),
        identify: identify::Behaviour::new(
            identify::Config::new("/cutout/1".to_owned(), identity.keypair().public())
                .with_agent_version("cutout".to_owned())
                .with_hide_listen_addrs(true)
                .with_push_listen_addr_updates(true),
        ),
    };
    let door = Door::new(strangers);
    let swarm = build_swarm(identity.keypair().clone(), behaviour, IDLE, carriage, door)?;
    let (sender, commands) = mpsc::channel(COMMANDS);
    let bootstrap: Vec<_> = bootstrap.into_iter().filter(|(peer, _)| *peer != local).collect();
    let (joined, joined_receiver) = watch::channel(bootstrap.is_empty());
    let counters = Arc::new(Counters::default());
    let dht = Dht {
        commands: sender,
        local: identity.node(),
        lookups: Arc::new(Semaphore::new(limits.lookups)),
        counters: Arc::clone(&counters),
        joined: joined_receiver,
    };
    let driver = DhtLoop {
        swarm,
        commands,
        pending: HashMap::new(),
        bootstrap,
        protocol,
        seen,
        counters,
        joined,
        answered: false,
        neighbours: HashMap::new(),
    };
    Ok(Started { dht, links, inbound, driver })
}

impl DhtLoop {
    /// Listens at these addresses; the addresses that came of it.
    ///
    /// # Errors
    /// [`LinkError::AddressInUse`] if somebody else listens at one of them, be it another node of the same user.
    pub(crate) async fn listen(&mut self, at: &[Multiaddr]) -> Result<Vec<Multiaddr>, LinkError> {
        listening::listen(&mut self.swarm, at).await
    }

    /// Tells other nodes to dial these addresses.
    pub(crate) fn advertise(&mut self, addresses: &[Multiaddr]) {
        for address in addresses {
            self.swarm.add_external_address(address.clone());
        }
    }

    /// Drives the swarm until the last [`Dht`] is gone.
    pub(crate) async fn run(mut self) {
        self.enter();
        let mut reentry = tokio::time::interval(REENTRY);
        loop {
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => self.obey(command),
                    None => return,
                },
                event = self.swarm.select_next_some() => self.on_event(event),
                _ = reentry.tick() => {
                    if !*self.joined.borrow() || self.swarm.network_info().num_peers() == 0 {
                        self.enter();
                    }
                }
            }
        }
    }

    fn enter(&mut self) {
        for (peer, address) in &self.bootstrap {
            self.swarm.behaviour_mut().kademlia.add_address(peer, address.clone());
        }
        if !self.bootstrap.is_empty() {
            let _ = self.swarm.behaviour_mut().kademlia.bootstrap();
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Neighbours { reply } => {
                let described = |(_, n): &(&PeerId, &Neighbour)| n.described.is_some();
                let nodes = self.neighbours.iter().filter(described);
                let _ = reply.send(nodes.map(|(peer, n)| (*peer, n.address.clone())).collect());
            }
            Command::Lookup { key, count, reply } => {
                let kademlia = &mut self.swarm.behaviour_mut().kademlia;
                let query = kademlia.get_n_closest_peers(key.0.to_vec(), count);
                self.pending.insert(query, reply);
            }
        }
    }

    fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Kademlia(event)) => self.on_kademlia(event),
            SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received {
                peer_id,
                info,
                ..
            })) => self.on_identified(peer_id, &info),
            SwarmEvent::ConnectionEstablished { peer_id, endpoint, num_established, .. } => {
                let address = endpoint.get_remote_address().clone();
                // Where it was reached says more than from where it came.
                if endpoint.is_dialer() || num_established.get() == 1 {
                    let neighbour = Neighbour { address: address.clone(), described: None };
                    let known = self.neighbours.entry(peer_id).or_insert(neighbour);
                    known.address = address.clone();
                }
                // Whom we dialled is a node: ask for its certificate while the lookup goes on.
                if endpoint.is_dialer() && num_established.get() == 1 {
                    self.has_seen(peer_id, &address, vec![address.clone()]);
                }
            }
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, .. } => {
                self.neighbours.remove(&peer_id);
            }
            SwarmEvent::ListenerClosed { reason, .. } => {
                tracing::error!(
                    ?reason,
                    "a listener ended: the node is not reached there any more"
                );
            }
            SwarmEvent::OutgoingConnectionError { peer_id: Some(peer), error, .. }
                if !matches!(error, libp2p::swarm::DialError::DialPeerConditionFalse(_))
                    && !self.swarm.is_connected(&peer) =>
            {
                self.swarm.behaviour_mut().kademlia.remove_peer(&peer);
            }
            _ => {}
        }
    }

    fn on_kademlia(&mut self, event: kad::Event) {
        match event {
            kad::Event::InboundRequest { .. } => {
                self.counters.kademlia_requests.fetch_add(1, Ordering::Relaxed);
            }
            // However a peer's addresses come, by its own word or others', only the newest stay.
            kad::Event::RoutingUpdated { peer, addresses, .. } => {
                let surplus = addresses.len().saturating_sub(ADDRESSES_PER_PEER);
                for address in addresses.iter().take(surplus) {
                    self.swarm.behaviour_mut().kademlia.remove_address(&peer, address);
                }
            }
            kad::Event::OutboundQueryProgressed { id, result, step, stats, .. } => match result {
                kad::QueryResult::GetClosestPeers(result) => {
                    let peers = match result {
                        Ok(found) => found.peers,
                        Err(kad::GetClosestPeersError::Timeout { peers, .. }) => peers,
                    };
                    if let Some(reply) = self.pending.remove(&id) {
                        let node = |p: kad::PeerInfo| Some((node_id(&p.peer_id)?, p.addrs));
                        let _ = reply.send(peers.into_iter().filter_map(node).collect());
                    }
                }
                kad::QueryResult::Bootstrap(_) => {
                    self.answered |= stats.num_successes() > 0;
                    if step.last && self.answered {
                        self.joined.send_replace(true);
                    }
                }
                _ => {}
            },
            _ => {}
        }
    }

    fn on_identified(&mut self, peer: PeerId, info: &identify::Info) {
        if !info.protocols.contains(&self.protocol) {
            return;
        }
        // A peer may say what it likes as often as it likes: it is listened to now and then.
        let Some(neighbour) = self.neighbours.get_mut(&peer) else { return };
        if neighbour.described.is_some_and(|before| before.elapsed() < DESCRIBED_EVERY) {
            return;
        }
        neighbour.described = Some(Instant::now());
        let from = neighbour.address.clone();
        let addresses: Vec<Multiaddr> = info
            .listen_addrs
            .iter()
            .filter_map(|a| without_peer_id(a, &peer))
            .take(ADDRESSES_PER_PEER)
            .collect();
        for address in &addresses {
            self.swarm.behaviour_mut().kademlia.add_address(&peer, address.clone());
        }
        self.has_seen(peer, &from, addresses);
    }

    fn has_seen(&self, peer: PeerId, from: &Multiaddr, addresses: Vec<Multiaddr>) {
        if let Some(node) = node_id(&peer) {
            let caller = Caller { peer, range: Range::of(from) };
            let _ = self.seen.try_send((caller, (node, addresses)));
        }
    }
}

fn node_id(peer: &PeerId) -> Option<NodeId> {
    NodeId::from_peer_id(&peer.to_bytes())
}

fn without_peer_id(address: &Multiaddr, peer: &PeerId) -> Option<Multiaddr> {
    let mut address = address.clone();
    if let Some(libp2p::multiaddr::Protocol::P2p(named)) = address.iter().last() {
        if named != *peer {
            return None;
        }
        address.pop();
    }
    is_dialable(&address).then_some(address)
}
