//! Where a user agent keeps what it keeps.
//!
//! ```text
//! network.toml   the network file            vault/   keys, outbox, what was seen: all sealed
//! mail/          the default Maildir         tor/     Tor's own state: which relays it enters by, not for what
//! config.toml    whether all goes over Tor   .begin   locked by the `init` that is under way
//! ```
//! What becomes of each where it is lost or damaged: docs/files.md.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use libp2p::{Multiaddr, PeerId};
use net::{Clock, NetworkFile, NetworkFileError, Transport};
use thiserror::Error;

use crate::{
    account::{Account, AccountError, OWN},
    answers::Answers,
    context::Context,
    event::SharedListener,
    sealed,
    vault::{
        self, Begun, Contents, KdfCost, Passphrase, Vault, VaultError, VaultLock, disk_remedy,
        replace_file, set_aside,
    },
};

/// Name of the sealed file that remembers nodes.
const NODES: &str = "nodes";
/// Its greatest length, bytes.
const MAX_NODES: usize = 1 << 17;

/// Why the agent's profile cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// The directory was never initialised.
    #[error("there is no cutout user in {0}")]
    NotInitialised(PathBuf),
    /// It was.
    #[error("there already is a cutout user in {0}")]
    AlreadyInitialised(PathBuf),
    /// There is a vault, and a file is missing without which its owner is nobody.
    #[error("{file} is missing, and there are other sealed files beside it")]
    Lost {
        /// Which file.
        file: &'static str,
    },
    /// The network file in the directory is another network's.
    #[error("network.toml is for the network {found}, and this user's address is in {own}")]
    OtherNetwork {
        /// The network of the file.
        found: String,
        /// The network of the address.
        own: String,
    },
    /// Tor was required the last time, and nothing says that it is not to be any more.
    #[error("config.toml asked for Tor the last time, and now says nothing of it")]
    TorForgotten,
    /// No home directory to put it into.
    #[error("this system names no home directory")]
    NoHome,
    /// The network file.
    #[error(transparent)]
    Network(#[from] NetworkFileError),
    /// The vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The user's own address.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The disk.
    #[error("{path}: {source}")]
    Io {
        /// Where.
        path: PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
}

impl ProfileError {
    /// The exit code that tells of it.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::AlreadyInitialised(_) => 73,
            Self::Lost { .. } | Self::Io { .. } => 74,
            Self::Vault(error) | Self::Account(AccountError::Vault(error)) => error.exit_code(),
            _ => 78,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::NotInitialised(_) => {
                "run `cutout init INVITATION` first, or `cutout init --network FILE`, or name another --home; if there was a user, restore the \
                 directory vault from your backup"
            }
            Self::AlreadyInitialised(_) => "use it as it is, or name another --home",
            Self::Lost { .. } => {
                "restore that file from your backup; nothing was changed. Without a backup its address is lost: keep \
                 this directory, and make a new address with `cutout init` in another --home"
            }
            Self::OtherNetwork { .. } => {
                "put the network's own file back as network.toml: whoever runs the network has it"
            }
            Self::TorForgotten => {
                "put tor = \"required\" into config.toml again, or tor = \"off\" if nodes may see this machine's address"
            }
            Self::Network(_) => {
                "check the network file (network.toml in this directory, unless you named another), or put a new copy there: \
                 whoever runs the network has it"
            }
            Self::NoHome => "name a directory with --home",
            Self::Vault(error) => error.remedy(),
            Self::Account(error) => error.remedy(),
            Self::Io { source, .. } => disk_remedy(source),
        }
    }
}

/// A user agent's directory, unlocked. Several commands may have it open at once: each change of a file is one step, what
/// one command does at a time has a lock of its own ([`Vault::alone`]), and so has each mail of the outbox.
#[derive(Debug)]
pub struct Profile {
    directory: PathBuf,
    network: NetworkFile,
    vault: Vault,
    /// That somebody works here; and while a profile is being made, that nobody else makes one there.
    _held: (VaultLock, Option<Begun>),
}

impl Profile {
    /// The directory when nobody names one: the platform's data directory and `cutout`.
    ///
    /// # Errors
    /// [`ProfileError::NoHome`].
    pub fn default_directory() -> Result<PathBuf, ProfileError> {
        use etcetera::BaseStrategy as _;
        let strategy = etcetera::choose_base_strategy().map_err(|_| ProfileError::NoHome)?;
        Ok(strategy.data_dir().join("cutout"))
    }

    /// Whether there is a user in `directory`: the account is what is written last.
    #[must_use]
    pub fn exists(directory: &Path) -> bool {
        let vault = directory.join("vault");
        vault.join("vault").exists() && vault.join("account").exists()
    }

