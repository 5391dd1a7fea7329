//! How far this machine's clock is off, as nodes of several operators tell the time, each over a link of its own.
//!
//! No node's word is enough, and nobody is told to set a clock by it: whoever sets one back takes old certificates for new.

use std::{collections::BTreeMap, time::Instant};

use anon::{
    request::{Request, Response},
    time::{MAX_SKEW, Time},
};
use libp2p::{Multiaddr, multiaddr::Protocol};
use net::{Link, now};

use super::ANSWER;

/// Operators of which more than half, and so many at least, must find a clock wrong in the same direction.
const LEAST: usize = 2;

/// What the nodes' answers come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clock {
    /// Nobody, or one operator, has told the time: by its word the clock is behind by so many seconds.
    Unchecked(Option<i64>),
    /// The clock agrees with those of so many operators, and is behind by so many seconds (negative: ahead).
    Right(i64, usize),
    /// It does not: seconds behind (negative: ahead), and the number of operators.
    Wrong(i64, usize),
    /// The operators' nodes do not agree with each other.
    Disputed(usize),
}

impl Clock {
    /// Whether nothing speaks against the clock.
    pub(super) const fn is_good(self) -> bool {
        match self {
            Self::Right(..) | Self::Unchecked(None) => true,
            Self::Unchecked(Some(behind)) => behind.unsigned_abs() <= MAX_SKEW,
            Self::Wrong(..) | Self::Disputed(_) => false,
        }
    }

    /// In words.
    pub(super) fn words(self) -> String {
        match self {
            Self::Unchecked(None) => "could not be checked: no node tells the time".to_owned(),
            Self::Unchecked(Some(behind)) => format!(
                "could not be checked: one operator's word is not enough (by it this machine's clock is {})",
                size(behind)
            ),
            Self::Right(behind, operators) => {
                format!(
                    "this machine's clock is {}, as {operators} operators' nodes have it",
                    size(behind)
                )
            }
            Self::Wrong(behind, operators) => format!(
                "this machine's clock is {}, as most nodes of {operators} operators have it",
                size(behind)
            ),
            Self::Disputed(operators) => {
                format!(
                    "could not be checked: the nodes of {operators} operators do not agree on the time"
                )
            }
        }
    }
}

/// How far a clock is off, in words.
pub(super) fn size(behind: i64) -> String {
    let side = if behind > 0 { "behind" } else { "ahead" };
    let rounded = |unit: u64| (behind.unsigned_abs().saturating_add(unit / 2)) / unit;
    match behind.unsigned_abs() {
        0..=2 => "right to two seconds".to_owned(),
        3..120 => format!("{} seconds {side}", rounded(1)),
        120..7_200 => format!("{} minutes {side}", rounded(60)),
        7_200..172_800 => format!("{} hours {side}", rounded(3_600)),
        _ => format!("{} days {side}", rounded(86_400)),
    }
}

/// By how many seconds this clock is behind a node's; `None` if the node does not tell.
pub(super) async fn offset(link: Link) -> Option<i64> {
    let (asked, started) = (now(), Instant::now());
    let Response::Time(Time(theirs)) = link.request(&Request::Time, ANSWER).await.ok()? else {
        return None;
    };
    // It was read when the question had arrived: about half way.
    let ours = asked.after(started.elapsed().as_secs() / 2).0;
    Some(i64::try_from(theirs).ok()?.saturating_sub(i64::try_from(ours).ok()?))
}

/// What these answers say; each with the address at which its node was reached, of which one for each operator counts.
pub(super) fn judge(answers: &[(Multiaddr, i64)]) -> Clock {
    let mut operators: BTreeMap<Vec<u8>, Vec<i64>> = BTreeMap::new();
    for (address, offset) in answers {
        operators.entry(operator(address)).or_default().push(*offset);
    }
    let mut offsets: Vec<i64> = operators.into_values().filter_map(median).collect();
    let count = offsets.len();
    if count < LEAST {
        return Clock::Unchecked(offsets.pop());
    }
    let most = |wrong: &dyn Fn(i64) -> bool| {
        let found = offsets.iter().filter(|offset| wrong(**offset)).count();
        found >= LEAST && found * 2 > count
    };
    let skew = i64::try_from(MAX_SKEW).unwrap_or(i64::MAX);
    let is_right = most(&|offset| offset.unsigned_abs() <= MAX_SKEW);
    let is_wrong = most(&|offset| offset > skew) || most(&|offset| offset < -skew);
    match median(offsets) {
        Some(behind) if is_right => Clock::Right(behind, count),
        Some(behind) if is_wrong => Clock::Wrong(behind, count),
        _ => Clock::Disputed(count),
    }
}

fn median(mut offsets: Vec<i64>) -> Option<i64> {
    offsets.sort_unstable();
    offsets.get(offsets.len() / 2).copied()
}

/// Who may run a node that is reached there: all of a /16, of an IPv6 /32, and of Tor are one operator's.
fn operator(address: &Multiaddr) -> Vec<u8> {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => ip.octets().iter().take(2).copied().collect(),
        Some(Protocol::Ip6(ip)) => ip.octets().iter().take(4).copied().collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(offsets: &[i64]) -> Clock {
        let answers: Vec<_> = (1..)
            .zip(offsets)
            .map(|(n, offset)| (format!("/ip4/10.{n}.0.1/tcp/1").parse().unwrap(), *offset))
            .collect();
        judge(&answers)
    }

    #[test]
    fn most_operators_decide_and_one_never_does() {
        for (offsets, clock) in [
            (&[][..], Clock::Unchecked(None)),
            (&[3_600], Clock::Unchecked(Some(3_600))),
            (&[0, 2, -1], Clock::Right(0, 3)),
            (&[360, 361, 359], Clock::Wrong(360, 3)),
            (&[-360, -360], Clock::Wrong(-360, 2)),
            (&[-3_600, -3_601, 0], Clock::Wrong(-3_600, 3)),
            (&[i64::MAX, 1, 0], Clock::Right(1, 3)),
            (&[i64::MAX, i64::MIN, 0], Clock::Disputed(3)),
            (&[360, 0], Clock::Disputed(2)),
        ] {
            assert_eq!(judged(offsets), clock, "{offsets:?}");
        }
        let of_one: Vec<_> =
            (1..9).map(|n| (format!("/ip4/10.1.0.{n}/tcp/1").parse().unwrap(), 3_600)).collect();
        assert_eq!(judge(&of_one), Clock::Unchecked(Some(3_600)));
    }

    #[test]
    fn the_size_is_told_in_the_unit_that_fits() {
        for (behind, words) in [
            (1, "right to two seconds"),
            (45, "45 seconds behind"),
            (360, "6 minutes behind"),
            (-360, "6 minutes ahead"),
            (-3_601, "60 minutes ahead"),
            (7_200, "2 hours behind"),
            (-9 * 86_400, "9 days ahead"),
            (i64::MIN, "106751991167301 days ahead"),
        ] {
            assert_eq!(size(behind), words);
        }
    }
}
