//! Kademlia lookups in a network that stands still (Maymounkov, Mazières, 2002): whom does a lookup ask?
//!
//! Everyone who is asked sees who asks and for which key. Routing tables are not kept but derived when needed:
//! a node's bucket for a prefix length holds 20 members that a hash of node, bucket and seed chooses.
//!
//! A table of 10^6 nodes fits no cache, so what cannot change the outcome is not derived: a bucket of which all
//! members are farther than the closest that are known already, the position of such a member, and any answer once
//! the list is what it will be in the end.

use super::{
    network::{BITS, Network, Node, Range, mix},
    number::index,
};

/// Members of a bucket, and what one answer lists.
const BUCKET: usize = 20;
/// So many nodes around the target are soon counted.
const FEW: usize = 256;

/// How lookups are done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LookupSettings {
    /// How many nodes are asked at once.
    pub alpha: usize,
    /// How many results are wanted; the lookup ends when the closest so many have been asked.
    pub count: usize,
}

/// One node on the list of a lookup.
#[derive(Clone, Copy)]
struct Heard {
    distance: u64,
    node: Node,
    is_asked: bool,
}

/// Whom a lookup still takes in.
#[derive(Clone, Copy, Default)]
struct Horizon {
    /// The greatest distance.
    distance: u64,
    /// How many bits nodes within it share with the target at least, and which nodes do.
    depth: u32,
    range: Range,
}

/// Does lookups, one after the other.
#[derive(derive_more::Debug, Default)]
#[debug("Lookups(..)")]
pub(crate) struct Lookups {
    list: Vec<Heard>,
    horizon: Horizon,
    answer: Answer,
    fresh: Vec<Heard>,
    batch: Vec<Node>,
    /// Everyone that the last lookup asked.
    asked: Vec<Node>,
}

impl Lookups {
    /// Looks `target` up from `asker`; everyone who was asked.
    pub(crate) fn ask(
        &mut self,
        network: &Network,
        settings: LookupSettings,
        asker: Node,
        target: u64,
    ) -> &[Node] {
        self.list.clear();
        self.asked.clear();
        self.horizon = Horizon::everyone(network);
        let mut is_final = self.hear(network, settings, asker, asker, target);
        loop {
            // What the others answer is known already, so they may as well be asked in one go.
            let most = if is_final { settings.count } else { settings.alpha };
            self.batch.clear();
            let fresh = self.list.iter_mut().filter(|heard| !heard.is_asked);
            for heard in fresh.take(most) {
                heard.is_asked = true;
                self.batch.push(heard.node);
            }
            if self.batch.is_empty() {
                return &self.asked;
            }
            self.asked.extend(&self.batch);
            for place in 0..self.batch.len() {
                if is_final {
                    break;
                }
                let Some(node) = self.batch.get(place).copied() else { continue };
                is_final = self.hear(network, settings, asker, node, target);
            }
        }
    }

    /// Takes in what a node answers: those closest to the target in its routing table. Whether the list is final.
    fn hear(
        &mut self,
        network: &Network,
        settings: LookupSettings,
        asker: Node,
        node: Node,
        target: u64,
    ) -> bool {
        self.answer.derive(network, node, target, &self.horizon);
        let found = &mut self.answer.found;
        // Who is farther than BUCKET others of an answer is not among the closest BUCKET of all, wherefore nobody
        // need be left out. But the asker, who is on no list, may be one of the others.
        if found.len() > BUCKET && settings.count + usize::from(found.contains(&asker)) > BUCKET {
            found.select_nth_unstable_by_key(BUCKET, |node| network.position(*node) ^ target);
            found.truncate(BUCKET);
        }
        // All are fetched before one is looked at, so that fetching the next does not wait for the one before.
        self.fresh.clear();
        self.fresh.extend(found.iter().map(|node| {
            let distance = network.position(*node) ^ target;
            Heard { distance, node: *node, is_asked: false }
        }));
        let mut is_changed = false;
        let mut farthest = self.horizon.distance;
        for heard in &self.fresh {
            if heard.distance > farthest || heard.node == asker {
                continue;
            }
            let place = self.list.partition_point(|other| other.distance < heard.distance);
            if self.list.get(place).is_some_and(|other| other.node == heard.node) {
                continue;
            }
            if self.list.len() >= settings.count {
                self.list.pop();
            }
            self.list.insert(place, *heard);
            is_changed = true;
            if self.list.len() >= settings.count {
                farthest = self.list.last().map_or(u64::MAX, |heard| heard.distance);
            }
        }
        is_changed && self.list.len() >= settings.count && {
            self.horizon.draw_in(network, target, farthest);
            self.horizon.holds_no_other(network, asker, target, self.list.len())
        }
    }
}

