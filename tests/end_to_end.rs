//! One mail from one terminal to others, in every way the commands offer.

use anon::{certificate::Address, position::Key};
use serde_json::json;
use testbed::cluster::Cluster;

use crate::{
    holdings::{self, Holdings},
    support::{Network, User, message, text},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_with_an_attachment_arrives_byte_for_byte() {
    let network = Network::aged(24, |_| {}).await;
    let (alice, bob) = (network.user("alice").await, network.user("bob").await);
    let mail = message("holiday", 300);
    let report = alice.send(["--to", &bob.address, "-"], &mail).await;
    assert_eq!(report["receipts"], json!({ "body": 8, "inbox": 8 }));
    assert_eq!(report["delivered"], json!([bob.address]));
    let fetched = bob.fetch().await;
    assert_eq!(
        fetched["delivered"],
        json!([{ "subject": "holiday", "sender": null, "bytes": mail.len(), "reply_to": null }])
    );
    assert_eq!(bob.mails(), std::slice::from_ref(&mail));
    let again = bob.fetch().await;
    assert_eq!((&again["delivered"], &again["repeated"]), (&json!([]), &json!(0)));
    assert_eq!(bob.mails(), [mail]);
}

#[tokio::test(flavor = "multi_thread")]
async fn three_recipients_share_one_body_which_goes_with_the_last() {
    let network = Network::aged(24, |_| {}).await;
    let alice = network.user("alice").await;
    let readers =
        [network.user("bob").await, network.user("carol").await, network.user("dave").await];
    let [bob, carol, dave] = &readers;
    let mail = message("to the three of you", 20);
    let to = ["--to", &bob.address, "--to", &carol.address, "--to", &dave.address];
    let report = alice.send(to, &mail).await;
    assert_eq!(report["delivered"].as_array().unwrap().len(), 3, "{report}");

    let sent = Holdings::of(&network.cluster).await;
    let bodies = sent.bodies();
    assert_eq!(bodies.len(), 1, "one body for all three: {bodies:?}");
    let holders: Vec<usize> =
        bodies.into_values().next().unwrap().iter().map(|(n, _)| *n).collect();
    assert_eq!(holders.len(), 8);
    assert_eq!(sent.inboxes().len(), 3);

    for (index, reader) in readers.iter().enumerate() {
        let left = 3 - index;
        let before = Holdings::of(&network.cluster).await.bodies();
        let expected: Vec<(usize, usize)> = holders.iter().map(|node| (*node, left)).collect();
        assert_eq!(before.into_values().collect::<Vec<_>>(), [expected], "{left} are to read it");
        let fetched = reader.fetch().await;
        assert_eq!(fetched["delivered"].as_array().unwrap().len(), 1, "{fetched}");
        assert_eq!(reader.mails(), std::slice::from_ref(&mail));
    }
    let after = Holdings::of(&network.cluster).await;
    assert!(after.bodies().is_empty(), "the last reader takes the body with it: {after:?}");
    assert!(after.inboxes().is_empty(), "what was read is gone from the inboxes: {after:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_is_written_and_read_at_the_terminal() {
    let network = Network::aged(24, |options| options.k = 5).await;
    let (alice, bob) = (network.user("alice").await, network.user("bob").await);

    composed_and_anonymous(&alice, &bob).await;
    signed(&alice, &bob).await;
    direct(&network.cluster, &alice, &bob).await;
    into_a_new_maildir(&alice, &bob).await;
    longer_than_an_object(&network.cluster, &alice, &bob).await;
}

async fn composed_and_anonymous(alice: &User, bob: &User) {
    alice
        .send(["--to", &bob.address, "-s", "gr\u{fc}\u{df}e"], "at noon, caf\u{e9}\n".as_bytes())
        .await;
    let output = bob.run(["fetch"]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    let line = text(&output.stdout);
    assert!(line.starts_with("anonymous\t") && line.contains("gr\u{fc}\u{df}e"), "{line}");
    assert_eq!(text(&output.stderr).trim(), "1 new mail.");
    let mail = text(&bob.mails()[0]);
    assert!(!mail.contains("From:") && !mail.contains(alice.address.split('@').next().unwrap()));

    let list = text(&bob.run(["list"]).await.stdout);
    assert!(
        list.contains("gr\u{fc}\u{df}e") && list.contains("(nobody)") && list.contains("new"),
        "{list}"
    );
    let shown = text(&bob.run(["read", "1"]).await.stdout);
    for part in ["From:    (nobody)", "Subject: gr\u{fc}\u{df}e", "at noon, caf\u{e9}"] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
    let raw = bob.run(["read", "1", "--raw"]).await;
    assert_eq!(raw.stdout, bob.mails()[0]);
    let list: serde_json::Value =
        serde_json::from_slice(&bob.run(["list", "--json"]).await.stdout).unwrap();
    assert_eq!(
        (&list["n"], &list["unread"], &list["from"]),
        (&json!(1), &json!(false), &json!(null))
    );
}

async fn signed(alice: &User, bob: &User) {
    alice.send(["--to", &bob.address, "-s", "signed", "--sign"], b"it is me\n").await;
    let fetched = bob.fetch().await;
    assert_eq!(fetched["delivered"][0]["sender"], json!(alice.address), "{fetched}");
    assert_eq!(fetched["forged"], json!(0));
    let from = format!("From: <{}>", alice.address);
    assert!(bob.mails().iter().any(|mail| text(mail).contains(&from)));
}

async fn direct(cluster: &Cluster, alice: &User, bob: &User) {
    let mail = message("directly", 5);
    let report = alice.send(["--to", &bob.address, "--direct", "-"], &mail).await;
    assert_eq!(report["receipts"], json!({ "body": 5, "inbox": 5 }));
    let fetched = bob.fetch().await;
    assert_eq!(fetched["delivered"].as_array().unwrap().len(), 1, "{fetched}");
    assert!(bob.mails().contains(&mail));
    // In a direct send the recipient's certificate is the permission to delete.
    let after = Holdings::of(cluster).await;
    assert!(after.bodies().is_empty(), "{after:?}");
}

async fn into_a_new_maildir(alice: &User, bob: &User) {
    let mail = message("elsewhere", 1);
    alice.send(["--to", &bob.address], &mail).await;
    let maildir = bob.profile.join("not").join("there yet");
    let path = maildir.to_str().unwrap();
    let output = bob.run(["fetch", "--maildir", path]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    for folder in ["tmp", "new", "cur"] {
        assert!(maildir.join(folder).is_dir(), "{folder} is missing");
    }
    assert_eq!(bob.run(["read", "1", "--raw", "--maildir", path]).await.stdout, mail);
    assert_eq!(bob.mails().len(), 3, "the other Maildir is left alone");
}

async fn longer_than_an_object(cluster: &Cluster, alice: &User, bob: &User) {
    // 2.5 MiB as they travel: base 64 of 1.85.
    let mail = message("long", 1_893);
    assert!(mail.len() > 5 << 19, "{}", mail.len());
    alice.send(["--to", &bob.address], &mail).await;
    let bodies = Holdings::of(cluster).await.bodies();
    assert!(bodies.len() >= 3, "several objects: {bodies:?}");
    assert!(bodies.values().all(|nodes| nodes.len() == 5), "each at its own k: {bodies:?}");
    let fetched = bob.fetch().await;
    assert_eq!(fetched["delivered"].as_array().unwrap().len(), 1, "{fetched}");
    assert!(bob.mails().contains(&mail), "not byte for byte");
    assert!(Holdings::of(cluster).await.bodies().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_lost_at_a_node_is_put_back_by_senders_and_by_its_owner() {
    let mut network = Network::start_with(9, |options| options.k = 5).await;
    let (alice, bob) = (network.user("alice").await, network.user("bob").await);
    let key = Address::parse(&bob.address).unwrap().certificate();

    for direct in [false, true] {
        let lost = lose_certificate(&mut network.cluster, key).await;
        let how = ["--to", &bob.address].into_iter().chain(direct.then_some("--direct"));
        alice.send(how, &message("hello", 1)).await;
        assert!(is_back(&network.cluster, key, lost).await, "by the sender, direct: {direct}");
    }
    let lost = lose_certificate(&mut network.cluster, key).await;
    assert_eq!(bob.fetch().await["delivered"].as_array().unwrap().len(), 2);
    assert!(is_back(&network.cluster, key, lost).await, "by its owner");
}

/// Takes the certificate out of the store of one of its k nodes: which.
async fn lose_certificate(cluster: &mut Cluster, key: Key) -> usize {
    let holders = Holdings::of(cluster).await.certificates();
    let holders = holders.get(&key.0).expect("the certificate is published");
    assert_eq!(holders.len(), 5, "at all k");
    let (index, _) = holders[rand::random_range(0..holders.len())];
    cluster.kill(index).await.unwrap();
    let store = holdings::open(&cluster.nodes()[index]).await;
    assert!(store.drop_key(key.0).await.unwrap() > 0);
    store.close().await.unwrap();
    cluster.restart(index).await.unwrap();
    index
}

async fn is_back(cluster: &Cluster, key: Key, index: usize) -> bool {
    let certificates = Holdings::of(cluster).await.certificates();
    certificates.get(&key.0).is_some_and(|nodes| nodes.iter().any(|(node, _)| *node == index))
}
