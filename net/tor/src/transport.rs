//! libp2p's dialling and listening over Tor.
//!
//! A dial is a stream of arti's: through an exit to an IP address, with data that does not wait for the exit's word; or
//! to an onion service. A rendezvous can be lost without anybody hearing of it, so that a first attempt has a bound of
//! its own, and a second one goes by other circuits.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use arti_client::{
    DataStream, ErrorKind, HasKind as _, IsolationToken, StreamPrefs, config::BoolOrAuto,
};
use futures::{AsyncRead, AsyncWrite, FutureExt as _, future::BoxFuture};
use libp2p::{
    Multiaddr, Transport,
    core::transport::{DialOpts, ListenerId, TransportError, TransportEvent},
};
use tokio::sync::mpsc;

use crate::{address::Target, health::Health};

/// arti's client on this program's own runtime.
pub(crate) type Client = arti_client::TorClient<tor_rtcompat::PreferredRuntime>;

/// How long the first attempt to reach somebody may take.
const FIRST: Duration = Duration::from_secs(12);
/// The second.
const SECOND: Duration = Duration::from_secs(18);

/// A stream over Tor. While it lives, so does the circuit that it came by.
#[derive(Debug)]
pub struct Stream {
    inner: DataStream,
    _held: Option<Arc<()>>,
}

impl Stream {
    /// A stream, and what tells its circuit's keeper that it lives.
    pub(crate) const fn new(inner: DataStream, held: Option<Arc<()>>) -> Self {
        Self { inner, _held: held }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, buffer)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_close(cx)
    }
}

/// What an onion service hands to the transport that listens for it.
#[derive(Debug)]
pub struct Serving {
    pub(crate) address: Multiaddr,
    pub(crate) streams: mpsc::Receiver<Stream>,
}

/// A libp2p transport over Tor; its connections are plain streams of bytes, to be encrypted as over TCP.
#[derive(derive_more::Debug)]
#[debug("TorTransport(..)")]
pub struct TorTransport {
    client: Arc<Client>,
    health: Arc<Health>,
    isolation: IsolationToken,
    onions_only: bool,
    serving: Option<Serving>,
    listening: Option<Listening>,
}

/// A listener, and whether it has said so.
struct Listening {
    id: ListenerId,
    is_said: bool,
}

impl TorTransport {
    pub(crate) fn new(client: Arc<Client>, health: Arc<Health>) -> Self {
        let isolation = IsolationToken::new();
        Self { client, health, isolation, onions_only: false, serving: None, listening: None }
    }

    /// Listens for what an onion service takes in.
    #[must_use]
    pub fn serving(mut self, serving: Serving) -> Self {
        self.serving = Some(serving);
        self
    }

    /// Leaves IP addresses to another transport.
    #[must_use]
    pub const fn onions_only(mut self) -> Self {
        self.onions_only = true;
        self
    }
}

/// Whom to dial, and by what.
struct Dial {
    client: Arc<Client>,
    health: Arc<Health>,
    to: Target,
}

impl Dial {
    async fn once(&self, isolation: IsolationToken, within: Duration) -> io::Result<Stream> {
        let mut prefs = StreamPrefs::new();
        prefs.set_isolation(isolation).connect_to_onion_services(BoolOrAuto::Explicit(true));
        // Noise is spoken right away: what an exit has to say of the connection need not be waited for.
        prefs.optimistic();
        let connect = self.client.connect_with_prefs((self.to.host.as_str(), self.to.port), &prefs);
        match tokio::time::timeout(within, connect).await {
            Ok(Ok(stream)) => {
                self.health.succeeded();
                Ok(Stream::new(stream, None))
            }
            Ok(Err(error)) => {
                self.health.failed(error.kind());
                Err(io::Error::other(error.to_string()))
            }
            Err(_) => {
                // A slow onion service is not Tor's fault; that no exit is had is.
                if !self.to.is_onion {
                    self.health.failed(ErrorKind::TorNetworkTimeout);
                }
                Err(io::ErrorKind::TimedOut.into())
            }
        }
    }

    async fn twice(self, isolation: IsolationToken) -> io::Result<Stream> {
        match self.once(isolation, FIRST).await {
            Ok(stream) => Ok(stream),
            Err(_) => self.once(IsolationToken::new(), SECOND).await,
        }
    }
}

impl Transport for TorTransport {
    type Output = Stream;
    type Error = io::Error;
    type ListenerUpgrade = std::future::Ready<io::Result<Stream>>;
    type Dial = BoxFuture<'static, io::Result<Stream>>;

    fn listen_on(
        &mut self,
        id: ListenerId,
        at: Multiaddr,
    ) -> Result<(), TransportError<io::Error>> {
        match &self.serving {
            Some(serving) if serving.address == at && self.listening.is_none() => {
                self.listening = Some(Listening { id, is_said: false });
                Ok(())
            }
            _ => Err(TransportError::MultiaddrNotSupported(at)),
        }
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.listening.take_if(|listening| listening.id == id).is_some()
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        _: DialOpts,
    ) -> Result<Self::Dial, TransportError<io::Error>> {
        let target = Target::of(&address).filter(|to| to.is_onion || !self.onions_only);
        let Some(target) = target else {
            return Err(TransportError::MultiaddrNotSupported(address));
        };
        let (client, health) = (Arc::clone(&self.client), Arc::clone(&self.health));
        Ok(Dial { client, health, to: target }.twice(self.isolation).boxed())
    }

    fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        let this = self.get_mut();
        let (Some(listening), Some(serving)) = (&mut this.listening, &mut this.serving) else {
            return Poll::Pending;
        };
        let listener_id = listening.id;
        if !listening.is_said {
            listening.is_said = true;
            let listen_addr = serving.address.clone();
            return Poll::Ready(TransportEvent::NewAddress { listener_id, listen_addr });
        }
        match serving.streams.poll_recv(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(stream)) => Poll::Ready(TransportEvent::Incoming {
                listener_id,
                upgrade: std::future::ready(Ok(stream)),
                local_addr: serving.address.clone(),
                // Nobody knows from where a stream over Tor comes.
                send_back_addr: Multiaddr::empty(),
            }),
            Poll::Ready(None) => {
                this.listening = None;
                let reason = Err(io::Error::other("the onion service ended"));
                Poll::Ready(TransportEvent::ListenerClosed { listener_id, reason })
            }
        }
    }
}
