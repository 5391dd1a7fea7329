//! Nodes for the tests of this crate, each in a directory of its own.

use std::time::Duration;

use tempfile::TempDir;

use crate::{Limits, NetworkFile, Node, NodeConfig, Running};

/// The network that all of them belong to.
pub(crate) const NETWORK: &str = "testing.alt";

/// The file of that network, which keeps each object at one node and names no node to enter at.
fn network() -> NetworkFile {
    NetworkFile::parse(&format!("name = '{NETWORK}'\nk = 1\n")).unwrap()
}

/// A running node that has met no other. It stops, and its directory goes, when both are dropped.
pub(crate) async fn node() -> (Running, TempDir) {
    dressed(|node| node).await
}

/// The same, after `dress` has changed what the test needs.
pub(crate) async fn dressed(dress: impl FnOnce(Node) -> Node) -> (Running, TempDir) {
    start(network(), Limits::default(), dress).await
}

/// The same, with these limits.
pub(crate) async fn within(limits: Limits) -> (Running, TempDir) {
    start(network(), limits, |node| node).await
}

async fn start(
    network: NetworkFile,
    limits: Limits,
    dress: impl FnOnce(Node) -> Node,
) -> (Running, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let listen = vec!["/ip4/127.0.0.1/tcp/0".to_owned()];
    let config = NodeConfig { listen, limits, ..NodeConfig::default() };
    let node = dress(Node::new(directory.path().to_owned(), network, config));
    (node.start().await.unwrap(), directory)
}

/// A running node that enters the network at the other one. Both are neighbours then.
pub(crate) async fn enter_at(
    other: &Running,
    dress: impl FnOnce(Node) -> Node,
) -> (Running, TempDir) {
    let network = NetworkFile { bootstrap: vec![other.addresses()[0].to_string()], ..network() };
    let (node, directory) = start(network, Limits::default(), dress).await;
    let peer = crate::peer_id(&node.id()).unwrap();
    let entered = async {
        let is_neighbour = async || {
            other.service().substrate().neighbours().await.iter().any(|(id, _)| *id == peer)
        };
        while !is_neighbour().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), entered).await.expect("it enters");
    (node, directory)
}
