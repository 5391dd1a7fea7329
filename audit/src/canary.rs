//! The canary scan: one mail between two people who use the program as people do, over nodes that keep no record and log
//! all they can. Addresses, subject, text, passphrases and network addresses are random; then each process's memory, each
//! directory, each log and every connection is searched for them, byte by byte, by a search that knows none of our formats.
//!
//! ```text
//! needle               the canaries, in every form     person, socket   who sends and reads, from where they call
//! memory, disk, wire   what is searched                nodes            what each node is to the mail
//! scan                 what was found                  expected         where something may be, and must be
//! ```
//! The sender's process is held when all its work is done, and the recipient's too, so that what lingers in them is found.
//! Their network address is 127.0.0.1, like everybody's here: what tells them apart is the port, which is left out if
//! anyone else used the same one. So six raw bytes of address and port mean something only in a form of their own
//! (a multiaddr, a `sockaddr_in`); the bare six are not looked for.
//!
//! What this does not show: what was held and is gone before the search, and what is held in pieces.

mod disk;
mod expected;
mod memory;
mod needle;
mod nodes;
mod person;
mod scan;
mod socket;
mod wire;

use std::{
    io::Write as _,
    net::{TcpListener, TcpStream},
    path::PathBuf,
    time::Duration,
};

use clap::ValueEnum;
use cutout::terminal::Failure;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use testbed::{
    cluster::{Cluster, ClusterOptions},
    process::COMMAND,
    programs,
};

use self::{
    needle::Canaries,
    nodes::Nodes,
    person::{Held, Person, Public},
    scan::Scan,
    wire::Capture,
};
use crate::{
    mutant::{self, MutantOutcome},
    outcome::{Outcome, Verdict},
};

pub use expected::{Medium, Part};
pub use needle::Label;
pub use scan::{Hit, Searched};

/// Epochs until every node may be chosen by everyone.
const GROWN_UP: u32 = 3;
/// The name of a node's log in its directory.
const LOG: &str = "log";

/// A fault that is put into the nodes, to see that the scan finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mutant {
    /// A node's log names addresses and identities.
    #[value(name = "node-that-logs-names")]
    LogsNames,
    /// A node writes down on its disk all that it receives.
    #[value(name = "node-that-records")]
    Records,
}

/// How large the scan's network is.
#[derive(Clone, Debug)]
pub struct Options {
    /// Node processes.
    pub nodes: usize,
    /// Replicas.
    pub k: usize,
    /// Seconds of an epoch.
    pub epoch_seconds: u64,
    /// The program; `None`: this one.
    pub program: Option<PathBuf>,
    /// What is wrong with the nodes, if anything is.
    pub mutant: Option<Mutant>,
}

impl Options {
    /// As few nodes as can serve.
    #[must_use]
    pub const fn quick() -> Self {
        Self { nodes: 16, k: 3, epoch_seconds: 2, program: None, mutant: None }
    }

    /// As many as make it unlikely that one node has several roles.
    #[must_use]
    pub(crate) const fn full() -> Self {
        Self { nodes: 40, k: 8, epoch_seconds: 4, program: None, mutant: None }
    }
}

/// What the scan showed, by where was searched.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Findings {
    /// The memory of processes.
    pub memory: Searched,
    /// Directories.
    pub disk: Searched,
    /// Logs.
    pub logs: Searched,
    /// Connections.
    pub wire: Searched,
}

fn broken(error: impl std::fmt::Display) -> Failure {
    Failure::new(71, "the canary scan cannot be set up", error, "")
}

/// Everything that the scan needs running.
struct Setting {
    cluster: Cluster,
    directory: TempDir,
    k: usize,
    sender: Person,
    recipient: Person,
}

