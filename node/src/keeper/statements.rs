//! The statements that a keeper takes for the view of one epoch, within bounds.
//!
//! Identities are free and statements with them, so that strangers get no more room than a view may have nodes, and those
//! that state addresses of one range no more than a share of it. Whoever stood in the view before always has room.

use std::collections::{BTreeMap, HashMap};

use anon::{
    id::NodeId,
    view::statement::{NodeStatement, StatementDigest},
};
use net::shares::{Range, RangeShare};
use thiserror::Error;

use crate::view::address;

/// Why a statement is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum NotTaken {
    /// There are as many strangers as a view may have nodes.
    #[error("there is no more room for nodes that were not there before")]
    Full,
    /// Too many strangers of one address range.
    #[error("there are too many nodes of this address range")]
    Crowded,
    /// The node has stated two different things already.
    #[error("the node has stated two different things for this view")]
    ThirdFace,
}

/// The statements for one view.
#[derive(Debug)]
pub(crate) struct Statements {
    most: usize,
    share: RangeShare,
    /// What each node has stated here: one thing, or two different ones.
    nodes: BTreeMap<NodeId, (StatementDigest, Option<StatementDigest>)>,
    /// All that is here, also what came from other keepers.
    known: BTreeMap<StatementDigest, NodeStatement>,
    strangers: usize,
    ranges: HashMap<Range, usize>,
}

impl Statements {
    /// Room for so many strangers, of which one address range has its share.
    pub(crate) fn new(most: usize, share: RangeShare) -> Self {
        let (nodes, known, ranges) = (BTreeMap::new(), BTreeMap::new(), HashMap::new());
        Self { most, share, nodes, known, strangers: 0, ranges }
    }

    /// Takes a statement of this view, whose node stood in the view before or did not. `Some`: the two statements by
    /// which the node shows two faces.
    ///
    /// # Errors
    /// [`NotTaken`].
    pub(crate) fn take(
        &mut self,
        statement: NodeStatement,
        is_known: bool,
    ) -> Result<Option<[NodeStatement; 2]>, NotTaken> {
        let (node, digest) = (statement.descriptor().node(), statement.digest());
        let Some((first, other)) = self.nodes.get_mut(&node) else {
            if !is_known {
                self.make_room(&statement)?;
            }
            self.nodes.insert(node, (digest, None));
            self.known.insert(digest, statement);
            return Ok(None);
        };
        if *first == digest || *other == Some(digest) {
            return Ok(None);
        }
        if other.is_some() {
            return Err(NotTaken::ThirdFace);
        }
        *other = Some(digest);
        let before = self.known.get(first).filter(|before| before.contradicts(&statement));
        let proof = before.map(|before| [before.clone(), statement.clone()]);
        self.known.insert(digest, statement);
        Ok(proof)
    }

    fn make_room(&mut self, statement: &NodeStatement) -> Result<(), NotTaken> {
        if self.strangers >= self.most {
            return Err(NotTaken::Full);
        }
        let tcp = statement.descriptor().addresses().tcp();
        let range = tcp.map_or(Range::Unknown, |tcp| Range::of(&address::of_tcp(tcp)));
        let count = self.ranges.entry(range).or_default();
        if *count >= self.share.of(self.most, range) {
            return Err(NotTaken::Crowded);
        }
        *count += 1;
        self.strangers += 1;
        Ok(())
    }

    /// Adds a statement that another keeper handed out.
    pub(crate) fn add(&mut self, statement: NodeStatement) {
        self.known.insert(statement.digest(), statement);
    }

    /// What is to be measured: of each node its first statement.
    pub(crate) fn first_of_each(&self) -> Vec<NodeStatement> {
        self.nodes.values().filter_map(|(first, _)| self.known.get(first)).cloned().collect()
    }

    /// All that is here.
    pub(crate) const fn known(&self) -> &BTreeMap<StatementDigest, NodeStatement> {
        &self.known
    }

    /// How many nodes have stated themselves.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }
}

#[cfg(test)]
mod tests {
    use anon::{
        id::NetworkId,
        keys::{ChannelSecret, IdentitySecret, SigningSecret as _},
        network::Epoch,
        view::{
            descriptor::{Addresses, Descriptor, TcpAddress},
            statement::UnverifiedNodeStatement,
        },
    };

    use super::*;

    fn statement(node: u8, channel: u8, ip: [u8; 4]) -> NodeStatement {
        let (network, epoch) = (NetworkId([1; 32]), Epoch(5));
        let identity = IdentitySecret::from_seed(&[node; 32]);
        let key = ChannelSecret::from_seed(&[channel; 32]).agreement_key();
        let addresses = Addresses::Tcp(TcpAddress::new(ip.into(), 1).unwrap());
        let id = NodeId(identity.verify_key().0);
        let descriptor = Descriptor::new(id, key, addresses, None).unwrap();
        let stated = UnverifiedNodeStatement::issue(&identity, &network, epoch, descriptor, None);
        stated.verify(&network, epoch).unwrap()
    }

    fn statements(most: usize, percent: u8) -> Statements {
        Statements::new(most, RangeShare { percent, unknown: percent })
    }

    #[test]
    fn a_node_states_two_different_things_at_most_and_the_second_is_evidence() {
        let mut all = statements(10, 100);
        let [one, other, third] = [1, 2, 3].map(|channel| statement(1, channel, [192, 0, 2, 1]));
        assert_eq!(all.take(one.clone(), false), Ok(None));
        assert_eq!(all.take(one.clone(), false), Ok(None), "it says so again");
        assert_eq!(all.take(other.clone(), false), Ok(Some([one.clone(), other.clone()])));
        assert_eq!(all.take(other.clone(), false), Ok(None), "that is known");
        assert_eq!(all.take(third.clone(), true), Err(NotTaken::ThirdFace));
        assert_eq!(all.first_of_each(), [one]);
        assert_eq!(all.known().get(&other.digest()), Some(&other));
        assert_eq!((all.known().get(&third.digest()), all.len()), (None, 1));
    }

    #[test]
    fn strangers_get_no_more_room_than_a_view_has_and_those_of_before_always_some() {
        let mut all = statements(3, 100);
        for node in 1..=3 {
            assert_eq!(all.take(statement(node, 1, [192, 0, node, 1]), false), Ok(None));
        }
        let late = statement(4, 1, [192, 0, 4, 1]);
        assert_eq!(all.take(late.clone(), false), Err(NotTaken::Full));
        assert_eq!(all.take(late, true), Ok(None));
        assert_eq!(all.len(), 4);
    }

    #[test]
    fn an_address_range_gets_its_share() {
        let mut all = statements(4, 50);
        let near = |node| statement(node, 1, [192, 0, 2, node]);
        assert_eq!(all.take(near(1), false), Ok(None));
        assert_eq!(all.take(near(2), false), Ok(None));
        assert_eq!(all.take(near(3), false), Err(NotTaken::Crowded));
        assert_eq!(all.take(near(3), true), Ok(None), "it stood there before");
        assert_eq!(all.take(statement(4, 1, [192, 0, 3, 4]), false), Ok(None));
    }
}
