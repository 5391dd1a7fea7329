//! Who signed a mail, and where an answer goes, from its sending to the answer's arrival: what was verified stands apart
//! from what a sender wrote.

use std::os::unix::ffi::OsStrExt as _;

use crate::support::{Network, User, text};

/// The line of `list --json` with this subject.
async fn listed(user: &User, subject: &str) -> serde_json::Value {
    let output = user.run(["list", "--json"]).await;
    let lines = text(&output.stdout);
    let line = lines.lines().find(|line| line.contains(subject));
    let line = line.unwrap_or_else(|| panic!("{subject} is not in\n{lines}"));
    serde_json::from_str(line).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_sender_looks_like_none_and_an_answer_goes_to_who_signed() {
    let network = Network::start_with(6, |options| options.k = 3).await;
    let (alice, bob) = (network.user("alice").await, network.user("bob").await);
    let mallory = network.user("mallory").await;

    let genuine =
        format!("From: {}\nSubject: genuine\nMessage-ID: <1@x.alt>\n\nit is me\n", alice.address);
    alice.send(["--sign", "--to", &bob.address, "-"], genuine.as_bytes()).await;
    let forged = format!("From: {}\nSubject: forged\n\nit is me, too\n", alice.address);
    mallory.send(["--to", &bob.address, "-"], forged.as_bytes()).await;
    let fetched = bob.run(["fetch"]).await;
    let told = text(&fetched.stdout);
    assert!(told.contains(&format!("signed by {}\t", alice.address)), "{told}");
    assert!(told.contains("anonymous\t") && told.contains("forged"), "{told}");

    let (good, bad) = (listed(&bob, "genuine").await, listed(&bob, "forged").await);
    assert_eq!(
        (&good["signed_by"], &good["signature"]),
        (&alice.address.clone().into(), &"verified".into())
    );
    assert_eq!((&bad["signed_by"], &bad["signature"]), (&serde_json::Value::Null, &"none".into()));
    assert_eq!(good["from"], bad["from"], "what was written is the same");
    let table = text(&bob.run(["list"]).await.stdout);
    let line =
        |subject: &str| table.lines().find(|line| line.contains(subject)).unwrap().to_owned();
    assert_eq!(line("genuine").matches(&alice.address).count(), 2, "{table}");
    assert_eq!(line("forged").matches(&alice.address).count(), 1, "{table}");
    assert!(line("forged").contains("(nobody)"), "{table}");
    let (good, bad) = (good["n"].to_string(), bad["n"].to_string());
    let first = async |number: &str| {
        text(&bob.run(["read", number]).await.stdout).lines().next().unwrap().to_owned()
    };
    assert_eq!(first(&good).await, format!("Signed by: {}", alice.address));
    assert!(
        first(&bad).await.starts_with("Not signed: the From line is whatever"),
        "{}",
        first(&bad).await
    );

    // Another mail program moves and renames the file; a byte more, and nobody signed it.
    let mut files: Vec<_> =
        std::fs::read_dir(bob.profile.join("mail/cur")).unwrap().map(|f| f.unwrap()).collect();
    files.sort_by_key(|file| file.file_name().as_bytes().to_vec());
    for (number, file) in files.iter().enumerate() {
        std::fs::rename(file.path(), bob.profile.join(format!("mail/cur/{number}.moved:2,FS")))
            .unwrap();
    }
    assert_eq!(listed(&bob, "genuine").await["signature"], "verified");
    let changed = [genuine.as_bytes(), b"!"].concat();
    std::fs::write(bob.profile.join("mail/new/9.changed"), changed).unwrap();
    std::fs::remove_file(
        bob.profile.join(format!("mail/cur/{}.moved:2,FS", position(&bob, "genuine"))),
    )
    .unwrap();
    assert_eq!(listed(&bob, "genuine").await["signature"], "unknown");
    // Without the passphrase nothing is claimed.
    let mut command = bob.command(["list", "--json"]);
    command.env_remove("CUTOUT_PASSPHRASE").stdin(std::process::Stdio::null());
    let lines = text(&command.output().await.unwrap().stdout);
    assert!(lines.lines().all(|line| line.contains("\"signature\":\"not checked\"")), "{lines}");

    answers(&alice, &bob, &mallory).await;
}

/// The number that the test gave to the moved file of this subject.
fn position(user: &User, subject: &str) -> usize {
    let find = |number: &usize| {
        let path = user.profile.join(format!("mail/cur/{number}.moved:2,FS"));
        std::fs::read(path).is_ok_and(|mail| text(&mail).contains(subject))
    };
    (0..9).find(find).unwrap()
}

async fn answers(alice: &User, bob: &User, mallory: &User) {
    let again =
        format!("From: {}\nSubject: at noon\nMessage-ID: <2@x.alt>\n\nyes?\n", mallory.address);
    alice.send(["--sign", "--to", &bob.address, "-"], again.as_bytes()).await;
    alice
        .send(["--reply-to", "new", "--to", &bob.address, "-s", "call me"], b"anonymously\n")
        .await;
    bob.fetch().await;
    let number = async |subject: &str| listed(bob, subject).await["n"].to_string();

    let (forged, signed, apart) =
        (number("forged").await, number("at noon").await, number("call me").await);
    let output = bob.run_with_input(["reply", &forged], b"text").await;
    assert_eq!(output.status.code(), Some(67), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("it is anonymous and gives no address for answers"));
    for (number, body) in [(&signed, "to who signed\n"), (&apart, "to the address apart\n")] {
        let output = bob.run_with_input(["reply", number, "--json"], body.as_bytes()).await;
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    assert_eq!(mallory.fetch().await["delivered"].as_array().unwrap().len(), 0, "not to From");
    assert_eq!(alice.fetch().await["delivered"].as_array().unwrap().len(), 2);
    let mails: Vec<String> = alice.mails().iter().map(|mail| text(mail)).collect();
    let answer = mails.iter().find(|mail| mail.contains("to who signed")).unwrap();
    assert!(answer.contains("Subject: Re: at noon\r\n"), "{answer}");
    assert!(answer.contains("In-Reply-To: <2@x.alt>\r\nReferences: <2@x.alt>\r\n"), "{answer}");
    assert!(!answer.contains(&bob.address) && !answer.contains("From:"), "{answer}");
    assert!(mails.iter().any(|mail| mail.contains("to the address apart")), "{mails:?}");
}