impl Horizon {
    /// At first nobody is too far.
    fn everyone(network: &Network) -> Self {
        Self { distance: u64::MAX, depth: 0, range: network.subtree(0, 0) }
    }

    /// Nobody beyond `distance` is taken in any more.
    fn draw_in(&mut self, network: &Network, target: u64, distance: u64) {
        self.distance = distance;
        let depth = distance.leading_zeros();
        if depth != self.depth {
            (self.depth, self.range) = (depth, network.subtree(target, depth));
        }
    }

    /// Whether `count` nodes are all that there are within it.
    fn holds_no_other(&self, network: &Network, asker: Node, target: u64, count: usize) -> bool {
        let positions = network.positions(self.range);
        if positions.len() > FEW {
            return false;
        }
        let is_within = |position: &u64| position ^ target <= self.distance;
        let within: usize = positions.iter().map(|at| usize::from(is_within(at))).sum();
        within == count + usize::from(is_within(&network.position(asker)))
    }
}

/// What a node answers.
#[derive(Default)]
struct Answer {
    /// The members of its table closest to the target, or more; none beyond the horizon need be among them.
    found: Vec<Node>,
    /// How many there are of these so far, with those beyond the horizon.
    count: usize,
    /// Members of one bucket.
    bucket: Vec<Node>,
}

impl Answer {
    /// The nodes closest to `target` that `node` knows.
    fn derive(&mut self, network: &Network, node: Node, target: u64, horizon: &Horizon) {
        self.found.clear();
        self.count = 0;
        let position = network.position(node);
        let shared = (position ^ target).leading_zeros().min(BITS - 1);
        let beside = |depth: u32| {
            let beside = position ^ (1 << (BITS - 1 - depth));
            network.subtree(beside, depth + 1)
        };
        // Who differs from this node where the target does is closer to the target than anybody else.
        self.add_bucket(network, node, shared, beside(shared), horizon);
        // Deeper buckets share as many bits with the target as the node itself.
        if self.count >= BUCKET || shared < horizon.depth {
            return;
        }
        let mut own = network.subtree(position, shared + 1);
        for deeper in shared + 1..BITS {
            if self.count >= BUCKET || own.1 - own.0 <= 1 {
                break;
            }
            let halves = network.halves(own, deeper);
            let is_high = position >> (BITS - 1 - deeper) & 1 == 1;
            let other = if is_high { halves.0 } else { halves.1 };
            own = if is_high { halves.1 } else { halves.0 };
            self.add_bucket(network, node, deeper, other, horizon);
        }
        for shallower in (horizon.depth..shared).rev() {
            if self.count >= BUCKET {
                break;
            }
            self.add_bucket(network, node, shallower, beside(shallower), horizon);
        }
    }

    /// Adds the members of one bucket: some of `among`, the nodes that share exactly `shared` leading bits with the
    /// node.
    fn add_bucket(
        &mut self,
        network: &Network,
        node: Node,
        shared: u32,
        among: Range,
        horizon: &Horizon,
    ) {
        let (from, to) = among;
        let size = to - from;
        let (low, high) = horizon.range;
        if index(size) <= BUCKET {
            self.count += index(size);
            self.found.extend(from.max(low)..to.min(high));
            return;
        }
        self.count += BUCKET;
        if from >= high || to <= low {
            return;
        }
        self.bucket.clear();
        let mut state = mix(network.seed() ^ mix((u64::from(node) << 8) | u64::from(shared)));
        // A member whose bit is not set is new. In a small bucket each has a bit of its own.
        let mut seen = 0_u64;
        while self.bucket.len() < BUCKET {
            state = mix(state);
            let scaled = (state >> 32) * u64::from(size);
            let place = u32::try_from(scaled >> 32).unwrap_or(0);
            let bit = 1 << (place % u64::BITS);
            let member = from + place;
            if seen & bit != 0 && (size <= u64::BITS || self.bucket.contains(&member)) {
                continue;
            }
            seen |= bit;
            self.bucket.push(member);
        }
        self.found.extend(self.bucket.iter().filter(|member| (low..high).contains(member)));
    }
}

