//! What scenarios share: a network, its users, and the room that this machine has for nodes. Scenarios run side by side as
//! long as it lasts; what counts time, bytes or descriptors takes all of it.

use std::{
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use testbed::cluster::{Cluster, ClusterOptions};
use tokio::{
    io::AsyncWriteExt as _,
    process::Command,
    sync::{Semaphore, SemaphorePermit},
};

/// How many nodes there are at once; a larger network is alone.
const ROOM: u32 = 48;
static FREE: Semaphore = Semaphore::const_new(ROOM as usize);

pub fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_cutout"))
}

/// An epoch where nodes are to be known for one before anything begins, seconds.
pub const EPOCH: u64 = 3;

/// A network in a temporary directory.
pub struct Network {
    pub cluster: Cluster,
    pub directory: TempDir,
    scheme: Option<&'static str>,
    _room: SemaphorePermit<'static>,
}

/// Alone on this machine while the guard lives: for networks of another make.
pub async fn alone() -> SemaphorePermit<'static> {
    room(ROOM as usize).await
}

/// Room for so many nodes while the permit lives. Who waits the longest is the next to be served.
pub async fn room(nodes: usize) -> SemaphorePermit<'static> {
    let nodes = u32::try_from(nodes).map_or(ROOM, |nodes| nodes.min(ROOM));
    FREE.acquire_many(nodes).await.unwrap()
}

impl Network {
    /// Nodes that start now, in a network whose epochs are days: its users have no roster to choose from, and say
    /// `--scheme paper`.
    pub async fn start(nodes: usize) -> Self {
        Self::start_with(nodes, |_| {}).await
    }

    pub async fn start_with(nodes: usize, change: impl FnOnce(&mut ClusterOptions)) -> Self {
        Self { scheme: Some("paper"), ..Self::bare(nodes, change).await }
    }

    /// Nodes that have known each other for an epoch; its users say nothing about a scheme.
    pub async fn aged(nodes: usize, change: impl FnOnce(&mut ClusterOptions)) -> Self {
        let change = |options: &mut ClusterOptions| {
            options.network.epoch_seconds = EPOCH;
            change(options);
        };
        let network = Self::bare(nodes, change).await;
        tokio::time::sleep(Duration::from_secs(3 * EPOCH)).await;
        network
    }

    /// As [`Self::aged`], without waiting, and with epochs as they are in the options.
    pub async fn bare(nodes: usize, change: impl FnOnce(&mut ClusterOptions)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut options = ClusterOptions::new(program(), directory.path().join("network"), nodes);
        options.network.delay_seconds = 0;
        change(&mut options);
        // What goes through proxies is timed or counted, and keepers have deadlines.
        let is_timed = options.proxied || options.keepers > 0;
        let room = if is_timed { alone().await } else { room(nodes).await };
        let cluster = Cluster::start(options, |_| {}).await.unwrap();
        Self { cluster, directory, scheme: None, _room: room }
    }

    /// A new user with a self-certifying address, its certificate published.
    pub async fn user(&self, name: &str) -> User {
        let profile = self.directory.path().join(name);
        let (address, scheme, host) = (String::new(), self.scheme, Vec::new());
        self.made(User { profile, address, scheme, host }).await
    }

    /// The same, on another host (what goes before a command), with this configuration file.
    pub async fn user_at(&self, name: &str, host: Vec<String>, config: &str) -> User {
        let profile = self.directory.path().join(name);
        std::fs::create_dir_all(&profile).unwrap();
        std::fs::write(profile.join("config.toml"), config).unwrap();
        self.made(User { profile, address: String::new(), scheme: self.scheme, host }).await
    }

    async fn made(&self, mut user: User) -> User {
        let network = self.cluster.network_file();
        let output = user.run(["init", "--network", network.to_str().unwrap()]).await;
        assert!(output.status.success(), "{}", text(&output.stderr));
        user.address = text(&output.stdout).trim().to_owned();
        user
    }
}

