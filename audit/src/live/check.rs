//! What the live run shows of the claims.

use std::collections::BTreeSet;

use super::{Findings, LeakFindings, LiarFindings, SchemeFindings};
use crate::{
    claims::{self, Claims},
    outcome::Outcome,
};

/// The outcomes of all checks of the live run.
#[must_use]
pub fn outcomes(findings: &Findings, claims: &Claims) -> Vec<Outcome> {
    let mut all = Vec::new();
    for scheme in &findings.schemes {
        all.push(views(scheme, claims));
        all.push(coalitions(scheme, claims));
        all.push(ends(scheme, claims));
    }
    let guarded = findings.schemes.iter().find(|scheme| scheme.scheme == "guarded");
    if let Some(guarded) = guarded {
        all.push(steps(guarded));
    }
    all.push(arrival(&findings.schemes));
    all.push(leaked(&findings.schemes, claims));
    all.push(liars(&findings.liars));
    all
}

/// Whether each role was told what it may be told: no more, and no less, since a monitor that does not see what is there
/// is blind.
#[must_use]
pub(super) fn views(found: &SchemeFindings, claims: &Claims) -> Outcome {
    let check = format!("live.views-{}", found.scheme);
    let published = claims.views(&found.scheme);
    let (mut more, mut less) = (Vec::new(), Vec::new());
    let nothing = BTreeSet::new();
    for (role, seen) in &found.views {
        let Some(may) = published.get(role.as_str()) else {
            more.push(format!("{role} is a role that nobody published"));
            continue;
        };
        more.extend(seen.difference(may).map(|label| format!("{role} was told: {label}")));
    }
    for (role, may) in &published {
        let seen = found.views.get(*role).unwrap_or(&nothing);
        less.extend(may.difference(seen).map(|label| format!("{role} was not told: {label}")));
    }
    let seen = format!(
        "{} roles of {} mails: {} told too much, {} of what they are known to be told not seen",
        found.views.len(),
        found.mails.0,
        more.len(),
        less.len()
    );
    let holds = more.is_empty() && less.is_empty() && !published.is_empty();
    more.extend(less);
    Outcome::of(&check, holds, seen).with_details(more)
}

/// Whether the coalitions that link are the published ones.
#[must_use]
pub(super) fn coalitions(found: &SchemeFindings, claims: &Claims) -> Outcome {
    let check = format!("live.coalitions-{}", found.scheme);
    match claims::compare(claims, &found.scheme, &found.coalitions) {
        Ok((new, missing)) => {
            let seen = format!(
                "{} minimal coalitions in {} mails: {} not published, {} published and not found",
                found.coalitions.len(),
                found.mails.0,
                new.len(),
                missing.len()
            );
            let holds = new.is_empty() && missing.is_empty() && !found.coalitions.is_empty();
            let new = new.into_iter().map(|coalition| format!("new: {coalition}"));
            let missing = missing.into_iter().map(|coalition| format!("not found: {coalition}"));
            Outcome::of(&check, holds, seen).with_details(new.chain(missing).collect())
        }
        Err(error) => Outcome::of(&check, false, error),
    }
}

fn ends(found: &SchemeFindings, claims: &Claims) -> Outcome {
    let check = format!("live.ends-{}", found.scheme);
    let Some(published) = claims.ends(&found.scheme) else {
        return Outcome::of(&check, false, "no ends are published");
    };
    let both: Vec<&String> = found.sender_ends.intersection(&found.recipient_ends).collect();
    let holds = found.sender_ends == published.sender
        && found.recipient_ends == published.recipient
        && both.is_empty();
    let seen = format!(
        "who sends: {} roles; for whom: {} roles; both: {}",
        found.sender_ends.len(),
        found.recipient_ends.len(),
        both.len()
    );
    let list = |roles: &BTreeSet<String>| roles.iter().cloned().collect::<Vec<_>>().join(", ");
    Outcome::of(&check, holds, seen).with_details(vec![
        format!("told who sends: {}", list(&found.sender_ends)),
        format!("told for whom: {}", list(&found.recipient_ends)),
    ])
}

/// Whether the two steps of a mail have nothing in common that others do not have too.
#[must_use]
pub(super) fn steps(found: &SchemeFindings) -> Outcome {
    let seen = format!("{} ties in {} mails", found.steps.len(), found.mails.0);
    let details = found.steps.iter().cloned().collect();
    Outcome::of("live.steps-apart", found.steps.is_empty(), seen).with_details(details)
}

fn arrival(schemes: &[SchemeFindings]) -> Outcome {
    let (sent, arrived) = schemes
        .iter()
        .fold((0, 0), |(sent, arrived), scheme| (sent + scheme.mails.0, arrived + scheme.mails.1));
    let seen = format!(
        "{arrived} of {sent} mails were read once each, byte for byte, by whom they were for"
    );
    Outcome::of("live.arrival", sent > 0 && arrived == sent, seen)
}

fn leaked(schemes: &[SchemeFindings], claims: &Claims) -> Outcome {
    let sum = |count: fn(&LeakFindings) -> usize| -> usize {
        schemes.iter().map(|scheme| count(&scheme.leaked)).sum()
    };
    let (mails, read) = (sum(|found| found.mails), sum(|found| found.read));
    let (others, naming) = (sum(|found| found.by_another), sum(|found| found.naming_sender));
    let guarded = schemes.iter().find(|found| found.scheme == "guarded");
    let found = guarded.map(|found| &found.with_keys[..]).unwrap_or_default();
    let compared = claims::compare(claims, claims::WITH_KEYS, found);
    let (new, missing) = match compared {
        Ok(compared) => compared,
        Err(error) => return Outcome::of("live.leaked-keys", false, error),
    };
    let seen = format!(
        "of what nodes keep, the recipient's own keys open {read} of {mails} mails, another's {others}; \
         {naming} of them name their sender; {} more coalitions link with these keys, {} of them not published, \
         {} published and not found",
        found.len(),
        new.len(),
        missing.len(),
    );
    let opens = mails > 0 && read == mails && others == 0 && naming == 0;
    let holds = opens && new.is_empty() && missing.is_empty();
    let new = new.into_iter().map(|coalition| format!("new: {coalition}"));
    let missing = missing.into_iter().map(|coalition| format!("not found: {coalition}"));
    Outcome::of("live.leaked-keys", holds, seen).with_details(new.chain(missing).collect())
}

fn liars(found: &[LiarFindings]) -> Outcome {
    let of = |scheme: &str| found.iter().find(|found| found.scheme == scheme);
    let (Some(paper), Some(guarded)) = (of("paper"), of("guarded")) else {
        return Outcome::not_run("live.liars", "not all schemes were run");
    };
    let words = |found: &LiarFindings| {
        format!(
            "{}: in {} of {} channels both lied, {} times their accomplice was taken, {} lies seen through",
            found.scheme, found.both_lie, found.channels, found.taken, found.seen_through
        )
    };
    let seen = format!("guarded: {} of {} channels", guarded.taken, guarded.channels);
    let holds = guarded.taken == 0 && guarded.seen_through > 0 && paper.taken > 0;
    let details = vec![words(paper), words(guarded)];
    let seen = format!(
        "X and Y choose Z in {} of {} channels of paper; {seen}",
        paper.taken, paper.channels
    );
    Outcome::of("live.liars", holds, seen).with_details(details)
}
