//! The Maildir's failure domain. No variant carries a path or a byte of mail.

use std::io;

/// Why the Maildir refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MaildirError {
    /// The mail exceeds 64 MiB.
    #[error("a mail may have {limit} bytes at most")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The mail is gone: another program deleted it.
    #[error("the mail is no longer in the Maildir")]
    NotFound,
    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness")]
    Randomness,
    /// Storage failed.
    #[error("cannot {action}: {source}")]
    Io {
        /// What was attempted, as a verb phrase.
        action: &'static str,
        /// The operating system's reason.
        source: io::Error,
    },
}

impl MaildirError {
    /// The sysexits code: 74 for a disk that is full, 73 for a place where nothing can be put.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Io { source, .. } if is_full(source) => 74,
            _ => 73,
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => {
                "read that mail with another program: the file is in the Maildir"
            }
            Self::NotFound => "see `cutout list`",
            Self::Io { source, .. } if is_full(source) => {
                "make room on the disk, and fetch again: what was not delivered waits in the network"
            }
            _ => "check the directory and its permissions",
        }
    }

    pub(super) fn io(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, source }
    }

    /// As [`io`](Self::io), for what is done to a mail that may be gone.
    pub(super) fn io_on_mail(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound,
            _ => Self::Io { action, source },
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
