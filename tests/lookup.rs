//! The DHT finds the true k closest nodes (paper, 2.1), counted over a network of 64.

use std::time::Duration;

use anon::{
    id::NodeId,
    position::{Key, keep_closest},
    request::{Request, Response},
};
use futures::{StreamExt as _, stream};
use libp2p::multiaddr::Protocol;
use net::{Carrier, Links};
use testbed::cluster::{Cluster, ClusterNode};

use crate::support::Network;

const NODES: usize = 64;
const K: usize = 8;
const LOOKUPS: usize = 200;

#[tokio::test(flavor = "multi_thread")]
async fn of_64_nodes_the_8_closest_are_found_in_99_of_100_lookups() {
    let network = Network::start(NODES).await;
    let cluster = &network.cluster;
    let lookups = (0..LOOKUPS).map(async |number| {
        let asked = &cluster.nodes()[number % NODES];
        let key = Key(rand::random());
        (key, lookup(asked, key).await)
    });
    let answers: Vec<_> = stream::iter(lookups).buffer_unordered(4).collect().await;
    let right = answers.iter().filter(|(key, found)| *found == truth(cluster, key)).count();
    assert_eq!(answers.len(), LOOKUPS);
    println!("{right} of {LOOKUPS} lookups gave the true {K} closest of {NODES}");
    assert!(right * 100 >= LOOKUPS * 99, "{right} of {LOOKUPS} lookups were right");
}

/// The true answer, closest first, from all identities.
fn truth(cluster: &Cluster, key: &Key) -> Vec<NodeId> {
    let mut all: Vec<NodeId> = cluster.ids();
    keep_closest(&mut all, key, K, NodeId::position);
    all
}

/// What a node answers, to somebody it has never seen before; nothing if it does not.
async fn lookup(asked: &ClusterNode, key: Key) -> Vec<NodeId> {
    let mut address = asked.address.clone();
    let Some(Protocol::P2p(peer)) = address.pop() else { panic!("{address} names no peer") };
    let links = Links::disposable("demo.alt").unwrap();
    let Ok(link) = links.open_at(peer, vec![address], Carrier::Request).await else {
        return Vec::new();
    };
    let count = u8::try_from(K).unwrap();
    match link.request(&Request::Lookup { key, count }, Duration::from_secs(30)).await {
        Ok(Response::LookedUp(list)) => list.iter().map(|node| node.claimed_node()).collect(),
        _ => Vec::new(),
    }
}
