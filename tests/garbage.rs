//! Garbage collection (paper, 2.3) at real nodes: on the timer, when a store needs room, and the refusal when
//! there is none to be had. What a roster still calls the node's own, or a lookup does not tell of, is kept.

use std::time::Duration;

use anon::{
    certificate::NodeCertificate,
    network::Epoch,
    position::{Key, keep_closest},
    request::{ObjectKind, Request, Response, Store},
    roster::{Operator, Source},
};
use net::{Links, NetworkFile, ask};
use node::{Node, NodeConfig, Running};
use tempfile::TempDir;

struct Nodes {
    directory: TempDir,
    network: NetworkFile,
    running: Vec<Running>,
    limits: &'static str,
}

impl Nodes {
    fn new(k: usize, limits: &'static str) -> Self {
        let network = NetworkFile::parse(&format!("name = 'gc.alt'\nk = {k}")).unwrap();
        Self { directory: tempfile::tempdir().unwrap(), network, running: Vec::new(), limits }
    }

    async fn grow(&mut self, by: usize) {
        for _ in 0..by {
            let directory = self.directory.path().join(self.running.len().to_string());
            std::fs::create_dir_all(&directory).unwrap();
            let toml = format!("listen = ['/ip4/127.0.0.1/tcp/0']\n[limits]\n{}", self.limits);
            std::fs::write(directory.join("node.toml"), toml).unwrap();
            let config = NodeConfig::read_or_default(&directory.join("node.toml")).unwrap();
            let node = Node::new(directory, self.network.clone(), config).start().await.unwrap();
            node.joined().await;
            self.network.bootstrap.extend(node.addresses().first().map(ToString::to_string));
            self.running.push(node);
        }
    }

    async fn certificates(&self, links: &Links) -> Vec<NodeCertificate> {
        let network = self.network.network().unwrap();
        let mut all = Vec::new();
        for node in &self.running {
            let mut address = node.addresses()[0].clone();
            address.pop();
            let peer = net::peer_id(&node.id()).unwrap();
            let link = links.open_at(peer, vec![address], net::Carrier::Request).await.unwrap();
            let answer = link.request(&Request::Certificate, Duration::from_secs(5)).await.unwrap();
            let Response::Certificate(certificate) = answer else { panic!("{answer:?}") };
            all.push(certificate.verify(&network, net::now()).unwrap());
        }
        all
    }

    /// How many objects each node holds.
    async fn holdings(&self) -> Vec<u64> {
        let mut all = Vec::new();
        for node in &self.running {
            all.push(node.service().store().usage().await.unwrap().objects);
        }
        all
    }
}

fn body(key: Key, size: usize) -> Request {
    Request::Store(Store {
        key,
        kind: ObjectKind::Body,
        object: vec![7; size],
        deleters: Vec::new(),
        nonce: [1; 16],
    })
}

