//! Nodes that act: mails across a network whose nodes do more than remember. What they achieve is found in what they wrote
//! down for each other, and in nothing else; who had which role is told by the truth about the mail, as everywhere.
//!
//! ```text
//! marking    a member hands out versions of certificates; an anonymizer is named one of them     {member, anonymizer}
//! tagging    a guard writes into the cells that it passes on; an anonymizer reads it             {X, anonymizer}
//! answering  a replica answers at length, another one keeps what it has to itself            the mail is read all the same
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anon::{id::NodeId, position::Key};
use cutout::terminal::Failure;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use testbed::hostile::{
    behaviour::{Act, Behaviour},
    note::{self, Note},
};
use ua::session::SchemeChoice;

use super::{
    coalition::{Sharers, count_sharers, minimal},
    observation::Observation,
    role::asks_for,
    stage::{MailRun, Marks, Stage},
};
use crate::role::{Coalition, Role, Strength};

const GUARDED: SchemeChoice = SchemeChoice::Guarded { middle: 1 };
/// Mails that are looked at at least, and at most where nothing was found in these: that somebody compares its roster
/// in this very mail depends on when an epoch begins.
const MAILS: usize = 2;
const MOST_MAILS: usize = 12;

/// What nodes that act achieved.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct ActingFindings {
    /// Mails that were sent while nodes marked agents and wrote into cells.
    pub mails: usize,
    /// Marks that were handed to agents, notes that guards wrote, and questions that anonymizers were asked.
    pub acts: (usize, usize, usize),
    /// The minimal coalitions in what these nodes wrote down.
    pub coalitions: Vec<Coalition>,
    /// Mails that were sent while replicas answered at length or not at all, and those of them that were read.
    pub answered: (usize, usize),
    /// How often a replica answered at length, and how often one held back.
    pub answers: (usize, usize),
    /// Why mails did not arrive.
    pub failures: Vec<String>,
}

/// Sends mails through nodes that act. The agents of the stage are marked afterwards: nothing else can be tried with them.
///
/// # Errors
/// [`Failure`] if the list of hostile nodes cannot be written.
pub async fn run_acting(stage: &Stage, step: impl Fn(&str)) -> Result<ActingFindings, Failure> {
    let mut found = ActingFindings::default();
    answering(stage, &mut found, &step).await?;
    linking(stage, &mut found, &step).await?;
    stage.make_hostile(&[], &[])?;
    Ok(found)
}

/// Mails of which the two replicas closest to each key misbehave when they are asked: the closest one answers at length,
/// the next one holds back what it has signed for. All others are honest, so that each key has an honest replica.
async fn answering(
    stage: &Stage,
    found: &mut ActingFindings,
    step: &impl Fn(&str),
) -> Result<(), Failure> {
    for number in 0..MOST_MAILS {
        if found.answers.0 > 0 && found.answers.1 > 0 {
            break;
        }
        step(&format!("replicas that answer at length, or with nothing, mail {}", number + 1));
        let from = number % stage.senders.len().max(1);
        let to = stage.recipients.len().saturating_sub(1 + number % stage.recipients.len().max(1));
        let marks = stage.begin(from, to)?;
        found.answered.0 += 1;
        match mail_past_replicas(stage, (from, to), &marks).await {
            Ok(true) => found.answered.1 += 1,
            Ok(false) => found.failures.push("it was sent, and is not read".to_owned()),
            Err(failure) => found.failures.push(words(&failure)),
        }
        stage.make_hostile(&[], &[])?;
        for (_, line) in stage.read(&marks).await? {
            match Act::of(&line) {
                Some(Act::AnsweredAtLength) => found.answers.0 += 1,
                Some(Act::HeldBack) => found.answers.1 += 1,
                _ => {}
            }
        }
    }
    Ok(())
}

/// Whether a mail arrives whose replicas misbehave from the moment on at which its keys are known.
async fn mail_past_replicas(
    stage: &Stage,
    (from, to): (usize, usize),
    marks: &Marks,
) -> Result<bool, Failure> {
    let (Some(alice), Some(bob)) = (stage.senders.get(from), stage.recipients.get(to)) else {
        return Ok(false);
    };
    alice.forget_certificates()?;
    let (sending, reading) = (alice.agent.scheme(GUARDED).await?, bob.agent.scheme(GUARDED).await?);
    let mail = stage.mail_by((from, to), sending, Some(reading), marks, |alice, id| {
        let parts = alice.agent.outbox().parts(id)?;
        let network = &alice.network().name;
        let body = parts.iter().map(|part| part.part.message_id.key(network));
        let keys: Vec<Key> =
            body.chain([bob.address().inbox(), bob.address().certificate()]).collect();
        stage.make_each_hostile(&misbehaving(stage, &keys))
    });
    Ok(mail.await?.arrived)
}

/// Who answers at length and who holds back, so that the third replica of each key is honest.
fn misbehaving(stage: &Stage, keys: &[Key]) -> Vec<(NodeId, Behaviour)> {
    let near = |key: &Key| stage.cluster.closest(key, 3);
    let honest: BTreeSet<NodeId> =
        keys.iter().filter_map(|key| near(key).get(2).copied()).collect();
    let does = [Behaviour::AnsweringAtLength, Behaviour::HoldingBack];
    let each = keys.iter().flat_map(|key| near(key).into_iter().zip(does));
    each.filter(|(node, _)| !honest.contains(node)).collect()
}

