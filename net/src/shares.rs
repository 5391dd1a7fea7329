//! Shares: how much of what a node has one peer may take, and all peers of one address range together.
//!
//! An identity costs nothing and an address costs little, so both are counted. An *address range* is a /24 of IPv4,
//! which is the least that is routed by itself and what one customer seldom has more of, or a /48 of IPv6, which is
//! what one customer gets. Whatever comes through this node's onion service is one range: nobody can tell from where.
//! Within a range neighbours share: whoever floods a node takes its own range's part, and no more.
//!
//! **Invariant:** a share is taken in one order, the peer's, then the range's, then the whole, and in the order in
//! which it was asked for. So nobody waits for a place that somebody of another range keeps busy but in the whole.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How often at most the log says that something was refused.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// From where somebody comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Range {
    /// A /24 of IPv4.
    V4([u8; 3]),
    /// A /48 of IPv6.
    V6([u8; 6]),
    /// Tor, or whatever else tells no address.
    Unknown,
}

impl Range {
    /// The range of an address.
    pub fn of(address: &Multiaddr) -> Self {
        let v4 = |octets: [u8; 4]| {
            let [a, b, c, _] = octets;
            Self::V4([a, b, c])
        };
        match address.iter().next() {
            Some(Protocol::Ip4(ip)) => v4(ip.octets()),
            Some(Protocol::Ip6(ip)) => match ip.to_ipv4_mapped() {
                Some(ip) => v4(ip.octets()),
                None => {
                    let [a, b, c, d, e, f, ..] = ip.octets();
                    Self::V6([a, b, c, d, e, f])
                }
            },
            _ => Self::Unknown,
        }
    }
}

/// Who asks, as far as shares go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Caller {
    /// The peer.
    pub peer: PeerId,
    /// The range of addresses that it comes from.
    pub range: Range,
}

/// How much of a whole one address range gets.
#[derive(Clone, Copy, Debug)]
pub struct RangeShare {
    /// Of a range that is known, percent.
    pub percent: u8,
    /// Of all whose address is unknown, percent: everything, where nobody else can come.
    pub unknown: u8,
}

impl RangeShare {
    /// How much of `whole` this range gets, at least one.
    #[must_use]
    pub fn of(self, whole: usize, range: Range) -> usize {
        let percent = if range == Range::Unknown { self.unknown } else { self.percent };
        (whole.saturating_mul(usize::from(percent.min(100))) / 100).max(1)
    }
}

/// What each of many has of something; those who have nothing are not remembered.
#[derive(Debug)]
struct Each<K>(Arc<Mutex<HashMap<K, Arc<Semaphore>>>>);

impl<K: Copy + Eq + Hash> Each<K> {
    fn new() -> Self {
        Self(Arc::default())
    }

    /// This one's part, which is of `limit` units.
    fn of(&self, key: K, limit: usize) -> Arc<Semaphore> {
        let mut all = self.0.lock();
        Arc::clone(all.entry(key).or_insert_with(|| Arc::new(Semaphore::new(limit))))
    }

    /// Forgets this one when it has nothing and waits for nothing any more, as soon as the result is dropped.
    fn trace(&self, key: K) -> Trace<K> {
        Trace { key, all: Arc::clone(&self.0) }
    }
}

#[derive(Debug)]
struct Trace<K: Copy + Eq + Hash> {
    key: K,
    all: Arc<Mutex<HashMap<K, Arc<Semaphore>>>>,
}

impl<K: Copy + Eq + Hash> Drop for Trace<K> {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        if all.get(&self.key).is_some_and(|part| Arc::strong_count(part) == 1) {
            all.remove(&self.key);
        }
    }
}

/// So many of something, which is a count or KiB: shares of it for peers and for address ranges.
#[derive(Debug)]
pub struct Shares {
    whole: Arc<Semaphore>,
    size: usize,
    each_peer: usize,
    each_range: RangeShare,
    peers: Each<PeerId>,
    ranges: Each<Range>,
    refused: Refused,
}

/// What somebody has of something; given back when dropped.
#[derive(Debug)]
pub struct Held {
    // In this order: permits go before the traces that forget whoever has none.
    _permits: [OwnedSemaphorePermit; 3],
    _peer: Trace<PeerId>,
    _range: Trace<Range>,
}

impl Shares {
    /// `size` of what `what` says, of which one peer gets at most `each_peer`.
    pub fn new(what: &'static str, size: usize, each_peer: usize, each_range: RangeShare) -> Self {
        let size = size.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            whole: Arc::new(Semaphore::new(size)),
            size,
            each_peer: each_peer.clamp(1, size),
            each_range,
            peers: Each::new(),
            ranges: Each::new(),
            refused: Refused::new(what),
        }
    }

    /// Takes `count` at once; `None` if the peer, its range or everybody together has too much.
    pub fn take(&self, caller: Caller, count: usize) -> Option<Held> {
        let (peer, range) = (self.peers.trace(caller.peer), self.ranges.trace(caller.range));
        let [of_peer, of_range] = self.parts(caller);
        let count = self.at_most(caller, count);
        let taken = || {
            Some([
                of_peer.try_acquire_many_owned(count).ok()?,
                of_range.try_acquire_many_owned(count).ok()?,
                Arc::clone(&self.whole).try_acquire_many_owned(count).ok()?,
            ])
        };
        self.held(taken(), peer, range)
    }

    /// Takes `count` when it is this one's turn; `None` if that takes longer than `timeout`.
    pub async fn wait(&self, caller: Caller, count: usize, timeout: Duration) -> Option<Held> {
        let (peer, range) = (self.peers.trace(caller.peer), self.ranges.trace(caller.range));
        let [of_peer, of_range] = self.parts(caller);
        let count = self.at_most(caller, count);
        let taken = async {
            Some([
                of_peer.acquire_many_owned(count).await.ok()?,
                of_range.acquire_many_owned(count).await.ok()?,
                Arc::clone(&self.whole).acquire_many_owned(count).await.ok()?,
            ])
        };
        let taken = tokio::time::timeout(timeout, taken).await.ok().flatten();
        self.held(taken, peer, range)
    }

    fn parts(&self, caller: Caller) -> [Arc<Semaphore>; 2] {
        let range = self.each_range.of(self.size, caller.range);
        [self.peers.of(caller.peer, self.each_peer), self.ranges.of(caller.range, range)]
    }

    /// Nobody waits for more than it may ever have.
    fn at_most(&self, caller: Caller, count: usize) -> u32 {
        let most = self.each_peer.min(self.each_range.of(self.size, caller.range));
        u32::try_from(count.min(most)).unwrap_or(u32::MAX)
    }

    fn held(
        &self,
        permits: Option<[OwnedSemaphorePermit; 3]>,
        peer: Trace<PeerId>,
        range: Trace<Range>,
    ) -> Option<Held> {
        if permits.is_none() {
            self.refused.tell();
        }
        Some(Held { _permits: permits?, _peer: peer, _range: range })
    }
}

