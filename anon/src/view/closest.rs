//! The k nodes of a view that are closest to a key, without looking at all others: storage is the one-hop DHT that the view is.
//!
//! All nodes count, also those that are new: who may store is not who may be on a path. Ranks are kept sorted by the first 64
//! bits of the nodes' positions; a search halves the range bit by bit, the half on the key's side first.

use super::list::NodeList;
use crate::{
    id::NodeId,
    position::{Key, Position},
};

/// Ranges of at most so many nodes are sorted by distance, not halved.
const FEW: usize = 16;
/// The first of the 64 bits.
const HIGHEST: u64 = 1 << 63;

/// The nodes of a list by their positions in the DHT space: 12 bytes a node.
#[derive(Clone, Debug)]
pub struct Positions {
    starts: Vec<u64>,
    ranks: Vec<u32>,
}

impl Positions {
    /// Computes the position of each node: one hash a node.
    #[must_use]
    pub fn of(nodes: &NodeList) -> Self {
        let start = |node: NodeId| start(&node.position());
        let mut all: Vec<(u64, u32)> = nodes.nodes().map(start).zip(0..).collect();
        all.sort_unstable();
        let (starts, ranks) = all.into_iter().unzip();
        Self { starts, ranks }
    }

    /// The ranks of the `count` nodes closest to `key`, closest first. `nodes` is the list that this was made from.
    #[must_use]
    pub fn closest(&self, nodes: &NodeList, key: &Key, count: usize) -> Vec<u32> {
        self.search(nodes, key, count).0
    }

    /// The closest, and how many nodes were looked at to find them.
    fn search(&self, nodes: &NodeList, key: &Key, count: usize) -> (Vec<u32>, usize) {
        let search = Search { positions: self, nodes, target: key.position(), count };
        let mut found = Vec::new();
        let looked = search.visit(0, self.starts.len(), HIGHEST, &mut found);
        (found, looked)
    }
}

/// The first 64 bits of a position.
fn start(position: &Position) -> u64 {
    position.0.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

struct Search<'a> {
    positions: &'a Positions,
    nodes: &'a NodeList,
    target: Position,
    count: usize,
}

impl Search<'_> {
    /// Appends the closest of a range, whose nodes have all bits above `bit` in common; how many nodes it looked at.
    fn visit(&self, low: usize, high: usize, bit: u64, found: &mut Vec<u32>) -> usize {
        let Some(range) = self.positions.starts.get(low..high) else { return 0 };
        if range.is_empty() || found.len() >= self.count {
            return 0;
        }
        if range.len() <= FEW || bit == 0 {
            self.append(low, high, found);
            return range.len();
        }
        let middle = low + range.partition_point(|start| start & bit == 0);
        let [left, right] = [(low, middle), (middle, high)];
        let is_right = start(&self.target) & bit != 0;
        let halves = if is_right { [right, left] } else { [left, right] };
        halves.map(|(low, high)| self.visit(low, high, bit >> 1, found)).into_iter().sum()
    }

    fn append(&self, low: usize, high: usize, found: &mut Vec<u32>) {
        let distance =
            |rank: &u32| self.nodes.node(*rank).map(|node| node.position().distance(&self.target));
        let mut range = self.positions.ranks.get(low..high).unwrap_or_default().to_vec();
        range.sort_by_cached_key(distance);
        found.extend(range.into_iter().take(self.count.saturating_sub(found.len())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{position::keep_closest, testing::views::Keepers};

    #[test]
    fn nodes_whose_positions_begin_alike_are_told_apart_by_the_rest() {
        let view = Keepers::new(1).view_of(1, None, 0..40);
        let ranks: Vec<u32> = (0..40).collect();
        let alike = Positions { starts: vec![5; 40], ranks: ranks.clone() };
        let key = Key([3; 32]);
        let mut expected = ranks;
        keep_closest(&mut expected, &key, 20, |rank| view.nodes().node(*rank).unwrap().position());
        assert_eq!(alike.closest(view.nodes(), &key, 20), expected);
    }

    #[test]
    fn few_nodes_are_looked_at_however_many_there_are() {
        let view = Keepers::new(1).view_of(1, None, 0..3_000);
        let positions = Positions::of(view.nodes());
        for number in 0..100 {
            for count in [1, 8, 20] {
                let (_, looked) = positions.search(view.nodes(), &Key([number; 32]), count);
                assert!(looked < count + 2 * FEW, "{looked} for {count}");
            }
        }
    }

    #[test]
    fn a_range_of_few_is_sorted_at_once() {
        for (size, halved) in [(FEW, false), (FEW + 1, true)] {
            let view = Keepers::new(1).view_of(1, None, (0..).take(size));
            let positions = Positions::of(view.nodes());
            let (_, looked) = positions.search(view.nodes(), &Key([0; 32]), 1);
            assert_eq!(looked < size, halved, "{looked}");
        }
    }
}
