//! A whole Tor network on this machine, of Debian's own `tor`: an authority and seven relays that let streams out to
//! loopback. It is what `cutout … --tor` is tried against.
//!
//! Each relay has an address of its own in a /16 of its own, so that the rules by which paths are chosen are obeyed as they
//! stand. The daemons end with the process that started them.

mod torrc;

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use thiserror::Error;
use tokio::{io::AsyncWriteExt as _, process::Command};

use self::torrc::{Role, torrc};

/// Relays beside the authority: three for a circuit, and so many more that arti, which asks eight for the time before it
/// believes that a clock is wrong, can say so.
pub(crate) const RELAYS: usize = 7;
/// The number of the bridge, which stands in no directory.
pub const BRIDGE: usize = RELAYS + 1;
/// Seconds from the start to the first vote: all must have told the authority of themselves by then. Where a machine is
/// so slow that they have not, all are started again, with more time.
const VOTE_AFTER: [u64; 4] = [8, 14, 25, 40];
/// How long after the vote the consensus must be there.
const AFTER_VOTE: Duration = Duration::from_secs(12);
/// How long a relay may take to listen.
const LISTENS_WITHIN: Duration = Duration::from_secs(40);
/// Where `tor` is where no `PATH` of a user's leads to.
const SBIN: &str = "/usr/sbin";
/// The flags that arti wants of each relay.
const FLAGS: [&str; 5] = ["Fast", "Guard", "HSDir", "Running", "Stable"];

/// Why there is no Tor network.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TorNetworkError {
    /// A file or process failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// There is no `tor` on this machine.
    #[error("there is no `tor` here: install Debian's package tor")]
    NoTor,
    /// `tor` said something else than it should.
    #[error("tor did not make its keys: {0}")]
    Keys(String),
    /// The consensus does not list all relays in time.
    #[error("the consensus does not list all relays in time: {0}")]
    NotReady(String),
    /// A relay does not listen.
    #[error("a relay does not listen")]
    Silent,
}

/// One `tor` process.
#[derive(Debug)]
struct Relay {
    directory: PathBuf,
    or: SocketAddrV4,
    dir: Option<SocketAddrV4>,
    /// SHA-1 of its RSA identity, upper-case hexadecimal.
    rsa: String,
    /// Its Ed25519 identity, base64.
    ed: String,
    process: Option<Child>,
}

/// A running Tor network. Dropping it kills it.
#[derive(Debug)]
pub struct TorNetwork {
    /// The authority, the relays, and the bridge.
    relays: Vec<Relay>,
    /// The authority's own identity, upper-case hexadecimal.
    v3ident: String,
    program: PathBuf,
}

/// The hexadecimal digits of a text, in one case.
fn hexadecimal(text: &str) -> String {
    text.chars().filter(char::is_ascii_hexdigit).collect::<String>().to_uppercase()
}

fn free_port(at: Ipv4Addr) -> std::io::Result<SocketAddrV4> {
    match TcpListener::bind((at, 0))?.local_addr()? {
        SocketAddr::V4(address) => Ok(address),
        SocketAddr::V6(_) => Err(std::io::Error::other("an IPv6 address for an IPv4 one")),
    }
}

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// `tor` itself, where it is installed.
#[must_use]
pub(crate) fn program() -> Option<PathBuf> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let mut all: Vec<PathBuf> = std::env::split_paths(&paths).collect();
    all.push(PathBuf::from(SBIN));
    all.into_iter().map(|directory| directory.join("tor")).find(|path| path.is_file())
}

impl Relay {
    /// Removes all that it has written, but for its keys: what it remembers of a vote that came to nothing is in the way.
    fn forget(&self) -> std::io::Result<()> {
        for entry in std::fs::read_dir(&self.directory)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default();
            if name == "keys" || name == "torrc" {
                continue;
            }
            if path.is_dir() { std::fs::remove_dir_all(path)? } else { std::fs::remove_file(path)? }
        }
        Ok(())
    }

    fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill().and_then(|()| process.wait().map(|_| ()));
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop();
    }
}

