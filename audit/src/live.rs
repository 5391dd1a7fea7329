//! The live run: mails across a network of real processes with taps at the protocol's edges. What each role was told is
//! compared with what it may be told, and which coalitions connect sender and recipient with which are known to.
//!
//! ```text
//! stage ── agent        processes, and who uses them: the truth about each mail, and what was written down
//!      └─► sighting ── role            which process had which lines before it, in which role
//!            └─► observation ── label, value   what that tells, and what could tie it to others
//!                     └─► coalition    which sets of roles connect the two ends, by which chain of values
//! check, steps, leaked, liars: what is made of it     mutant: schemes that must be caught     acting: nodes that act
//! ```

mod acting;
mod agent;
mod check;
mod coalition;
mod label;
mod leaked;
mod liars;
mod mutant;
mod observation;
mod role;
mod sighting;
mod stage;
mod steps;
mod value;

use std::collections::{BTreeMap, BTreeSet};

use anon::id::NodeId;
use cutout::terminal::Failure;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ua::session::SchemeChoice;

use self::{label::Needles, sighting::bobs_peers};
use crate::role::{Coalition, Role};

pub use acting::{ActingFindings, run_acting};
pub use agent::Agent;
pub use check::outcomes;
pub use coalition::{Sharers, count_sharers, minimal};
pub use label::LABELS;
pub use leaked::LeakFindings;
pub use liars::{LiarFindings, run_liars};
pub use mutant::mutants;
pub use observation::{Observation, observations};
pub use sighting::{Sighting, sightings};
pub use stage::{ChannelTruth, MailRun, Marks, Size, Stage, channels};

/// What a scheme's mails showed.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct SchemeFindings {
    /// `paper` or `guarded`.
    pub scheme: String,
    /// Mails sent, and how many of them arrived.
    pub mails: (usize, usize),
    /// For each role, what it was told, by label; which nodes it knows only where it did in most channels.
    pub views: BTreeMap<String, BTreeSet<String>>,
    /// What ties the step of the body to that of the notification.
    pub steps: BTreeSet<String>,
    /// Mails of which both steps were seen by somebody who carried or kept them.
    pub steps_seen: usize,
    /// What the recipient's keys open of it all.
    pub leaked: LeakFindings,
    /// Roles that are told who sends.
    pub sender_ends: BTreeSet<String>,
    /// Roles that are told for whom it is.
    pub recipient_ends: BTreeSet<String>,
    /// The minimal coalitions.
    pub coalitions: Vec<Coalition>,
    /// Those that link only once the recipient's keys are taken.
    pub with_keys: Vec<Coalition>,
}

/// What the live run showed.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Findings {
    /// Node processes.
    pub nodes: usize,
    /// Lines that they wrote down.
    pub lines: usize,
    /// By scheme.
    pub schemes: Vec<SchemeFindings>,
    /// What liars achieve, by scheme.
    pub liars: Vec<LiarFindings>,
    /// What nodes that act achieve.
    pub acting: ActingFindings,
}

/// What a scheme is called.
const fn name_of(choice: SchemeChoice) -> &'static str {
    match choice {
        SchemeChoice::Paper => "paper",
        SchemeChoice::Guarded { .. } => "guarded",
    }
}

/// Sends mails by a scheme, one after the other, and analyses them.
///
/// # Errors
/// [`Failure`] if a mail cannot be sent.
pub(crate) async fn run_scheme(
    stage: &Stage,
    choice: SchemeChoice,
    each: usize,
    step: impl Fn(&str),
) -> Result<(SchemeFindings, usize), Failure> {
    let scheme = name_of(choice);
    let all = each * stage.senders.len();
    let mut runs = Vec::new();
    for number in 0..all {
        let from = number % stage.senders.len();
        // Certificates are kept by those who fetched them: each scheme has recipients of its own.
        let half = stage.recipients.len() / 2;
        let to = (from + number / stage.senders.len()) % half;
        let to = if choice == SchemeChoice::Paper { to } else { half + to };
        step(&format!("{scheme}: mail {} of {all}", number + 1));
        runs.push(stage.mail(from, to, choice).await?);
    }
    step(&format!("{scheme}: who knew what, and which coalitions link"));
    let lines = runs.iter().map(|mail| mail.lines.len()).sum();
    Ok((analyse(stage, scheme, &runs, &mut Sharers::new()), lines))
}

