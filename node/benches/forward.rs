//! What a go-between costs: requests of 1 MiB and of one cell over loopback links, directly, through a channel
//! to the last hop itself, and through one go-between, each in turn. Sender and nodes are in this one process,
//! so its CPU time is that of all ends together.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and stops at the first surprise"
)]

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anon::{
    certificate::NodeCertificate,
    position::Key,
    request::{MAX_OBJECT, ObjectKind, Request, Response, Store},
    verification::{CrossVerified, cross_verify},
};
use futures::future::BoxFuture;
use net::{Carrier, Channel, Links, NetworkFile, Peer, Via, ask, now};
use node::{Node, NodeConfig, Running, Service};

const TIMEOUT: Duration = Duration::from_secs(20);
/// Turns; each does every kind once, and the figures are medians over them.
const TURNS: usize = 15;
/// Large requests of one kind in one turn.
const LARGE: usize = 8;
/// Small requests of one kind in one turn.
const SMALL: usize = 40;
/// Cold requests of one kind in one turn.
const COLD: usize = 4;
const KINDS: [&str; 3] = ["directly", "channel, no go-between", "channel, one go-between"];

/// A last hop that neither stores nor looks anything up: what is left is the way there.
struct Mute(Arc<dyn Service>);

impl Service for Mute {
    fn handle<'a>(&'a self, peer: &'a Peer, via: Via, request: Request) -> BoxFuture<'a, Response> {
        match request {
            Request::Store(_) | Request::Lookup { .. } => {
                Box::pin(std::future::ready(Response::NotFound))
            }
            Request::Fetch { .. } => {
                Box::pin(std::future::ready(Response::Object(vec![7; MAX_OBJECT])))
            }
            other => self.0.handle(peer, via, other),
        }
    }
}

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    tokio::runtime::Runtime::new().unwrap().block_on(run());
}

async fn run() {
    let directory = tempfile::tempdir().unwrap();
    let mut nodes: Vec<Running> = Vec::new();
    for name in ["witness", "x", "z"] {
        nodes.push(start(directory.path(), name, &nodes).await);
    }
    let [_, x, z] = nodes.as_slice() else { return };
    let (x, z) = (certificate(x).await, certificate(z).await);
    let mut ways = Ways::open(x, z).await;
    println!(
        "\nOver loopback, {TURNS} turns, medians; CPU of sender, go-between and last hop together"
    );
    let head = ["", "store 1 MiB", "", "", "fetch 1 MiB", "", ""];
    println!("\n{:24} {:>30} {:>30}", head[0], head[1], head[4]);
    print_large(&mut ways).await;
    print_small(&mut ways).await;
    for node in nodes {
        node.shutdown().await;
    }
}

async fn start(directory: &Path, name: &str, others: &[Running]) -> Running {
    let file = NetworkFile {
        name: "bench.alt".to_owned(),
        authority: None,
        admission_required: false,
        k: 3,
        quorum: None,
        epoch_seconds: 86_400,
        delay_seconds: 0,
        bootstrap: others.iter().flat_map(Running::addresses).map(|a| a.to_string()).collect(),
        revocations: None,
        ..NetworkFile::default()
    };
    let listen = vec!["/ip4/127.0.0.1/tcp/0".to_owned()];
    let config = NodeConfig { listen, ..NodeConfig::default() };
    let node = Node::new(directory.join(name), file, config);
    node.serving(|standard| Arc::new(Mute(standard))).start().await.unwrap()
}

async fn certificate(node: &Running) -> NodeCertificate {
    let links = Links::disposable("bench.alt").unwrap();
    let mut addresses = node.addresses();
    for address in &mut addresses {
        address.pop();
    }
    let peer = net::peer_id(&node.id()).unwrap();
    let link = links.open_at(peer, addresses, Carrier::Request).await.unwrap();
    match link.request(&Request::Certificate, TIMEOUT).await {
        Ok(Response::Certificate(certificate)) => {
            certificate.verify(node.network(), now()).unwrap()
        }
        other => panic!("{other:?}"),
    }
}

fn verified(certificate: &NodeCertificate) -> CrossVerified {
    cross_verify(certificate.clone(), certificate.clone()).unwrap()
}

/// The three ways to the last hop.
struct Ways {
    x: NodeCertificate,
    z: NodeCertificate,
    links: Links,
    straight: Channel,
    through: Channel,
}

impl Ways {
    async fn open(x: NodeCertificate, z: NodeCertificate) -> Self {
        let links = Links::disposable("bench.alt").unwrap();
        let straight = Channel::open(&links, &verified(&z), None, TIMEOUT).await.unwrap();
        let through = through(&x, &z).await;
        Self { x, z, links, straight, through }
    }

    async fn request(&mut self, kind: usize, request: &Request) {
        let response = match kind {
            0 => ask(&self.links, &self.z, request, TIMEOUT).await,
            1 => self.straight.request(request, TIMEOUT).await,
            _ => self.through.request(request, TIMEOUT).await,
        };
        assert!(matches!(response.unwrap(), Response::NotFound | Response::Object(_)));
    }

