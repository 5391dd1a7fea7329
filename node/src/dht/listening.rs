//! Listening: a node starts where it can be reached, or says why it cannot.

use futures::StreamExt as _;
use libp2p::{
    Multiaddr, Swarm,
    swarm::{NetworkBehaviour, SwarmEvent},
};
use net::link::{LinkError, only_listener};

/// Lets a swarm listen at these addresses; the addresses that came of it.
///
/// # Errors
/// [`LinkError::AddressInUse`] if somebody else listens at one of them, be it another node of the same user.
pub(super) async fn listen<B: NetworkBehaviour>(
    swarm: &mut Swarm<B>,
    at: &[Multiaddr],
) -> Result<Vec<Multiaddr>, LinkError> {
    let mut waiting = 0_usize;
    let mut alone = Vec::new();
    for address in at {
        alone.push(only_listener(address).map_err(|error| match error.kind() {
            std::io::ErrorKind::AddrInUse => LinkError::AddressInUse(address.clone()),
            _ => error.into(),
        })?);
        swarm
            .listen_on(address.clone())
            .map_err(|error| std::io::Error::other(error.to_string()))?;
        waiting += 1;
    }
    let mut bound = Vec::new();
    while waiting > 0 {
        match swarm.select_next_some().await {
            SwarmEvent::NewListenAddr { address, .. } => {
                bound.push(address);
                waiting -= 1;
            }
            SwarmEvent::ListenerClosed { reason: Err(error), .. } => return Err(error.into()),
            SwarmEvent::ListenerError { error, .. } => return Err(error.into()),
            _ => {}
        }
    }
    Ok(bound)
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        pin::Pin,
        task::{Context, Poll},
        time::Duration,
    };

    use futures::future::Pending;
    use libp2p::{
        PeerId, Transport,
        core::{
            muxing::StreamMuxerBox,
            transport::{DialOpts, ListenerId, TransportError, TransportEvent},
        },
        swarm::{Config, dummy},
    };

    use super::*;

    type Upgrade = Pending<io::Result<(PeerId, StreamMuxerBox)>>;

    /// A transport that says this of each listener, and nothing else.
    struct Says(fn(ListenerId) -> TransportEvent<Upgrade, io::Error>, Vec<ListenerId>);

    impl Transport for Says {
        type Output = (PeerId, StreamMuxerBox);
        type Error = io::Error;
        type ListenerUpgrade = Upgrade;
        type Dial = Upgrade;

        fn listen_on(
            &mut self,
            id: ListenerId,
            _: Multiaddr,
        ) -> Result<(), TransportError<io::Error>> {
            self.1.push(id);
            Ok(())
        }

        fn remove_listener(&mut self, _: ListenerId) -> bool {
            false
        }

        fn dial(
            &mut self,
            address: Multiaddr,
            _: DialOpts,
        ) -> Result<Self::Dial, TransportError<io::Error>> {
            Err(TransportError::MultiaddrNotSupported(address))
        }

        fn poll(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<TransportEvent<Upgrade, io::Error>> {
            let says = self.0;
            self.1.pop().map_or(Poll::Pending, |id| Poll::Ready(says(id)))
        }
    }

    /// What comes of listening at two addresses where the transport says this.
    async fn listened(
        says: fn(ListenerId) -> TransportEvent<Upgrade, io::Error>,
    ) -> Result<usize, LinkError> {
        let transport = Says(says, Vec::new()).boxed();
        let config = Config::with_tokio_executor();
        let mut swarm = Swarm::new(transport, dummy::Behaviour, PeerId::random(), config);
        let at = ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.2/tcp/0"].map(|at| at.parse().unwrap());
        let listening = listen(&mut swarm, &at);
        let listened = tokio::time::timeout(Duration::from_secs(5), listening).await;
        listened.expect("a node that cannot listen says so").map(|bound| bound.len())
    }

    #[tokio::test]
    async fn a_listener_that_fails_or_ends_is_told_and_not_waited_for() {
        let failed = listened(|listener_id| TransportEvent::ListenerError {
            listener_id,
            error: io::ErrorKind::PermissionDenied.into(),
        });
        assert!(matches!(failed.await, Err(LinkError::Io(_))));
        let ended = listened(|listener_id| TransportEvent::ListenerClosed {
            listener_id,
            reason: Err(io::ErrorKind::PermissionDenied.into()),
        });
        assert!(matches!(ended.await, Err(LinkError::Io(_))));
        let listens = listened(|listener_id| TransportEvent::NewAddress {
            listener_id,
            listen_addr: "/ip4/127.0.0.1/tcp/7".parse().unwrap(),
        });
        assert_eq!(listens.await.unwrap(), 2);
    }
}
