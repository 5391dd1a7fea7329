//! Text from strangers in every output: nothing that moves a cursor, turns the direction, or is not seen. And outputs that
//! nobody reads, that are full, or that are narrow.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use super::{Says, assert_refused, user_without_nodes};
use crate::{
    reading::Flood,
    support::{Network, program, text},
};

/// Fails if an output holds a control, bidi, zero-width, tag or separator character, raw; or speaks of a panic.
#[track_caller]
pub fn assert_harmless(output: &Output) {
    for stream in [&output.stdout, &output.stderr] {
        let shown = std::str::from_utf8(stream).expect("UTF-8 comes out");
        let harmful = shown.chars().find(|c| {
            (c.is_control() && !matches!(c, '\n' | '\t'))
                || matches!(u32::from(*c), 0x200B..=0x200F | 0x202A..=0x202E | 0x2060..=0x2069 | 0x61C
                    | 0x2028 | 0x2029 | 0xFEFF | 0xFE00..=0xFE0F | 0xAD | 0xE0000..=0xE007F)
        });
        assert_eq!(harmful, None, "{}", shown.escape_debug());
        assert!(!shown.contains("panicked"), "{shown}");
    }
}

/// One of each kind, between letters.
const EVIL: &str = "a\u{1b}[2Jb\u{7}c\u{9b}31md\u{7f}e\u{202e}f\u{2066}g\u{200b}h\u{200d}i\u{feff}j\u{2028}k\u{e0041}l\u{61c}m\u{200f}n\u{fe0f}o";

fn evil_mail() -> Vec<u8> {
    let word = format!("=?utf-8?b?{}?=", data_encoding::BASE64.encode(EVIL.as_bytes()));
    let percent: String = EVIL.bytes().map(|byte| format!("%{byte:02x}")).collect();
    format!(
        "From: \"{EVIL}\" <{EVIL}@demo.alt>\r\nFrom: {word} <x@demo.alt>\r\nReply-To: {word} <{EVIL}@demo.alt>\r\n\
         To: {word}: {EVIL}@demo.alt;\r\nSubject: {word} {EVIL}\r\nDate: {EVIL}\r\nMessage-ID: <{EVIL}>\r\n{EVIL}: x\r\n\
         Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{EVIL}\r\n\
         --b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>{EVIL}&#x1b;&#x202e;&#155;</p>\r\n\
         --b\r\nContent-Disposition: attachment; filename*=utf-8''{percent}\r\n\r\nx\r\n\
         --b\r\nContent-Disposition: attachment; filename=\"{EVIL}\"\r\n\r\nx\r\n--b--\r\n"
    )
    .into_bytes()
}

fn maildir_with(directory: &Path, mails: impl IntoIterator<Item = Vec<u8>>) -> PathBuf {
    let maildir = directory.join("maildir");
    for folder in ["cur", "new", "tmp"] {
        std::fs::create_dir_all(maildir.join(folder)).unwrap();
    }
    for (number, mail) in mails.into_iter().enumerate() {
        std::fs::write(maildir.join(format!("new/{}.m", 1_700_000_000 + number)), mail).unwrap();
    }
    maildir
}

