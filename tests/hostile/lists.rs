//! Z, or W, lists other replicas than there are (paper, 4.2: "Z may be malicious").

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock},
};

use anon::{
    certificate::UnverifiedNodeCertificate,
    position::Key,
    request::{Request, Response},
    verification::Disagreement,
};
use net::Via;
use node::Limits;
use ua::{error::AgentError, event::Purpose};

use super::{
    liars::{Lie, lie, lying},
    network::{Network, mail},
};

const K: usize = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trick {
    DropOne,
    AddAStranger,
    Empty,
    Twenty,
    OneTwice,
}

/// What all nodes know of each other, and how they lie just now.
#[derive(Default)]
struct Plan {
    everybody: OnceLock<Vec<UnverifiedNodeCertificate>>,
    trick: Mutex<Option<(Trick, usize)>>,
    told: Mutex<BTreeMap<Key, usize>>,
}

impl Plan {
    /// From now on this trick, so many times for each key.
    fn play(&self, trick: Option<(Trick, usize)>) {
        *self.trick.lock().unwrap() = trick;
        self.told.lock().unwrap().clear();
    }

    /// The list to give instead; no two of them for one key are alike where the trick allows it.
    fn forge(
        &self,
        key: Key,
        mut list: Vec<UnverifiedNodeCertificate>,
    ) -> Vec<UnverifiedNodeCertificate> {
        let Some((trick, times)) = *self.trick.lock().unwrap() else { return list };
        let mut told = self.told.lock().unwrap();
        let told = told.entry(key).or_default();
        if *told >= times {
            return list;
        }
        let at = *told % list.len();
        *told += 1;
        let everybody = self.everybody.get().unwrap();
        match trick {
            Trick::DropOne => {
                list.remove(at);
            }
            Trick::AddAStranger => {
                let stranger = everybody.iter().find(|c| !list.contains(c)).unwrap();
                list[at] = stranger.clone();
            }
            Trick::Empty => list.clear(),
            Trick::Twenty => list = everybody.iter().cycle().take(20).cloned().collect(),
            Trick::OneTwice => list[at] = list[(at + 1) % K].clone(),
        }
        list
    }
}

/// Through a channel k nodes are asked for only of anonymizers and verifiers.
fn other_lists(plan: &Arc<Plan>) -> Lie {
    let plan = Arc::clone(plan);
    lie(move |asked| {
        let plan = Arc::clone(&plan);
        async move {
            let (via, request) = (asked.via, asked.request.clone());
            match (via, request, asked.honestly().await) {
                (Via::Channel, Request::Lookup { key, count: 2.. }, Response::LookedUp(list)) => {
                    Response::LookedUp(plan.forge(key, list))
                }
                (_, _, truth) => truth,
            }
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_other_replicas_is_caught_by_the_verifier() {
    let plan = Arc::new(Plan::default());
    let lists = other_lists(&plan);
    let network = Network::start(12, K, Limits::default(), |node| lying(node, &lists)).await;
    let mut everybody = Vec::new();
    for node in &network.nodes {
        everybody.push(network.certificate(node).await.to_unverified());
    }
    plan.everybody.set(everybody).unwrap();
    let (alice, bob) = (network.user("alice").await, network.user("bob").await);
    let inbox = bob.address().inbox();
    let mut mails = Vec::new();

    let tricks =
        [Trick::DropOne, Trick::AddAStranger, Trick::Empty, Trick::Twenty, Trick::OneTwice];
    for trick in tricks {
        // Twice for each key, so that it is told whichever of Z and W comes first; then the truth.
        plan.play(Some((trick, 2)));
        alice.heard.forget();
        let sent = mail(&format!("{trick:?}"), 2);
        let id = alice.prepare(&sent, &bob, false);
        let (key, _) = alice.body(&id);
        let outcome = alice.deliver(&id).await;
        assert!(outcome.error.is_none(), "{trick:?}: {:?}", outcome.error);

        assert_eq!(*plan.told.lock().unwrap(), [(key, 2), (inbox, 2)].into(), "{trick:?}");
        let caught = alice.heard.disagreements();
        for purpose in [Purpose::Body, Purpose::Inbox] {
            let fitting = caught.iter().filter(|(p, _)| *p == purpose).any(|(_, d)| match trick {
                Trick::DropOne | Trick::AddAStranger => matches!(d, Disagreement::Lists { .. }),
                _ => matches!(d, Disagreement::BadList),
            });
            assert!(fitting, "{trick:?} for the {purpose:?}: {caught:?}");
        }
        for (purpose, replicas) in alice.heard.agreed() {
            let place = if purpose == Purpose::Body { &key } else { &inbox };
            assert_eq!(replicas, network.closest(place, K), "{trick:?}");
        }
        let holders: Vec<_> = network.holders(&key).await.into_iter().map(|(id, _)| id).collect();
        assert_eq!(holders, network.closest(&key, K), "{trick:?}");
        mails.push(sent);
    }
    assert_eq!(bob.fetch().await.delivered.len(), tricks.len());
    mails.sort();
    assert_eq!(bob.mails(), mails);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_no_two_lists_agree_nothing_is_stored_and_the_mail_waits() {
    let plan = Arc::new(Plan::default());
    let lists = other_lists(&plan);
    let network = Network::start(12, K, Limits::default(), |node| lying(node, &lists)).await;
    plan.everybody.set(Vec::new()).unwrap();
    let (alice, bob) = (network.user("alice").await, network.user("bob").await);
    plan.play(Some((Trick::DropOne, usize::MAX)));
    let id = alice.prepare(&mail("no two agree", 2), &bob, false);
    let (key, _) = alice.body(&id);
    let outcome = alice.deliver(&id).await;

    let error = outcome.error.unwrap();
    assert!(matches!(error, AgentError::Disagreement(Disagreement::Lists { .. })), "{error:?}");
    assert_eq!(error.exit_code(), 76);
    assert!(plan.told.lock().unwrap()[&key] >= 8, "four comparisons of two lists");
    assert_eq!(alice.outbox(), [id]);
    assert!(network.holders(&key).await.is_empty());
}
