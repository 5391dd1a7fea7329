//! What one mail costs everybody: CPU time of all processes, time, and bytes on the links, over a network of
//! two dozen node processes on loopback, without what the idle network costs in the same time.
//!
//! The bytes are counted by proxies, which use CPU of their own; so there are two networks, one after the other.
//! Every send is cold: new identities, connections and channels. Reading is not in it.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and stops at the first surprise"
)]

mod person;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use comfy_table::{Table, presets::ASCII_MARKDOWN};
use net::Transport;
use person::{Person, Way};
use testbed::cluster::{Cluster, ClusterOptions};
use ua::session::SchemeChoice;

const NODES: usize = 24;
/// So long that rosters are compared but few times meanwhile, and not for ever until nodes are known for one.
const EPOCH: Duration = Duration::from_secs(20);
/// Sends of each kind whose CPU and time are measured.
const CPU_SENDS: usize = 9;
/// Sends of each kind whose bytes are counted.
const BYTE_SENDS: usize = 5;
/// What still goes on when the sender has its receipts belongs to the mail.
const TAIL: Duration = Duration::from_millis(200);

/// One row of the table.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    bytes: usize,
    how: How,
}

/// By which scheme a mail travels.
#[derive(Clone, Copy)]
enum How {
    Guarded,
    Paper,
    Direct,
}

const KINDS: [Kind; 6] = [
    Kind { name: "guarded, 10 KiB", bytes: 10 << 10, how: How::Guarded },
    Kind { name: "paper, 10 KiB", bytes: 10 << 10, how: How::Paper },
    Kind { name: "direct, 10 KiB", bytes: 10 << 10, how: How::Direct },
    Kind { name: "guarded, 1 MiB", bytes: 1 << 20, how: How::Guarded },
    Kind { name: "paper, 1 MiB", bytes: 1 << 20, how: How::Paper },
    Kind { name: "direct, 1 MiB", bytes: 1 << 20, how: How::Direct },
];

impl Kind {
    const fn way(self) -> Way {
        let scheme = match self.how {
            How::Guarded => SchemeChoice::Guarded { middle: 1 },
            How::Paper | How::Direct => SchemeChoice::Paper,
        };
        Way { transport: Transport::Tcp, scheme, direct: matches!(self.how, How::Direct) }
    }
}

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    tokio::runtime::Runtime::new().unwrap().block_on(run());
}

async fn run() {
    let plain = measure(false, CPU_SENDS).await;
    let proxied = measure(true, BYTE_SENDS).await;
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_header([
        "one mail",
        "time, ms",
        "CPU, ms",
        "of it sender",
        "of it nodes",
        "(idle CPU)",
        "KiB on links",
        "(idle KiB)",
        "links / mail",
    ]);
    for ((kind, cpu), bytes) in KINDS.iter().zip(&plain).zip(&proxied) {
        let (own, nodes) = (cpu.net(|c| c.own), cpu.net(|c| c.nodes));
        let kib = bytes.net(|c| c.bytes) / 1024.0;
        let mail = f64::from(u32::try_from(kind.bytes).unwrap()) / 1024.0;
        table.add_row([
            kind.name.to_owned(),
            format!("{:.0}", cpu.median(|s| s.elapsed)),
            format!("{:.0}", cpu.net(|c| c.own + c.nodes)),
            format!("{own:.0}"),
            format!("{nodes:.0}"),
            format!("{:.0}", cpu.median(|s| s.idle.own + s.idle.nodes)),
            format!("{kib:.0}"),
            format!("{:.0}", bytes.median(|s| s.idle.bytes) / 1024.0),
            format!("{:.1}", kib / mail),
        ]);
    }
    println!(
        "\nOne mail to one recipient, {NODES} node processes, k = 8; medians of {CPU_SENDS} sends (bytes: {BYTE_SENDS})"
    );
    println!("Net of the idle network in the same time: the send and {} ms.\n", TAIL.as_millis());
    println!("{table}");
}

/// What was used in some time: milliseconds of CPU, bytes.
#[derive(Clone, Copy, Default)]
struct Used {
    own: f64,
    nodes: f64,
    bytes: f64,
}

