//! Mails and addresses that cannot be sent or written to.

use serde_json::json;

use super::{Says, assert_refused, user_without_nodes};
use crate::support::{Network, message, text};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_message_or_too_long_is_refused_before_anything_is_sent() {
    let directory = tempfile::tempdir().unwrap();
    let alice = user_without_nodes(&directory).await;
    let too_long = [b"Subject: x\r\n\r\n".to_vec(), vec![b'a'; anon::mail::BODY_MAX]].concat();
    let limit = format!("a mail may have {}", anon::mail::BODY_MAX);
    let headers = "hand in a file with headers, or give a subject with -s";
    let cases: [(&[u8], &str, &str); 4] = [
        (b"", "there is nothing to send", headers),
        (b"hello\n", "it has no header fields", headers),
        (b"\x00\xff\xfe\x80", "it has no header fields", headers),
        (&too_long, &limit, "send a smaller message"),
    ];
    for (input, cause, remedy) in cases {
        let says = Says { code: 65, error: "this cannot be sent", cause, remedy };
        let to = ["send", "--to", &alice.address];
        assert_refused(&alice.run_with_input(to, input).await, &says);
        // From a file it is no different.
        let file = directory.path().join("mail.eml");
        std::fs::write(&file, input).unwrap();
        let to = ["send", "--to", &alice.address, file.to_str().unwrap()];
        assert_refused(&alice.run(to).await, &says);
    }
    let output = alice.run_with_input(["send", "--to", &alice.address, "-s", "x"], b"\xff").await;
    let (error, remedy) = ("the text is not UTF-8", "send it as a finished message");
    assert_refused(&output, &Says { code: 65, error, cause: "invalid utf-8", remedy });
    let output = alice.run(["send", "--to", &alice.address, "no such file"]).await;
    let (error, cause) = ("cannot read no such file", "No such file or directory");
    assert_refused(&output, &Says { code: 66, error, cause, remedy: "check the path" });
    assert!(alice.outbox().await.is_empty(), "nothing of this waits to be sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_be_written_to_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let alice = user_without_nodes(&directory).await;
    let mail = message("hello", 1);
    for bad in ["bob", "@demo.alt", "bob@", "b\u{f6}b@demo.alt", "bob smith@demo.alt", ""] {
        let output = alice.run_with_input(["send", "--to", bad], &mail).await;
        let (error, remedy) = (format!("{bad} is no address"), "give one such as bob@demo.alt");
        let cause = "not an address";
        assert_refused(&output, &Says { code: 64, error: error.trim(), cause, remedy });
    }
    let output = alice.run_with_input(["send", "--to", "bob@other.alt"], &mail).await;
    let (error, cause) =
        ("bob@other.alt is not in this network", "addresses of this network end in @demo.alt");
    let remedy = "check the address";
    assert_refused(&output, &Says { code: 67, error, cause, remedy });

    let many: Vec<String> = (0..65).map(|number| format!("user{number}@demo.alt")).collect();
    let to = many.iter().flat_map(|address| ["--to", address.as_str()]);
    let output = alice.run_with_input(["send"].into_iter().chain(to), &mail).await;
    let (error, cause) = ("this cannot be sent", "65 recipients");
    let remedy = "send it to 64 at a time";
    assert_refused(&output, &Says { code: 65, error, cause, remedy });
    assert!(alice.outbox().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_the_network_does_not_know_is_told_and_the_others_get_the_mail() {
    let network = Network::start_with(5, |options| options.k = 3).await;
    let (alice, bob) = (network.user("alice").await, network.user("bob").await);
    let unknown = "nobody-of-this-name@demo.alt";
    let (error, cause) =
        (format!("{unknown} cannot be written to"), "no certificate for this address is stored");
    for how in [&["send", "--to", unknown][..], &["send", "--direct", "--to", unknown]] {
        let output = alice.run_with_input(how.iter().copied(), &message("hello", 1)).await;
        let remedy = "check the address";
        assert_refused(&output, &Says { code: 67, error: &error, cause, remedy });
    }
    let waiting = alice.outbox().await;
    assert_eq!(waiting.len(), 2, "its owner may publish it yet");
    for mail in &waiting {
        assert_eq!(
            (&mail["state"], &mail["unknown"]),
            (&json!("unknown recipient"), &json!([unknown]))
        );
        let id = mail["id"].as_str().unwrap();
        assert!(alice.run(["outbox", "--drop", id]).await.status.success());
    }
    assert!(alice.outbox().await.is_empty());

    let both = ["send", "--json", "--to", &bob.address, "--to", unknown];
    let output = alice.run_with_input(both, &message("to who is there", 1)).await;
    assert_eq!(output.status.code(), Some(67), "{}", text(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["delivered"], json!([bob.address]));
    assert_eq!(report["unknown"], json!([unknown]));
    assert_eq!(bob.fetch().await["delivered"].as_array().unwrap().len(), 1);

    // A subject longer than a notification has room for is whole in the mail.
    let long = "s".repeat(5_000);
    alice.send(["--to", &bob.address, "-s", &long], b"text").await;
    let shown = bob.fetch().await["delivered"][0]["subject"].as_str().unwrap().len();
    assert_eq!(shown, 256);
    let (first, second) = (bob.run(["read", "1"]).await, bob.run(["read", "2"]).await);
    assert!(text(&[first.stdout, second.stdout].concat()).contains(&long));
}

/// A message of so many random megabytes, as a mail program would make it of an attachment.
fn megabytes(count: usize) -> Vec<u8> {
    let noise: Vec<u8> = (0..count * 125_000).flat_map(|_| rand::random::<[u8; 8]>()).collect();
    let head = format!(
        "From: sender@demo.alt\r\nSubject: {count} MB\r\nMIME-Version: 1.0\r\n\
         Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    );
    (head + &data_encoding::BASE64_MIME.encode(&noise)).into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn mails_round_the_limit_arrive_or_are_refused_with_both_numbers() {
    let network = Network::start_with(5, |options| options.k = 3).await;
    let (alice, bob) = (network.user("alice").await, network.user("bob").await);
    let file = network.directory.path().join("mail.eml");
    let send = ["send", "--to", &bob.address, file.to_str().unwrap()];
    let mut taken = Vec::new();
    // Base64 makes 12 MB a little less than the limit, and 15 MB more.
    for count in [11, 12, 15, 20] {
        let mail = megabytes(count);
        std::fs::write(&file, &mail).unwrap();
        let started = std::time::Instant::now();
        let output = alice.run(send).await;
        if mail.len() <= anon::mail::BODY_MAX {
            assert!(output.status.success(), "{count} MB: {}", text(&output.stderr));
            println!("{} bytes were sent in {:.1?}", mail.len(), started.elapsed());
            taken.push(mail);
            continue;
        }
        let (length, limit) = (mail.len(), anon::mail::BODY_MAX);
        let cause = format!("the message has {length} bytes; a mail may have {limit}");
        let error = "this cannot be sent";
        assert_refused(&output, &Says { code: 65, error, cause: &cause, remedy: "smaller" });
    }
    assert_eq!(taken.len(), 2);
    assert!(alice.outbox().await.is_empty(), "what is refused does not wait");
    let started = std::time::Instant::now();
    assert_eq!(bob.fetch().await["delivered"].as_array().unwrap().len(), 2);
    println!("both were fetched in {:.1?}", started.elapsed());
    let mut arrived = bob.mails();
    arrived.sort_by_key(Vec::len);
    assert!(arrived == taken, "byte for byte");
}
