//! Churn: in every epoch a tenth of the nodes dies for good and as many new ones come. Rosters keep up, mails
//! arrive, and a reader whose roster is an epoch older than the sender's still finds them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use anon::{
    id::NodeId,
    network::{Epoch, Network as Params},
    roster::Roster,
};
use futures::future::join_all;
use net::{Links, RosterKeeper};
use rand::seq::IteratorRandom as _;
use testbed::person::Person;
use ua::{event::Silent, roster::AgentRoster, scheme::Scheme, session::SchemeChoice};

use crate::support::{Network, User, message, text};

const NODES: usize = 40;
/// Nodes that die and come in every epoch.
const CHURN: usize = 4;
const EPOCHS: usize = 10;
/// An epoch's length, seconds.
const EPOCH: u64 = 8;
/// The first nodes, which lead into the network, stay.
const BOOTSTRAP_NODES: usize = 3;
/// Epochs that a node may take to become active everywhere.
const GROWN_UP: u64 = 2;
/// How often a reader tries to get what it has been told of: a path may lead over a node that just died.
const FETCHES: usize = 4;
/// Epochs after which a dead node is active nowhere.
const FORGOTTEN: u64 = 3;

/// An agent in this process: it keeps a roster, and reads with the one it has.
struct Agent(Person);

impl Agent {
    fn new(network: &Network, name: &str) -> Self {
        let text = std::fs::read_to_string(network.cluster.network_file()).unwrap();
        let profile = network.directory.path().join(name);
        Self(Person::new(&text, &profile, Arc::new(Silent)).unwrap())
    }

    fn params(&self) -> &Arc<Params> {
        &self.0.agent.context().network
    }

    fn epoch(&self) -> Epoch {
        self.0.agent.context().epoch()
    }

    fn roster(&self) -> AgentRoster {
        let agent = &self.0.agent;
        AgentRoster::read(agent.profile().vault(), agent.context()).unwrap()
    }

    /// A scheme over the roster as it is now.
    async fn scheme(&self) -> Option<Arc<dyn Scheme>> {
        self.0.agent.scheme(SchemeChoice::Guarded { middle: 1 }).await.ok()
    }

    /// Reads until nothing waits, a few times at most: how many mails still do. `None` if the inbox cannot be read.
    async fn read_all(&self, scheme: Arc<dyn Scheme>) -> Option<usize> {
        let mut waiting = None;
        for _ in 0..FETCHES {
            if let Ok(fetched) = self.0.fetch(Some(Arc::clone(&scheme))).await
                && fetched.inboxes > 0
            {
                waiting = Some(fetched.waiting());
            }
            if waiting == Some(0) {
                break;
            }
        }
        waiting
    }

    fn mails(&self) -> Vec<Vec<u8>> {
        self.0.mails().unwrap()
    }
}

/// When the nodes of a cluster came and went, in epochs.
#[derive(Default)]
struct Lives {
    born: BTreeMap<NodeId, Epoch>,
    died: BTreeMap<NodeId, Epoch>,
}

/// How well rosters know who lives.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// Nodes that live and have for [`GROWN_UP`] epochs, and how many of them are active.
    grown_up: usize,
    active: usize,
    /// Nodes that died, active all the same: those that just have, and those that did long ago.
    dead: usize,
    long_dead: usize,
}

impl Lives {
    fn known(&self, roster: &Roster, at: Epoch) -> Known {
        let active: BTreeSet<NodeId> =
            roster.active(at).map(anon::certificate::NodeCertificate::node).collect();
        let lives = self.born.iter().filter(|(id, _)| !self.died.contains_key(*id));
        let grown_up: Vec<&NodeId> =
            lives.filter(|(_, born)| born.0 + GROWN_UP <= at.0).map(|(id, _)| id).collect();
        let dead = || self.died.iter().filter(|(id, _)| active.contains(*id));
        Known {
            grown_up: grown_up.len(),
            active: grown_up.iter().filter(|id| active.contains(**id)).count(),
            dead: dead().count(),
            long_dead: dead().filter(|(_, died)| died.0 + FORGOTTEN <= at.0).count(),
        }
    }
}

impl std::ops::AddAssign for Known {
    fn add_assign(&mut self, other: Self) {
        self.grown_up += other.grown_up;
        self.active += other.active;
        self.dead += other.dead;
        self.long_dead += other.long_dead;
    }
}

/// Waits until this share of the current epoch is over.
async fn until(share: f64) {
    let epoch = Duration::from_secs(EPOCH).as_secs_f64();
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    let wait = (share * epoch - since % epoch).max(0.0);
    tokio::time::sleep(Duration::from_secs_f64(wait)).await;
}

/// Waits until the next epoch begins.
async fn next_epoch() {
    until(1.0).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
}

/// Somebody who sends a mail in every epoch: what was reported delivered.
struct Writer {
    user: User,
    to: String,
    mails: BTreeMap<String, Vec<u8>>,
    delivered: Vec<Vec<u8>>,
    sent: usize,
    at_once: usize,
}

