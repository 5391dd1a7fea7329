//! Two attempts at one mail: what nodes signed for the first proves nothing in the second, and whoever may delete stays
//! whoever may delete.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use anon::{
    authorization::Deletion,
    id::NodeId,
    position::Key,
    receipt::Receipt,
    request::{ObjectKind, Request, Response, Targets},
};
use net::{Via, now};
use node::Limits;
use ua::{
    error::AgentError,
    send::{Mail, Outcome},
};

use super::{
    liars::{Lie, Lies, lie, lying},
    network::{Network, User, mail},
};

const K: usize = 3;

/// What hostile anonymizers do with the receipts for one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// They hand them over.
    Honest,
    /// They keep them, and say that the nodes were silent.
    Keep,
    /// They hand over those that they kept, in place of new ones.
    Replay,
}

struct Plan {
    key: Key,
    phase: Phase,
    kept: BTreeMap<NodeId, Receipt>,
    replayed: usize,
}

fn replaying_anonymizers(plan: &Arc<Mutex<Plan>>) -> Lie {
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
            let mut truth = asked.honestly().await;
            let mut plan = plan.lock().unwrap();
            if let Response::Performed { answers, .. } = &mut truth
                && key == Some(plan.key)
            {
                for answer in answers {
                    let Some(Response::Receipt(receipt)) = &answer.response else { continue };
                    match plan.phase {
                        Phase::Honest => {}
                        Phase::Keep => {
                            plan.kept.insert(answer.node, (**receipt).clone());
                            answer.response = None;
                        }
                        Phase::Replay => {
                            let kept = plan.kept.get(&answer.node).cloned();
                            plan.replayed += usize::from(kept.is_some());
                            answer.response = kept.map(|old| Response::Receipt(Box::new(old)));
                        }
                    }
                }
            }
            truth
        }
    })
}

#[track_caller]
fn assert_none_counts(outcome: &Outcome, what: &str) {
    let error = outcome.error.as_ref().unwrap_or_else(|| panic!("{what}: it is delivered"));
    let AgentError::NotEnoughReceipts { valid: 0, .. } = error else { panic!("{what}: {error:?}") };
    assert_eq!(outcome.waiting.len(), 1, "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_of_an_earlier_attempt_counts_in_no_later_one() {
    let key = Key([0; 32]);
    let plan = Plan { key, phase: Phase::Honest, kept: BTreeMap::new(), replayed: 0 };
    let plan = Arc::new(Mutex::new(plan));
    let replaying = replaying_anonymizers(&plan);
    let network = Network::start(12, K, Limits::default(), |node| lying(node, &replaying)).await;
    let bob = network.user("bob").await;
    for what in ["body", "inbox"] {
        let alice = network.stranger(&format!("alice-{what}"));
        let sent = mail(what, 1);
        let id = alice.prepare(&sent, &bob, false);
        let key = if what == "body" { alice.body(&id).0 } else { bob.address().inbox() };
        *plan.lock().unwrap() =
            Plan { key, phase: Phase::Keep, kept: BTreeMap::new(), replayed: 0 };
        assert_none_counts(&alice.deliver(&id).await, what);
        assert!(plan.lock().unwrap().kept.len() >= K, "{what}: every node signed for it");
        plan.lock().unwrap().phase = Phase::Replay;
        alice.heard.forget();
        assert_none_counts(&alice.deliver(&id).await, what);
        assert!(plan.lock().unwrap().replayed >= K, "{what}");
        let reason = "a receipt does not count: for another operation";
        assert!(alice.heard.retries().iter().any(|said| said == reason), "{what}");
        plan.lock().unwrap().phase = Phase::Honest;
        let outcome = alice.deliver(&id).await;
        assert!(outcome.error.is_none() && alice.outbox().is_empty(), "{:?}", outcome.error);
        assert_eq!(bob.fetch().await.delivered.len(), 1);
    }
}

fn prepare_direct(from: &User, to: &[&User]) -> (String, Key) {
    let recipients: Vec<_> = to.iter().map(|user| user.address().clone()).collect();
    let (bytes, recipients) = (&mail("direct", 1), &recipients);
    let (subject, direct, signed) = ("direct", true, false);
    let mail = Mail { bytes, subject, recipients, signed, direct, reply_to: None };
    let id = from.agent.hand_in(&mail).unwrap();
    let (key, _) = from.body(&id);
    (id, key)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_found_later_gets_a_direct_mail_whose_body_others_have_deleted_already() {
    let network = Network::start(6, K, Limits::default(), |node| node).await;
    let (alice, bob, carol) =
        (network.stranger("alice"), network.user("bob").await, network.stranger("carol"));
    let (id, key) = prepare_direct(&alice, &[&bob, &carol]);
    let outcome = alice.deliver(&id).await;
    assert_eq!(outcome.delivered, [bob.address().clone()], "{:?}", outcome.error);
    assert_eq!(outcome.unknown, [carol.address().clone()]);
    assert_eq!(bob.fetch().await.delivered.len(), 1);
    assert_eq!(network.holders(&key).await.len(), K, "carol has not read it");

    carol.publish().await.unwrap();
    let outcome = alice.deliver(&id).await;
    assert!(outcome.error.is_none() && alice.outbox().is_empty(), "{:?}", outcome.error);
    assert_eq!(carol.fetch().await.delivered.len(), 1);
    assert_eq!(carol.mails(), bob.mails());
    assert!(network.holders(&key).await.is_empty(), "both have read it");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_hold_a_direct_mail_take_it_again_whatever_certificates_are_found() {
    let lies = Lies::at_most(usize::MAX);
    let counted = Arc::clone(&lies);
    // They keep bodies, and say that they do not.
    let denying = lie(move |asked| {
        let lies = Arc::clone(&counted);
        async move {
            let is_body = matches!(&asked.request, Request::Store(s) if s.kind == ObjectKind::Body);
            let denies = is_body && asked.via == Via::Direct && lies.tell().is_some();
            let truth = asked.honestly().await;
            if denies { Response::Refused } else { truth }
        }
    });
    let network = Network::start(6, K, Limits::default(), |node| lying(node, &denying)).await;
    let (alice, bob, carol) =
        (network.stranger("alice"), network.user("bob").await, network.user("carol").await);
    let (id, key) = prepare_direct(&alice, &[&bob, &carol]);
    assert!(matches!(
        alice.deliver(&id).await.error,
        Some(AgentError::NotEnoughReceipts { valid: 0, .. })
    ));
    assert_eq!(network.holders(&key).await.len(), K);
    lies.allow(0);

    // Carol's certificate is lost meanwhile.
    let certificate = carol.address().certificate();
    for (node, _) in network.holders(&certificate).await {
        let secret = carol.account.signing();
        let deletion = Deletion::sign(secret, &network.params().id, certificate, node, now());
        let answer = network.ask(network.node(&node), &Request::Delete(deletion)).await;
        assert_eq!(answer, Response::Deleted);
    }
    let outcome = alice.deliver(&id).await;
    assert_eq!(outcome.delivered, [bob.address().clone()], "{:?}", outcome.error);
    carol.publish().await.unwrap();
    let outcome = alice.deliver(&id).await;
    assert!(outcome.error.is_none() && alice.outbox().is_empty(), "{:?}", outcome.error);
    for user in [&bob, &carol] {
        assert_eq!(network.holders(&key).await.len(), K);
        assert_eq!(user.fetch().await.delivered.len(), 1);
    }
    assert!(network.holders(&key).await.is_empty(), "each had a permission of its own");
}
