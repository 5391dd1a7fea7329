//! Somebody who uses the program as people do: a profile, a passphrase in a file, and processes. One can be held at its
//! end, when all its work is done: its standard output is a pipe that is full, so that its report does not get out.

use std::{
    fs::File,
    io::{PipeReader, Read as _, Write as _},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anon::certificate::Address;
use cutout::terminal::Failure;
use tokio::{
    io::AsyncWriteExt as _,
    process::{Child, Command},
};
use ua::{account::Account, profile::Profile, vault::Passphrase};

use super::socket::Watch;

/// How long a command may take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How often to look whether it is done.
const TURN: Duration = Duration::from_millis(5);
/// `write` as Linux numbers its calls, on x86-64 and everywhere else.
const WRITE: [&str; 2] = ["1", "64"];

/// A user with a profile.
#[derive(Debug)]
pub(super) struct Person {
    program: PathBuf,
    /// The profile.
    pub(super) profile: PathBuf,
    /// Where all its processes' standard error goes.
    pub(super) log: PathBuf,
    passphrase_file: PathBuf,
    /// The passphrase.
    pub(super) passphrase: String,
}

/// What anyone may know of an account.
pub(super) struct Public {
    pub(super) address: Address,
    pub(super) keys: [Vec<u8>; 2],
}

/// A process that has done its work and cannot say so.
#[derive(Debug)]
pub(super) struct Held {
    child: Child,
    reader: PipeReader,
    filling: usize,
    watch: Watch,
}

fn broken(error: impl std::fmt::Display) -> Failure {
    Failure::new(71, "the audit cannot run the program as its users do", error, "")
}

impl Person {
    /// Prepares what a person needs before the first command, in `directory`.
    pub(super) fn new(program: &Path, directory: &Path, name: &str) -> Result<Self, Failure> {
        let file = |kind: &str| directory.join(format!("{name}{kind}"));
        let passphrase = format!("pass {:032x}", rand::random::<u128>());
        let person = Self {
            program: program.to_owned(),
            profile: file(""),
            log: file(".log"),
            passphrase_file: file(".passphrase"),
            passphrase,
        };
        std::fs::write(&person.passphrase_file, &person.passphrase).map_err(broken)?;
        Ok(person)
    }

    fn command(&self, arguments: &[&str]) -> Result<Command, Failure> {
        let log = File::options().create(true).append(true).open(&self.log).map_err(broken)?;
        let mut command = Command::new(&self.program);
        command.arg("-vvv").args(arguments).stdin(Stdio::piped()).stderr(log).kill_on_drop(true);
        command.env("CUTOUT_HOME", &self.profile);
        command.env("CUTOUT_PASSPHRASE_FILE", &self.passphrase_file);
        for of_the_user in ["CUTOUT_PASSPHRASE", "CUTOUT_SCHEME", "CUTOUT_LOG"] {
            command.env_remove(of_the_user);
        }
        Ok(command)
    }

    /// Runs a command to its end.
    pub(super) async fn run(&self, arguments: &[&str]) -> Result<(), Failure> {
        let mut command = self.command(arguments)?;
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
        let status = tokio::time::timeout(TIMEOUT, status).await.map_err(broken)?;
        self.succeeded(status.map_err(broken)?)
    }

    fn succeeded(&self, status: std::process::ExitStatus) -> Result<(), Failure> {
        if status.success() {
            return Ok(());
        }
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let last: Vec<&str> = log.lines().filter(|line| line.starts_with("error")).collect();
        Err(broken(format!("{status}: {}", last.last().unwrap_or(&"no word"))))
    }

    /// Runs a command until all that is left to it is to report.
    pub(super) async fn hold(&self, arguments: &[&str], input: &[u8]) -> Result<Held, Failure> {
        let (reader, mut writer) = std::io::pipe().map_err(broken)?;
        let filling = rustix::pipe::fcntl_getpipe_size(&writer).map_err(broken)?;
        writer.write_all(&vec![b' '; filling]).map_err(broken)?;
        let mut child = self.command(arguments)?.stdout(writer).spawn().map_err(broken)?;
        let pid = child.id().ok_or_else(|| broken("it is gone at once"))?;
        let watch = Watch::start(pid);
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input).await.map_err(broken)?;
        }
        let deadline = tokio::time::Instant::now() + TIMEOUT;
        while !is_writing(pid) {
            if let Some(status) = child.try_wait().map_err(broken)? {
                self.succeeded(status)?;
                return Err(broken("it ended without a report"));
            }
            if tokio::time::Instant::now() > deadline {
                return Err(broken("it does not come to its end"));
            }
            tokio::time::sleep(TURN).await;
        }
        Ok(Held { child, reader, filling, watch })
    }

    /// The account's public side, read by the project's own code: only to know what to look for.
    pub(super) fn public(&self) -> Result<Public, Failure> {
        let profile = Profile::open(&self.profile, &Passphrase::new(self.passphrase.clone())?)?;
        let network = profile.network().network().map_err(ua::profile::ProfileError::from)?;
        let account = Account::read(profile.vault())?;
        let certificate = account.certificate(&network, net::now())?;
        let claims = certificate.claims();
        let keys = [claims.verify_key.0.to_vec(), claims.sealing_key.0.to_vec()];
        Ok(Public { address: account.address().clone(), keys })
    }

    /// The short names of the anonymizers of its channels for this, as its own steps tell them.
    pub(super) fn anonymizers(&self, purposes: &[&str]) -> Vec<String> {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let channels = log.lines().filter_map(|line| line.split_once(": channel through X "));
        let asked = channels.filter(|(purpose, _)| purposes.contains(purpose));
        let anonymizer =
            |(_, path): (&str, &str)| Some(path.split_once(" to ")?.1.get(..8)?.to_owned());
        asked.filter_map(anonymizer).collect()
    }

    /// How many attempts at channels for this were given up, as its own steps tell: their anonymizers are not named.
    pub(super) fn given_up(&self, purposes: &[&str]) -> usize {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let told = |line: &&str| {
            let (purpose, what) = line.split_once(": ").unwrap_or_default();
            let failed =
                ["trying again", "answers disagree"].iter().any(|how| what.starts_with(how));
            failed && purposes.contains(&purpose)
        };
        log.lines().filter(told).count()
    }
}

