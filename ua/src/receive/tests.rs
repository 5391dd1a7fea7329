//! A reader over a made-up network: what lies in its inbox, and what nodes make of it, is up to each test.

mod bodies;
mod copies;
mod deliveries;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use anon::{
    certificate::{
        Address, AddressClaims, NodeCertificate, NodeClaims, UnverifiedAddressCertificate,
    },
    id::NodeId,
    keys::{AuthoritySecret, ChannelSecret, IdentitySecret, SigningSecret as _},
    mail::{Headers, Part, seal_body, seal_notification},
    network::Network,
    position::Key,
    request::{InboxPage, InboxQuery, Request, Response, handed_over_at_once, listed_at_once},
    time::{Time, Validity},
};
use futures::future::BoxFuture;
use net::{Clock, NetworkFile, now};
use serde_bytes::ByteBuf;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::{notes::RETRIES, *};
use crate::vault::{KdfCost, Passphrase};

/// Nodes near every key.
const NODES: u8 = 5;

/// What an honest node lists at once, here.
const PAGE: usize = 100;

/// What the nodes hold, and how they behave.
#[derive(Default)]
struct World {
    inboxes: Vec<Vec<Vec<u8>>>,
    objects: BTreeMap<Key, Vec<u8>>,
    /// Nodes that list endlessly and hand over nothing.
    endless: Vec<usize>,
    /// How many more parts are handed out, before all nodes are silent.
    parts_left: Option<usize>,
    /// Ways opened to bodies.
    ways: usize,
    /// Whether no way to a body can be opened any more.
    is_cut_off: bool,
    /// Questions to each node about bodies.
    fetches: BTreeMap<usize, usize>,
    /// Nodes that never answer such a question, and those that answer it only if they are asked alone.
    silent: Vec<usize>,
    silent_in_company: Vec<usize>,
    /// Nodes that have no body.
    empty: Vec<usize>,
    /// How often an inbox was begun to be listed.
    lists: usize,
}

#[derive(Clone)]
struct Fake {
    nodes: Vec<NodeCertificate>,
    world: Arc<Mutex<World>>,
}

impl Route for Fake {
    fn open(&self, _: Key, place: Place) -> BoxFuture<'_, Result<Box<dyn Way>, AgentError>> {
        if place == Place::Body {
            let mut world = self.world.lock().unwrap();
            if world.is_cut_off {
                return Box::pin(async { Err(AgentError::NoGuard) });
            }
            world.ways += 1;
        }
        Box::pin(async { Ok(Box::new(self.clone()) as Box<dyn Way>) })
    }
}

impl Way for Fake {
    fn nodes(&self) -> &[NodeCertificate] {
        &self.nodes
    }

    fn ask_each(
        &mut self,
        requests: Vec<(NodeCertificate, Request)>,
    ) -> BoxFuture<'_, Result<Vec<Option<Response>>, AgentError>> {
        let asked = requests.len();
        let answers = requests.into_iter().map(|(node, request)| {
            let number = self.nodes.iter().position(|other| other.node() == node.node()).unwrap();
            self.world.lock().unwrap().answer(number, request, asked)
        });
        let answers = answers.collect();
        Box::pin(async { Ok(answers) })
    }
}

impl World {
    fn answer(&mut self, node: usize, request: Request, asked: usize) -> Option<Response> {
        Some(match request {
            Request::ReadInbox { query, .. } => Response::Inbox(self.read(node, query, asked)),
            Request::Acknowledge { digests, .. } => {
                let digest = |bytes: &Vec<u8>| -> Digest { Sha256::digest(bytes).into() };
                self.inboxes[node].retain(|bytes| !digests.contains(&digest(bytes)));
                Response::Acknowledged(0)
            }
            Request::Fetch { key } => {
                *self.fetches.entry(node).or_default() += 1;
                let in_company = asked > 1 && self.silent_in_company.contains(&node);
                if in_company || self.silent.contains(&node) {
                    return None;
                }
                if self.empty.contains(&node) {
                    return Some(Response::NotFound);
                }
                match (self.objects.get(&key), &mut self.parts_left) {
                    (Some(_), Some(0)) => return None,
                    (Some(object), left) => {
                        left.iter_mut().for_each(|left| *left -= 1);
                        Response::Object(object.clone())
                    }
                    (None, _) => Response::NotFound,
                }
            }
            Request::Delete(deletion) => {
                self.objects.remove(&deletion.key());
                Response::Deleted
            }
            _ => Response::Refused,
        })
    }

