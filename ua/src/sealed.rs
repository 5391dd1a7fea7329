//! Sealed files by what their loss means: those that a command cannot do without, and those that are made anew.
//!
//! What opens but does not decode is no damage, since the seal would show that: another version of this program wrote it.

use anon::wire;
use serde::{Serialize, de::DeserializeOwned};

use crate::vault::{Vault, VaultError};

/// Reads a sealed file of at most `limit` bytes; `None` if there is none.
///
/// # Errors
/// [`VaultError`]: [`VaultError::OtherForm`] if it opens and does not decode.
pub fn read<T: Serialize + DeserializeOwned>(
    vault: &Vault,
    name: &str,
    limit: usize,
) -> Result<Option<T>, VaultError> {
    match vault.read(name) {
        Ok(bytes) => {
            let decoded = wire::decode(&bytes, limit);
            decoded.map(Some).map_err(|_| VaultError::OtherForm(name.to_owned()))
        }
        Err(VaultError::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

/// As [`read`], of a file that can be made anew: where it is missing, the default, and where it is damaged or of another
/// version the default too, which is said with what it `costs`. The next write replaces it.
///
/// # Errors
/// [`VaultError`] if it cannot be read: it may be whole, so nothing takes its place.
pub fn read_or_new<T: Serialize + DeserializeOwned + Default>(
    vault: &Vault,
    name: &str,
    limit: usize,
    costs: &str,
) -> Result<T, VaultError> {
    match read(vault, name, limit) {
        Ok(found) => Ok(found.unwrap_or_default()),
        Err(error) if error.is_lost() => {
            vault.notice(format!("{error}; it is made anew: {costs}"));
            Ok(T::default())
        }
        Err(error) => Err(error),
    }
}

/// Writes a file that can be made anew. A failure is said, and does not end what goes on.
pub fn keep(vault: &Vault, name: &str, contents: &impl Serialize) {
    if let Err(error) = vault.write(name, &wire::encode(contents)) {
        vault.notice(format!("{error}. It will be made anew: {}", error.remedy()));
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        path::PathBuf,
        sync::{Arc, Mutex},
    };

    use super::*;
    use crate::vault::{KdfCost, Passphrase};

    struct Stage {
        _directory: tempfile::TempDir,
        path: PathBuf,
        vault: Vault,
        said: Arc<Mutex<Vec<String>>>,
    }

    fn stage() -> Stage {
        let directory = tempfile::tempdir().unwrap();
        let passphrase = Passphrase::new("x".to_owned()).unwrap();
        let at = directory.path().join("vault");
        let vault = Vault::create(&at, &passphrase, KdfCost::new(8, 1).unwrap()).unwrap();
        let said = Arc::new(Mutex::new(Vec::new()));
        let ear = Arc::clone(&said);
        vault.on_notice(move |text| ear.lock().unwrap().push(text.to_owned()));
        let path = at.join("numbers");
        Stage { _directory: directory, path, vault, said }
    }

    fn numbers(stage: &Stage) -> Result<Vec<u64>, VaultError> {
        read_or_new(&stage.vault, "numbers", 100, "one counts again")
    }

    #[test]
    fn what_is_lost_is_made_anew_and_said() {
        let stage = stage();
        assert!(numbers(&stage).unwrap().is_empty());
        assert!(stage.said.lock().unwrap().is_empty(), "a first use is no loss");
        keep(&stage.vault, "numbers", &vec![1_u64, 2]);
        assert_eq!(numbers(&stage).unwrap(), [1, 2]);
        let whole = fs::read(&stage.path).unwrap();
        for damage in [&whole[..0], &whole[..whole.len() - 1], b"\x02 of another version"] {
            fs::write(&stage.path, damage).unwrap();
            assert!(numbers(&stage).unwrap().is_empty());
        }
        stage.vault.write("numbers", b"\xff").unwrap();
        assert!(numbers(&stage).unwrap().is_empty());
        let said = stage.said.lock().unwrap().clone();
        assert_eq!(said.len(), 3, "{said:?}");
        for (text, part) in said.iter().zip(["damaged", "version 2", "another version of cutout"]) {
            assert!(text.contains("vault/numbers") && text.contains(part), "{text}");
            assert!(text.ends_with("it is made anew: one counts again"), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_or_written_is_not_lost() {
        let stage = stage();
        fs::create_dir(&stage.path).unwrap();
        assert!(matches!(numbers(&stage), Err(VaultError::Io { .. })));
        keep(&stage.vault, "numbers", &vec![1_u64]);
        let said = stage.said.lock().unwrap().clone();
        assert!(said[0].contains("cannot write vault/numbers: "), "{said:?}");
    }
}
