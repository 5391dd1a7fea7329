//! Receipts that prove nothing (paper, 4.2), handed over by hostile anonymizers; and a storage node that vouches
//! for what it threw away.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock},
};

use anon::{
    id::{NetworkId, NodeId},
    position::Key,
    receipt::{Receipt, ReceiptClaims, ReceiptKind},
    request::{Answer, ObjectKind, Request, Response, Store, Targets},
};
use futures::future::join_all;
use net::{Via, now};
use node::{Limits, StandardService};
use ua::error::AgentError;

use super::{
    liars::{Lie, Lies, lie, lying},
    network::{Network, User, mail},
};

const K: usize = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Forgery {
    /// A bit of the signature is flipped.
    FlippedSignature,
    /// Another node signed in the replica's name.
    OtherSigner,
    /// The replica's own receipt for another network, key, digest, size, nonce, or of the other kind.
    OtherNetwork,
    OtherKind,
    OtherKey,
    OtherDigest,
    OtherSize,
    OtherNonce,
    /// The replica's own receipt, but it will not keep the object for long.
    Brief,
    /// Receipts of nodes that are no replicas, each in its own name.
    Outsiders,
    /// The first replica's receipt, over and over.
    Copies,
    /// The replica's own receipt for something that it was sent before.
    Replayed,
}

impl Forgery {
    const ALL: [Self; 12] = [
        Self::FlippedSignature,
        Self::OtherSigner,
        Self::OtherNetwork,
        Self::OtherKind,
        Self::OtherKey,
        Self::OtherDigest,
        Self::OtherSize,
        Self::OtherNonce,
        Self::Brief,
        Self::Outsiders,
        Self::Copies,
        Self::Replayed,
    ];

    /// How the sender must call it, and how many receipts count nevertheless.
    fn verdict(self) -> (&'static str, usize) {
        match self {
            Self::FlippedSignature | Self::OtherSigner => ("the signature does not verify", 0),
            Self::Brief => ("expires too soon", 0),
            Self::Outsiders => ("from a node outside the replica set", 0),
            Self::Copies => ("already counted", 1),
            _ => ("for another operation", 0),
        }
    }
}

/// Which mail or inbox meets which forgery, and what is needed to forge.
#[derive(Default)]
struct Plan {
    services: OnceLock<BTreeMap<NodeId, Arc<StandardService>>>,
    replayed: Mutex<BTreeMap<NodeId, Receipt>>,
    chosen: Mutex<BTreeMap<Key, Forgery>>,
    first: Mutex<BTreeMap<Key, Receipt>>,
    forged: Mutex<BTreeMap<Key, usize>>,
}

impl Plan {
    /// A receipt with some claims changed, signed by the node it names.
    fn reissue(&self, receipt: &Receipt, change: impl FnOnce(&mut ReceiptClaims)) -> Receipt {
        let mut claims = receipt.claims.clone();
        change(&mut claims);
        Receipt::issue(self.services.get().unwrap()[&claims.node].identity().secret(), claims)
    }

    /// Nodes that are none of these.
    fn outsiders(&self, answers: &[Answer]) -> Vec<NodeId> {
        let nodes = self.services.get().unwrap().keys().copied();
        nodes.filter(|node| answers.iter().all(|answer| answer.node != *node)).collect()
    }

    fn forge(&self, key: Key, mut answers: Vec<Answer>) -> Vec<Answer> {
        let Some(forgery) = self.chosen.lock().unwrap().get(&key).copied() else { return answers };
        let outsiders = self.outsiders(&answers);
        for (index, answer) in answers.iter_mut().enumerate() {
            let Some(Response::Receipt(honest)) = &answer.response else { continue };
            let outsider = outsiders[index % outsiders.len()];
            let forged = self.forge_one(forgery, honest, outsider);
            answer.node = forged.claims.node;
            answer.response = Some(Response::Receipt(Box::new(forged)));
            *self.forged.lock().unwrap().entry(key).or_default() += 1;
        }
        answers
    }

