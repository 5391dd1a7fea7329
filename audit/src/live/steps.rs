//! The two steps of a mail: what those who carry and keep the body share with those who carry and keep the
//! notification, and nobody else's mail has.

use std::collections::BTreeSet;

use super::{coalition::Sharers, observation::Observation, stage::MailRun};
use crate::role::Role;

/// Roles of the body, and roles of the inbox and the certificate.
fn step(role: &Role) -> Option<bool> {
    match role {
        Role::Anonymizer(end) if ["Z1", "W1"].contains(&end.as_str()) => Some(true),
        Role::Anonymizer(end) if ["Z2", "W2", "Z3"].contains(&end.as_str()) => Some(false),
        Role::Replicas(place) => Some(place == "body"),
        _ => None,
    }
}

/// Whether there was something to compare: values that were seen at each of the two steps of a mail.
#[must_use]
pub(super) fn are_seen(seen: &[Observation]) -> bool {
    let of_step =
        |body: bool| seen.iter().any(|o| step(&o.role) == Some(body) && !o.values.is_empty());
    of_step(true) && of_step(false)
}

/// What ties the two steps of a mail: values that only this sender's mails have, in both, and anonymizers that serve both.
#[must_use]
pub(super) fn ties(
    mail: &MailRun<'_>,
    seen: &[Observation],
    sharers: &Sharers,
) -> BTreeSet<String> {
    let of_step = |body: bool| {
        let ours = seen.iter().filter(move |o| step(&o.role) == Some(body));
        // What the reader brings to both steps is the reader's.
        ours.flat_map(|o| o.values.iter().map(move |(value, place)| (value, (place, &o.role))))
    };
    let inbox: Vec<_> = of_step(false).collect();
    let mut found = BTreeSet::new();
    for (value, (place, role)) in of_step(true) {
        let alone = sharers.get(value).is_none_or(|senders| senders.len() == 1);
        if alone && let Some((_, (_, other))) = inbox.iter().find(|(theirs, _)| *theirs == value) {
            found.insert(format!("{role} and {other} share {place}"));
        }
    }
    let anonymizers = |body: bool| {
        let ours = mail.channels().into_iter().filter(move |(end, _)| {
            !end.starts_with('R') && step(&Role::Anonymizer(end.clone())) == Some(body)
        });
        ours.map(|(_, (_, path, _))| path.anonymizer).collect::<BTreeSet<_>>()
    };
    for node in anonymizers(true).intersection(&anonymizers(false)) {
        found.insert(format!("{} is anonymizer of both steps", node.short()));
    }
    found
}
