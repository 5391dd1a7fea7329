//! Every file of a node, lost or damaged in every way: `docs/files.md` says what the node does, and it does that.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use node::{
    Limits, Store,
    store::{ObjectKind, StoredObject},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    process::Command,
};

use crate::support::{program, text};

/// The columns behind the file and what it is.
const WAYS: [&str; 6] =
    ["deleted", "truncated", "bit flipped", "another version", "unreadable", "disk full"];
/// What the node keeps, and where a bit of it is flipped.
const MARK: &[u8] = &[0xB5; 3_000];

/// The table of the document: by file, what it says in each column.
fn table() -> BTreeMap<String, Vec<String>> {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/files.md");
    let document = std::fs::read_to_string(document).unwrap();
    let section = document.split("\n## A node's directory\n").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let row = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let mut rows = section.lines().filter(|line| line.starts_with('|')).map(row);
    assert_eq!(rows.next().unwrap()[2..], WAYS);
    rows.skip(1).map(|row| (row[0].trim_matches('`').to_owned(), row[2..].to_vec())).collect()
}

/// A node's directory, its network with an authority, and the node admitted.
struct Place {
    directory: TempDir,
}

impl Place {
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path("node").join(name)
    }

    async fn run(&self, args: &[&str]) {
        let mut command = Command::new(program());
        command.args(args).current_dir(self.directory.path());
        let output = command.env("CUTOUT_PASSPHRASE", "authority").output().await.unwrap();
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    }

    /// A node that has served, and keeps something.
    async fn new() -> Self {
        let place = Self { directory: tempfile::tempdir().unwrap() };
        place.run(&["ca", "init", "files.alt", "--dir", "authority", "--admission-required"]).await;
        let network = ["--network", "authority/network.toml", "--dir", "node"];
        place.run(&[&["node", "request"][..], &network, &["--out", "request"]].concat()).await;
        let sign = ["ca", "sign", "request", "--dir", "authority", "--out", "node/admission"];
        place.run(&[&sign[..], &["--yes"]].concat()).await;
        std::fs::write(place.file("node.toml"), "listen = ['/ip4/127.0.0.1/tcp/0']\n").unwrap();
        let (runs, told) = place.start().await;
        assert!(runs, "{told}");
        let limits = Limits { store_reserve_bytes: 0, ..Limits::default() };
        let store = Store::open(place.file("store.redb"), limits.store()).unwrap();
        let object = StoredObject {
            kind: ObjectKind::Body,
            digest: [1; 32],
            expiry: u64::MAX,
            deleters: Vec::new(),
            bytes: MARK.to_vec(),
        };
        store.store([1; 32], object, false).await.unwrap();
        store.close().await.unwrap();
        let roster = net::RosterKeeper::open(
            std::sync::Arc::new(
                net::NetworkFile::read(&place.path("authority/network.toml"))
                    .unwrap()
                    .network()
                    .unwrap(),
            ),
            Some(place.file("roster.bin")),
            net::Clock::default(),
        );
        roster.save().unwrap();
        place
    }

    /// Starts the node; whether it listens, and what it says. It is stopped again.
    async fn start(&self) -> (bool, String) {
        let (running, _, told) = self.outcome().await;
        (running, told)
    }

    /// The same, and its exit code where it stops by itself.
    async fn outcome(&self) -> (bool, Option<i32>, String) {
        let mut command = Command::new(program());
        command.args(["node", "run", "--network"]).arg(self.path("authority/network.toml"));
        command.arg("--dir").arg(self.path("node")).current_dir(self.directory.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut node = command.kill_on_drop(true).spawn().unwrap();
        let mut lines = BufReader::new(node.stdout.take().unwrap()).lines();
        let line = tokio::time::timeout(Duration::from_secs(60), lines.next_line()).await.unwrap();
        let listens = line.unwrap().is_some_and(|line| line.starts_with("listening"));
        if listens {
            let id = i32::try_from(node.id().unwrap()).unwrap();
            let id = rustix::process::Pid::from_raw(id).unwrap();
            rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        }
        let status = node.wait().await.unwrap();
        let mut told = String::new();
        node.stderr.take().unwrap().read_to_string(&mut told).await.unwrap();
        (listens, status.code(), told)
    }
}

/// Damages a file in this way; `None` if the way is not about the file alone.
fn damage(path: &Path, way: &str) {
    let bytes = std::fs::read(path).unwrap_or_default();
    match way {
        "deleted" => std::fs::remove_file(path).unwrap(),
        "truncated" => std::fs::write(path, &bytes[..bytes.len() * 2 / 3]).unwrap(),
        "bit flipped" => {
            let mut bytes = bytes;
            let mark = bytes.windows(MARK.len()).position(|window| window == MARK);
            let at = mark.unwrap_or(bytes.len() / 4);
            bytes[at] ^= 4;
            std::fs::write(path, bytes).unwrap();
        }
        "another version" => other_version(path, &bytes),
        "unreadable" => {
            std::fs::remove_file(path).unwrap();
            std::fs::create_dir(path).unwrap();
        }
        _ => panic!("{way}"),
    }
}

