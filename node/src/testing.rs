//! Nodes for the tests of this crate, each in a directory of its own. A node stops when it is dropped.

pub(crate) mod town;

use std::time::Duration;

use anon::{
    keys::{ChannelSecret, SigningSecret as _},
    network::Epoch,
    time::Time,
    view::{
        descriptor::Descriptor,
        header::ViewHeader,
        keys::ViewKey,
        list::{NodeList, SignatureList},
        quorum::{KeeperSet, KeeperSignature, UnverifiedSignedView},
        signed::View,
    },
};
use net::{NetworkFile, clock::Clock};
use tempfile::TempDir;

use crate::{Limits, Node, NodeConfig, Running, identity::Identity, view::address};

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

/// The seed of the keeper of [`viewing`]'s network, which is no node that runs.
const KEEPER: [u8; 32] = [0xC0; 32];

/// So many nodes of a network with a keeper that is not there, at the beginning of an epoch by a clock of their own.
pub(crate) async fn viewing(
    count: usize,
    epoch: Epoch,
    limits: Limits,
    dress: impl Fn(Node) -> Node,
) -> (Vec<(Running, TempDir)>, Clock) {
    let keeper = Identity::from_seed(&KEEPER).unwrap().node();
    let text = format!(
        "name = '{NETWORK}'\nk = 1\n[[keepers]]\nfrom_epoch = 0\nnodes = ['/ip4/127.0.0.1/tcp/9/p2p/{}']",
        net::peer_id(&keeper).unwrap()
    );
    let network = NetworkFile::parse(&text).unwrap();
    let clock = Clock::stopped_at(Time(epoch.0 * network.epoch_seconds));
    let mut nodes = Vec::new();
    for _ in 0..count {
        let directory = tempfile::tempdir().unwrap();
        let listen = vec!["/ip4/127.0.0.1/tcp/0".to_owned()];
        let config = NodeConfig { listen, limits: limits.clone(), ..NodeConfig::default() };
        let node = Node::new(directory.path().to_owned(), network.clone(), config);
        let node = dress(node.with_clock(clock.clone()));
        nodes.push((node.start().await.unwrap(), directory));
    }
    (nodes, clock)
}

/// A view of these nodes, for which they have keys now. They do not keep it yet.
pub(crate) fn view_of(nodes: &[&Running], epoch: Epoch) -> View {
    let keeper = Identity::from_seed(&KEEPER).unwrap().keeper_secret();
    let set = KeeperSet::new(vec![keeper.verify_key()]).unwrap();
    let describe = |node: &&Running| {
        let secret = ChannelSecret::generate(&mut rand::rng());
        let (key, statement) = (secret.agreement_key(), Vec::new());
        let keys = node.service().view_keys.clone().unwrap();
        keys.lock().statement(epoch, || Some(ViewKey { secret, statement })).unwrap();
        let addresses = address::stated(&node.addresses()).unwrap();
        Descriptor::new(node.id(), key, addresses, None).unwrap()
    };
    let mut descriptors: Vec<Descriptor> = nodes.iter().map(describe).collect();
    descriptors.sort_by_key(Descriptor::node);
    let list = NodeList::new(descriptors).unwrap();
    let header = ViewHeader {
        network: nodes[0].network().id,
        epoch,
        before: None,
        count: list.len(),
        descriptors: list.root(),
        signatures: SignatureList::default().root(),
        network_serial: 0,
        revocations: [0; 32],
    };
    let signatures = vec![KeeperSignature::sign(&set, &keeper, &header).unwrap()];
    let signed = UnverifiedSignedView { header, signatures };
    View::new(signed.verify(&header.network, &set).unwrap(), list, None).unwrap()
}

/// Lets a node keep a view.
pub(crate) fn keep(node: &Running, view: &View) {
    node.service().views.as_ref().unwrap().keep(view.clone()).unwrap();
}