    fn forge_one(&self, forgery: Forgery, honest: &Receipt, outsider: NodeId) -> Receipt {
        match forgery {
            Forgery::FlippedSignature => {
                let mut receipt = honest.clone();
                receipt.signature.0[7] ^= 1;
                receipt
            }
            Forgery::OtherSigner => Receipt {
                signature: self.reissue(honest, |c| c.node = outsider).signature,
                claims: honest.claims.clone(),
            },
            Forgery::OtherNetwork => self.reissue(honest, |c| c.network = NetworkId([7; 32])),
            Forgery::OtherKind => self.reissue(honest, |c| {
                c.kind = match c.kind {
                    ReceiptKind::Stored => ReceiptKind::Appended,
                    ReceiptKind::Appended => ReceiptKind::Stored,
                };
            }),
            Forgery::OtherKey => self.reissue(honest, |c| c.key.0[0] ^= 1),
            Forgery::OtherDigest => self.reissue(honest, |c| c.digest[0] ^= 1),
            Forgery::OtherSize => self.reissue(honest, |c| c.size -= 1),
            Forgery::OtherNonce => self.reissue(honest, |c| c.nonce[0] ^= 1),
            Forgery::Brief => self.reissue(honest, |c| c.expiry = now().after(86_400)),
            Forgery::Outsiders => self.reissue(honest, |c| c.node = outsider),
            Forgery::Copies => {
                let mut first = self.first.lock().unwrap();
                first.entry(honest.claims.key).or_insert_with(|| honest.clone()).clone()
            }
            Forgery::Replayed => self.replayed.lock().unwrap()[&honest.claims.node].clone(),
        }
    }
}

/// Performs what it is asked to, and forges the receipts.
fn forging_anonymizers(plan: &Arc<Plan>) -> Lie {
    let plan = Arc::clone(plan);
    lie(move |asked| {
        let plan = Arc::clone(&plan);
        async move {
            let key = match &asked.request {
                Request::Perform { request, targets: Targets::Nodes(_) } => match &**request {
                    Request::Store(store) => Some(store.key),
                    Request::AppendInbox(append) => Some(append.inbox),
                    _ => None,
                },
                _ => None,
            };
            match (key, asked.honestly().await) {
                (Some(key), Response::Performed { nodes, answers }) => {
                    Response::Performed { nodes, answers: plan.forge(key, answers) }
                }
                (_, truth) => truth,
            }
        }
    })
}

/// A body of the longest kind that these tests send, stored everywhere: every node's own receipt for it.
async fn receipts_of_everybody(network: &Network) -> BTreeMap<NodeId, Receipt> {
    let mut receipts = BTreeMap::new();
    for node in &network.nodes {
        let store = Request::Store(Store {
            key: Key(rand::random()),
            kind: ObjectKind::Body,
            object: vec![7; 2_000],
            deleters: Vec::new(),
            nonce: rand::random(),
        });
        let Response::Receipt(receipt) = network.ask(node, &store).await else { panic!() };
        receipts.insert(node.id(), *receipt);
    }
    receipts
}

