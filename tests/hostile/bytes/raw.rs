//! A peer with no manners: a connection over libp2p's transport alone, and streams that carry any bytes.

use std::{pin::Pin, time::Duration};

use futures::{AsyncReadExt as _, AsyncWriteExt as _, future::poll_fn};
use libp2p::{
    Multiaddr, Transport as _,
    core::{
        muxing::{StreamMuxer as _, StreamMuxerBox, SubstreamBox},
        transport::{DialOpts, PortUse},
        upgrade::Version,
    },
    identity::Keypair,
    multiaddr::Protocol,
    noise, tcp, yamux,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::{mpsc, oneshot},
};

/// What a node's links are negotiated as, in the network of these tests.
const PROTOCOL: &str = "/cutout/hostile.alt/link/1";
/// Longer than any of a node's own timeouts: a stream that outlives it hangs.
const HANGS: Duration = Duration::from_secs(60);

/// A connection that is authenticated and encrypted, and says nothing by itself.
pub(super) struct Connection {
    opens: mpsc::UnboundedSender<oneshot::Sender<SubstreamBox>>,
}

/// A stream on which the first bytes are sent.
pub(super) struct Stream(SubstreamBox);

/// A line of multistream-select: its length in one byte, and a line feed.
fn line(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len() + 1).unwrap();
    [&[length][..], text.as_bytes(), b"\n"].concat()
}

impl Connection {
    pub(super) async fn dial(address: &Multiaddr) -> Self {
        let mut address = address.clone();
        address.pop();
        let keypair = Keypair::generate_ed25519();
        let mut transport = tcp::tokio::Transport::new(tcp::Config::default())
            .upgrade(Version::V1Lazy)
            .authenticate(noise::Config::new(&keypair).unwrap())
            .multiplex(yamux::Config::default())
            .boxed();
        let how = DialOpts { role: libp2p::core::Endpoint::Dialer, port_use: PortUse::New };
        let (_, muxer) = transport.dial(address, how).unwrap().await.unwrap();
        let (opens, requests) = mpsc::unbounded_channel();
        tokio::spawn(drive(muxer, requests));
        Self { opens }
    }

    /// Opens a stream and sends these bytes.
    pub(super) async fn open(&self, bytes: &[u8]) -> Stream {
        let (reply, opened) = oneshot::channel();
        self.opens.send(reply).unwrap();
        let mut stream = opened.await.unwrap();
        // Multistream-select, by hand: both lines, and their echo.
        let lines = [line("/multistream/1.0.0"), line(PROTOCOL)].concat();
        stream.write_all(&lines).await.unwrap();
        stream.flush().await.unwrap();
        let mut echo = vec![0; lines.len()];
        stream.read_exact(&mut echo).await.unwrap();
        assert_eq!(echo, lines);
        // The node may have hung up before it has all of it.
        let _ = stream.write_all(bytes).await;
        let _ = stream.flush().await;
        Stream(stream)
    }

    /// Sends these bytes and the end on a stream of their own: what comes back before the node's end.
    pub(super) async fn exchange(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = self.open(bytes).await;
        let _ = stream.0.close().await;
        stream.end().await
    }
}

impl Stream {
    /// What comes until the node ends the stream.
    pub(super) async fn end(mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let read = self.0.read_to_end(&mut bytes);
        let _ = tokio::time::timeout(HANGS, read).await.expect("the node gives up");
        bytes
    }
}

/// Opens streams as they are asked for; takes none.
async fn drive(
    mut muxer: StreamMuxerBox,
    mut requests: mpsc::UnboundedReceiver<oneshot::Sender<SubstreamBox>>,
) {
    let mut waiting: Option<oneshot::Sender<SubstreamBox>> = None;
    poll_fn(|cx| {
        loop {
            if waiting.is_none()
                && let std::task::Poll::Ready(next) = requests.poll_recv(cx)
            {
                let Some(next) = next else { return std::task::Poll::Ready(()) };
                waiting = Some(next);
            }
            if waiting.is_some()
                && let std::task::Poll::Ready(Ok(stream)) = Pin::new(&mut muxer).poll_outbound(cx)
            {
                let _ = waiting.take().unwrap().send(stream);
                continue;
            }
            // The node's own streams (identify, Kademlia) are dropped as they come.
            while let std::task::Poll::Ready(Ok(_)) = Pin::new(&mut muxer).poll_inbound(cx) {}
            return match Pin::new(&mut muxer).poll(cx) {
                std::task::Poll::Ready(_) => std::task::Poll::Ready(()),
                std::task::Poll::Pending => std::task::Poll::Pending,
            };
        }
    })
    .await;
}

/// Connects to the port and pours bytes into it that are no handshake at all.
pub(super) async fn spill(address: &Multiaddr, bytes: &[u8]) {
    let parts: Vec<_> = address.iter().collect();
    let [Protocol::Ip4(ip), Protocol::Tcp(port), ..] = parts.as_slice() else {
        panic!("{address}")
    };
    let mut stream = tokio::net::TcpStream::connect((*ip, *port)).await.unwrap();
    // The node may hang up at once.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let read = async { stream.read_to_end(&mut Vec::new()).await };
    let _ = tokio::time::timeout(HANGS, read).await.expect("the node gives up");
}