impl Setting {
    async fn set(options: &Options, step: &impl Fn(&str)) -> Result<Self, Failure> {
        let directory = tempfile::tempdir().map_err(broken)?;
        let program = match &options.program {
            Some(program) => program.clone(),
            None => std::env::current_exe().map_err(broken)?,
        };
        let network = directory.path().join("network");
        let mut cluster = ClusterOptions::new(program.clone(), network, options.nodes);
        cluster.k = options.k;
        cluster.network.epoch_seconds = options.epoch_seconds;
        cluster.network.delay_seconds = 0;
        for index in 0..options.nodes {
            let mut arguments = vec![COMMAND.into(), "-vvv".into()];
            match options.mutant {
                Some(Mutant::LogsNames) => arguments.push("--log-sensitive".into()),
                Some(Mutant::Records) => {
                    arguments.push("--record".into());
                    arguments.push(cluster.node_directory(index).join("record.jsonl").into());
                }
                None => {}
            }
            cluster.dressed.insert(index, arguments);
        }
        let k = options.k;
        let cluster = Cluster::start(cluster, |n| step(&format!("{n} nodes are up")))
            .await
            .map_err(crate::demo::failed)?;
        step("waiting until the nodes have known each other for two epochs");
        tokio::time::sleep(Duration::from_secs(options.epoch_seconds) * GROWN_UP).await;
        let person = |name| Person::new(&programs::cutout(&program), directory.path(), name);
        let (sender, recipient) = (person("sender")?, person("recipient")?);
        Ok(Self { cluster, directory, k, sender, recipient })
    }

    /// Listens, and says something itself that must be heard.
    fn listen(&self, marker: &str) -> std::io::Result<Capture> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let at = listener.local_addr()?;
        let mut ports = self.ports();
        ports.insert(at.port());
        let capture = Capture::start(ports)?;
        TcpStream::connect(at)?.write_all(marker.as_bytes())?;
        Ok(capture)
    }

    fn ports(&self) -> std::collections::BTreeSet<u16> {
        self.cluster.nodes().iter().filter_map(|node| Some(nodes::socket(node)?.port())).collect()
    }
}

/// Runs it.
///
/// # Errors
/// [`Failure`] if the mail is not sent and read.
pub async fn run(options: &Options, step: impl Fn(&str)) -> Result<Findings, Failure> {
    let set = Setting::set(options, &step).await?;
    let marker = format!("marker {:032x}", rand::random::<u128>());
    let capture = set.listen(&marker);
    let (sender, recipient) = (&set.sender, &set.recipient);
    let network = set.cluster.network_file();
    let network = network.to_str().ok_or_else(|| broken("a path is no text"))?;
    step("the sender and the recipient make their keys");
    let offline = ["init", "--offline", "--network", network];
    let published = ["init", "--network", network];
    tokio::try_join!(sender.run(&offline), recipient.run(&published))?;
    let (from, to) = (sender.public()?, recipient.public()?);
    let mail = Mail::new();
    let mut canaries = mail.canaries(&marker, &from, &to, [sender, recipient]);
    std::fs::write(set.directory.path().join("marker.log"), &marker).map_err(broken)?;

    let mut nodes = Nodes::new(&set.cluster, &to.address, set.k);
    let mut scan = Scan::default();
    scan.disk("sender, before", &[Part::Sender].into(), &sender.profile, &[], &canaries);
    scan.disk(
        "recipient, before",
        &[Part::RecipientBefore].into(),
        &recipient.profile,
        &[],
        &canaries,
    );

    step("the mail is sent");
    let address = to.address.to_string();
    let send = ["send", "--to", &address, "--delay", "0", "--json"];
    let mut held = sender.hold(&send, &mail.message).await?;
    nodes.called(&held.calls(), Part::CalledBySender, Label::SenderEndpoint, &mut canaries);
    // Who was an anonymizer must be known before anything is searched: one that was called too is found now.
    nodes.anonymizers(&sender.anonymizers(&["certificate"]));
    nodes.anonymizers(&recipient.anonymizers(&["certificate"]));
    step("searching the sender's memory, and that of the nodes it called");
    search(&mut scan, &held, Part::Sender, &nodes, &[Part::CalledBySender], &canaries);
    let _ = held.release(sender).await?;

    step("the mail is read");
    let mut held = recipient.hold(&["fetch", "--json"], b"").await?;
    nodes.called(&held.calls(), Part::CalledByRecipient, Label::RecipientEndpoint, &mut canaries);
    nodes.anonymizers(&recipient.anonymizers(&["certificate", "reading"]));
    step("searching the memory of all processes");
    search(&mut scan, &held, Part::Recipient, &nodes, &[Part::Node], &canaries);
    let given_up = sender.given_up(&["certificate"]);
    scan.forgive(given_up + recipient.given_up(&["certificate", "reading"]));
    let report = held.release(recipient).await?.0;
    if !report.contains(&mail.subject) {
        return Err(broken("the mail did not arrive"));
    }

    step("searching disks, logs and connections");
    Ok(search_what_is_left(scan, &set, &nodes, capture, &canaries))
}