    fn read(&mut self, node: usize, query: InboxQuery, asked: usize) -> InboxPage {
        let is_endless = self.endless.contains(&node);
        match query {
            InboxQuery::List { from, count } if is_endless => InboxPage::List {
                digests: (0..count).map(|_| rand::random()).collect(),
                next: Some(from + u64::from(count)),
            },
            InboxQuery::List { from, count } => {
                assert!(count <= listed_at_once(asked));
                self.lists += usize::from(from == 0);
                let (from, inbox) = (usize::try_from(from).unwrap(), &self.inboxes[node]);
                let end = (from + usize::from(count).min(PAGE)).min(inbox.len());
                let digests = inbox[from..end].iter().map(|n| Sha256::digest(n).into()).collect();
                let next = (end < inbox.len()).then(|| u64::try_from(end).unwrap());
                InboxPage::List { digests, next }
            }
            InboxQuery::HandOver(_) if is_endless => InboxPage::HandedOver(Vec::new()),
            InboxQuery::HandOver(digests) => {
                assert!(digests.len() <= handed_over_at_once(asked));
                let inbox = self.inboxes[node].iter();
                let is_asked = |n: &&Vec<u8>| digests.contains(&Sha256::digest(n).into());
                InboxPage::HandedOver(inbox.filter(is_asked).cloned().map(ByteBuf::from).collect())
            }
        }
    }

    fn append(&mut self, notification: &[u8]) {
        self.inboxes.iter_mut().for_each(|inbox| inbox.push(notification.to_vec()));
    }
}

struct Stage {
    _directory: TempDir,
    vault: Vault,
    maildir: Maildir,
    network: Network,
    bob: Account,
    fake: Fake,
}

fn node(number: u8, network: &Network) -> NodeCertificate {
    let identity = IdentitySecret::from_seed(&[number; 32]);
    let claims = NodeClaims {
        network: network.id,
        identity: NodeId(identity.verify_key().0),
        channel_key: ChannelSecret::from_seed(&[number; 32]).agreement_key(),
        addresses: Vec::new(),
        family: String::new(),
        validity: Validity::starting(now(), 1_000),
        admission: None,
    };
    NodeCertificate::issue(&identity, claims).verify(network, now()).unwrap()
}

impl Stage {
    fn new() -> Self {
        let network = NetworkFile::parse("name = 'reader.alt'").unwrap().network().unwrap();
        let bob = Account::self_certifying(&network, now());
        Self::with(network, bob)
    }

