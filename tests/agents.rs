//! Agents in this process over a network of node processes: the real ones, whose events tell a scenario the truth
//! about who served in which role.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use anon::{
    certificate::{Address, AddressCertificate},
    id::NodeId,
    network::MAX_K,
    position::{Key, keep_closest},
    request::{Request, Response},
};
use libp2p::multiaddr::Protocol;
use net::{Carrier, Links, NetworkFile, now};
use testbed::cluster::{Cluster, ClusterNode};
use ua::{
    account::Account,
    certificates::publish,
    entrance::Entrance,
    event::{Event, Listener},
    maildir::Maildir,
    outbox::Outbox,
    receive::{DirectRoute, Fetched, Reader},
    send::{Mail, Outcome, Sender, hand_in},
    session::{SchemeChoice, prepare_scheme},
    vault::{KdfCost, Passphrase, Vault},
};

/// How long a node may take for an honest answer, here.
const PATIENCE: Duration = Duration::from_secs(30);

/// Somebody with an address, an outbox and a Maildir.
pub struct Agent {
    home: PathBuf,
    pub vault: Vault,
    pub account: Account,
    pub certificate: AddressCertificate,
    pub entrance: Arc<Entrance>,
    pub heard: Arc<Heard>,
    /// The disposable identities used so far, as its keeper gathers them.
    pub identities: Mutex<BTreeSet<String>>,
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
    pub fn new(network: &Path, home: PathBuf) -> Self {
        let file = NetworkFile::read(network).unwrap();
        let params = Arc::new(file.network().unwrap());
        let passphrase = Passphrase::new("correct horse".to_owned()).unwrap();
        let cost = KdfCost::new(8, 1).unwrap();
        let vault = Vault::create(&home.join("vault"), &passphrase, cost).unwrap();
        let account = Account::self_certifying(&params, now());
        let certificate = account.certificate(&params, now()).unwrap();
        let heard = Arc::new(Heard::default());
        let nodes = file.bootstrap_peers().unwrap();
        let entrance = Arc::new(Entrance::new(params, Arc::clone(&heard) as _, nodes));
        Self { home, vault, account, certificate, entrance, heard, identities: Mutex::default() }
    }

    pub fn address(&self) -> &Address {
        self.account.address()
    }

    pub async fn publish(&self) {
        publish(&self.entrance, &self.certificate).await.unwrap();
    }

    /// Puts a mail into the outbox: its id.
    pub fn prepare(&self, bytes: &[u8], to: &Address) -> String {
        self.hand_in(bytes, to, false)
    }

    /// As [`Self::prepare`], for a direct send.
    pub fn prepare_direct(&self, bytes: &[u8], to: &Address) -> String {
        self.hand_in(bytes, to, true)
    }

    fn hand_in(&self, bytes: &[u8], to: &Address, direct: bool) -> String {
        let recipients = std::slice::from_ref(to);
        let mail =
            Mail { bytes, subject: "a mail", recipients, signed: false, direct, reply_to: None };
        hand_in(&Outbox::new(&self.vault), &mail).unwrap()
    }

    /// A sender, prepared as for one mail of its own.
    pub async fn sender(&self, choice: SchemeChoice) -> Sender<'_> {
        Sender {
            scheme: prepare_scheme(choice, &self.vault, &self.entrance).await.unwrap(),
            entrance: Arc::clone(&self.entrance),
            outbox: Outbox::new(&self.vault),
            account: &self.account,
            delay: Duration::ZERO,
        }
    }

    pub async fn deliver(&self, id: &str, choice: SchemeChoice) -> Outcome {
        self.sender(choice).await.deliver(id).await.unwrap()
    }

    pub fn outbox(&self) -> Outbox<'_> {
        Outbox::new(&self.vault)
    }

    /// The key and the sealed object of a one-part mail in the outbox.
    pub fn body(&self, id: &str) -> (Key, Vec<u8>) {
        let parts = self.outbox().parts(id).unwrap();
        (parts[0].part.message_id.key(&self.entrance.network().name), parts[0].object.clone())
    }

    pub async fn fetch(&self) -> Fetched {
        let (certificate, maildir) = (self.certificate.clone(), self.maildir());
        let entrance = Arc::clone(&self.entrance);
        let route = Box::new(DirectRoute::new(Arc::clone(&entrance)).unwrap());
        let (vault, account) = (&self.vault, &self.account);
        let reader = Reader::new(entrance, route, vault, account, certificate, &maildir);
        let mut fetched = Fetched::default();
        reader.fetch(&mut fetched).await.unwrap();
        fetched
    }

    fn maildir(&self) -> Maildir {
        Maildir::open(&self.home.join("mail")).unwrap()
    }

    /// All mails read so far, byte for byte, sorted.
    pub fn mails(&self) -> Vec<Vec<u8>> {
        let maildir = self.maildir();
        let mut mails: Vec<_> =
            maildir.list().unwrap().iter().map(|entry| maildir.read(entry).unwrap()).collect();
        mails.sort();
        mails
    }
}

/// Waits until every node states, asked directly, the true nearest to some keys: statements name only nodes that
/// have been known for an epoch, so by then all are.
pub async fn rosters_are_full(cluster: &Cluster) {
    let name = NetworkFile::read(&cluster.network_file()).unwrap().name;
    let links = Links::disposable(&name).unwrap();
    let keys: Vec<Key> = (0..8).map(|_| Key(rand::random())).collect();
    let all: Vec<NodeId> = cluster.nodes().iter().map(|node| node.id).collect();
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
    tokio::time::timeout(PATIENCE * 4, full).await.expect("the rosters do not fill");
}

async fn stated(links: &Links, node: &ClusterNode, key: Key) -> Option<Vec<NodeId>> {
    let address = node.address.iter().filter(|part| !matches!(part, Protocol::P2p(_))).collect();
    let peer = net::peer_id(&node.id).ok()?;
    let link = links.open_at(peer, vec![address], Carrier::Request).await.ok()?;
    let count = u8::try_from(MAX_K).ok()?;
    match link.request(&Request::Nearest { key, count }, PATIENCE).await.ok()? {
        Response::Nearest(statement) => Some(statement.claims.nearest),
        _ => None,
    }
}
