//! The files of a node's directory that belong together: identity, store, roster, admission. Opening them is the first
//! step of a node's start.

use std::{path::Path, sync::Arc};

use anon::{certificate::Admission, network::Network, time::Time, wire};
use net::roster::RosterKeeper;

use super::Node;
use crate::{
    config::Limits,
    error::NodeError,
    identity::Identity,
    store::{self, Checked, Repaired, Store, StoreError},
};

/// The store's file in a node's directory.
const STORE: &str = "store.redb";
/// The longest admission file, bytes.
const MAX_ADMISSION: usize = 256;

/// What a node keeps and knows before it meets anybody.
pub(super) struct Storage {
    pub(super) network: Arc<Network>,
    pub(super) identity: Arc<Identity>,
    pub(super) store: Store,
    pub(super) roster: Arc<RosterKeeper>,
}

impl Node {
    pub(super) fn storage(&self) -> Result<Storage, NodeError> {
        let network = Arc::new(self.network.network()?);
        let (identity, store) = open(&self.directory, &self.config.limits)?;
        let file = self.directory.join("roster.bin");
        let roster = RosterKeeper::open(Arc::clone(&network), Some(file), self.clock.clone());
        Ok(Storage { network, identity: Arc::new(identity), store, roster: Arc::new(roster) })
    }

    /// Checks that the store would open, and changes nothing. It takes no lock, so that a start at that moment
    /// does not find the store in use.
    ///
    /// # Errors
    /// [`NodeError`] saying why not; [`StoreError::Locked`] in it if a node runs there.
    pub fn check_store(&self) -> Result<(), NodeError> {
        let path = self.directory.join(STORE);
        match Identity::read(&self.directory)? {
            Some(_) => store::look(&path).map_err(|error| match error {
                StoreError::Missing => NodeError::StoreMissing(path),
                error => error.into(),
            }),
            None => Ok(()),
        }
    }

    /// Verifies the store of the node in `directory`, which must not run, and changes nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn examine_store(directory: &Path) -> Result<Checked, StoreError> {
        store::check(&directory.join(STORE))
    }

    /// Makes the store of the node in `directory`, which must not run, good again; a damaged file is kept as
    /// `store.damaged-` and `when`. A directory without an identity is none of a node's.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn repair_store(directory: &Path, when: &str, now: Time) -> Result<Repaired, NodeError> {
        let path = directory.join(STORE);
        let identity = Identity::read(directory)?;
        if identity.is_none() && !path.try_exists().unwrap_or(false) {
            return Err(StoreError::Missing.into());
        }
        let aside = directory.join(format!("store.damaged-{when}"));
        Ok(store::repair(&path, &aside, now.0)?)
    }
}

/// Opens identity and store together: a node that has served never starts with an empty store, nor as somebody
/// else.
pub(super) fn open(directory: &Path, limits: &Limits) -> Result<(Identity, Store), NodeError> {
    let path = directory.join(STORE);
    let exists = path.try_exists().unwrap_or(false);
    match Identity::read(directory)? {
        Some(_) if !exists => Err(NodeError::StoreMissing(path)),
        Some(identity) => Ok((identity, Store::open(&path, limits.store())?)),
        None => {
            std::fs::create_dir_all(directory)
                .map_err(|source| NodeError::Io { path: directory.to_owned(), source })?;
            // The store comes first: an identity without one would not start again.
            let store = if exists {
                let store = Store::open(&path, limits.store())?;
                if !store.is_untouched()? {
                    return Err(NodeError::IdentityMissing(directory.join("identity.key")));
                }
                store
            } else {
                Store::create(&path, limits.store())?
            };
            Ok((Identity::create(directory)?, store))
        }
    }
}

pub(super) fn read_admission(directory: &Path) -> Result<Option<Admission>, NodeError> {
    let path = directory.join("admission");
    match std::fs::read(&path) {
        Ok(bytes) => {
            let admission = wire::decode(&bytes, MAX_ADMISSION);
            Ok(Some(admission.map_err(|_| NodeError::BadAdmission(path))?))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(NodeError::Io { path, source }),
    }
}
