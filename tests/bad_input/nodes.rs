//! Nodes that must not start, and say why: above all, none that has served starts with an empty store.

use std::{
    path::PathBuf,
    process::{Output, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

use super::{Says, assert_refused};
use crate::support::{program, text};

/// A node's directory and its network file.
struct Place {
    directory: TempDir,
}

impl Place {
    /// A place where a node has served once, and was stopped.
    async fn served() -> Self {
        let place = Self { directory: tempfile::tempdir().unwrap() };
        std::fs::write(place.network(), "name = 'demo.alt'\n").unwrap();
        place.assert_starts().await;
        place
    }

    fn network(&self) -> PathBuf {
        self.directory.path().join("network.toml")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join("node").join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.arg("node").args(args).arg("--network").arg(self.network());
        command.arg("--dir").arg(self.file(""));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true);
        command
    }

    /// A node that runs, and what it prints: a node whose output nobody takes stops.
    async fn start(&self) -> (Child, Lines<BufReader<ChildStdout>>) {
        let mut node = self.command(&["run", "--listen", "/ip4/127.0.0.1/tcp/0"]).spawn().unwrap();
        let mut lines = BufReader::new(node.stdout.take().unwrap()).lines();
        let line = lines.next_line().await.unwrap().unwrap_or_default();
        assert!(line.starts_with("listening /ip4/127.0.0.1/tcp/"), "{line}");
        (node, lines)
    }

    /// Starts a node to see that it does.
    async fn assert_starts(&self) {
        self.start().await.0.kill().await.unwrap();
    }

    /// What a node says that must not run.
    async fn run(&self) -> Output {
        let command = self.command(&["run", "--listen", "/ip4/127.0.0.1/tcp/0"]).output();
        let output = tokio::time::timeout(Duration::from_secs(60), command).await;
        output.expect("the node runs, and should not").unwrap()
    }

    async fn check(&self) -> Output {
        self.command(&["check"]).output().await.unwrap()
    }

    /// Checks that the node refuses to start, and that `node check` finds the same thing wrong.
    async fn assert_refused(&self, code: i32, cause: &str, remedy: &str, checked: &str) {
        let says = Says { code, error: "the node does not start", cause, remedy };
        assert_refused(&self.run().await, &says);
        let output = self.check().await;
        let lines = text(&output.stdout);
        assert_eq!(output.status.code(), Some(78), "{lines}");
        let bad = |line: &str| line.starts_with("BAD") && line.contains(checked);
        assert!(lines.lines().any(bad), "`node check` should find the {checked} bad:\n{lines}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_has_served_never_starts_with_an_empty_store() {
    let place = Place::served().await;
    let store = place.file("store.redb");
    let whole = std::fs::read(&store).unwrap();
    std::fs::remove_file(&store).unwrap();
    let remedy = "restore store.redb, or start a new node in an empty directory";
    place.assert_refused(74, "is gone, though this node has served before", remedy, "store").await;
    assert!(!store.exists(), "and none is made");

    let zeroes = vec![0; whole.len()];
    let mut damaged = whole.clone();
    // Somewhere in the pages that hold the tables, not in the free space behind them.
    for byte in &mut damaged[4096..8192] {
        *byte ^= 0x55;
    }
    for bytes in [b"".to_vec(), b"not a store".to_vec(), zeroes, whole[..4096].to_vec(), damaged] {
        std::fs::write(&store, &bytes).unwrap();
        let remedy = "restore the directory from a copy";
        place.assert_refused(74, "the store is corrupt", remedy, "store").await;
        assert!(std::fs::read(&store).unwrap() == bytes, "the evidence is left as it was");
    }
    std::fs::write(&store, whole).unwrap();
    place.assert_starts().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_do_not_share_a_directory() {
    let place = Place::served().await;
    let (mut first, _output) = place.start().await;
    let says = Says {
        code: 75,
        error: "the node does not start",
        cause: "the store is open elsewhere",
        remedy: "stop the other node that uses this directory",
    };
    assert_refused(&place.run().await, &says);
    let lines = text(&place.check().await.stdout);
    assert!(lines.contains("in use by a running node"), "{lines}");
    first.kill().await.unwrap();
    place.assert_starts().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_with_an_error_in_it_is_refused() {
    let place = Place::served().await;
    for (config, cause) in [
        ("colour = 'blue'", "unknown field `colour`"),
        ("[limits]\nstore_byte = 1", "unknown field `store_byte`"),
        ("[limits]\nstore_bytes = 'much'", "invalid type"),
        ("[limits]\nstore_bytes = -1", "invalid value"),
        ("family = ", "the configuration is not valid"),
        (&format!("advertise = [{}]", "'/ip4/192.0.2.1/tcp/1',".repeat(4)), "at most 3 addresses"),
        ("[limits]\nchannel_key_seconds = 1382401", "channel_key_seconds is more than"),
        ("[limits]\nrange_percent = 0", "range_percent is not between 1 and 100"),
    ] {
        std::fs::write(place.file("node.toml"), config).unwrap();
        place.assert_refused(78, cause, "check the file", "node.toml").await;
    }
    for (config, cause) in [
        ("advertise = ['/dns4/example.net/tcp/1']", "not an address of the form /ip4/"),
        ("advertise = ['somewhere']", "not an address of the form /ip4/"),
    ] {
        std::fs::write(place.file("node.toml"), config).unwrap();
        let remedy = "give IP address and TCP port";
        place.assert_refused(78, cause, remedy, "node.toml").await;
    }
    let family = format!("family = '{}'", "f".repeat(anon::certificate::MAX_FAMILY + 1));
    std::fs::write(place.file("node.toml"), family).unwrap();
    let cause = "the family's name is longer than";
    place.assert_refused(78, cause, "check the file", "node.toml").await;
    std::fs::write(place.file("node.toml"), "family = 'us'").unwrap();
    place.assert_starts().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_or_admission_that_is_damaged_is_refused() {
    let place = Place::served().await;
    std::fs::write(place.file("admission"), b"garbage").unwrap();
    place.assert_refused(78, "the admission file", "check the file", "admission").await;
    std::fs::remove_file(place.file("admission")).unwrap();

    let identity = place.file("identity.key");
    let whole = std::fs::read(&identity).unwrap();
    for bytes in [b"".to_vec(), whole[..31].to_vec(), [whole.clone(), vec![0]].concat()] {
        std::fs::write(&identity, &bytes).unwrap();
        let remedy = "check the node's directory";
        place.assert_refused(78, "is damaged", remedy, "identity").await;
        assert_eq!(std::fs::read(&identity).unwrap(), bytes, "no new identity takes its place");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_taken_is_told() {
    let place = Place::served().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("/ip4/127.0.0.1/tcp/{}", taken.local_addr().unwrap().port());
    let output = place.command(&["run", "--listen", &listen]).output().await.unwrap();
    let error = "the node does not start";
    let cause = &format!("cannot listen: another program listens at {listen}");
    let remedy = "stop the other program, or give this node another port with --listen";
    assert_refused(&output, &Says { code: 69, error, cause, remedy });
    let output = place.command(&["run", "--listen", "here"]).output().await.unwrap();
    let cause = "not an address of the form /ip4/";
    assert_refused(
        &output,
        &Says { code: 78, error, cause, remedy: "give IP address and TCP port" },
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_file_that_is_damaged_is_refused() {
    let place = Place::served().await;
    std::fs::write(place.network(), "name = 'demo.alt'\nk = 99").unwrap();
    place.assert_refused(78, "k must be 1 to 20", "check the file", "network file").await;
    std::fs::remove_file(place.network()).unwrap();
    place.assert_refused(78, "cannot be read", "check the file", "network file").await;
}
