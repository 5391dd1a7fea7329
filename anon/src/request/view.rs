//! What nodes, keepers and agents ask each other for the sake of the view: statements, the exchange of keepers, and the
//! view itself.
//!
//! All of it goes over a link of one's own, never through a channel, and is no part of a handshake: nothing here is about
//! mail. What is asked for by its digest or id needs no signature, since whoever asked can tell whether it came. A vote, a
//! view and a revocation list may be longer than a message, and are had in pieces of [`MAX_PIECE`] bytes.

use serde::{Deserialize, Serialize};

use crate::{
    keeper::{
        absence::{Absence, MAX_ABSENCE},
        chain::MAX_CHAIN,
        vote::VoteDigest,
    },
    limits::MAX_OBJECT,
    time::Epoch,
    view::{
        header::ViewId,
        quorum::{MAX_KEEPERS, MAX_SIGNED_VIEW},
        statement::{MAX_STATEMENT, StatementDigest, UnverifiedNodeStatement},
    },
    wire::{self, WireError},
};

/// How much of something long one answer has, bytes. A shorter answer is the last piece.
pub const MAX_PIECE: usize = MAX_OBJECT;
/// How many statements are asked for at once.
pub const MAX_STATEMENTS_ASKED: usize = 256;
/// How a list of statements or words is longer than what is in it, bytes.
const LIST_OVERHEAD: usize = 8;

