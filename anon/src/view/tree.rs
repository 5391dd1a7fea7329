//! The Merkle tree of RFC 9162, section 2.1, over a list that is read in chunks of 256 entries.
//!
//! ```text
//! leaf:   SHA-256(0x00 ‖ entry)        inner node:  SHA-256(0x01 ‖ left ‖ right)        empty tree:  SHA-256("")
//! ```
//! 256 is a power of two, so each chunk is a whole subtree, and the tree over the chunks' hashes has the same root as the tree
//! over all entries. Who has the list of the chunks' hashes checks each chunk when it comes; who has only the root checks one
//! entry by a path of at most [`MAX_PATH`] hashes.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::hex::debug_as_short_hex;

/// Entries of a chunk; the last chunk may have fewer.
pub const CHUNK: usize = 256;
/// The longest path of an inclusion proof: 2^20 entries are more than a view may have.
pub const MAX_PATH: usize = 20;

/// A tree's root, 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Root(pub [u8; 32]);

/// The hash of a leaf, of a chunk, or of any other part of a tree, 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hash(pub [u8; 32]);

debug_as_short_hex!(Root, Hash);

/// The hash of one entry.
#[must_use]
pub fn leaf(entry: &[u8]) -> Hash {
    let mut hash = Sha256::new();
    hash.update([0]);
    hash.update(entry);
    Hash(hash.finalize().into())
}

fn parent(left: &Hash, right: &Hash) -> Hash {
    let mut hash = Sha256::new();
    hash.update([1]);
    hash.update(left.0);
    hash.update(right.0);
    Hash(hash.finalize().into())
}

/// The hash of a list whose parts have these hashes: leaves, or subtrees of one power of two, but for the last.
#[must_use]
pub fn fold(parts: impl IntoIterator<Item = Hash>) -> Hash {
    let mut complete: Vec<Hash> = Vec::new();
    for (count, mut part) in parts.into_iter().enumerate() {
        // As many subtrees are complete now as the count has ones at its end.
        for _ in 0..count.trailing_ones() {
            let Some(left) = complete.pop() else { break };
            part = parent(&left, &part);
        }
        complete.push(part);
    }
    let folded = complete.into_iter().rev().reduce(|right, left| parent(&left, &right));
    folded.unwrap_or_else(|| Hash(Sha256::digest([]).into()))
}

/// The root over chunks with these hashes.
#[must_use]
pub fn root_of_chunks(chunks: &[Hash]) -> Root {
    Root(fold(chunks.iter().copied()).0)
}

/// The path from part `at` of a list to the list's hash: RFC 9162, 2.1.3.1.
#[must_use]
pub(super) fn path(parts: &[Hash], at: usize) -> Vec<Hash> {
    let (mut parts, mut at, mut path) = (parts, at, Vec::new());
    while parts.len() > 1 {
        // The largest power of two below the length.
        let middle = parts.len().next_power_of_two() / 2;
        let (left, right) = parts.split_at(middle);
        let beside = if at < middle {
            parts = left;
            right
        } else {
            parts = right;
            at -= middle;
            left
        };
        path.push(fold(beside.iter().copied()));
    }
    path.reverse();
    path
}

/// That a list holds an entry at a rank.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InclusionProof {
    /// Where the entry stands, from 0.
    pub rank: u32,
    /// The hashes beside the way to the root, from the leaf on, at most [`MAX_PATH`].
    pub path: Vec<Hash>,
}

impl InclusionProof {
    /// Whether the tree over `count` entries with this root holds `entry` at the rank: RFC 9162, 2.1.3.2.
    #[must_use]
    pub fn proves(&self, root: &Root, count: u32, entry: &[u8]) -> bool {
        if self.rank >= count || self.path.len() > MAX_PATH {
            return false;
        }
        let (mut first, mut second) = (self.rank, count - 1);
        let mut hash = leaf(entry);
        for beside in &self.path {
            if second == 0 {
                return false;
            }
            if first & 1 == 1 || first == second {
                hash = parent(beside, &hash);
                while first & 1 == 0 && first != 0 {
                    first >>= 1;
                    second >>= 1;
                }
            } else {
                hash = parent(&hash, beside);
            }
            first >>= 1;
            second >>= 1;
        }
        second == 0 && hash.0 == root.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 9162, 2.1.1, word by word.
    fn by_the_book(entries: &[Vec<u8>]) -> Hash {
        match entries {
            [] => Hash(Sha256::digest([]).into()),
            [one] => leaf(one),
            more => {
                let mut middle = 1;
                while middle * 2 < more.len() {
                    middle *= 2;
                }
                parent(&by_the_book(&more[..middle]), &by_the_book(&more[middle..]))
            }
        }
    }

    fn entries(count: u32) -> Vec<Vec<u8>> {
        (0..count).map(|number| number.to_be_bytes().to_vec()).collect()
    }

    #[test]
    fn the_root_is_the_rfcs_and_the_same_over_chunks() {
        for count in (0..70).chain([255, 256, 257, 511, 512, 513, 1_025]) {
            let entries = entries(count);
            let leaves: Vec<Hash> = entries.iter().map(|entry| leaf(entry)).collect();
            let chunks: Vec<Hash> =
                leaves.chunks(CHUNK).map(|chunk| fold(chunk.iter().copied())).collect();
            let expected = by_the_book(&entries);
            assert_eq!(fold(leaves), expected, "{count}");
            assert_eq!(root_of_chunks(&chunks).0, expected.0, "{count}");
        }
    }

    #[test]
    fn every_entry_is_proved_where_it_stands_and_nowhere_else() {
        for count in (1..20).chain([257]) {
            let entries = entries(count);
            let leaves: Vec<Hash> = entries.iter().map(|entry| leaf(entry)).collect();
            let root = Root(fold(leaves.iter().copied()).0);
            for (rank, entry) in (0..count).zip(&entries) {
                let path = path(&leaves, usize::try_from(rank).unwrap());
                let proof = InclusionProof { rank, path };
                assert!(proof.proves(&root, count, entry), "{rank} of {count}");
                assert!(!proof.proves(&root, count, b"another"));
                for other in (0..count + 3).filter(|other| *other != rank) {
                    let moved = InclusionProof { rank: other, path: proof.path.clone() };
                    assert!(!moved.proves(&root, count, entry), "{other} of {count}");
                }
                for at in 0..proof.path.len() {
                    let mut wrong = proof.clone();
                    wrong.path[at].0[0] ^= 1;
                    assert!(!wrong.proves(&root, count, entry));
                    wrong = proof.clone();
                    wrong.path.remove(at);
                    assert!(!wrong.proves(&root, count, entry));
                }
                let mut longer = proof.clone();
                longer.path.push(Hash([0; 32]));
                assert!(!longer.proves(&root, count, entry));
            }
        }
    }

    #[test]
    fn a_path_longer_than_any_tree_is_refused_unread() {
        let path = vec![Hash([0; 32]); MAX_PATH + 1];
        let mut hash = leaf(b"x");
        for beside in &path {
            hash = parent(&hash, beside);
        }
        let proof = InclusionProof { rank: 0, path };
        assert!(!proof.proves(&Root(hash.0), 1 << 21, b"x"));
    }

    proptest! {
        #[test]
        fn an_inner_node_is_no_entry(left: [u8; 32], right: [u8; 32]) {
            let inner = parent(&Hash(left), &Hash(right));
            prop_assert_ne!(inner, leaf(&[left, right].concat()));
        }
    }
}
