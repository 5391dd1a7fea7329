//! The node's channel keys for views, sealed on its disk: `view-keys.sealed`.
//!
//! A key is on the disk before it is stated, and gone from it when its time is over: the file is written anew without it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anon::{
    id::NetworkId,
    keys::{ChannelSecret, IdentitySecret},
    network::Epoch,
    view::keys::{KeysSeal, MAX_SEALED, ViewKey, ViewKeys},
};
use net::durable;

/// The file.
const FILE: &str = "view-keys.sealed";

/// The keys, in memory and on the disk.
#[derive(derive_more::Debug)]
#[debug("KeysOnDisk(..)")]
pub(crate) struct KeysOnDisk {
    path: PathBuf,
    seal: KeysSeal,
    keys: ViewKeys,
    /// What was stated before is not known: the node would show another face if it stated itself again for that view.
    is_lost: bool,
}

impl KeysOnDisk {
    /// Those in a node's directory.
    pub(crate) fn open(directory: &Path, identity: &IdentitySecret, network: &NetworkId) -> Self {
        let (path, seal) = (directory.join(FILE), KeysSeal::of(identity, network));
        let (keys, is_lost) = match read(&path) {
            Ok(bytes) => match ViewKeys::open(&seal, &bytes) {
                Ok(keys) => (keys, false),
                Err(error) => {
                    tracing::error!(%error, "{} is of no use", path.display());
                    (ViewKeys::default(), true)
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => (ViewKeys::default(), false),
            Err(error) => {
                tracing::error!(%error, "{} cannot be read", path.display());
                (ViewKeys::default(), true)
            }
        };
        Self { path, seal, keys, is_lost }
    }

    /// Whether keys were lost, so that the view which is being made now is one to stay out of. Says it once.
    pub(crate) const fn take_loss(&mut self) -> bool {
        std::mem::replace(&mut self.is_lost, false)
    }

    /// The statement for a view: what was stated before, or what `make` makes, durably.
    ///
    /// # Errors
    /// The disk's: nothing may be stated then.
    pub(crate) fn statement(
        &mut self,
        view: Epoch,
        make: impl FnOnce() -> Option<ViewKey>,
    ) -> io::Result<Option<Vec<u8>>> {
        if self.keys.get(view).is_none() {
            let Some(made) = make() else { return Ok(None) };
            self.keys.insert(view, made);
            if let Err(error) = self.write() {
                // What is not on the disk was never there.
                self.keys.remove(view);
                return Err(error);
            }
        }
        Ok(self.keys.get(view).map(|key| key.statement.clone()))
    }

    /// Calls `use_key` with the node's key for the view of an epoch; `None` if there is none, or no more.
    pub(crate) fn with_key<T>(
        &self,
        view: Epoch,
        use_key: impl FnOnce(&ChannelSecret) -> T,
    ) -> Option<T> {
        self.keys.get(view).map(|key| use_key(&key.secret))
    }

    /// Destroys the keys whose time is over, as [`ViewKeys::expire`].
    ///
    /// # Errors
    /// The disk's; the keys are gone from memory all the same.
    pub(crate) fn expire(&mut self, present: Epoch, signed: Option<Epoch>) -> io::Result<()> {
        if self.keys.expire(present, signed) == 0 { Ok(()) } else { self.write() }
    }

    fn write(&self) -> io::Result<()> {
        durable::replace(&self.path, &self.keys.seal(&self.seal, &rand::random()))
    }
}

/// The file, as far as it may be long.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let most = u64::try_from(MAX_SEALED).unwrap_or(u64::MAX);
    fs::File::open(path)?.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NETWORK: NetworkId = NetworkId([7; 32]);

    fn open(directory: &Path) -> KeysOnDisk {
        KeysOnDisk::open(directory, &IdentitySecret::from_seed(&[1; 32]), &NETWORK)
    }

    fn key(number: u8) -> Option<ViewKey> {
        let secret = ChannelSecret::from_seed(&[number; 32]);
        Some(ViewKey { secret, statement: vec![number; 150] })
    }

    #[test]
    fn a_node_that_starts_again_states_the_same_for_the_same_view() {
        let directory = tempfile::tempdir().unwrap();
        let mut keys = open(directory.path());
        assert!(!keys.take_loss(), "a new node has lost nothing");
        assert_eq!(keys.statement(Epoch(5), || key(1)).unwrap(), Some(vec![1; 150]));
        assert_eq!(keys.statement(Epoch(6), || None).unwrap(), None);
        let mut again = open(directory.path());
        assert_eq!(again.statement(Epoch(5), || key(2)).unwrap(), Some(vec![1; 150]));
        assert_eq!(again.statement(Epoch(6), || key(3)).unwrap(), Some(vec![3; 150]));
        let own = again.with_key(Epoch(5), ChannelSecret::agreement_key);
        assert_eq!(own, key(1).map(|key| key.secret.agreement_key()));
        assert!(again.with_key(Epoch(7), |_| ()).is_none());
        // What is over is on the disk no more.
        again.expire(Epoch(9), None).unwrap();
        assert_eq!(
            open(directory.path()).statement(Epoch(5), || key(4)).unwrap(),
            Some(vec![4; 150])
        );
        assert_eq!(
            open(directory.path()).statement(Epoch(6), || key(4)).unwrap(),
            Some(vec![3; 150])
        );
    }

    #[test]
    fn what_is_not_on_the_disk_is_not_stated() {
        let directory = tempfile::tempdir().unwrap();
        let gone = directory.path().join("gone");
        fs::create_dir(&gone).unwrap();
        let mut keys = open(&gone);
        fs::remove_dir(&gone).unwrap();
        assert!(keys.statement(Epoch(5), || key(1)).is_err());
        fs::create_dir(&gone).unwrap();
        assert_eq!(keys.statement(Epoch(5), || key(2)).unwrap(), Some(vec![2; 150]));
    }

    #[test]
    fn a_damaged_file_is_a_loss_that_is_said_once() {
        let directory = tempfile::tempdir().unwrap();
        open(directory.path()).statement(Epoch(5), || key(1)).unwrap();
        let path = directory.path().join(FILE);
        let mut bytes = fs::read(&path).unwrap();
        bytes[40] ^= 1;
        fs::write(&path, bytes).unwrap();
        let mut keys = open(directory.path());
        assert!(keys.take_loss() && !keys.take_loss());
        assert_eq!(keys.statement(Epoch(5), || key(2)).unwrap(), Some(vec![2; 150]));
    }
}
