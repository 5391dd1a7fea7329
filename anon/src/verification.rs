//! Cross-verification (paper, 4.1 and 4.2): two independent answers must agree before anyone is trusted. In a network
//! with keepers it is their quorum that has agreed, once for everybody.
//!
//! The results are proof tokens. A channel is extended only to a [`CrossVerified`] node, a request is
//! performed only at a [`ReplicaSet`]; neither can be made but here.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    certificate::{CertificateError, NodeCertificate, UnverifiedNodeCertificate},
    hop::Hop,
    id::{NetworkId, NodeId},
    keys::{IdentitySecret, KeyError, Signature, SigningSecret as _},
    labels,
    network::{Epoch, MAX_K, Network},
    position::{Key, keep_closest},
    roster::Roster,
    time::Time,
    view::{descriptor::Addresses, signed::View},
};

/// Why two answers do not make a node or a replica set trustworthy.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Disagreement {
    /// The go-between and the witness name different nodes for keyZ: one of them lies (or the network moves).
    #[error("the go-between says {first} is closest to the key, the witness says {second}", first = .first.short(), second = .second.short())]
    Node {
        /// What the first said.
        first: NodeId,
        /// What the second said.
        second: NodeId,
    },
    /// The anonymizer's and the verifier's lists differ.
    #[error(
        "the anonymizer and the verifier list different replicas ({only_first} and {only_second} that the other does not have)"
    )]
    Lists {
        /// Nodes that only the first list has.
        only_first: usize,
        /// Nodes that only the second list has.
        only_second: usize,
    },
    /// A list without nodes, with more than `k`, or with one twice.
    #[error("a list of nodes is empty, too long or repeats a node")]
    BadList,
    /// A certificate in an answer does not verify.
    #[error("an answer holds a certificate that is {0}")]
    Certificate(#[from] CertificateError),
}

/// A node that more than one independent party vouches for: two answers name it as the closest to a key, two members
/// have vouched for it, or a quorum of keepers signed a view in which it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrossVerified(Proof);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Proof {
    Certified(NodeCertificate),
    InView(Hop, Addresses),
}

impl CrossVerified {
    /// A node of a view, if it stands there.
    ///
    /// A [`View`] exists only under a quorum of keepers. Any two quorums have an honest keeper in common, and a keeper
    /// signs one view an epoch: so this node, with this channel key and these addresses, is what everybody finds in
    /// the view of this epoch. It was reached there by a majority of keepers, and signed its key itself. No answer of
    /// anybody else could add to that. Two views under quorums would be proof against keepers
    /// ([`crate::view::two_views`]).
    #[must_use]
    pub fn in_view(view: &View, node: &NodeId) -> Option<Self> {
        let descriptor = view.nodes().find(node)?;
        let hop = Hop::described(view.header(), &descriptor);
        Some(Self(Proof::InView(hop, descriptor.addresses())))
    }

    /// A node of one's own roster, if it is active there: two independent members have vouched for it, and
    /// have known it for an epoch.
    #[must_use]
    pub fn active(roster: &Roster, node: &NodeId, now: Epoch) -> Option<Self> {
        let certificate = roster.certificate(node).filter(|_| roster.is_active(node, now));
        certificate.cloned().map(Self::certified)
    }

    const fn certified(certificate: NodeCertificate) -> Self {
        Self(Proof::Certified(certificate))
    }

    /// Which node it is.
    #[must_use]
    pub const fn node(&self) -> NodeId {
        match &self.0 {
            Proof::Certified(certificate) => certificate.node(),
            Proof::InView(hop, _) => hop.node(),
        }
    }

    /// The node as a handshake with it needs to know it.
    #[must_use]
    pub fn hop(&self) -> Hop {
        match &self.0 {
            Proof::Certified(certificate) => Hop::certified(certificate),
            Proof::InView(hop, _) => *hop,
        }
    }

