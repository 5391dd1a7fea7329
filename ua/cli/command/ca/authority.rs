//! An authority that is opened: its key, whom it signed for, and what it took back.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anon::{
    certificate::Subject,
    keys::{AuthoritySecret, SigningSecret as _, VerifyKey},
    network::{Network, Revoked, UnverifiedRevocationList},
    wire,
};
use net::{NetworkFile, NetworkFileError, now};
use ua::{
    profile::ProfileError,
    sealed,
    vault::{Vault, VaultError, VaultLock},
};

use super::{ISSUED, KEY, NETWORK, network_path, to_text};
use crate::{
    command::{Global, write_file},
    terminal::{Failure, tell},
};

/// The greatest length of the file that says whom it signed for, bytes.
const MAX_ISSUED: usize = 32 << 20;

/// What to do about a network file that is another network's.
const MOVE_IT: &str = "move it away, and it is made anew as `ca init` or `ca revoke` wrote it";

/// Which key each address was certified for.
pub(super) type Issued = BTreeMap<String, VerifyKey>;

/// The authority's key, and its memory.
pub(super) struct Authority {
    pub(super) secret: AuthoritySecret,
    pub(super) vault: Vault,
    pub(super) network: Network,
    file: NetworkFile,
    path: PathBuf,
}

impl Authority {
    /// Opens the authority in a directory.
    ///
    /// # Errors
    /// [`Failure`] if a file of it is lost or damaged, or is another authority's.
    pub(super) fn open(global: &Global, dir: &Path) -> Result<Self, Failure> {
        let vault =
            Vault::open(&dir.join("vault"), &global.passphrase("The authority's passphrase: ")?)?;
        vault.on_notice(|text| tell(format!("warning: {text}")));
        let path = network_path(dir);
        let (file, network) = network_file(&vault, &path)?;
        let seed = match vault.read(KEY) {
            Err(VaultError::NotFound) => Err(VaultError::Missing(KEY.to_owned())),
            read => read,
        }?;
        let seed: [u8; 32] =
            seed.as_slice().try_into().map_err(|_| VaultError::OtherForm(KEY.to_owned()))?;
        let secret = AuthoritySecret::from_seed(&seed);
        if network.authority != Some(secret.verify_key()) {
            let what = "the network file names another authority";
            return Err(Failure::new(78, what, path.display(), MOVE_IT));
        }
        Ok(Self { secret, vault, network, file, path })
    }

    /// The key in whose place a request's would come; `None` if there is none. As [`Self::record`], which says it again
    /// when it is done: a person may take their time to say yes.
    ///
    /// # Errors
    /// As there.
    pub(super) fn replaced(
        &self,
        subject: &Subject,
        replace: bool,
    ) -> Result<Option<VerifyKey>, Failure> {
        let (revoked, _) = self.taken_back()?;
        let (address, key) = match subject {
            Subject::Node(node) if revoked.nodes.contains(node) => return Err(is_revoked()),
            Subject::Node(_) => return Ok(None),
            Subject::Address { address, verify_key, .. } => (address, verify_key),
        };
        if revoked.addresses.contains(key) {
            return Err(is_revoked());
        }
        let known = self.issued()?.get(&address.to_string()).copied();
        let replaced = known.filter(|known| known != key);
        if replaced.is_some() && !replace {
            let what = format!("{address} was certified for another key");
            let remedy =
                "if its owner has lost that key, sign with --replace, which revokes the first";
            return Err(Failure::new(65, &what, "a second key would divert its mail", remedy));
        }
        Ok(replaced)
    }

    /// Remembers which key an address was certified for; a second key would divert its mail. The key that it replaces is
    /// revoked first: its holder could go on reading and deleting what is sent to the address. As one change: nobody else's
    /// is lost, and nobody waits for a person meanwhile. The number of the revocation list, if there is a new one.
    ///
    /// # Errors
    /// [`Failure`] with 65 if the subject was revoked, so that the request is an old one, or if the address has another
    /// key and it is not to be replaced; else if a file cannot be read or written.
    pub(super) fn record(&self, subject: &Subject, replace: bool) -> Result<Option<u64>, Failure> {
        let writing = self.vault.lock()?;
        let replaced = self.replaced(subject, replace)?;
        let Subject::Address { address, verify_key, .. } = subject else { return Ok(None) };
        let list = match replaced {
            None => None,
            // Where this ends half way the next try finds the old key, and revokes it.
            Some(key) => {
                let addresses = [key].into();
                self.revoke(&writing, Revoked { addresses, ..Revoked::default() })?
            }
        };
        let mut issued = self.issued()?;
        issued.insert(address.to_string(), *verify_key);
        self.vault.write(ISSUED, &wire::encode(&issued))?;
        Ok(list)
    }

