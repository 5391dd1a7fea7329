//! What can go wrong in the store, and how redb's errors are told in its terms.

use std::io::ErrorKind;

/// Why the store did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no file to open.
    #[error("there is no store at this path")]
    Missing,
    /// There is a file where a new store was to be created.
    #[error("there is a file at this path already")]
    Exists,
    /// Another process, or another handle in this one, has the store open.
    #[error("the store is open elsewhere")]
    Locked,
    /// The file was written by another version of this program.
    #[error("the store has format version {found}, this program reads {expected}")]
    Version {
        /// The version in the file.
        found: u64,
        /// The version this program reads and writes.
        expected: u64,
    },
    /// The file is damaged, or is not a store at all.
    #[error("the store is corrupt: {0}")]
    Corrupt(Corruption),
    /// The disk or the file system failed; `StorageFull` if the disk is full.
    #[error("the store's file failed: {0}")]
    Io(ErrorKind),
    /// The file is being opened anew after a fault; try again.
    #[error("the store is being opened anew after a fault")]
    Reopening,
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// As many writes wait as may wait.
    #[error("too many writes wait for the store")]
    Busy,
    /// The payload, or an object's set of delete permissions, is over its limit.
    #[error("{size} bytes are over the limit of {limit}")]
    TooLarge {
        /// Bytes offered.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// Another object lies at this key.
    #[error("another object is stored at this key")]
    Conflict,
    /// The store's quota is used up, or the disk is.
    #[error("the store is full, {missing} bytes are missing")]
    Full {
        /// Counted bytes that must be freed before this write would fit.
        missing: u64,
    },
    /// The inbox's quota of entries or bytes is used up.
    #[error("this inbox is full")]
    InboxFull,
}

/// Which part of a store is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Corruption {
    /// The file as a whole, as redb sees it.
    #[error("the file is damaged or is not a store")]
    File,
    /// A row of this table does not decode, or contradicts another table.
    #[error("a row of table `{0}` makes no sense")]
    Row(&'static str),
}

impl StoreError {
    /// Tells whether the store is well and only this request was refused, before it changed
    /// anything.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Busy
                | Self::TooLarge { .. }
                | Self::Conflict
                | Self::Full { .. }
                | Self::InboxFull
        )
    }

    /// The error for a row of `table` that does not decode or contradicts another.
    pub(super) fn row(table: &'static str) -> Self {
        Self::Corrupt(Corruption::Row(table))
    }

    /// The error for a failed file operation. A file shorter than it says, or of another kind, is
    /// corrupt.
    pub(super) fn io(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::InvalidData | ErrorKind::UnexpectedEof => Self::Corrupt(Corruption::File),
            kind => Self::Io(kind),
        }
    }

    fn from_redb(error: &redb::Error) -> Self {
        tracing::debug!(%error, "redb failed");
        match error {
            redb::Error::Io(cause) => Self::io(cause.kind()),
            redb::Error::PreviousIo
            | redb::Error::DatabaseClosed
            | redb::Error::LockPoisoned(_) => Self::Reopening,
            redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => Self::Locked,
            redb::Error::Backend(_) | redb::Error::Unsupported => Self::Io(ErrorKind::Other),
            _ => Self::Corrupt(Corruption::File),
        }
    }
}

macro_rules! from_redb {
    ($($error:ident),+) => {
        $(impl From<redb::$error> for StoreError {
            fn from(error: redb::$error) -> Self {
                Self::from_redb(&error.into())
            }
        })+
    };
}
from_redb!(
    CommitError,
    CompactionError,
    DatabaseError,
    SetDurabilityError,
    StorageError,
    TableError,
    TransactionError
);
