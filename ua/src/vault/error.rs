//! The vault's failure domain: why it refused, the exit code, and what a person can do about it. Each names the file
//! by its place in the user's or the authority's directory (`vault/account`), and none carries a byte of what is sealed.
//!
//! **Invariant:** no remedy here costs a key, a mail or anonymity. A lost key is restored from a backup, a file of
//! another version is read by the program that wrote it, and a full disk is given room.

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
    /// Storage failed, or wrong usage: the `vault` file, which has the master key, is not there.
    #[error("vault/vault is missing")]
    NoVault,
    /// The master key does not open under this passphrase. The vault file's checksum held, so
    /// accidental damage is excluded; a deliberate change of the file is not.
    #[error("wrong passphrase (or the vault file was tampered with)")]
    WrongPassphrase,
    /// Storage failed: the `vault` file has the wrong length, magic or checksum, whatever the
    /// passphrase.
    #[error("vault/vault is damaged")]
    Corrupt,
    /// Wrong usage: written by another version of this program.
    #[error("vault/{file} has format version {version}, which this program does not know")]
    UnsupportedVersion {
        /// The file's name in the vault.
        file: String,
        /// The version that it gives.
        version: u8,
    },
    /// Wrong usage: the file opens, so it is whole, but what it holds has another form than this program writes.
    #[error("vault/{0} is whole, but another version of cutout wrote it")]
    OtherForm(String),
    /// Wrong usage: a name outside `[a-z0-9._-]{1,80}`, with a leading dot, or reserved.
    #[error("not a valid name for a sealed file")]
    InvalidName,
    /// No sealed file has this name.
    #[error("no sealed file has this name")]
    NotFound,
    /// Storage failed: a file is gone without which nothing can be done.
    #[error("vault/{0} is missing")]
    Missing(String),
    /// Storage failed: the sealed file was changed, cut short, or stored under another name.
    #[error("vault/{0} is damaged, or was moved to this name from another")]
    Damaged(String),
    /// The contents to be written exceed 64 MiB.
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
    #[error("cannot {action} {file}: {source}")]
    Io {
        /// What was attempted, as a verb.
        action: &'static str,
        /// On which file or directory.
        file: String,
        /// The operating system's reason.
        source: io::Error,
    },
}

/// What to do about a file of which there should be a backup.
const RESTORE: &str = "restore that file from your backup; nothing was changed";

impl VaultError {
    /// Makes the adaptor for `map_err` that says what was being attempted with which file.
    pub(super) fn io(action: &'static str, file: &str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, file: file.to_owned(), source }
    }

    /// Whether what the file held is lost to this program: it is damaged, or of another version. A file that cannot be
    /// read is not lost: it may be whole.
    #[must_use]
    pub const fn is_lost(&self) -> bool {
        matches!(self, Self::Damaged(_) | Self::UnsupportedVersion { .. } | Self::OtherForm(_))
    }

    /// The sysexits code: 73 something is there already, 74 a file or the disk, 75 try again, 77 passphrase, 78 another
    /// version.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::WrongPassphrase | Self::EmptyPassphrase => 77,
            Self::UnsupportedVersion { .. } | Self::OtherForm(_) => 78,
            Self::AlreadyExists => 73,
            Self::InUse => 75,
            _ => 74,
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::WrongPassphrase => "type the passphrase again",
            Self::EmptyPassphrase => {
                "set CUTOUT_PASSPHRASE or --passphrase-file to one that has characters"
            }
            Self::Corrupt
            | Self::NoVault
            | Self::Damaged(_)
            | Self::Missing(_)
            | Self::CostOutOfBounds { .. }
            | Self::NotFound => RESTORE,
            Self::UnsupportedVersion { .. } | Self::OtherForm(_) => {
                "use the version of cutout that wrote it, or a later one; nothing was changed"
            }
            Self::AlreadyExists => "use it as it is, or name another directory",
            Self::InUse => "wait until the other cutout command is done",
            Self::Io { source, .. } => disk_remedy(source),
            Self::OutOfMemory => "close other programs, and try again",
            _ => "try again",
        }
    }
}

/// What a person can do about a file that cannot be read or written.
pub fn disk_remedy(error: &io::Error) -> &'static str {
    use io::ErrorKind;
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "make room on the disk, and try again; what was there before is still there"
        }
        ErrorKind::ReadOnlyFilesystem => "mount the disk so that it can be written",
        _ => {
            "see to it that the file and its directory belong to you, and that you may read and write them"
        }
    }
}
