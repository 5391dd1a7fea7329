//! What is typed at a terminal: one of the test's own, which it sees and types at as a person would.

use std::{fs::File, process::Stdio, time::Duration};

use rustix::termios::{LocalModes, tcgetattr};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::user_without_nodes;
use crate::support::{User, program, text};

/// The longest that is waited for the next thing on the screen.
const TIMEOUT: Duration = Duration::from_secs(120);

/// After these the terminal must not show what is typed.
const PROMPTS: [&str; 4] =
    ["Passphrase: ", "Passphrase, to tell who signed", "New passphrase: ", "Again: "];

/// What was seen of a command line that ran at a terminal.
struct Seen {
    code: Option<i32>,
    screen: String,
    stdout: String,
}

impl Seen {
    /// Runs these words of the program, its stdout going to a file: whenever the screen shows the next of `typed`'s first
    /// halves, its second is typed.
    async fn of(user: &User, words: &[&str], typed: &[(&str, &str)]) -> Self {
        let mut terminal = Terminal::of(user, words, None);
        for (shown, keys) in typed {
            terminal.answer(shown, keys).await;
        }
        terminal.end().await
    }
}

/// A terminal with the program in it.
struct Terminal {
    pty: pty_process::Pty,
    child: tokio::process::Child,
    stdout: std::path::PathBuf,
    screen: Vec<u8>,
    /// How much of the screen was there when a key was last pressed.
    answered: usize,
}

impl Terminal {
    /// Starts these words of the program. Its stdin is the terminal, unless another is given. Nothing else of the environment
    /// reaches it: `CI` alone is enough for colours at a terminal that has none.
    fn of(user: &User, words: &[&str], stdin: Option<File>) -> Self {
        let (pty, pts) = pty_process::open().unwrap();
        let stdout = user.profile.with_extension("stdout");
        let mut command = pty_process::Command::new(program())
            .args(words)
            .env_clear()
            .env("TERM", "dumb")
            .env("CUTOUT_HOME", &user.profile)
            .stdout(Stdio::from(File::create(&stdout).unwrap()))
            .kill_on_drop(true);
        if let Some(stdin) = stdin {
            command = command.stdin(Stdio::from(stdin));
        }
        let child = command.spawn(pts).unwrap();
        Self { pty, child, stdout, screen: Vec::new(), answered: 0 }
    }

    /// Looks at the screen until something new is there; whether the program still has the terminal.
    async fn look(&mut self) -> bool {
        let mut some = [0; 1_024];
        let read = tokio::time::timeout(TIMEOUT, self.pty.read(&mut some)).await;
        // A terminal that no program has any more cannot be read.
        let read = read.unwrap_or_else(|_| panic!("{:?}", text(&self.screen))).unwrap_or(0);
        self.screen.extend_from_slice(&some[..read]);
        read > 0
    }

