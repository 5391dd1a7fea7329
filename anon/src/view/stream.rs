//! What the encodings of a whole view and of a difference have in common: how they begin, and how they are read while they
//! come.
//!
//! ```text
//! version 1 | kind 1 | signed view | chunks' hashes 32 × ⌈count / 256⌉ | [hashes of the signatures' chunks] | body
//! ```
//! The quorum is checked before anything else is read, and the hashes against its roots before any chunk is. What is kept of a
//! stream is therefore what keepers signed, and at most one chunk and one piece of the stream that are not checked yet.

use super::{
    error::ViewError,
    quorum::{KeeperSet, SignedView, UnverifiedSignedView},
    tree::{self, CHUNK, Hash, Root},
};
use crate::id::NetworkId;

/// The version of encoded views that this software makes and reads.
pub(super) const VIEW_VERSION: u8 = 1;
/// How much of a stream is taken in at once, bytes.
const PIECE: usize = 8 << 10;

/// What an encoded view is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Whole,
    WithSignatures,
    Difference,
}

impl Kind {
    const fn byte(self) -> u8 {
        match self {
            Self::Whole => 0,
            Self::WithSignatures => 1,
            Self::Difference => 2,
        }
    }
}

/// How an encoded view begins: all but its body.
pub(super) fn front(kind: Kind, signed: &SignedView, hashes: &[&[Hash]]) -> Vec<u8> {
    let mut bytes = vec![VIEW_VERSION, kind.byte()];
    bytes.extend(signed.to_unverified().encode());
    for hash in hashes.iter().copied().flatten() {
        bytes.extend(hash.0);
    }
    bytes
}

/// What reads a stream step by step.
pub(super) trait Steps {
    /// Takes one step with what came so far and says how many bytes it used; `None` while it needs more.
    fn step(&mut self, bytes: &[u8]) -> Result<Option<usize>, ViewError>;
}

/// What came of a stream and was not used yet.
#[derive(Debug, Default)]
pub(super) struct Pending {
    bytes: Vec<u8>,
    failed: Option<ViewError>,
}

impl Pending {
    /// Takes in more of the stream. After an error there is nothing but that error.
    pub(super) fn feed(&mut self, more: &[u8], steps: &mut impl Steps) -> Result<(), ViewError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let fed = more.chunks(PIECE).try_for_each(|piece| self.feed_piece(piece, steps));
        if let Err(error) = fed {
            *self = Self { bytes: Vec::new(), failed: Some(error) };
        }
        fed
    }

    fn feed_piece(&mut self, piece: &[u8], steps: &mut impl Steps) -> Result<(), ViewError> {
        self.bytes.extend_from_slice(piece);
        let mut used = 0;
        while let Some(rest) = self.bytes.get(used..).filter(|rest| !rest.is_empty()) {
            match steps.step(rest)? {
                Some(more) => used += more,
                None => break,
            }
        }
        self.bytes.drain(..used);
        Ok(())
    }

    /// What went wrong, or what is left over.
    pub(super) fn finish(&self) -> Result<(), ViewError> {
        match self.failed {
            Some(error) => Err(error),
            None if self.bytes.is_empty() => Ok(()),
            None => Err(ViewError::EndsEarly),
        }
    }

    /// How many bytes it holds.
    #[cfg(test)]
    pub(super) const fn held(&self) -> usize {
        self.bytes.len()
    }
}

/// The hashes of one list's chunks while they come, and the root that they must have.
#[derive(Debug)]
struct Hashes {
    root: Root,
    chunks: Vec<Hash>,
}

/// The front of a stream while it is read.
#[derive(Debug)]
pub(super) struct Front {
    network: NetworkId,
    keepers: KeeperSet,
    accepted: &'static [Kind],
    signed: Option<SignedView>,
    /// Of the descriptors, and of their signatures if they come, too.
    lists: Vec<Hashes>,
    /// How many of the lists are complete and have their roots.
    complete: usize,
}