impl Held {
    /// The process.
    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Lets it report and end: the report, and from where it called whom.
    pub(super) async fn release(self, of: &Person) -> Result<(String, Calls), Failure> {
        let Self { mut child, mut reader, filling, watch } = self;
        let read = tokio::task::spawn_blocking(move || {
            let mut all = Vec::new();
            reader.read_to_end(&mut all).map(|_| all)
        });
        let status = tokio::time::timeout(TIMEOUT, child.wait()).await.map_err(broken)?;
        let all = read.await.map_err(broken)?.map_err(broken)?;
        of.succeeded(status.map_err(broken)?)?;
        let report = all.get(filling..).unwrap_or_default();
        Ok((String::from_utf8_lossy(report).into_owned(), watch.end()))
    }

    /// From where it has called whom so far.
    pub(super) fn calls(&mut self) -> Calls {
        let pid = self.child.id().unwrap_or_default();
        std::mem::replace(&mut self.watch, Watch::start(pid)).end()
    }
}

/// Both ends of each call.
pub(super) type Calls =
    std::collections::BTreeSet<(std::net::SocketAddrV4, std::net::SocketAddrV4)>;

/// Whether a process's first thread is in the middle of writing to standard output.
fn is_writing(pid: u32) -> bool {
    let call = std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
    let mut words = call.split_whitespace();
    words.next().is_some_and(|number| WRITE.contains(&number)) && words.next() == Some("0x1")
}
