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
        let search = Search { positions: self, nodes, target: key.position(), count };
        let mut found = Vec::new();
        search.visit(0, self.starts.len(), 1 << 63, &mut found);
        found
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
    /// Appends the closest of a range, whose nodes have all bits above `bit` in common.
    fn visit(&self, low: usize, high: usize, bit: u64, found: &mut Vec<u32>) {
        let Some(range) = self.positions.starts.get(low..high) else { return };
        if range.is_empty() || found.len() >= self.count {
            return;
        }
        if range.len() <= FEW || bit == 0 {
            return self.append(low, high, found);
        }
        let middle = low + range.partition_point(|start| start & bit == 0);
        let halves = [(low, middle), (middle, high)];
        let [left, right] = halves;
        let is_right = start(&self.target) & bit != 0;
        for (low, high) in if is_right { [right, left] } else { [left, right] } {
            self.visit(low, high, bit >> 1, found);
        }
    }

    fn append(&self, low: usize, high: usize, found: &mut Vec<u32>) {
        let distance =
            |rank: &u32| self.nodes.node(*rank).map(|node| node.position().distance(&self.target));
        let mut range = self.positions.ranks.get(low..high).unwrap_or_default().to_vec();
        range.sort_by_cached_key(distance);
        found.extend(range.into_iter().take(self.count.saturating_sub(found.len())));
    }
}

#[cfg(all(test, feature = "testing"))]
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
}
