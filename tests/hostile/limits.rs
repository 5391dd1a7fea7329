//! Peers and correspondents who want more than their share.

use std::sync::Arc;

use anon::{
    position::Key,
    receipt::ReceiptKind,
    request::{Append, ObjectKind, Request, Response, Store},
    roster::{PIECES, ShortDigest},
};
use futures::{StreamExt as _, stream::FuturesUnordered};
use net::{Channel, LinkError, Links, ask};
use node::Limits;
use tokio::sync::Semaphore;
use ua::error::AgentError;

use super::{
    liars::{lie, lying},
    network::{Network, TIMEOUT, mail},
};

async fn open(network: &Network, links: &Links) -> Result<Channel, LinkError> {
    let to = network.cross_verified(0).await;
    let certificate = Request::Certificate;
    let mut channel = Channel::open(links, &to, Some(&certificate), TIMEOUT).await?;
    channel.response(TIMEOUT).await?;
    Ok(channel)
}

/// Opens `count` channels, all of which must be granted.
async fn open_all(network: &Network, links: &Links, count: usize) -> Vec<Channel> {
    let mut channels = Vec::new();
    for _ in 0..count {
        channels.push(open(network, links).await.unwrap());
    }
    channels
}

/// Opens one as soon as one of those before is seen to be gone.
async fn open_in_time(network: &Network, links: &Links) -> Channel {
    loop {
        if let Ok(channel) = open(network, links).await {
            return channel;
        }
        tokio::task::yield_now().await;
    }
}

