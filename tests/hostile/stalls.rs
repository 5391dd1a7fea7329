//! Peers that accept and never answer: as X, as Y, as Z, as storage nodes. The send goes elsewhere or says why
//! not; the bounds are the agent's own, so these tests take as long as those.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use anon::{
    position::Key,
    request::{Request, Response},
};
use futures::future::{BoxFuture, pending};
use net::{Carrier, Link, LinkError, Via};
use node::{Acceptor, Limits, Node};
use tokio::sync::Notify;
use ua::error::AgentError;

use super::{
    liars::{Asked, Lie, Lies, lie, lying},
    network::{Network, mail},
};

const K: usize = 5;
/// How long a witness that means to stall waits to see that it is one.
const RECOGNITION: Duration = Duration::from_secs(1);

/// How often each role stalls.
struct Plan {
    handshake: Arc<Lies>,
    go_between: Arc<Lies>,
    witness: Arc<Lies>,
    anonymizer: Arc<Lies>,
    /// Keys that go-betweens were asked for: who is asked for one of them directly is its witness.
    anonymizer_keys: Mutex<BTreeSet<Key>>,
    news: Notify,
}

impl Plan {
    fn new() -> Arc<Self> {
        let none = || Lies::at_most(0);
        let (handshake, go_between, witness, anonymizer) = (none(), none(), none(), none());
        let (anonymizer_keys, news) = (Mutex::default(), Notify::new());
        Arc::new(Self { handshake, go_between, witness, anonymizer, anonymizer_keys, news })
    }

    fn roles(&self) -> [&Arc<Lies>; 4] {
        [&self.handshake, &self.go_between, &self.witness, &self.anonymizer]
    }

    /// Whether a go-between is asked for this key too, now or in a moment.
    async fn is_anonymizer_key(&self, key: Key) -> bool {
        let asked = async {
            loop {
                let news = self.news.notified();
                if self.anonymizer_keys.lock().unwrap().contains(&key) {
                    return;
                }
                news.await;
            }
        };
        tokio::time::timeout(RECOGNITION, asked).await.is_ok()
    }

    async fn stalls(&self, asked: &Asked) -> bool {
        match (asked.via, &asked.request) {
            (Via::Channel, Request::Lookup { key, count: 1 }) => {
                self.anonymizer_keys.lock().unwrap().insert(*key);
                self.news.notify_waiters();
                self.go_between.tell().is_some()
            }
            (Via::Direct, Request::Lookup { key, count: 1 }) if self.witness.is_left() => {
                self.is_anonymizer_key(*key).await && self.witness.tell().is_some()
            }
            (Via::Channel, Request::Lookup { count: 2.., .. }) => self.anonymizer.tell().is_some(),
            _ => false,
        }
    }
}

fn silence(plan: &Arc<Plan>) -> Lie {
    let plan = Arc::clone(plan);
    lie(move |asked| {
        let plan = Arc::clone(&plan);
        async move { if plan.stalls(&asked).await { pending().await } else { asked.honestly().await } }
    })
}

/// Accepts a channel and never answers the handshake, as often as it may.
struct Mute {
    standard: Arc<dyn Acceptor>,
    handshake: Arc<Lies>,
}

impl Acceptor for Mute {
    fn serve(&self, link: Link, carrier: Carrier) -> BoxFuture<'_, Result<(), LinkError>> {
        if carrier == Carrier::Channel && self.handshake.tell().is_some() {
            return Box::pin(async move {
                let _held = link;
                pending().await
            });
        }
        self.standard.serve(link, carrier)
    }
}