    fn with(network: Network, bob: Account) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let passphrase = Passphrase::new("x".to_owned()).unwrap();
        let cost = KdfCost::new(8, 1).unwrap();
        let vault = Vault::create(&directory.path().join("vault"), &passphrase, cost).unwrap();
        let maildir = Maildir::open(&directory.path().join("mail")).unwrap();
        let nodes = (1..=NODES).map(|number| node(number, &network)).collect();
        let inboxes = vec![Vec::new(); usize::from(NODES)];
        let world = Arc::new(Mutex::new(World { inboxes, ..World::default() }));
        let fake = Fake { nodes, world };
        Self { _directory: directory, vault, maildir, network, bob, fake }
    }

    fn context(&self) -> Context {
        Context::quiet(self.network.clone())
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.fake.world.lock().unwrap()
    }

    /// Stores a mail's parts at all nodes.
    fn store(&self, mail: &[u8]) -> Vec<Part> {
        let mut world = self.world();
        let sealed = seal_body(mail, &mut rand::rng()).unwrap().into_iter();
        let put = |sealed: anon::mail::SealedPart| {
            let key = sealed.part.message_id.key(&self.network.name);
            world.objects.insert(key, sealed.object);
            sealed.part
        };
        sealed.map(put).collect()
    }

    fn headers(&self, parts: &[Part], date: Time) -> Headers {
        Headers::new(self.bob.address().clone(), date, "subject", 1, parts, None)
    }

    fn seal(&self, headers: &Headers) -> Vec<u8> {
        let certificate = self.bob.certificate(&self.network, now()).unwrap();
        seal_notification(headers, &certificate, &mut rand::rng()).unwrap()
    }

    fn announce(&self, parts: &[Part]) {
        let notification = self.seal(&self.headers(parts, now()));
        self.world().append(&notification);
    }

    /// Announces so many mails of so many parts that never existed.
    fn announce_phantoms(&self, count: usize, parts: usize) {
        for _ in 0..count {
            let sealed = (0..parts).map(|_| seal_body(b"", &mut rand::rng()).unwrap().remove(0));
            let parts: Vec<Part> = sealed.map(|sealed| sealed.part).collect();
            self.announce(&parts);
        }
    }

    async fn fetch_at(&self, clock: Clock) -> Fetched {
        let certificate = self.bob.certificate(&self.network, now()).unwrap();
        let (context, route) = (Context { clock, ..self.context() }, Box::new(self.fake.clone()));
        let (vault, account, maildir) = (&self.vault, &self.bob, &self.maildir);
        let reader = Reader { context, route, vault, account, certificate, maildir };
        let mut fetched = Fetched::default();
        reader.fetch(&mut fetched).await.unwrap();
        fetched
    }

    async fn fetch(&self) -> Fetched {
        self.fetch_at(Clock::default()).await
    }

    fn mails(&self) -> Vec<Vec<u8>> {
        let mut mails: Vec<_> =
            self.maildir.list().unwrap().iter().map(|e| self.maildir.read(e).unwrap()).collect();
        mails.sort();
        mails
    }

    fn left(&self) -> Vec<usize> {
        self.world().inboxes.iter().map(Vec::len).collect()
    }
}

fn three_days_later() -> Clock {
    Clock::stopped_at(now().after(GIVE_UP_AFTER))
}

#[tokio::test]
async fn phantoms_hide_nothing_and_are_gone_after_three_days() {
    let stage = Stage::new();
    stage.announce_phantoms(300, 1);
    stage.announce_phantoms(3, 16);
    stage.announce(&stage.store(b"the genuine mail"));
    let fetched = stage.fetch().await;
    assert_eq!((fetched.delivered.len(), fetched.missing), (1, 303));
    assert_eq!(stage.mails(), [b"the genuine mail"]);
    // One way each, four to the first parts of a long one, and some a second time.
    let ways = stage.world().ways;
    assert!(ways <= 1 + 300 + 3 * 4 + RETRIES * 4, "{ways}");

    // The next time they cost little, and a new mail comes first.
    stage.world().ways = 0;
    stage.announce(&stage.store(b"a second mail"));
    let fetched = stage.fetch().await;
    assert_eq!((fetched.delivered.len(), fetched.missing, fetched.given_up), (1, 303, 0));
    let ways = stage.world().ways;
    assert!(ways <= 1 + RETRIES * 4, "{ways}");

    let fetched = stage.fetch_at(three_days_later()).await;
    assert_eq!((fetched.given_up, fetched.missing), (303, 0));
    assert_eq!(stage.left(), [0; NODES as usize]);
    assert_eq!(stage.fetch().await.delivered.len(), 0);
}

#[tokio::test]
async fn a_thousand_mails_are_read_in_one_go_and_handed_over_once() {
    let stage = Stage::new();
    for number in 0..300 {
        stage.announce(&stage.store(format!("mail {number}").as_bytes()));
    }
    let fetched = stage.fetch().await;
    assert_eq!((fetched.delivered.len(), fetched.waiting()), (300, 0));
    assert_eq!((stage.left(), stage.world().ways), (vec![0; NODES.into()], 300));
    assert!(stage.world().objects.is_empty(), "all are deleted");
    // Once to read all of it, and once to see that nothing is left: good nodes are asked on.
    assert_eq!(stage.world().lists, 2 * usize::from(NODES));
    assert_eq!(stage.fetch().await.repeated, 0);
}

