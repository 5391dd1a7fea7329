//! Nodes that die, before, during and after a send, or lose what they keep.

use std::{collections::BTreeSet, time::Duration};

use anon::{
    certificate::Address,
    position::{Key, keep_closest},
};
use serde_json::json;
use testbed::cluster::Cluster;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use super::{kill_all, restart_all};
use crate::{
    holdings::{self, Holdings},
    support::{Network, message, text},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_survives_all_but_one_of_its_body_nodes_and_inboxes() {
    let mut network = Network::start(20).await;
    let (alice, bob) = (network.user("alice").await, network.user("bob").await);
    // Bob has read before: he knows his inbox nodes, so the one that is left is a way in.
    bob.fetch().await;
    let mail = message("one copy is enough", 30);
    let report = alice.send(["--to", &bob.address], &mail).await;
    assert_eq!(report["receipts"], json!({ "body": 8, "inbox": 8 }));

    let held = Holdings::of(&network.cluster).await;
    let bodies: BTreeSet<usize> = held.bodies().into_values().flatten().map(|(n, _)| n).collect();
    let inboxes: BTreeSet<usize> = held.inboxes().into_values().flatten().map(|(n, _)| n).collect();
    assert_eq!((bodies.len(), inboxes.len()), (8, 8));
    let killed = all_but_one_of_each(&bodies, &inboxes);
    for index in &killed {
        network.cluster.kill(*index).await.unwrap();
    }
    assert_eq!(bodies.difference(&killed).count(), 1);
    assert_eq!(inboxes.difference(&killed).count(), 1);

    let fetched = bob.fetch().await;
    assert_eq!(fetched["delivered"].as_array().unwrap().len(), 1, "{fetched}");
    assert_eq!(bob.mails(), [mail]);
}

/// k-1 of either set, sampled at random, such that exactly one of each is left.
fn all_but_one_of_each(bodies: &BTreeSet<usize>, inboxes: &BTreeSet<usize>) -> BTreeSet<usize> {
    let sample = |set: Vec<usize>| set[rand::random_range(0..set.len())];
    let body = sample(bodies.iter().copied().collect());
    let inbox = if inboxes.contains(&body) {
        body
    } else {
        // An inbox node that stores the body too would be a second copy of it.
        sample(inboxes.difference(bodies).copied().collect())
    };
    bodies.union(inboxes).copied().filter(|node| *node != body && *node != inbox).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_goes_on_at_fresh_nodes_when_inbox_nodes_die_under_it() {
    let mut network = Network::start_with(20, |options| options.proxied = true).await;
    let (alice, bob) = (network.user("alice").await, network.user("bob").await);
    let inbox = Address::parse(&bob.address).unwrap().inbox();
    let mut closest: Vec<usize> = (0..network.cluster.nodes().len()).collect();
    keep_closest(&mut closest, &inbox, 8, |index| network.cluster.nodes()[*index].id.position());
    // A quorum is 6 of 8: with three of the k dead there is none without fresh nodes.
    let victims: Vec<usize> = closest[..3].to_vec();

    network.cluster.set_delay(Duration::from_millis(200));
    let mail = message("in mid-send", 30);
    let mut sending =
        alice.command(["send", "-v", "--json", "--to", &bob.address]).spawn().unwrap();
    let mut stdin = sending.stdin.take().unwrap();
    stdin.write_all(&mail).await.unwrap();
    drop(stdin);
    let mut steps = BufReader::new(sending.stderr.take().unwrap()).lines();
    let mut told = Vec::new();
    while let Some(line) = steps.next_line().await.unwrap() {
        let agreed = line.contains("inbox: both lists name the same");
        told.push(line);
        if agreed {
            break;
        }
    }
    // Now the sender knows the k and is about to append at them: three links away, half a second.
    for index in &victims {
        network.cluster.kill(*index).await.unwrap();
    }
    while let Some(line) = steps.next_line().await.unwrap() {
        told.push(line);
    }
    let output = sending.wait_with_output().await.unwrap();
    assert!(output.status.success(), "{told:#?}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["receipts"]["inbox"].as_u64().unwrap() >= 6, "{report}");
    let holders: BTreeSet<usize> =
        Holdings::of(&network.cluster).await.inboxes()[&inbox.0].iter().map(|(n, _)| *n).collect();
    assert!(victims.iter().all(|node| !holders.contains(node)), "killed too late: {holders:?}");
    assert!(holders.len() >= 6, "a quorum: {holders:?}");
    assert!(holders.iter().any(|node| !closest.contains(node)), "a fresh node: {holders:?}");

    network.cluster.set_delay(Duration::ZERO);
    let fetched = bob.fetch().await;
    assert_eq!(fetched["delivered"].as_array().unwrap().len(), 1, "{fetched}");
    assert_eq!(bob.mails(), [mail]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_waits_while_fewer_nodes_live_than_a_quorum_needs() {
    let mut network = Network::start(8).await;
    let (alice, bob) = (network.user("alice").await, network.user("bob").await);
    // Of eight replicas six make a quorum: five are left, and would all give a receipt.
    let victims = 5..8;
    for index in victims.clone() {
        network.cluster.kill(index).await.unwrap();
    }
    let mail = message("too few", 30);
    let sent = alice.run_with_input(["send", "--direct", "--to", &bob.address], &mail).await;
    let told = text(&sent.stderr);
    assert_eq!(sent.status.code(), Some(75), "{told}");
    assert!(told.contains("error: the mail waits in the outbox"), "{told}");
    let waiting = alice.outbox().await;
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0]["waiting"], json!([bob.address]));
    assert_eq!(bob.fetch().await["delivered"], json!([]), "announced before it was stored");

    for index in victims {
        network.cluster.restart(index).await.unwrap();
    }
    let retried = alice.run(["outbox"]).await;
    assert!(retried.status.success(), "{}", text(&retried.stderr));
    assert!(alice.outbox().await.is_empty());
    assert_eq!(bob.fetch().await["delivered"].as_array().unwrap().len(), 1);
    assert_eq!(bob.mails(), [mail]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_survives_the_death_of_every_node() {
    let mut network = Network::start(20).await;
    let (alice, bob) = (network.user("alice").await, network.user("bob").await);
    let mail = message("after the power cut", 30);
    alice.send(["--to", &bob.address], &mail).await;
    let before = Holdings::of(&network.cluster).await;
    kill_all(&mut network.cluster).await;
    restart_all(&mut network.cluster).await;
    let after = Holdings::of(&network.cluster).await;
    assert_eq!(before.bodies(), after.bodies());
    assert_eq!(before.inboxes(), after.inboxes());
    assert_eq!(before.certificates(), after.certificates());
    let fetched = bob.fetch().await;
    assert_eq!(fetched["delivered"].as_array().unwrap().len(), 1, "{fetched}");
    assert_eq!(bob.mails(), [mail]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_farthest_copy_is_found_behind_nodes_that_lost_theirs_or_hold_another() {
    let mut network = Network::start_with(9, |options| options.k = 5).await;
    let (alice, bob) = (network.user("alice").await, network.user("bob").await);
    let mail = message("behind the others", 30);
    alice.send(["--to", &bob.address], &mail).await;
    let held = Holdings::of(&network.cluster).await;
    for key in held.bodies().into_keys().chain(held.inboxes().into_keys()) {
        // All but the farthest of the k: a reader comes to that one last.
        let mut closest: Vec<usize> = (0..network.cluster.nodes().len()).collect();
        keep_closest(&mut closest, &Key(key), 5, |n| network.cluster.nodes()[*n].id.position());
        for (place, index) in closest[..4].iter().enumerate() {
            network.cluster.kill(*index).await.unwrap();
            spoil(&network.cluster, *index, key, place % 2 == 0).await;
            network.cluster.restart(*index).await.unwrap();
        }
    }
    let fetched = bob.fetch().await;
    assert_eq!(fetched["delivered"].as_array().unwrap().len(), 1, "{fetched}");
    assert_eq!(bob.mails(), [mail]);
}

/// Takes what lies at `key` off a dead node's disk; of a body, leaves other bytes in its place or nothing.
async fn spoil(cluster: &Cluster, index: usize, key: [u8; 32], leave_other_bytes: bool) {
    let store = holdings::open(&cluster.nodes()[index]).await;
    let body = store.fetch(key).await.unwrap();
    assert!(store.drop_key(key).await.unwrap() > 0, "node {index} held it");
    if let Some(mut body) = body.filter(|_| leave_other_bytes) {
        body.bytes[100] ^= 1;
        store.store(key, body, false).await.unwrap();
    }
    store.close().await.unwrap();
}
