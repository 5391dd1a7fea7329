//! The libp2p behaviour under [`super::Links`]: opens streams by peer and addresses, hands out inbound ones.
//!
//! Every wait is bounded: commands and accepted streams by their queues, opens by the caller's timeout, whose
//! reply end tells us when nobody waits any more.

use std::{
    collections::{HashMap, VecDeque},
    num::NonZeroU8,
    sync::Arc,
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId, StreamProtocol,
    core::{Endpoint, transport::PortUse},
    swarm::{
        CloseConnection, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour,
        NotifyHandler, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use tokio::sync::mpsc;

use super::{Command, LinkError, OPEN_TIMEOUT, Open, handler::Handler};
use crate::{
    peer::Peer,
    sensitive::Sensitive,
    shares::{Held, Shares},
};

/// Addresses of one node that are tried at once over TCP.
const DIALS_AT_ONCE: u8 = 8;

/// Where inbound streams go, and how many each peer may have.
#[derive(Clone, Debug)]
pub struct Accepting {
    /// Where they are served.
    pub queue: mpsc::Sender<(Peer, libp2p::Stream, Held)>,
    /// What each caller may have open.
    pub shares: Arc<Shares>,
}

/// Opens and accepts streams of one protocol.
#[derive(Debug)]
pub struct Streams {
    protocol: StreamProtocol,
    commands: mpsc::Receiver<Command>,
    accepted: Option<Accepting>,
    connections: HashMap<PeerId, Vec<(ConnectionId, Multiaddr)>>,
    waiting: HashMap<PeerId, Vec<Open>>,
    events: VecDeque<ToSwarm<std::convert::Infallible, Open>>,
    abandoned: bool,
    pace: u32,
}

impl Streams {
    pub(super) fn new(
        protocol: StreamProtocol,
        commands: mpsc::Receiver<Command>,
        accepted: Option<Accepting>,
        pace: u32,
    ) -> Self {
        Self {
            protocol,
            commands,
            accepted,
            connections: HashMap::new(),
            waiting: HashMap::new(),
            events: VecDeque::new(),
            abandoned: false,
            pace,
        }
    }

    /// Whether the last handle is gone.
    pub(super) const fn is_abandoned(&self) -> bool {
        self.abandoned
    }

    /// Whether there are connections left.
    pub(super) fn is_busy(&self) -> bool {
        !self.connections.is_empty()
    }

    fn start(&mut self, open: Open) {
        if let Some((connection, address)) =
            self.connections.get(&open.peer).and_then(|all| all.first())
        {
            tracing::trace!(address = %Sensitive(address), "opening a stream on an existing connection");
            self.events.push_back(ToSwarm::NotifyHandler {
                peer_id: open.peer,
                handler: NotifyHandler::One(*connection),
                event: open,
            });
            return;
        }
        if open.addresses.is_empty() {
            let _ = open.reply.send(Err(LinkError::NoAddress));
            return;
        }
        let dial = DialOpts::peer_id(open.peer)
            .condition(PeerCondition::DisconnectedAndNotDialing)
            .addresses(open.addresses.clone())
            .override_dial_concurrency_factor(self.dials_at_once())
            .build();
        self.waiting.entry(open.peer).or_default().push(open);
        self.events.push_back(ToSwarm::Dial { opts: dial });
    }

    fn connected(&mut self, peer: PeerId, connection: ConnectionId, address: Multiaddr) {
        self.connections.entry(peer).or_default().push((connection, address));
        for open in self.waiting.remove(&peer).unwrap_or_default() {
            self.start(open);
        }
    }

    fn disconnected(&mut self, peer: PeerId, connection: ConnectionId) {
        if let Some(all) = self.connections.get_mut(&peer) {
            all.retain(|(id, _)| *id != connection);
            if all.is_empty() {
                self.connections.remove(&peer);
            }
        }
    }

    fn dial_failed(&mut self, peer: PeerId, error: &libp2p::swarm::DialError) {
        // Another dial to the same peer is under way: its outcome is ours.
        if matches!(error, libp2p::swarm::DialError::DialPeerConditionFalse(_)) {
            if self.connections.contains_key(&peer) {
                for open in self.waiting.remove(&peer).unwrap_or_default() {
                    self.start(open);
                }
            }
            return;
        }
        for open in self.waiting.remove(&peer).unwrap_or_default() {
            let _ = open.reply.send(Err(LinkError::Unreachable));
        }
    }

    /// Over Tor a node's addresses are tried one after the other: each costs circuits.
    fn dials_at_once(&self) -> NonZeroU8 {
        let at_once = if self.pace == 1 { DIALS_AT_ONCE } else { 1 };
        NonZeroU8::new(at_once).unwrap_or(NonZeroU8::MIN)
    }

    fn handler(&self, peer: PeerId, address: Multiaddr) -> Handler {
        let (peer, timeout) = (Peer { id: peer, address }, OPEN_TIMEOUT * self.pace);
        Handler::new(self.protocol.clone(), peer, self.accepted.clone(), timeout)
    }
}

impl NetworkBehaviour for Streams {
    type ConnectionHandler = Handler;
    type ToSwarm = std::convert::Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(peer, remote.clone()))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(peer, address.clone()))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(e) => {
                let address = e.endpoint.get_remote_address().clone();
                self.connected(e.peer_id, e.connection_id, address);
            }
            FromSwarm::ConnectionClosed(e) => self.disconnected(e.peer_id, e.connection_id),
            FromSwarm::DialFailure(e) => {
                if let Some(peer) = e.peer_id {
                    self.dial_failed(peer, e.error);
                }
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Poll::Ready(event);
            }
            match self.commands.poll_recv(cx) {
                Poll::Ready(Some(Command::Open(open))) => self.start(open),
                Poll::Ready(Some(Command::Disconnect(peer_id))) => {
                    let connection = CloseConnection::All;
                    self.events.push_back(ToSwarm::CloseConnection { peer_id, connection });
                }
                Poll::Ready(None) => {
                    self.abandoned = true;
                    return Poll::Pending;
                }
                Poll::Pending => {
                    // Opens whose caller has given up need no answer.
                    self.waiting.retain(|_, opens| {
                        opens.retain(|open| !open.reply.is_closed());
                        !opens.is_empty()
                    });
                    return Poll::Pending;
                }
            }
        }
    }
}
