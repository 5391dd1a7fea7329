//! The view reaches every node: sixteen processes, of which one is a keeper, or four are. Each node has the same view within
//! the epoch, by difference; one that was away for two epochs has the whole view; and the status says so.

use std::{collections::BTreeSet, path::Path};

use anon::view::header::ViewId;
use testbed::cluster::ClusterNode;

use crate::{
    asking::Client,
    keepers::{self, EPOCH, network, present, reach},
    support::{program, text},
};

/// How many nodes there are.
const NODES: usize = 16;

/// The latest view that a node hands out: its epoch, its id, and how many nodes it has.
async fn latest(client: &Client, node: &ClusterNode) -> (u64, ViewId, u32) {
    let signed = client.latest(node).await.unwrap_or_else(|| panic!("{:?} has no view", node.id));
    let (header, id) = (signed.header(), signed.id());
    let set = client.charter().keepers(header.epoch).unwrap();
    assert_eq!(signed.signatures().len(), set.threshold(), "no more than it takes");
    (header.epoch.0, id, header.count)
}

/// What `cutout node status` says of the view.
async fn status(directory: &Path) -> serde_json::Value {
    let mut command = tokio::process::Command::new(program());
    command.args(["node", "status", "--json", "--dir"]).arg(directory);
    let output = command.output().await.unwrap();
    let mut said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    said["view"].take()
}

/// How the log says that a node had the views that it had.
fn had(directory: &Path) -> Vec<String> {
    let log = std::fs::read_to_string(directory.join("log")).unwrap();
    let lines = log.lines().filter(|line| line.contains("this node has the view of epoch"));
    lines.filter_map(|line| line.rsplit_once(", ").map(|(_, how)| how.to_owned())).collect()
}

async fn every_node_has_every_view(keepers: usize) {
    let mut network = network(NODES, keepers).await;
    let client = Client::of(&network.cluster);
    let away = NODES - 1;
    let first = present() + 2;
    for epoch in first..first + 4 {
        // Before the next one is signed.
        reach(epoch, EPOCH * 1_000 / 2).await;
        let mut views = BTreeSet::new();
        for (index, node) in network.cluster.nodes().iter().enumerate() {
            if index != away || epoch < first + 2 {
                views.insert(latest(&client, node).await);
            }
        }
        let &(of, id, nodes) = views.first().unwrap();
        assert_eq!((views.len(), of), (1, epoch), "{views:?}");
        let nodes = usize::try_from(nodes).unwrap();
        // Who is killed while nodes are measured may have been reached before.
        let range = match epoch - first {
            0 | 1 => NODES..=NODES,
            2 => NODES - 1..=NODES,
            _ => NODES - 1..=NODES - 1,
        };
        assert!(range.contains(&nodes), "epoch {epoch}, {id:?}: {nodes} nodes");
        let said = status(&network.cluster.nodes()[away - 1].directory).await;
        assert_eq!((&said["epoch"], &said["stands"]), (&epoch.into(), &true.into()), "{said}");
        assert!(said["age_seconds"].as_u64().unwrap() <= EPOCH, "{said}");
        let (said, code) = keepers::status(&network.cluster.nodes()[0].directory).await;
        assert_eq!(
            (&said["view"]["epoch"], &said["view"]["nodes"]),
            (&epoch.into(), &nodes.into())
        );
        assert_eq!((code, &said["state"]), (Some(0), &"running".into()), "{said}");
        if epoch == first + 1 {
            network.cluster.kill(away).await.unwrap();
        }
    }
    network.cluster.restart(away).await.unwrap();
    reach(first + 4, EPOCH * 1_000 / 2).await;
    let nodes = network.cluster.nodes();
    let (of, ..) = latest(&client, &nodes[away]).await;
    assert_eq!(of, first + 4, "it has caught up");
    // Its log begins anew with each start.
    let how = had(&nodes[away].directory);
    assert_eq!(how.first().map(String::as_str), Some("whole"), "{how:?}");
    let how = had(&nodes[away - 1].directory);
    assert_eq!(how.first().map(String::as_str), Some("whole"), "{how:?}");
    assert!(how.len() >= 5 && how[1..].iter().all(|how| how == "by difference"), "{how:?}");
    let mut command = tokio::process::Command::new(program());
    command.args(["node", "status", "--dir"]).arg(&nodes[away].directory);
    let said = text(&command.output().await.unwrap().stdout);
    assert!(said.contains("in it       no: it did not state itself for this view"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_nodes_have_every_view_of_one_keeper() {
    every_node_has_every_view(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_nodes_have_every_view_of_four_keepers() {
    every_node_has_every_view(4).await;
}
