//! The nodes among which a path is sampled: an agent's roster, or a simulated network.

use crate::{
    certificate::NodeCertificate,
    id::NodeId,
    network::Epoch,
    position::Key,
    roster::{Operator, Roster},
};

/// Nodes in a fixed order, and who is closest to what.
pub trait Candidates {
    /// What names a node.
    type Id: Copy + Ord;
    /// A node.
    type Node: Clone;
    /// Who stands behind a node.
    type Operator;

    /// How many there are.
    fn count(&self) -> usize;
    /// The node with this rank, 0 being the first.
    fn nth(&self, rank: usize) -> Option<Self::Node>;
    /// The rank of a node; `None` if it is no candidate.
    fn rank(&self, id: &Self::Id) -> Option<usize>;
    /// The node closest to a key.
    fn closest(&self, key: &Key) -> Option<Self::Node>;
    /// The name of a node.
    fn id(&self, node: &Self::Node) -> Self::Id;
    /// Who stands behind a node.
    fn operator(&self, node: &Self::Node) -> Self::Operator;
    /// Whether two operators could be one.
    fn overlap(&self, a: &Self::Operator, b: &Self::Operator) -> bool;
}

/// The active nodes of a roster in an epoch.
impl Candidates for (&Roster, Epoch) {
    type Id = NodeId;
    type Node = NodeCertificate;
    type Operator = Operator;

    fn count(&self) -> usize {
        self.0.active(self.1).count()
    }

    fn nth(&self, rank: usize) -> Option<NodeCertificate> {
        self.0.active(self.1).nth(rank).cloned()
    }

    fn rank(&self, id: &NodeId) -> Option<usize> {
        if self.0.is_active(id, self.1) {
            self.0.active(self.1).position(|node| node.node() == *id)
        } else {
            None
        }
    }

    fn closest(&self, key: &Key) -> Option<NodeCertificate> {
        self.0.closest(key, 1, self.1).into_iter().next()
    }

    fn id(&self, node: &NodeCertificate) -> NodeId {
        node.node()
    }

    fn operator(&self, node: &NodeCertificate) -> Operator {
        Operator::of(node)
    }

    fn overlap(&self, a: &Operator, b: &Operator) -> bool {
        a.overlaps(b)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// So many nodes, each its own operator.
    pub(in crate::selection) struct Nodes(pub(in crate::selection) u8);

    impl Candidates for Nodes {
        type Id = u8;
        type Node = u8;
        type Operator = u8;

        fn count(&self) -> usize {
            self.0.into()
        }

        fn nth(&self, rank: usize) -> Option<u8> {
            u8::try_from(rank).ok().filter(|rank| *rank < self.0)
        }

        fn rank(&self, id: &u8) -> Option<usize> {
            (*id < self.0).then(|| usize::from(*id))
        }

        fn closest(&self, key: &Key) -> Option<u8> {
            Some(key.0[0] % self.0)
        }

        fn id(&self, node: &u8) -> u8 {
            *node
        }

        fn operator(&self, node: &u8) -> u8 {
            *node
        }

        fn overlap(&self, a: &u8, b: &u8) -> bool {
            a == b
        }
    }
}
