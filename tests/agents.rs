//! Agents in this process over a network of node processes: the real ones, whose events tell a scenario the truth
//! about who served in which role.

use std::{
    collections::BTreeSet,
    ops::Deref,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use anon::{
    certificate::Address,
    id::NodeId,
    network::MAX_K,
    position::{Key, keep_closest},
    request::{Request, Response},
};
use libp2p::multiaddr::Protocol;
use net::{Carrier, Links, NetworkFile};
use testbed::{
    cluster::{Cluster, ClusterNode},
    person::Person,
};
use ua::{
    event::{Event, Listener},
    outbox::Outbox,
    receive::Fetched,
    scheme::Scheme,
    send::Outcome,
    session::SchemeChoice,
    vault::Vault,
};

/// How long a node may take for an honest answer, here.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Somebody with an address, an outbox and a Maildir.
pub struct Agent {
    person: Person,
    pub heard: Arc<Heard>,
    /// The disposable identities used so far, as its keeper gathers them.
    pub identities: Mutex<BTreeSet<String>>,
}

impl Deref for Agent {
    type Target = Person;

    fn deref(&self) -> &Person {
        &self.person
    }
}

/// What happened to an agent.
#[derive(Debug, Default)]
pub struct Heard(Mutex<Vec<Event>>);

impl Listener for Heard {
    fn on(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

impl Heard {
    /// All events since the last time.
    pub fn take(&self) -> Vec<Event> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl Agent {
    pub fn new(network: &Path, profile: PathBuf) -> Self {
        let text = std::fs::read_to_string(network).unwrap();
        let heard = Arc::new(Heard::default());
        let person = Person::new(&text, &profile, Arc::clone(&heard) as _).unwrap();
        Self { person, heard, identities: Mutex::default() }
    }

    pub fn vault(&self) -> &Vault {
        self.agent.profile().vault()
    }

    pub async fn publish(&self) {
        self.person.publish().await.unwrap();
    }

    /// Puts a mail into the outbox: its id.
    pub fn prepare(&self, bytes: &[u8], to: &Address) -> String {
        self.hand_in(bytes, "a mail", to, false).unwrap()
    }

    /// As [`Self::prepare`], for a direct send.
    pub fn prepare_direct(&self, bytes: &[u8], to: &Address) -> String {
        self.hand_in(bytes, "a mail", to, true).unwrap()
    }

    /// A scheme, prepared as for one mail of its own.
    pub async fn scheme(&self, choice: SchemeChoice) -> Arc<dyn Scheme> {
        self.agent.scheme(choice).await.unwrap()
    }

    pub async fn deliver(&self, id: &str, scheme: Arc<dyn Scheme>) -> Outcome {
        self.person.deliver(id, scheme).await.unwrap()
    }

    pub fn outbox(&self) -> Outbox<'_> {
        self.agent.outbox()
    }

    /// The key and the sealed object of a one-part mail in the outbox.
    pub fn body(&self, id: &str) -> (Key, Vec<u8>) {
        self.person.body(id).unwrap()
    }

    pub async fn fetch(&self) -> Fetched {
        self.person.fetch(None).await.unwrap()
    }

    /// All mails read so far, byte for byte, sorted.
    pub fn mails(&self) -> Vec<Vec<u8>> {
        self.person.mails().unwrap()
    }
}

/// Waits until every node states, asked directly, the true closest to some keys: statements name only nodes that
/// have been known for an epoch, so by then all are.
pub async fn rosters_are_full(cluster: &Cluster) {
    let name = NetworkFile::read(&cluster.network_file()).unwrap().name;
    let links = Links::disposable(&name).unwrap();
    let keys: Vec<Key> = (0..8).map(|_| Key(rand::random())).collect();
    let all: Vec<NodeId> = cluster.ids();
    let full = async {
        for node in cluster.nodes() {
            for key in &keys {
                let mut truth = all.clone();
                keep_closest(&mut truth, key, MAX_K, NodeId::position);
                while stated(&links, node, *key).await != Some(truth.clone()) {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    };
    tokio::time::timeout(TIMEOUT * 4, full).await.expect("the rosters do not fill");
}

async fn stated(links: &Links, node: &ClusterNode, key: Key) -> Option<Vec<NodeId>> {
    let address = node.address.iter().filter(|part| !matches!(part, Protocol::P2p(_))).collect();
    let peer = net::peer_id(&node.id).ok()?;
    let link = links.open_at(peer, vec![address], Carrier::Request).await.ok()?;
    let count = u8::try_from(MAX_K).ok()?;
    match link.request(&Request::Closest { key, count }, TIMEOUT).await.ok()? {
        Response::Closest(statement) => Some(statement.claims.closest),
        _ => None,
    }
}