    /// The node's certificate, unless it is known by a view.
    #[must_use]
    pub const fn certificate(&self) -> Option<&NodeCertificate> {
        match &self.0 {
            Proof::Certified(certificate) => Some(certificate),
            Proof::InView(..) => None,
        }
    }

    /// Where keepers reached the node, if it is known by a view.
    #[must_use]
    pub const fn addresses(&self) -> Option<&Addresses> {
        match &self.0 {
            Proof::Certified(_) => None,
            Proof::InView(_, addresses) => Some(addresses),
        }
    }
}

/// Verifies one answer to `Closest`: the certificates, sorted by distance to `key`.
///
/// # Errors
/// [`Disagreement::BadList`] or [`Disagreement::Certificate`].
pub fn verify_list(
    answer: Vec<UnverifiedNodeCertificate>,
    key: &Key,
    count: usize,
    network: &Network,
    now: Time,
) -> Result<Vec<NodeCertificate>, Disagreement> {
    if answer.is_empty() || answer.len() > count {
        return Err(Disagreement::BadList);
    }
    let mut nodes =
        answer.into_iter().map(|c| c.verify(network, now)).collect::<Result<Vec<_>, _>>()?;
    keep_closest(&mut nodes, key, count, |n| n.node().position());
    if are_distinct(&nodes) { Ok(nodes) } else { Err(Disagreement::BadList) }
}

/// Whether no node of a sorted list is in it twice.
fn are_distinct(nodes: &[NodeCertificate]) -> bool {
    nodes.windows(2).all(|pair| matches!(pair, [a, b] if a.node() != b.node()))
}

/// Compares what two independent nodes say is closest to a key.
///
/// Of two certificates of the same node the newer one counts: each is signed by that node.
///
/// # Errors
/// [`Disagreement::Node`] if they name different nodes.
pub fn cross_verify(
    first: NodeCertificate,
    second: NodeCertificate,
) -> Result<CrossVerified, Disagreement> {
    if first.node() == second.node() {
        Ok(CrossVerified::certified(first.newer(second)))
    } else {
        Err(Disagreement::Node { first: first.node(), second: second.node() })
    }
}

/// Whether a list of the nodes closest to a key differs from one's own by what honest members' rosters differ: at
/// most a quarter of the nodes (at least one) are others, and each of them is known and next in line: among the
/// closest, by three times as many places more. A node that nobody has told us of, closer than all we know, is
/// not churn: that is what a node minted for the key looks like. Nor is one from far away, which only somebody
/// who knows none of those between could take for closest: that is what an accomplice looks like.
#[must_use]
pub fn differs_by_churn(
    key: &Key,
    theirs: &[NodeId],
    own: &[NodeCertificate],
    roster: &Roster,
) -> bool {
    let others: Vec<&NodeId> =
        theirs.iter().filter(|node| !own.iter().any(|o| o.node() == **node)).collect();
    let allowed = own.len().div_ceil(4).max(1);
    let distinct: BTreeSet<&NodeId> = theirs.iter().collect();
    let in_line = || {
        let mut near: Vec<NodeId> = roster.known().map(NodeCertificate::node).collect();
        keep_closest(&mut near, key, own.len() + 3 * allowed, NodeId::position);
        others.iter().all(|node| near.contains(node))
    };
    distinct.len() == theirs.len()
        && theirs.len() <= own.len().max(1)
        && theirs.len() + allowed >= own.len()
        && others.len() <= allowed
        && (others.is_empty() || in_line())
}

/// The k nodes closest to a key, as two independent answers have them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaSet {
    key: Key,
    nodes: Vec<NodeCertificate>,
}

