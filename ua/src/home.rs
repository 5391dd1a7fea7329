//! Where a user agent keeps what it keeps.
//!
//! ```text
//! network.toml   the network file            vault/   keys, outbox, what was seen: all sealed
//! mail/          the default Maildir         tor/     Tor's own state: which relays it enters by, not for what
//! config.toml    whether all goes over Tor
//! ```

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anon::wire;
use libp2p::{Multiaddr, PeerId};
use node::{NetworkFile, NetworkFileError, Underlay};
use thiserror::Error;

use crate::{
    entrance::Entrance,
    error::AgentError,
    event::SharedListener,
    evidence,
    vault::{KdfCost, Passphrase, Vault, VaultError, VaultLock},
};

/// Name of the sealed file that remembers nodes.
const NODES: &str = "nodes";
/// Its greatest length, bytes.
const MAX_NODES: usize = 1 << 17;

/// Why the agent's home cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HomeError {
    /// The directory was never initialised.
    #[error("there is no cutout user in {0}")]
    NotInitialised(PathBuf),
    /// It was.
    #[error("there already is a cutout user in {0}")]
    AlreadyInitialised(PathBuf),
    /// No home directory to put it into.
    #[error("this system names no home directory")]
    NoHome,
    /// The network file.
    #[error("{0}")]
    Network(#[from] NetworkFileError),
    /// The vault.
    #[error("{0}")]
    Vault(#[from] VaultError),
    /// The disk.
    #[error("{path}: {source}")]
    Io {
        /// Where.
        path: PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
}

/// A user agent's directory, unlocked. Several commands may have it open at once: each change of a file is one step, what
/// one command does at a time has a lock of its own ([`Vault::alone`]), and so has each mail of the outbox.
#[derive(Debug)]
pub struct Home {
    directory: PathBuf,
    network: NetworkFile,
    vault: Vault,
    _present: VaultLock,
}

impl Home {
    /// The directory when nobody names one: the platform's data directory and `cutout`.
    ///
    /// # Errors
    /// [`HomeError::NoHome`].
    pub fn default_directory() -> Result<PathBuf, HomeError> {
        use etcetera::BaseStrategy as _;
        let strategy = etcetera::choose_base_strategy().map_err(|_| HomeError::NoHome)?;
        Ok(strategy.data_dir().join("cutout"))
    }

    /// Whether there is a user in `directory`: the account is what is written last.
    #[must_use]
    pub fn exists(directory: &Path) -> bool {
        let vault = directory.join("vault");
        vault.join("vault").exists() && vault.join("account").exists()
    }

    /// Makes a new home for a user of this network.
    ///
    /// # Errors
    /// [`HomeError`].
    pub fn create(
        directory: &Path,
        network_text: &str,
        passphrase: &Passphrase,
        cost: KdfCost,
    ) -> Result<Self, HomeError> {
        let network = NetworkFile::parse(network_text)?;
        if Self::exists(directory) {
            return Err(HomeError::AlreadyInitialised(directory.to_owned()));
        }
        let io = |source| HomeError::Io { path: directory.to_owned(), source };
        let vault = directory.join("vault");
        if vault.exists() {
            // An earlier attempt was killed before it had an account: there is nothing in it to lose.
            fs::remove_dir_all(&vault).map_err(io)?;
        }
        fs::create_dir_all(directory).map_err(io)?;
        fs::write(directory.join("network.toml"), network_text).map_err(io)?;
        let vault = Vault::create(&directory.join("vault"), passphrase, cost)?;
        let present = vault.enter()?;
        Ok(Self { directory: directory.to_owned(), network, vault, _present: present })
    }

    /// Unlocks a home.
    ///
    /// # Errors
    /// [`HomeError`].
    pub fn open(directory: &Path, passphrase: &Passphrase) -> Result<Self, HomeError> {
        if !Self::exists(directory) {
            return Err(HomeError::NotInitialised(directory.to_owned()));
        }
        let network = NetworkFile::read(&directory.join("network.toml"))?;
        let vault = Vault::open(&directory.join("vault"), passphrase)?;
        let present = vault.enter()?;
        Ok(Self { directory: directory.to_owned(), network, vault, _present: present })
    }

    /// The network file.
    #[must_use]
    pub const fn network(&self) -> &NetworkFile {
        &self.network
    }

    /// The sealed files.
    #[must_use]
    pub const fn vault(&self) -> &Vault {
        &self.vault
    }

    /// The Maildir that is used unless another is named.
    #[must_use]
    pub fn default_maildir(directory: &Path) -> PathBuf {
        directory.join("mail")
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The way into the network over this underlay: the bootstrap nodes, and those remembered from the last time.
    ///
    /// # Errors
    /// [`HomeError::Network`].
    pub fn entrance(
        &self,
        listener: SharedListener,
        underlay: Underlay,
    ) -> Result<Entrance, HomeError> {
        let network = Arc::new(self.network.network()?);
        let mut nodes = self.network.bootstrap_peers()?;
        nodes.extend(self.remembered());
        Ok(Entrance::new(network, listener, nodes).over(underlay))
    }

    fn remembered(&self) -> Vec<(PeerId, Multiaddr)> {
        let Ok(bytes) = self.vault.read(NODES) else { return Vec::new() };
        let nodes: Vec<(String, String)> = wire::decode(&bytes, MAX_NODES).unwrap_or_default();
        let parse =
            |(peer, address): (String, String)| Some((peer.parse().ok()?, address.parse().ok()?));
        nodes.into_iter().filter_map(parse).collect()
    }

    /// Remembers the nodes that an entrance got to know, and the evidence it gathered.
    ///
    /// # Errors
    /// [`HomeError::Vault`].
    pub fn remember(&self, entrance: &Entrance) -> Result<(), HomeError> {
        let nodes: Vec<(String, String)> = entrance
            .known()
            .into_iter()
            .filter_map(|(peer, addresses)| {
                Some((peer.to_string(), addresses.first()?.to_string()))
            })
            .collect();
        // A pure cache: of two commands that write it at once the later one is as good as the earlier one.
        self.vault.write(NODES, &wire::encode(&nodes))?;
        evidence::add(&self.vault, entrance.take_evidence()).map_err(|error| match error {
            AgentError::Vault(error) => HomeError::Vault(error),
            _ => HomeError::Vault(VaultError::Damaged),
        })
    }
}
