//! A command that is interrupted, and what its environment shows meanwhile. The network is one node that takes calls and
//! says nothing.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpListener;

use super::user_of;
use crate::support::{User, text};

/// A user whose commands hang at the network, and the port they hang at.
async fn hanging(directory: &tempfile::TempDir) -> (User, TcpListener) {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let user = user_of(directory, &format!("/ip4/127.0.0.1/tcp/{port}")).await;
    (user, silent)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_send_says_that_the_mail_is_kept_and_how_to_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let (alice, silent) = hanging(&directory).await;
    let file = directory.path().join("mail.eml");
    std::fs::write(&file, "Subject: keep me\n\ntext\n").unwrap();
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let send = ["send", "--to", &alice.address, file.to_str().unwrap()];
        let child = alice.command(send).spawn().unwrap();
        let (_held, _) = silent.accept().await.unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(30), child.wait_with_output()).await;
        let output = ended.expect("it ends").unwrap();
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{told}");
        assert!(told.contains("the mail waits in the outbox as"), "{told}");
        assert!(told.contains("try:   run `cutout outbox`"), "{told}");
    }
    let waiting = alice.outbox().await;
    assert_eq!(waiting.len(), 2);
    assert!(waiting.iter().all(|mail| mail["subject"] == "keep me"), "{waiting:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_command_shows_no_passphrase_in_its_environment() {
    let directory = tempfile::tempdir().unwrap();
    let (alice, silent) = hanging(&directory).await;
    // What `user_of` gives by the environment opened the vault: it gets there.
    let mut child = alice.command(["fetch"]).spawn().unwrap();
    let (_held, _) = silent.accept().await.unwrap();
    let process = format!("/proc/{}", child.id().unwrap());
    let environment = std::fs::read(format!("{process}/environ")).unwrap();
    let environment = text(&environment);
    // Not shown where it fails: it is this machine's.
    assert!(environment.contains("CUTOUT_HOME="), "this is another process");
    let is_there = ["CUTOUT_PASSPHRASE=", "correct horse"].map(|word| environment.contains(word));
    assert_eq!(is_there, [false; 2], "the variable, the passphrase");
    let arguments = text(&std::fs::read(format!("{process}/cmdline")).unwrap());
    assert!(arguments.contains("fetch") && !arguments.contains("horse"), "{arguments}");
    child.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passphrase_is_taken_as_it_stands() {
    let directory = tempfile::tempdir().unwrap();
    let alice = super::user_without_nodes(&directory).await;
    let file = directory.path().join("passphrase");
    for (content, code) in [
        (&b"correct horse"[..], 0),
        (b"correct horse\n", 0),
        (b"correct horse\r\n", 0),
        (b"correct horse\nand more", 0),
        (b"correct horse ", 77),
        (b"", 77),
        (b"p\xc3\xa4ss", 77),
        (b"p\xe4ss", 77),
        (&[b'x'; 4_096], 77),
    ] {
        std::fs::write(&file, content).unwrap();
        let output = alice.run(["list", "--passphrase-file", file.to_str().unwrap()]).await;
        assert_eq!(output.status.code(), Some(code), "{content:.40?}: {}", text(&output.stderr));
        assert!(!text(&output.stderr).contains("horse"));
    }
    // By the environment it is whole, whatever is in it.
    for (passphrase, code) in [("correct horse", 0), ("correct horse\n", 77), ("", 77)] {
        let mut command = alice.command(["list"]);
        let output = command.env("CUTOUT_PASSPHRASE", passphrase).output().await.unwrap();
        assert_eq!(output.status.code(), Some(code), "{passphrase:?}: {}", text(&output.stderr));
    }
    // Where nobody can be asked, a list does without, and a fetch says how to give one.
    let without = async |command: &'static str| {
        let mut command = alice.command([command]);
        command.env_remove("CUTOUT_PASSPHRASE").stdin(std::process::Stdio::null());
        command.output().await.unwrap()
    };
    assert!(without("list").await.status.success());
    assert_eq!(without("fetch").await.status.code(), Some(77));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_message_that_tells_of_its_sender_is_warned_of() {
    let directory = tempfile::tempdir().unwrap();
    let alice = super::user_without_nodes(&directory).await;
    let case = |name: &str| format!("{}/tests/cases/{name}.eml", env!("CARGO_MANIFEST_DIR"));
    let told = async |args: &[&str], input: &[u8]| {
        let args = ["send", "--to", &alice.address].into_iter().chain(args.iter().copied());
        let output = alice.run_with_input(args, input).await;
        assert_eq!(output.status.code(), Some(69), "it is sent all the same, when nodes are there");
        text(&output.stderr)
    };
    for (name, fields) in [
        (
            "24-identifying-headers",
            &[
                "Received",
                "Return-Path",
                "From",
                "Date",
                "Message-ID",
                "User-Agent",
                "X-Mailer",
                "Content-Language",
                "X-Originating-IP",
                "X-Mozilla-Draft-Info",
                "Autocrypt",
            ][..],
        ),
        ("10-bcc-in-file", &["Bcc", "Resent-Bcc", "X-Bcc"]),
        ("27-only-bcc", &["Bcc"]),
        ("identifying", &["Bcc", "X-Originating-IP", "User-Agent"]),
    ] {
        let told = told(&[&case(name)], b"").await;
        assert!(told.starts_with("warning: the message goes out byte for byte"), "{told}");
        for field in fields {
            assert!(told.contains(&format!("\n  {field}: ")), "{name}: no {field} in\n{told}");
        }
    }
    // The text form names nobody, and a message that tells nothing is not warned of.
    assert!(!told(&["-s", "noon"], b"at noon\n").await.contains("warning"));
    assert!(!told(&["-"], b"Subject: noon\n\nat noon\n").await.contains("warning"));
    // A subject alone is something to say.
    assert!(!told(&["-s", "noon"], b"").await.contains("nothing to send"));
}