/// Mails through nodes that mark and tag, each of them where it has the role for it.
async fn linking(
    stage: &Stage,
    found: &mut ActingFindings,
    step: &impl Fn(&str),
) -> Result<(), Failure> {
    stage.make_hostile(&stage.cluster.ids(), &[Behaviour::Marking, Behaviour::Tagging])?;
    let (mut mails, mut sharers) = (Vec::new(), Sharers::new());
    let epoch = Duration::from_secs(stage.epoch_seconds);
    for number in 0..MOST_MAILS {
        if number >= MAILS && found.has_both() {
            break;
        }
        step(&format!(
            "sync peers that mark certificates and guards that write into cells, mail {}",
            number + 1
        ));
        let from = number % stage.senders.len().max(1);
        let to = number % stage.recipients.len().max(1);
        let Some(alice) = stage.senders.get(from) else { break };
        // The certificate is fetched, and the roster compared: as with the first mail of an epoch.
        alice.forget_certificates()?;
        if number >= MAILS {
            tokio::time::sleep(epoch).await;
        }
        let before = notes(stage);
        match stage.mail(from, to, GUARDED).await {
            Ok(mail) => {
                let told = notes_since(stage, &before);
                found.count(&told);
                let seen = observations(&mail, &told);
                count_sharers(&mut sharers, from, &seen);
                mails.push(seen);
                found.coalitions = minimal(&mails, &sharers);
            }
            Err(failure) => found.failures.push(words(&failure)),
        }
    }
    found.mails = mails.len();
    Ok(())
}

impl ActingFindings {
    /// The coalitions that link by what a member handed out.
    pub(super) fn by_marks(&self) -> Vec<&Coalition> {
        self.with(&Role::Member(String::new()))
    }

    /// The coalitions that link by what a guard wrote.
    pub(super) fn by_notes(&self) -> Vec<&Coalition> {
        self.with(&Role::Guard)
    }

    fn with(&self, role: &Role) -> Vec<&Coalition> {
        let by_value = self.coalitions.iter().filter(|c| c.strength == Strength::Value);
        by_value.filter(|coalition| coalition.roles.contains(role)).collect()
    }

    fn has_both(&self) -> bool {
        !self.by_marks().is_empty() && !self.by_notes().is_empty()
    }

    fn count(&mut self, told: &[(NodeId, Note)]) {
        for (_, note) in told {
            match note.act {
                Act::HandedMark => self.acts.0 += 1,
                Act::WroteNote => self.acts.1 += 1,
                Act::WasAsked => self.acts.2 += 1,
                _ => {}
            }
        }
    }
}

fn words(failure: &Failure) -> String {
    format!("{}: {}", failure.error, failure.cause)
}

/// How many notes each node has.
fn notes(stage: &Stage) -> BTreeMap<NodeId, usize> {
    stage.cluster.nodes().iter().map(|node| (node.id, note::read(&node.directory).len())).collect()
}

fn notes_since(stage: &Stage, before: &BTreeMap<NodeId, usize>) -> Vec<(NodeId, Note)> {
    let new = stage.cluster.nodes().iter().flat_map(|node| {
        let known = before.get(&node.id).copied().unwrap_or_default();
        note::read(&node.directory).into_iter().skip(known).map(|note| (node.id, note))
    });
    new.collect()
}

/// What the notes are to one mail: who wrote each of them in which role, and what it says of whom.
fn observations(mail: &MailRun<'_>, told: &[(NodeId, Note)]) -> Vec<Observation> {
    let (alices, bobs) = (mail.alice.identities(), mail.bob.identities());
    let of_user = |note: &Note| {
        let (who, labels): (&str, [&'static str; 2]) = if alices.contains(&note.peer) {
            ("", ["A's address", "A's identity"])
        } else if bobs.contains(&note.peer) {
            ("R", ["Bob's address", "Bob's identity"])
        } else {
            return None;
        };
        Some((who.to_owned(), BTreeSet::from(labels)))
    };
    let role = |at: NodeId, note: &Note| match note.act {
        Act::HandedMark => {
            let (who, labels) = of_user(note)?;
            Some((Role::Member(who), labels))
        }
        Act::WroteNote => {
            let (who, labels) = of_user(note)?;
            let role = if who.is_empty() { Role::Guard } else { Role::GoBetween("R2".to_owned()) };
            Some((role, labels))
        }
        Act::WasAsked => {
            let place = mail.place(&note.key()?)?;
            let channels = mail.channels();
            let serves = channels.iter().find(|(end, (_, path, _))| {
                path.anonymizer == at && asks_for(place).contains(&end.as_str())
            });
            let label = if place == "body" { "Message-ID's key" } else { "Bob's DHT keys" };
            Some((Role::Anonymizer(serves?.0.clone()), BTreeSet::from([label])))
        }
        _ => None,
    };
    let observed = told.iter().filter_map(|(at, note)| {
        let (role, labels) = role(*at, note)?;
        let named = |value: &String| (value.clone().into_bytes(), note.act.to_string());
        let values = note.values.iter().map(named).collect();
        Some(Observation { at: *at, role, values, knows: BTreeSet::new(), labels })
    });
    observed.collect()
}
