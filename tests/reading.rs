//! Full inboxes, long mails, and announcements of what never existed, read by the guarded scheme over real processes.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anon::{
    certificate::{Address, AddressCertificate, NodeCertificate},
    mail::{Headers, Part, seal_body, seal_notification},
    position::{Key, keep_closest},
    request::{Append, DeletePermission, ObjectKind, Request, Response, Store},
};
use futures::{StreamExt as _, stream};
use net::{Links, ask, now};
use testbed::person::Person;
use ua::event::Silent;

use crate::support::{Network, User, message, text};

const K: usize = 3;
/// Long enough for a reading of a minute to need no more than a few looks at who is there.
const EPOCH: u64 = 10;

/// Somebody who talks to nodes directly, as fast as they answer: a flood, or a year of mail.
pub struct Flood {
    links: Links,
    nodes: Vec<NodeCertificate>,
    name: String,
    bob: AddressCertificate,
}

impl Flood {
    pub async fn new(network: &Network, bob: &User) -> Self {
        let text = std::fs::read_to_string(network.cluster.network_file()).unwrap();
        let profile = network.directory.path().join("flood");
        let agent = Person::new(&text, &profile, Arc::new(Silent)).unwrap().agent;
        let mut nodes: Vec<NodeCertificate> = Vec::new();
        while nodes.len() < network.cluster.nodes().len() {
            for node in agent.bootstrap().all_candidates(Key(rand::random())).await.unwrap() {
                if !nodes.iter().any(|other| other.node() == node.node()) {
                    nodes.push(node);
                }
            }
        }
        let address: Address = Address::parse(&bob.address).unwrap();
        let bob = agent.look_up(&address, None).await.unwrap();
        let name = agent.context().network.name.clone();
        Self { links: Links::disposable(&name).unwrap(), nodes, name, bob }
    }

    /// Asks the k nodes closest to a key.
    async fn ask(&self, key: Key, request: &Request) {
        let mut closest = self.nodes.clone();
        keep_closest(&mut closest, &key, K, |node| node.node().position());
        for node in closest {
            let answer = ask(&self.links, &node, request, Duration::from_secs(30)).await.unwrap();
            assert!(matches!(answer, Response::Receipt(_)), "{answer:?}");
        }
    }

    async fn announce(&self, subject: &str, parts: &[Part], delete: anon::mail::DeleteSeed) {
        let address = self.bob.address().clone();
        let headers = Headers::new(address, now(), subject, 1, parts, Some(delete));
        let notification = seal_notification(&headers, &self.bob, &mut rand::rng()).unwrap();
        let inbox = self.bob.address().inbox();
        self.ask(inbox, &Request::AppendInbox(Append { inbox, notification, nonce: [1; 16] }))
            .await;
    }

    /// Stores and announces a mail.
    async fn mail(&self, mail: &[u8]) {
        self.mail_called("flood", mail).await;
    }

    /// As [`Self::mail`], with this subject in the sealed headers.
    pub async fn mail_called(&self, subject: &str, mail: &[u8]) {
        use anon::keys::SigningSecret as _;
        let seed = rand::random();
        let mut parts = Vec::new();
        for sealed in seal_body(mail, &mut rand::rng()).unwrap() {
            let key = sealed.part.message_id.key(&self.name);
            let secret = anon::mail::DeleteSeed::from_bytes(seed).secret(&sealed.part.message_id);
            let store = Store {
                key,
                kind: ObjectKind::Body,
                object: sealed.object,
                deleters: vec![DeletePermission::OneTimeKey(secret.verify_key())],
                nonce: [1; 16],
            };
            self.ask(key, &Request::Store(store)).await;
            parts.push(sealed.part);
        }
        self.announce(subject, &parts, anon::mail::DeleteSeed::from_bytes(seed)).await;
    }

    async fn mails(&self, count: usize) {
        let mails = (0..count).map(async |number| {
            self.mail(format!("Subject: {number}\r\n\r\nmail {number}\r\n").as_bytes()).await;
        });
        stream::iter(mails).buffer_unordered(8).collect::<()>().await;
    }

    /// Announces mails that never existed.
    async fn phantoms(&self, count: usize) {
        let phantoms = (0..count).map(async |_| {
            let part = seal_body(b"", &mut rand::rng()).unwrap().remove(0).part;
            self.announce("flood", &[part], anon::mail::DeleteSeed::from_bytes([7; 32])).await;
        });
        stream::iter(phantoms).buffer_unordered(8).collect::<()>().await;
    }
}

async fn fetch(bob: &User) -> (serde_json::Value, Duration) {
    let start = Instant::now();
    let fetched = bob.run(["fetch", "--json"]).await;
    assert!(fetched.status.success(), "{}", text(&fetched.stderr));
    let report: serde_json::Value = serde_json::from_slice(&fetched.stdout).unwrap();
    (report, start.elapsed())
}

fn delivered(report: &serde_json::Value) -> usize {
    report["delivered"].as_array().unwrap().len()
}

/// What is read in one go: so many mails and a long one, and then, among so many phantoms, one more.
async fn read_in_one_go(mails: usize, long: usize, phantoms: usize) {
    let network = Network::aged(16, |options| {
        options.k = K;
        options.network.epoch_seconds = EPOCH;
    })
    .await;
    tokio::time::sleep(Duration::from_secs(3 * EPOCH)).await;
    let bob = network.user("bob").await;
    let flood = Flood::new(&network, &bob).await;
    let mut long = message("long", long * 3 / 4 / 1024);
    long.truncate(16_462_643);
    flood.mail(&long).await;
    flood.mails(mails).await;
    let (report, took) = fetch(&bob).await;
    println!("{mails} mails and one of {} bytes in one fetch: {took:.1?}", long.len());
    assert_eq!((delivered(&report), &report["waiting"]), (mails + 1, &0.into()), "{report}");
    assert!(bob.mails().contains(&long));

    flood.phantoms(phantoms).await;
    flood.mail(b"Subject: real\r\n\r\nthe genuine mail\r\n").await;
    let (report, took) = fetch(&bob).await;
    println!("one mail among {phantoms} phantoms in one fetch: {took:.1?}");
    assert_eq!(delivered(&report), 1, "{report}");
    assert_eq!(report["missing"], phantoms, "{report}");

    flood.mail(b"Subject: real\r\n\r\nanother genuine mail\r\n").await;
    let (report, took) = fetch(&bob).await;
    println!("another, the phantoms being known: {took:.1?}");
    assert_eq!(delivered(&report), 1, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_mails_a_long_one_and_phantoms_are_read_in_one_go() {
    read_in_one_go(40, 4 << 20, 40).await;
}

/// The whole of it, some minutes long: `cargo test --test scenarios reading::a_thousand -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes some minutes"]
async fn a_thousand_mails_the_longest_one_and_five_thousand_phantoms_are_read_in_one_go() {
    read_in_one_go(1_000, 16_600_000, 5_000).await;
}
