//! A coalition's view of a round as numbers: sizes, counts and times of what it was told, nothing that names a party.
//! Whose mail is whose is given to it where its role knows that much: the sender's guard knows the sender, the nodes of
//! an inbox its owner. So the game is never harder than it is for a real operator.

use std::collections::BTreeSet;

use super::round::{Place, Played};
use crate::statistics::number;

/// What a coalition is given of a round: which mail is whose, by sender or by recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Anchor {
    /// It knows which mail the first sender wrote, or whoever wrote in its stead, not to whom.
    Sender,
    /// It knows which mail the first recipient got, not from whom.
    Recipient,
}

/// One round: its mails and the coins.
#[derive(Clone, Debug)]
pub(super) struct Round {
    /// Which world it was.
    pub world: bool,
    /// Whether A wrote, and not E in its stead.
    pub is_a: bool,
    /// Its mails.
    pub mails: Vec<Played>,
}

/// A sample: the world, and the view as numbers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    /// Which world it was.
    pub world: bool,
    /// The view.
    pub numbers: Vec<f64>,
}

/// The names of what is counted and measured at each place.
const MEASURES: [&str; 10] = [
    "streams",
    "lines",
    "cells on",
    "cells back",
    "bytes asked",
    "bytes answered",
    "longest request",
    "duration",
    "longest gap",
    "offset",
];

fn time(from: u64, to: u64) -> f64 {
    // Microseconds of one round: they fit.
    u32::try_from(to.saturating_sub(from)).map_or(f64::INFINITY, f64::from)
}

fn measures(place: Option<&Place>, begin: u64) -> [f64; MEASURES.len()] {
    let Some(place) = place else { return [0.0; MEASURES.len()] };
    let first = place.times.first().copied().unwrap_or(begin);
    let last = place.times.last().copied().unwrap_or(begin);
    let gaps = place.times.windows(2).map(|two| match two {
        [before, after] => time(*before, *after),
        _ => 0.0,
    });
    [
        number(place.streams),
        number(place.times.len()),
        number(place.forward),
        number(place.backward),
        number(place.asked),
        number(place.answered),
        number(place.longest),
        time(first, last),
        gaps.fold(0.0, f64::max),
        time(begin, first),
    ]
}

/// Whether a place belongs to a role: `M(Z2)` to `M`.
fn belongs(place: &str, role: &str) -> bool {
    place == role || place.strip_prefix(role).is_some_and(|rest| rest.starts_with('('))
}

/// The view of one role, all of whose nodes are in league: for the mail of the first sender or recipient what was
/// counted and measured, and how far that differs from the other mail.
#[must_use]
pub(super) fn of_role(rounds: &[Round], role: &str, anchor: Anchor) -> (Vec<String>, Vec<Sample>) {
    let mails = || rounds.iter().flat_map(|round| &round.mails);
    let all: BTreeSet<&String> = mails().flat_map(|mail| mail.places.keys()).collect();
    let places: Vec<&String> = all.into_iter().filter(|place| belongs(place, role)).collect();
    let own = |mail: &Played| -> Vec<f64> {
        let seen = places.iter().filter_map(|place| mail.places.get(*place)?.times.first());
        let begin = seen.copied().min().unwrap_or(0);
        places.iter().flat_map(|place| measures(mail.places.get(*place), begin)).collect()
    };
    let samples = rounds.iter().map(|round| {
        let mine = |mail: &&Played| match anchor {
            Anchor::Sender => mail.is_first,
            Anchor::Recipient => mail.to == 0,
        };
        let (first, other) =
            (round.mails.iter().find(mine), round.mails.iter().find(|mail| !mine(mail)));
        // Who does not write is seen not to.
        let nothing = || vec![0.0; places.len() * MEASURES.len()];
        let first = first.map_or_else(nothing, own);
        let other = other.map_or_else(nothing, own);
        let differences: Vec<f64> = first.iter().zip(&other).map(|(a, b)| a - b).collect();
        Sample { world: round.world, numbers: [first, differences].concat() }
    });
    let named = |prefix: &'static str| {
        let places = places.iter();
        places.flat_map(move |place| MEASURES.map(|name| format!("{place}: {prefix}{name}")))
    };
    (named("").chain(named("difference of ")).collect(), samples.collect())
}

