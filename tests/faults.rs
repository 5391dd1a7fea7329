//! Nodes and agents that die at the worst moment: mail is read all the same, or waits, and never comes twice.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use anon::{
    certificate::Address,
    position::{Key, keep_closest},
};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use ua::cluster::Cluster;

use crate::{
    holdings::{self, Holdings},
    support::{Network, User, message, text},
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

/// k-1 of either set, drawn at random, such that exactly one of each is left.
fn all_but_one_of_each(bodies: &BTreeSet<usize>, inboxes: &BTreeSet<usize>) -> BTreeSet<usize> {
    let draw = |set: Vec<usize>| set[rand::random_range(0..set.len())];
    let body = draw(bodies.iter().copied().collect());
    let inbox = if inboxes.contains(&body) {
        body
    } else {
        // An inbox node that stores the body too would be a second copy of it.
        draw(inboxes.difference(bodies).copied().collect())
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

async fn kill_all(cluster: &mut Cluster) {
    for index in 0..cluster.nodes().len() {
        cluster.kill(index).await.unwrap();
    }
}

async fn restart_all(cluster: &mut Cluster) {
    for index in 0..cluster.nodes().len() {
        cluster.restart(index).await.unwrap();
    }
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

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_waits_while_no_node_is_there_and_arrives_once() {
    let mut network = Network::start_with(9, |options| options.k = 5).await;
    let (alice, bob) = (network.user("alice").await, network.user("bob").await);
    kill_all(&mut network.cluster).await;

    let mail = message("patience", 30);
    let sent = alice.run_with_input(["send", "--to", &bob.address], &mail).await;
    let told = text(&sent.stderr);
    assert_eq!(sent.status.code(), Some(69), "{told}");
    for part in ["error: the mail waits in the outbox", "cause: no node of the network", "try: "] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
    let waiting = alice.outbox().await;
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0]["waiting"], json!([bob.address]));
    assert_eq!((&waiting[0]["subject"], &waiting[0]["attempts"]), (&json!("patience"), &json!(1)));
    let table = text(&alice.run(["outbox"]).await.stdout);
    assert!(table.contains("patience") && table.contains("no node of the network"), "{table}");
    let retried = alice.run(["outbox", "--retry"]).await;
    assert_eq!(retried.status.code(), Some(69), "{}", text(&retried.stderr));

    // The outbox as it would be, had the sender died after the last receipt and before it forgot the mail.
    let aside = network.directory.path().join("aside");
    copy_files(&vault(&alice), &aside);
    restart_all(&mut network.cluster).await;
    retry(&alice).await;
    assert!(alice.outbox().await.is_empty());
    let fetched = bob.fetch().await;
    assert_eq!(
        (fetched["delivered"].as_array().unwrap().len(), &fetched["repeated"]),
        (1, &json!(0))
    );
    assert_eq!(bob.mails(), std::slice::from_ref(&mail));

    std::fs::remove_dir_all(vault(&alice)).unwrap();
    copy_files(&aside, &vault(&alice));
    assert_eq!(alice.outbox().await.len(), 1);
    retry(&alice).await;
    let fetched = bob.fetch().await;
    assert_eq!(
        (fetched["delivered"].as_array().unwrap().len(), &fetched["repeated"]),
        (0, &json!(1))
    );
    assert_eq!(bob.mails(), [mail]);
    let after = Holdings::of(&network.cluster).await;
    assert!(after.bodies().is_empty() && after.inboxes().is_empty(), "nothing is left: {after:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_killed_at_any_moment_delivers_what_its_outbox_holds_once() {
    let network = Network::start_with(9, |options| options.k = 5).await;
    let (alice, bob) = (network.user("alice").await, network.user("bob").await);
    // How long a whole send takes here: the moments are drawn from that, and nothing is asserted of it.
    let started = std::time::Instant::now();
    alice.send(["--to", &bob.address], &message("whole", 100)).await;
    let whole = started.elapsed();

    let mut finished = BTreeSet::from(["whole".to_owned()]);
    for number in 0..6 {
        let subject = format!("killed {number}");
        let mut sending = alice.command(["send", "--to", &bob.address]).spawn().unwrap();
        let mut stdin = sending.stdin.take().unwrap();
        stdin.write_all(&message(&subject, 100)).await.unwrap();
        drop(stdin);
        tokio::time::sleep(whole.mul_f64(rand::random_range(0.1..1.1))).await;
        // SIGKILL; a send that was done before it has its exit code.
        let _ = sending.start_kill();
        if sending.wait().await.unwrap().success() {
            finished.insert(subject);
        }
    }
    let waiting: BTreeSet<String> = alice
        .outbox()
        .await
        .iter()
        .map(|mail| mail["subject"].as_str().unwrap().to_owned())
        .collect();
    println!("finished: {finished:?}, in the outbox: {waiting:?}");
    if !waiting.is_empty() {
        retry(&alice).await;
    }
    assert!(alice.outbox().await.is_empty());
    assert_eq!(sealed_mails(&alice), Vec::<PathBuf>::new(), "the outbox is empty on the disk too");

    let fetched = bob.fetch().await;
    assert_eq!((&fetched["waiting"], &fetched["junk"]), (&json!(0), &json!(0)), "{fetched}");
    let mut arrived: Vec<&str> = fetched["delivered"]
        .as_array()
        .unwrap()
        .iter()
        .map(|mail| mail["subject"].as_str().unwrap())
        .collect();
    arrived.sort_unstable();
    // What was neither in the outbox nor finished may have been delivered just before the kill, once.
    let once = arrived.windows(2).all(|pair| pair[0] != pair[1]);
    assert!(once, "nothing twice: {arrived:?}");
    for subject in finished.union(&waiting) {
        assert!(arrived.contains(&subject.as_str()), "{subject} is missing from {arrived:?}");
    }
    assert_eq!(bob.mails().len(), arrived.len());
    assert_eq!(bob.fetch().await["delivered"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_killed_at_any_moment_gets_every_mail_once() {
    let network = Network::start_with(9, |options| options.k = 5).await;
    let (alice, bob) = (network.user("alice").await, network.user("bob").await);
    let mut expected = vec![message("whole", 100)];
    alice.send(["--to", &bob.address], &expected[0]).await;
    let started = std::time::Instant::now();
    bob.fetch().await;
    let whole = started.elapsed();

    for number in 0..6 {
        let mail = message(&format!("mail {number}"), 100);
        alice.send(["--to", &bob.address], &mail).await;
        expected.push(mail);
        let mut fetching = bob.command(["fetch"]).spawn().unwrap();
        tokio::time::sleep(whole.mul_f64(rand::random_range(0.3..1.2))).await;
        let _ = fetching.start_kill();
        fetching.wait().await.unwrap();
    }
    let fetched = bob.fetch().await;
    println!("left for the last fetch: {fetched}");
    assert_eq!((&fetched["waiting"], &fetched["junk"]), (&json!(0), &json!(0)), "{fetched}");
    let mut arrived = bob.mails();
    arrived.sort_unstable();
    expected.sort_unstable();
    assert!(arrived == expected, "{} of {} arrived", arrived.len(), expected.len());
    let after = Holdings::of(&network.cluster).await;
    assert!(after.bodies().is_empty() && after.inboxes().is_empty(), "nothing is left: {after:?}");
}

async fn retry(user: &User) {
    let output = user.run(["outbox", "--retry"]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
}

fn vault(user: &User) -> PathBuf {
    user.home.join("vault")
}

fn sealed_mails(user: &User) -> Vec<PathBuf> {
    let files = std::fs::read_dir(vault(user)).unwrap().map(|file| file.unwrap().path());
    files.filter(|path| path.to_string_lossy().contains("outbox-")).collect()
}

fn copy_files(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}
