//! The live run: mails across a network of real processes with taps at the protocol's edges. What each role was told is
//! compared with what it may be told, and which coalitions connect sender and recipient with which are known to.
//!
//! ```text
//! stage ── agent        processes, and who uses them: the truth about each mail, and what was written down
//!      └─► observation ── role, value   what one process was told on one stream, in which role
//!               └─► coalition           which sets of roles connect the two ends, by which chain of values
//! ```

mod agent;
mod coalition;
mod observation;
mod role;
mod stage;
mod value;

use std::collections::{BTreeMap, BTreeSet};

use anon::certificate::NodeId;
use serde::{Deserialize, Serialize};
use ua::{session::SchemeChoice, terminal::Failure};

pub use agent::Agent;
pub use coalition::{Coalition, Sharers, Strength, count_sharers, minimal};
pub use observation::{Observation, Sighting, observations, sightings};
pub use role::Role;
pub use stage::{ChannelTruth, MailRun, Marks, Size, Stage, channels};

/// What a scheme's mails showed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SchemeFindings {
    /// `paper` or `guarded`.
    pub scheme: String,
    /// Mails sent, and how many of them arrived.
    pub mails: (usize, usize),
    /// For each role, what it was told, by label.
    pub views: BTreeMap<String, BTreeSet<String>>,
    /// Roles that are told who sends.
    pub sender_ends: BTreeSet<String>,
    /// Roles that are told for whom it is.
    pub recipient_ends: BTreeSet<String>,
    /// The minimal coalitions.
    pub coalitions: Vec<Coalition>,
}

/// What the live run showed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Findings {
    /// Node processes.
    pub nodes: usize,
    /// Lines that they wrote down.
    pub lines: usize,
    /// By scheme.
    pub schemes: Vec<SchemeFindings>,
}

/// Sends mails by a scheme, one after the other, and analyses them.
///
/// # Errors
/// [`Failure`] if a mail cannot be sent.
pub async fn run_scheme(
    stage: &Stage,
    choice: SchemeChoice,
    each: usize,
    step: impl Fn(&str),
) -> Result<(SchemeFindings, usize), Failure> {
    let nodes: BTreeSet<NodeId> = stage.cluster.nodes().iter().map(|node| node.id).collect();
    let scheme = match choice {
        SchemeChoice::Paper => "paper",
        SchemeChoice::Guarded { .. } => "guarded",
    };
    let (mut mails, mut sharers) = (Vec::new(), Sharers::new());
    let (mut arrived, mut lines) = (0, 0);
    let all = each * stage.senders.len();
    for number in 0..all {
        let from = number % stage.senders.len();
        // Certificates are kept by those who fetched them: each scheme has recipients of its own.
        let half = stage.recipients.len() / 2;
        let to = (from + number / stage.senders.len()) % half;
        let to = if choice == SchemeChoice::Paper { to } else { half + to };
        step(&format!("{scheme}: mail {} of {all}", number + 1));
        let mail = stage.mail(from, to, choice).await?;
        (arrived, lines) = (arrived + usize::from(mail.arrived), lines + mail.lines.len());
        let seen = observations(&mail, &nodes);
        count_sharers(&mut sharers, from, &seen);
        mails.push(seen);
    }
    step(&format!("{scheme}: all coalitions"));
    let mut views: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let (mut sender_ends, mut recipient_ends) = (BTreeSet::new(), BTreeSet::new());
    for observation in mails.iter().flatten() {
        let role = observation.role.function();
        let labels = observation.labels.iter().map(|label| (*label).to_owned());
        views.entry(role.clone()).or_default().extend(labels);
        if observation.names_alice() {
            sender_ends.insert(role.clone());
        }
        if observation.names_bob() {
            recipient_ends.insert(role);
        }
    }
    let coalitions = minimal(&mails, &sharers);
    let (scheme, mails) = (scheme.to_owned(), (mails.len(), arrived));
    let findings = SchemeFindings { scheme, mails, views, sender_ends, recipient_ends, coalitions };
    Ok((findings, lines))
}

/// How long the live run is.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The stage.
    pub size: Size,
    /// Mails of each sender and scheme.
    pub each: usize,
}

impl Options {
    /// Enough to see every coalition: some twenty seconds.
    #[must_use]
    pub const fn quick() -> Self {
        let size = Size { nodes: 24, replicas: None, epoch_seconds: 3, senders: 6, recipients: 4 };
        Self { size, each: 1 }
    }

    /// More mails, so that what many share is seen to be shared by many.
    #[must_use]
    pub const fn full() -> Self {
        let size = Size { nodes: 24, replicas: None, epoch_seconds: 3, senders: 12, recipients: 6 };
        Self { size, each: 3 }
    }
}

/// Runs it.
///
/// # Errors
/// [`Failure`].
pub async fn run(
    stage: &Stage,
    options: &Options,
    step: impl Fn(&str),
) -> Result<Findings, Failure> {
    let mut findings = Findings { nodes: stage.cluster.nodes().len(), ..Findings::default() };
    for choice in [SchemeChoice::Paper, SchemeChoice::Guarded { middle: 1 }] {
        let (scheme, lines) = run_scheme(stage, choice, options.each, &step).await?;
        findings.lines += lines;
        findings.schemes.push(scheme);
    }
    Ok(findings)
}