fn search_what_is_left(
    mut scan: Scan,
    Setting { directory, sender, recipient, .. }: &Setting,
    nodes: &Nodes<'_>,
    capture: std::io::Result<Capture>,
    canaries: &Canaries,
) -> Findings {
    let directory = directory.path();
    scan.disk("sender", &[Part::Sender].into(), &sender.profile, &[], canaries);
    scan.disk("recipient", &[Part::Recipient].into(), &recipient.profile, &[], canaries);
    for (index, parts, directory) in nodes.all() {
        scan.node_disk(index, parts, directory, canaries);
    }
    scan.log("sender", &[Part::Sender].into(), &sender.log, canaries);
    scan.log("recipient", &[Part::Recipient].into(), &recipient.log, canaries);
    scan.log("audit", &[Part::Audit].into(), &directory.join("marker.log"), canaries);
    match capture {
        Ok(capture) => scan.wire(capture, canaries),
        Err(error) => scan.wire_not_run(&error),
    }
    scan.findings()
}

fn search(
    scan: &mut Scan,
    held: &Held,
    part: Part,
    nodes: &Nodes<'_>,
    which: &[Part],
    canaries: &Canaries,
) {
    let name = if part == Part::Sender { "sender" } else { "recipient" };
    scan.memory(&[(name.to_owned(), [part].into(), held.pid())], canaries);
    scan.memory(&nodes.processes(which), canaries);
}

/// The mail.
struct Mail {
    subject: String,
    secret: [u8; 32],
    message: Vec<u8>,
}

impl Mail {
    fn new() -> Self {
        let subject = format!("subject {:032x}", rand::random::<u128>());
        let secret: [u8; 32] = rand::random();
        let text = data_encoding::HEXLOWER.encode(&secret);
        let message = format!("Subject: {subject}\r\n\r\n{text}\r\n").into_bytes();
        Self { subject, secret, message }
    }

    fn canaries(&self, marker: &str, from: &Public, to: &Public, of: [&Person; 2]) -> Canaries {
        let mut canaries = Canaries::default();
        canaries.text(Label::Marker, marker);
        canaries.text(Label::SenderAddress, &from.address.to_string());
        canaries.text(Label::RecipientAddress, &to.address.to_string());
        from.keys.iter().for_each(|key| canaries.bytes(Label::SenderKeys, key));
        canaries.text(Label::Subject, &self.subject);
        canaries.text(Label::Body, &data_encoding::HEXLOWER.encode(&self.secret));
        canaries.bytes(Label::Body, &self.secret);
        of.iter().for_each(|person| canaries.text(Label::Passphrase, &person.passphrase));
        canaries
    }
}

/// What that says.
#[must_use]
pub fn outcomes(findings: &Findings) -> Vec<Outcome> {
    let Findings { memory, disk, logs, wire } = findings;
    vec![
        memory.outcome("canary.memory", Medium::Memory),
        disk.outcome("canary.disk", Medium::Disk),
        logs.outcome("canary.logs", Medium::Logs),
        wire.outcome("canary.wire", Medium::Wire),
    ]
}

/// Scans networks whose nodes have a fault.
///
/// # Errors
/// As [`run`].
pub async fn mutants(step: impl Fn(&str)) -> Result<Vec<MutantOutcome>, Failure> {
    let mut all = Vec::new();
    for mutant in Mutant::value_variants() {
        step(&format!("mutant: {}", mutant::name(mutant)));
        let findings = run(&Options { mutant: Some(*mutant), ..Options::quick() }, &step).await?;
        let fallen: Vec<Outcome> =
            outcomes(&findings).into_iter().filter(|o| o.verdict == Verdict::Fell).collect();
        let says = |outcome: &Outcome| outcome.details.first().unwrap_or(&outcome.seen).clone();
        let caught_by = fallen.iter().map(|outcome| outcome.check.clone()).collect();
        let seen = fallen.first().map_or_else(|| "nothing out of place".to_owned(), says);
        let attack = "a node that is seized tells what it saw";
        all.push(MutantOutcome::new(mutant, attack, caught_by, seen));
    }
    Ok(all)
}
