//! X and Y together: half of the nodes name accomplices when they are asked who is closest to a key. Whose word is
//! taken?

use std::collections::BTreeSet;

use anon::id::NodeId;
use cutout::terminal::Failure;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use testbed::hostile::behaviour::Behaviour;
use ua::{event::Event, session::SchemeChoice};

use super::stage::{Stage, channels};

/// What lies achieved under one scheme.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LiarFindings {
    /// `paper` or `guarded`.
    pub scheme: String,
    /// Channels that came about.
    pub channels: usize,
    /// Those in which both who were asked for the anonymizer lie.
    pub both_lie: usize,
    /// Those whose anonymizer is an accomplice that is not closest to the key sampled.
    pub taken: usize,
    /// Times the sender saw through a lie: statements that differ, evidence.
    pub seen_through: usize,
}

/// The most mails until a lie is taken where lies are taken: by chance there is none in the first few.
const MOST_MAILS: usize = 12;

/// Sends mails through a network in which every other node lies, and counts: so many, and in the paper's scheme more
/// until an accomplice was taken.
///
/// # Errors
/// [`Failure`] if the list of liars cannot be written. That mails do not get through is no error.
pub async fn run_liars(
    stage: &Stage,
    choice: SchemeChoice,
    mails: usize,
    step: impl Fn(&str),
) -> Result<LiarFindings, Failure> {
    let liars: BTreeSet<NodeId> = stage.cluster.ids().into_iter().step_by(2).collect();
    let scheme = super::name_of(choice);
    let mut found = LiarFindings { scheme: scheme.to_owned(), ..LiarFindings::default() };
    let lie = [Behaviour::LyingGoBetween];
    stage.make_hostile(&liars.iter().copied().collect::<Vec<_>>(), &lie)?;
    for number in 0..MOST_MAILS {
        if number >= mails && (choice != SchemeChoice::Paper || found.taken > 0) {
            break;
        }
        step(&format!("{scheme}: every other node lies, mail {}", number + 1));
        let (Some(alice), Some(bob)) = (
            stage.senders.get(number % stage.senders.len()),
            stage.recipients.get(number % stage.recipients.len()),
        ) else {
            break;
        };
        let id = alice.hand_in(b"Subject: lies\r\n\r\n.\r\n", "lies", bob.address(), false)?;
        let _ = alice.take_events();
        if let Ok(scheme) = alice.agent.scheme(choice).await {
            let _ = alice.deliver(&id, scheme).await;
        }
        let events = alice.take_events();
        found.seen_through += events
            .iter()
            .filter(|event| matches!(event, Event::Disagreed { .. } | Event::Evidence(_)))
            .count();
        for (_, path, keys) in channels(&events) {
            found.channels += 1;
            let asked = path.middle.last().copied().unwrap_or(path.go_between);
            let both = liars.contains(&asked) && liars.contains(&path.witness);
            found.both_lie += usize::from(both);
            let truth = stage.cluster.closest(&keys.anonymizer, 1);
            found.taken +=
                usize::from(truth != [path.anonymizer] && liars.contains(&path.anonymizer) && both);
        }
    }
    stage.make_hostile(&[], &[])?;
    Ok(found)
}
