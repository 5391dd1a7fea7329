//! A network of nodes in this process, each over sockets of its own, and the agents that use it.

use std::{
    ops::Deref,
    sync::{Arc, Mutex},
    time::Duration,
};

use anon::{
    certificate::NodeCertificate,
    id::NodeId,
    position::{Key, keep_closest},
    request::{Request, Response},
    verification::{CrossVerified, Disagreement, cross_verify},
};
use net::{Links, NetworkFile, Peer, Via, ask, now};
use node::{Limits, Node, NodeConfig, Running, Service as _};
use tempfile::TempDir;
use testbed::person::Person;
use tokio::sync::SemaphorePermit;
use ua::{
    event::{Event, Listener, Path, Purpose},
    receive::Fetched,
    scheme::Scheme,
    send::{Mail, Outcome},
    session::{Choices, SchemeChoice},
    vault::Vault,
};

use crate::support;

/// How long an honest node may take for an honest answer, here.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);
/// How many of the first nodes are named as a way in.
const BOOTSTRAP_NODES: usize = 3;

/// A network in this process.
pub(super) struct Network {
    pub(super) nodes: Vec<Running>,
    file: NetworkFile,
    directory: TempDir,
    _room: SemaphorePermit<'static>,
}

impl Network {
    /// `size` nodes that `dress` may make hostile, k replicas, within these limits; all know each other.
    pub(super) async fn start(
        size: usize,
        k: usize,
        limits: Limits,
        dress: impl Fn(Node) -> Node,
    ) -> Self {
        Self::start_with_epoch(size, k, 86_400, limits, dress).await
    }

    /// As [`Self::start`], with epochs of so many seconds.
    pub(super) async fn start_with_epoch(
        size: usize,
        k: usize,
        epoch_seconds: u64,
        limits: Limits,
        dress: impl Fn(Node) -> Node,
    ) -> Self {
        let room = support::room(size).await;
        Self::in_room(room, size, k, epoch_seconds, limits, dress).await
    }

    /// As [`Self::start`], with nobody beside it: for what is flooded, or shares a machine's time out.
    pub(super) async fn start_alone(
        size: usize,
        k: usize,
        limits: Limits,
        dress: impl Fn(Node) -> Node,
    ) -> Self {
        Self::in_room(support::alone().await, size, k, 86_400, limits, dress).await
    }

    async fn in_room(
        room: SemaphorePermit<'static>,
        size: usize,
        k: usize,
        epoch_seconds: u64,
        limits: Limits,
        dress: impl Fn(Node) -> Node,
    ) -> Self {
        let file = NetworkFile {
            name: "hostile.alt".to_owned(),
            authority: None,
            admission_required: false,
            k,
            quorum: None,
            epoch_seconds,
            delay_seconds: 0,
            bootstrap: Vec::new(),
            revocations: None,
            ..NetworkFile::default()
        };
        let directory = tempfile::tempdir().unwrap();
        let mut network = Self { nodes: Vec::new(), file, directory, _room: room };
        for index in 0..size {
            let config = NodeConfig {
                listen: vec![format!("/ip4/127.{}.0.1/tcp/0", 100 + index)],
                limits: limits.clone(),
                ..NodeConfig::default()
            };
            let directory = network.directory.path().join(format!("node{index}"));
            let node = dress(Node::new(directory, network.file.clone(), config));
            let running = node.start().await.unwrap();
            running.joined().await;
            if index < BOOTSTRAP_NODES {
                network.file.bootstrap.extend(running.addresses().iter().map(ToString::to_string));
            }
            network.nodes.push(running);
        }
        network.settle().await;
        network
    }