    /// The same under a new identity, over new connections.
    async fn request_cold(&self, kind: usize, request: &Request) {
        let response = match kind {
            0 => ask(&Links::disposable("bench.alt").unwrap(), &self.z, request, TIMEOUT).await,
            1 => {
                let links = Links::disposable("bench.alt").unwrap();
                let z = verified(&self.z);
                let opened = Channel::open(&links, &z, Some(request), TIMEOUT).await;
                opened.unwrap().response(TIMEOUT).await
            }
            _ => {
                let links = Links::disposable("bench.alt").unwrap();
                let opened = Channel::open(&links, &verified(&self.x), None, TIMEOUT).await;
                let z = verified(&self.z);
                let extended = opened.unwrap().extend(&z, Some(request), TIMEOUT).await;
                extended.unwrap().response(TIMEOUT).await
            }
        };
        assert!(matches!(response.unwrap(), Response::NotFound));
    }
}

async fn through(x: &NodeCertificate, z: &NodeCertificate) -> Channel {
    let links = Links::disposable("bench.alt").unwrap();
    let channel = Channel::open(&links, &verified(x), None, TIMEOUT).await.unwrap();
    channel.extend(&verified(z), None, TIMEOUT).await.unwrap()
}

/// Seconds of wall clock and of CPU that some requests took, each.
#[derive(Clone, Copy, Default)]
struct Cost {
    wall: f64,
    cpu: f64,
}

/// Costs of one kind and size, by turn.
#[derive(Default)]
struct Series(Vec<Cost>);

impl Series {
    fn median(&self, of: impl Fn(&Cost) -> f64) -> f64 {
        let mut values: Vec<f64> = self.0.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap()
    }

    /// The median over turns of this series' wall clock to another's.
    fn ratio_to(&self, other: &Self) -> f64 {
        let mut ratios: Vec<f64> =
            self.0.iter().zip(&other.0).map(|(own, other)| own.wall / other.wall).collect();
        ratios.sort_by(f64::total_cmp);
        ratios.get(ratios.len() / 2).copied().unwrap()
    }
}

async fn measure(times: usize, mut work: impl AsyncFnMut()) -> Cost {
    let (start, cpu) = (Instant::now(), cpu_seconds());
    for _ in 0..times {
        work().await;
    }
    let times = f64::from(u32::try_from(times).unwrap());
    Cost { wall: start.elapsed().as_secs_f64() / times, cpu: (cpu_seconds() - cpu) / times }
}

/// CPU time of this process: the first field of `schedstat` of each of its threads; 0 where there is none.
fn cpu_seconds() -> f64 {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else { return 0.0 };
    let nanoseconds = |path: &Path| -> Option<f64> {
        let text = std::fs::read_to_string(path).ok()?;
        text.split_whitespace().next()?.parse().ok()
    };
    let each = threads.flatten().filter_map(|thread| nanoseconds(&thread.path().join("schedstat")));
    each.sum::<f64>() / 1e9
}

async fn print_large(ways: &mut Ways) {
    let store = Request::Store(Store {
        key: Key([1; 32]),
        kind: ObjectKind::Body,
        object: vec![7; MAX_OBJECT],
        deleters: Vec::new(),
        nonce: [0; 16],
    });
    let fetch = Request::Fetch { key: Key([1; 32]) };
    let mut series: [[Series; 3]; 2] = Default::default();
    for turn in 0..=TURNS {
        for (request, series) in [&store, &fetch].into_iter().zip(&mut series) {
            for (kind, series) in series.iter_mut().enumerate() {
                let cost = measure(LARGE, async || ways.request(kind, request).await).await;
                // The first turn warms up.
                series.0.extend((turn > 0).then_some(cost));
            }
        }
    }
    let line = |series: &[Series; 3], kind: usize| {
        let (own, direct) = (&series[kind], &series[0]);
        format!(
            "{:>8.0} MB/s {:>5.2}x {:>6.1} ms",
            f64::from(u32::try_from(MAX_OBJECT).unwrap()) / own.median(|c| c.wall) / 1e6,
            own.ratio_to(direct),
            own.median(|c| c.cpu) * 1e3,
        )
    };
    for (kind, name) in KINDS.iter().enumerate() {
        println!("{name:24} {:>30} {:>30}", line(&series[0], kind), line(&series[1], kind));
    }
}

async fn print_small(ways: &mut Ways) {
    let request = Request::Lookup { key: Key([1; 32]), count: 1 };
    let mut series: [[Series; 3]; 2] = Default::default();
    let [warm, cold] = &mut series;
    for turn in 0..=TURNS {
        for kind in 0..KINDS.len() {
            let cost = measure(SMALL, async || ways.request(kind, &request).await).await;
            warm[kind].0.extend((turn > 0).then_some(cost));
            let cost = measure(COLD, async || ways.request_cold(kind, &request).await).await;
            cold[kind].0.extend((turn > 0).then_some(cost));
        }
    }
    let line = |series: &[Series; 3], kind: usize| {
        let (own, direct) = (&series[kind], &series[0]);
        format!(
            "{:>8.0} us {:>5.2}x {:>8.0} us",
            own.median(|c| c.wall) * 1e6,
            own.ratio_to(direct),
            own.median(|c| c.cpu) * 1e6,
        )
    };
    println!("\n{:24} {:>30} {:>30}", "small request", "connection and channel there", "all new");
    for (kind, name) in KINDS.iter().enumerate() {
        println!("{name:24} {:>30} {:>30}", line(&series[0], kind), line(&series[1], kind));
    }
}
