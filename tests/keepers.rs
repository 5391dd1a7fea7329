//! Keepers as processes: a view of all nodes every epoch, by four keepers, of which one is killed at the worst moments; and no
//! keeper promises two views of an epoch, by what stands on its disk.

mod lying;

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    path::Path,
    time::{Duration, SystemTime},
};

use anon::{keeper::signing::Record, network::Epoch, view::header::ViewId};
use testbed::cluster::Cluster;

use crate::{
    asking::Client,
    support::{Network, User, program, text},
};

/// An epoch, seconds, and a round, milliseconds.
pub const EPOCH: u64 = 8;
const ROUND: u64 = 600;
/// How long an observer waits between two looks.
const LOOK: Duration = Duration::from_millis(25);

pub async fn network(nodes: usize, keepers: usize) -> Network {
    Network::bare(nodes, |options| {
        options.keepers = keepers;
        options.network.epoch_seconds = EPOCH;
        options.network.round_milliseconds = Some(ROUND);
    })
    .await
}

pub fn milliseconds() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    since.as_millis().try_into().unwrap()
}

/// Waits until so many milliseconds of an epoch are over.
pub async fn reach(epoch: u64, into: u64) {
    let at = epoch * EPOCH * 1_000 + into;
    tokio::time::sleep(Duration::from_millis(at.saturating_sub(milliseconds()))).await;
}

pub fn present() -> u64 {
    milliseconds() / 1_000 / EPOCH
}

/// What `cutout keeper status` says, and its exit code.
pub async fn status(directory: &Path) -> (serde_json::Value, Option<i32>) {
    let mut command = tokio::process::Command::new(program());
    command.args(["keeper", "status", "--json", "--dir"]).arg(directory);
    let output = command.output().await.unwrap();
    (serde_json::from_slice(&output.stdout).unwrap_or_default(), output.status.code())
}

/// All that keepers have promised, and all views that they hand out, as it was seen from outside.
struct Seen {
    client: Client,
    /// The views that each keeper promised, by epoch: from its record on the disk.
    promised: BTreeMap<(usize, u64), BTreeSet<ViewId>>,
    /// The views under a quorum, by epoch.
    views: BTreeMap<u64, BTreeSet<ViewId>>,
    /// The most nodes that a view of this epoch has.
    nodes: BTreeMap<u64, u32>,
}

impl Seen {
    fn new(network: &Network) -> Self {
        let client = Client::of(&network.cluster);
        let (promised, views, nodes) = Default::default();
        Self { client, promised, views, nodes }
    }

    async fn look(&mut self, cluster: &Cluster, keepers: usize) {
        for (number, node) in cluster.nodes().iter().enumerate().take(keepers) {
            if let Ok(bytes) = std::fs::read(node.directory.join("keeper.record")) {
                // Behind the record stand eight bytes of its hash.
                let (record, _) = bytes.split_last_chunk::<8>().unwrap();
                let record = Record::decode(record).expect("the record is whole, always");
                let views = self.promised.entry((number, record.epoch().0)).or_default();
                views.extend(record.view());
            }
            if node.pid().is_none() {
                continue;
            }
            let Some(signed) = self.client.latest(node).await else { continue };
            let epoch = signed.header().epoch.0;
            self.views.entry(epoch).or_default().insert(signed.id());
            self.nodes.insert(epoch, signed.header().count);
        }
    }

    async fn look_until(&mut self, network: &Network, epoch: u64, into: u64) {
        let at = epoch * EPOCH * 1_000 + into;
        while milliseconds() < at {
            self.look(&network.cluster, 4).await;
            tokio::time::sleep(LOOK).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn four_keepers_have_a_view_every_epoch_though_one_is_killed_and_none_signs_two() {
    let mut network = network(6, 4).await;
    let first = present() + 2;
    let mut seen = Seen::new(&network);
    seen.look_until(&network, first, 1_000).await;
    // In the middle of the votes, when signatures are exchanged, while nodes state themselves, while they are measured.
    let deadlines = seen.client.charter().deadlines(Epoch(1)).unwrap();
    let into = |moment: anon::keeper::schedule::Moment| moment.0 - deadlines.opens.0;
    let moments = [
        into(deadlines.rounds.from()) + ROUND / 4,
        into(deadlines.gathered_until) + ROUND / 4,
        into(deadlines.statements_until) / 2,
        into(deadlines.statements_until) + ROUND,
    ];
    for (turn, into) in moments.into_iter().enumerate() {
        let victim = 3 - turn;
        seen.look_until(&network, first + u64::try_from(turn).unwrap(), into).await;
        network.cluster.kill(victim).await.unwrap();
        network.cluster.restart(victim).await.unwrap();
    }
    let last = first + 6;
    seen.look_until(&network, last, 2_000).await;
    for epoch in first..=last {
        let views = seen.views.get(&epoch).unwrap_or_else(|| panic!("epoch {epoch} has no view"));
        assert_eq!(views.len(), 1, "epoch {epoch}");
        assert!(seen.nodes[&epoch] >= 5, "{:?}", seen.nodes);
    }
    assert_eq!(seen.nodes[&last], 6, "all are there again");
    for ((keeper, epoch), views) in &seen.promised {
        assert!(views.len() <= 1, "keeper {keeper} promised {views:?} for epoch {epoch}");
    }
    // There was something to see: each keeper's promises of nearly every epoch.
    let promises = seen.promised.values().filter(|views| !views.is_empty()).count();
    assert!(promises >= 4 * 6, "{promises}");
    for node in &network.cluster.nodes()[..4] {
        let (said, code) = status(&node.directory).await;
        assert_eq!((code, &said["answered"]), (Some(0), &3.into()), "{said}");
        assert_eq!(said["view"]["signed"], serde_json::json!([0, 1, 2, 3]), "{said}");
        // Whoever starts again states the same for the same view: nobody has shown two faces.
        assert_eq!(said["evidence"], 0, "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_says_whether_it_is_a_keeper_and_the_status_what_is_wrong() {
    let mut network = network(2, 1).await;
    let file = network.cluster.network_file();
    let directories: Vec<_> =
        network.cluster.nodes().iter().map(|node| node.directory.clone()).collect();
    let user = User {
        profile: network.directory.path().join("nobody"),
        address: String::new(),
        scheme: None,
        host: Vec::new(),
    };
    let check = async |index: usize| {
        let (file, dir) = (file.to_str().unwrap(), directories[index].to_str().unwrap());
        let output = user.run(["node", "check", "--network", file, "--dir", dir]).await;
        text(&output.stdout)
    };
    let (named, other) = (check(0).await, check(1).await);
    assert!(named.contains("named in the network file: it must run with --keeper"), "{named}");
    assert!(other.contains("this node is none"), "{other}");
    let (said, code) = status(&directories[1]).await;
    assert_eq!((said, code), (serde_json::Value::Null, Some(78)));
    network.cluster.kill(1).await.unwrap();
    let (file, dir) = (file.to_str().unwrap(), directories[1].to_str().unwrap());
    let run = ["node", "run", "--keeper", "--network", file, "--dir", dir];
    let output = user.run(run.into_iter().chain(["--listen", "/ip4/127.0.0.1/tcp/0"])).await;
    assert_eq!(output.status.code(), Some(78));
    let said = text(&output.stderr);
    assert!(said.contains("the network file does not name this node as a keeper"), "{said}");
    network.cluster.kill(0).await.unwrap();
    let (said, code) = status(&directories[0]).await;
    assert_eq!((code, &said["state"]), (Some(69), &"not running".into()));
}
