//! The guarded scheme over a network of processes with short epochs.

use std::time::Duration;

use anon::position::{Key, keep_closest};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::ChildStdout,
};

use crate::{
    holdings::Holdings,
    support::{Network, message, text},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_is_sent_and_read_through_guarded_channels() {
    let network = Network::aged(24, |_| {}).await;
    let (alice, bob) = (network.user("alice").await, network.user("bob").await);
    let mail = message("guarded", 60);
    let guarded = ["--scheme", "guarded", "--json"];
    let send = ["send", "--to", &bob.address, "-"].into_iter().chain(guarded);
    let sent = alice.run_with_input(send, &mail).await;
    assert!(sent.status.success(), "{}", text(&sent.stderr));
    let report: serde_json::Value = serde_json::from_slice(&sent.stdout).unwrap();
    assert_eq!(report["receipts"]["body"], 8);
    assert_eq!(report["receipts"]["inbox"], 8);
    let fetched = bob.run(["fetch"].into_iter().chain(guarded)).await;
    assert!(fetched.status.success(), "{}", text(&fetched.stderr));
    let report: serde_json::Value = serde_json::from_slice(&fetched.stdout).unwrap();
    assert_eq!(report["delivered"].as_array().unwrap().len(), 1, "{report}");
    assert_eq!(bob.mails(), [mail]);
    let again = bob.run(["fetch"].into_iter().chain(guarded)).await;
    let report: serde_json::Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(report["delivered"].as_array().unwrap().len(), 0);
    assert_eq!(report["repeated"], 0, "the inboxes were not acknowledged: {report}");
}

/// What a send made the network look up: Kademlia requests handled, lookups done.
async fn looked_up(network: &mut Network, work: impl Future<Output = ()>) -> (u64, u64) {
    let before = network.cluster.lookup_counters().await.unwrap();
    work.await;
    let after = network.cluster.lookup_counters().await.unwrap();
    (after.0 - before.0, after.1 - before.1)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_looked_up_for_a_guarded_send_on_64_nodes() {
    let mut network = Network::start_with(64, |options| {
        options.network.epoch_seconds = 10;
        options.recorded = true;
    })
    .await;
    tokio::time::sleep(Duration::from_secs(25)).await;
    let (alice, bob) = (network.user("alice").await, network.user("bob").await);
    let mail = message("silence", 10);
    let send = async |scheme: &str| {
        let args = ["send", "--to", &bob.address, "--delay", "0", "--scheme", scheme, "-"];
        let sent = alice.run_with_input(args, &mail).await;
        assert!(sent.status.success(), "{scheme}: {}", text(&sent.stderr));
    };
    // The first send also compares the roster for the first time, which is no lookup either.
    let start = std::time::Instant::now();
    let (guarded_requests, guarded_lookups) = looked_up(&mut network, send("guarded")).await;
    let length = start.elapsed();
    let (idle_requests, idle_lookups) = looked_up(&mut network, tokio::time::sleep(length)).await;
    let (paper_requests, paper_lookups) = looked_up(&mut network, send("paper")).await;
    println!(
        "Kademlia requests and lookups: guarded {guarded_requests}, {guarded_lookups}; \
         idle {idle_requests}, {idle_lookups}; paper {paper_requests}, {paper_lookups}"
    );
    assert_eq!((guarded_lookups, idle_lookups), (0, 0));
    assert!(guarded_requests <= idle_requests, "{guarded_requests} > {idle_requests}");
    assert!(paper_lookups > 20 && paper_requests > 200, "the counters are blind");
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_of_every_length_carry_mail() {
    let network = Network::aged(30, |options| options.k = 5).await;
    let (alice, bob) = (network.user("alice").await, network.user("bob").await);
    for hops in ["0", "2", "3"] {
        let send = ["--to", &bob.address, "-s", hops, "--hops", hops];
        let report = alice.send(send, b"by this many\n").await;
        assert_eq!(report["receipts"]["inbox"], 5, "{report}");
    }
    let fetched = bob.run(["fetch", "--json", "--hops", "3"]).await;
    let report: serde_json::Value = serde_json::from_slice(&fetched.stdout).unwrap();
    assert_eq!(report["delivered"].as_array().unwrap().len(), 3, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_anonymous_sender_can_be_answered() {
    let network = Network::aged(24, |_| {}).await;
    let (alice, bob) = (network.user("alice").await, network.user("bob").await);
    let guarded = ["--scheme", "guarded", "--json"];
    // A backup from before there was an address for answers.
    let backup = alice.copied_to(network.directory.path().join("backup"));
    let question = ["send", "--to", &bob.address, "-s", "question", "--reply-to", "new"];
    let sent = alice.run_with_input(question.into_iter().chain(guarded), b"who am I?\n").await;
    assert!(sent.status.success(), "{}", text(&sent.stderr));

    let fetched = bob.run(["fetch"].into_iter().chain(guarded)).await;
    let report: serde_json::Value = serde_json::from_slice(&fetched.stdout).unwrap();
    let mail = &report["delivered"][0];
    assert_eq!(mail["sender"], serde_json::Value::Null, "{report}");
    let reply_to = mail["reply_to"].as_str().expect("an address for the answer").to_owned();
    assert_ne!(reply_to, alice.address);
    assert!(!text(&bob.mails()[0]).contains(&alice.address), "the mail names its sender");
    assert!(text(&bob.mails()[0]).contains(&reply_to));

    let answer = ["send", "--to", &reply_to, "-s", "answer"];
    let sent = bob.run_with_input(answer.into_iter().chain(guarded), b"you are Alice\n").await;
    assert!(sent.status.success(), "{}", text(&sent.stderr));
    let fetched = alice.run(["fetch"].into_iter().chain(guarded)).await;
    let report: serde_json::Value = serde_json::from_slice(&fetched.stdout).unwrap();
    assert_eq!(report["delivered"][0]["subject"], "answer", "{report}, {}", text(&fetched.stderr));

    let answer = ["send", "--to", &reply_to, "-s", "to the backup"];
    let sent = bob.run_with_input(answer.into_iter().chain(guarded), b"once more\n").await;
    assert!(sent.status.success(), "{}", text(&sent.stderr));
    let fetched = backup.run(["fetch", "--restored"].into_iter().chain(guarded)).await;
    let report: serde_json::Value = serde_json::from_slice(&fetched.stdout).unwrap();
    let told = text(&fetched.stderr);
    assert_eq!(report["delivered"][0]["subject"], "to the backup", "{report}, {told}");
    assert!(told.contains("One address for answers was made since"), "{told}");
}

/// Takes in reports of a watching command until a mail with this subject is among what it delivered.
async fn read_until(
    reports: &mut Lines<BufReader<ChildStdout>>,
    got: &mut Vec<String>,
    subject: &str,
) {
    // Each report is one reading, about a second apart: so many without it, and it will not come.
    for _ in 0..200 {
        if got.iter().any(|one| one == subject) {
            return;
        }
        let line = reports.next_line().await.unwrap().expect("the watching command ended");
        let report: serde_json::Value = serde_json::from_str(&line).unwrap();
        let delivered = report["delivered"].as_array().unwrap();
        got.extend(delivered.iter().map(|m| m["subject"].as_str().unwrap().to_owned()));
    }
    panic!("{subject} is never delivered, only {got:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watching_reader_gets_mail_while_its_owner_writes() {
    let network = Network::aged(24, |_| {}).await;
    let (alice, bob) = (network.user("alice").await, network.user("bob").await);
    let mut watching = bob.command(["fetch", "--watch", "1", "--json"]).spawn().unwrap();
    let mut reports = BufReader::new(watching.stdout.take().unwrap()).lines();
    let mut got = Vec::new();
    for subject in ["first", "second"] {
        let sent = ["send", "--to", &bob.address, "-s", subject];
        let sent = alice.run_with_input(sent, b"hello\n").await;
        assert!(sent.status.success(), "{}", text(&sent.stderr));
        // Beside the watching command.
        let written = ["send", "--to", &alice.address, "-s", "beside", "--reply-to", "new"];
        let output = bob.run_with_input(written, b"hello\n").await;
        assert!(output.status.success(), "{}", text(&output.stderr));
        read_until(&mut reports, &mut got, subject).await;
    }
    // The addresses for answers that were made meanwhile are read too, each in its own turn.
    let fetched = alice.run(["fetch", "--json"]).await;
    let fetched: serde_json::Value = serde_json::from_slice(&fetched.stdout).unwrap();
    let reply_to = fetched["delivered"][0]["reply_to"].as_str().unwrap().to_owned();
    let answer = ["send", "--to", &reply_to, "-s", "answer"];
    let sent = alice.run_with_input(answer, b"hello\n").await;
    assert!(sent.status.success(), "{}", text(&sent.stderr));
    read_until(&mut reports, &mut got, "answer").await;
    got.sort();
    assert_eq!(got, ["answer", "first", "second"], "each once");
    watching.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_roster_is_incomplete_the_dht_is_asked_through_channels_and_the_user_told() {
    let epoch = 8;
    let mut network = Network::bare(20, |options| options.network.epoch_seconds = epoch).await;
    tokio::time::sleep(Duration::from_secs(3 * epoch)).await;
    let (alice, bob) = (network.user("alice").await, network.user("bob").await);
    let mail = message("steady", 1);
    let send = async || {
        let sent = alice.run_with_input(["send", "--to", &bob.address, "-"], &mail).await;
        (text(&sent.stderr), sent.status.success())
    };
    let (told, is_sent) = send().await;
    assert!(is_sent && !told.contains("incomplete"), "{told}");

    // More newcomers than rosters take for churn: for an epoch after they are told of, nobody may choose them, and
    // what is closest to a key is what the DHT says.
    network.cluster.add(12).await.unwrap();
    let mut incomplete = 0;
    let deadline = std::time::Instant::now() + Duration::from_secs(8 * epoch);
    while std::time::Instant::now() < deadline && incomplete < 2 {
        let before = Holdings::of(&network.cluster).await.bodies();
        let (told, is_sent) = send().await;
        if !is_sent {
            // While nodes come in, two anonymizers may list different nodes for a moment: the mail waits.
            assert!(told.contains("the network is changing"), "{told}");
            alice.deliver().await;
            continue;
        }
        if !told.contains("warning: the roster is incomplete") {
            continue;
        }
        incomplete += 1;
        let after = Holdings::of(&network.cluster).await.bodies();
        let (key, holders) = after.into_iter().find(|(key, _)| !before.contains_key(key)).unwrap();
        let nodes = network.cluster.nodes();
        let mut closest: Vec<usize> = (0..nodes.len()).collect();
        keep_closest(&mut closest, &Key(key), 8, |index| nodes[*index].id.position());
        let held = holders.iter().filter(|(node, _)| closest.contains(node)).count();
        assert!(held >= 7, "{held} of the true 8 closest of all {} hold it", nodes.len());
    }
    assert_eq!(incomplete, 2, "the roster was never said to be incomplete");
    let status = alice.run(["status"]).await;
    println!("{}", text(&status.stdout));
    // Bob reads all of it, over a roster of his own.
    let fetched = bob.run(["fetch", "--json"]).await;
    let report: serde_json::Value = serde_json::from_slice(&fetched.stdout).unwrap();
    assert_eq!(report["waiting"], 0, "{report}");
    assert!(report["delivered"].as_array().unwrap().len() >= 3, "{report}");
}
