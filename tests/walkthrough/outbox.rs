//! What is handed in is kept until it is delivered or dropped, whatever runs beside it and whatever stops it.

use std::{collections::BTreeMap, process::Stdio, time::Duration};

use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use super::{Walk, bob};
use crate::support::{User, message, text};

/// Gets what waits out, without a delay.
async fn retry(user: &User) -> (Option<i32>, String) {
    let output = user.run(["outbox", "--delay", "0"]).await;
    (output.status.code(), text(&output.stderr))
}

/// Reads one's mail: how many times each subject came.
async fn subjects(user: &User) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for mail in user.fetch().await["delivered"].as_array().unwrap() {
        *counts.entry(mail["subject"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    counts
}

/// T5: while one send waits out its delay, another one is kept and goes, and everything else works.
pub async fn commands_work_beside_a_send_that_waits(walk: &Walk) {
    let (alice, bob) = (walk.user("alice", ""), walk.user("bob", "bob@demo.alt"));
    // A mean so long that the delay is over within this proof in one case of some thousand.
    let slow = ["send", "--to", "bob@demo.alt", "-s", "slow", "--delay", "1000000"];
    let mut waiting = alice.command(slow).stderr(Stdio::null()).spawn().unwrap();
    let mut stdin = waiting.stdin.take().unwrap();
    stdin.write_all(b"A\n").await.unwrap();
    drop(stdin);
    while alice.outbox().await.first().is_none_or(|mail| mail["state"] != "being sent") {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let quick = ["send", "--to", "bob@demo.alt", "-s", "quick", "--delay", "0"];
    let sent = alice.run_with_input(quick, b"B\n").await;
    assert!(sent.status.success(), "{}", text(&sent.stderr));
    for command in [&["status"][..], &["outbox", "--list"], &["fetch"]] {
        let output = alice.run(command.iter().copied()).await;
        assert!(output.status.success(), "{command:?}: {}", text(&output.stderr));
    }
    // It is nobody else's to send or to drop meanwhile.
    let (code, told) = retry(&alice).await;
    assert!(code == Some(75) && told.contains("another cutout command is sending"), "{told}");
    let id = alice.outbox().await[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(alice.run(["outbox", "--drop", &id]).await.status.code(), Some(75));
    assert!(waiting.try_wait().unwrap().is_none(), "the slow one ended early");
    waiting.kill().await.unwrap();
    assert_eq!(alice.outbox().await[0]["state"], "waits");
    assert_eq!(retry(&alice).await.0, Some(0));
    let read = subjects(&bob).await;
    assert_eq!(read, BTreeMap::from([("slow".to_owned(), 1), ("quick".to_owned(), 1)]));
}

/// Two readings at once are one after the other, and killed sends are kept or done; `44-outbox-kill-and-retry.sh`.
pub async fn what_is_killed_is_kept_or_delivered_once(walk: &Walk) {
    let (alice, bob) = (walk.user("alice", ""), walk.user("bob", "bob@demo.alt"));
    for number in 0_u64..8 {
        let subject = format!("kill {number}");
        let send = ["send", "--to", "bob@demo.alt", "--delay", "0", "-s", &subject];
        let mut sending = alice.command(send).spawn().unwrap();
        let mut stdin = sending.stdin.take().unwrap();
        stdin.write_all(b"x\n").await.unwrap();
        drop(stdin);
        tokio::time::sleep(Duration::from_millis(number * 150)).await;
        let _ = sending.start_kill();
        sending.wait().await.unwrap();
    }
    let kept = alice.outbox().await;
    for mail in &kept {
        assert!(!mail["error"].as_str().unwrap().is_empty(), "no reason: {mail}");
    }
    println!("{} of 8 were kept", kept.len());
    if !kept.is_empty() {
        let (code, told) = retry(&alice).await;
        assert_eq!(code, Some(0), "{told}");
    }
    assert!(alice.outbox().await.is_empty());
    let (first, second) = tokio::join!(subjects(&bob), subjects(&bob));
    let read: Vec<_> = first.into_iter().chain(second).collect();
    assert!(read.iter().all(|(_, times)| *times == 1), "{read:?}");
    for mail in &kept {
        let times = read.iter().filter(|(subject, _)| mail["subject"] == **subject).count();
        assert_eq!(times, 1, "{mail} in {read:?}");
    }
}

/// T6: an address whose owner has not published it yet is said not to be known, and the mail waits for it.
pub async fn an_unknown_recipient_waits_until_the_certificate_is_published(walk: &Walk) {
    let alice = walk.user("alice", "");
    let carol = walk.new_user("carol", &["--offline"]).await;
    let mail = message("for later", 2);
    let sent = alice.run_with_input(["send", "--delay", "0", "--to", &carol.address], &mail).await;
    let told = text(&sent.stderr);
    assert_eq!(sent.status.code(), Some(67), "{told}");
    assert!(told.contains("the mail waits in the outbox as") && told.contains("--drop"), "{told}");
    let (code, told) = retry(&alice).await;
    assert_eq!(code, Some(67), "{told}");
    let waiting = alice.outbox().await;
    assert_eq!(waiting[0]["unknown"], json!([carol.address]), "{waiting:?}");

    carol.fetch().await;
    let (code, told) = retry(&alice).await;
    assert_eq!(code, Some(0), "{told}");
    assert!(alice.outbox().await.is_empty());
    assert_eq!(carol.fetch().await["delivered"].as_array().unwrap().len(), 1);
    assert_eq!(carol.mails(), [mail]);
}

/// T8: what is not known of 63 recipients costs the 64th nothing.
pub async fn one_real_recipient_among_63_unknown_ones_gets_the_mail_at_once(walk: &Walk) {
    let (alice, reader) = (walk.user("alice", ""), walk.user("bob", "bob@demo.alt"));
    let mut args: Vec<String> =
        ["send", "--json", "--delay", "0", "-s", "all"].map(String::from).into();
    for number in 0..63 {
        args.extend(["--to".to_owned(), format!("nobody{number}@demo.alt")]);
    }
    args.extend(["--to".to_owned(), bob().to_string()]);
    let start = std::time::Instant::now();
    let sent = alice.run_with_input(args.iter().map(String::as_str), b"to all\n").await;
    println!("64 recipients, 63 of them unknown: {:?}", start.elapsed());
    let report: serde_json::Value = serde_json::from_slice(&sent.stdout).unwrap();
    assert_eq!(report["delivered"], json!(["bob@demo.alt"]), "{report}");
    assert_eq!(report["unknown"].as_array().unwrap().len(), 63, "{report}");
    assert_eq!((sent.status.code(), &report["waiting"]), (Some(67), &json!([])), "{report}");
    assert_eq!(subjects(&reader).await, BTreeMap::from([("all".to_owned(), 1)]));
    let id = report["id"].as_str().unwrap();
    assert!(alice.run(["outbox", "--drop", id]).await.status.success());
    assert!(alice.outbox().await.is_empty());
}

/// T4: 21 tries without a network spend nothing, the mail can be got back, and goes when there is one.
pub async fn a_mail_written_offline_is_tried_as_often_as_its_owner_likes(walk: &Walk) {
    let reader = walk.user("bob", "bob@demo.alt");
    let dave = walk.new_user("dave", &["--offline"]).await;
    let file = dave.profile.join("network.toml");
    let network = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, network.replace("/tcp/4001/", "/tcp/9/")).unwrap();
    let mail = message("from the train", 3);
    let sent = dave.run_with_input(["send", "--delay", "0", "--to", "bob@demo.alt"], &mail).await;
    assert_eq!(sent.status.code(), Some(69), "{}", text(&sent.stderr));
    for _ in 0..21 {
        let (code, told) = retry(&dave).await;
        assert_eq!(code, Some(69), "{told}");
    }
    let waiting = dave.outbox().await;
    assert_eq!((waiting.len(), &waiting[0]["attempts"]), (1, &json!(0)), "{waiting:?}");
    let id = waiting[0]["id"].as_str().unwrap();
    let shown = dave.run(["outbox", "show", id]).await;
    assert!(shown.status.success() && shown.stdout == mail, "{}", text(&shown.stderr));

    std::fs::write(&file, network).unwrap();
    let (code, told) = retry(&dave).await;
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(subjects(&reader).await, BTreeMap::from([("from the train".to_owned(), 1)]));
}
