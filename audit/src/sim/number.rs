//! Numbers of one kind as numbers of another.

use super::network::Node;

/// A node's place in a list.
pub(super) fn index(node: Node) -> usize {
    usize::try_from(node).unwrap_or(usize::MAX)
}

/// The node at a place.
pub(super) fn node_of(index: usize) -> Node {
    Node::try_from(index).unwrap_or(Node::MAX)
}

/// A count as a real number; exact below 2^32.
pub(super) fn real(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// A count as an exponent.
pub(super) fn power(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
