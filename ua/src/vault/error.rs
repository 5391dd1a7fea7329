//! The vault's failure domain. No variant carries a path, a name or a byte of what is sealed.

use std::io;

use super::cost::{MAX_MEMORY_KIB, MAX_PASSES, MIN_MEMORY_KIB, MIN_PASSES};

/// Why the vault refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// Wrong usage: the passphrase has no characters.
    #[error("the passphrase is empty")]
    EmptyPassphrase,
    /// Wrong usage, or a hostile vault file: the cost lies outside what this program accepts.
    #[error(
        "key derivation with {memory_kib} KiB and {passes} passes is out of bounds \
         ({MIN_MEMORY_KIB} to {MAX_MEMORY_KIB} KiB, {MIN_PASSES} to {MAX_PASSES} passes)"
    )]
    CostOutOfBounds {
        /// Memory asked for, in KiB.
        memory_kib: u32,
        /// Passes over the memory asked for.
        passes: u32,
    },
    /// Wrong usage: the directory holds a vault already.
    #[error("the directory holds a vault already")]
    AlreadyExists,
    /// Wrong usage: the directory holds no vault.
    #[error("the directory holds no vault")]
    NoVault,
    /// The master key does not open under this passphrase. The vault file's checksum held, so
    /// accidental damage is excluded; a deliberate change of the file is not.
    #[error("wrong passphrase (or the vault file was tampered with)")]
    WrongPassphrase,
    /// Storage failed: the `vault` file has the wrong length, magic or checksum, whatever the
    /// passphrase.
    #[error("the vault file is damaged")]
    Corrupt,
    /// Wrong usage: written by another version of this program.
    #[error("format version {0} is unknown to this program")]
    UnsupportedVersion(u8),
    /// Wrong usage: a name outside `[a-z0-9._-]{1,80}`, with a leading dot, or reserved.
    #[error("not a valid name for a sealed file")]
    InvalidName,
    /// No sealed file has this name.
    #[error("no sealed file has this name")]
    NotFound,
    /// Storage failed: the sealed file was changed, cut short, or stored under another name.
    #[error("a sealed file is damaged or was moved to another name")]
    Damaged,
    /// The contents exceed [`MAX_FILE_BYTES`](super::MAX_FILE_BYTES), on the way in or out.
    #[error("a sealed file may hold {limit} bytes at most")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// Another process holds the lock.
    #[error("the vault is in use by another process")]
    InUse,
    /// The memory that the key derivation asks for is not to be had.
    #[error("not enough memory for the key derivation")]
    OutOfMemory,
    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness")]
    Randomness,
    /// Our bug: a primitive refused inputs that it must accept.
    #[error("a cryptographic primitive refused its input (our bug)")]
    Internal,
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

impl VaultError {
    /// Makes the adaptor for `map_err` that says what was being attempted.
    pub(super) fn io(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, source }
    }
}
