//! What a keeper votes for the view of an epoch: the nodes it reached, and what it went by.
//!
//! ```text
//! version 1 │ network file's serial number 8 │ revocations' number 8 │ their digest 32
//!           │ length 2 │ signed view before (absent: length 0) │ count 4 │ count × (node 32 │ statement 32 │ reached 1)
//! ```
//! Numbers are big-endian; nodes ascend. `reached` is 1 for TCP, 2 for the onion, 3 for both: a node that was reached
//! nowhere is not named. A vote names neither its keeper nor its epoch, since the chain that carries its digest does; so
//! keepers that measured the same make the same vote.
//!
//! The view before goes along *with its quorum*: one keeper may hold signatures that others have not seen, and all must
//! agree which view the next one follows.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};
use thiserror::Error;

use super::ballot::Ballot;
use crate::{
    id::NodeId,
    labels,
    view::{
        quorum::{MAX_SIGNED_VIEW, QuorumError, UnverifiedSignedView},
        statement::StatementDigest,
    },
};

/// The version of this format.
pub const VOTE_VERSION: u8 = 1;
/// What a vote takes for each node, bytes.
pub const VOTED_NODE: usize = 32 + 32 + 1;
/// What a vote takes besides, bytes, at most.
pub const VOTE_OVERHEAD: usize = 1 + 8 + 8 + 32 + 2 + MAX_SIGNED_VIEW + 4;

/// The longest vote on a ballot, bytes.
#[must_use]
pub fn max_vote(ballot: &Ballot) -> usize {
    let nodes = usize::try_from(ballot.max_nodes()).unwrap_or(usize::MAX);
    nodes.saturating_mul(VOTED_NODE).saturating_add(VOTE_OVERHEAD)
}

/// Bytes that are no vote. The keeper whose vote they should be misbehaved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum VoteError {
    /// Of a version that this program does not know.
    #[error("a vote of version {0}, which this program does not know")]
    UnknownVersion(u8),
    /// It ends early, or bytes follow it.
    #[error("the vote has another length than it says")]
    Length,
    /// More nodes than the view may have.
    #[error("a vote for {0} nodes, more than the view may have")]
    TooManyNodes(usize),
    /// Its nodes do not ascend.
    #[error("the nodes of a vote do not ascend")]
    NotInOrder,
    /// A node is named that was reached nowhere, or nowhere that this program knows.
    #[error("a node is named with {0:#04x}, which is no way to reach it")]
    BadReach(u8),
    /// The view before is none, or is not encoded as everybody does.
    #[error("the signed view before: {0}")]
    Before(QuorumError),
    /// The view before is of the view's own epoch or of a later one.
    #[error("the view before is not of an earlier epoch")]
    BeforeIsLater,
}

/// SHA-256 of an encoded vote, under a label of its own: what the broadcast is about.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct VoteDigest(pub [u8; 32]);
crate::hex::debug_as_short_hex!(VoteDigest);

impl VoteDigest {
    /// `SHA-256(label ‖ 0x00 ‖ encoded vote)`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut hash = Sha256::new();
        for part in [labels::VOTE_DIGEST.as_bytes(), &[0], bytes] {
            hash.update(part);
        }
        Self(hash.finalize().into())
    }
}

/// Where a keeper reached a node: somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// At its TCP address.
    Tcp,
    /// At its onion.
    Onion,
    /// At both.
    Both,
}

impl Reached {
    /// Whether over TCP.
    #[must_use]
    pub const fn tcp(self) -> bool {
        matches!(self, Self::Tcp | Self::Both)
    }

    /// Whether over Tor.
    #[must_use]
    pub const fn onion(self) -> bool {
        matches!(self, Self::Onion | Self::Both)
    }

    const fn byte(self) -> u8 {
        match self {
            Self::Tcp => 1,
            Self::Onion => 2,
            Self::Both => 3,
        }
    }

    const fn of(byte: u8) -> Result<Self, VoteError> {
        match byte {
            1 => Ok(Self::Tcp),
            2 => Ok(Self::Onion),
            3 => Ok(Self::Both),
            other => Err(VoteError::BadReach(other)),
        }
    }
}

/// What the authority says that a keeper goes by: a network file and a revocation list. The later is the greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rules {
    /// The serial number of the network file.
    pub network_serial: u64,
    /// The number of the revocation list; a later list has a higher one.
    pub revocations_number: u64,
    /// The digest of the revocation list.
    pub revocations: [u8; 32],
}