impl Front {
    pub(super) const fn new(
        network: NetworkId,
        keepers: KeeperSet,
        accepted: &'static [Kind],
    ) -> Self {
        Self { network, keepers, accepted, signed: None, lists: Vec::new(), complete: 0 }
    }

    /// The header, as soon as a quorum is verified.
    pub(super) const fn signed(&self) -> Option<&SignedView> {
        self.signed.as_ref()
    }

    /// Whether the body begins.
    pub(super) const fn is_complete(&self) -> bool {
        self.signed.is_some() && self.complete == self.lists.len()
    }

    /// How many nodes the view has.
    fn count(&self) -> usize {
        let count = self.signed.as_ref().map_or(0, |signed| signed.header().count);
        usize::try_from(count).unwrap_or(usize::MAX)
    }

    /// How many entries chunk `at` has; 0 after the last.
    pub(super) fn entries(&self, at: usize) -> usize {
        self.count().saturating_sub(at.saturating_mul(CHUNK)).min(CHUNK)
    }

    /// The hash that chunk `at` of the descriptors has.
    pub(super) fn descriptors(&self, at: usize) -> Option<Hash> {
        self.lists.first()?.chunks.get(at).copied()
    }

    /// The hash that chunk `at` of the nodes' signatures has, if they come.
    pub(super) fn signatures(&self, at: usize) -> Option<Hash> {
        self.lists.get(1)?.chunks.get(at).copied()
    }

    /// Whether the nodes' signatures come, too.
    pub(super) const fn has_signatures(&self) -> bool {
        self.lists.len() > 1
    }

    /// For how many hashes it has room.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.lists.iter().map(|list| list.chunks.capacity()).sum()
    }

    /// What was verified.
    pub(super) fn into_signed(self) -> Result<SignedView, ViewError> {
        self.signed.ok_or(ViewError::EndsEarly)
    }

    /// Checks each list of hashes against its root when it is complete.
    fn check_hashes(&mut self) -> Result<(), ViewError> {
        let all = self.count().div_ceil(CHUNK);
        while let Some(list) = self.lists.get(self.complete) {
            if list.chunks.len() < all {
                return Ok(());
            }
            if tree::root_of_chunks(&list.chunks) != list.root {
                return Err(ViewError::WrongHashes);
            }
            self.complete += 1;
        }
        Ok(())
    }

    fn read_signed(&mut self, bytes: &[u8], kind: Kind) -> Result<Option<usize>, ViewError> {
        let Some((unverified, length)) = UnverifiedSignedView::decode_first(bytes)? else {
            return Ok(None);
        };
        let signed = unverified.verify(&self.network, &self.keepers)?;
        let header = *signed.header();
        self.signed = Some(signed);
        self.lists.push(Hashes { root: header.descriptors, chunks: Vec::new() });
        if kind == Kind::WithSignatures {
            self.lists.push(Hashes { root: header.signatures, chunks: Vec::new() });
        }
        self.check_hashes()?;
        Ok(Some(length))
    }

    fn read_hash(&mut self, bytes: &[u8]) -> Result<Option<usize>, ViewError> {
        let Some(hash) = bytes.first_chunk() else { return Ok(None) };
        if let Some(list) = self.lists.get_mut(self.complete) {
            list.chunks.push(Hash(*hash));
        }
        self.check_hashes()?;
        Ok(Some(hash.len()))
    }
}

impl Steps for Front {
    fn step(&mut self, bytes: &[u8]) -> Result<Option<usize>, ViewError> {
        if self.signed.is_some() {
            return self.read_hash(bytes);
        }
        match bytes.first() {
            Some(&version) if version != VIEW_VERSION => {
                return Err(ViewError::UnknownVersion(version));
            }
            _ => {}
        }
        let Some(([_, kind], rest)) = bytes.split_first_chunk() else { return Ok(None) };
        let accepted = self.accepted.iter().find(|accepted| accepted.byte() == *kind);
        let kind = *accepted.ok_or(ViewError::OtherKind(*kind))?;
        Ok(self.read_signed(rest, kind)?.map(|length| length + 2))
    }
}
