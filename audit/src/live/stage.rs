//! A network of real processes with taps at the protocol's edges, agents that use it, and single mails across it:
//! the truth about each beside what the processes wrote down meanwhile.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anon::{id::NodeId, position::Key, selection::SampledKeys};
use cutout::terminal::Failure;
use tempfile::TempDir;
use testbed::{
    cluster::{Cluster, ClusterOptions},
    hostile::behaviour::{Behaviour, Hostile},
    process::COMMAND,
    record::Record,
};
use ua::{
    event::{Event, Path, Purpose},
    scheme::Scheme,
    session::SchemeChoice,
};

use super::agent::Agent;

/// How long the processes may take to write down what a finished mail made them do.
const TAIL: Duration = Duration::from_millis(60);
/// What the nodes can do once they are told to.
const BEHAVIOURS: [&str; 5] =
    ["lying-go-between", "marking", "tagging", "answering-at-length", "holding-back"];
/// Epochs until every node may be chosen by everyone.
const GROWN_UP: u32 = 3;

/// How large a stage is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Node processes.
    pub nodes: usize,
    /// Replicas of what is kept; `None`: as in any small network.
    pub replicas: Option<usize>,
    /// Seconds of an epoch of their network.
    pub epoch_seconds: u64,
    /// Who writes.
    pub senders: usize,
    /// Who is written to.
    pub recipients: usize,
}

/// A network, and who uses it. Dropping it kills its processes.
#[derive(Debug)]
pub struct Stage {
    /// The processes.
    pub cluster: Cluster,
    /// Who writes.
    pub senders: Vec<Agent>,
    /// Who is written to; their certificates are published.
    pub recipients: Vec<Agent>,
    /// Seconds of an epoch of their network.
    pub epoch_seconds: u64,
    directory: TempDir,
}

/// Where each node's record ends.
pub type Marks = Vec<u64>;

/// One channel of a mail: what it was for, its nodes, and the keys that chose them.
pub type ChannelTruth = (Purpose, Path, SampledKeys);

/// One mail: who wrote to whom, by which channels, and what was written down meanwhile.
#[derive(Debug)]
pub struct MailRun<'a> {
    /// The sender's number.
    pub from: usize,
    /// The recipient's number.
    pub to: usize,
    /// Who wrote.
    pub alice: &'a Agent,
    /// Who was written to.
    pub bob: &'a Agent,
    /// The key of the Message-ID of the body's only part.
    pub key: Key,
    /// The sealed body.
    pub object: Vec<u8>,
    /// The message.
    pub message: Vec<u8>,
    /// Its subject.
    pub subject: String,
    /// Whether one X serves all channels, and the reader has channels too.
    pub guarded: bool,
    /// The sender's channels.
    pub sending: Vec<ChannelTruth>,
    /// The recipient's channels, while reading.
    pub reading: Vec<ChannelTruth>,
    /// Whether the mail arrived, byte for byte one new mail.
    pub arrived: bool,
    /// Who wrote down what, in no order across processes.
    pub lines: Vec<(NodeId, Record)>,
}

fn disk(error: std::io::Error) -> Failure {
    Failure::new(
        73,
        "the audit's network cannot be set up",
        error,
        "set TMPDIR to a disk with room",
    )
}

impl Stage {
    /// Starts the processes, waits until all may be chosen, and makes the agents.
    ///
    /// # Errors
    /// [`Failure`] if the network does not come up.
    pub(crate) async fn set(size: Size, step: impl Fn(&str)) -> Result<Self, Failure> {
        let directory = tempfile::tempdir().map_err(disk)?;
        let program = std::env::current_exe().map_err(disk)?;
        Self::set_with(size, program, directory, step).await
    }

