//! Nodes for the tests of this crate, each in a directory of its own. A node stops when it is dropped.

pub(crate) mod town;

use std::time::Duration;

use net::NetworkFile;
use tempfile::TempDir;

use crate::{Limits, Node, NodeConfig, Running};

/// The network that all of them belong to. It keeps each object at one node.
pub(crate) const NETWORK: &str = "testing.alt";

/// A node that has met no other.
pub(crate) async fn node() -> (Running, TempDir) {
    dressed(|node| node).await
}

/// The same, after `dress` has changed what the test needs.
pub(crate) async fn dressed(dress: impl FnOnce(Node) -> Node) -> (Running, TempDir) {
    start(Vec::new(), Limits::default(), dress).await
}

/// The same, within these limits.
pub(crate) async fn within(limits: Limits) -> (Running, TempDir) {
    start(Vec::new(), limits, |node| node).await
}

/// A dressed node that has entered the network at the other one, which is its neighbour now.
pub(crate) async fn enter_at(
    other: &Running,
    dress: impl FnOnce(Node) -> Node,
) -> (Running, TempDir) {
    let bootstrap = other.addresses().iter().map(ToString::to_string).collect();
    let (node, directory) = start(bootstrap, Limits::default(), dress).await;
    let peer = net::peer_id(&node.id()).unwrap();
    let entered = async {
        while other.service().dht.neighbours().await.iter().all(|(id, _)| *id != peer) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), entered).await.expect("it enters");
    (node, directory)
}

async fn start(
    bootstrap: Vec<String>,
    limits: Limits,
    dress: impl FnOnce(Node) -> Node,
) -> (Running, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let network = NetworkFile::parse(&format!("name = '{NETWORK}'\nk = 1\n")).unwrap();
    let listen = vec!["/ip4/127.0.0.1/tcp/0".to_owned()];
    let config = NodeConfig { listen, limits, ..NodeConfig::default() };
    let node = Node::new(directory.path().to_owned(), NetworkFile { bootstrap, ..network }, config);
    (dress(node).start().await.unwrap(), directory)
}
