//! A TCP proxy in user space that plays a slow link, for tests and the demo.
//!
//! ```text
//! client ──► DelayProxy (listens) ──► target        each arrow costs `delay`, one way
//! ```
//!
//! It exists because `tc netem` is not to be had everywhere. What it promises, with d the delay:
//! - Every chunk leaves d after it came, in order. Chunks are queued and do not wait for one
//!   another: a hundred sent at once arrive after about one d. The timer ticks in milliseconds.
//! - TCP's handshake costs a round trip on a real link, but none here, where the client is
//!   answered at once. It is charged: the client's bytes count as sent 2d after the accept, the
//!   target's (who hears of the connection another d later) as sent 3d after it. So
//!   elapsed / 2d counts a link's round trips with the connection set-up included.
//! - At most [`MAX_QUEUED_BYTES`] are on their way in each direction of a connection; beyond,
//!   nothing more is read and TCP pushes back.
//! - A half-close travels like a byte; a reset ends both directions, d later.
//! - Both sockets have `TCP_NODELAY`: Nagle's algorithm would add delays of its own.
//!
//! Invariant: no task outlives the last handle.

mod link;

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    net::TcpListener,
    task::{AbortHandle, JoinSet},
};

pub use link::MAX_QUEUED_BYTES;

/// The longest delay; longer ones are cut to it.
pub(crate) const MAX_DELAY: Duration = Duration::from_secs(60);
/// How long to wait after a failed accept (for want of descriptors, most likely).
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// What went over the link since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Bytes that left towards the target.
    pub to_target: u64,
    /// Bytes that left towards the clients.
    pub to_client: u64,
    /// Connections accepted.
    pub connections: u64,
}

/// A handle on a running proxy. Clones share it; it stops when the last one is dropped.
#[derive(Debug, Clone)]
pub struct DelayProxy {
    running: Arc<Running>,
}

#[derive(Debug)]
struct Running {
    local_addr: SocketAddr,
    shared: Arc<Shared>,
    accepting: AbortHandle,
}

impl Drop for Running {
    fn drop(&mut self) {
        // The accepting task owns the connections' tasks, which end with it.
        self.accepting.abort();
    }
}

/// What the tasks share with the handles.
#[derive(Debug, Default)]
struct Shared {
    delay: Mutex<Duration>,
    to_target: AtomicU64,
    to_client: AtomicU64,
    connections: AtomicU64,
}

impl Shared {
    fn delay(&self) -> Duration {
        *self.delay.lock()
    }
}

impl DelayProxy {
    /// Listens on `listen` (port 0 for any) and forwards every connection to `target`, without
    /// delay at first. To be called within a tokio runtime with I/O and time.
    ///
    /// # Errors
    /// The operating system's, if it cannot listen there. That the target cannot be reached shows
    /// to the clients only: their connections are closed.
    pub(crate) async fn start(listen: SocketAddr, target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let local_addr = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let accepting = tokio::spawn(accept_all(listener, target, Arc::clone(&shared)));
        let accepting = accepting.abort_handle();
        Ok(Self { running: Arc::new(Running { local_addr, shared, accepting }) })
    }

    /// Where clients connect to.
    #[must_use]
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.running.local_addr
    }

    /// Sets the one-way delay, up to [`MAX_DELAY`], for all that comes in from now on. What is on
    /// its way keeps its time, and nothing overtakes it.
    pub(crate) fn set_delay(&self, delay: Duration) {
        *self.running.shared.delay.lock() = delay.min(MAX_DELAY);
    }

    /// Reads the counters. A byte is counted before it is written on, so whoever has received it
    /// finds it counted.
    #[must_use]
    pub(crate) fn counters(&self) -> Counters {
        let shared = &self.running.shared;
        Counters {
            to_target: shared.to_target.load(Ordering::SeqCst),
            to_client: shared.to_client.load(Ordering::SeqCst),
            connections: shared.connections.load(Ordering::SeqCst),
        }
    }
}

