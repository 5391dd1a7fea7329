//! In which place a profile was used last, sealed: so that its owner notices that it is a copy.
//!
//! A profile that is used in two places splits the mail between them, and two copies may give out one address to two
//! people. Nobody but the owner can be told: whatever a node could notice by, it would learn from. So the place is
//! remembered in the profile itself, and compared each time it is opened.
//!
//! A place is a machine (`/etc/machine-id`, where there is one) and the directory `vault` on its disk (its inode number,
//! and when it was made, where the file system says so). A copy is another directory; one that is moved within a file
//! system is the same. The device's number is no part of it, since it may change whenever a machine starts.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use anon::wire;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use ua::{
    profile::{Profile, ProfileError},
    sealed,
};

use crate::terminal::Failure;

/// The sealed file.
const FILE: &str = "place";
/// Its greatest length, bytes.
const MAX_FILE: usize = 64;
/// What names a machine, for as long as its system is installed.
const MACHINE: &str = "/etc/machine-id";

/// A place, by a digest: the vault is to hold no name of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Place([u8; 32]);

impl Place {
    /// Where this directory is, on the machine that this file names.
    fn of(directory: &Path, machine: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(directory)?;
        // A machine without a name is one machine, and so is a directory of unknown age one directory.
        let machine = fs::read(machine).unwrap_or_default();
        let since = |made: SystemTime| made.duration_since(UNIX_EPOCH).ok();
        let made = metadata.created().ok().and_then(since).unwrap_or_default().as_nanos();
        let digest = Sha256::new()
            .chain_update(b"cutout place")
            .chain_update(metadata.ino().to_be_bytes())
            .chain_update(made.to_be_bytes())
            .chain_update(machine);
        Ok(Self(digest.finalize().into()))
    }

    fn of_profile(profile: &Profile) -> Result<Self, ProfileError> {
        let path = profile.directory().join("vault");
        Self::of(&path, Path::new(MACHINE)).map_err(|source| ProfileError::Io { path, source })
    }
}

/// Says once if an open profile was last used in another place, and remembers this one.
///
/// # Errors
/// [`Failure`] if what was remembered cannot be read; where it is lost that is said, and the place is remembered anew.
pub fn check(profile: &Profile) -> Result<(), Failure> {
    let vault = profile.vault();
    let costs = "whether this profile was copied since the last command is not known";
    let known: Option<Place> = sealed::read_or_new(vault, FILE, MAX_FILE, costs)?;
    let current = Place::of_profile(profile)?;
    if known == Some(current) {
        return Ok(());
    }
    if known.is_some() {
        vault.notice(
            "this profile was copied, moved to another machine or restored from a backup since its last command. If it is \
             used in two places, each mail reaches only one of them: use one, and first send what waits in the \
             outbox of the other. If it was restored from a backup, run `cutout fetch --restored` once",
        );
    }
    sealed::keep(vault, FILE, &Some(current));
    Ok(())
}

/// Remembers where a new profile is.
///
/// # Errors
/// [`Failure`] if that is not to be had, or the vault cannot be written.
pub fn begin(profile: &Profile) -> Result<(), Failure> {
    Ok(profile.vault().write(FILE, &wire::encode(&Some(Place::of_profile(profile)?)))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_directory_and_another_machine_are_other_places_and_a_moved_directory_is_not() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for (file, id) in [("one", "0123"), ("same", "0123"), ("other", "4567")] {
            fs::write(at(file), id).unwrap();
        }
        fs::create_dir(at("vault")).unwrap();
        fs::create_dir(at("copy")).unwrap();
        let place = |directory, machine| Place::of(&at(directory), &at(machine)).unwrap();
        let first = place("vault", "one");
        assert_eq!(place("vault", "same"), first);
        assert_ne!(place("vault", "other"), first);
        assert_ne!(place("copy", "one"), first);
        // A machine need not have a name.
        assert_eq!(place("vault", "none"), place("vault", "none"));
        assert_ne!(place("copy", "none"), place("vault", "none"));
        fs::rename(at("vault"), at("moved")).unwrap();
        assert_eq!(place("moved", "one"), first);
        assert!(Place::of(&at("vault"), &at("one")).is_err());
    }
}
