//! A view's nodes in memory: encoded, in chunks of 256, about 75 bytes a node with an IPv4 address.

use super::{
    descriptor::Descriptor,
    error::ViewError,
    header::MAX_VIEW_NODES,
    tree::{self, CHUNK, Hash, InclusionProof, Root},
};
use crate::{id::NodeId, keys::Signature};

/// Up to 256 descriptors, encoded one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    bytes: Box<[u8]>,
    /// Where each descriptor ends; the longest chunk has 33,024 bytes.
    ends: Box<[u16]>,
}

/// A chunk that is not complete yet: what came of its bytes, and where descriptors end in them.
#[derive(Clone, Debug, Default)]
pub(super) struct OpenChunk {
    bytes: Vec<u8>,
    ends: Vec<u16>,
}

impl OpenChunk {
    /// How many descriptors are in.
    pub(super) const fn len(&self) -> usize {
        self.ends.len()
    }

    /// Appends one descriptor's encoding, in parts.
    pub(super) fn push(&mut self, parts: &[&[u8]]) -> Result<(), ViewError> {
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
        let end = u16::try_from(self.bytes.len()).map_err(|_| ViewError::TooManyNodes)?;
        self.ends.push(end);
        Ok(())
    }

    /// How many bytes are in.
    #[cfg(test)]
    pub(super) const fn bytes(&self) -> usize {
        self.bytes.len()
    }

    fn close(&mut self) -> Chunk {
        let Self { bytes, ends } = std::mem::take(self);
        Chunk { bytes: bytes.into(), ends: ends.into() }
    }
}

impl Chunk {
    fn entry(&self, at: usize) -> Option<&[u8]> {
        let end = usize::from(*self.ends.get(at)?);
        let before = at.checked_sub(1).and_then(|before| self.ends.get(before));
        self.bytes.get(before.map_or(0, |end| usize::from(*end))..end)
    }

    /// The encoded descriptors.
    pub(super) fn entries(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.ends.len()).filter_map(|at| self.entry(at))
    }

    fn leaves(&self) -> impl Iterator<Item = Hash> {
        self.entries().map(tree::leaf)
    }

    /// The last node's id, if each entry is a descriptor and they ascend from `after` on.
    fn check(&self, after: Option<NodeId>) -> Result<Option<NodeId>, ViewError> {
        let mut last = after;
        for entry in self.entries() {
            let node = Descriptor::decode(entry)?.node();
            if last.is_some_and(|last| last >= node) {
                return Err(ViewError::NotInOrder);
            }
            last = Some(node);
        }
        Ok(last)
    }
}

/// The id that an encoded descriptor begins with.
fn id_of(entry: &[u8]) -> Option<NodeId> {
    entry.first_chunk().copied().map(NodeId)
}

/// Descriptors in ascending order of their nodes' ids, no node twice. A node's place in it, from 0, is its rank.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeList {
    chunks: Vec<Chunk>,
    hashes: Vec<Hash>,
    last: Option<NodeId>,
    count: u32,
}

impl NodeList {
    /// The list of these descriptors, which ascend.
    ///
    /// # Errors
    /// [`ViewError::NotInOrder`] or [`ViewError::TooManyNodes`].
    pub fn new(descriptors: impl IntoIterator<Item = Descriptor>) -> Result<Self, ViewError> {
        let (mut list, mut open) = (Self::default(), OpenChunk::default());
        for descriptor in descriptors {
            open.push(&[&descriptor.encode()])?;
            if open.len() == CHUNK {
                list.close(&mut open, None)?;
            }
        }
        if open.len() > 0 {
            list.close(&mut open, None)?;
        }
        Ok(list)
    }

    /// Closes a chunk and appends it, if it has the hash that is expected of it and its descriptors are in order.
    pub(super) fn close(
        &mut self,
        open: &mut OpenChunk,
        expected: Option<Hash>,
    ) -> Result<(), ViewError> {
        let chunk = open.close();
        let hash = tree::fold(chunk.leaves());
        if expected.is_some_and(|expected| expected != hash) {
            return Err(ViewError::WrongChunk(self.chunks.len()));
        }
        let last = chunk.check(self.last)?;
        let more = u32::try_from(chunk.ends.len()).map_err(|_| ViewError::TooManyNodes)?;
        let count = self.count.checked_add(more).filter(|count| *count <= MAX_VIEW_NODES);
        self.count = count.ok_or(ViewError::TooManyNodes)?;
        self.last = last;
        self.chunks.push(chunk);
        self.hashes.push(hash);
        Ok(())
    }

