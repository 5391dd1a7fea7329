//! The guarded scheme with a fifth of the nodes lying about what is closest: to a key, and to an inbox or a body.

use std::{
    collections::BTreeSet,
    ops::RangeInclusive,
    sync::{Arc, OnceLock},
    time::Duration,
};

use anon::{
    id::NodeId,
    request::{Request, Response},
    verification::Statement,
};
use node::Limits;
use ua::evidence::{self, Violation};

use super::{
    liars::{Lie, Lies, lie, lying},
    network::{Network, mail},
};

const NODES: usize = 20;
const EPOCH: u64 = 2;
const MAILS: usize = 12;
/// Attempts that a mail may take before the test gives it up.
const ATTEMPTS: usize = 8;

type Hostile = Arc<OnceLock<BTreeSet<NodeId>>>;

/// A hostile node states, signed, that nodes nobody has heard of are closest, when it is asked for so many.
fn false_statement(hostile: &Hostile, lies: &Arc<Lies>, counts: RangeInclusive<u8>) -> Lie {
    let (hostile, lies) = (Arc::clone(hostile), Arc::clone(lies));
    lie(move |asked| {
        let (hostile, lies) = (Arc::clone(&hostile), Arc::clone(&lies));
        let counts = counts.clone();
        async move {
            let identity = asked.node.identity().node();
            let is_hostile = hostile.get().is_some_and(|all| all.contains(&identity));
            let is_asked =
                matches!(&asked.request, Request::Closest { count, .. } if counts.contains(count));
            if !is_hostile || !is_asked {
                return asked.honestly().await;
            }
            let node = Arc::clone(&asked.node);
            let Response::Closest(honest) = asked.honestly().await else { panic!("no statement") };
            if lies.tell().is_none() {
                return Response::Closest(honest);
            }
            let mut claims = honest.claims;
            for closest in &mut claims.closest {
                *closest = NodeId(rand::random());
            }
            let signed = Statement::issue(node.identity().secret(), claims);
            Response::Closest(Box::new(signed))
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mail_arrives_once_and_every_lie_speaks_against_its_teller() {
    let (hostile, lies) = (Hostile::default(), Lies::at_most(usize::MAX));
    let lie = false_statement(&hostile, &lies, 1..=u8::MAX);
    let network =
        Network::start_with_epoch(NODES, 4, EPOCH, Limits::default(), |n| lying(n, &lie)).await;
    let liars: BTreeSet<NodeId> =
        network.nodes.iter().skip(3).step_by(5).map(node::Running::id).collect();
    hostile.set(liars.clone()).unwrap();
    // Nodes become active when others have known them for an epoch.
    tokio::time::sleep(Duration::from_secs(3 * EPOCH)).await;
    let (alice, bob) = (network.user("alice").await, network.user("bob").await);

    let mut sent = Vec::new();
    for number in 0..MAILS {
        let bytes = mail(&format!("guarded {number}"), 1);
        let id = alice.prepare(&bytes, &bob, false);
        let mut delivered = false;
        for _ in 0..ATTEMPTS {
            let outcome = alice.deliver_by(&id, alice.guarded().await).await;
            let new = alice.agent.evidence().take();
            if !outcome.waiting.is_empty() {
                let noted = alice.agent.outbox().state(&id).unwrap().evidence;
                let is_noted = |e: &evidence::Evidence| noted.contains(&(e.node, e.violation));
                assert!(new.iter().all(is_noted), "not beside the mail that waits: {noted:?}");
            }
            evidence::add(alice.vault(), new).unwrap();
            if outcome.waiting.is_empty() {
                delivered = true;
                break;
            }
            assert!(outcome.error.is_some(), "a mail that waits says why");
        }
        // Delivered, or reported and still there: never lost.
        assert!(delivered || alice.outbox().contains(&id));
        if delivered {
            sent.push(bytes);
        }
    }
    assert!(sent.len() >= MAILS - 2, "{} of {MAILS} arrived", sent.len());
    assert_eq!(bob.fetch().await.delivered.len(), sent.len());
    sent.sort();
    assert_eq!(bob.mails(), sent);

    let evidence = evidence::read(alice.vault()).unwrap();
    let lied = |e: &&evidence::Evidence| {
        matches!(e.violation, Violation::FalseClosest | Violation::FalseList)
    };
    let against: BTreeSet<NodeId> = evidence.iter().filter(lied).map(|e| e.node).collect();
    assert!(lies.told() > 0 && !against.is_empty(), "nobody lied");
    assert!(against.is_subset(&liars), "an honest node is reported");
    assert!(evidence.iter().filter(lied).all(|e| !e.proof.is_empty()), "a lie without its proof");
    for lie in [Violation::FalseClosest, Violation::FalseList] {
        assert!(evidence.iter().any(|e| e.violation == lie), "nobody is found to have {}", lie);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_performed_before_the_lists_are_heard_does_not_count_if_they_are_false() {
    let (hostile, lies) = (Hostile::default(), Lies::at_most(usize::MAX));
    let lie = false_statement(&hostile, &lies, 2..=u8::MAX);
    let network =
        Network::start_with_epoch(NODES, 4, EPOCH, Limits::default(), |n| lying(n, &lie)).await;
    tokio::time::sleep(Duration::from_secs(3 * EPOCH)).await;
    let (alice, bob) = (network.user("alice").await, network.user("bob").await);
    let bytes = mail("too early", 1);
    let id = alice.prepare(&bytes, &bob, false);
    let (body, _) = alice.body(&id);
    let scheme = alice.guarded().await;
    let guarded = Arc::clone(&scheme).guarded().unwrap();
    let ready = async || {
        guarded.build_ahead(2, &[body]);
        while guarded.ready() < 2 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ready()).await.expect("no channels stand");
    // From now on every anonymizer lists others, and performs what it is asked all the same.
    hostile.set(network.nodes.iter().map(node::Running::id).collect()).unwrap();
    let outcome = alice.deliver_by(&id, scheme).await;
    assert_eq!((outcome.delivered.len(), outcome.waiting.len()), (0, 1), "{:?}", outcome.error);
    assert!(!network.holders(&body).await.is_empty(), "nothing was performed ahead of the lists");
    let evidence = alice.agent.evidence().take();
    assert!(evidence.iter().any(|e| e.violation == Violation::FalseList && !e.proof.is_empty()));
    let state = alice.agent.outbox().state(&id).unwrap();
    assert_eq!(state.stored[0], None, "the body counts as stored");
}