/// One mail that meets one forgery.
struct Case {
    forgery: Forgery,
    from: User,
    to: usize,
    id: String,
    key: Key,
    bytes: Vec<u8>,
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_that_prove_nothing_are_not_counted() {
    let plan = Arc::new(Plan::default());
    let forging = forging_anonymizers(&plan);
    // All mails are sent at once, and all agents know the same three nodes.
    let limits = Limits { lookups: 1_024, ..Limits::default() };
    let network = Network::start(12, K, limits, |node| lying(node, &forging)).await;
    let services = network.nodes.iter().map(|n| (n.id(), Arc::clone(n.service()))).collect();
    plan.services.set(services).ok().unwrap();
    *plan.replayed.lock().unwrap() = receipts_of_everybody(&network).await;
    // One recipient for the forged bodies; one each for forgeries of inbox receipts.
    let users: Vec<User> = {
        let names = ["bob", "carol", "dave"];
        join_all(names.map(|name| network.user(name))).await
    };
    let mut cases = Vec::new();
    let bodies = Forgery::ALL.map(|forgery| (forgery, 0));
    let inboxes = [(Forgery::OtherKind, 1), (Forgery::OtherSigner, 2)];
    for (number, (forgery, to)) in bodies.into_iter().chain(inboxes).enumerate() {
        let from = network.stranger(&format!("alice{number}"));
        let bytes = mail(&format!("{forgery:?}"), 1);
        let id = from.prepare(&bytes, &users[to], false);
        let key = if to == 0 { from.body(&id).0 } else { users[to].address().inbox() };
        plan.chosen.lock().unwrap().insert(key, forgery);
        cases.push(Case { forgery, from, to, id, key, bytes });
    }

    let outcomes = join_all(cases.iter().map(|case| case.from.deliver(&case.id))).await;
    for (case, outcome) in cases.iter().zip(outcomes) {
        let (forgery, (reason, counted)) = (case.forgery, case.forgery.verdict());
        let forged = plan.forged.lock().unwrap().get(&case.key).copied();
        assert!(forged >= Some(K), "{forgery:?} was not mounted: {:?}", outcome.error);
        let error = outcome.error.unwrap_or_else(|| panic!("{forgery:?} counts"));
        let AgentError::NotEnoughReceipts { valid, wanted: 3, full: false } = error else {
            panic!("{forgery:?}: {error:?}");
        };
        assert_eq!((valid, error.exit_code()), (counted, 75), "{forgery:?}");
        assert_eq!(outcome.waiting.len(), 1, "{forgery:?}");
        assert_eq!(case.from.outbox(), std::slice::from_ref(&case.id), "{forgery:?}");
        let reason = format!("a receipt does not count: {reason}");
        let said = case.from.heard.retries();
        let others: Vec<_> =
            said.iter().filter(|r| r.contains("receipt does not") && **r != reason).collect();
        assert!(said.contains(&reason) && others.is_empty(), "{forgery:?}: {said:?}");
    }

    // Once the anonymizers turn honest every mail goes out, and is read once, though its body was stored before.
    plan.chosen.lock().unwrap().clear();
    let outcomes = join_all(cases.iter().map(|case| case.from.deliver(&case.id))).await;
    for (case, outcome) in cases.iter().zip(outcomes) {
        assert!(outcome.error.is_none(), "{:?}: {:?}", case.forgery, outcome.error);
        assert!(case.from.outbox().is_empty());
    }
    for (index, user) in users.iter().enumerate() {
        let mut sent: Vec<_> =
            cases.iter().filter(|c| c.to == index).map(|c| c.bytes.clone()).collect();
        sent.sort();
        let fetched = user.fetch().await;
        assert_eq!((fetched.delivered.len(), fetched.repeated), (sent.len(), 0));
        assert!(user.mails() == sent);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lying_replica_is_counted_once_and_no_more() {
    // A stated limit: nobody can see from outside that a node threw away what it vouches for.
    let lies = Lies::at_most(0);
    let counted = Arc::clone(&lies);
    let throwing_away = lie(move |asked| {
        let lies = Arc::clone(&counted);
        async move {
            let store = match &asked.request {
                Request::Store(store) if asked.via == Via::Direct => store.clone(),
                _ => return asked.honestly().await,
            };
            if store.kind != ObjectKind::Body || lies.tell().is_none() {
                return asked.honestly().await;
            }
            let claims = ReceiptClaims {
                network: asked.node.network().id,
                kind: ReceiptKind::Stored,
                key: store.key,
                digest: store.digest(),
                size: u64::try_from(store.object.len()).unwrap(),
                expiry: now().after(30 * 86_400),
                node: asked.node.identity().node(),
                nonce: store.nonce,
            };
            Response::Receipt(Box::new(Receipt::issue(asked.node.identity().secret(), claims)))
        }
    });
    let network =
        Network::start(12, K, Limits::default(), |node| lying(node, &throwing_away)).await;
    let (alice, bob) = (network.user("alice").await, network.user("bob").await);
    lies.allow(1);
    let sent = mail("thrown away", 2);
    let id = alice.prepare(&sent, &bob, false);
    let (key, _) = alice.body(&id);
    let outcome = alice.deliver(&id).await;
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    assert_eq!((lies.told(), outcome.body_receipts), (1, K));
    assert_eq!(network.holders(&key).await.len(), K - 1);
    assert_eq!(bob.fetch().await.delivered.len(), 1);
    assert_eq!(bob.mails(), [sent]);
}
