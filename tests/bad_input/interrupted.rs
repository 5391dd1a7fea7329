//! A command that is interrupted, and what its environment shows meanwhile. The network is one node that takes calls and
//! says nothing, or, where something is to arrive, one of processes.

use std::{process::Stdio, time::Duration};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::TcpListener,
    process::Child,
};

use super::user_of;
use crate::support::{Network, User, message, text};

/// A user whose commands hang at the network, and the port they hang at.
pub async fn hanging(directory: &tempfile::TempDir) -> (User, TcpListener) {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let user = user_of(directory, &format!("/ip4/127.0.0.1/tcp/{port}")).await;
    (user, silent)
}

/// Runs a command until it dials, ends it by this signal, and returns what it left.
async fn interrupted(
    user: &User,
    silent: &TcpListener,
    args: &[&str],
    signal: Signal,
) -> std::process::Output {
    // What an earlier command dialled more than once: this one's call is not to be taken for it.
    while tokio::time::timeout(Duration::from_millis(100), silent.accept()).await.is_ok() {}
    let child = user.command(args.iter().copied()).stdin(Stdio::null()).spawn().unwrap();
    let dialled = tokio::time::timeout(Duration::from_secs(120), silent.accept()).await;
    let (_held, _) = dialled.unwrap_or_else(|_| panic!("{args:?} never dials")).unwrap();
    end(child, signal).await
}

/// Ends a command by this signal.
async fn end(child: Child, signal: Signal) -> std::process::Output {
    kill_process(Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap(), signal)
        .unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(30), child.wait_with_output()).await;
    ended.expect("it ends").unwrap()
}