    /// Makes a new profile for a user of this network. A vault in which there never was an account is moved aside; a
    /// network file that says something else is, too.
    ///
    /// # Errors
    /// [`ProfileError`]: [`ProfileError::AlreadyInitialised`] or [`ProfileError::Lost`] if there is a vault that holds
    /// anything.
    pub fn create(
        directory: &Path,
        network_text: &str,
        passphrase: &Passphrase,
        cost: KdfCost,
    ) -> Result<Self, ProfileError> {
        let network = NetworkFile::parse(network_text)?;
        let (vault, begun) = Vault::begin(directory, passphrase, cost).map_err(|error| {
            match (error, Self::check(directory)) {
                (VaultError::AlreadyExists, Ok(())) => {
                    ProfileError::AlreadyInitialised(directory.to_owned())
                }
                (VaultError::AlreadyExists, Err(lost @ ProfileError::Lost { .. })) => lost,
                (error, _) => error.into(),
            }
        })?;
        let held = (vault.enter()?, Some(begun));
        let path = directory.join("network.toml");
        let io = |source| ProfileError::Io { path: path.clone(), source };
        match fs::read(&path) {
            Ok(other) if other != network_text.as_bytes() => {
                set_aside(&path, "before").map_err(io)?;
            }
            _ => {}
        }
        replace_file(&path, network_text.as_bytes()).map_err(io)?;
        Ok(Self { directory: directory.to_owned(), network, vault, _held: held })
    }

    /// Looks whether there is a user in `directory`, without unlocking anything.
    ///
    /// # Errors
    /// [`ProfileError::NotInitialised`] if there never was one, also where `init` was cut off; [`ProfileError::Lost`] if a
    /// file is missing that every user has.
    pub fn check(directory: &Path) -> Result<(), ProfileError> {
        let vault = directory.join("vault");
        match vault::contents(&vault)? {
            Contents::Nothing | Contents::KeyOnly => {
                Err(ProfileError::NotInitialised(directory.to_owned()))
            }
            Contents::NoKey => Err(ProfileError::Lost { file: "vault/vault" }),
            Contents::Files if fs::symlink_metadata(vault.join(OWN)).is_err() => {
                Err(ProfileError::Lost { file: "vault/account" })
            }
            Contents::Files => Ok(()),
        }
    }

    /// Unlocks a profile.
    ///
    /// # Errors
    /// [`ProfileError`].
    pub fn open(directory: &Path, passphrase: &Passphrase) -> Result<Self, ProfileError> {
        Self::check(directory)?;
        let network = NetworkFile::read(&directory.join("network.toml"))?;
        let vault = Vault::open(&directory.join("vault"), passphrase)?;
        let held = (vault.enter()?, None);
        Ok(Self { directory: directory.to_owned(), network, vault, _held: held })
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

    /// Writes the user's own account.
    ///
    /// # Errors
    /// [`AccountError::Vault`].
    pub fn write_account(&self, account: &Account) -> Result<(), AccountError> {
        // A backup of any age has the seed of the addresses that are yet to be made.
        drop(Answers::open(&self.vault)?);
        account.write(&self.vault)
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

    /// What is around an agent of this user, over this transport.
    ///
    /// # Errors
    /// [`ProfileError::Network`].
    pub fn context(
        &self,
        clock: Clock,
        listener: SharedListener,
        transport: Transport,
    ) -> Result<Context, ProfileError> {
        Ok(Context { network: Arc::new(self.network.network()?), clock, listener, transport })
    }

    /// The nodes that lead into the network: those of its file, and those remembered from the last time.
    ///
    /// # Errors
    /// [`ProfileError::Network`], or [`ProfileError::Vault`] if the vault cannot be read.
    pub(crate) fn bootstrap(&self) -> Result<Vec<(PeerId, Multiaddr)>, ProfileError> {
        let costs = "the network is entered by its bootstrap nodes";
        let nodes: Vec<(String, String)> =
            sealed::read_or_new(&self.vault, NODES, MAX_NODES, costs)?;
        let parse =
            |(peer, address): (String, String)| Some((peer.parse().ok()?, address.parse().ok()?));
        let mut all = self.network.bootstrap_peers()?;
        all.extend(nodes.into_iter().filter_map(parse));
        Ok(all)
    }

    /// Remembers nodes for the next time. Where that fails it is said: what was done before is done all the same.
    pub(crate) fn remember(&self, nodes: Vec<(PeerId, Vec<Multiaddr>)>) {
        let text = |(peer, addresses): (PeerId, Vec<Multiaddr>)| {
            Some((peer.to_string(), addresses.first()?.to_string()))
        };
        let nodes: Vec<(String, String)> = nodes.into_iter().filter_map(text).collect();
        // A pure cache: of two commands that write it at once the later one is as good as the earlier one.
        sealed::keep(&self.vault, NODES, &nodes);
    }
}
