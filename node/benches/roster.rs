//! What it costs to keep a roster: two nodes' rosters of 10,000 compared over loopback, and what a question to a
//! roster of 100,000 costs the one who is asked.

#![allow(
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and stops at the first surprise"
)]

use std::{
    hint::black_box,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anon::{
    certificate::{NodeCertificate, NodeClaims},
    id::NodeId,
    keys::{ChannelSecret, IdentitySecret, SigningSecret as _},
    network::{Epoch, Network},
    position::Key,
    request::{Request, Response},
    roster::{MAX_CARRIED, MAX_NODES, Operator, PIECES, Roster, ShortDigest, Source},
    time::Validity,
};
use net::{Carrier, Links, NetworkFile, RosterKeeper, now};
use node::{Node, NodeConfig, Running};

const TIMEOUT: Duration = Duration::from_secs(20);
/// Nodes in the rosters that are compared.
const NODES: usize = 10_000;
/// Questions of one kind.
const QUESTIONS: usize = 100;

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    tokio::runtime::Runtime::new().unwrap().block_on(exchanges());
    questions();
}

/// A node that exists on paper only: identity `number`, its certificate signed `age` seconds ago.
fn certify(network: &Network, number: usize, age: u64) -> NodeCertificate {
    let mut seed = [0; 32];
    seed.iter_mut().zip(number.to_be_bytes()).for_each(|(to, from)| *to = from);
    let identity = IdentitySecret::from_seed(&seed);
    let claims = NodeClaims {
        network: network.id,
        identity: NodeId(identity.verify_key().0),
        channel_key: ChannelSecret::from_seed(&seed).agreement_key(),
        addresses: vec![format!("/ip4/10.{}.{}.1/tcp/4001", number % 256, number / 256 % 256)],
        family: String::new(),
        validity: Validity::starting(now().before(age), 2 * 86_400),
        admission: None,
    };
    NodeCertificate::issue(&identity, claims).verify(network, now()).unwrap()
}

/// A roster to which two operators told these nodes, yesterday.
fn fill(roster: &mut Roster, nodes: &[NodeCertificate], now: Epoch) {
    let operators = [Operator::of(&nodes[0]), Operator::of(&nodes[1])];
    for node in nodes {
        for operator in &operators {
            roster.learn(node.clone(), Source::Member(operator.clone()), now.before());
        }
    }
}

async fn exchanges() {
    let directory = tempfile::tempdir().unwrap();
    let member = start(directory.path()).await;
    let network = Arc::new(member.network().clone());
    let epoch = network.epoch(now());
    let nodes: Vec<NodeCertificate> = (0..NODES).map(|n| certify(&network, n, 7_200)).collect();
    member.service().roster().with(|roster| fill(roster, &nodes, epoch));
    let certificate = own_certificate(&member).await;
    let keeper = RosterKeeper::open(Arc::clone(&network), None, net::Clock::default());
    let links = Links::disposable(&network.name).unwrap();

    println!("\nComparing rosters of {NODES} nodes over loopback\n");
    println!("{:34} {:>12} {:>10} {:>8} {:>8}", "", "round trips", "KiB", "learned", "ms");
    let exchange = async |what: &str| {
        let start = Instant::now();
        let done = keeper.exchange(&links, &certificate).await.unwrap();
        println!(
            "{what:34} {:>12} {:>10.1} {:>8} {:>8}",
            done.round_trips,
            done.bytes as f64 / 1024.0,
            done.learned,
            start.elapsed().as_millis()
        );
        assert_eq!(done.missing, 0);
    };
    exchange("from empty").await;
    // A second member says the same: now this roster tells of what it learnt.
    keeper.with(|roster| fill(roster, &nodes, epoch));
    exchange("unchanged").await;
    let renewed: Vec<NodeCertificate> =
        (0..NODES / 100).map(|n| certify(&network, n * 100, 3_600)).collect();
    member.service().roster().with(|roster| fill(roster, &renewed, epoch));
    exchange("1 % renewed").await;
    let mut other: Vec<NodeCertificate> = nodes.iter().take(2).cloned().collect();
    other.extend((NODES..NODES + NODES / 100).map(|n| certify(&network, n, 3_600)));
    member.service().roster().with(|roster| {
        for gone in nodes.iter().skip(2).step_by(100).take(NODES / 100) {
            roster.forget(&gone.node());
        }
        fill(roster, &other, epoch);
    });
    exchange("1 % replaced").await;
    let all: Vec<NodeCertificate> = (0..NODES).map(|n| certify(&network, n, 1_800)).collect();
    member.service().roster().with(|roster| fill(roster, &all, epoch));
    exchange("all renewed (every quarter epoch)").await;
    member.shutdown().await;
}

fn network_file() -> NetworkFile {
    NetworkFile {
        name: "bench.alt".to_owned(),
        authority: None,
        admission_required: false,
        k: 8,
        quorum: None,
        epoch_seconds: 86_400,
        delay_seconds: 0,
        bootstrap: Vec::new(),
        revocations: None,
        ..NetworkFile::default()
    }
}

async fn start(directory: &Path) -> Running {
    let listen = vec!["/ip4/127.0.0.1/tcp/0".to_owned()];
    let config = NodeConfig { listen, ..NodeConfig::default() };
    Node::new(directory.to_owned(), network_file(), config).start().await.unwrap()
}

async fn own_certificate(node: &Running) -> NodeCertificate {
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

fn questions() {
    let network = network_file().network().unwrap();
    let epoch = network.epoch(now());
    let nodes: Vec<NodeCertificate> = (0..MAX_NODES).map(|n| certify(&network, n, 0)).collect();
    let mut roster = Roster::default();
    // A quarter at a time, as one exchange brings it.
    let filling = Instant::now();
    for some in nodes.chunks(MAX_NODES / 4) {
        fill(&mut roster, some, epoch);
    }
    let filling = filling.elapsed() / u32::try_from(MAX_NODES).unwrap();
    assert_eq!(roster.active(epoch).count(), MAX_NODES);
    let none = vec![ShortDigest([0; 8]); PIECES];
    let short = |c: &NodeCertificate| ShortDigest(*c.digest().first_chunk().unwrap());
    let asked: Vec<ShortDigest> = nodes.iter().step_by(101).take(MAX_CARRIED).map(short).collect();

    println!("\nA roster of {MAX_NODES} nodes; {QUESTIONS} questions of each kind\n");
    println!("{:44} {:>10.1} us", "one node learnt from two members", filling.as_secs_f64() * 1e6);
    let time = |what: &str, work: &mut dyn FnMut(u8)| {
        let start = Instant::now();
        for number in 0..QUESTIONS {
            work(u8::try_from(number).unwrap());
        }
        let each = start.elapsed().as_secs_f64() / QUESTIONS as f64;
        println!("{what:44} {:>10.1} us", each * 1e6);
    };
    let mut closest = |salt| {
        black_box(roster.closest(&Key([salt; 32]), 8, epoch));
    };
    time("the 8 closest to a key", &mut closest);
    time("pieces, nothing changed", &mut |_| {
        black_box(roster.pieces(epoch));
    });
    time("pieces, a new epoch", &mut |salt| {
        black_box(roster.pieces(Epoch(epoch.0 + 1 + u64::from(salt))));
    });
    time("listing all of it (800 KB)", &mut |_| {
        black_box(roster.differing(&none, epoch));
    });
    time("256 certificates handed out", &mut |_| {
        black_box(roster.wanted(&asked, epoch));
    });
}