#[cfg(test)]
mod tests {
    use super::{super::number::node_of, *};

    #[test]
    fn lookups_find_the_true_closest_and_ask_about_as_many_as_they_find() {
        let network = Network::new(10_000, 11);
        for settings in
            [LookupSettings { alpha: 3, count: 20 }, LookupSettings { alpha: 10, count: 10 }]
        {
            let (mut lookups, mut first, mut all, mut asked) = (Lookups::default(), 0, 0, 0);
            for n in 0..300_u32 {
                let target = mix(u64::from(n));
                let mut truth = Vec::new();
                network.closest_at(target, settings.count, &mut truth);
                asked += lookups.ask(&network, settings, n * 31, target).len();
                let found = found(&lookups);
                first += usize::from(found.first() == truth.first());
                all += found.iter().filter(|node| truth.contains(node)).count();
            }
            assert!(first >= 298, "{first} of 300");
            assert!(all * 100 >= 98 * 300 * settings.count, "{all}");
            let mean = asked / 300;
            assert!((settings.count..settings.count * 4).contains(&mean), "{mean}");
        }
    }

    /// The nodes that the last lookup found, closest first.
    fn found(lookups: &Lookups) -> Vec<Node> {
        lookups.list.iter().map(|heard| heard.node).collect()
    }

    /// A lookup that takes in all that it hears, and to its end.
    fn plain(
        network: &Network,
        settings: LookupSettings,
        asker: Node,
        target: u64,
    ) -> (Vec<Node>, Vec<Node>) {
        let everyone = Horizon::everyone(network);
        let distance = |node: &Node| network.position(*node) ^ target;
        let (mut known, mut asked) = (Vec::new(), Vec::new());
        let mut batch = vec![asker];
        loop {
            for node in batch {
                let mut answer = Answer::default();
                answer.derive(network, node, target, &everyone);
                answer.found.sort_by_key(distance);
                answer.found.truncate(BUCKET);
                known.extend(answer.found);
            }
            known.retain(|node| *node != asker);
            known.sort_by_key(distance);
            known.dedup();
            known.truncate(settings.count);
            let fresh = known.iter().filter(|node| !asked.contains(*node));
            batch = fresh.take(settings.alpha).copied().collect();
            if batch.is_empty() {
                return (known, asked);
            }
            asked.extend(&batch);
        }
    }

    #[test]
    fn what_is_not_derived_changes_nothing() {
        for (nodes, seed) in [(15, 1), (60, 2), (3_000, 3)] {
            let network = Network::new(nodes, seed);
            for (alpha, count) in [(3, 20), (10, 10), (10, 22), (1, 1)] {
                let settings = LookupSettings { alpha, count };
                let mut lookups = Lookups::default();
                for n in 0..200_u32 {
                    let (asker, target) = (n % node_of(nodes), mix(u64::from(n)));
                    let (known, asked) = plain(&network, settings, asker, target);
                    assert_eq!(lookups.ask(&network, settings, asker, target), asked);
                    assert_eq!(found(&lookups), known);
                }
            }
        }
    }

    #[test]
    fn a_table_is_the_same_whenever_it_is_derived() {
        let network = Network::new(5_000, 1);
        let horizon = Horizon::everyone(&network);
        let table = || {
            let mut answer = Answer::default();
            answer.derive(&network, 17, u64::MAX / 3, &horizon);
            answer.found
        };
        let (once, again) = (table(), table());
        assert_eq!(once, again);
        assert!(once.len() >= BUCKET);
    }
}
