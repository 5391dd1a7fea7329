//! Beginning a vault where there may be one already.
//!
//! **Invariant:** nothing here removes a sealed file, or seals under a new key beside files of another. A vault that
//! was begun and never held anything is moved aside; any other one is left as it is.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use super::{KdfCost, Passphrase, VAULT_FILE, Vault, VaultError, disk};

/// The file beside the vault that whoever begins one locks.
const LOCK_FILE: &str = ".begin";

/// What a vault's directory holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contents {
    /// Nothing that was ever sealed: it may be that there is no such directory.
    Nothing,
    /// The `vault` file with the master key, and nothing else: it was begun and never finished.
    KeyOnly,
    /// Sealed files, without the `vault` file that would open them.
    NoKey,
    /// The `vault` file and sealed files.
    Files,
}

/// Looks at what the directory `dir` of a vault holds. Locks and what a killed writer left do not count.
///
/// # Errors
/// [`VaultError::Io`] if the directory cannot be read.
pub(crate) fn contents(dir: &Path) -> Result<Contents, VaultError> {
    let failed = || VaultError::io("list", "vault");
    let entries = match fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Contents::Nothing),
        entries => entries.map_err(failed())?,
    };
    let (mut has_key, mut has_files) = (false, false);
    for entry in entries {
        let name = entry.map_err(failed())?.file_name();
        if name == VAULT_FILE {
            has_key = true;
        } else if !name.to_string_lossy().starts_with('.') {
            has_files = true;
        }
    }
    Ok(match (has_key, has_files) {
        (false, false) => Contents::Nothing,
        (true, false) => Contents::KeyOnly,
        (false, true) => Contents::NoKey,
        (true, true) => Contents::Files,
    })
}

/// The sole right to begin a vault in a directory, until it is dropped: to be held until the vault holds what makes it
/// one that was finished.
#[derive(Debug)]
#[must_use = "another process may take an unfinished vault for one that was given up"]
pub struct Begun {
    _file: File,
}

impl Vault {
    /// Makes a vault in `parent/vault`, as [`Vault::create`]. One that was begun there and never held anything is moved
    /// aside, to `vault.unfinished-<n>`.
    ///
    /// # Errors
    /// [`VaultError::AlreadyExists`] if a vault there holds anything, with or without its key; [`VaultError::InUse`] if
    /// another process begins one there; else as [`Vault::create`].
    pub fn begin(
        parent: &Path,
        passphrase: &Passphrase,
        cost: KdfCost,
    ) -> Result<(Self, Begun), VaultError> {
        let failed = || VaultError::io("create", "the directory");
        DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(failed())?;
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(parent.join(LOCK_FILE)).map_err(failed())?;
        file.try_lock().map_err(|error| match error {
            fs::TryLockError::WouldBlock => VaultError::InUse,
            fs::TryLockError::Error(error) => failed()(error),
        })?;
        let dir = parent.join("vault");
        match contents(&dir)? {
            Contents::Nothing => {}
            Contents::KeyOnly => {
                disk::set_aside(&dir, "unfinished").map_err(VaultError::io("move", "vault"))?;
            }
            Contents::NoKey | Contents::Files => return Err(VaultError::AlreadyExists),
        }
        Ok((Self::create(&dir, passphrase, cost)?, Begun { _file: file }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(parent: &Path) -> Result<(Vault, Begun), VaultError> {
        let passphrase = Passphrase::new("x".to_owned()).unwrap();
        Vault::begin(parent, &passphrase, KdfCost::new(8, 1).unwrap())
    }

    #[test]
    fn what_was_never_finished_is_moved_aside_and_all_else_is_left() {
        let root = tempfile::tempdir().unwrap();
        drop(begin(root.path()).unwrap());
        let first = fs::read(root.path().join("vault/vault")).unwrap();
        let (vault, begun) = begin(root.path()).unwrap();
        assert_eq!(fs::read(root.path().join("vault.unfinished-1/vault")).unwrap(), first);
        assert!(matches!(begin(root.path()), Err(VaultError::InUse)), "the other one is at it");
        drop(begun);
        vault.write("outbox-1.mail", b"a mail").unwrap();
        assert!(matches!(begin(root.path()), Err(VaultError::AlreadyExists)));
        fs::rename(root.path().join("vault/vault"), root.path().join("backup")).unwrap();
        assert_eq!(contents(&root.path().join("vault")).unwrap(), Contents::NoKey);
        assert!(matches!(begin(root.path()), Err(VaultError::AlreadyExists)));
        fs::rename(root.path().join("backup"), root.path().join("vault/vault")).unwrap();
        assert_eq!(vault.read("outbox-1.mail").unwrap().as_slice(), b"a mail");
    }
}