async fn assert_refused(network: &Network, links: &Links) {
    let error = open(network, links).await.expect_err("over the limit");
    assert!(matches!(error, LinkError::Io(_)), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_has_its_share_of_channels_and_leaves_the_rest_to_others() {
    let limits =
        Limits { channels_per_peer: 3, channels: 5, range_percent: 100, ..Limits::default() };
    let network = Network::start_alone(3, 1, limits, |node| node).await;
    let (greedy, other, third) = (network.links(), network.links(), network.links());
    let mut greedy_channels = open_all(&network, &greedy, 3).await;
    for _ in 0..10 {
        assert_refused(&network, &greedy).await;
    }
    let others = open_all(&network, &other, 2).await;
    // Five in all: now nobody gets in, whoever it is; requests are still answered.
    for links in [&other, &third] {
        assert_refused(&network, links).await;
    }
    let lookup = Request::Lookup { key: Key([1; 32]), count: 1 };
    let answer = network.ask(&network.nodes[0], &lookup).await;
    assert!(matches!(answer, Response::LookedUp(_)), "{answer:?}");
    for channel in &mut greedy_channels {
        assert!(channel.request(&lookup, TIMEOUT).await.is_ok(), "what is open stays open");
    }
    // Whoever lets go makes room.
    greedy_channels.pop();
    let third_channel = open_in_time(&network, &third).await;
    assert_refused(&network, &other).await;
    drop((greedy_channels, others, third_channel));
    drop(open_in_time(&network, &greedy).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_has_its_share_of_questions_about_the_roster() {
    let limits = Limits { roster_requests_per_peer: 2, ..Limits::default() };
    // Nodes that answer such a question when they are let, so that questions are under way at once.
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let slow = lie(move |asked| {
        let held = Arc::clone(&held);
        async move {
            if matches!(asked.request, Request::Roster { .. }) {
                held.acquire().await.unwrap().forget();
            }
            asked.honestly().await
        }
    });
    let network = Network::start_alone(3, 1, limits, |node| lying(node, &slow)).await;
    let to = network.certificate(&network.nodes[0]).await;
    let (greedy, other) = (network.links(), network.links());
    let compare = Request::Roster { pieces: vec![ShortDigest([0; 8]); PIECES] };
    let greed = async {
        let asked = (0..6).map(|_| ask(&greedy, &to, &compare, TIMEOUT));
        let mut asked = asked.collect::<FuturesUnordered<_>>();
        for _ in 0..4 {
            assert!(asked.next().await.unwrap().is_err(), "more than its share");
        }
        // Other questions are none of this.
        let answer = ask(&greedy, &to, &Request::Certificate, TIMEOUT).await.unwrap();
        assert!(matches!(answer, Response::Certificate(_)), "{answer:?}");
        gate.add_permits(4);
        asked.all(async |answer| answer.is_ok()).await
    };
    // Somebody else has a share of their own.
    let (kept, answered) = tokio::join!(greed, ask(&other, &to, &compare, TIMEOUT));
    assert!(kept, "what is within the share is answered");
    assert!(matches!(answered, Ok(Response::Roster { .. })), "{answered:?}");
    // Nor does anybody compare through a channel, where nobody can tell who asks.
    let mut channel = open(&network, &greedy).await.unwrap();
    assert_eq!(channel.request(&compare, TIMEOUT).await.unwrap(), Response::Refused);
}

fn append(inbox: Key, n: u8) -> Request {
    let notification = vec![n; anon::mail::NOTIFICATION];
    Request::AppendInbox(Append { inbox, notification, nonce: rand::random() })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_inbox_says_so_and_the_mail_waits_until_it_is_read() {
    let limits = Limits { inbox_entries: 3, ..Limits::default() };
    let network = Network::start_alone(12, 5, limits, |node| node).await;
    let (alice, bob) = (network.stranger("alice"), network.user("bob").await);
    let inbox = bob.address().inbox();
    // A flood by somebody anonymous, straight to the storage nodes.
    for id in network.closest(&inbox, 5) {
        let node = network.node(&id);
        for n in 0..3 {
            match network.ask(node, &append(inbox, n)).await {
                Response::Receipt(receipt) => {
                    assert_eq!(receipt.claims.kind, ReceiptKind::Appended);
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(network.ask(node, &append(inbox, 3)).await, Response::Full);
        let again = network.ask(node, &append(inbox, 2)).await;
        assert!(matches!(again, Response::Receipt(_)), "what is held is acknowledged again");
        let elsewhere = network.ask(node, &append(Key([5; 32]), 3)).await;
        assert!(matches!(elsewhere, Response::Receipt(_)), "other inboxes have room");
    }
    let sent = mail("no room", 1);
    let id = alice.prepare(&sent, &bob, false);
    let outcome = alice.deliver(&id).await;
    let error = outcome.error.unwrap();
    let full = AgentError::NotEnoughReceipts { valid: 0, wanted: 3, full: true };
    assert_eq!(error.to_string(), full.to_string());
    assert!(error.to_string().contains("the nodes have no room"), "{error}");
    assert_eq!((error.exit_code(), alice.outbox()), (75, vec![id.clone()]));

    // Reading drops the junk; then there is room.
    let fetched = bob.fetch().await;
    assert_eq!((fetched.delivered.len(), fetched.junk), (0, 3));
    let outcome = alice.deliver(&id).await;
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    assert_eq!(bob.fetch().await.delivered.len(), 1);
    assert_eq!(bob.mails(), [sent]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_store_says_so_and_keeps_what_it_has() {
    // Each object counts for 4,096 bytes more than it has.
    let store_bytes = 100_000 + 2 * 4_096;
    let limits = Limits { store_bytes, object_bytes: 60_000, ..Limits::default() };
    // Two nodes and two replicas: nothing is garbage.
    let network = Network::start_alone(2, 2, limits, |node| node).await;
    let node = &network.nodes[0];
    let store = |n: u8, size: usize| {
        let (kind, deleters, nonce) = (ObjectKind::Body, Vec::new(), [n; 16]);
        Request::Store(Store { key: Key([n; 32]), kind, object: vec![n; size], deleters, nonce })
    };
    assert!(matches!(network.ask(node, &store(1, 60_000)).await, Response::Receipt(_)));
    assert_eq!(network.ask(node, &store(2, 60_000)).await, Response::Full);
    assert_eq!(network.ask(node, &store(3, 60_001)).await, Response::Refused);
    assert!(matches!(network.ask(node, &store(4, 40_000)).await, Response::Receipt(_)));
    assert_eq!(network.ask(node, &store(5, 1)).await, Response::Full);
    // Nothing is for nothing: no receipt for small objects, and none for those of no bytes.
    for n in 6..50 {
        assert_eq!(network.ask(node, &store(n, 20)).await, Response::Full);
        assert_eq!(network.ask(node, &store(n, 0)).await, Response::Refused);
    }
    let usage = node.service().store().usage().await.unwrap();
    assert_eq!((usage.objects, usage.bytes), (2, store_bytes));
    // What somebody else stored at a key stays there.
    assert_eq!(network.ask(node, &store(1, 10)).await, Response::Refused);
    for (n, size) in [(1_u8, 60_000), (4, 40_000)] {
        let fetched = network.ask(node, &Request::Fetch { key: Key([n; 32]) }).await;
        assert!(fetched == Response::Object(vec![n; size]));
    }
}
