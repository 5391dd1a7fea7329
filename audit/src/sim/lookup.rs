//! Kademlia lookups in a network that stands still (Maymounkov, Mazières, 2002): whom does a lookup ask?
//!
//! Everyone who is asked sees who asks and for which key. Routing tables are not kept but derived when needed:
//! a node's bucket for a prefix length holds 20 members that a hash of node, bucket and seed chooses.

use super::{
    network::{Network, Node, mix},
    number::index,
};

/// Members of a bucket, and what one answer lists.
const BUCKET: usize = 20;
/// Bits of a position.
const BITS: u32 = 128;

/// How lookups are done.
#[derive(Clone, Copy, Debug)]
pub struct LookupSettings {
    /// How many nodes are asked at once.
    pub alpha: usize,
    /// How many results are wanted; the lookup ends when the closest so many have been asked.
    pub count: usize,
}

/// One node on the list of a lookup.
#[derive(Clone, Copy)]
struct Heard {
    distance: u128,
    node: Node,
    is_asked: bool,
}

/// Does lookups, one after the other.
#[derive(Default)]
pub struct Lookups {
    list: Vec<Heard>,
    answer: Vec<Node>,
    batch: Vec<Node>,
    /// Everyone that the last lookup asked.
    asked: Vec<Node>,
    rounds: usize,
}

impl std::fmt::Debug for Lookups {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lookups(..)")
    }
}

impl Lookups {
    /// Looks `target` up from `asker`; everyone who was asked.
    pub fn ask(
        &mut self,
        network: &Network,
        settings: LookupSettings,
        asker: Node,
        target: u128,
    ) -> &[Node] {
        self.list.clear();
        self.asked.clear();
        self.rounds = 0;
        self.hear(network, settings, asker, asker, target);
        loop {
            self.batch.clear();
            let fresh = self.list.iter_mut().filter(|heard| !heard.is_asked);
            for heard in fresh.take(settings.alpha) {
                heard.is_asked = true;
                self.batch.push(heard.node);
            }
            if self.batch.is_empty() {
                return &self.asked;
            }
            self.rounds += 1;
            self.asked.extend(&self.batch);
            for place in 0..self.batch.len() {
                let Some(node) = self.batch.get(place).copied() else { continue };
                self.hear(network, settings, asker, node, target);
            }
        }
    }

    /// The nodes that the last lookup found, closest first.
    pub fn found(&self) -> impl Iterator<Item = Node> {
        self.list.iter().map(|heard| heard.node)
    }

    /// How many rounds of questions the last lookup took.
    #[must_use]
    pub const fn rounds(&self) -> usize {
        self.rounds
    }

    /// Takes in what a node answers: those closest to the target in its routing table.
    fn hear(
        &mut self,
        network: &Network,
        settings: LookupSettings,
        asker: Node,
        node: Node,
        target: u128,
    ) {
        answer(network, node, target, &mut self.answer);
        let is_full = self.list.len() >= settings.count;
        let mut farthest = self.list.last().filter(|_| is_full).map_or(u128::MAX, |h| h.distance);
        for node in &self.answer {
            let distance = network.position(*node) ^ target;
            if distance > farthest {
                continue;
            }
            let place = match self.list.binary_search_by(|heard| heard.distance.cmp(&distance)) {
                Err(place) if place < settings.count && *node != asker => place,
                _ => continue,
            };
            if self.list.len() >= settings.count {
                self.list.pop();
            }
            self.list.insert(place, Heard { distance, node: *node, is_asked: false });
            if self.list.len() >= settings.count {
                farthest = self.list.last().map_or(u128::MAX, |heard| heard.distance);
            }
        }
    }
}

/// The nodes closest to `target` that `node` knows.
fn answer(network: &Network, node: Node, target: u128, found: &mut Vec<Node>) {
    found.clear();
    let position = network.position(node);
    let shared = (position ^ target).leading_zeros().min(BITS - 1);
    // Who differs from this node where the target does is closer to the target than anybody else.
    add_bucket(network, node, shared, found);
    for deeper in shared + 1..BITS {
        let (from, to) = network.subtree(position, deeper);
        if found.len() >= BUCKET || to - from <= 1 {
            break;
        }
        add_bucket(network, node, deeper, found);
    }
    for shallower in (0..shared).rev() {
        if found.len() >= BUCKET {
            break;
        }
        add_bucket(network, node, shallower, found);
    }
    if found.len() > BUCKET {
        found.select_nth_unstable_by_key(BUCKET, |node| network.position(*node) ^ target);
        found.truncate(BUCKET);
    }
}

/// Adds the members of one bucket: nodes that share exactly `shared` leading bits with the node.
fn add_bucket(network: &Network, node: Node, shared: u32, found: &mut Vec<Node>) {
    let beside = network.position(node) ^ (1 << (BITS - 1 - shared));
    let (from, to) = network.subtree(beside, shared + 1);
    if index(to - from) <= BUCKET {
        found.extend(from..to);
        return;
    }
    let before = found.len();
    let mut state = mix(network.seed() ^ mix((u64::from(node) << 8) | u64::from(shared)));
    while found.len() < before + BUCKET {
        state = mix(state);
        let scaled = (state >> 32) * u64::from(to - from);
        let member = from + u32::try_from(scaled >> 32).unwrap_or(0);
        if !found.iter().skip(before).any(|other| *other == member) {
            found.push(member);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lookups_find_the_true_closest_and_ask_about_as_many_as_they_find() {
        let network = Network::new(10_000, 11);
        for settings in
            [LookupSettings { alpha: 3, count: 20 }, LookupSettings { alpha: 10, count: 10 }]
        {
            let (mut lookups, mut first, mut all, mut asked) = (Lookups::default(), 0, 0, 0);
            for n in 0..300_u32 {
                let target = u128::from(mix(u64::from(n))) << 64 | u128::from(n);
                let mut truth = Vec::new();
                network.closest_at(target, settings.count, &mut truth);
                asked += lookups.ask(&network, settings, n * 31, target).len();
                let found: Vec<Node> = lookups.found().collect();
                first += usize::from(found.first() == truth.first());
                all += found.iter().filter(|node| truth.contains(node)).count();
                assert!(lookups.rounds() >= 1);
            }
            assert!(first >= 298, "{first} of 300");
            assert!(all * 100 >= 98 * 300 * settings.count, "{all}");
            let mean = asked / 300;
            assert!((settings.count..settings.count * 4).contains(&mean), "{mean}");
        }
    }

    #[test]
    fn a_table_is_the_same_whenever_it_is_derived() {
        let network = Network::new(5_000, 1);
        let (mut once, mut again) = (Vec::new(), Vec::new());
        answer(&network, 17, u128::MAX / 3, &mut once);
        answer(&network, 17, u128::MAX / 3, &mut again);
        assert_eq!(once, again);
        assert_eq!(once.len(), BUCKET);
    }
}
