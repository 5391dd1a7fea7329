//! Strangers who would delete what is stored (paper, 2.2: "authenticate the requester").

use anon::{
    authorization::Deletion,
    id::NodeId,
    keys::{DeleteSecret, Signature, SigningSecret as _, VerifyKey},
    position::Key,
    request::{DeletePermission, ObjectKind, Request, Response, Store},
    time::{MAX_SKEW, Time},
    wire,
};
use net::now;
use node::{Limits, Running};
use serde::{Deserialize, Serialize};

use super::network::{Network, mail};

/// A deletion as it travels, every field at hand.
#[derive(Clone, Serialize, Deserialize)]
struct Raw {
    key: Key,
    permission: VerifyKey,
    node: NodeId,
    time: Time,
    signature: Signature,
}

/// A deletion with something in it changed after it was signed.
fn altered(deletion: &Deletion, change: impl FnOnce(&mut Raw)) -> Deletion {
    let mut raw: Raw = wire::decode(&wire::encode(deletion), 4096).unwrap();
    change(&mut raw);
    wire::decode(&wire::encode(&raw), 4096).unwrap()
}

async fn store(network: &Network, node: &Running, deleters: &[&DeleteSecret]) -> Key {
    let key = Key(rand::random());
    let permission = |secret: &&DeleteSecret| DeletePermission::OneTimeKey(secret.verify_key());
    let store = Store {
        key,
        kind: ObjectKind::Body,
        object: mail("two recipients", 1),
        deleters: deleters.iter().map(permission).collect(),
        nonce: rand::random(),
    };
    let answer = network.ask(node, &Request::Store(store)).await;
    assert!(matches!(answer, Response::Receipt(_)), "{answer:?}");
    key
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_holds_no_permission_deletes_nothing() {
    let network = Network::start(4, 2, Limits::default(), |node| node).await;
    let (node, other) = (&network.nodes[0], &network.nodes[1]);
    let secret = || DeleteSecret::generate(&mut rand::rng());
    let (bob, carol, eve) = (secret(), secret(), secret());
    let (key, at) = (store(&network, node, &[&bob, &carol]).await, node.id());
    let eves = store(&network, node, &[&eve]).await;
    let id = network.params().id;
    let (t, skew) = (now(), MAX_SKEW + 60);
    let elsewhere = Deletion::sign(&bob, &id, key, other.id(), t);
    let early = Deletion::sign(&bob, &id, key, at, t.before(skew));
    let by_eve = Deletion::sign(&eve, &id, key, at, t);
    let for_hers = Deletion::sign(&eve, &id, eves, at, t);
    let foreign = anon::id::NetworkId([9; 32]);

    let attempts = [
        ("a stranger's", by_eve.clone()),
        (
            "a stranger's, as if it were the owner's",
            altered(&by_eve, |d| {
                d.permission = bob.verify_key();
            }),
        ),
        ("a stranger's for her own object, readdressed", altered(&for_hers, |d| d.key = key)),
        ("the owner's for another node", elsewhere.clone()),
        ("that one, readdressed", altered(&elsewhere, |d| d.node = at)),
        ("the owner's, too old", early.clone()),
        ("the owner's, from the future", Deletion::sign(&bob, &id, key, at, t.after(skew))),
        ("the old one, with a new time", altered(&early, |d| d.time = t)),
        ("the owner's for another network", Deletion::sign(&bob, &foreign, key, at, t)),
    ];
    for (name, deletion) in attempts {
        let answer = network.ask(node, &Request::Delete(deletion)).await;
        assert_eq!(answer, Response::Refused, "{name}");
        let held = node.service().store().fetch(key.0).await.unwrap().unwrap();
        assert_eq!(held.deleters.len(), 2, "{name}");
    }

    // One recipient's permission is used up once; replayed it does not take the other's.
    let bobs = Request::Delete(Deletion::sign(&bob, &id, key, at, now()));
    assert_eq!(network.ask(node, &bobs).await, Response::Deleted);
    for _ in 0..3 {
        assert_eq!(network.ask(node, &bobs).await, Response::Refused, "replayed");
    }
    assert!(node.service().store().fetch(key.0).await.unwrap().is_some(), "carol's is left");
    let carols = Request::Delete(Deletion::sign(&carol, &id, key, at, now()));
    assert_eq!(network.ask(node, &carols).await, Response::Deleted);
    assert!(node.service().store().fetch(key.0).await.unwrap().is_none());
    assert!(node.service().store().fetch(eves.0).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_holds_a_body_adds_no_permission_and_moves_no_expiry_for_ever() {
    let limits = Limits { retention_seconds: 100, ..Limits::default() };
    let network = Network::start(2, 2, limits, |node| node).await;
    let (node, secret) = (&network.nodes[0], || DeleteSecret::generate(&mut rand::rng()));
    let (bob, eve) = (secret(), secret());
    let key = store(&network, node, &[&bob]).await;
    let held = async || node.service().store().fetch(key.0).await.unwrap();
    let first = held().await.unwrap();
    let again = async |deleters: &[&DeleteSecret]| {
        let permission = |secret: &&DeleteSecret| DeletePermission::OneTimeKey(secret.verify_key());
        let deleters = deleters.iter().map(permission).collect();
        let (kind, object, nonce) = (ObjectKind::Body, first.bytes.clone(), rand::random());
        let store = Store { key, kind, object, deleters, nonce };
        network.ask(node, &Request::Store(store)).await
    };
    // Eve, who has fetched it or passed it on, stores it again.
    for others in [&[&eve][..], &[&bob, &eve], &[]] {
        assert_eq!(again(others).await, Response::Refused);
        assert_eq!(held().await.as_ref(), Some(&first));
    }
    // A sender who asks again for a receipt gets one, and it says until when the body is really kept.
    let Response::Receipt(receipt) = again(&[&bob]).await else { panic!("no receipt") };
    let now_held = held().await.unwrap();
    assert_eq!(receipt.claims.expiry.0, now_held.expiry);
    assert!(now_held.expiry >= first.expiry && now_held.expiry <= first.expiry + 100);
    let bobs = Request::Delete(Deletion::sign(&bob, &network.params().id, key, node.id(), now()));
    assert_eq!(network.ask(node, &bobs).await, Response::Deleted);
    assert!(held().await.is_none(), "bob was the last");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_kept_with_its_owners_permission_alone_and_not_for_ever() {
    let limits = Limits { certificate_seconds: 1_000, ..Limits::default() };
    let network = Network::start(3, 3, limits, |node| node).await;
    let (bob, eve) = (network.user("bob").await, DeleteSecret::generate(&mut rand::rng()));
    let key = bob.address().certificate();
    let held = network.nodes[0].service().store().fetch(key.0).await.unwrap().unwrap();
    assert!(held.expiry <= now().after(1_000).0, "its own end is a year away");
    let bobs = bob.account.signing();
    let by_bob = Deletion::sign(bobs, &network.params().id, key, network.nodes[0].id(), now());
    assert_eq!(network.ask(&network.nodes[0], &Request::Delete(by_bob)).await, Response::Deleted);
    let eves = DeletePermission::OneTimeKey(eve.verify_key());
    for deleters in [vec![eves], Vec::new()] {
        let (kind, object, nonce) = (ObjectKind::Certificate, held.bytes.clone(), [0; 16]);
        let store = Request::Store(Store { key, kind, object, deleters, nonce });
        assert_eq!(network.ask(&network.nodes[0], &store).await, Response::Refused);
    }
    assert_eq!(network.holders(&key).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_at_one_replica_is_no_good_at_another_and_certificates_stay() {
    let network = Network::start(5, 3, Limits::default(), |node| node).await;
    let (bob, eve) = (network.user("bob").await, network.user("eve").await);
    let key = bob.address().certificate();
    let (id, replicas) = (network.params().id, network.closest(&key, 3));
    for replica in &replicas {
        // Bob, and Eve, delete at another node; that node passes it on.
        for secret in [bob.account.signing(), eve.account.signing()] {
            for other in replicas.iter().filter(|other| *other != replica) {
                let deletion = Deletion::sign(secret, &id, key, *other, now());
                let answer = network.ask(network.node(replica), &Request::Delete(deletion)).await;
                assert_eq!(answer, Response::Refused);
            }
        }
        let by_eve = Deletion::sign(eve.account.signing(), &id, key, *replica, now());
        let answer = network.ask(network.node(replica), &Request::Delete(by_eve)).await;
        assert_eq!(answer, Response::Refused);
    }
    assert_eq!(network.holders(&key).await.len(), 3);
    let by_bob = Deletion::sign(bob.account.signing(), &id, key, replicas[0], now());
    let answer = network.ask(network.node(&replicas[0]), &Request::Delete(by_bob)).await;
    assert_eq!(answer, Response::Deleted);
    assert_eq!(network.holders(&key).await.len(), 2);
}