async fn store(links: &Links, at: &NodeCertificate, key: Key, size: usize) -> Response {
    ask(links, at, &body(key, size), Duration::from_secs(30)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_timer_a_node_drops_exactly_what_closer_nodes_are_there_for() {
    const K: usize = 3;
    let mut nodes = Nodes::new(K, "garbage_seconds = 1");
    nodes.grow(5).await;
    let links = Links::disposable("gc.alt").unwrap();
    let old = nodes.certificates(&links).await;
    let keys: Vec<Key> = (0..40).map(|_| Key(rand::random())).collect();
    for key in &keys {
        let mut closest = old.clone();
        keep_closest(&mut closest, key, K, |n| n.node().position());
        for node in &closest {
            assert!(matches!(store(&links, node, *key, 100).await, Response::Receipt(_)));
        }
    }
    assert_eq!(nodes.holdings().await.iter().sum::<u64>(), 40 * 3);

    nodes.grow(8).await;
    let all = nodes.certificates(&links).await;
    let still_closest = |node: &NodeCertificate, key: &Key| {
        let (mut before, mut after) = (old.clone(), all.clone());
        keep_closest(&mut before, key, K, |n| n.node().position());
        keep_closest(&mut after, key, K, |n| n.node().position());
        before.contains(node) && after.contains(node)
    };
    let expected: Vec<u64> = old
        .iter()
        .map(|node| {
            u64::try_from(keys.iter().filter(|key| still_closest(node, key)).count()).unwrap()
        })
        .collect();
    for _ in 0..300 {
        let held = nodes.holdings().await;
        assert!(
            held.iter().zip(&expected).all(|(held, expected)| held >= expected),
            "{held:?} < {expected:?}"
        );
        if held[..old.len()] == expected[..] {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("{:?} are held, {expected:?} should be", nodes.holdings().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_needs_room_collects_what_is_not_the_nodes_to_keep() {
    let mut nodes = Nodes::new(1, "garbage_seconds = 3600\nstore_bytes = 37_000");
    nodes.grow(4).await;
    let links = Links::disposable("gc.alt").unwrap();
    let all = nodes.certificates(&links).await;
    let node = &all[0];
    let closest = |key: &Key| {
        let mut closest = all.clone();
        keep_closest(&mut closest, key, 1, |n| n.node().position());
        closest[0].node()
    };
    let mut random = std::iter::repeat_with(|| Key(rand::random()));
    let foreign: Vec<Key> =
        random.by_ref().filter(|key| closest(key) != node.node()).take(4).collect();
    let own: Vec<Key> = random.filter(|key| closest(key) == node.node()).take(5).collect();
    for key in &foreign {
        assert!(matches!(store(&links, node, *key, 5_000).await, Response::Receipt(_)));
    }
    // Full of what others are closer to: each of its own finds room, and what is foreign goes for it.
    for key in &own[..4] {
        assert!(matches!(store(&links, node, *key, 5_000).await, Response::Receipt(_)));
    }
    assert_eq!(nodes.holdings().await[0], 4);
    // Full of what is its own: the refusal says so, and nothing is lost for it.
    assert_eq!(store(&links, node, own[4], 5_000).await, Response::Full);
    for key in &own[..4] {
        let answer = ask(&links, node, &Request::Fetch { key: *key }, Duration::from_secs(5)).await;
        assert!(matches!(answer.unwrap(), Response::Object(object) if object.len() == 5_000));
    }
}

/// Whether a node still holds what was stored.
async fn is_held(node: &Running, key: Key) -> bool {
    node.service().store().fetch(key.0).await.unwrap().is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_the_nodes_own_in_the_last_epoch_stays_whoever_is_closer_now() {
    let mut nodes = Nodes::new(1, "garbage_seconds = 3600\nstore_bytes = 10_000");
    nodes.grow(4).await;
    let links = Links::disposable("gc.alt").unwrap();
    let all = nodes.certificates(&links).await;
    let (node, running) = (&all[0], &nodes.running[0]);
    let closest = |key: &Key| {
        let mut closest = all.clone();
        keep_closest(&mut closest, key, 1, |n| n.node().position());
        closest[0].node()
    };
    let mut random = std::iter::repeat_with(|| Key(rand::random()));
    let others = random.by_ref().find(|key| closest(key) != node.node()).unwrap();
    let own = random.find(|key| closest(key) == node.node()).unwrap();
    // A lookup finds all four. By the roster this node alone was there in the last epoch.
    let epoch = running.network().epoch(net::now());
    let earlier = Epoch(epoch.0 - 2);
    running.service().roster().with(|roster| {
        roster.forget(&node.node());
        roster.learn(node.clone(), Source::Contact, earlier);
        roster.learn(node.clone(), Source::Member(Operator::of(&all[1])), earlier);
        assert_eq!(roster.stated(&others, 1, epoch)[0].node(), node.node());
    });
    assert!(matches!(store(&links, node, others, 5_000).await, Response::Receipt(_)));
    assert_eq!(store(&links, node, own, 5_000).await, Response::Full);
    assert!(is_held(running, others).await, "readers who go by that roster look for it here");

    running.service().roster().with(|roster| roster.forget(&node.node()));
    assert!(matches!(store(&links, node, own, 5_000).await, Response::Receipt(_)));
    assert!(!is_held(running, others).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_cannot_look_up_who_is_closer_drops_nothing() {
    let mut nodes = Nodes::new(1, "garbage_seconds = 3600\nstore_bytes = 10_000\nlookups = 0");
    nodes.grow(2).await;
    let links = Links::disposable("gc.alt").unwrap();
    let node = &nodes.certificates(&links).await[0];
    let (first, second) = (Key(rand::random()), Key(rand::random()));
    assert!(matches!(store(&links, node, first, 5_000).await, Response::Receipt(_)));
    assert_eq!(store(&links, node, second, 5_000).await, Response::Full);
    assert!(is_held(&nodes.running[0], first).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_is_past_its_time_goes_at_once_however_much_it_is() {
    // Room for 1,600 small objects, all of them the node's own: it is the only one.
    let mut nodes = Nodes::new(1, "garbage_seconds = 3600\nstore_bytes = 6_600_000");
    nodes.grow(1).await;
    let links = Links::disposable("gc.alt").unwrap();
    let node = nodes.certificates(&links).await.remove(0);
    let kept = nodes.running[0].service().store();
    let put = async |number: u64| {
        let key: [u8; 32] = rand::random();
        let (kind, expiry) = (node::store::ObjectKind::Body, net::now().0 - 10 + number % 5);
        let object = node::store::StoredObject {
            kind,
            digest: key,
            expiry,
            deleters: Vec::new(),
            bytes: vec![1; 20],
        };
        kept.store(key, object, false).await.unwrap();
    };
    futures::future::join_all((0..100).map(async |of| {
        for number in 0..16 {
            put(of * 16 + number).await;
        }
    }))
    .await;
    assert_eq!(nodes.holdings().await, [1_600]);
    assert!(matches!(
        store(&links, &node, Key(rand::random()), 20_000).await,
        Response::Receipt(_)
    ));
    assert_eq!(nodes.holdings().await, [1], "it and nothing else");
}

/// A clock that is wrong by months would otherwise delete everything at the first collection.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_off_for_two_months_deletes_nothing_by_its_clock_at_first() {
    let mut nodes = Nodes::new(1, "garbage_seconds = 3600\nstore_bytes = 30_000");
    nodes.grow(1).await;
    let links = Links::disposable("gc.alt").unwrap();
    let node = nodes.certificates(&links).await.remove(0);
    let kept = nodes.running[0].service().store();
    let stopped = net::now().0 - 60 * 86_400;
    kept.note_time(stopped).await.unwrap();
    let (kind, key, bytes) = (node::store::ObjectKind::Body, [7; 32], vec![1; 20_000]);
    let (expiry, deleters) = (stopped + 86_400, Vec::new());
    let object = node::store::StoredObject { kind, digest: key, expiry, deleters, bytes };
    kept.store(key, object, false).await.unwrap();
    // There is no room for another, and what is past its time by this clock alone makes none.
    assert_eq!(store(&links, &node, Key(rand::random()), 20_000).await, Response::Full);
    assert!(is_held(&nodes.running[0], Key(key)).await);
    assert!(
        kept.noted_time().await.unwrap() < Some(stopped + 86_400),
        "its time goes on from there"
    );
}
