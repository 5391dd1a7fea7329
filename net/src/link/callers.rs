//! Who has called: how many connections others have made to this node, by address range.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
        THandlerOutEvent, ToSwarm, dummy,
    },
};
use thiserror::Error;

use super::door::Strangers;
use crate::shares::{Range, RangeShare, Refused};

/// Too many of one address range.
#[derive(Clone, Copy, Debug, Error)]
#[error("too many connections of one address range")]
struct Crowded;

/// Refuses connections beyond an address range's share.
#[derive(Debug)]
pub struct Callers {
    strangers: Arc<Strangers>,
    share: RangeShare,
    /// Connections that others may make.
    most: usize,
    /// Of those, how many may be under way through the onion service, where there is no door.
    most_pending: usize,
    pending: HashSet<ConnectionId>,
    ranges: HashMap<Range, HashSet<ConnectionId>>,
    refused: Refused,
}

impl Callers {
    /// At most so many connections, and of those still being made so many through an onion service.
    #[must_use]
    pub fn new(
        strangers: Arc<Strangers>,
        most: usize,
        most_pending: usize,
        share: RangeShare,
    ) -> Self {
        let (pending, ranges) = (HashSet::new(), HashMap::new());
        let refused = Refused::new("connections");
        Self { strangers, share, most, most_pending, pending, ranges, refused }
    }

    fn check(&self, count: usize, most: usize) -> Result<(), ConnectionDenied> {
        if count < most {
            return Ok(());
        }
        self.refused.tell();
        Err(ConnectionDenied::new(Crowded))
    }
}

impl NetworkBehaviour for Callers {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = std::convert::Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        if Range::of(remote) == Range::Unknown {
            let most = self.share.of(self.most_pending, Range::Unknown);
            self.check(self.pending.len(), most)?;
            self.pending.insert(connection);
        }
        Ok(())
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.pending.remove(&connection);
        self.strangers.leave(remote);
        let range = Range::of(remote);
        let count = self.ranges.get(&range).map_or(0, HashSet::len);
        self.check(count, self.share.of(self.most, range))?;
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(e) if e.endpoint.is_listener() => {
                let range = Range::of(e.endpoint.get_remote_address());
                self.ranges.entry(range).or_default().insert(e.connection_id);
            }
            FromSwarm::ConnectionClosed(e) if e.endpoint.is_listener() => {
                let range = Range::of(e.endpoint.get_remote_address());
                if let Some(all) = self.ranges.get_mut(&range) {
                    all.remove(&e.connection_id);
                    if all.is_empty() {
                        self.ranges.remove(&range);
                    }
                }
            }
            FromSwarm::ListenFailure(e) => {
                self.pending.remove(&e.connection_id);
                self.strangers.leave(e.send_back_addr);
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

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}