impl TorNetwork {
    /// Starts a network under `directory`, whose relays have these addresses (the authority's first), and waits until all
    /// may be used.
    ///
    /// # Errors
    /// [`TorNetworkError`].
    pub async fn start(
        directory: &Path,
        address: impl Fn(usize) -> Ipv4Addr,
    ) -> Result<Self, TorNetworkError> {
        let program = program().ok_or(TorNetworkError::NoTor)?;
        let mut network = Self { relays: Vec::new(), v3ident: String::new(), program };
        for index in 0..=BRIDGE {
            let at = address(index);
            let directory = directory.join(format!("tor{index}"));
            let keys = directory.join("keys");
            std::fs::create_dir_all(&keys)?;
            for path in [&directory, &keys] {
                private(path)?;
            }
            let dir = (index == 0).then(|| free_port(at)).transpose()?;
            if let Some(dir) = dir {
                network.v3ident = network.certify(&keys, dir).await?;
            }
            let (rsa, ed, process) = (String::new(), String::new(), None);
            let mut relay = Relay { directory, or: free_port(at)?, dir, rsa, ed, process };
            network.make_keys(index, &mut relay).await?;
            network.relays.push(relay);
        }
        let mut seen = String::new();
        for after in VOTE_AFTER {
            let offset = (seconds() + after) % 300;
            for index in 0..network.relays.len() {
                network.write_torrc(index, offset)?;
                network.launch(index)?;
            }
            match network.wait(Duration::from_secs(after) + AFTER_VOTE).await {
                Ok(()) => return Ok(network),
                Err(consensus) => seen = consensus,
            }
            network.stop();
            network.relays.iter().try_for_each(Relay::forget)?;
        }
        Err(TorNetworkError::NotReady(seen))
    }

