//! A Maildir that is full, read-only or gone, and two fetches at once: what could not be kept was not acknowledged, and
//! comes with the next fetch.

use std::{
    collections::BTreeSet,
    path::Path,
    process::{Command, Output},
};

use super::disk::Mount;
use crate::support::{Network, User, message, text};

/// The mails of a fetch's report, by their subjects.
fn delivered(output: &Output) -> BTreeSet<String> {
    let Ok(report) = serde_json::from_slice::<serde_json::Value>(&output.stdout) else {
        return BTreeSet::new();
    };
    let mails = report["delivered"].as_array().unwrap();
    mails.iter().map(|mail| mail["subject"].as_str().unwrap().to_owned()).collect()
}

/// The mails that lie in a Maildir, by their subjects; each must be whole, and there once.
fn kept(maildir: &Path, sent: &[Vec<u8>]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for file in std::fs::read_dir(maildir.join("new")).unwrap() {
        let mail = std::fs::read(file.unwrap().path()).unwrap();
        assert!(sent.contains(&mail), "a mail of {} bytes is not whole", mail.len());
        let text = text(&mail);
        let subject = text.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap();
        assert!(found.insert(subject.to_owned()), "{subject} is there twice");
    }
    found
}

fn remount(at: &Path, how: &str) {
    let mut mount = Command::new("mount");
    let mounted = mount.args(["-o", &format!("remount,{how}")]).arg(at).status();
    assert!(mounted.unwrap().success(), "remounting {how} fails");
}

/// The fetch must fail, say what failed, and not speak of the outbox.
#[track_caller]
fn assert_not_kept(output: &Output, codes: [i32; 2], cause: &str) {
    let told = text(&output.stderr);
    let code = output.status.code().unwrap();
    assert!(codes.contains(&code), "{code}: {told}");
    assert!(told.contains("error: ") && told.contains(cause), "{told}");
    assert!(told.contains("try:   ") && !told.contains("outbox"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_maildir_cannot_keep_comes_with_a_later_fetch() {
    let network = Network::start_with(5, |options| options.k = 3).await;
    let disk = network.directory.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let Some(small) = Mount::with(&disk, "size=64k,nr_inodes=12,mode=700") else { return };
    let (alice, bob) = (network.user("alice").await, network.user("bob").await);
    let mut sent = Vec::new();
    let send = async |subject: &str, sent: &mut Vec<Vec<u8>>| {
        let mail = message(subject, 15);
        alice.send(["--to", &bob.address], &mail).await;
        sent.push(mail);
    };
    for number in 0..5 {
        send(&format!("mail {number}"), &mut sent).await;
    }
    let all: BTreeSet<String> = (0..5).map(|number| format!("mail {number}")).collect();
    let maildir = disk.join("md");
    let fetch = async |user: &User| {
        user.run(["fetch", "--json", "--maildir", maildir.to_str().unwrap()]).await
    };

    // Full: some have room, and the others are whole in the inbox.
    let output = fetch(&bob).await;
    println!("full: {:?} {}", output.status.code(), text(&output.stderr));
    assert_not_kept(&output, [73, 74], "No space left on device");
    let first = delivered(&output);
    assert!(!first.is_empty() && first.len() < 5, "{first:?}");
    assert_eq!(kept(&maildir, &sent), first, "what was told is what lies there");
    assert_eq!(std::fs::read_dir(maildir.join("tmp")).unwrap().count(), 0, "nothing half written");

    // Read-only.
    remount(&disk, "ro");
    let output = fetch(&bob).await;
    println!("read-only: {:?} {}", output.status.code(), text(&output.stderr));
    assert_not_kept(&output, [73, 74], "Read-only file system");
    assert!(delivered(&output).is_empty());

    // Gone, and in its place a disk with room: the rest comes, and what was acknowledged does not come again.
    drop(small);
    let Some(_large) = Mount::with(&disk, "size=24m,mode=700") else { return };
    let output = fetch(&bob).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    let second = delivered(&output);
    assert_eq!(kept(&maildir, &sent), second);
    assert!(first.is_disjoint(&second), "{first:?} {second:?}");
    assert_eq!(&first | &second, all, "all five arrived");

    // A folder of it is gone, and a file is in its place: nothing is fetched that could not be kept.
    send("mail 5", &mut sent).await;
    std::fs::rename(maildir.join("tmp"), disk.join("aside")).unwrap();
    std::fs::write(maildir.join("tmp"), "in the way").unwrap();
    let output = fetch(&bob).await;
    println!("gone: {:?} {}", output.status.code(), text(&output.stderr));
    assert_not_kept(&output, [73, 74], "the Maildir");
    std::fs::remove_file(maildir.join("tmp")).unwrap();

    // Two at once: each mail once.
    send("mail 6", &mut sent).await;
    let (one, other) = tokio::join!(fetch(&bob), fetch(&bob));
    for output in [&one, &other] {
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    let (one, other) = (delivered(&one), delivered(&other));
    assert!(one.is_disjoint(&other), "{one:?} {other:?}");
    let late = BTreeSet::from(["mail 5".to_owned(), "mail 6".to_owned()]);
    assert_eq!(&one | &other, late);
    assert_eq!(kept(&maildir, &sent), &second | &late);
}
