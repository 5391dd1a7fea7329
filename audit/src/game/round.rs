//! Playing: a round's mails over the stage, and what each place on their ways was told of sizes, counts and times.

use std::collections::{BTreeMap, BTreeSet};

use anon::{id::NodeId, position::Key};
use cutout::terminal::Failure;
use testbed::record::{Record, What};
use ua::{guard::Guards, session::SchemeChoice};

use super::SENDERS;
use crate::{
    live::{Agent, ChannelTruth, MailRun, Sighting, Stage, channels, sightings},
    role::Role,
};

/// A mail that is to be sent: from whom, to whom, and how many bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Letter {
    /// The sender's number on the stage.
    pub from: usize,
    /// The recipient's number.
    pub to: usize,
    /// The text's length.
    pub bytes: usize,
    /// Whether it is the first sender's, or of whoever writes in its stead.
    pub is_first: bool,
}

/// What one place on a mail's way was told, by number: nothing here names anyone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Streams, or answers brought.
    pub streams: usize,
    /// When each line was written, microseconds, in order.
    pub times: Vec<u64>,
    /// Cells passed towards the anonymizer.
    pub forward: usize,
    /// Cells passed back.
    pub backward: usize,
    /// Bytes of all requests.
    pub asked: usize,
    /// Bytes of all answers.
    pub answered: usize,
    /// Bytes of the longest request.
    pub longest: usize,
}

impl Place {
    fn see(&mut self, lines: &[&Record]) {
        self.streams += 1;
        for line in lines {
            self.times.push(line.at);
            match line.what {
                What::Forward => self.forward += 1,
                What::Backward => self.backward += 1,
                // A handshake has one length.
                What::Opened | What::Extended | What::LookedUp | What::Lied => {}
                What::Direct | What::Channel | What::Answered => {
                    self.asked += line.request.len();
                    self.answered += line.answer.len();
                    self.longest = self.longest.max(line.request.len());
                }
            }
        }
        self.times.sort_unstable();
    }
}

/// One mail that was sent.
#[derive(Clone, Debug, Default)]
pub(super) struct Played {
    /// Whether it is the first sender's, or of whoever wrote in its stead.
    pub is_first: bool,
    /// The recipient's number.
    pub to: usize,
    /// What each place was told; its name is the role's, such as `M(Z2)`.
    pub places: BTreeMap<String, Place>,
}

/// What is known of a mail once it is sent, but for what was written down.
struct Sent {
    letter: Letter,
    key: Key,
    object: Vec<u8>,
    sending: Vec<ChannelTruth>,
}

/// Who plays.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table<'a> {
    pub(super) stage: &'a Stage,
    /// Who is written to.
    pub(super) recipients: &'a [Agent],
}

async fn send(table: Table<'_>, letter: Letter, choice: SchemeChoice) -> Result<Sent, Failure> {
    let nobody = || Failure::new(70, "the game has no such player", "", "report this");
    let alice = table.stage.senders.get(letter.from).ok_or_else(nobody)?;
    let bob = table.recipients.get(letter.to).ok_or_else(nobody)?;
    // Or only the first mail to somebody would have a Z3.
    alice.forget_certificates()?;
    let _ = alice.take_events();
    let text = format!("Subject: game\r\n\r\n{}\r\n", "x".repeat(letter.bytes));
    let id = alice.hand_in(text.as_bytes(), "game", bob.address(), false)?;
    let (key, object) = alice.body(&id)?;
    let scheme = alice.agent.scheme(choice).await?;
    if let Some(error) = alice.deliver(&id, scheme).await?.error {
        return Err(error.into());
    }
    Ok(Sent { letter, key, object, sending: channels(&alice.take_events()) })
}

/// Sends the mails of a round, one after the other or all at once, and gathers what was written down of each.
///
/// # Errors
/// [`Failure`] if a mail is not sent.
pub(super) async fn play(
    table: Table<'_>,
    letters: &[Letter],
    at_once: bool,
    choice: SchemeChoice,
) -> Result<Vec<Played>, Failure> {
    let stage = table.stage;
    // Whose roster is due for comparison has it compared before the round: how long ago it was tells nothing then.
    for sender in stage.senders.iter().take(SENDERS) {
        sender.agent.scheme(choice).await?;
    }
    let marks = stage.cluster.marks();
    let sent = if at_once {
        let all = letters.iter().map(|letter| send(table, *letter, choice));
        futures::future::try_join_all(all).await?
    } else {
        let mut sent = Vec::new();
        for letter in letters {
            sent.push(send(table, *letter, choice).await?);
        }
        sent
    };
    let mut lines = stage.read(&marks).await?;
    let nodes: BTreeSet<NodeId> = stage.cluster.ids().into_iter().collect();
    let mut played = Vec::new();
    for Sent { letter, key, object, sending } in sent {
        let (from, to) = (letter.from, letter.to);
        let Some((alice, bob)) = stage.senders.get(from).zip(table.recipients.get(to)) else {
            continue;
        };
        let mail = MailRun {
            from,
            to,
            alice,
            bob,
            key,
            object,
            message: Vec::new(),
            subject: String::new(),
            guarded: matches!(choice, SchemeChoice::Guarded { .. }),
            sending,
            reading: Vec::new(),
            arrived: true,
            lines,
        };
        let mut places: BTreeMap<String, Place> = BTreeMap::new();
        let guards = Guards::read(alice.vault())?;
        let guard = guards.all().first().map(|guard| guard.node);
        for Sighting { at, role, lines, .. } in sightings(&mail, &nodes) {
            places.entry(role.to_string()).or_default().see(&lines);
            // The guard in use by itself: where it is passed over, it carries less.
            if role == Role::Guard && guard == Some(at) {
                places.entry("guard".to_owned()).or_default().see(&lines);
            }
        }
        played.push(Played { is_first: letter.is_first, to, places });
        lines = mail.lines;
    }
    Ok(played)
}
