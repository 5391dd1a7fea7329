//! X answers "who is closest to keyZ?" with a node of its own choice (paper, 4.1: "X could be malicious").

use std::sync::{Arc, OnceLock};

use anon::{
    certificate::UnverifiedNodeCertificate,
    request::{Request, Response},
    verification::Disagreement,
};
use net::Via;
use node::Limits;
use ua::error::AgentError;

use super::{
    liars::{Asked, Lie, Lies, lie, lying},
    network::{Network, User, mail, named},
};

/// Through a channel one node is asked for only of a go-between; a witness is asked directly.
fn as_go_between(asked: &Asked) -> bool {
    asked.via == Via::Channel && matches!(asked.request, Request::Lookup { count: 1, .. })
}

type Colluder = Arc<OnceLock<UnverifiedNodeCertificate>>;

/// Names itself and, where there is one, a colluder, turn about; never by accident the truth.
fn bogus_anonymizer(lies: &Arc<Lies>, colluder: &Colluder) -> Lie {
    let (lies, colluder) = (Arc::clone(lies), Arc::clone(colluder));
    lie(move |asked| {
        let (lies, colluder) = (Arc::clone(&lies), Arc::clone(&colluder));
        async move {
            if !as_go_between(&asked) {
                return asked.honestly().await;
            }
            let itself = asked.own_certificate().await;
            let truth = asked.honestly().await;
            let bogus = match colluder.get() {
                Some(colluder) if lies.told() % 2 == 1 => colluder.clone(),
                _ => itself,
            };
            if named(&truth) == [bogus.claimed_node()] || lies.tell().is_none() {
                return truth;
            }
            Response::LookedUp(vec![bogus])
        }
    })
}

/// Every channel that came about goes where its keys lead.
fn assert_paths_are_true(network: &Network, user: &User) {
    for (path, keys) in user.heard.channels() {
        assert_eq!(network.closest(&keys.go_between, 1), [path.go_between]);
        assert_eq!(network.closest(&keys.witness, 1), [path.witness]);
        assert_eq!(network.closest(&keys.anonymizer, 1), [path.anonymizer]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bogus_anonymizer_is_caught_by_the_witness() {
    // Fewer lies than one channel has attempts: however they fall, each channel comes about.
    let (lies, colluder) = (Lies::at_most(0), Colluder::default());
    let bogus = bogus_anonymizer(&lies, &colluder);
    let network = Network::start(12, 5, Limits::default(), |node| lying(node, &bogus)).await;
    colluder.set(network.certificate(&network.nodes[7]).await.to_unverified()).unwrap();
    let (alice, bob) = (network.user("alice").await, network.user("bob").await);
    lies.allow(4);
    let sent = mail("bogus anonymizer", 2);
    alice.send(&sent, &bob).await;

    assert_eq!(lies.told(), 4);
    let caught = alice.heard.disagreements();
    let nodes = caught.iter().filter(|(_, d)| matches!(d, Disagreement::Node { .. })).count();
    assert!(nodes >= 1 && nodes + alice.heard.retries().len() >= 4, "{caught:?}");
    assert!(alice.heard.channels().len() >= 5);
    assert_paths_are_true(&network, &alice);
    assert_eq!(bob.fetch().await.delivered.len(), 1);
    assert_eq!(bob.mails(), [sent]);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_every_go_between_lies_nothing_is_sent_and_the_mail_waits() {
    let (lies, nobody) = (Lies::at_most(0), Colluder::default());
    let bogus = bogus_anonymizer(&lies, &nobody);
    let network = Network::start(12, 5, Limits::default(), |node| lying(node, &bogus)).await;
    let (alice, bob) = (network.user("alice").await, network.user("bob").await);
    lies.allow(usize::MAX);
    let sent = mail("nobody to trust", 2);
    let id = alice.prepare(&sent, &bob, false);
    let (key, _) = alice.body(&id);
    let outcome = alice.deliver(&id).await;

    let error = outcome.error.unwrap();
    assert!(matches!(error, AgentError::Disagreement(Disagreement::Node { .. })), "{error:?}");
    assert_eq!(error.exit_code(), 76);
    assert_eq!((outcome.delivered.len(), outcome.waiting.len()), (0, 1));
    assert_eq!(alice.outbox(), std::slice::from_ref(&id));
    assert!(lies.told() >= 5, "{}", lies.told());
    assert!(alice.heard.channels().is_empty(), "no channel to a node that the witness denies");
    assert!(network.holders(&key).await.is_empty());

    lies.allow(0);
    let outcome = alice.deliver(&id).await;
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    assert_eq!(bob.fetch().await.delivered.len(), 1);
    assert_eq!(bob.mails(), [sent]);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_all_known_nodes_name_one_node_for_everything_the_send_gives_up() {
    let lies = Lies::at_most(0);
    let (counted, monopolist) = (Arc::clone(&lies), Colluder::default());
    let named = Arc::clone(&monopolist);
    let monopoly = lie(move |asked| {
        let (lies, monopolist) = (Arc::clone(&counted), Arc::clone(&named));
        async move {
            match (asked.via, &asked.request, monopolist.get()) {
                (Via::Direct, Request::Lookup { count: 1, .. }, Some(one))
                    if lies.tell().is_some() =>
                {
                    Response::LookedUp(vec![one.clone()])
                }
                _ => asked.honestly().await,
            }
        }
    });
    let network = Network::start(6, 2, Limits::default(), |node| lying(node, &monopoly)).await;
    monopolist.set(network.certificate(&network.nodes[4]).await.to_unverified()).unwrap();
    let (alice, bob) = (network.user("alice").await, network.user("bob").await);
    lies.allow(usize::MAX);
    let id = alice.prepare(&mail("monopoly", 1), &bob, false);
    let outcome = alice.deliver(&id).await;
    let error = outcome.error.unwrap();
    assert!(matches!(error, AgentError::TooFewNodes), "{error:?}");
    assert_eq!((error.exit_code(), alice.outbox()), (75, vec![id]));
    assert!(lies.told() >= 64, "samples of two keys, each asked of two: {}", lies.told());
    assert!(alice.heard.channels().is_empty());
}