/// How far behind a line is that has nothing before it, microseconds.
const NEVER: f64 = 1e8;

/// How long before the lines of one place those of another are, on average: the time since the latest earlier one.
fn behind(ahead: &[u64], after: &[u64]) -> f64 {
    let since = |at: &u64| {
        let earlier = ahead.iter().rev().find(|earlier| *earlier <= at);
        earlier.map_or(NEVER, |earlier| time(*earlier, *at))
    };
    let count = number(after.len()).max(1.0);
    after.iter().map(since).sum::<f64>() / count
}

fn times(mail: &Played, roles: &[&str]) -> Vec<u64> {
    let theirs = mail.places.iter().filter(|(place, _)| roles.iter().any(|r| belongs(place, r)));
    let mut all: Vec<u64> = theirs.flat_map(|(_, place)| place.times.iter().copied()).collect();
    all.sort_unstable();
    all
}

/// The view of a coalition that sees both ends: how far behind what each sender's side did each recipient's side is.
#[must_use]
pub(super) fn of_ends(rounds: &[Round], near: &[&str], far: &[&str]) -> (Vec<String>, Vec<Sample>) {
    let names = ["own", "other", "own less other"].map(|name| format!("behind, {name}"));
    let samples = rounds.iter().map(|round| {
        let sender = |first: bool| round.mails.iter().find(move |mail| mail.is_first == first);
        let got = |number: usize| round.mails.iter().find(move |mail| mail.to == number);
        let distance = |first: bool, to: usize| {
            let ahead = sender(first).map(|mail| times(mail, near)).unwrap_or_default();
            let after = got(to).map(|mail| times(mail, far)).unwrap_or_default();
            behind(&ahead, &after)
        };
        let own = distance(true, 0) + distance(false, 1);
        let other = distance(true, 1) + distance(false, 0);
        Sample { world: round.world, numbers: vec![own, other, own - other] }
    });
    (names.into(), samples.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(from: usize, to: usize, at: u64, bytes: usize) -> Played {
        let is_first = from == 0;
        let place = |at| Place { times: vec![at, at + 5], asked: bytes, ..Place::default() };
        let places = [("X".to_owned(), place(at)), ("Z2".to_owned(), place(at + 3))].into();
        Played { is_first, to, places }
    }

    #[test]
    fn a_view_is_anchored_by_what_its_role_knows() {
        let mails = vec![mail(1, 0, 100, 7), mail(0, 1, 200, 9)];
        let rounds = [Round { world: true, is_a: true, mails }];
        let (names, samples) = of_role(&rounds, "Z2", Anchor::Sender);
        let bytes = names.iter().position(|name| name == "Z2: bytes asked").unwrap();
        assert_eq!(samples[0].numbers[bytes], 9.0);
        assert_eq!(samples[0].numbers[bytes + MEASURES.len()], 2.0);
        let (_, samples) = of_role(&rounds, "Z2", Anchor::Recipient);
        assert_eq!(samples[0].numbers[bytes], 7.0);
        assert_eq!(samples[0].numbers.len(), names.len());
    }

    #[test]
    fn both_ends_see_who_is_close_to_whom() {
        let straight =
            Round { world: false, is_a: true, mails: vec![mail(0, 0, 100, 1), mail(1, 1, 900, 1)] };
        let crossed =
            Round { world: true, is_a: true, mails: vec![mail(0, 1, 100, 1), mail(1, 0, 900, 1)] };
        let (_, samples) = of_ends(&[straight, crossed], &["X"], &["Z2"]);
        assert!(samples[0].numbers[2] < 0.0 && samples[1].numbers[2] > 0.0);
    }

    #[test]
    fn places_belong_to_roles_by_name() {
        assert!(belongs("M(Z2)", "M") && belongs("Z2", "Z2"));
        assert!(!belongs("member", "M") && !belongs("M(Z2)", "Z2"));
    }
}
