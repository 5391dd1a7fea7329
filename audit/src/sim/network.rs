//! A simulated network: positions only, up to 10^6 of them, and who is closest to what in time O(log N + k).

use anon::{
    position::{Key, Position},
    selection::Candidates,
};
use rand::{RngExt as _, SeedableRng as _, rngs::ChaCha8Rng};

use super::number::{index, node_of};

/// A node: its rank in the order of positions.
pub(crate) type Node = u32;

/// Bits of a position that are kept. That two of 10^6 random positions share as many has probability 3 in 10^8.
pub(super) const BITS: u32 = u64::BITS;
/// Nodes in one entry of the table of prefixes, on average.
const PER_PREFIX: usize = 4;

/// N nodes at uniformly random positions.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    /// The first bits of each position, sorted. That they are few keeps more of them in the processor's caches.
    positions: Vec<u64>,
    /// Where the positions with each prefix of `bits` bits begin, and the end.
    starts: Vec<u32>,
    bits: u32,
    seed: u64,
}

/// Nodes with ranks from the first up to, not including, the second.
pub(super) type Range = (Node, Node);

impl Network {
    /// A network of `nodes` nodes. The same seed gives the same network.
    #[must_use]
    pub(crate) fn new(nodes: usize, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut positions: Vec<u64> = (0..nodes).map(|_| random_position(&mut rng)).collect();
        positions.sort_unstable();
        positions.dedup();
        let bits = (nodes / PER_PREFIX).max(2).ilog2();
        let mut starts = Vec::with_capacity(1 << bits);
        let mut next = 0;
        for prefix in 0..(1_u64 << bits) {
            while positions.get(next).is_some_and(|p| p >> (BITS - bits) < prefix) {
                next += 1;
            }
            starts.push(node_of(next));
        }
        starts.push(node_of(positions.len()));
        Self { positions, starts, bits, seed }
    }

    /// How many nodes there are.
    #[must_use]
    pub(crate) const fn len(&self) -> usize {
        self.positions.len()
    }

    /// The seed of what is random about the network besides its positions.
    pub(super) const fn seed(&self) -> u64 {
        self.seed
    }

    /// Where a node is.
    pub(super) fn position(&self, node: Node) -> u64 {
        self.positions.get(index(node)).copied().unwrap_or(0)
    }

    /// Where these nodes are.
    pub(super) fn positions(&self, (from, to): Range) -> &[u64] {
        self.positions.get(index(from)..index(to)).unwrap_or(&[])
    }

    /// Where a key is.
    pub(super) fn place(key: &Key) -> u64 {
        let Position(bytes) = key.position();
        u64::from_be_bytes(bytes.first_chunk().copied().unwrap_or([0; 8]))
    }

    /// The nodes that share the first `depth` bits with `target`.
    pub(super) fn subtree(&self, target: u64, depth: u32) -> Range {
        let prefix = |bits: u32| {
            let place = usize::try_from(target.checked_shr(BITS - bits).unwrap_or(0)).unwrap_or(0);
            let free = self.bits - bits;
            let at = |i: usize| self.starts.get(i << free).copied().unwrap_or(0);
            (at(place), at(place + 1))
        };
        if depth <= self.bits {
            return prefix(depth);
        }
        let (from, to) = prefix(self.bits);
        let slice = self.positions((from, to));
        let shift = BITS - depth.min(BITS);
        let wanted = target >> shift;
        let low = slice.partition_point(|p| p >> shift < wanted);
        let high = slice.partition_point(|p| p >> shift <= wanted);
        (from + node_of(low), from + node_of(high))
    }

    /// The halves of a subtree of nodes that share `depth` bits: those without and with the next one.
    pub(super) fn halves(&self, (from, to): Range, depth: u32) -> (Range, Range) {
        let is_low = |position: &u64| position >> (BITS - 1 - depth) & 1 == 0;
        let middle = from + node_of(self.positions((from, to)).partition_point(is_low));
        ((from, middle), (middle, to))
    }

    /// The smallest subtree around `target` that has `count` nodes, or all of them.
    fn around(&self, target: u64, count: usize) -> Range {
        let place = usize::try_from(target >> (BITS - self.bits)).unwrap_or(0);
        let at = |place: usize| self.starts.get(place).copied().unwrap_or(0);
        let subtree = |free: u32| (at(place >> free << free), at(((place >> free) + 1) << free));
        let has_all = |(from, to): &Range| index(to - from) >= count;
        (0..self.bits).map(subtree).find(has_all).unwrap_or_else(|| subtree(self.bits))
    }

    /// The node closest to `target`.
    pub(super) fn closest_to(&self, target: u64) -> Option<Node> {
        let (from, to) = self.around(target, 1);
        let positions = self.positions((from, to));
        let closest = (from..).zip(positions).min_by_key(|(_, position)| *position ^ target);
        closest.map(|(node, _)| node)
    }

