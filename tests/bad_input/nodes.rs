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

    /// `node store check` or `repair`.
    async fn store(&self, what: &str) -> Output {
        let mut command = Command::new(program());
        command.args(["node", "store", what, "--dir"]).arg(self.file(""));
        command.output().await.unwrap()
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
    let remedy = "restore store.redb; if it is lost, `cutout node store repair --dir ";
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
        let remedy = format!("`cutout node store repair --dir {}", place.file("").display());
        place.assert_refused(74, "the store is corrupt", &remedy, "store").await;
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
    let mut flipped = whole.clone();
    flipped[7] ^= 1;
    for bytes in [b"".to_vec(), whole[..39].to_vec(), [whole.clone(), vec![0]].concat(), flipped] {
        std::fs::write(&identity, &bytes).unwrap();
        let remedy = "restore identity.key from a copy";
        place.assert_refused(78, "is damaged", remedy, "identity").await;
        assert_eq!(std::fs::read(&identity).unwrap(), bytes, "no new identity takes its place");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_others_can_read_is_refused_and_a_key_can_be_put_back() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::served().await;
    let identity = place.file("identity.key");
    for mode in [0o640, 0o604, 0o620] {
        std::fs::set_permissions(&identity, std::fs::Permissions::from_mode(mode)).unwrap();
        let remedy = format!("`chmod 600 {}`", identity.display());
        place.assert_refused(78, "can be read by others", &remedy, "identity").await;
    }
    std::fs::set_permissions(&identity, std::fs::Permissions::from_mode(0o600)).unwrap();
    place.assert_starts().await;

    // The key alone is left, from a copy: the same node goes on with an empty store, if it is told to.
    let key = std::fs::read(&identity).unwrap();
    let id = async || {
        let output = place.check().await;
        let lines = text(&output.stdout);
        lines.lines().find(|line| line.contains("identity")).unwrap().to_owned()
    };
    let before = id().await;
    std::fs::remove_dir_all(place.file("")).unwrap();
    std::fs::create_dir(place.file("")).unwrap();
    std::fs::write(&identity, &key).unwrap();
    std::fs::set_permissions(&identity, std::fs::Permissions::from_mode(0o600)).unwrap();
    let remedy = "`cutout node store repair --dir ";
    place.assert_refused(74, "is gone", remedy, "store").await;
    let repaired = place.store("repair").await;
    assert!(repaired.status.success(), "{}", text(&repaired.stderr));
    place.assert_starts().await;
    assert_eq!((id().await, std::fs::read(&identity).unwrap()), (before, key));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_store_is_checked_repaired_and_kept() {
    use node::store::{ObjectKind, Store, StoredObject};
    use sha2::Digest as _;
    let place = Place::served().await;
    let (file, limits) = (place.file("store.redb"), node::Limits::default().store());
    let expiry = net::now().0 + 1_000;
    let object = |number: u8| {
        let bytes = vec![number; 20_000];
        let digest = sha2::Sha256::digest(&bytes).into();
        StoredObject { kind: ObjectKind::Body, digest, expiry, deleters: Vec::new(), bytes }
    };
    let store = Store::open(&file, limits.clone()).unwrap();
    for number in 1..=20 {
        store.store([number; 32], object(number), false).await.unwrap();
    }
    store.close().await.unwrap();
    let checked = place.store("check").await;
    assert!(checked.status.success(), "{}", text(&checked.stderr));
    assert!(text(&checked.stdout).contains("objects        20\n"), "{}", text(&checked.stdout));

    // One body's bytes are hit, and the first page.
    let mut damaged = std::fs::read(&file).unwrap();
    let hit = damaged.windows(64).position(|window| window == [7; 64]).unwrap();
    damaged[hit] ^= 1;
    damaged[..4096].fill(0);
    std::fs::write(&file, &damaged).unwrap();
    let says = Says {
        code: 65,
        error: "the store is not well",
        cause: "the store is corrupt",
        remedy: &format!("`cutout node store repair --dir {}", place.file("").display()),
    };
    assert_refused(&place.store("check").await, &says);
    assert!(std::fs::read(&file).unwrap() == damaged, "a check changes nothing");
    let repaired = place.store("repair").await;
    let told = text(&repaired.stdout);
    assert!(repaired.status.success(), "{}", text(&repaired.stderr));
    assert!(told.contains("Saved: 19 objects and 0 notifications. Of 1 more"), "{told}");
    let names = std::fs::read_dir(place.file("")).unwrap().map(|e| e.unwrap().path());
    let aside: Vec<_> = names.filter(|p| p.to_string_lossy().contains("store.damaged-")).collect();
    assert_eq!(aside.len(), 1, "{aside:?}");
    assert!(std::fs::read(&aside[0]).unwrap() == damaged, "the old file is kept");
    let store = Store::open(&file, limits).unwrap();
    for number in 1..=20 {
        let held = store.fetch([number; 32]).await.unwrap();
        assert!(held == (number != 7).then(|| object(number)), "{number}");
    }
    store.close().await.unwrap();
    place.assert_starts().await;

    // Nobody repairs what a node uses, or what is no node's.
    let (mut first, _output) = place.start().await;
    for command in ["check", "repair"] {
        let output = place.store(command).await;
        assert_eq!(output.status.code(), Some(75), "{}", text(&output.stderr));
    }
    first.kill().await.unwrap();
    std::fs::remove_dir_all(place.file("")).unwrap();
    for command in ["check", "repair"] {
        assert_eq!(place.store(command).await.status.code(), Some(66));
    }
    assert!(!place.file("").exists(), "and nothing is made");
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