/// A keeper's vote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vote {
    /// The network file and the revocation list that the keeper goes by.
    pub rules: Rules,
    /// The latest view that it holds a quorum for.
    pub before: Option<UnverifiedSignedView>,
    /// The nodes it reached: by which statement, and where.
    pub nodes: BTreeMap<NodeId, (StatementDigest, Reached)>,
}

impl Vote {
    /// The encoding, at most [`max_vote`] bytes if it names no more nodes than the ballot allows.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let before = self.before.as_ref().map_or_else(Vec::new, UnverifiedSignedView::encode);
        let mut bytes = vec![VOTE_VERSION];
        bytes.extend(self.rules.network_serial.to_be_bytes());
        bytes.extend(self.rules.revocations_number.to_be_bytes());
        bytes.extend(self.rules.revocations);
        bytes.extend(u16::try_from(before.len()).unwrap_or(u16::MAX).to_be_bytes());
        bytes.extend(before);
        bytes.extend(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX).to_be_bytes());
        for (node, (statement, reached)) in &self.nodes {
            bytes.extend(node.0);
            bytes.extend(statement.0);
            bytes.push(reached.byte());
        }
        bytes
    }

    /// Reads a vote on a ballot. Whether it is one depends on the bytes and the ballot alone, so that all keepers find the
    /// same; no signature is checked.
    ///
    /// # Errors
    /// [`VoteError`] saying what is wrong.
    pub fn decode(bytes: &[u8], ballot: &Ballot) -> Result<Self, VoteError> {
        let mut rest = bytes;
        let [version] = take(&mut rest)?;
        if version != VOTE_VERSION {
            return Err(VoteError::UnknownVersion(version));
        }
        let network_serial = u64::from_be_bytes(take(&mut rest)?);
        let revocations_number = u64::from_be_bytes(take(&mut rest)?);
        let rules = Rules { network_serial, revocations_number, revocations: take(&mut rest)? };
        let length = usize::from(u16::from_be_bytes(take(&mut rest)?));
        let (before, rest) = rest.split_at_checked(length).ok_or(VoteError::Length)?;
        let before = decode_before(before, ballot)?;
        let nodes = decode_nodes(rest, ballot)?;
        Ok(Self { rules, before, nodes })
    }

    /// What the broadcast is about.
    #[must_use]
    pub fn digest(&self) -> VoteDigest {
        VoteDigest::of(&self.encode())
    }
}

fn decode_before(bytes: &[u8], ballot: &Ballot) -> Result<Option<UnverifiedSignedView>, VoteError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let before = UnverifiedSignedView::decode(bytes).map_err(VoteError::Before)?;
    if before.encode() != bytes {
        return Err(VoteError::Before(QuorumError::Length));
    }
    if before.header.epoch >= ballot.epoch() {
        return Err(VoteError::BeforeIsLater);
    }
    Ok(Some(before))
}

fn decode_nodes(
    bytes: &[u8],
    ballot: &Ballot,
) -> Result<BTreeMap<NodeId, (StatementDigest, Reached)>, VoteError> {
    let mut rest = bytes;
    let count = u32::from_be_bytes(take(&mut rest)?);
    let stated = usize::try_from(count).unwrap_or(usize::MAX);
    if count > ballot.max_nodes() {
        return Err(VoteError::TooManyNodes(stated));
    }
    if Some(rest.len()) != stated.checked_mul(VOTED_NODE) {
        return Err(VoteError::Length);
    }
    let mut nodes: BTreeMap<NodeId, _> = BTreeMap::new();
    while !rest.is_empty() {
        let node = NodeId(take(&mut rest)?);
        let statement = StatementDigest(take(&mut rest)?);
        let [reached] = take(&mut rest)?;
        if nodes.last_key_value().is_some_and(|(last, _)| *last >= node) {
            return Err(VoteError::NotInOrder);
        }
        nodes.insert(node, (statement, Reached::of(reached)?));
    }
    Ok(nodes)
}

/// The first `N` bytes, taken off `bytes`.
fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], VoteError> {
    let (first, rest) = bytes.split_first_chunk().ok_or(VoteError::Length)?;
    *bytes = rest;
    Ok(*first)
}
