//! Storage nodes that hand out something else than the sender stored (paper, 3.1: the digest in the headers).

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use anon::{
    id::NodeId,
    position::Key,
    request::{Request, Response},
};
use node::Limits;

use super::{
    liars::{Lie, lie, lying},
    network::{Network, mail},
};

const K: usize = 5;

#[derive(Clone, Copy, Debug)]
enum Wrong {
    OneBit,
    OtherBytes,
    Truncated,
    Longer,
    Garbage,
    Empty,
}

impl Wrong {
    fn instead_of(self, mut object: Vec<u8>) -> Vec<u8> {
        match self {
            Self::OneBit => {
                let last = object.len() - 1;
                object[last] ^= 1;
                object
            }
            Self::OtherBytes => object.iter().map(|_| rand::random()).collect(),
            Self::Truncated => object[..object.len() / 2].to_vec(),
            Self::Longer => [object, vec![0]].concat(),
            Self::Garbage => vec![0xff; 10],
            Self::Empty => Vec::new(),
        }
    }
}

/// For which objects there is one honest node, which one that is, and how the others lie.
#[derive(Default)]
struct Plan {
    honest: Mutex<BTreeMap<Key, (NodeId, Wrong)>>,
    told: Mutex<BTreeMap<Key, usize>>,
}

fn wrong_bodies(plan: &Arc<Plan>) -> Lie {
    let plan = Arc::clone(plan);
    lie(move |asked| {
        let plan = Arc::clone(&plan);
        async move {
            let (node, request) = (asked.node.identity().node(), asked.request.clone());
            match (request, asked.honestly().await) {
                (Request::Fetch { key }, Response::Object(object)) => {
                    let chosen = plan.honest.lock().unwrap().get(&key).copied();
                    match chosen {
                        Some((honest, wrong)) if node != honest => {
                            *plan.told.lock().unwrap().entry(key).or_default() += 1;
                            Response::Object(wrong.instead_of(object))
                        }
                        _ => Response::Object(object),
                    }
                }
                (_, truth) => truth,
            }
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn one_honest_replica_is_enough_to_read() {
    let plan = Arc::new(Plan::default());
    let wrong = wrong_bodies(&plan);
    let network = Network::start(8, K, Limits::default(), |node| lying(node, &wrong)).await;
    let (alice, bob) = (network.stranger("alice"), network.user("bob").await);
    let mut mails = Vec::new();
    let all = [
        Wrong::OneBit,
        Wrong::OtherBytes,
        Wrong::Truncated,
        Wrong::Longer,
        Wrong::Garbage,
        Wrong::Empty,
    ];
    for wrong in all {
        let sent = mail(&format!("{wrong:?}"), 3);
        let id = alice.prepare(&sent, &bob, true);
        let (key, _) = alice.body(&id);
        assert!(alice.deliver(&id).await.error.is_none());
        // The last one that a reader asks is the honest one.
        let honest = *network.closest(&key, K).last().unwrap();
        plan.honest.lock().unwrap().insert(key, (honest, wrong));
        mails.push(sent);
    }
    let fetched = bob.fetch().await;
    assert_eq!((fetched.delivered.len(), fetched.waiting()), (all.len(), 0));
    mails.sort();
    assert!(bob.mails() == mails);
    let told = plan.told.lock().unwrap().clone();
    assert_eq!(told.len(), all.len());
    assert!(told.values().all(|times| *times == K - 1), "{told:?}");
    let retries = bob.heard.retries();
    assert_eq!(retries.len(), all.len() * (K - 1));
    let reason = "a replica's copy is no good: an object is not the one that the sender stored";
    assert!(retries.iter().all(|r| r == reason), "{retries:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_every_replica_lies_the_mail_stays_in_the_inbox() {
    let plan = Arc::new(Plan::default());
    let wrong = wrong_bodies(&plan);
    let network = Network::start(8, K, Limits::default(), |node| lying(node, &wrong)).await;
    let (alice, bob) = (network.stranger("alice"), network.user("bob").await);
    let sent = mail("later", 3);
    let id = alice.prepare(&sent, &bob, true);
    let (key, _) = alice.body(&id);
    assert!(alice.deliver(&id).await.error.is_none());
    plan.honest.lock().unwrap().insert(key, (NodeId([0; 32]), Wrong::OneBit));
    let fetched = bob.fetch().await;
    assert_eq!((fetched.delivered.len(), fetched.waiting()), (0, 1));
    assert_eq!(plan.told.lock().unwrap()[&key], 2 * K, "each is asked twice in one reading");
    assert!(bob.mails().is_empty());

    plan.honest.lock().unwrap().clear();
    assert_eq!(bob.fetch().await.delivered.len(), 1);
    assert_eq!(bob.mails(), [sent]);
    assert!(network.holders(&key).await.is_empty(), "read, so deleted");
}