    /// Takes something back, besides all that was taken back before: the number of the list that is in the network file
    /// now; `None` if that had it all.
    ///
    /// # Errors
    /// [`Failure`] if a file cannot be read or written.
    pub(super) fn revoke(
        &self,
        _writing: &VaultLock,
        more: Revoked,
    ) -> Result<Option<u64>, Failure> {
        let (mut revoked, number) = self.taken_back()?;
        revoked.nodes.extend(more.nodes);
        revoked.addresses.extend(more.addresses);
        if revoked == self.network.revoked {
            return Ok(None);
        }
        let number = number + 1;
        let list = UnverifiedRevocationList::issue(
            &self.secret,
            &self.network.id,
            number,
            now(),
            &revoked,
        );
        let mut file = self.file.clone();
        file.set_revocations(&list);
        self.write(file)?;
        Ok(Some(number))
    }

    /// Changes the network file, which gets a higher serial number: the file as it is now.
    ///
    /// # Errors
    /// [`Failure`] if there can be no such network, or a file cannot be read or written.
    pub(super) fn change(
        &self,
        _writing: &VaultLock,
        change: impl FnOnce(&mut NetworkFile) -> Result<(), Failure>,
    ) -> Result<NetworkFile, Failure> {
        let mut file = self.file.clone();
        change(&mut file)?;
        self.write(file)
    }

    /// Writes the network file. That of a network with keepers has a higher number than all before, by which keepers know
    /// which of two is the later one.
    fn write(&self, mut file: NetworkFile) -> Result<NetworkFile, Failure> {
        if !file.keepers.is_empty() {
            let last = last_written(&self.vault)?.map_or(0, |(_, last)| last.serial);
            file.serial = file.serial.max(last).saturating_add(1);
        }
        let text = to_text(&file)?;
        NetworkFile::parse(&text).map_err(ProfileError::from)?;
        self.vault.write(NETWORK, text.as_bytes())?;
        write_file(&self.path, text.as_bytes())?;
        Ok(file)
    }

    /// All that was ever taken back, and the number of the last list. The plain file may be an older copy: nothing that
    /// was revoked is forgotten, and no number is used twice.
    fn taken_back(&self) -> Result<(Revoked, u64), Failure> {
        let number = |file: &NetworkFile| -> Result<u64, ProfileError> {
            Ok(file.revocation_list()?.map_or(0, |list| list.number()))
        };
        let (mut revoked, mut last) = (self.network.revoked.clone(), number(&self.file)?);
        if let Some((_, written)) = last_written(&self.vault)? {
            let before = written.network().map_err(ProfileError::from)?.revoked;
            revoked.nodes.extend(before.nodes);
            revoked.addresses.extend(before.addresses);
            last = last.max(number(&written)?);
        }
        Ok((revoked, last))
    }

    fn issued(&self) -> Result<Issued, Failure> {
        let issued = sealed::read(&self.vault, ISSUED, MAX_ISSUED)?;
        Ok(issued.ok_or_else(|| VaultError::Missing(ISSUED.to_owned()))?)
    }
}

/// Why a request is not signed whose key or node was taken back.
fn is_revoked() -> Failure {
    let (what, cause) = ("this request cannot be signed", "the key in it was revoked");
    Failure::new(65, what, cause, "have the applicant make a new key, and a request with it")
}

/// The network file in the authority's directory; where it is gone, the one that was last written takes its place.
fn network_file(vault: &Vault, path: &Path) -> Result<(NetworkFile, Network), Failure> {
    let last = last_written(vault)?;
    if !path.exists()
        && let Some((copy, _)) = &last
    {
        write_file(path, copy.as_bytes())?;
        vault.notice(
            "network.toml is gone, and is made anew as `ca init` or `ca revoke` wrote it: what was changed by hand \
             since then is not in it",
        );
    }
    let bad = |error: NetworkFileError| {
        let remedy =
            "mend it; or move it away, and it is made anew as `ca init` or `ca revoke` wrote it";
        Failure::new(78, "the authority's network.toml cannot be used", error, remedy)
    };
    let text = std::fs::read_to_string(path).map_err(|error| bad(error.into()))?;
    let file = NetworkFile::parse(&text).map_err(bad)?;
    let network = file.network().map_err(bad)?;
    if let Some((_, own)) = last.filter(|(copy, _)| *copy != text) {
        let own = own.network().map_err(bad)?;
        if own.id != network.id {
            let cause = format!("it is for another network than {}", own.name);
            let what = "the authority's network.toml cannot be used";
            return Err(Failure::new(78, what, cause, MOVE_IT));
        }
        vault.notice(
            "network.toml is not as `ca init` or `ca revoke` wrote it; was it you who changed it?",
        );
    }
    Ok((file, network))
}

/// The network file as it was last written, and its text; a copy, so that where it is lost the next `ca revoke` makes
/// another.
fn last_written(vault: &Vault) -> Result<Option<(String, NetworkFile)>, Failure> {
    let read = vault.read(NETWORK).and_then(|bytes| {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let file = NetworkFile::parse(&text);
        Ok((text, file.map_err(|_| VaultError::OtherForm(NETWORK.to_owned()))?))
    });
    match read {
        Ok(last) => Ok(Some(last)),
        Err(VaultError::NotFound) => Ok(None),
        Err(error) if error.is_lost() => {
            vault.notice(format!(
                "{error}; it is made anew: from network.toml, by the next `ca revoke`"
            ));
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}
