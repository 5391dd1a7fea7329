//! Whether this node's clock is right. A node with a wrong one signs certificates and receipts that nobody accepts,
//! and deletes what it should keep. So nodes ask each other the time, over links of their own, and a node that
//! differs from most of the others says so and serves nobody until it agrees again.
//!
//! The others are sampled from those that this node is connected to, one of each operator, as far as the address at
//! which it was *reached* tells: what a node says of itself counts for nothing. At least three of them, and more than
//! half of all that answer, must find the clock wrong in the same direction. One or two liars change nothing; whoever
//! is most of what a node is connected to can silence it, as it could by not answering. It cannot make a node with a
//! right clock serve by a wrong one: nobody's clock is ever set.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anon::{
    request::{Request, Response},
    time::{MAX_SKEW, Time},
};
use futures::future::join_all;
use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use net::{
    clock::Clock,
    link::{Carrier, Links},
};
use parking_lot::Mutex;
use rand::seq::{IteratorRandom as _, SliceRandom as _};

use crate::dht::Dht;

/// How many others are asked in a round.
const ASKED: usize = 7;
/// How many of them at least must find a clock wrong.
const LEAST: usize = 3;
/// How long one of them may take, over TCP.
const TIMEOUT: Duration = Duration::from_secs(3);
/// How often a node asks.
const EVERY: Duration = Duration::from_secs(300);
/// How often it asks while its clock is wrong, or nobody has found it right yet; and looks whether it jumped.
const SOON: Duration = Duration::from_secs(10);

/// What others have said of this node's clock.
#[derive(Debug, Default)]
pub(crate) struct ClockCheck {
    clock: Clock,
    is_wrong: AtomicBool,
    is_known: AtomicBool,
    last: Mutex<Option<i64>>,
}

/// What a round of questions comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Too few have answered.
    Unknown,
    /// The clock differs from theirs by no more than clocks may.
    Right,
    /// It is behind by so many seconds, or ahead where that is negative.
    Wrong(i64),
}

impl ClockCheck {
    pub(crate) fn of(clock: Clock) -> Self {
        Self { clock, ..Self::default() }
    }

    /// Whether the clock is right, as far as anybody has said.
    #[must_use]
    pub(crate) fn is_right(&self) -> bool {
        !self.is_wrong.load(Ordering::Relaxed)
    }

    /// By how many seconds the clock is behind, if it is wrong; negative: ahead.
    #[must_use]
    pub(crate) fn behind(&self) -> Option<i64> {
        *self.last.lock()
    }

    /// Takes a round's verdict; whether it says something new.
    fn take(&self, verdict: Verdict) -> bool {
        let behind = match verdict {
            Verdict::Unknown => return false,
            Verdict::Right => None,
            Verdict::Wrong(behind) => Some(behind),
        };
        *self.last.lock() = behind;
        self.is_known.store(true, Ordering::Relaxed);
        self.is_wrong.swap(behind.is_some(), Ordering::Relaxed) != behind.is_some()
    }

    /// Asks others the time; what they say holds until the next round.
    pub(crate) async fn ask(&self, dht: &Dht, links: &Links) {
        let neighbours = dht.neighbours().await;
        let asked = sampled(neighbours).into_iter().map(|peer| self.offset(links, peer));
        let offsets = join_all(asked).await.into_iter().flatten().collect();
        let verdict = judge(offsets);
        if self.take(verdict) {
            match verdict {
                Verdict::Wrong(behind) => tracing::error!(
                    "this machine's clock is {}, as most other nodes have it: this node serves nobody until that is mended",
                    said(behind)
                ),
                _ => tracing::warn!("this machine's clock is right again: this node serves"),
            }
        }
    }

    /// By how many seconds the clock is behind a peer's.
    async fn offset(&self, links: &Links, peer: PeerId) -> Option<i64> {
        // Only over a connection that is there: nobody is dialled for this.
        let link = links.open_at(peer, Vec::new(), Carrier::Request).await.ok()?;
        let Response::Time(theirs) = link.request(&Request::Time, TIMEOUT).await.ok()? else {
            return None;
        };
        let seconds = |time: Time| i64::try_from(time.0).ok();
        Some(seconds(theirs)?.saturating_sub(seconds(self.clock.now())?))
    }

    /// Asks every now and then, and at once when the clock jumps, until the node stops. `changed` is told whatever
    /// comes of it.
    pub(crate) async fn keep_up(
        self: Arc<Self>,
        dht: Dht,
        links: Links,
        mut changed: impl FnMut(&Self),
    ) {
        let mut joined = dht.clone();
        joined.joined().await;
        loop {
            self.ask(&dht, &links).await;
            changed(&self);
            let (asked, clock) = (Instant::now(), self.clock.now());
            let is_sure = self.is_right() && self.is_known.load(Ordering::Relaxed);
            let pause = if is_sure { EVERY } else { SOON };
            while asked.elapsed() < pause {
                tokio::time::sleep(SOON).await;
                let should_be = clock.after(asked.elapsed().as_secs());
                if !self.clock.now().is_close_to(should_be) {
                    break;
                }
            }
        }
    }
}

