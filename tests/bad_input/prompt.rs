//! The passphrase typed at a terminal: one of its own, which `script` (util-linux) makes and shows.

use std::{path::Path, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::Command,
};

use super::user_without_nodes;
use crate::support::{User, program, text};

/// Nothing that is shown, but a mail in the outbox.
const KEPT: &str = "";

/// After these the terminal must not show what is typed.
const PROMPTS: [&str; 4] =
    ["Passphrase: ", "Passphrase, to tell who signed", "New passphrase: ", "Again: "];

/// Whether a terminal shows nothing of what is typed.
async fn hides(terminal: &str) -> bool {
    let asked = Command::new("stty").args(["-F", terminal, "-a"]).output().await.unwrap();
    assert!(asked.status.success(), "{}", text(&asked.stderr));
    text(&asked.stdout).split_whitespace().any(|word| word == "-echo")
}

/// What was seen of a command line that ran at a terminal.
struct Seen {
    code: Option<i32>,
    screen: String,
    stdout: String,
}

impl Seen {
    /// Runs these words of the program, its stdout going to a file: whenever the screen shows the next of `typed`'s first
    /// halves, its second is typed.
    async fn of(user: &User, before: &str, words: &str, typed: &[(&str, &str)]) -> Self {
        let file = user.home.with_extension("stdout");
        let at = user.home.with_extension("tty");
        let line = format!(
            "tty >'{}'; {before}'{}' {words} >'{}'",
            at.display(),
            program().display(),
            file.display()
        );
        let mut command = Command::new("script");
        command.args(["-qec", &line, "/dev/null"]).env("SHELL", "/bin/sh").env("TERM", "dumb");
        command.env("CUTOUT_HOME", &user.home).env_remove("CUTOUT_PASSPHRASE").kill_on_drop(true);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (mut keys, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (mut seen, mut from) = (Vec::new(), 0);
        let mut left = typed.iter();
        let mut next = left.next();
        loop {
            let mut some = [0; 1_024];
            let read = tokio::time::timeout(Duration::from_secs(120), screen.read(&mut some)).await;
            let read = read.unwrap_or_else(|_| panic!("{words}: {:?}", text(&seen))).unwrap_or(0);
            if read == 0 {
                break;
            }
            seen.extend_from_slice(&some[..read]);
            while let Some((shown, keys_of)) = next
                && text(&seen[from..]).contains(shown)
            {
                if *shown == KEPT {
                    while user.outbox().await.is_empty() {}
                } else if PROMPTS.contains(shown) {
                    // The prompt is there a moment before the terminal stops to show what is typed.
                    while !hides(content(&at).trim()).await {}
                }
                keys.write_all(keys_of.as_bytes()).await.unwrap();
                (from, next) = (seen.len(), left.next());
            }
        }
        let code = child.wait().await.unwrap().code();
        let screen = text(&seen);
        assert_eq!(next, None, "{words}: not asked:\n{screen}");
        Self { code, screen, stdout: content(&file) }
    }
}

fn content(file: &Path) -> String {
    text(&std::fs::read(file).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passphrase_is_asked_for_at_the_terminal_and_never_in_the_data() {
    let directory = tempfile::tempdir().unwrap();
    let alice = user_without_nodes(&directory).await;
    let maildir = ua::maildir::Maildir::open(&alice.home.join("mail")).unwrap();
    maildir.deliver(b"Subject: noon\n\nat noon\n").unwrap();

    let right = ("Passphrase: ", "correct horse\n");
    let seen = Seen::of(&alice, "", "status", &[right]).await;
    assert_eq!(seen.code, Some(0), "{}", seen.screen);
    assert!(seen.stdout.contains(&alice.address), "{}", seen.stdout);
    assert!(!seen.stdout.contains("Passphrase") && !seen.screen.contains("horse"));

    let seen = Seen::of(&alice, "", "status", &[("Passphrase: ", "wrong horse\n")]).await;
    assert_eq!(seen.code, Some(77), "{}", seen.screen);
    assert!(seen.screen.contains("error: ") && !seen.screen.contains("horse"), "{}", seen.screen);
    assert_eq!(seen.stdout, "");

    // A list asks for it, and does without.
    for (typed, signature) in [("correct horse\n", "unknown"), ("\n", "not checked")] {
        let prompt = [("Passphrase, to tell who signed", typed)];
        let seen = Seen::of(&alice, "", "list --json", &prompt).await;
        assert_eq!(seen.code, Some(0), "{}", seen.screen);
        let line: serde_json::Value = serde_json::from_str(&seen.stdout).unwrap();
        assert_eq!((&line["subject"], &line["signature"]), (&"noon".into(), &signature.into()));
        assert!(!seen.screen.contains("horse"), "{}", seen.screen);
    }

    // Asked for twice where it is new; two that differ make nobody.
    let other = alice.copied_to(directory.path().join("other"));
    std::fs::remove_dir_all(&other.home).unwrap();
    let network = directory.path().join("network.toml");
    let init = format!("init --offline --network '{}'", network.display());
    let prompts = [("New passphrase: ", "one\n"), ("Again: ", "two\n")];
    let seen = Seen::of(&other, "", &init, &prompts).await;
    assert_eq!(seen.code, Some(77), "{}", seen.screen);
    assert!(seen.screen.contains("the passphrases differ") && !other.home.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passphrase_and_a_message_never_share_an_input() {
    let directory = tempfile::tempdir().unwrap();
    let alice = user_without_nodes(&directory).await;
    let send = format!("send --to {} -s noon", alice.address);

    // The message comes from a pipe: its first line is not taken for the passphrase, nor anything asked for.
    let piped = Seen::of(&alice, "printf 'correct horse\\nand more\\n' | ", &send, &[]).await;
    assert_eq!(piped.code, Some(77), "{}", piped.screen);
    assert!(piped.screen.contains("standard input is no terminal"), "{}", piped.screen);
    assert!(piped.screen.contains("--passphrase-file"), "{}", piped.screen);
    assert!(alice.outbox().await.is_empty());

    // Both are typed, one after the other. What was typed is kept, though no node is there.
    let typed = [("Passphrase: ", "correct horse\n"), ("then Ctrl-D.", "by the oak\n\u{4}")];
    let seen = Seen::of(&alice, "", &send, &typed).await;
    assert_eq!(seen.code, Some(69), "{}", seen.screen);
    assert!(!seen.screen.contains("horse"), "{}", seen.screen);
    let waiting = alice.outbox().await;
    assert_eq!(waiting.len(), 1, "{}", seen.screen);
    let mail = alice.run(["outbox", "show", waiting[0]["id"].as_str().unwrap()]).await;
    let mail = text(&mail.stdout);
    assert!(mail.contains("by the oak") && !mail.contains("horse"), "{mail}");
    assert_eq!(seen.stdout, "", "all of it was talk");
}

/// The network may take its time, and the person may lose patience: what was typed is kept before.
#[tokio::test(flavor = "multi_thread")]
async fn a_typed_mail_is_kept_while_the_network_is_still_being_entered() {
    let directory = tempfile::tempdir().unwrap();
    let (alice, silent) = super::interrupted::hanging(&directory).await;
    let dialled = tokio::spawn(async move { silent.accept().await.unwrap().0 });
    let send = format!("send --to {} -s noon", alice.address);
    let typed = [
        ("Passphrase: ", "correct horse\n"),
        ("then Ctrl-D.", "by the oak\n\u{4}"),
        (KEPT, "\u{3}"),
    ];
    let started = std::time::Instant::now();
    let seen = Seen::of(&alice, "", &send, &typed).await;
    println!("ended after {:.1?}", started.elapsed());
    assert_eq!(seen.code, Some(130), "{}", seen.screen);
    assert!(seen.screen.contains("error: the mail waits in the outbox as"), "{}", seen.screen);
    assert!(seen.screen.contains("try:   run `cutout outbox`"), "{}", seen.screen);
    assert!(dialled.is_finished(), "it was entering the network");
    assert_eq!(alice.outbox().await[0]["attempts"], 0);
}