/// Counts what was refused, and tells the log at most once a minute. It names nobody.
#[derive(Debug)]
pub(crate) struct Refused {
    what: &'static str,
    count: AtomicU64,
    said: Mutex<Option<Instant>>,
}

impl Refused {
    /// A count of refused `what`.
    #[must_use]
    pub(crate) const fn new(what: &'static str) -> Self {
        Self { what, count: AtomicU64::new(0), said: Mutex::new(None) }
    }

    /// Counts one more.
    pub(crate) fn tell(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
        let mut said = self.said.lock();
        if said.is_none_or(|before| before.elapsed() >= SAID_EVERY) {
            *said = Some(Instant::now());
            let refused = self.count.swap(0, Ordering::Relaxed);
            tracing::warn!(
                refused,
                "somebody wants more {} than its share, see `limits` in node.toml",
                self.what
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF: RangeShare = RangeShare { percent: 50, unknown: 100 };

    fn caller(address: &str) -> Caller {
        Caller { peer: PeerId::random(), range: Range::of(&address.parse().unwrap()) }
    }

    #[test]
    fn an_address_range_is_what_one_customer_has() {
        let range = |text: &str| Range::of(&text.parse().unwrap());
        assert_eq!(range("/ip4/192.0.2.1/tcp/1"), range("/ip4/192.0.2.255/tcp/2"));
        assert_ne!(range("/ip4/192.0.2.1/tcp/1"), range("/ip4/192.0.3.1/tcp/1"));
        assert_eq!(range("/ip6/2001:db8:1:2::1/tcp/1"), range("/ip6/2001:db8:1:ff::9/tcp/1"));
        assert_ne!(range("/ip6/2001:db8:1::1/tcp/1"), range("/ip6/2001:db8:2::1/tcp/1"));
        assert_eq!(range("/ip6/::ffff:192.0.2.7/tcp/1"), range("/ip4/192.0.2.1/tcp/1"));
        assert_eq!(Range::of(&Multiaddr::empty()), Range::Unknown);
    }

    #[test]
    fn a_peer_has_its_share_and_so_has_a_range() {
        let shares = Shares::new("places", 8, 2, HALF);
        let (one, two, three) =
            (caller("/ip4/192.0.2.1"), caller("/ip4/192.0.2.2"), caller("/ip4/192.0.2.3"));
        let elsewhere = caller("/ip4/198.51.100.1");
        let held = [one, one].map(|c| shares.take(c, 1).unwrap());
        assert!(shares.take(one, 1).is_none(), "two for each peer");
        let more = shares.take(two, 2).unwrap();
        assert!(shares.take(three, 1).is_none(), "four for each range");
        let other = shares.take(elsewhere, 2).unwrap();
        drop(held);
        assert!(shares.take(three, 2).is_some(), "what is given back is there again");
        drop((more, other));
        assert!(shares.peers.0.lock().is_empty(), "nobody is remembered for nothing");
        assert!(shares.ranges.0.lock().is_empty());
        assert_eq!(shares.whole.available_permits(), 8);
    }

    #[test]
    fn more_than_a_share_at_once_is_all_of_it() {
        let shares = Shares::new("bytes", 8, 3, HALF);
        let one = caller("/ip4/192.0.2.1");
        let all = shares.take(one, 100).unwrap();
        assert_eq!(shares.whole.available_permits(), 5);
        assert!(shares.take(one, 1).is_none());
        drop(all);
        let tor = Caller { peer: PeerId::random(), range: Range::Unknown };
        assert!(shares.take(tor, 3).is_some());
    }

    #[tokio::test]
    async fn whoever_waits_gets_its_turn_or_nothing() {
        let shares = Arc::new(Shares::new("places", 2, 1, HALF));
        let (one, two) = (caller("/ip4/192.0.2.1"), caller("/ip4/198.51.100.1"));
        let held = shares.take(one, 1).unwrap();
        assert!(shares.wait(one, 1, Duration::from_millis(5)).await.is_none());
        assert!(shares.wait(two, 1, Duration::from_millis(5)).await.is_some(), "another range");
        let again = Arc::clone(&shares);
        let waiting =
            tokio::spawn(
                async move { again.wait(one, 1, Duration::from_secs(60)).await.is_some() },
            );
        tokio::task::yield_now().await;
        drop(held);
        assert!(waiting.await.unwrap());
        assert!(shares.peers.0.lock().is_empty());
    }
}
