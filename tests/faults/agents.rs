//! Senders and readers that find no node, or are killed: what the outbox holds is delivered, once.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anon::wire;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use ua::{profile::Profile, vault::Passphrase};

use super::{kill_all, restart_all};
use crate::{
    holdings::Holdings,
    support::{Network, User, message, text},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_waits_while_no_node_is_there_and_arrives_once() {
    let mut network = Network::aged(24, |options| options.k = 5).await;
    let (alice, bob) = (network.user("alice").await, network.user("bob").await);
    let carol = network.user("carol").await;
    kill_all(&mut network.cluster).await;

    let mail = message("patience", 30);
    let send = ["send", "--to", &bob.address, "--to", &carol.address];
    let sent = alice.run_with_input(send, &mail).await;
    let told = text(&sent.stderr);
    assert_eq!(sent.status.code(), Some(69), "{told}");
    for part in
        ["error: the mail waits in the outbox", "cause: neither the guard nor its spare", "try: "]
    {
        assert!(told.contains(part), "{part} is not in {told}");
    }
    assert_waits(&alice, &[&bob.address, &carol.address]).await;

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

    restore(&alice, &aside).await;
    retry(&alice).await;
    let fetched = bob.fetch().await;
    assert_eq!(
        (fetched["delivered"].as_array().unwrap().len(), &fetched["repeated"]),
        (0, &json!(1))
    );
    assert_eq!(bob.mails(), std::slice::from_ref(&mail));
    // Once more, as if Bob's reader had been killed when the mail lay there and was not yet said to.
    restore(&alice, &aside).await;
    retry(&alice).await;
    forget_the_last_step(&bob);
    bob.fetch().await;
    assert_eq!(bob.mails(), std::slice::from_ref(&mail));
    // Carol reads only now, and finds it announced more than once. By then its body may be gone.
    let fetched = carol.fetch().await;
    assert_eq!(fetched["delivered"].as_array().unwrap().len(), 1, "{fetched}");
    assert_eq!(carol.fetch().await["delivered"], json!([]));
    assert_eq!(carol.mails(), [mail]);
    let after = Holdings::of(&network.cluster).await;
    assert!(after.bodies().is_empty() && after.inboxes().is_empty(), "nothing is left: {after:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_killed_at_any_moment_delivers_what_its_outbox_holds_once() {
    let network = Network::aged(24, |options| options.k = 5).await;
    let (alice, bob) = (network.user("alice").await, network.user("bob").await);
    // How long a whole send takes here: the moments are sampled from that, and nothing is asserted of it.
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
    let network = Network::aged(24, |options| options.k = 5).await;
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

/// A machine whose disk has no room for a file longer than that: what writes one is told so, and not killed.
fn with_files_up_to(kib: u32, user: &User) -> User {
    let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$@\"", kib * 2);
    user.within(["sh", "-c", &script, "sh"].map(str::to_owned))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_whose_disk_is_full_tells_what_it_delivered_and_gets_the_rest_later() {
    let network = Network::aged(24, |options| options.k = 5).await;
    let (alice, bob) = (network.user("alice").await, network.user("bob").await);
    let mails = [message("small", 1), message("large", 600)];
    for mail in &mails {
        alice.send(["--to", &bob.address], mail).await;
        // The older one is delivered first, and a mail's date is in seconds.
        tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    }
    let output = with_files_up_to(400, &bob).run(["fetch", "--json"]).await;
    let told = text(&output.stderr);
    println!("{:?}: {told}", output.status);
    assert!(output.status.code().is_some_and(|code| code != 0), "{:?}", output.status);
    assert!(told.contains("error: your mail cannot be fetched"), "{told}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["delivered"][0]["subject"], "small", "{report}");
    assert_eq!(bob.mails(), [mails[0].clone()]);

    let fetched = bob.fetch().await;
    assert_eq!(
        (&fetched["repeated"], &fetched["delivered"][0]["subject"]),
        (&json!(1), &json!("large"))
    );
    let mut arrived = bob.mails();
    arrived.sort_unstable_by_key(Vec::len);
    assert!(arrived == mails);
    let after = Holdings::of(&network.cluster).await;
    assert!(after.bodies().is_empty() && after.inboxes().is_empty(), "nothing is left: {after:?}");
}

/// Checks that one mail waits for all of these, that its sender is told why, and that trying again changes nothing.
async fn assert_waits(user: &User, recipients: &[&str]) {
    let waiting = user.outbox().await;
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0]["waiting"], json!(recipients));
    assert_eq!((&waiting[0]["subject"], &waiting[0]["attempts"]), (&json!("patience"), &json!(0)));
    let table = text(&user.run(["outbox", "--list"]).await.stdout);
    assert!(table.contains("patience") && table.contains("neither the guard"), "{table}");
    let retried = user.run(["outbox"]).await;
    assert_eq!(retried.status.code(), Some(69), "{}", text(&retried.stderr));
}

/// Puts back the files of a vault with one mail in its outbox.
async fn restore(user: &User, aside: &Path) {
    std::fs::remove_dir_all(vault(user)).unwrap();
    copy_files(aside, &vault(user));
    assert_eq!(user.outbox().await.len(), 1);
}

/// Makes of the mail that was delivered last, by what its reader remembers, one that is being delivered.
fn forget_the_last_step(user: &User) {
    let passphrase = Passphrase::new("correct horse".to_owned()).unwrap();
    let profile = Profile::open(&user.profile, &passphrase).unwrap();
    /// The parts, who signed them, where an answer goes.
    type Known = ([u8; 20], Option<[u8; 12]>, Option<[u8; 12]>);
    let name = profile.vault().list("seen-").unwrap().pop().unwrap();
    let seen = profile.vault().read(&name).unwrap();
    let (mut delivered, delivering): (Vec<Known>, Option<Known>) =
        wire::decode(&seen, seen.len()).unwrap();
    assert_eq!(delivering, None);
    let last = delivered.pop();
    assert!(last.is_some());
    profile.vault().write(&name, &wire::encode(&(delivered, last))).unwrap();
}

async fn retry(user: &User) {
    let output = user.run(["outbox"]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
}

fn vault(user: &User) -> PathBuf {
    user.profile.join("vault")
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
