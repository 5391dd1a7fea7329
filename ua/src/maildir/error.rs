//! The Maildir's failure domain. No variant carries a path or a byte of mail.

use std::io;

/// Why the Maildir refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MaildirError {
    /// The mail exceeds [`MAX_MAIL_BYTES`](super::MAX_MAIL_BYTES).
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
    #[error("cannot {action}")]
    Io {
        /// What was attempted, as a verb phrase.
        action: &'static str,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
}

impl MaildirError {
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
