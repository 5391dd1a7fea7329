//! What the live run shows of the claims.

use std::collections::BTreeSet;

use super::{ActingFindings, Findings, LeakFindings, LiarFindings, SchemeFindings};
use crate::{
    claims::{self, Claims},
    outcome::Outcome,
    role::Coalition,
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
    all.extend(acting(&findings.acting, claims));
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
        more.extend(seen.difference(may).map(|label| format!("{role} learned: {label}")));
    }
    for (role, may) in &published {
        let seen = found.views.get(*role).unwrap_or(&nothing);
        less.extend(may.difference(seen).map(|label| format!("{role} did not learn: {label}")));
    }
    let seen = format!(
        "{} roles of {} mails: {} things learned that are not published, {} published that were not learned",
        found.views.len(),
        found.mails.0,
        more.len(),
        less.len()
    );
    let holds = more.is_empty() && less.is_empty() && !published.is_empty();
    more.extend(less);
    Outcome::of_some(&check, found.mails.0, holds, seen).with_details(more)
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
            let outcome = Outcome::of_some(&check, found.mails.0, holds, seen);
            outcome.with_details(new.chain(missing).collect())
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
    Outcome::of_some(&check, found.mails.0, holds, seen).with_details(vec![
        format!("learn who sends: {}", list(&found.sender_ends)),
        format!("learn for whom it is: {}", list(&found.recipient_ends)),
    ])
}

/// Whether the two steps of a mail have nothing in common that others do not have too.
#[must_use]
pub(super) fn steps(found: &SchemeFindings) -> Outcome {
    let (mails, seen_both) = (found.mails.0, found.steps_seen);
    let seen = format!(
        "{} ties; both steps of {seen_both} of {mails} mails were seen by those who carried and kept them",
        found.steps.len()
    );
    // A monitor that does not see the steps finds no tie either.
    let holds = found.steps.is_empty() && seen_both == mails;
    let details = found.steps.iter().cloned().collect();
    Outcome::of_some("live.steps-apart", seen_both, holds, seen).with_details(details)
}

fn arrival(schemes: &[SchemeFindings]) -> Outcome {
    let (sent, arrived) = schemes
        .iter()
        .fold((0, 0), |(sent, arrived), scheme| (sent + scheme.mails.0, arrived + scheme.mails.1));
    let seen = format!(
        "{arrived} of {sent} mails were read once each, byte for byte, by whom they were for"
    );
    Outcome::of_some("live.arrival", sent, arrived == sent, seen)
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
    let opens = read == mails && others == 0 && naming == 0;
    let holds = opens && new.is_empty() && missing.is_empty();
    let new = new.into_iter().map(|coalition| format!("new: {coalition}"));
    let missing = missing.into_iter().map(|coalition| format!("not found: {coalition}"));
    let outcome = Outcome::of_some("live.leaked-keys", mails, holds, seen);
    outcome.with_details(new.chain(missing).collect())
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
    let looked_at = guarded.channels.min(paper.channels);
    let details = vec![words(paper), words(guarded)];
    let seen = format!(
        "X and Y choose Z in {} of {} channels of paper; {seen}",
        paper.taken, paper.channels
    );
    Outcome::of_some("live.liars", looked_at, holds, seen).with_details(details)
}

/// What nodes that act may not achieve: to link by marks, to link by notes, to link in a way that nobody published, to
/// keep a mail from its reader.
fn acting(found: &ActingFindings, claims: &Claims) -> Vec<Outcome> {
    let (handed, wrote, asked) = found.acts;
    let chains = |coalitions: &[&Coalition]| -> Vec<String> {
        let line = |c: &&Coalition| {
            let roles: Vec<String> = c.roles.iter().map(ToString::to_string).collect();
            let (times, mails) = c.mails;
            format!("{{{}}} in {times} of {mails} mails: {}", roles.join(", "), c.chain.join("; "))
        };
        coalitions.iter().map(line).collect()
    };
    let (marks, notes) = (found.by_marks(), found.by_notes());
    let marked = format!(
        "{} coalitions of a sync peer and an anonymizer link in {} mails; {handed} certificates were marked, anonymizers were asked \
         {asked} times",
        marks.len(),
        found.mails,
    );
    let tagged = format!(
        "{} coalitions of the guard and an anonymizer link in {} mails; guards wrote into {wrote} channels",
        notes.len(),
        found.mails,
    );
    let (known, unknown) = match claims::compare(claims, claims::ACTING, &found.coalitions) {
        Ok((new, _)) => (found.coalitions.len() - new.len(), new),
        Err(error) => (0, vec![error]),
    };
    let published = format!("{known} coalitions are published, {} are not", unknown.len());
    let (sent, read) = found.answered;
    let (long, held) = found.answers;
    let answers = format!(
        "{read} of {sent} mails were read though replicas answered {long} times at length and {held} times with nothing"
    );
    vec![
        Outcome::of_some("acting.certificates", handed.min(asked), marks.is_empty(), marked)
            .with_details(chains(&marks)),
        Outcome::of_some("acting.cells", wrote.min(asked), notes.is_empty(), tagged)
            .with_details(chains(&notes)),
        Outcome::of_some("acting.coalitions", found.mails, unknown.is_empty(), published)
            .with_details(unknown),
        Outcome::of_some("acting.answers", long.min(held).min(sent), read == sent, answers)
            .with_details(found.failures.clone()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Verdict;

    #[test]
    fn a_run_without_mails_and_a_blind_monitor_show_nothing() {
        let claims = Claims::read().unwrap();
        let nothing =
            |scheme: &str| SchemeFindings { scheme: scheme.to_owned(), ..Default::default() };
        let schemes = vec![nothing("paper"), nothing("guarded")];
        let liars = ["paper", "guarded"].map(|scheme| LiarFindings {
            scheme: scheme.to_owned(),
            channels: 0,
            both_lie: 0,
            taken: 0,
            seen_through: 0,
        });
        let findings = Findings { schemes, liars: liars.into(), ..Findings::default() };
        let outcomes = outcomes(&findings, &claims);
        assert!(outcomes.len() >= 10);
        for outcome in outcomes {
            let shown = matches!(outcome.verdict, Verdict::Holds | Verdict::Known);
            assert!(!shown, "it holds where there is nothing to look at: {outcome:?}");
        }
        // Mails, and nobody who sees their steps.
        let blind = SchemeFindings { mails: (6, 6), ..nothing("guarded") };
        assert_eq!(steps(&blind).verdict, Verdict::NotShown);
        // Some of them.
        let dim = SchemeFindings { mails: (6, 6), steps_seen: 5, ..nothing("guarded") };
        assert_eq!(steps(&dim).verdict, Verdict::Fell);
        let well = SchemeFindings { mails: (6, 6), steps_seen: 6, ..nothing("guarded") };
        assert_eq!(steps(&well).verdict, Verdict::Holds);
    }
}
