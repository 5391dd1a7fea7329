//! What the plain files beside the vault said the last time, sealed: so that one that was lost or changed is noticed.
//! Nobody is to lose Tor because `config.toml` is gone.

use std::path::Path;

use anon::{id::NetworkId, wire};
use net::{NetworkFile, NetworkFileError};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use ua::{
    profile::{Profile, ProfileError},
    sealed,
};

use crate::{terminal::Failure, transport::AgentConfig};

/// The sealed file.
const FILE: &str = "settings";
/// Its greatest length, bytes.
const MAX_FILE: usize = 1024;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Settings {
    /// The network, which an address is in for ever.
    network: NetworkId,
    /// Its name.
    name: String,
    /// SHA-256 of the network file.
    digest: [u8; 32],
    /// Whether everything goes over Tor.
    requires_tor: bool,
}

impl Settings {
    fn of(file: &NetworkFile, directory: &Path, requires_tor: bool) -> Result<Self, ProfileError> {
        let network = file.network()?;
        let text = std::fs::read(directory.join("network.toml")).map_err(NetworkFileError::from)?;
        let digest = Sha256::digest(&text).into();
        Ok(Self { network: network.id, name: network.name, digest, requires_tor })
    }
}

/// Holds the plain files of an open profile against what they said the last time, and remembers what they say now.
///
/// # Errors
/// [`Failure`]: 78 if the network file is another network's, or if nothing is said of Tor any more that was required; 74
/// if what was remembered is damaged.
pub fn check(profile: &Profile) -> Result<(), Failure> {
    let (directory, vault) = (profile.directory(), profile.vault());
    let known: Option<Settings> = sealed::read(vault, FILE, MAX_FILE)?;
    let config = AgentConfig::read(directory)?;
    let current = Settings::of(profile.network(), directory, config.requires_tor())?;
    match &known {
        None => vault.notice(
            "vault/settings is gone, so that it is not known whether network.toml and config.toml are as they were: \
             see to it that they say what you want",
        ),
        Some(known) if known.network != current.network => {
            let (found, own) = (current.name, known.name.clone());
            return Err(ProfileError::OtherNetwork { found, own }.into());
        }
        Some(known) if known.requires_tor && !current.requires_tor && !config.speaks_of_tor() => {
            return Err(ProfileError::TorForgotten.into());
        }
        Some(known) if known.digest != current.digest => {
            vault.notice(
                "network.toml has changed since the last command; if you did not change it, get it anew from whoever \
                 runs the network",
            );
        }
        Some(_) => {}
    }
    if known.as_ref() != Some(&current) {
        sealed::keep(vault, FILE, &current);
    }
    Ok(())
}

/// Remembers what the plain files of a new profile say.
///
/// # Errors
/// [`Failure`] if they cannot be read, or the vault not be written.
pub fn begin(profile: &Profile) -> Result<(), Failure> {
    let config = AgentConfig::read(profile.directory())?;
    let settings = Settings::of(profile.network(), profile.directory(), config.requires_tor())?;
    Ok(profile.vault().write(FILE, &wire::encode(&settings))?)
}
