//! A mail over Tor beside one without, in one run: time, bytes, and round trips over delayed links.
//!
//! The Tor network is a real one on this machine, and its links are not delayed; those of the nodes are, for the count of
//! round trips. Bytes over Tor are what all relays read from their sockets: each byte passes three of them.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and stops at the first surprise"
)]

mod person;

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use comfy_table::{Table, presets::ASCII_MARKDOWN};
use net::Transport;
use person::{Person, Way};
use testbed::{
    cluster::{Cluster, ClusterOptions},
    tor_network::TorNetwork,
};
use tor::{Tor, TorConfig};
use ua::session::SchemeChoice;

const NODES: usize = 24;
const EPOCH: Duration = Duration::from_secs(20);
/// Sends of each kind.
const SENDS: usize = 7;
/// The delay of each node's links, each way, where round trips are counted.
const DELAY: Duration = Duration::from_millis(250);
/// What still goes on when the sender has its receipts belongs to the mail.
const TAIL: Duration = Duration::from_millis(200);
const SIZES: [(&str, usize); 2] = [("10 KiB", 10 << 10), ("256 KiB", 256 << 10)];

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    tokio::runtime::Runtime::new().unwrap().block_on(run());
}

#[derive(serde::Deserialize)]
struct File {
    tor: TorConfig,
}

/// What one send took: seconds, bytes on the nodes' links, bytes that relays read.
type Sample = (f64, f64, f64);

async fn run() {
    let directory = tempfile::tempdir().unwrap();
    let relay = |index: usize| Ipv4Addr::new(127, 240 + u8::try_from(index).unwrap(), 0, 1);
    let relays = TorNetwork::start(directory.path(), relay).await.unwrap();
    let program = env!("CARGO_BIN_EXE_cutout").into();
    let mut options = ClusterOptions::new(program, directory.path().join("network"), NODES);
    options.proxied = true;
    options.network.epoch_seconds = EPOCH.as_secs();
    let cluster = Cluster::start(options, |_| {}).await.unwrap();
    tokio::time::sleep(EPOCH * 5 / 2).await;
    let [alice, bob] = ["alice", "bob"].map(|name| Person::new(&cluster, directory.path(), name));
    bob.publish().await;

    let file: File = toml::from_str(&relays.toml("required")).unwrap();
    let began = Instant::now();
    let tor = Tor::start(&file.tor, &directory.path().join("arti"), |_| {}).await.unwrap();
    println!("\nTor's first start: {:.2} s", began.elapsed().as_secs_f64());
    let ways = [("plain", Transport::Tcp), ("over Tor", Transport::Tor(tor))];

    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_header([
        "one guarded mail",
        "time, ms",
        "KiB on nodes' links",
        "KiB read by relays",
        "round trips",
    ]);
    for (size, bytes) in SIZES {
        let mut samples = [Vec::new(), Vec::new()];
        let mut delayed = [Vec::new(), Vec::new()];
        for turn in 0..=SENDS {
            for ((_, way), (quick, slow)) in ways.iter().zip(samples.iter_mut().zip(&mut delayed)) {
                let sample = sample(&cluster, &relays, &alice, &bob, way, bytes).await;
                // The first of each kind warms up.
                quick.extend((turn > 0).then_some(sample));
                if bytes == SIZES[0].1 && turn % 3 == 1 {
                    cluster.set_delay(DELAY);
                    slow.push(self::sample(&cluster, &relays, &alice, &bob, way, bytes).await.0);
                    cluster.set_delay(Duration::ZERO);
                    tokio::time::sleep(DELAY * 4).await;
                }
            }
        }
        for ((name, _), (quick, slow)) in ways.iter().zip(samples.iter().zip(&mut delayed)) {
            slow.sort_by(f64::total_cmp);
            let trips = slow.first().map(|seconds| seconds / (DELAY * 2).as_secs_f64());
            table.add_row([
                format!("{name}, {size}"),
                format!("{:.0}", median(quick, |s| s.0) * 1e3),
                format!("{:.0}", median(quick, |s| s.1) / 1024.0),
                format!("{:.0}", median(quick, |s| s.2) / 1024.0),
                trips.map_or_else(String::new, |trips| format!("{trips:.1}")),
            ]);
        }
    }
    println!(
        "One mail to one recipient, {NODES} node processes, k = 8, cold; medians of {SENDS} sends\n"
    );
    println!("{table}");
}

fn median(samples: &[Sample], of: impl Fn(&Sample) -> f64) -> f64 {
    let mut values: Vec<f64> = samples.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap()
}

async fn sample(
    cluster: &Cluster,
    relays: &TorNetwork,
    alice: &Person,
    bob: &Person,
    transport: &Transport,
    bytes: usize,
) -> Sample {
    let float = |number: u64| f64::from(u32::try_from(number).unwrap());
    let scheme = SchemeChoice::Guarded { middle: 1 };
    let before = (cluster.link_bytes(), relays.bytes_read());
    let way = Way { transport: transport.clone(), scheme, direct: false };
    let elapsed = alice.send(bob, way, bytes).await.as_secs_f64();
    tokio::time::sleep(TAIL).await;
    let (links, read) = (cluster.link_bytes() - before.0, relays.bytes_read() - before.1);
    (elapsed, float(links), float(read))
}