    /// Waits until every node names the true closest to some keys.
    async fn settle(&self) {
        let count = self.file.k.max(1);
        for _ in 0..4 {
            let key = Key(rand::random());
            let truth = self.closest(&key, count);
            for node in &self.nodes {
                while named(&self.honestly(node, lookup_request(key, count)).await) != truth {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    /// What the node's honest service answers to a request that nobody sent.
    pub(super) async fn honestly(&self, node: &Running, request: Request) -> Response {
        let peer =
            Peer { id: net::peer_id(&node.id()).unwrap(), address: libp2p::Multiaddr::empty() };
        node.service().handle(&peer, Via::Direct, request).await
    }

    pub(super) fn params(&self) -> &anon::network::Network {
        self.nodes[0].network()
    }

    /// The nodes closest to a key, in truth.
    pub(super) fn closest(&self, key: &Key, count: usize) -> Vec<NodeId> {
        let mut ids: Vec<NodeId> = self.nodes.iter().map(Running::id).collect();
        keep_closest(&mut ids, key, count, NodeId::position);
        ids
    }

    pub(super) fn node(&self, id: &NodeId) -> &Running {
        self.nodes.iter().find(|node| node.id() == *id).unwrap()
    }

    pub(super) async fn certificate(&self, node: &Running) -> NodeCertificate {
        match self.honestly(node, Request::Certificate).await {
            Response::Certificate(certificate) => certificate.verify(self.params(), now()).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// A node as if two others had named it.
    pub(super) async fn cross_verified(&self, index: usize) -> CrossVerified {
        let certificate = self.certificate(&self.nodes[index]).await;
        cross_verify(certificate.clone(), certificate).unwrap()
    }

    /// An identity that nobody has seen.
    pub(super) fn links(&self) -> Links {
        Links::disposable(&self.file.name).unwrap()
    }

    /// Asks a node directly, as a stranger.
    pub(super) async fn ask(&self, node: &Running, request: &Request) -> Response {
        ask(&self.links(), &self.certificate(node).await, request, TIMEOUT).await.unwrap()
    }

    /// Which nodes hold an object under this key, closest first.
    pub(super) async fn holders(&self, key: &Key) -> Vec<(NodeId, Vec<u8>)> {
        let mut holders = Vec::new();
        for id in self.closest(key, self.nodes.len()) {
            let object = self.node(&id).service().store().fetch(key.0).await.unwrap();
            holders.extend(object.map(|object| (id, object.bytes)));
        }
        holders
    }

    /// A new user; the certificate is published if others are to write to the address.
    pub(super) async fn user(&self, name: &str) -> User {
        let user = self.stranger(name);
        user.publish().await.unwrap();
        user
    }

    /// A new user whom the network has not heard of.
    pub(super) fn stranger(&self, name: &str) -> User {
        let (text, heard) = (toml::to_string(&self.file).unwrap(), Arc::new(Heard::default()));
        let profile = self.directory.path().join(name);
        let person = Person::new(&text, &profile, Arc::clone(&heard) as _).unwrap();
        User { person, heard }
    }
}

pub(super) fn lookup_request(key: Key, count: usize) -> Request {
    Request::Lookup { key, count: u8::try_from(count).unwrap() }
}

/// The nodes that an answer names, in its order.
pub(super) fn named(response: &Response) -> Vec<NodeId> {
    match response {
        Response::LookedUp(list) => list.iter().map(|c| c.claimed_node()).collect(),
        _ => Vec::new(),
    }
}

/// Somebody with an address, an outbox and a Maildir.
pub(super) struct User {
    person: Person,
    pub(super) heard: Arc<Heard>,
}

impl Deref for User {
    type Target = Person;

    fn deref(&self) -> &Person {
        &self.person
    }
}

impl User {
    pub(super) fn vault(&self) -> &Vault {
        self.agent.profile().vault()
    }

    /// A guarded scheme, prepared as for one mail of its own.
    pub(super) async fn guarded(&self) -> Arc<dyn Scheme> {
        self.agent.scheme(SchemeChoice::Guarded { middle: 1 }).await.unwrap()
    }

    /// Puts a mail into the outbox: its id.
    pub(super) fn prepare(&self, bytes: &[u8], to: &Self, direct: bool) -> String {
        self.hand_in(bytes, "hostile", to.address(), direct).unwrap()
    }

    pub(super) async fn deliver(&self, id: &str) -> Outcome {
        self.deliver_by(id, self.agent.scheme(SchemeChoice::Paper).await.unwrap()).await
    }

    pub(super) async fn deliver_by(&self, id: &str, scheme: Arc<dyn Scheme>) -> Outcome {
        self.person.deliver(id, scheme).await.unwrap()
    }

    /// Sends a mail anonymously; it must arrive.
    pub(super) async fn send(&self, bytes: &[u8], to: &Self) -> Outcome {
        let recipients = std::slice::from_ref(to.address());
        let (subject, signed, direct, reply_to) = ("hostile", false, false, None);
        let mail = Mail { bytes, subject, recipients, signed, direct, reply_to };
        let choices = Choices::hurried(SchemeChoice::Paper);
        let claim = self.agent.claim(&self.agent.hand_in(&mail).unwrap()).unwrap();
        let outcome = self.agent.retry(&claim, &choices).await.unwrap();
        assert!(outcome.error.is_none(), "{:?}", outcome.error);
        assert_eq!(outcome.delivered, [to.address().clone()]);
        assert!(self.outbox().is_empty());
        outcome
    }

    pub(super) fn outbox(&self) -> Vec<String> {
        self.agent.outbox().ids().unwrap()
    }

    /// The key and the sealed object of a one-part mail in the outbox.
    pub(super) fn body(&self, id: &str) -> (Key, Vec<u8>) {
        self.person.body(id).unwrap()
    }

    pub(super) async fn fetch(&self) -> Fetched {
        self.person.fetch(None).await.unwrap()
    }

    /// All mails read so far, byte for byte, sorted.
    pub(super) fn mails(&self) -> Vec<Vec<u8>> {
        self.person.mails().unwrap()
    }
}

/// What happened to an agent.
#[derive(Debug, Default)]
pub(super) struct Heard(Mutex<Vec<Event>>);

impl Listener for Heard {
    fn on(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

impl Heard {
    fn pick<T>(&self, pick: impl FnMut(&Event) -> Option<T>) -> Vec<T> {
        self.0.lock().unwrap().iter().filter_map(pick).collect()
    }

    pub(super) fn forget(&self) {
        self.0.lock().unwrap().clear();
    }

    pub(super) fn disagreements(&self) -> Vec<(Purpose, Disagreement)> {
        self.pick(|event| match event {
            Event::Disagreed { purpose, disagreement } => Some((*purpose, disagreement.clone())),
            _ => None,
        })
    }

    pub(super) fn agreed(&self) -> Vec<(Purpose, Vec<NodeId>)> {
        self.pick(|event| match event {
            Event::Agreed { purpose, replicas } => Some((*purpose, replicas.clone())),
            _ => None,
        })
    }

    pub(super) fn channels(&self) -> Vec<(Path, anon::selection::SampledKeys)> {
        self.pick(|event| match event {
            Event::Channel { path, keys, .. } => Some((path.clone(), *keys)),
            _ => None,
        })
    }

    pub(super) fn retries(&self) -> Vec<String> {
        self.pick(|event| match event {
            Event::Retry { reason, .. } => Some(reason.clone()),
            _ => None,
        })
    }
}

/// A mail of about `kib` KiB that is unlike any other.
pub(super) fn mail(subject: &str, kib: usize) -> Vec<u8> {
    support::message(subject, kib)
}