    /// The `count` nodes closest to `target`, closest first, in `found`: they are in the smallest subtree around it
    /// that has so many.
    pub(super) fn closest_at(&self, target: u64, count: usize, found: &mut Vec<Node>) {
        let (from, to) = self.around(target, count);
        // Distance and node in one number are sorted without looking anything up.
        let pack = |(node, position): (Node, &u64)| {
            u128::from(position ^ target) << Node::BITS | u128::from(node)
        };
        let mut packed: Vec<u128> = (from..).zip(self.positions((from, to))).map(pack).collect();
        packed.sort_unstable();
        let unpack = |packed: u128| Node::try_from(packed & u128::from(Node::MAX)).unwrap_or(0);
        found.clear();
        found.extend(packed.into_iter().take(count).map(unpack));
    }

    /// The node closest to a key.
    pub(super) fn closest_one(&self, key: &Key) -> Option<Node> {
        self.closest_to(Self::place(key))
    }

    /// The `count` nodes closest to a key, closest first.
    #[must_use]
    pub(crate) fn closest(&self, key: &Key, count: usize) -> Vec<Node> {
        let mut found = Vec::new();
        self.closest_at(Self::place(key), count, &mut found);
        found
    }

    /// The share of all keys to which a node is the closest. At each bit at which there are nodes on both sides,
    /// half of the keys go the other way.
    #[must_use]
    pub(crate) fn zone(&self, node: Node) -> f64 {
        let position = self.position(node);
        let mut zone = 1.0;
        for depth in 0..BITS {
            let (from, to) = self.subtree(position, depth);
            if to - from <= 1 {
                break;
            }
            let (from, to) = self.subtree(position ^ (1 << (BITS - 1 - depth)), depth + 1);
            if to > from {
                zone /= 2.0;
            }
        }
        zone
    }
}

/// The first bits of a random position, of which 128 are sampled.
pub(super) fn random_position(rng: &mut ChaCha8Rng) -> u64 {
    u64::try_from(rng.random::<u128>() >> 64).unwrap_or(0)
}

/// Which nodes are hostile to one sender: every one with probability f, for all f at once. A node is hostile
/// at f if its mark is below f. Each sender meets a network of its own, so that its fate says something of all
/// networks and not of one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marks(pub u64);

impl Marks {
    /// A node's mark, 0 to 1.
    #[must_use]
    pub(crate) fn mark(self, node: Node) -> f64 {
        let hash = mix(self.0 ^ u64::from(node).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        f64::from(u32::try_from(hash >> 32).unwrap_or(0)) / 4_294_967_296.0
    }
}

/// SplitMix64's mixing of a counter (Steele, Lea, Flood, 2014).
pub(super) const fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The network as a sender's roster has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidacy<'a> {
    /// The network.
    pub network: &'a Network,
    /// The operators: each node is one by itself, unless the hostile one, with this share, has declared its nodes.
    pub declared: Option<(Marks, f64)>,
}

/// Who stands behind a node: itself, or the hostile operator that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// A family of its own.
    Own(Node),
    /// The hostile operator.
    Hostile,
}

impl Candidates for Candidacy<'_> {
    type Id = Node;
    type Node = Node;
    type Operator = Family;

    fn count(&self) -> usize {
        self.network.len()
    }

    fn nth(&self, rank: usize) -> Option<Node> {
        (rank < self.network.len()).then(|| node_of(rank))
    }

    fn rank(&self, id: &Node) -> Option<usize> {
        Some(index(*id)).filter(|rank| *rank < self.network.len())
    }

    fn closest(&self, key: &Key) -> Option<Node> {
        self.network.closest_one(key)
    }

    fn id(&self, node: &Node) -> Node {
        *node
    }

    fn operator(&self, node: &Node) -> Family {
        match self.declared {
            Some((marks, share)) if marks.mark(*node) < share => Family::Hostile,
            _ => Family::Own(*node),
        }
    }

    fn overlap(&self, a: &Family, b: &Family) -> bool {
        a == b
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_nodes_are_those_that_sorting_all_of_them_finds() {
        let network = Network::new(1_000, 7);
        for n in 0..200_u8 {
            let key = Key([n; 32]);
            let target = Network::place(&key);
            let mut all: Vec<Node> = (0..1_000).collect();
            all.sort_by_key(|node| network.position(*node) ^ target);
            for count in [1, 3, 8, 20] {
                assert_eq!(network.closest(&key, count), all[..count]);
            }
        }
    }

    #[test]
    fn zones_are_shares_of_all_keys() {
        let network = Network::new(300, 3);
        let sum: f64 = (0..300).map(|node| network.zone(node)).sum();
        assert!((sum - 1.0).abs() < 1e-9, "{sum}");
        let hits = (0..20_000_u32).filter(|n| {
            let key = Key::of_identifier(&n.to_string());
            network.closest(&key, 1) == [5]
        });
        let (hits, expected) =
            (f64::from(u32::try_from(hits.count()).unwrap()), 20_000.0 * network.zone(5));
        assert!((hits - expected).abs() < 5.0 * expected.sqrt().max(1.0), "{hits} {expected}");
    }

    #[test]
    fn a_share_of_the_nodes_is_hostile() {
        for (seed, share) in [(1, 0.01), (2, 0.1), (3, 0.2)] {
            let count = (0..100_000).filter(|n| Marks(seed).mark(*n) < share).count();
            let got = f64::from(u32::try_from(count).unwrap()) / 100_000.0;
            assert!((got - share).abs() < 0.005, "{got} {share}");
        }
    }
}