/// What is asked, or told, for the sake of the view. All answers are [`super::Response::View`], empty where there is
/// nothing to say, or [`super::Response::NotFound`], or [`super::Response::Refused`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ViewRequest {
    /// A node states itself to a keeper: an encoded [`UnverifiedNodeStatement`]. The answer is empty.
    State(#[serde(with = "serde_bytes")] Vec<u8>),
    /// Hand out these statements, at most [`MAX_STATEMENTS_ASKED`], as far as they are here: [`encode_statements`].
    Statements(Vec<StatementDigest>),
    /// Hand out a vote for the view of an epoch, from this byte on.
    Vote {
        /// Of which epoch.
        epoch: Epoch,
        /// Which.
        digest: VoteDigest,
        /// The first byte that is wanted.
        from: u32,
    },
    /// One keeper to another: an encoded [`crate::keeper::chain::Chain`]. The answer is empty.
    Chain(#[serde(with = "serde_bytes")] Vec<u8>),
    /// One keeper to another: an encoded [`crate::view::quorum::UnverifiedSignedView`] with the signatures that it has,
    /// its own among them. The answer is the same of what the other one signed, or empty if it has signed nothing yet.
    Signatures(#[serde(with = "serde_bytes")] Vec<u8>),
    /// One keeper to another: an encoded [`Absence`]. The answer is empty.
    Word(#[serde(with = "serde_bytes")] Vec<u8>),
    /// Hand out the keepers' words that an epoch has no view: [`encode_words`].
    Words(Epoch),
    /// Hand out the latest signed view, without its nodes.
    Latest,
    /// Hand out a whole view, without its nodes' signatures, from this byte on.
    View {
        /// Which.
        id: ViewId,
        /// The first byte that is wanted.
        from: u32,
    },
    /// Hand out the revocation list of this digest, from this byte on.
    Revocations {
        /// Which.
        digest: [u8; 32],
        /// The first byte that is wanted.
        from: u32,
    },
    /// Hand out the difference to a view from the one before it, from this byte on.
    Difference {
        /// The view before, which is at hand.
        base: ViewId,
        /// The view that is wanted.
        id: ViewId,
        /// The first byte that is wanted.
        from: u32,
    },
}

impl ViewRequest {
    /// Whether all counts and lengths are within their bounds.
    #[must_use]
    pub const fn is_in_bounds(&self) -> bool {
        match self {
            Self::State(statement) => statement.len() <= MAX_STATEMENT,
            Self::Statements(wanted) => wanted.len() <= MAX_STATEMENTS_ASKED,
            Self::Chain(chain) => chain.len() <= MAX_CHAIN,
            Self::Signatures(signed) => signed.len() <= MAX_SIGNED_VIEW,
            Self::Word(word) => word.len() <= MAX_ABSENCE,
            Self::Vote { .. }
            | Self::Words(_)
            | Self::Latest
            | Self::View { .. }
            | Self::Revocations { .. }
            | Self::Difference { .. } => true,
        }
    }

    /// Whether any node answers it, and not keepers alone.
    #[must_use]
    pub const fn is_for_any_node(&self) -> bool {
        match self {
            Self::Words(_) | Self::Latest | Self::View { .. } | Self::Difference { .. } => true,
            Self::State(_)
            | Self::Statements(_)
            | Self::Vote { .. }
            | Self::Chain(_)
            | Self::Signatures(_)
            | Self::Word(_)
            | Self::Revocations { .. } => false,
        }
    }

    /// Whether the answer may be long, so that nobody gets many of them at once.
    #[must_use]
    pub const fn has_long_answer(&self) -> bool {
        match self {
            Self::Statements(_)
            | Self::Vote { .. }
            | Self::View { .. }
            | Self::Revocations { .. }
            | Self::Difference { .. } => true,
            Self::State(_)
            | Self::Chain(_)
            | Self::Signatures(_)
            | Self::Word(_)
            | Self::Words(_)
            | Self::Latest => false,
        }
    }
}

/// The piece of something long that begins at a byte; `None` if that lies behind its end.
#[must_use]
pub fn piece(whole: &[u8], from: u32) -> Option<&[u8]> {
    let rest = whole.get(usize::try_from(from).ok()?..)?;
    Some(rest.get(..MAX_PIECE).unwrap_or(rest))
}

/// Encodes at most [`MAX_STATEMENTS_ASKED`] statements as an answer.
#[must_use]
pub fn encode_statements(statements: &[UnverifiedNodeStatement]) -> Vec<u8> {
    wire::encode(&statements)
}

/// Decodes the answer to [`ViewRequest::Statements`]; no signature is checked.
///
/// # Errors
/// [`WireError`], also for more than were asked for.
pub fn decode_statements(bytes: &[u8]) -> Result<Vec<UnverifiedNodeStatement>, WireError> {
    decode_list(bytes, MAX_STATEMENTS_ASKED, MAX_STATEMENT)
}

/// Encodes at most [`MAX_KEEPERS`] words as an answer.
#[must_use]
pub fn encode_words(words: &[Absence]) -> Vec<u8> {
    wire::encode(&words)
}

/// Decodes the answer to [`ViewRequest::Words`]; no signature is checked.
///
/// # Errors
/// [`WireError`], also for more than there can be keepers.
pub fn decode_words(bytes: &[u8]) -> Result<Vec<Absence>, WireError> {
    decode_list(bytes, MAX_KEEPERS, MAX_ABSENCE)
}

fn decode_list<T: serde::de::DeserializeOwned + Serialize>(
    bytes: &[u8],
    most: usize,
    each: usize,
) -> Result<Vec<T>, WireError> {
    let list: Vec<T> = wire::decode(bytes, LIST_OVERHEAD + most * each)?;
    if list.len() <= most { Ok(list) } else { Err(WireError::Malformed) }
}

#[cfg(test)]
mod tests {
    use super::{
        ViewRequest::{
            Chain, Difference, Latest, Revocations, Signatures, State, Statements, View, Vote,
            Word, Words,
        },
        *,
    };

    #[test]
    fn any_node_answers_for_views_and_words_and_keepers_alone_for_the_rest() {
        let (digest, id) = ([1; 32], ViewId([2; 32]));
        let base = ViewId([3; 32]);
        let difference = Difference { base, id, from: 0 };
        let all = [Words(Epoch(3)), Latest, View { id, from: 0 }, difference];
        assert!(all.iter().all(ViewRequest::is_for_any_node));
        let of_keepers = [
            State(Vec::new()),
            Statements(Vec::new()),
            Vote { epoch: Epoch(3), digest: VoteDigest(digest), from: 0 },
            Chain(Vec::new()),
            Signatures(Vec::new()),
            Word(Vec::new()),
            Revocations { digest, from: 0 },
        ];
        assert!(!of_keepers.iter().any(ViewRequest::is_for_any_node));
    }

    #[test]
    fn something_long_is_had_in_pieces_of_which_the_last_one_is_shorter() {
        for length in [0, 1, MAX_PIECE - 1, MAX_PIECE, MAX_PIECE + 1, 2 * MAX_PIECE] {
            let whole: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
            let mut had = Vec::new();
            loop {
                let more = piece(&whole, u32::try_from(had.len()).unwrap()).unwrap();
                had.extend_from_slice(more);
                if more.len() < MAX_PIECE {
                    break;
                }
            }
            assert_eq!(had.len(), length);
            assert!(had == whole);
            assert_eq!(piece(&whole, u32::try_from(length + 1).unwrap()), None);
        }
    }
}