    /// As `Self::set`, with a program other than this one, in a directory of one's own.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn set_with(
        size: Size,
        program: PathBuf,
        directory: TempDir,
        step: impl Fn(&str),
    ) -> Result<Self, Failure> {
        let mut options =
            ClusterOptions::new(program, directory.path().join("network"), size.nodes);
        options.k = size.replicas.unwrap_or(options.k);
        options.network.epoch_seconds = size.epoch_seconds;
        options.network.delay_seconds = 0;
        let hostile = directory.path().join("hostile");
        std::fs::write(&hostile, "").map_err(disk)?;
        for index in 0..size.nodes {
            let record = options.node_directory(index).join("record.jsonl");
            let arguments = [
                COMMAND.into(),
                "--record".into(),
                record.into_os_string(),
                format!("--behaviour={}", BEHAVIOURS.join(",")).into(),
                "--hostile".into(),
                hostile.clone().into_os_string(),
            ];
            options.dressed.insert(index, arguments.into());
        }
        let all = size.nodes;
        let cluster = Cluster::start(options, |n| step(&format!("{n} of {all} nodes are up")))
            .await
            .map_err(crate::demo::failed)?;
        let agent = |name: String| Agent::new(&cluster.network_file(), directory.path().join(name));
        let of_kind = |kind: &str, count: usize| -> Result<Vec<Agent>, Failure> {
            (0..count).map(|number| agent(format!("{kind}{number}"))).collect()
        };
        let senders = of_kind("sender", size.senders)?;
        let recipients = of_kind("recipient", size.recipients)?;
        for recipient in &recipients {
            recipient.publish().await?;
        }
        step("waiting until the nodes have known each other for two epochs");
        tokio::time::sleep(Duration::from_secs(size.epoch_seconds) * GROWN_UP).await;
        let epoch_seconds = size.epoch_seconds;
        Ok(Self { cluster, senders, recipients, epoch_seconds, directory })
    }

    /// One more user of its network, of whom nobody knows yet.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) fn newcomer(&self) -> Result<Agent, Failure> {
        let profile = format!("newcomer{:016x}", rand::random::<u64>());
        Agent::new(&self.cluster.network_file(), self.directory.path().join(profile))
    }

    /// From now on these nodes do these things, and all others none.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) fn make_hostile(&self, nodes: &[NodeId], does: &[Behaviour]) -> Result<(), Failure> {
        self.write_hostile(&Hostile::text_of(nodes, does))
    }

    /// From now on each of these nodes does its thing, and all others are honest.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) fn make_each_hostile(&self, each: &[(NodeId, Behaviour)]) -> Result<(), Failure> {
        let lines = each.iter().map(|(node, does)| Hostile::text_of(&[*node], &[*does]));
        self.write_hostile(&lines.collect::<String>())
    }

    fn write_hostile(&self, text: &str) -> Result<(), Failure> {
        // In one step: who reads it sees the old list or the new one.
        let (list, next) =
            (self.directory.path().join("hostile"), self.directory.path().join("next"));
        std::fs::write(&next, text).map_err(disk)?;
        std::fs::rename(next, list).map_err(disk)
    }

    /// What was written down since.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) async fn read(&self, marks: &Marks) -> Result<Vec<(NodeId, Record)>, Failure> {
        tokio::time::sleep(TAIL).await;
        self.cluster.records(marks).map_err(disk)
    }

    /// Sends one mail by a scheme of the project's own, reads it, and tells all about it.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) async fn mail(
        &self,
        from: usize,
        to: usize,
        choice: SchemeChoice,
    ) -> Result<MailRun<'_>, Failure> {
        let marks = self.begin(from, to)?;
        let (alice, bob) = self.pair(from, to)?;
        let scheme = alice.agent.scheme(choice).await?;
        let reading = match choice {
            SchemeChoice::Paper => None,
            SchemeChoice::Guarded { .. } => Some(bob.agent.scheme(choice).await?),
        };
        self.mail_by((from, to), scheme, reading, &marks, |_, _| Ok(())).await
    }

    fn pair(&self, from: usize, to: usize) -> Result<(&Agent, &Agent), Failure> {
        let (alice, bob) = (self.senders.get(from), self.recipients.get(to));
        alice.zip(bob).ok_or_else(nobody)
    }

    /// Forgets what happened to these two, and says where the records end.
    ///
    /// # Errors
    /// [`Failure`] if there are no such two.
    pub(crate) fn begin(&self, from: usize, to: usize) -> Result<Marks, Failure> {
        let (alice, bob) = self.pair(from, to)?;
        let _ = (alice.take_events(), bob.take_events());
        Ok(self.cluster.marks())
    }

    /// As [`Self::mail`], by a scheme of the caller's, from [`Self::begin`] on; the reader goes through channels of a
    /// scheme of its own, or directly. `tamper` may change what waits in the outbox.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) async fn mail_by(
        &self,
        (from, to): (usize, usize),
        scheme: Arc<dyn Scheme>,
        reading: Option<Arc<dyn Scheme>>,
        marks: &Marks,
        tamper: impl FnOnce(&Agent, &str) -> Result<(), Failure>,
    ) -> Result<MailRun<'_>, Failure> {
        let (alice, bob) = self.pair(from, to)?;
        let subject = format!("canary {:016x}", rand::random::<u64>());
        let text = format!("{:032x}", rand::random::<u128>());
        let message = format!("Subject: {subject}\r\nTo: {}\r\n\r\n{text}\r\n", bob.address());
        let id = alice.hand_in(message.as_bytes(), &subject, bob.address(), false)?;
        let (key, object) = alice.body(&id)?;
        tamper(alice, &id)?;
        let outcome = alice.deliver(&id, scheme).await?;
        if let Some(error) = outcome.error {
            return Err(error.into());
        }
        let guarded = reading.is_some();
        let fetched = bob.fetch(reading).await?;
        let arrived = fetched.delivered.len() == 1 && bob.has(message.as_bytes())?;
        let lines = self.read(marks).await?;
        Ok(MailRun {
            from,
            to,
            alice,
            bob,
            key,
            object,
            message: message.into_bytes(),
            subject,
            guarded,
            sending: channels(&alice.take_events()),
            reading: channels(&bob.take_events()),
            arrived,
            lines,
        })
    }
}

fn nobody() -> Failure {
    Failure::new(70, "the audit's network has no such user", "", "report this")
}

/// The channels that stood, by an agent's events.
#[must_use]
pub fn channels(events: &[Event]) -> Vec<ChannelTruth> {
    let channel = |event: &Event| match event {
        Event::Channel { purpose, path, keys } => Some((*purpose, path.clone(), *keys)),
        _ => None,
    };
    events.iter().filter_map(channel).collect()
}