/// Over a network, and then with its nodes gone.
#[tokio::test(flavor = "multi_thread")]
async fn no_output_carries_what_a_stranger_hid() {
    let mut network = Network::start_with(5, |options| options.k = 3).await;
    let (alice, bob) = (network.user("alice").await, network.user("bob").await);
    let saved = network.directory.path().join("saved");
    let saved = saved.to_str().unwrap();
    let file = network.directory.path().join("evil.eml");
    std::fs::write(&file, evil_mail()).unwrap();
    let send = ["send", "-v", "--to", &bob.address, file.to_str().unwrap()];
    let mut outputs = vec![alice.run(send).await];
    // A stranger's own program writes whatever it likes into the sealed headers.
    let stranger = Flood::new(&network, &bob).await;
    stranger.mail_called(EVIL, &evil_mail()).await;
    outputs.push(bob.run(["fetch", "-v"]).await);
    stranger.mail_called(EVIL, &evil_mail()).await;
    outputs.push(bob.run(["fetch", "--json"]).await);
    let fetched = text(&outputs[1].stdout);
    assert_eq!(fetched.lines().filter(|line| line.contains("�[2Jb")).count(), 2, "{fetched}");
    let json: serde_json::Value = serde_json::from_slice(&outputs[2].stdout).unwrap();
    assert_eq!(json["delivered"][0]["subject"], EVIL, "the data is all there");
    assert_eq!(bob.mails(), [evil_mail(), evil_mail(), evil_mail()]);
    for index in 0..network.cluster.nodes().len() {
        network.cluster.kill(index).await.unwrap();
    }
    for args in [
        vec!["send", "--to", &bob.address, file.to_str().unwrap()],
        vec!["fetch", "--maildir", saved],
    ] {
        let output = bob.run(args).await;
        assert_eq!(output.status.code(), Some(69), "{}", text(&output.stderr));
        outputs.push(output);
    }
    let evil_address = format!("{EVIL}@demo.alt");
    for args in [
        &["list"][..],
        &["list", "--json"],
        &["read", "1"],
        &["read", "1", "--save", saved],
        &["outbox", "--list"],
        &["outbox", "--list", "--json"],
        &["outbox"],
        &["status"],
        &["send", "--to", &evil_address, "-s", "x"],
        &["list", "--maildir", EVIL],
        &["fetch", "--maildir", &format!("/dev/null/{EVIL}")],
        &["reply", "1"],
        &["outbox", "--drop", EVIL],
    ] {
        outputs.push(bob.run(args.iter().copied()).await);
    }
    for output in &outputs {
        assert_harmless(output);
    }
    // It is not hidden by showing nothing.
    assert!(text(&outputs[5].stdout).contains("�[2Jb"), "{}", text(&outputs[5].stdout));
    assert!(text(&outputs[9].stdout).contains("�[2Jb"), "{}", text(&outputs[9].stdout));
    let listed = text(&outputs[6].stdout);
    let json: serde_json::Value = serde_json::from_str(listed.lines().next().unwrap()).unwrap();
    assert!(json["subject"].as_str().unwrap().contains('\u{202e}'), "the data is all there");
    let mut names = 0;
    for name in std::fs::read_dir(saved).unwrap() {
        let name = name.unwrap().file_name().into_string().unwrap();
        let is_evil = |c: char| c.is_control() || c == '\u{202e}' || c == '\u{200b}';
        assert!(!name.chars().any(is_evil), "{name:?}");
        names += 1;
    }
    assert!(names > 0, "attachments were saved");
}

#[test]
fn an_output_that_nobody_reads_ends_the_command_quietly() {
    let directory = tempfile::tempdir().unwrap();
    let mails = (0..200).map(|n| format!("Subject: {n}\n\n{n}\n").into_bytes());
    let maildir = maildir_with(directory.path(), mails);
    for args in [&["list"][..], &["list", "--json"], &["read", "1"], &["read", "1", "--raw"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command(&maildir, args).stdout(writer).output().unwrap();
        assert_eq!(output.status.code(), Some(141), "{args:?}: {}", text(&output.stderr));
        assert!(!text(&output.stderr).contains("error"), "{args:?}: {}", text(&output.stderr));
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = command(&maildir, args).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(74), "{args:?}: {}", text(&output.stderr));
    }
}

#[test]
fn a_table_fits_into_its_terminal_and_a_mail_is_one_line() {
    use unicode_width::UnicodeWidthStr as _;
    let directory = tempfile::tempdir().unwrap();
    let mails =
        ["short".to_owned(), "漢".repeat(5_000), "x ".repeat(3_000), "e\u{301}".repeat(900)];
    let mails = mails.map(|subject| {
        format!("From: \"{subject}\" <a@b.alt>\nSubject: {subject}\n\n").into_bytes()
    });
    let maildir = maildir_with(directory.path(), mails);
    for columns in [60, 80, 132] {
        let output =
            command(&maildir, &["list"]).env("COLUMNS", columns.to_string()).output().unwrap();
        let table = text(&output.stdout);
        assert_eq!(table.lines().count(), 5, "{table}");
        for line in table.lines() {
            assert!(line.width() <= columns, "{} columns of {columns}: {line}", line.width());
        }
        assert!(table.contains("short"), "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_maildir_that_is_not_there_is_not_made() {
    let directory = tempfile::tempdir().unwrap();
    let alice = user_without_nodes(&directory).await;
    let typo = directory.path().join("typo");
    for command in [&["list"][..], &["read", "1"], &["reply", "1"]] {
        let args = command.iter().copied().chain(["--maildir", typo.to_str().unwrap()]);
        let (error, cause) = ("there is no Maildir at", "find the Maildir's folders");
        assert_refused(
            &alice.run(args).await,
            &Says { code: 66, error, cause, remedy: "check the path" },
        );
        assert!(!typo.exists());
    }
}

#[test]
fn a_report_that_cannot_be_written_is_told_before_the_audit() {
    let started = std::time::Instant::now();
    let mut command = Command::new(program());
    command.args(["audit", "run", "--quick", "--html", "/nonexistent/x"]).stdin(Stdio::null());
    let output = command.output().unwrap();
    let says = Says {
        code: 73,
        error: "cannot write /nonexistent/x",
        cause: "No such file",
        remedy: "check the path",
    };
    assert_refused(&output, &says);
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
}

fn command(maildir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(args).arg("--maildir").arg(maildir).env("CUTOUT_HOME", maildir.join("nobody"));
    command.stdin(Stdio::null()).env_remove("COLUMNS").env_remove("CUTOUT_PASSPHRASE");
    command
}