/// A clock's fault, in words.
#[must_use]
pub fn said(behind: i64) -> String {
    let (seconds, side) = (behind.unsigned_abs(), if behind > 0 { "behind" } else { "ahead" });
    match seconds {
        0..7_200 => format!("{} minutes {side}", seconds.div_ceil(60)),
        7_200..172_800 => format!("{} hours {side}", seconds / 3_600),
        _ => format!("{} days {side}", seconds / 86_400),
    }
}

/// One neighbour of each operator, at most [`ASKED`]. Those that came over Tor are one operator as long as there are
/// enough others: their addresses cost nothing.
fn sampled(neighbours: Vec<(PeerId, Multiaddr)>) -> Vec<PeerId> {
    let mut rng = rand::rng();
    let mut subnets: BTreeMap<Vec<u8>, Vec<PeerId>> = BTreeMap::new();
    let mut onions = Vec::new();
    for (peer, address) in neighbours {
        match address.iter().next() {
            Some(Protocol::Ip4(ip)) => {
                subnets
                    .entry(ip.octets().iter().take(2).copied().collect())
                    .or_default()
                    .push(peer);
            }
            Some(Protocol::Ip6(ip)) => {
                subnets
                    .entry(ip.octets().iter().take(4).copied().collect())
                    .or_default()
                    .push(peer);
            }
            _ => onions.push(peer),
        }
    }
    onions.shuffle(&mut rng);
    let each = subnets.values().filter_map(|all| all.iter().choose(&mut rand::rng()).copied());
    let mut sampled: Vec<PeerId> = each.sample(&mut rng, ASKED);
    let room = if sampled.len() < LEAST { ASKED - sampled.len() } else { 1 };
    sampled.extend(onions.into_iter().take(room));
    sampled
}

/// What these offsets say, seconds by which this clock is behind.
fn judge(mut offsets: Vec<i64>) -> Verdict {
    if offsets.len() < LEAST {
        return Verdict::Unknown;
    }
    offsets.sort_unstable();
    let wrong = |offset: &&i64| offset.unsigned_abs() > MAX_SKEW;
    let behind = offsets.iter().filter(wrong).filter(|o| **o > 0).count();
    let ahead = offsets.iter().filter(wrong).filter(|o| **o < 0).count();
    let most = behind.max(ahead);
    match offsets.get(offsets.len() / 2) {
        Some(median) if most >= LEAST && most * 2 > offsets.len() => Verdict::Wrong(*median),
        _ => Verdict::Right,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_others_and_three_at_least_find_a_clock_wrong() {
        for (offsets, verdict) in [
            (vec![], Verdict::Unknown),
            (vec![9_000, 9_000], Verdict::Unknown),
            (vec![0, 300, -300], Verdict::Right),
            (vec![3_600, 3_601, 3_599], Verdict::Wrong(3_600)),
            (vec![-400, -500, -600], Verdict::Wrong(-500)),
            // One liar, or two, change nothing, whatever they say.
            (vec![i64::MAX, 0, 1], Verdict::Right),
            (vec![i64::MAX, i64::MAX, 0], Verdict::Right),
            (vec![i64::MIN, i64::MIN, 0, 0], Verdict::Right),
            (vec![0, 0, 3_600, 3_600, 3_600], Verdict::Wrong(3_600)),
            (vec![i64::MIN, i64::MAX, 3_600, 3_601, 3_602], Verdict::Wrong(3_601)),
            (vec![-301, 301, 302, -302, 0, 0, 0], Verdict::Right),
            // Half is not most.
            (vec![0, 0, 0, 3_600, 3_600, 3_600], Verdict::Right),
        ] {
            assert_eq!(judge(offsets.clone()), verdict, "{offsets:?}");
        }
    }

    #[test]
    fn one_of_each_subnet_is_asked_and_names_are_no_subnets() {
        let peers = |texts: &[String]| {
            texts.iter().map(|t| (PeerId::random(), t.parse().unwrap())).collect::<Vec<_>>()
        };
        let of_one: Vec<String> = (0..50).map(|n| format!("/ip4/192.0.2.{n}/tcp/1")).collect();
        assert_eq!(sampled(peers(&of_one)).len(), 1);
        let of_many: Vec<String> = (0..50).map(|n| format!("/ip4/10.{n}.2.1/tcp/1")).collect();
        assert_eq!(sampled(peers(&of_many)).len(), ASKED);
        let onions: Vec<String> = (0..50).map(|_| "/tcp/1".to_owned()).collect();
        assert_eq!(sampled(peers(&onions)).len(), ASKED, "nothing else is there");
        let mixed: Vec<String> = onions.iter().chain(&of_many[..4]).cloned().collect();
        assert_eq!(sampled(peers(&mixed)).len(), 5);
    }

    #[test]
    fn what_is_found_holds_until_something_else_is() {
        let check = ClockCheck::default();
        assert!(check.is_right());
        assert!(check.take(Verdict::Wrong(400)));
        assert!(!check.is_right() && !check.take(Verdict::Wrong(500)));
        assert!(!check.take(Verdict::Unknown) && check.behind() == Some(500));
        assert!(check.take(Verdict::Right) && check.is_right() && check.behind().is_none());
        assert_eq!(said(400), "7 minutes behind");
        assert_eq!(said(-9 * 86_400), "9 days ahead");
        assert_eq!(said(-21_600), "6 hours ahead");
    }
}