impl Writer {
    async fn new(network: &Network, name: &str, to: &str) -> Self {
        let user = network.user(name).await;
        let (mails, delivered) = (BTreeMap::new(), Vec::new());
        Self { user, to: to.to_owned(), mails, delivered, sent: 0, at_once: 0 }
    }

    /// Tries again what waits, and sends one mail more.
    async fn send(&mut self) {
        let guarded = ["--scheme", "guarded", "--delay", "0", "--json"];
        if !self.mails.is_empty() {
            let retried = self.user.run(["outbox"].into_iter().chain(guarded)).await;
            text(&retried.stdout).lines().for_each(|line| self.note(line));
        }
        self.sent += 1;
        let mail = message(&format!("mail {}", self.sent), 2);
        let args = ["send", "--to", &self.to, "-"].into_iter().chain(guarded);
        let sent = self.user.run_with_input(args, &mail).await;
        let report = text(&sent.stdout);
        let id = serde_json::from_str::<serde_json::Value>(&report).ok();
        let id = id.and_then(|report| report["id"].as_str().map(str::to_owned));
        let before = self.delivered.len();
        match id {
            Some(id) => {
                self.mails.insert(id, mail);
                self.note(&report);
            }
            None => println!("not sent: {}", text(&sent.stderr).trim()),
        }
        self.at_once += self.delivered.len() - before;
    }

    /// Notes what a report says was delivered.
    fn note(&mut self, report: &str) {
        let report: serde_json::Value = serde_json::from_str(report).unwrap();
        if report["delivered"].as_array().is_some_and(|to| !to.is_empty())
            && let Some(mail) = self.mails.remove(report["id"].as_str().unwrap())
        {
            self.delivered.push(mail);
        } else {
            println!("waits: {}", report["error"]);
        }
    }
}

/// What all nodes' own rosters know, as far as they tell it to somebody who asks.
async fn told_by_nodes(network: &Network, lives: &Lives, agent: &Agent) -> Known {
    let roster = agent.roster();
    let at = agent.epoch();
    let asked = network.cluster.nodes().iter().filter(|node| node.pid().is_some());
    let each = asked
        .filter_map(|node| roster.keeper().with(|roster| roster.certificate(&node.id).cloned()));
    let params = agent.params();
    let known = each.map(async |certificate| {
        let links = Links::disposable(&params.name).unwrap();
        let keeper = RosterKeeper::open(Arc::clone(params), None, net::Clock::default());
        keeper.exchange(&links, &certificate).await.ok()?;
        // What one node tells is active once another says the same: here the same node does.
        let told: Vec<_> = keeper.with(|roster| roster.known().cloned().collect());
        keeper.with(|roster| {
            for node in told {
                roster.learn(node, anon::roster::Source::Contact, Epoch(at.0 - 1));
            }
        });
        Some(keeper.with(|roster| lives.known(roster, at)))
    });
    let mut sum = Known::default();
    join_all(known).await.into_iter().flatten().for_each(|known| sum += known);
    sum
}

/// Kills a tenth of the nodes at the beginning of every epoch, and starts as many.
async fn churn(network: &mut Network, lives: &Mutex<Lives>, watcher: &Agent, over: &AtomicBool) {
    for _ in 0..EPOCHS {
        next_epoch().await;
        let epoch = watcher.epoch();
        let cluster = &mut network.cluster;
        let running = cluster.nodes().iter().enumerate().skip(BOOTSTRAP_NODES);
        let running = running.filter(|(_, node)| node.pid().is_some()).map(|(index, _)| index);
        for index in running.sample(&mut rand::rng(), CHURN) {
            cluster.kill(index).await.unwrap();
            lives.lock().unwrap().died.insert(cluster.nodes()[index].id, epoch);
        }
        let first = cluster.add(CHURN).await.unwrap();
        let born = cluster.nodes()[first..].iter().map(|node| (node.id, watcher.epoch()));
        lives.lock().unwrap().born.extend(born);
    }
    until(0.9).await;
    over.store(true, Ordering::Relaxed);
}

/// Compares an agent's roster once in every epoch: how well it knew who lives, all epochs together.
async fn watch(watcher: &Agent, lives: &Mutex<Lives>, over: &AtomicBool) -> Known {
    let (mut roster, agent) = (watcher.roster(), &watcher.0.agent);
    let mut total = Known::default();
    while !over.load(Ordering::Relaxed) {
        until(0.5).await;
        roster.keep_up(agent.bootstrap()).await.unwrap();
        let at = watcher.epoch();
        let known = roster.keeper().with(|roster| lives.lock().unwrap().known(roster, at));
        println!("epoch {}: {known:?}, {:?}", at.0, roster.completeness(at));
        total += known;
        next_epoch().await;
    }
    roster.write(agent.profile().vault(), agent.context().now()).unwrap();
    total
}

/// What a reader found who chose her nodes an epoch before or earlier.
#[derive(Debug, Default)]
struct Late {
    read: usize,
    /// Epochs between the roster and the reading, all together.
    age: u64,
    /// Announced, but no channel over the old roster led to the body.
    waiting: usize,
    /// Not even announced.
    missed: usize,
}