/// Analyses mails that were sent by one scheme; `sharers` is what other mails of it had, and gets what these have.
#[must_use]
pub(crate) fn analyse(
    stage: &Stage,
    scheme: &str,
    runs: &[MailRun<'_>],
    sharers: &mut Sharers,
) -> SchemeFindings {
    let nodes: BTreeSet<NodeId> = stage.cluster.ids().into_iter().collect();
    let mails: Vec<Vec<Observation>> = runs.iter().map(|mail| observations(mail, &nodes)).collect();
    for (mail, seen) in runs.iter().zip(&mails) {
        count_sharers(sharers, mail.from, seen);
    }
    let (mut leaked, mut steps) = (LeakFindings::default(), BTreeSet::new());
    for (mail, seen) in runs.iter().zip(&mails) {
        steps.extend(steps::ties(mail, seen, sharers));
        if let Some(another) = stage.senders.get(mail.from) {
            let needles = Needles::of(mail, &bobs_peers(mail, &nodes));
            leaked.add(mail, seen, another, &needles);
        }
    }
    let (mut sender_ends, mut recipient_ends) = (BTreeSet::new(), BTreeSet::new());
    for observation in mails.iter().flatten() {
        let role = observation.role.function();
        if observation.names_alice() {
            sender_ends.insert(role.clone());
        }
        if observation.names_bob() {
            recipient_ends.insert(role);
        }
    }
    let opened: Vec<Vec<Observation>> =
        runs.iter().zip(&mails).map(|(mail, seen)| leaked::with_keys(mail, seen)).collect();
    let coalitions = minimal(&mails, sharers);
    let mut with_keys = minimal(&opened, sharers);
    with_keys.retain(|found| {
        let is_it =
            |known: &Coalition| (known.strength, &known.roles) == (found.strength, &found.roles);
        !coalitions.iter().any(is_it)
    });
    SchemeFindings {
        scheme: scheme.to_owned(),
        mails: (runs.len(), runs.iter().filter(|mail| mail.arrived).count()),
        views: views(&mails),
        steps,
        steps_seen: mails.iter().filter(|seen| steps::are_seen(seen)).count(),
        leaked,
        sender_ends,
        recipient_ends,
        coalitions,
        with_keys,
    }
}

/// What each role was told, over all mails.
fn views(mails: &[Vec<Observation>]) -> BTreeMap<String, BTreeSet<String>> {
    let mut times: BTreeMap<String, (usize, BTreeMap<&str, usize>)> = BTreeMap::new();
    for seen in mails {
        // Each channel's on its own: nobody is told of another's by having the same name.
        let mut by_role: BTreeMap<&Role, BTreeSet<&str>> = BTreeMap::new();
        for observation in seen {
            by_role.entry(&observation.role).or_default().extend(&observation.labels);
        }
        for (role, labels) in by_role {
            let (mails, counts) = times.entry(role.function()).or_default();
            *mails += 1;
            for label in labels {
                *counts.entry(label).or_default() += 1;
            }
        }
    }
    let usual = |(role, (mails, counts)): (String, (usize, BTreeMap<&str, usize>))| {
        // In a small network nodes know of each other by chance.
        let counts = counts.into_iter();
        let labels = counts.filter(|(label, n)| !label.starts_with("who is") || n * 2 > mails);
        (role, labels.map(|(label, _)| label.to_owned()).collect())
    };
    times.into_iter().map(usual).collect()
}

/// How long the live run is.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The stage.
    pub size: Size,
    /// Mails of each sender and scheme.
    pub each: usize,
    /// Mails of each scheme through a network in which every other node lies.
    pub lies: usize,
}

impl Options {
    /// Enough to see every coalition: some twenty seconds.
    #[must_use]
    pub const fn quick() -> Self {
        let size =
            Size { nodes: 24, replicas: Some(3), epoch_seconds: 3, senders: 6, recipients: 4 };
        Self { size, each: 1, lies: 1 }
    }

    /// More mails, so that what many share is seen to be shared by many.
    #[must_use]
    pub(crate) const fn full() -> Self {
        let size =
            Size { nodes: 24, replicas: Some(3), epoch_seconds: 3, senders: 12, recipients: 6 };
        Self { size, each: 3, lies: 6 }
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
    // What others have sent is not what is waited for.
    for recipient in &stage.recipients {
        recipient.fetch(None).await?;
    }
    let mut findings = Findings { nodes: stage.cluster.nodes().len(), ..Findings::default() };
    for choice in [SchemeChoice::Paper, SchemeChoice::Guarded { middle: 1 }] {
        let (scheme, lines) = run_scheme(stage, choice, options.each, &step).await?;
        findings.lines += lines;
        findings.schemes.push(scheme);
    }
    for choice in [SchemeChoice::Paper, SchemeChoice::Guarded { middle: 1 }] {
        findings.liars.push(run_liars(stage, choice, options.lies, &step).await?);
    }
    findings.acting = run_acting(stage, &step).await?;
    Ok(findings)
}