/// Reads what was used. Remembers every thread: a thread that ends takes its CPU time with it, and runtimes end
/// idle ones.
struct Meter<'a> {
    cluster: &'a Cluster,
    threads: BTreeMap<PathBuf, f64>,
}

impl<'a> Meter<'a> {
    const fn new(cluster: &'a Cluster) -> Self {
        Self { cluster, threads: BTreeMap::new() }
    }

    fn read(&mut self) -> Used {
        let own = Path::new("/proc").join(std::process::id().to_string());
        let nodes = self.cluster.nodes().iter().filter_map(|node| node.pid());
        let nodes = nodes.map(|pid| Path::new("/proc").join(pid.to_string()));
        let nodes: Vec<PathBuf> = nodes.collect();
        Used {
            own: self.cpu(&own),
            nodes: nodes.iter().map(|node| self.cpu(node)).sum(),
            bytes: f64::from(u32::try_from(self.cluster.link_bytes()).unwrap()),
        }
    }

    /// Milliseconds of a process: the first field of `schedstat` of each thread it ever had, nanoseconds.
    fn cpu(&mut self, process: &Path) -> f64 {
        for thread in std::fs::read_dir(process.join("task")).unwrap().flatten() {
            let text = std::fs::read_to_string(thread.path().join("schedstat"));
            let used = text.ok().and_then(|t| t.split_whitespace().next()?.parse::<f64>().ok());
            if let Some(nanoseconds) = used {
                self.threads.insert(thread.path(), nanoseconds / 1e6);
            }
        }
        let its = self.threads.iter().filter(|(thread, _)| thread.starts_with(process));
        its.map(|(_, used)| used).sum()
    }
}

impl Used {
    fn since(self, earlier: Self) -> Self {
        Self {
            own: self.own - earlier.own,
            nodes: self.nodes - earlier.nodes,
            bytes: self.bytes - earlier.bytes,
        }
    }
}

/// One send, and as long a time without one.
struct Sample {
    elapsed: f64,
    send: Used,
    idle: Used,
}

/// The sends of one kind.
#[derive(Default)]
struct Samples(Vec<Sample>);

impl Samples {
    fn median(&self, of: impl Fn(&Sample) -> f64) -> f64 {
        let mut values: Vec<f64> = self.0.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap()
    }

    /// The median of what sends used more than the idle network.
    fn net(&self, of: impl Fn(&Used) -> f64) -> f64 {
        self.median(|sample| of(&sample.send) - of(&sample.idle))
    }
}

/// Sends `sends` mails of each kind, in turn, over a network of their own.
async fn measure(proxied: bool, sends: usize) -> [Samples; KINDS.len()] {
    let directory = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_cutout").into();
    let mut options = ClusterOptions::new(program, directory.path().join("network"), NODES);
    options.proxied = proxied;
    options.network.epoch_seconds = EPOCH.as_secs();
    let cluster = Cluster::start(options, |_| {}).await.unwrap();
    tokio::time::sleep(EPOCH * 5 / 2).await;
    let [alice, bob] = ["alice", "bob"].map(|name| Person::new(&cluster, directory.path(), name));
    bob.publish().await;
    let mut meter = Meter::new(&cluster);
    let mut all: [Samples; KINDS.len()] = Default::default();
    for turn in 0..=sends {
        for (kind, samples) in KINDS.iter().zip(&mut all) {
            let sample = sample(&mut meter, &alice, &bob, *kind).await;
            // The first of each kind warms up.
            samples.0.extend((turn > 0).then_some(sample));
        }
    }
    all
}

async fn sample(meter: &mut Meter<'_>, alice: &Person, bob: &Person, kind: Kind) -> Sample {
    let before = meter.read();
    let start = Instant::now();
    alice.send(bob, kind.way(), kind.bytes).await;
    let elapsed = start.elapsed();
    tokio::time::sleep(TAIL).await;
    let after = meter.read();
    tokio::time::sleep(start.elapsed()).await;
    let idle = meter.read().since(after);
    Sample { elapsed: elapsed.as_secs_f64() * 1e3, send: after.since(before), idle }
}