/// Somebody with a profile of their own, who types commands.
pub struct User {
    pub profile: PathBuf,
    pub address: String,
    /// What the environment says of schemes.
    pub scheme: Option<&'static str>,
    /// What goes before each command, where it is run on another host.
    pub host: Vec<String>,
}

impl User {
    /// A copy of this user, whose profile is a copy in that directory.
    pub fn copied_to(&self, profile: PathBuf) -> Self {
        copy(&self.profile, &profile);
        let (address, host) = (self.address.clone(), self.host.clone());
        Self { profile, address, scheme: self.scheme, host }
    }

    pub async fn run<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Output {
        self.run_with_input(args, b"").await
    }

    pub async fn run_with_input<'a>(
        &self,
        args: impl IntoIterator<Item = &'a str>,
        input: &[u8],
    ) -> Output {
        let mut child = self.command(args).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let feed = tokio::spawn(async move {
            let _ = stdin.write_all(&input).await;
        });
        let output = child.wait_with_output().await.unwrap();
        feed.await.unwrap();
        output
    }

    /// Sends what is on standard input, with these arguments and `--json`: the report.
    pub async fn send<'a>(
        &self,
        args: impl IntoIterator<Item = &'a str>,
        input: &[u8],
    ) -> serde_json::Value {
        let args = ["send", "--json"].into_iter().chain(args);
        let output = self.run_with_input(args, input).await;
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Sends what waits in the outbox, with some patience, until nothing does.
    pub async fn deliver(&self) {
        for _ in 0..6 {
            let output = self.run(["outbox"]).await;
            println!("outbox: {:?} {}", output.status.code(), text(&output.stderr).trim());
            if self.outbox().await.is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        panic!("the mail still waits");
    }

    /// What waits in the outbox: one report a mail.
    pub async fn outbox(&self) -> Vec<serde_json::Value> {
        let output = self.run(["outbox", "--list", "--json"]).await;
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The same user, with these words before each command.
    pub fn within(&self, words: impl IntoIterator<Item = String>) -> Self {
        let host = self.host.iter().cloned().chain(words).collect();
        Self {
            profile: self.profile.clone(),
            address: self.address.clone(),
            scheme: self.scheme,
            host,
        }
    }

    /// A command that is not run yet, for those who want more than its output.
    pub fn command<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Command {
        let mut words = self.host.iter().map(PathBuf::from).chain([program()]);
        let mut command = Command::new(words.next().unwrap());
        command
            .args(words)
            .args(args)
            .env("CUTOUT_HOME", &self.profile)
            .env("CUTOUT_PASSPHRASE", "correct horse")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if let Some(scheme) = self.scheme {
            command.env("CUTOUT_SCHEME", scheme);
        }
        command
    }

    /// Fetches, and returns the report.
    pub async fn fetch(&self) -> serde_json::Value {
        let output = self.run(["fetch", "--json"]).await;
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The mails in the user's own Maildir, byte for byte, oldest first.
    pub fn mails(&self) -> Vec<Vec<u8>> {
        let maildir = ua::maildir::Maildir::open(&self.profile.join("mail")).unwrap();
        maildir.list().unwrap().iter().map(|entry| maildir.read(entry).unwrap()).collect()
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (entry, to) = (entry.as_ref().unwrap(), to.join(entry.as_ref().unwrap().file_name()));
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A message with an attachment of `kib` KiB of random bytes, line ends as they come.
pub fn message(subject: &str, kib: usize) -> Vec<u8> {
    let noise: Vec<u8> = (0..kib * 1024).map(|_| rand::random()).collect();
    let encoded = data_encoding::BASE64_MIME.encode(&noise);
    format!(
        "From: Somebody <nobody@invalid.example>\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=frontier\r\n\r\n--frontier\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\r\nSee attached. \u{e9}\n\r\n--frontier\r\n\
         Content-Type: application/octet-stream; name=noise.bin\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n{encoded}--frontier--\r\n"
    )
    .into_bytes()
}