impl ReplicaSet {
    /// Compares the anonymizer's list with the verifier's: the same nodes, however fresh their certificates.
    ///
    /// # Errors
    /// [`Disagreement::Lists`] if a node is in one of them only; [`Disagreement::BadList`] if they agree on
    /// nobody, on more than [`MAX_K`], or on somebody twice.
    pub fn agree(
        key: Key,
        anonymizer: Vec<NodeCertificate>,
        verifier: Vec<NodeCertificate>,
    ) -> Result<Self, Disagreement> {
        let missing_from = |list: &[NodeCertificate], other: &[NodeCertificate]| {
            list.iter().filter(|n| !other.iter().any(|o| o.node() == n.node())).count()
        };
        let only_first = missing_from(&anonymizer, &verifier);
        let only_second = missing_from(&verifier, &anonymizer);
        if only_first + only_second > 0 {
            return Err(Disagreement::Lists { only_first, only_second });
        }
        let mut nodes: Vec<NodeCertificate> = Vec::with_capacity(anonymizer.len());
        for node in anonymizer {
            let other = verifier.iter().find(|o| o.node() == node.node()).cloned();
            nodes.push(match other {
                Some(other) => node.newer(other),
                None => node,
            });
        }
        let count = nodes.len();
        keep_closest(&mut nodes, &key, count, |n| n.node().position());
        if (1..=MAX_K).contains(&count) && are_distinct(&nodes) {
            Ok(Self { key, nodes })
        } else {
            Err(Disagreement::BadList)
        }
    }

    /// Compares one's own roster with what the anonymizer's and the verifier's rosters say. The set is one's
    /// own; theirs may differ from it by churn ([`differs_by_churn`]), and by no more.
    ///
    /// # Errors
    /// [`Disagreement::Lists`] with the nodes that are too many; [`Disagreement::BadList`] if one's own roster
    /// has nobody.
    pub fn confirmed(
        key: Key,
        roster: &Roster,
        count: usize,
        (anonymizer, verifier): (&[NodeId], &[NodeId]),
        now: Epoch,
    ) -> Result<Self, Disagreement> {
        let nodes = roster.closest(&key, count, now);
        if nodes.is_empty() {
            return Err(Disagreement::BadList);
        }
        let strange =
            |list: &[NodeId]| if differs_by_churn(&key, list, &nodes, roster) { 0 } else { 1 };
        match (strange(anonymizer), strange(verifier)) {
            (0, 0) => Ok(Self { key, nodes }),
            (only_first, only_second) => Err(Disagreement::Lists { only_first, only_second }),
        }
    }

    /// The key they are closest to.
    #[must_use]
    pub const fn key(&self) -> Key {
        self.key
    }

    /// The nodes, closest first.
    #[must_use]
    pub fn nodes(&self) -> &[NodeCertificate] {
        &self.nodes
    }

    /// Whether a node is one of them.
    #[must_use]
    pub fn contains(&self, node: &NodeId) -> bool {
        self.nodes.iter().any(|n| n.node() == *node)
    }
}

/// What a node says of its roster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatementClaims {
    /// The network.
    pub network: NetworkId,
    /// Who says it.
    pub node: NodeId,
    /// In which epoch.
    pub epoch: Epoch,
    /// Closest to which key.
    pub key: Key,
    /// The nodes, closest first.
    pub closest: Vec<NodeId>,
}

/// A node's signed answer to [`crate::request::Request::Closest`]: proof of what it said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// What it says.
    pub claims: StatementClaims,
    /// Its signature.
    pub signature: Signature,
}

impl Statement {
    /// Signs a statement.
    #[must_use]
    pub fn issue(identity: &IdentitySecret, claims: StatementClaims) -> Self {
        let signature = identity.sign(labels::STATEMENT, &claims.network, &claims);
        Self { claims, signature }
    }

    /// Checks that `node` said it of `key`, in this epoch or next to it.
    ///
    /// # Errors
    /// [`KeyError::BadSignature`] if it did not.
    pub fn verify(
        &self,
        network: &NetworkId,
        node: NodeId,
        key: Key,
        now: Epoch,
    ) -> Result<(), KeyError> {
        let claims = &self.claims;
        let fits = claims.node == node && claims.key == key && claims.epoch.0.abs_diff(now.0) <= 1;
        if !fits {
            return Err(KeyError::BadSignature);
        }
        node.verify_key().verify(labels::STATEMENT, network, claims, &self.signature)
    }
}