/// Accepts for ever; its connections end when it is aborted.
async fn accept_all(listener: TcpListener, target: SocketAddr, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => {
                    shared.connections.fetch_add(1, Ordering::SeqCst);
                    let shared = Arc::clone(&shared);
                    // An error has nobody to go to: the client sees its connection close.
                    connections.spawn(async move { link::forward(client, target, &shared).await });
                }
                Err(_) => tokio::time::sleep(ACCEPT_RETRY).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::time::timeout;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

    use super::*;

    const D: Duration = Duration::from_millis(100);
    /// What a loaded machine may add; less than one delay, which is what the tests tell apart.
    const SLACK: Duration = Duration::from_millis(80);
    const LONG: Duration = Duration::from_secs(5);

    fn any_port() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    /// A proxy with delay `delay`, and the listener it leads to.
    async fn proxy(delay: Duration) -> (DelayProxy, TcpListener) {
        let target = TcpListener::bind(any_port()).await.unwrap();
        let proxy = DelayProxy::start(any_port(), target.local_addr().unwrap()).await.unwrap();
        proxy.set_delay(delay);
        (proxy, target)
    }

    /// A client's and the target's end of one connection, the handshake's charge used up.
    async fn pair(proxy: &DelayProxy, target: &TcpListener) -> (TcpStream, TcpStream) {
        let mut client = TcpStream::connect(proxy.local_addr()).await.unwrap();
        client.set_nodelay(true).unwrap();
        let (mut server, _) = timeout(LONG, target.accept()).await.unwrap().unwrap();
        server.set_nodelay(true).unwrap();
        client.write_all(b".").await.unwrap();
        expect(&mut server, b".").await;
        server.write_all(b".").await.unwrap();
        expect(&mut client, b".").await;
        (client, server)
    }

    async fn expect(stream: &mut TcpStream, bytes: &[u8]) {
        let mut got = vec![0; bytes.len()];
        timeout(LONG, stream.read_exact(&mut got)).await.unwrap().unwrap();
        assert_eq!(got, bytes);
    }

    async fn round_trip(client: &mut TcpStream, server: &mut TcpStream) {
        client.write_all(b"ping").await.unwrap();
        expect(server, b"ping").await;
        server.write_all(b"pong").await.unwrap();
        expect(client, b"pong").await;
    }

    /// Sends two bytes, one at a time.
    async fn exchange(from: &mut TcpStream, to: &mut TcpStream) {
        from.write_all(b"a").await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
        from.write_all(b"b").await.unwrap();
        expect(to, b"ab").await;
    }

    #[tokio::test]
    async fn four_round_trips_take_eight_delays() {
        let (proxy, target) = proxy(D).await;
        let (mut client, mut server) = pair(&proxy, &target).await;
        let start = Instant::now();
        for _ in 0..4 {
            round_trip(&mut client, &mut server).await;
        }
        let elapsed = start.elapsed();
        assert!(elapsed >= D * 8 && elapsed < D * 8 + SLACK * 2, "{elapsed:?}");
    }

    #[tokio::test]
    async fn connecting_costs_one_round_trip_more() {
        let (proxy, target) = proxy(D).await;
        let start = Instant::now();
        let mut client = TcpStream::connect(proxy.local_addr()).await.unwrap();
        client.write_all(b"ping").await.unwrap();
        let (mut server, _) = target.accept().await.unwrap();
        expect(&mut server, b"ping").await;
        let arrived = start.elapsed();
        assert!(arrived >= D * 3 && arrived < D * 3 + SLACK, "{arrived:?}");
        server.write_all(b"pong").await.unwrap();
        expect(&mut client, b"pong").await;
        let answered = start.elapsed();
        assert!(answered >= D * 4 && answered < D * 4 + SLACK, "{answered:?}");
    }

    #[tokio::test]
    async fn a_target_that_speaks_first_is_charged_as_well() {
        let (proxy, target) = proxy(D).await;
        let start = Instant::now();
        let mut client = TcpStream::connect(proxy.local_addr()).await.unwrap();
        let (mut server, _) = target.accept().await.unwrap();
        server.write_all(b"220").await.unwrap();
        expect(&mut client, b"220").await;
        let elapsed = start.elapsed();
        assert!(elapsed >= D * 4 && elapsed < D * 4 + SLACK, "{elapsed:?}");
    }

    #[tokio::test]
    async fn a_hundred_chunks_in_a_row_arrive_one_delay_later_in_order() {
        let (proxy, target) = proxy(D * 2).await;
        let (mut client, mut server) = pair(&proxy, &target).await;
        let start = Instant::now();
        for chunk in 0..100 {
            client.write_all(&[chunk; 10]).await.unwrap();
            // So that the proxy reads them one by one.
            tokio::task::yield_now().await;
        }
        let sent: Vec<u8> = (0..100).flat_map(|chunk| [chunk; 10]).collect();
        expect(&mut server, &sent).await;
        let elapsed = start.elapsed();
        assert!(elapsed >= D * 2 && elapsed < D * 2 + SLACK, "{elapsed:?}");
    }

    #[tokio::test]
    async fn a_shorter_delay_reorders_nothing() {
        let (proxy, target) = proxy(D).await;
        let (mut client, mut server) = pair(&proxy, &target).await;
        client.write_all(b"first").await.unwrap();
        tokio::time::sleep(D / 4).await;
        proxy.set_delay(Duration::ZERO);
        client.write_all(b"second").await.unwrap();
        expect(&mut server, b"firstsecond").await;
        let start = Instant::now();
        round_trip(&mut client, &mut server).await;
        assert!(start.elapsed() < D, "{:?}", start.elapsed());
    }

    #[tokio::test]
    async fn throughput_is_not_bound_to_the_delay() {
        let (proxy, target) = proxy(D).await;
        let (mut client, mut server) = pair(&proxy, &target).await;
        let bytes = vec![7; 8 << 20];
        let start = Instant::now();
        let sending = async { client.write_all(&bytes).await.unwrap() };
        tokio::join!(sending, expect(&mut server, &bytes));
        // A window of 1 MiB a delay would need eight delays.
        assert!(start.elapsed() < D * 6, "{:?}", start.elapsed());
    }

    #[tokio::test]
    async fn the_queue_is_bounded() {
        let (proxy, target) = proxy(Duration::ZERO).await;
        let (mut client, _server) = pair(&proxy, &target).await;
        proxy.set_delay(MAX_DELAY);
        let bytes = vec![0; 1 << 20];
        let mut accepted = 0;
        while let Ok(written) = timeout(SLACK * 5, client.write(&bytes)).await {
            accepted += written.unwrap();
            assert!(accepted < 64 << 20, "nothing pushes back");
        }
        assert!(accepted >= MAX_QUEUED_BYTES as usize);
    }

    #[tokio::test]
    async fn a_half_close_arrives_and_the_other_half_stays_open() {
        let (proxy, target) = proxy(D).await;
        let (mut client, mut server) = pair(&proxy, &target).await;
        client.write_all(b"last").await.unwrap();
        let start = Instant::now();
        client.shutdown().await.unwrap();
        let mut got = Vec::new();
        timeout(LONG, server.read_to_end(&mut got)).await.unwrap().unwrap();
        assert_eq!(got, b"last");
        assert!(start.elapsed() >= D);
        server.write_all(b"answer").await.unwrap();
        drop(server);
        let mut got = Vec::new();
        timeout(LONG, client.read_to_end(&mut got)).await.unwrap().unwrap();
        assert_eq!(got, b"answer");
    }

    #[tokio::test]
    async fn an_answer_on_its_way_outlives_a_target_that_takes_no_more() {
        let (proxy, target) = proxy(D).await;
        let (mut client, mut server) = pair(&proxy, &target).await;
        // These reach a target that has closed: the first is answered by a reset, the second
        // cannot be written, and the answer is still half a delay away.
        client.write_all(b"one").await.unwrap();
        tokio::time::sleep(D / 10).await;
        client.write_all(b"two").await.unwrap();
        tokio::time::sleep(D / 2).await;
        server.write_all(b"answer").await.unwrap();
        drop(server);
        expect(&mut client, b"answer").await;
    }

    #[tokio::test]
    async fn a_reset_arrives_as_a_reset_and_late() {
        let (proxy, target) = proxy(D).await;
        let (client, mut server) = pair(&proxy, &target).await;
        let start = Instant::now();
        client.set_zero_linger().unwrap();
        drop(client);
        let outcome = timeout(LONG, server.read_u8()).await.unwrap();
        assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert!(start.elapsed() >= D);
    }

    #[tokio::test]
    async fn small_writes_are_not_held_back() {
        let (proxy, target) = proxy(Duration::ZERO).await;
        let (mut client, mut server) = pair(&proxy, &target).await;
        let start = Instant::now();
        // Nagle's algorithm would hold each second byte until the first is acknowledged, which
        // the other kernel puts off for 40 ms.
        for _ in 0..20 {
            exchange(&mut client, &mut server).await;
            exchange(&mut server, &mut client).await;
        }
        assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
    }

    #[tokio::test]
    async fn counters_count_each_way() {
        let (proxy, target) = proxy(Duration::ZERO).await;
        let (mut client, mut server) = pair(&proxy, &target).await;
        client.write_all(&[0; 99]).await.unwrap();
        expect(&mut server, &[0; 99]).await;
        let expected = Counters { to_target: 100, to_client: 1, connections: 1 };
        assert_eq!(proxy.counters(), expected);
        drop(pair(&proxy, &target).await);
        let expected = Counters { to_target: 101, to_client: 2, connections: 2 };
        assert_eq!(proxy.counters(), expected);
    }

    #[tokio::test]
    async fn an_unreachable_target_closes_the_connection() {
        let (proxy, target) = proxy(Duration::ZERO).await;
        drop(target);
        let mut client = TcpStream::connect(proxy.local_addr()).await.unwrap();
        assert!(timeout(LONG, client.read_u8()).await.unwrap().is_err());
    }

    #[tokio::test]
    async fn everything_stops_with_the_last_handle() {
        let (proxy, target) = proxy(Duration::ZERO).await;
        let (mut client, mut server) = pair(&proxy, &target).await;
        let addr = proxy.local_addr();
        let clone = proxy.clone();
        drop(proxy);
        round_trip(&mut client, &mut server).await;
        drop(clone);
        assert!(timeout(LONG, client.read_u8()).await.unwrap().is_err());
        assert!(timeout(LONG, server.read_u8()).await.unwrap().is_err());
        assert!(TcpStream::connect(addr).await.is_err());
    }

    #[tokio::test]
    async fn a_delay_is_at_most_a_minute() {
        let (proxy, _target) = proxy(Duration::MAX).await;
        assert_eq!(proxy.running.shared.delay(), MAX_DELAY);
    }
}