    /// Types these keys once this is on the screen.
    async fn answer(&mut self, shown: &str, keys: &str) {
        while !text(&self.screen[self.answered..]).contains(shown) {
            assert!(self.look().await, "not asked {shown:?}:\n{}", text(&self.screen));
        }
        // A prompt is there a moment before the terminal stops to show what is typed.
        let hidden = async {
            while PROMPTS.contains(&shown) && self.shows_keys() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(TIMEOUT, hidden).await.expect("the terminal hides what is typed");
        self.press(keys).await;
    }

    fn shows_keys(&self) -> bool {
        tcgetattr(&self.pty).unwrap().local_modes.contains(LocalModes::ECHO)
    }

    async fn press(&mut self, keys: &str) {
        self.answered = self.screen.len();
        self.pty.write_all(keys.as_bytes()).await.unwrap();
    }

    /// Sees the program to its end.
    async fn end(mut self) -> Seen {
        while self.look().await {}
        let code = self.child.wait().await.unwrap().code();
        let stdout = text(&std::fs::read(&self.stdout).unwrap());
        Seen { code, screen: text(&self.screen), stdout }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passphrase_is_asked_for_at_the_terminal_and_never_in_the_data() {
    let directory = tempfile::tempdir().unwrap();
    let alice = user_without_nodes(&directory).await;
    let maildir = ua::maildir::Maildir::open(&alice.profile.join("mail")).unwrap();
    maildir.deliver(b"Subject: noon\n\nat noon\n").unwrap();

    let right = ("Passphrase: ", "correct horse\n");
    let seen = Seen::of(&alice, &["status"], &[right]).await;
    assert_eq!(seen.code, Some(0), "{}", seen.screen);
    assert!(seen.stdout.contains(&alice.address), "{}", seen.stdout);
    assert!(!seen.stdout.contains("Passphrase") && !seen.screen.contains("horse"));

    let seen = Seen::of(&alice, &["status"], &[("Passphrase: ", "wrong horse\n")]).await;
    assert_eq!(seen.code, Some(77), "{}", seen.screen);
    assert!(seen.screen.contains("error: ") && !seen.screen.contains("horse"), "{}", seen.screen);
    assert_eq!(seen.stdout, "");

    // A list asks for it, and does without.
    for (typed, signature) in [("correct horse\n", "unknown"), ("\n", "not checked")] {
        let prompt = [("Passphrase, to tell who signed", typed)];
        let seen = Seen::of(&alice, &["list", "--json"], &prompt).await;
        assert_eq!(seen.code, Some(0), "{}", seen.screen);
        let line: serde_json::Value = serde_json::from_str(&seen.stdout).unwrap();
        assert_eq!((&line["subject"], &line["signature"]), (&"noon".into(), &signature.into()));
        assert!(!seen.screen.contains("horse"), "{}", seen.screen);
    }

    // Asked for twice where it is new; two that differ make nobody.
    let other = alice.copied_to(directory.path().join("other"));
    std::fs::remove_dir_all(&other.profile).unwrap();
    let network = directory.path().join("network.toml");
    let init = ["init", "--offline", "--network", network.to_str().unwrap()];
    let prompts = [("New passphrase: ", "one\n"), ("Again: ", "two\n")];
    let seen = Seen::of(&other, &init, &prompts).await;
    assert_eq!(seen.code, Some(77), "{}", seen.screen);
    assert!(seen.screen.contains("the passphrases differ") && !other.profile.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passphrase_and_a_message_never_share_an_input() {
    let directory = tempfile::tempdir().unwrap();
    let alice = user_without_nodes(&directory).await;
    let send = ["send", "--to", &alice.address, "-s", "noon"];

    // The message comes from a pipe: its first line is not taken for the passphrase, nor anything asked for.
    let message = directory.path().join("message");
    std::fs::write(&message, "correct horse\nand more\n").unwrap();
    let piped = Terminal::of(&alice, &send, Some(File::open(&message).unwrap())).end().await;
    assert_eq!(piped.code, Some(77), "{}", piped.screen);
    assert!(piped.screen.contains("standard input is no terminal"), "{}", piped.screen);
    assert!(piped.screen.contains("--passphrase-file"), "{}", piped.screen);
    assert!(alice.outbox().await.is_empty());

    // Both are typed, one after the other. What was typed is kept, though no node is there.
    let typed = [("Passphrase: ", "correct horse\n"), ("then Ctrl-D.", "by the oak\n\u{4}")];
    let seen = Seen::of(&alice, &send, &typed).await;
    assert_eq!(seen.code, Some(69), "{}", seen.screen);
    assert!(!seen.screen.contains("horse"), "{}", seen.screen);
    let waiting = alice.outbox().await;
    assert_eq!(waiting.len(), 1, "{}", seen.screen);
    let mail = alice.run(["outbox", "show", waiting[0]["id"].as_str().unwrap()]).await;
    let mail = text(&mail.stdout);
    assert!(mail.contains("by the oak") && !mail.contains("horse"), "{mail}");
    assert_eq!(seen.stdout, "", "all of it was talk");
}

/// Whether a mail has a file in the outbox.
fn is_kept(user: &User) -> bool {
    let vault = std::fs::read_dir(user.profile.join("vault")).unwrap();
    vault
        .map(|file| file.unwrap().file_name())
        .any(|name| name.to_str().unwrap().starts_with("outbox-"))
}

/// The network may take its time, and the person may lose patience: what was typed is kept before.
#[tokio::test(flavor = "multi_thread")]
async fn a_typed_mail_is_kept_while_the_network_is_still_being_entered() {
    let directory = tempfile::tempdir().unwrap();
    let (alice, silent) = super::interrupted::hanging(&directory).await;
    let send = ["send", "--to", &alice.address, "-s", "noon"];
    let mut terminal = Terminal::of(&alice, &send, None);
    terminal.answer("Passphrase: ", "correct horse\n").await;
    terminal.answer("then Ctrl-D.", "by the oak\n\u{4}").await;
    let dialled = tokio::time::timeout(TIMEOUT, silent.accept()).await;
    let _held = dialled.expect("it enters the network").unwrap();
    // It dials while the text is being typed; what must not be lost is in the outbox a moment later.
    let kept = async {
        while !is_kept(&alice) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(TIMEOUT, kept).await.expect("the mail is kept");
    terminal.press("\u{3}").await;
    let seen = terminal.end().await;
    assert_eq!(seen.code, Some(130), "{}", seen.screen);
    assert!(seen.screen.contains("error: the mail waits in the outbox as"), "{}", seen.screen);
    assert!(seen.screen.contains("try:   run `cutout outbox`"), "{}", seen.screen);
    assert_eq!(alice.outbox().await[0]["attempts"], 0);
}