const SIGNALS: [(Signal, i32); 2] = [(Signal::INT, 130), (Signal::TERM, 143)];

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_send_says_that_the_mail_is_kept_and_how_to_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let (alice, silent) = hanging(&directory).await;
    let file = directory.path().join("mail.eml");
    std::fs::write(&file, "Subject: keep me\n\ntext\n").unwrap();
    let send = ["send", "--to", &alice.address, file.to_str().unwrap()];
    for (signal, code) in SIGNALS {
        let output = interrupted(&alice, &silent, &send, signal).await;
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{told}");
        assert!(told.contains("error: the mail waits in the outbox as"), "{told}");
        assert!(told.contains("try:   run `cutout outbox`"), "{told}");
    }
    // An answer is a mail as any other.
    let maildir = ua::maildir::Maildir::open(&alice.profile.join("mail")).unwrap();
    maildir.deliver(format!("Reply-To: {}\n\n", alice.address).as_bytes()).unwrap();
    let reply = ["reply", "1", "--reply-to", "new", file.to_str().unwrap()];
    let output = interrupted(&alice, &silent, &reply, Signal::INT).await;
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    let waiting = alice.outbox().await;
    let kept = |subject| waiting.iter().filter(|mail| mail["subject"] == subject).count();
    assert_eq!((waiting.len(), kept("keep me"), kept("Re: ")), (3, 2, 1), "{waiting:?}");

    // The first is told of; the others are not tried, and wait as they did.
    for (signal, code) in SIGNALS {
        let output = interrupted(&alice, &silent, &["outbox"], signal).await;
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{told}");
        assert_eq!(told.matches("still waits").count(), 1, "{told}");
        assert_eq!(told.matches("cause: this command was interrupted").count(), 1, "{told}");
        assert!(told.contains("try:   run `cutout outbox`"), "{told}");
    }
    let waiting = alice.outbox().await;
    assert_eq!(waiting.len(), 3);
    assert!(waiting.iter().all(|mail| mail["attempts"] == 0), "nobody heard of it: {waiting:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_fetch_says_how_to_go_on_and_never_speaks_of_the_outbox() {
    let directory = tempfile::tempdir().unwrap();
    let (alice, silent) = hanging(&directory).await;
    for args in [
        &["fetch"][..],
        &["fetch", "--direct"],
        &["fetch", "--scheme", "paper"],
        &["fetch", "--restored"],
        &["fetch", "--watch", "1"],
    ] {
        for (signal, code) in SIGNALS {
            let output = interrupted(&alice, &silent, args, signal).await;
            let told = text(&output.stderr);
            assert_eq!(output.status.code(), Some(code), "{args:?}: {told}");
            assert!(told.contains("error: the fetch ended before it delivered a mail"), "{told}");
            assert!(told.contains("cause: this command was interrupted"), "{told}");
            assert!(told.contains("try:   run `cutout fetch"), "{told}");
            assert!(told.contains("stays in the inbox") && !told.contains("outbox"), "{told}");
            assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_interrupted_commands_say_what_there_is_and_how_to_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let (alice, silent) = hanging(&directory).await;
    for (signal, code) in SIGNALS {
        let output = interrupted(&alice, &silent, &["doctor"], signal).await;
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{told}");
        assert!(told.contains("try:   run `cutout doctor` again"), "{told}");

        let profile = directory.path().join(format!("home-{code}"));
        let network = directory.path().join("network.toml");
        let new = User { profile, address: String::new(), scheme: None, host: Vec::new() };
        let init = ["init", "--network", network.to_str().unwrap()];
        let output = interrupted(&new, &silent, &init, signal).await;
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{told}");
        let error = "error: your address is made, but its certificate is not published yet";
        assert!(told.contains(error) && told.contains("try:   run `cutout fetch`"), "{told}");
        assert!(text(&output.stdout).trim().ends_with("@demo.alt"), "the address was told");
        assert!(new.run(["status"]).await.status.success(), "the user is whole");
    }
}

/// Without waiting for luck: in what the system was asked for, both handlers come before the first connection.
#[tokio::test(flavor = "multi_thread")]
async fn signals_are_held_before_anything_is_dialled() {
    if !strace_works() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let (alice, silent) = hanging(&directory).await;
    let file = directory.path().join("mail.eml");
    std::fs::write(&file, "Subject: keep me\n\ntext\n").unwrap();
    let send = ["send", "--to", &alice.address, file.to_str().unwrap()];
    for args in [&send[..], &["outbox"], &["fetch"], &["doctor"]] {
        let log = directory.path().join("log");
        let strace = ["strace", "-D", "-f", "-qq", "-e", "trace=rt_sigaction,connect", "-o"];
        let words = strace.into_iter().chain([log.to_str().unwrap()]).map(str::to_owned);
        let output = interrupted(&alice.within(words), &silent, args, Signal::TERM).await;
        assert_eq!(output.status.code(), Some(143), "{args:?}: {}", text(&output.stderr));
        let log = std::fs::read_to_string(log).unwrap();
        let first = |what: &str| {
            let at = log.lines().position(|line| line.contains(what));
            at.unwrap_or_else(|| panic!("{args:?}: no {what} in\n{log}"))
        };
        let dialled = first("connect(");
        for signal in ["rt_sigaction(SIGINT, {", "rt_sigaction(SIGTERM, {"] {
            assert!(first(signal) < dialled, "{args:?}: {signal} comes late:\n{log}");
        }
    }
}

/// Whether strace may be used here. CI sets `CUTOUT_REQUIRE_STRACE=1`, and then it must be.
fn strace_works() -> bool {
    let mut tried = std::process::Command::new("strace");
    let works = tried.args(["-D", "-qq", "-o", "/dev/null", "true"]).status();
    let works = works.is_ok_and(|status| status.success());
    let is_required = std::env::var("CUTOUT_REQUIRE_STRACE").is_ok_and(|value| value == "1");
    assert!(works || !is_required, "strace does not work");
    if !works {
        println!("not tried: strace does not work here");
    }
    works
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_that_is_interrupted_tells_what_it_delivered_and_the_next_delivers_the_rest() {
    let network = Network::start_with(5, |options| options.k = 3).await;
    let (alice, bob) = (network.user("alice").await, network.user("bob").await);
    let send = async |count: usize| {
        for _ in 0..count {
            alice.send(["--to", &bob.address], &message("one of them", 1)).await;
        }
    };
    send(3).await;
    let fetching = bob.command(["fetch", "--json"]).stdin(Stdio::null()).spawn().unwrap();
    let is_there =
        || std::fs::read_dir(bob.profile.join("mail/new")).is_ok_and(|mut d| d.next().is_some());
    // What was delivered is still to be deleted and acknowledged, and the certificate to be checked.
    while !is_there() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let output = end(fetching, Signal::INT).await;
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{told}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let delivered = report["delivered"].as_array().unwrap().len();
    assert!(delivered > 0 && delivered == bob.mails().len(), "{delivered}: {told}");
    assert!(told.contains("error: the fetch ended early; it delivered "), "{told}");
    assert!(told.contains("try:   run `cutout fetch` again"), "{told}");

    // Watched: the rest comes, and between two readings a signal ends it as well.
    send(1).await;
    let mut watching =
        bob.command(["fetch", "--watch", "600"]).stdin(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    for _ in delivered..4 {
        assert!(lines.next_line().await.unwrap().expect("a mail").contains("one of them"));
    }
    let output = end(watching, Signal::TERM).await;
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(143), "{told}");
    assert!(told.contains("try:   run `cutout fetch --watch` again"), "{told}");
    assert_eq!(bob.fetch().await["delivered"].as_array().unwrap().len(), 0);
    assert_eq!(bob.mails().len(), 4, "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_that_fails_never_speaks_of_the_outbox() {
    let mut network = Network::start_with(3, |options| options.k = 3).await;
    let bob = network.user("bob").await;
    let mut failed = Vec::new();
    // Too few nodes for a path, then one node, then none.
    for left in [3, 2, 1, 0] {
        for way in [&["--scheme", "guarded"][..], &["--scheme", "paper"], &["--direct"]] {
            let output = bob.run(["fetch"].iter().chain(way).copied()).await;
            let told = text(&output.stderr);
            assert!(!told.contains("outbox"), "{left} nodes, {way:?}: {told}");
            assert!(!told.contains("panicked"), "{told}");
            if !output.status.success() {
                assert!(told.contains("error: your mail cannot be fetched"), "{told}");
                assert!(told.contains("try:   "), "{left} nodes, {way:?}: {told}");
                let cause = told.lines().find(|line| line.starts_with("cause: ")).unwrap();
                println!("{left} nodes, {way:?}: {:?} {cause}", output.status.code());
                failed.push(cause.to_owned());
            }
        }
        if left > 0 {
            network.cluster.kill(left - 1).await.unwrap();
        }
    }
    failed.sort();
    failed.dedup();
    assert!(failed.len() >= 3, "different reasons: {failed:?}");
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
        command.env_remove("CUTOUT_PASSPHRASE").stdin(Stdio::null());
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