#[tokio::test]
async fn a_node_that_lists_without_end_costs_a_reader_some_answers_and_no_mail() {
    let stage = Stage::new();
    stage.world().endless = vec![0, 1, 2, 3];
    for number in 0..10 {
        stage.announce(&stage.store(format!("mail {number}").as_bytes()));
    }
    let fetched = stage.fetch().await;
    assert_eq!((fetched.delivered.len(), fetched.inboxes), (10, 5));
}

#[tokio::test]
async fn a_long_mail_goes_on_where_it_was() {
    let stage = Stage::new();
    let mail: Vec<u8> = (0..4_000_000_u32).map(|n| n.to_le_bytes()[n as usize % 3]).collect();
    let parts = stage.store(&mail);
    assert_eq!(parts.len(), 4);
    stage.announce(&parts);
    stage.world().parts_left = Some(3);
    let fetched = stage.fetch().await;
    assert_eq!((fetched.delivered.len(), fetched.unreached, fetched.missing), (0, 1, 0));
    // One more is all it needs: those that came are kept.
    stage.world().parts_left = Some(1);
    assert_eq!(stage.fetch().await.delivered.len(), 1);
    assert!(stage.mails() == [mail]);
    assert!(stage.world().objects.is_empty());
}

/// Alice signs a mail to Bob and Carol, of two parts, and names an address for answers.
fn letter(stage: &Stage) -> (Vec<u8>, Vec<Part>, Account, Account) {
    let mail = [vec![b'.'; 1 << 20], b" THE SECOND PART".to_vec()].concat();
    let parts = stage.store(&mail);
    let account = || Account::self_certifying(&stage.network, now());
    (mail, parts, account(), account())
}

/// An address that an authority certified, for these keys.
fn certified(network: &Network, authority: &AuthoritySecret) -> Account {
    let address = Address::parse(&format!("bob@{}", network.name)).unwrap();
    let mut account = Account::uncertified(address.clone());
    let claims = AddressClaims {
        network: network.id,
        address,
        verify_key: account.signing().verify_key(),
        sealing_key: account.sealing().agreement_key(),
        validity: Validity::starting(now(), 86_400),
    };
    let certificate = UnverifiedAddressCertificate::issue(authority, claims);
    account.certify(certificate, network, now()).unwrap();
    account
}

#[tokio::test]
async fn the_old_holder_of_an_address_deletes_nothing_of_the_new_one() {
    let authority = AuthoritySecret::from_seed(&[9; 32]);
    let key = data_encoding::HEXLOWER.encode(&authority.verify_key().0);
    let text = format!("name = 'reader.alt'\nauthority = '{key}'");
    let network = NetworkFile::parse(&text).unwrap().network().unwrap();
    let (old, new) = (certified(&network, &authority), certified(&network, &authority));
    let stage = Stage::with(network.clone(), new);
    let notification = stage.seal(&stage.headers(&stage.store(b"for the new one"), now()));
    let old = Stage::with(network, old);
    old.world().append(&notification);
    for (reading, unopened) in [(1, 1), (2, 0)] {
        let fetched = old.fetch().await;
        assert_eq!((fetched.unopened, fetched.junk), (unopened, 0), "reading {reading}");
        assert_eq!(old.left(), [1; NODES as usize], "reading {reading}");
    }
    // It keeps the old holder from nothing.
    let own = old.seal(&old.headers(&old.store(b"for the old one"), now()));
    old.world().append(&own);
    assert_eq!(old.fetch().await.delivered.len(), 1);
    assert_eq!(old.left(), [1; NODES as usize]);
}

#[tokio::test]
async fn what_certainly_is_junk_is_dropped() {
    let stage = Stage::new();
    stage.world().append(&[7; anon::mail::NOTIFICATION]);
    // A body that is what its sender stored, and opens with no key.
    let mut parts = stage.store(b"sealed with another key");
    let other = stage.store(b"another");
    let key = |part: &Part| part.message_id.key(&stage.network.name);
    let object = stage.world().objects[&key(&other[0])].clone();
    stage.world().objects.insert(key(&parts[0]), object.clone());
    parts[0].digest = Sha256::digest(&object).into();
    stage.announce(&parts);
    let fetched = stage.fetch().await;
    assert_eq!((fetched.junk, fetched.unopened, fetched.waiting()), (2, 0, 0));
    assert_eq!(stage.left(), [0; NODES as usize]);
}