/// Dan writes to Carol in every epoch, and she reads over the roster that she had in the one before: what he
/// has in place of the nodes that died or came since, she finds all the same.
async fn late_reader(carol: &Agent, dan: &mut Writer, over: &AtomicBool) -> Late {
    let mut late = Late::default();
    let mut old = (carol.epoch(), carol.scheme().await);
    while !over.load(Ordering::Relaxed) {
        next_epoch().await;
        until(0.4).await;
        dan.send().await;
        if let (since, Some(scheme)) = old
            && let Some(waiting) = carol.read_all(scheme).await
        {
            let mails: BTreeSet<Vec<u8>> = carol.mails().into_iter().collect();
            let missing = dan.delivered.iter().filter(|mail| !mails.contains(*mail)).count();
            late.read += 1;
            late.age += carol.epoch().0 - since.0;
            late.waiting += missing.min(waiting);
            late.missed += missing.saturating_sub(waiting);
        }
        old = (carol.epoch(), carol.scheme().await);
    }
    late
}

/// Alice writes to Bob in every epoch, who reads now and then: no body outlives all of its replicas.
async fn common_reader(alice: &mut Writer, bob: &User, over: &AtomicBool) {
    let mut round = 0;
    while !over.load(Ordering::Relaxed) {
        next_epoch().await;
        until(0.4).await;
        alice.send().await;
        round += 1;
        if round % 3 == 0 {
            fetch_all(bob).await;
        }
    }
}

/// Fetches until nothing waits, a few times at most: how many mails still do.
async fn fetch_all(user: &User) -> Option<u64> {
    let mut waiting = None;
    for _ in 0..FETCHES {
        let fetched = user.run(["fetch", "--scheme", "guarded", "--json"]).await;
        let report: Option<serde_json::Value> = serde_json::from_slice(&fetched.stdout).ok();
        match report.and_then(|report| report["waiting"].as_u64()) {
            Some(number) => waiting = Some(number),
            None => println!("not fetched: {}", text(&fetched.stderr).trim()),
        }
        if waiting == Some(0) {
            break;
        }
    }
    waiting
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenth_of_the_nodes_is_replaced_every_epoch_and_mails_still_arrive() {
    let mut network =
        Network::start_with(NODES, |options| options.network.epoch_seconds = EPOCH).await;
    let watcher = Agent::new(&network, "watcher");
    let carol = Agent::new(&network, "carol");
    let start = watcher.epoch();
    let born = network.cluster.nodes().iter().map(|node| (node.id, start));
    let lives = Mutex::new(Lives { born: born.collect(), ..Lives::default() });
    let bob = network.user("bob").await;
    carol.0.publish().await.unwrap();
    let mut alice = Writer::new(&network, "alice", &bob.address).await;
    let mut dan = Writer::new(&network, "dan", &carol.0.address().to_string()).await;
    while watcher.epoch().0 < start.0 + GROWN_UP {
        next_epoch().await;
    }

    let over = AtomicBool::new(false);
    let (from, began) = (watcher.epoch(), std::time::Instant::now());
    let ((), agent, (), late) = tokio::join!(
        churn(&mut network, &lives, &watcher, &over),
        watch(&watcher, &lives, &over),
        common_reader(&mut alice, &bob, &over),
        late_reader(&carol, &mut dan, &over),
    );
    let lives = lives.into_inner().unwrap();
    println!(
        "{} of {} nodes replaced in {} epochs, {} s",
        lives.died.len(),
        lives.born.len(),
        watcher.epoch().0 - from.0,
        began.elapsed().as_secs()
    );
    let nodes = told_by_nodes(&network, &lives, &watcher).await;
    println!("an agent's roster, all epochs: {agent:?}; the nodes' own, at the end: {nodes:?}");

    let waiting = fetch_all(&bob).await;
    let scheme = carol.scheme().await.expect("a scheme over the roster as it is now");
    let carols = carol.read_all(scheme).await;
    println!("at the end {waiting:?} mails wait for Bob, {carols:?} for Carol");
    let (sent, delivered) = (alice.sent + dan.sent, alice.delivered.len() + dan.delivered.len());
    println!(
        "{sent} mails sent, {} delivered at once, {delivered} in the end;          with a roster of an epoch before: {late:?}",
        alice.at_once + dan.at_once,
    );
    for (mails, writer) in [(bob.mails(), &alice), (carol.mails(), &dan)] {
        let distinct: BTreeSet<&Vec<u8>> = mails.iter().collect();
        assert_eq!(distinct.len(), mails.len(), "a mail came twice");
        let lost = writer.delivered.iter().filter(|mail| !distinct.contains(mail));
        assert_eq!(lost.count(), 0, "mails that were reported delivered are not found");
    }
    for known in [agent, nodes] {
        assert!(known.active * 100 >= known.grown_up * 99, "rosters do not converge: {known:?}");
        assert_eq!(known.long_dead, 0, "dead nodes stay: {known:?}");
    }
    assert_eq!(late.missed, 0, "a reader with an older roster missed mails");
    assert!(late.read >= 3, "too little was read with an older roster");
    assert!(sent >= EPOCHS && delivered * 4 >= sent * 3, "too few mails arrive");
}