    /// The relays' addresses: all that a client has to reach. The bridge is not among them.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddrV4> {
        self.public().flat_map(|relay| [Some(relay.or), relay.dir]).flatten().collect()
    }

    fn public(&self) -> impl Iterator<Item = &Relay> {
        self.relays.iter().take(BRIDGE)
    }

    /// The bridge's address, and the line by which arti knows it.
    #[must_use]
    pub fn bridge(&self) -> Option<(SocketAddrV4, String)> {
        let bridge = self.relays.get(BRIDGE)?;
        Some((bridge.or, format!("{} {}", bridge.or, bridge.rsa)))
    }

    /// A `[tor]` section that points to this network.
    #[must_use]
    pub fn toml(&self, mode: &str) -> String {
        torrc::arti_toml(self, mode)
    }

    /// Bytes that all relays have read from files and sockets since they started.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        let processes = self.relays.iter().filter_map(|relay| relay.process.as_ref());
        let read = |process: &Child| {
            let text = std::fs::read_to_string(format!("/proc/{}/io", process.id())).ok()?;
            text.lines().find_map(|line| line.strip_prefix("rchar: ")?.parse::<u64>().ok())
        };
        processes.filter_map(read).sum()
    }

    /// Stops all relays (SIGKILL) and waits until they are gone.
    pub fn stop(&mut self) {
        self.relays.iter_mut().for_each(Relay::stop);
    }

    /// Starts them again, with the keys and the consensus that they have.
    ///
    /// # Errors
    /// [`TorNetworkError`].
    pub async fn resume(&mut self) -> Result<(), TorNetworkError> {
        for index in 0..self.relays.len() {
            if self.relays.get(index).is_some_and(|relay| relay.process.is_none()) {
                self.launch(index)?;
            }
        }
        for address in self.addresses() {
            let began = tokio::time::Instant::now();
            while tokio::net::TcpStream::connect(address).await.is_err() {
                if began.elapsed() > LISTENS_WITHIN {
                    return Err(TorNetworkError::Silent);
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }

    /// Makes the authority's identity and its certificate: the fingerprint of the identity.
    async fn certify(&self, keys: &Path, dir: SocketAddrV4) -> Result<String, TorNetworkError> {
        let program = self.program.with_file_name("tor-gencert");
        let program =
            if program.is_file() { program } else { PathBuf::from("/usr/bin/tor-gencert") };
        let mut child = Command::new(program)
            .args(["--create-identity-key", "--passphrase-fd", "0", "-m", "12", "-a"])
            .arg(dir.to_string())
            .current_dir(keys)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(b"passphrase\n").await?;
        }
        let output = child.wait_with_output().await?;
        let certificate = std::fs::read_to_string(keys.join("authority_certificate"));
        let said = || TorNetworkError::Keys(String::from_utf8_lossy(&output.stderr).into_owned());
        let certificate = certificate.map_err(|_| said())?;
        let line = certificate.lines().find_map(|line| line.strip_prefix("fingerprint "));
        Ok(hexadecimal(line.ok_or_else(said)?))
    }

    /// Makes a relay's own keys: tor does when it is asked for their fingerprints.
    async fn make_keys(&self, index: usize, relay: &mut Relay) -> Result<(), TorNetworkError> {
        let role = Role::of(index);
        let path = relay.directory.join("torrc");
        let nowhere =
            format!("DirAuthority a orport=1 no-v2 v3ident={0} 127.0.0.1:1 {0}\n", "0".repeat(40));
        std::fs::write(&path, torrc(role, index, relay, 0) + &nowhere)?;
        let output = Command::new(&self.program)
            .args(["--quiet", "--list-fingerprint", "-f"])
            .arg(&path)
            .output()
            .await?;
        let said = || {
            let (out, err) = (&output.stdout, &output.stderr);
            TorNetworkError::Keys(
                String::from_utf8_lossy(&[&out[..], &err[..]].concat()).into_owned(),
            )
        };
        let read = |name: &str| std::fs::read_to_string(relay.directory.join(name));
        let word = |text: &str| text.split_whitespace().last().map(str::to_owned);
        let rsa = read("fingerprint").ok().as_deref().and_then(word);
        let ed = read("fingerprint-ed25519").ok().as_deref().and_then(word);
        (relay.rsa, relay.ed) = rsa.zip(ed).ok_or_else(said)?;
        Ok(())
    }

    fn write_torrc(&self, index: usize, offset: u64) -> Result<(), TorNetworkError> {
        let Some((relay, authority)) = self.relays.get(index).zip(self.relays.first()) else {
            return Ok(());
        };
        let role = Role::of(index);
        let dir = authority.dir.map(|dir| dir.to_string()).unwrap_or_default();
        let line = format!(
            "DirAuthority authority orport={} no-v2 v3ident={} {dir} {}\n",
            authority.or.port(),
            self.v3ident,
            authority.rsa
        );
        std::fs::write(relay.directory.join("torrc"), torrc(role, index, relay, offset) + &line)?;
        Ok(())
    }

    fn launch(&mut self, index: usize) -> Result<(), TorNetworkError> {
        let Some(relay) = self.relays.get_mut(index) else { return Ok(()) };
        let log = std::fs::File::create(relay.directory.join("stdout"))?;
        let mut command = std::process::Command::new(&self.program);
        command.arg("-f").arg(relay.directory.join("torrc")).stdin(Stdio::null()).stdout(log);
        relay.process = Some(command.stderr(Stdio::null()).spawn()?);
        Ok(())
    }

    /// Waits until the consensus lists all relays with all that arti wants of them.
    ///
    /// # Errors
    /// What it listed last, if it does not in that time.
    async fn wait(&self, time: Duration) -> Result<(), String> {
        let began = tokio::time::Instant::now();
        loop {
            let consensus = self.relays.first().and_then(|authority| {
                let path = authority.directory.join("cached-microdesc-consensus");
                std::fs::read_to_string(path).ok()
            });
            let consensus = consensus.unwrap_or_else(|| "no consensus".to_owned());
            let flags = consensus.lines().filter_map(|line| line.strip_prefix("s "));
            let good = flags.filter(|line| {
                let flags: Vec<&str> = line.split(' ').collect();
                FLAGS.iter().all(|flag| flags.contains(flag))
            });
            if good.count() > RELAYS {
                return Ok(());
            }
            if began.elapsed() > time {
                let told = |line: &&str| line.starts_with("r ") || line.starts_with("s ");
                let lines: Vec<&str> = consensus.lines().filter(told).collect();
                return Err(lines.join("; "));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

#[cfg(unix)]
fn private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))
}

#[cfg(not(unix))]
fn private(_: &Path) -> std::io::Result<()> {
    Ok(())
}
