//! Profiles, passphrases and files that are not as they should be.

use std::{path::Path, process::Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpListener,
};

use super::{Says, assert_refused, user_of, user_without_nodes};
use crate::support::{User, message, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_passphrase_must_be_there_and_right() {
    let directory = tempfile::tempdir().unwrap();
    let alice = user_without_nodes(&directory).await;
    for command in [&["fetch"][..], &["outbox"], &["send", "--to", &alice.address]] {
        let with = async |passphrase: Option<&str>| {
            let mut command = alice.command(command.iter().copied());
            command.env_remove("CUTOUT_PASSPHRASE").stdin(Stdio::piped());
            if let Some(passphrase) = passphrase {
                command.env("CUTOUT_PASSPHRASE", passphrase);
            }
            let mut child = command.spawn().unwrap();
            let mut stdin = child.stdin.take().unwrap();
            let _ = stdin.write_all(&message("hello", 1)).await;
            drop(stdin);
            child.wait_with_output().await.unwrap()
        };
        let error = "the sealed files cannot be used";
        let says = Says {
            code: 77,
            error,
            cause: "wrong passphrase",
            remedy: "type the passphrase again",
        };
        assert_refused(&with(Some("incorrect horse")).await, &says);
        let remedy = "set CUTOUT_PASSPHRASE or --passphrase-file";
        let says = Says { code: 77, error, cause: "the passphrase is empty", remedy };
        assert_refused(&with(Some("")).await, &says);
        let cause = "standard input is no terminal";
        assert_refused(
            &with(None).await,
            &Says { code: 77, error: "no passphrase", cause, remedy },
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_must_be_initialised_once() {
    let directory = tempfile::tempdir().unwrap();
    let stranger = User {
        profile: directory.path().join("nothing here"),
        address: String::new(),
        scheme: None,
        host: Vec::new(),
    };
    let error = "this user's directory cannot be used";
    for command in [&["fetch"][..], &["outbox"], &["send", "--to", "bob@demo.alt", "-s", "x"]] {
        let output = stranger.run_with_input(command.iter().copied(), b"text").await;
        let (cause, remedy) = ("there is no cutout user in", "run `cutout init INVITATION` first");
        assert_refused(&output, &Says { code: 78, error, cause, remedy });
    }
    let alice = user_without_nodes(&directory).await;
    let network = directory.path().join("network.toml");
    let output = alice.run(["init", "--network", network.to_str().unwrap()]).await;
    let (cause, remedy) = ("there already is a cutout user in", "use it as it is");
    assert_refused(&output, &Says { code: 73, error, cause, remedy });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_network_file_is_refused_by_all_who_read_it() {
    let directory = tempfile::tempdir().unwrap();
    let alice = user_without_nodes(&directory).await;
    let profile = alice.profile.join("network.toml");
    for (damaged, cause) in [
        ("name = 'demo.alt", "the network file is not valid"),
        ("name = 'Demo'", "a domain in lower case"),
        ("name = 'demo.alt'\nk = 0", "k must be 1 to 20"),
        ("name = 'demo.alt'\nbootstrap = ['somewhere']", "a bootstrap address must look like"),
        ("name = 'demo.alt'\ncolour = 'blue'", "unknown field `colour`"),
    ] {
        std::fs::write(&profile, damaged).unwrap();
        let error = "this user's directory cannot be used";
        let says = Says { code: 78, error, cause, remedy: "check the network file" };
        assert_refused(&alice.run(["fetch"]).await, &says);
        let newcomer = User {
            profile: directory.path().join("new"),
            address: String::new(),
            scheme: None,
            host: Vec::new(),
        };
        assert_refused(
            &newcomer.run(["init", "--network", profile.to_str().unwrap()]).await,
            &says,
        );
        assert!(!newcomer.profile.exists(), "nothing is left behind");
    }
    std::fs::remove_file(&profile).unwrap();
    let output = alice.run(["fetch"]).await;
    let (error, cause) =
        ("this user's directory cannot be used", "the network file cannot be read");
    assert_refused(&output, &Says { code: 78, error, cause, remedy: "check the network file" });
    let output = alice.run(["init", "--network", profile.to_str().unwrap()]).await;
    let (error, cause) = ("cannot read", "No such file or directory");
    assert_refused(&output, &Says { code: 66, error, cause, remedy: "check the path" });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_vault_says_so_and_is_not_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let alice = user_without_nodes(&directory).await;
    let remedy = "restore that file from your backup; nothing was changed";
    for (name, cause) in
        [("vault", "vault/vault is damaged"), ("account", "vault/account is damaged")]
    {
        let path = alice.profile.join("vault").join(name);
        let whole = std::fs::read(&path).unwrap();
        for damage in [flip_a_bit, cut_short, empty] {
            let damaged = damage(whole.clone());
            std::fs::write(&path, &damaged).unwrap();
            let output = alice.run(["fetch"]).await;
            let error = "the sealed files cannot be used";
            assert_refused(&output, &Says { code: 74, error, cause, remedy });
            assert_eq!(std::fs::read(&path).unwrap(), damaged);
        }
        std::fs::write(&path, whole).unwrap();
    }
    assert!(alice.run(["outbox"]).await.status.success(), "whole again, it opens");
}

fn flip_a_bit(mut bytes: Vec<u8>) -> Vec<u8> {
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    bytes
}

fn cut_short(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.pop();
    bytes
}

fn empty(_: Vec<u8>) -> Vec<u8> {
    Vec::new()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_commands_share_a_profile_and_only_one_reads() {
    let directory = tempfile::tempdir().unwrap();
    // A node that accepts and says nothing, so that the first command is busy; and it stands still, so that it stays so
    // however long the others take.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let alice = user_of(&directory, &format!("/ip4/127.0.0.1/tcp/{port}")).await;
    let mut first = alice.command(["fetch"]).spawn().unwrap();
    let (_held, _) = silent.accept().await.unwrap();
    let id = Pid::from_raw(i32::try_from(first.id().unwrap()).unwrap()).unwrap();
    kill_process(id, Signal::STOP).unwrap();
    for command in [&["outbox"][..], &["outbox", "--list"], &["status"]] {
        let output = alice.run(command.iter().copied()).await;
        assert!(output.status.success(), "{command:?}: {}", text(&output.stderr));
    }
    assert!(first.try_wait().unwrap().is_none(), "the first command is still at it");
    let mut second = alice.command(["fetch"]);
    let mut second = second.stderr(Stdio::piped()).spawn().unwrap();
    let mut told = BufReader::new(second.stderr.take().unwrap()).lines();
    let waits = "Another cutout command is reading your mail; waiting for it to end.";
    while told.next_line().await.unwrap().expect("it says that it waits") != waits {}
    first.kill().await.unwrap();
    // A killed command holds nothing: the second one has its turn, and nobody to reach.
    drop(silent);
    assert_eq!(second.wait().await.unwrap().code(), Some(69));
}

#[tokio::test(flavor = "multi_thread")]
async fn maildirs_and_mails_that_are_not_there_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let alice = user_without_nodes(&directory).await;
    for number in ["0", "1", "99"] {
        let output = alice.run(["read", number]).await;
        let error = format!("there is no mail {number}");
        let (cause, remedy) = ("the list has 0", "see `cutout list`");
        assert_refused(&output, &Says { code: 64, error: &error, cause, remedy });
    }
    let file = directory.path().join("a file");
    std::fs::write(&file, "not a directory").unwrap();
    for path in [file.clone(), file.join("below")] {
        let path = path.to_str().unwrap();
        let (error, cause) = ("the Maildir cannot be used", "cannot create the Maildir");
        let remedy = "check the directory and its permissions";
        let output = alice.run(["fetch", "--maildir", path]).await;
        assert_refused(&output, &Says { code: 73, error, cause, remedy });
        // What only looks makes nothing.
        let (error, cause) = ("there is no Maildir at", "cannot find the Maildir's folders");
        let output = alice.run(["list", "--maildir", path]).await;
        assert_refused(&output, &Says { code: 66, error, cause, remedy: "check the path" });
    }
    let output = alice.run(["fetch"]).await;
    let (error, cause) = ("your mail cannot be fetched", "no node of the network can be reached");
    let remedy = "check the bootstrap addresses";
    assert_refused(&output, &Says { code: 69, error, cause, remedy });
    let output = alice.run(["outbox", "--drop", "abc"]).await;
    let says = Says {
        code: 64,
        error: "nothing waits as abc",
        cause: "",
        remedy: "see `cutout outbox --list`",
    };
    assert_refused(&output, &says);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_certificate_is_not_installed() {
    let directory = tempfile::tempdir().unwrap();
    let alice = user_without_nodes(&directory).await;
    let garbage = directory.path().join("garbage");
    for bytes in [&b""[..], b"hello", &[0xff; 300]] {
        std::fs::write(&garbage, bytes).unwrap();
        let output = alice.run(["init", "--certificate", path(&garbage)]).await;
        let (error, cause) = ("this is no address certificate", "malformed");
        let remedy = "ask the authority for the file again";
        assert_refused(&output, &Says { code: 65, error, cause, remedy });
    }
    let network = directory.path().join("network.toml");
    for (address, error) in
        [("bob", "this is no address"), ("bob@other.alt", "this address cannot be had here")]
    {
        let newcomer = User {
            profile: directory.path().join("new"),
            address: String::new(),
            scheme: None,
            host: Vec::new(),
        };
        let request = directory.path().join("request");
        let args = [
            "init",
            "--network",
            path(&network),
            "--address",
            address,
            "--request",
            path(&request),
        ];
        let output = newcomer.run(args).await;
        assert_eq!(output.status.code(), Some(64), "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains(error), "{}", text(&output.stderr));
        assert!(!newcomer.profile.exists() && !request.exists());
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