/// Writes the file as a version would that has something more to say.
fn other_version(path: &Path, bytes: &[u8]) {
    if path.ends_with("store.redb") {
        let meta = redb::TableDefinition::<&str, u64>::new("meta");
        let database = redb::Database::open(path).unwrap();
        let txn = database.begin_write().unwrap();
        txn.open_table(meta).unwrap().insert("version", 1_000).unwrap();
        return txn.commit().unwrap();
    }
    let more: &[u8] = if path.ends_with("node.toml") { b"\ncolour = 'blue'\n" } else { b"more" };
    std::fs::write(path, [bytes, more].concat()).unwrap();
}

/// The same directory on a file system that has no byte left.
struct FullDisk(PathBuf);

impl FullDisk {
    fn new(place: &Place, without: &str) -> Option<Self> {
        let (node, kept) = (place.path("node"), place.path("kept"));
        std::fs::rename(&node, &kept).unwrap();
        std::fs::create_dir(&node).unwrap();
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=24m,mode=700", "none"]).arg(&node);
        let mounted = mount.status().is_ok_and(|status| status.success());
        let is_required = std::env::var("CUTOUT_REQUIRE_ROOT").is_ok_and(|value| value == "1");
        assert!(mounted || !is_required, "mounting a tmpfs fails");
        if !mounted {
            println!("not tried: mounting a tmpfs needs root");
            return None;
        }
        for entry in std::fs::read_dir(&kept).unwrap() {
            let entry = entry.unwrap();
            let is_kept = entry.file_name() != without && entry.file_name() != "store.reserve";
            // A node that has no key yet has no store.
            if is_kept && !(without == "identity.key" && entry.file_name() == "store.redb") {
                std::fs::copy(entry.path(), node.join(entry.file_name())).unwrap();
            }
        }
        let mut ballast = std::fs::File::create(node.join("ballast")).unwrap();
        for piece in [1 << 16, 1] {
            while std::io::Write::write_all(&mut ballast, &vec![7; piece]).is_ok() {}
        }
        Some(Self(node))
    }
}

impl Drop for FullDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// What is wrong with what the node did, if the document says `expected`.
fn differs(
    expected: &str,
    file: &str,
    way: &str,
    outcome: &(bool, Option<i32>, String),
) -> Option<String> {
    let (listens, code, told) = outcome;
    let warned = told.contains(" WARN ");
    let done = match expected.split_once(' ') {
        Some(("stops", wanted)) => {
            // Where the disk is full, the store is the first file of a new node that misses it.
            let name = if way == "disk full" { "store" } else { file.trim_end_matches(".redb") };
            let name = name.trim_end_matches(".key");
            let wanted = wanted.parse().ok();
            !listens && *code == wanted && told.contains("try:") && told.contains(name)
        }
        None if expected == "said" => *listens && warned,
        None if expected == "rebuilt" => *listens && warned && told.contains("begun anew"),
        None if expected == "unnoticed" => *listens && !warned,
        _ => false,
    };
    let does = format!("listens {listens}, code {code:?}");
    (!done).then(|| format!("{expected} is not what it does: {does}\n{told}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_file_of_a_node_is_as_the_document_says() {
    let table = table();
    assert!(table.len() >= 7 && table.values().all(|cells| cells.len() == WAYS.len()), "{table:?}");
    let whole = Place::new().await;
    std::fs::write(whole.file("onion.json"), "{}").unwrap();
    let (mut wrong, mut tried) = (String::new(), 0);
    for (file, cells) in &table {
        for (way, expected) in WAYS.iter().zip(cells).filter(|(_, expected)| *expected != "–") {
            let place = Place { directory: tempfile::tempdir().unwrap() };
            copy(whole.directory.path(), place.directory.path());
            let _full = match *way {
                "disk full" => {
                    let Some(full) = FullDisk::new(&place, file) else { continue };
                    if file == "store.redb" {
                        std::fs::copy(whole.file(file), place.file("ballast")).unwrap();
                        std::fs::rename(place.file("ballast"), place.file(file)).unwrap();
                    }
                    Some(full)
                }
                way => {
                    damage(&place.file(file), way);
                    None
                }
            };
            let outcome = place.outcome().await;
            if let Some(differs) = differs(expected, file, way, &outcome) {
                writeln!(wrong, "{file} {way}: {differs}").unwrap();
            }
            tried += 1;
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(tried > 25, "{tried} cells were tried");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (here, there) = (entry.path(), to.join(entry.file_name()));
        if here.is_dir() {
            copy(&here, &there);
        } else {
            std::fs::copy(here, there).unwrap();
        }
    }
}
