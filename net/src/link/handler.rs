//! One connection's part of [`super::Streams`].

use std::{
    collections::VecDeque,
    task::{Context, Poll},
    time::Duration,
};

use libp2p::{
    Multiaddr, StreamProtocol,
    core::upgrade::ReadyUpgrade,
    swarm::{
        ConnectionHandler, ConnectionHandlerEvent, StreamUpgradeError, SubstreamProtocol,
        handler::{
            ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
        },
    },
};
use tokio::sync::oneshot;

use super::{LinkError, Open, behaviour::Accepting};
use crate::peer::Peer;

type Reply = oneshot::Sender<Result<(libp2p::Stream, Multiaddr), LinkError>>;

/// Opens streams on one connection and passes inbound ones on, as many as the peer has a share of.
#[derive(Debug)]
pub struct Handler {
    protocol: StreamProtocol,
    peer: Peer,
    accepted: Option<Accepting>,
    opens: VecDeque<Open>,
    timeout: Duration,
}

impl Handler {
    pub(super) fn new(
        protocol: StreamProtocol,
        peer: Peer,
        accepted: Option<Accepting>,
        timeout: Duration,
    ) -> Self {
        Self { protocol, peer, accepted, opens: VecDeque::new(), timeout }
    }

    fn accept(&self, stream: libp2p::Stream) {
        let Some(accepted) = &self.accepted else { return };
        // Beyond its share, or when nobody keeps up, a peer's stream is dropped: it sees it reset.
        if let Some(held) = accepted.shares.take(self.peer.caller(), 1) {
            let _ = accepted.queue.try_send((self.peer.clone(), stream, held));
        }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Open;
    type ToBehaviour = std::convert::Infallible;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Reply;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(self.protocol.clone()), ())
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, Reply, Self::ToBehaviour>> {
        while let Some(open) = self.opens.pop_front() {
            if open.reply.is_closed() {
                continue;
            }
            let upgrade = ReadyUpgrade::new(self.protocol.clone());
            let protocol = SubstreamProtocol::new(upgrade, open.reply).with_timeout(self.timeout);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, open: Open) {
        self.opens.push_back(open);
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol, (), Reply>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol, ..
            }) => {
                self.accept(protocol);
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol,
                info,
            }) => {
                let _ = info.send(Ok((protocol, self.peer.address.clone())));
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error }) => {
                let error = match error {
                    StreamUpgradeError::Timeout => LinkError::TimedOut,
                    StreamUpgradeError::Io(error) => LinkError::Io(error),
                    _ => LinkError::Unreachable,
                };
                let _ = info.send(Err(error));
            }
            _ => {}
        }
    }
}