fn mute(node: Node, handshake: &Arc<Lies>) -> Node {
    let handshake = Arc::clone(handshake);
    node.accepting(move |standard, _| Arc::new(Mute { standard, handshake }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_x_y_or_z_costs_time_and_nothing_else() {
    let plan = Plan::new();
    let silent = silence(&plan);
    let dress = |node| mute(lying(node, &silent), &plan.handshake);
    let network = Network::start_alone(12, K, Limits::default(), dress).await;
    let (alice, bob) = (network.stranger("alice"), network.user("bob").await);
    // Fewer than one channel has attempts, all in one send.
    for role in plan.roles() {
        role.allow(1);
    }
    let sent = mail("past four silences", 2);
    let outcome = alice.send(&sent, &bob).await;
    assert_eq!(plan.roles().map(|role| role.told()), [1; 4]);
    // X and Y may be silent on one and the same attempt.
    assert!(alice.heard.retries().len() >= 3, "{:?}", alice.heard.retries());
    assert_eq!((outcome.body_receipts, outcome.inbox_receipts), (K, K));
    assert_eq!(bob.fetch().await.delivered.len(), 1);
    assert_eq!(bob.mails(), [sent]);
}

/// Storage nodes that are silent about the bodies at some keys, as often as they may, also where one of them is
/// the anonymizer.
fn silent_storage(keys: &Arc<Mutex<BTreeSet<Key>>>, lies: &Arc<Lies>) -> Lie {
    let (keys, lies) = (Arc::clone(keys), Arc::clone(lies));
    lie(move |asked| {
        let (keys, lies) = (Arc::clone(&keys), Arc::clone(&lies));
        async move {
            let silent = |key: &Key| keys.lock().unwrap().contains(key) && lies.tell().is_some();
            let own = asked.node.identity().node();
            let request = asked.request.clone();
            match request {
                Request::Store(store) if silent(&store.key) => pending().await,
                Request::Perform { request, .. } => match (*request, asked.honestly().await) {
                    (Request::Store(store), Response::Performed { nodes, mut answers }) => {
                        for answer in answers.iter_mut().filter(|a| a.node == own) {
                            answer.response =
                                answer.response.take().filter(|_| !silent(&store.key));
                        }
                        Response::Performed { nodes, answers }
                    }
                    (_, truth) => truth,
                },
                _ => asked.honestly().await,
            }
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_waits_for_silent_storage_nodes_no_longer_than_its_rounds() {
    let (keys, lies) = (Arc::<Mutex<BTreeSet<Key>>>::default(), Lies::at_most(0));
    let silent = silent_storage(&keys, &lies);
    // How long an anonymizer waits for a storage node.
    let limits = Limits { answer_seconds: 1, ..Limits::default() };
    let network = Network::start_alone(12, K, limits, |node| lying(node, &silent)).await;
    let (alice, bob) = (network.stranger("alice"), network.user("bob").await);

    // One silence: asked again, the node answers.
    let first = mail("one silence", 2);
    let id = alice.prepare(&first, &bob, false);
    keys.lock().unwrap().insert(alice.body(&id).0);
    lies.allow(1);
    let outcome = alice.deliver(&id).await;
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    assert_eq!((lies.told(), outcome.body_receipts), (1, K));

    // Nothing but silence: the mail waits.
    let second = mail("nothing but silence", 2);
    let id = alice.prepare(&second, &bob, false);
    let (key, _) = alice.body(&id);
    keys.lock().unwrap().insert(key);
    lies.allow(usize::MAX);
    let outcome = alice.deliver(&id).await;
    let error = outcome.error.unwrap();
    assert!(
        matches!(error, AgentError::NotEnoughReceipts { valid: 0, wanted: 3, full: false }),
        "{error:?}"
    );
    assert_eq!((error.exit_code(), alice.outbox()), (75, vec![id.clone()]));
    assert_eq!(lies.told(), 1 + 4 * K, "four rounds");

    lies.allow(0);
    assert!(alice.deliver(&id).await.error.is_none());
    assert_eq!(bob.fetch().await.delivered.len(), 2);
    let mut mails = [first, second];
    mails.sort();
    assert_eq!(bob.mails(), mails);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_inbox_costs_a_reader_time_and_nothing_else() {
    let lies = Lies::at_most(0);
    let counted = Arc::clone(&lies);
    let silent = lie(move |asked| {
        let lies = Arc::clone(&counted);
        async move {
            match &asked.request {
                Request::ReadInbox { .. } | Request::Fetch { .. } if lies.tell().is_some() => {
                    pending::<Response>().await
                }
                _ => asked.honestly().await,
            }
        }
    });
    let network = Network::start_alone(5, 3, Limits::default(), |node| lying(node, &silent)).await;
    let (alice, bob) = (network.stranger("alice"), network.user("bob").await);
    let sent = mail("behind a silent inbox", 2);
    let id = alice.prepare(&sent, &bob, true);
    assert!(alice.deliver(&id).await.error.is_none());
    // Two of three inboxes, asked together.
    lies.allow(2);
    let fetched = bob.fetch().await;
    // One answered, and was enough; when the reader looked again, all did, and it told them what it has.
    assert_eq!((lies.told(), fetched.inboxes, fetched.delivered.len()), (2, 3, 1));
    assert_eq!(fetched.repeated, 1);
    assert_eq!(bob.mails(), [sent]);
}