    /// How many nodes it has.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.count
    }

    /// Whether it has none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The encoded descriptor at a rank.
    pub(super) fn entry(&self, rank: u32) -> Option<&[u8]> {
        let rank = usize::try_from(rank).ok()?;
        self.chunks.get(rank / CHUNK)?.entry(rank % CHUNK)
    }

    /// The descriptor at a rank.
    #[must_use]
    pub fn get(&self, rank: u32) -> Option<Descriptor> {
        self.entry(rank).and_then(|entry| Descriptor::decode(entry).ok())
    }

    /// The id of the node at a rank.
    #[must_use]
    pub fn node(&self, rank: u32) -> Option<NodeId> {
        self.entry(rank).and_then(id_of)
    }

    /// A node's rank, if the list has it.
    #[must_use]
    pub fn rank_of(&self, node: &NodeId) -> Option<u32> {
        let first = |chunk: &Chunk| chunk.entry(0).and_then(id_of);
        let after = self.chunks.partition_point(|chunk| first(chunk).is_some_and(|id| id <= *node));
        let at = after.checked_sub(1)?;
        let chunk = self.chunks.get(at)?;
        let (mut low, mut high) = (0, chunk.ends.len());
        while low < high {
            let middle = low.midpoint(high);
            if chunk.entry(middle).and_then(id_of)? < *node {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let found = chunk.entry(low).and_then(id_of)? == *node;
        u32::try_from(at * CHUNK + low).ok().filter(|_| found)
    }

    /// The descriptor of a node, if the list has it.
    #[must_use]
    pub fn find(&self, node: &NodeId) -> Option<Descriptor> {
        self.get(self.rank_of(node)?)
    }

    /// All descriptors, by rank.
    pub fn iter(&self) -> impl Iterator<Item = Descriptor> {
        self.entries().filter_map(|entry| Descriptor::decode(entry).ok())
    }

    /// All ids, by rank.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.entries().filter_map(id_of)
    }

    fn entries(&self) -> impl Iterator<Item = &[u8]> {
        self.chunks.iter().flat_map(Chunk::entries)
    }

    /// The root over all descriptors.
    #[must_use]
    pub fn root(&self) -> Root {
        tree::root_of_chunks(&self.hashes)
    }

    /// The hashes of the chunks.
    pub(super) fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// The bytes of each chunk.
    pub(super) fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        self.chunks.iter().map(|chunk| &*chunk.bytes)
    }

    /// One chunk.
    pub(super) fn chunk(&self, at: usize) -> Option<&Chunk> {
        self.chunks.get(at)
    }

    /// The proof that the descriptor at a rank stands in the list.
    #[must_use]
    pub fn prove(&self, rank: u32) -> Option<InclusionProof> {
        let at = usize::try_from(rank).ok()?;
        let leaves: Vec<Hash> = self.chunks.get(at / CHUNK)?.leaves().collect();
        if at % CHUNK >= leaves.len() {
            return None;
        }
        let mut path = tree::path(&leaves, at % CHUNK);
        path.extend(tree::path(&self.hashes, at / CHUNK));
        Some(InclusionProof { rank, path })
    }
}

/// The nodes' signatures over their descriptors, by rank, in chunks of 256.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SignatureList {
    chunks: Vec<Box<[Signature]>>,
    hashes: Vec<Hash>,
}

impl SignatureList {
    /// The list of these signatures.
    #[must_use]
    pub fn new(signatures: impl IntoIterator<Item = Signature>) -> Self {
        let (mut list, mut signatures) = (Self::default(), signatures.into_iter());
        loop {
            let chunk: Box<[Signature]> = signatures.by_ref().take(CHUNK).collect();
            if chunk.is_empty() {
                return list;
            }
            list.hashes.push(hash_of(&chunk));
            list.chunks.push(chunk);
        }
    }

    /// Appends a chunk, if it has the hash that is expected of it.
    pub(super) fn push(
        &mut self,
        chunk: Box<[Signature]>,
        expected: Hash,
    ) -> Result<(), ViewError> {
        if hash_of(&chunk) != expected {
            return Err(ViewError::WrongChunk(self.chunks.len()));
        }
        self.hashes.push(expected);
        self.chunks.push(chunk);
        Ok(())
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.len()).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// The signature at a rank.
    #[must_use]
    pub fn get(&self, rank: u32) -> Option<Signature> {
        let at = usize::try_from(rank).ok()?;
        self.chunks.get(at / CHUNK)?.get(at % CHUNK).copied()
    }

    /// The root over all signatures.
    #[must_use]
    pub fn root(&self) -> Root {
        tree::root_of_chunks(&self.hashes)
    }

    /// The hashes of the chunks.
    pub(super) fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// The signatures of each chunk.
    pub(super) fn chunks(&self) -> impl Iterator<Item = &[Signature]> {
        self.chunks.iter().map(|chunk| &**chunk)
    }
}

fn hash_of(chunk: &[Signature]) -> Hash {
    tree::fold(chunk.iter().map(|signature| tree::leaf(&signature.0)))
}
