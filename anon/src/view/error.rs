//! Why a view, or the difference to one, is refused.

use thiserror::Error;

use super::{descriptor::DescriptorError, quorum::QuorumError};

/// A view that does not count. All of these are the fault of whoever sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ViewError {
    /// Made by software that this one does not understand.
    #[error("unknown version of encoded views: {0}")]
    UnknownVersion(u8),
    /// Neither what was asked for nor anything else that is known.
    #[error("not the kind of view that was asked for: {0}")]
    OtherKind(u8),
    /// Its header is none, or no quorum signed it.
    #[error(transparent)]
    Quorum(#[from] QuorumError),
    /// The chunks' hashes are not those of the tree that the keepers signed.
    #[error("the hashes of the chunks do not have the root that keepers signed")]
    WrongHashes,
    /// A chunk is not the one that the keepers signed.
    #[error("chunk {0} is not the one that keepers signed")]
    WrongChunk(usize),
    /// A descriptor that no honest node states.
    #[error(transparent)]
    Descriptor(#[from] DescriptorError),
    /// Nodes are not in ascending order, or one is there twice.
    #[error("the nodes are not in order, or one is there twice")]
    NotInOrder,
    /// More nodes than a view may have, or than its header says.
    #[error("the view has more nodes than it may have")]
    TooManyNodes,
    /// Another number of nodes or signatures than the header says.
    #[error("the view has another number of nodes or signatures than its header says")]
    WrongCount,
    /// It ends before it is whole.
    #[error("the view ends early")]
    EndsEarly,
    /// Bytes follow it.
    #[error("bytes follow the view")]
    TrailingBytes,
    /// The difference is to another view than the one at hand.
    #[error("the difference is to another view than the one at hand")]
    OtherBase,
    /// An operation of a difference that is unknown, or that leaves out more nodes than there are.
    #[error("the difference has an operation that makes no sense here: {0:#04x}")]
    BadOperation(u8),
}
