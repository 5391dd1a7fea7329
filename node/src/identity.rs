//! Who a node is: its identity key on disk, its channel keys in memory, its current certificate.
//!
//! The identity lies in `identity.key` (mode 600) in the node's directory: a seed of 32 bytes and the first 8 of its
//! SHA-256. The channel keys of certificates never touch the disk: whoever seizes a node that is off learns none of
//! them, and of one that runs those of the last two periods. The channel keys of views are on the disk, sealed
//! ([`crate::view::keys`]).

use std::{
    collections::VecDeque,
    fs,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
};

use anon::{
    certificate::{Admission, CertificateError, NodeCertificate, NodeClaims},
    id::NodeId,
    keys::{ChannelSecret, IdentitySecret, KeeperSecret, SigningSecret as _},
    network::Network,
    time::{Time, Validity},
};
use libp2p::identity::Keypair;
use net::durable::sync_folder;
use parking_lot::Mutex;
use rand::rngs::SysRng;
use thiserror::Error;
use zeroize::Zeroize as _;

use crate::checked::{CHECK, check, checked};

/// Bytes of the seed in the key file.
const SEED: usize = 32;

/// Why a node has no usable identity.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The key file cannot be read or written.
    #[error("the identity file {path} cannot be used: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
    /// The key file does not hold what was written to it.
    #[error("the identity file {0} is damaged")]
    Damaged(PathBuf),
    /// Others may read the key file, so they may be this node.
    #[error("the identity file {0} can be read by others")]
    Exposed(PathBuf),
    /// The machine gives no randomness.
    #[error("this machine's random source fails")]
    NoRandomness,
    /// The node's own certificate does not verify in its network.
    #[error("this node's own certificate is not accepted by its network: {0}")]
    Certificate(#[from] CertificateError),
}

/// A node's long-term identity.
#[derive(Debug)]
pub struct Identity {
    secret: IdentitySecret,
    keypair: Keypair,
}

impl Identity {
    /// Reads the identity of the node in `directory`; `None` if it has none yet.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn read(directory: &Path) -> Result<Option<Self>, IdentityError> {
        let path = directory.join("identity.key");
        let mut bytes = Vec::with_capacity(SEED + CHECK + 1);
        let read = fs::File::open(&path).and_then(|file| {
            let is_exposed = exposed(&file)?;
            // One byte more, to tell a longer file.
            file.take(41).read_to_end(&mut bytes)?;
            Ok(is_exposed)
        });
        let seed = match read {
            Ok(true) => Err(IdentityError::Exposed(path)),
            Ok(false) => checked(&bytes)
                .and_then(|seed| <[u8; SEED]>::try_from(seed).ok())
                .ok_or(IdentityError::Damaged(path)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => Err(IdentityError::Io { path, source }),
        };
        bytes.zeroize();
        let mut seed = seed?;
        let identity = Self::from_seed(&seed);
        seed.zeroize();
        Ok(identity)
    }

    /// Makes a new identity in `directory`, durably, unless there is one.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn create(directory: &Path) -> Result<Self, IdentityError> {
        let path = directory.join("identity.key");
        let mut seed = [0; 32];
        rand::TryRng::try_fill_bytes(&mut SysRng, &mut seed)
            .map_err(|_| IdentityError::NoRandomness)?;
        let write = || {
            fs::create_dir_all(directory)?;
            let mut options = fs::OpenOptions::new();
            options.write(true).create_new(true);
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let mut file = options.open(&path)?;
            file.write_all(&seed)?;
            file.write_all(&check(&seed))?;
            file.sync_all()?;
            sync_folder(&path)
        };
        write().map_err(|source| IdentityError::Io { path: path.clone(), source })?;
        let identity = Self::from_seed(&seed).ok_or(IdentityError::Damaged(path));
        seed.zeroize();
        identity
    }

    /// The identity with this Ed25519 seed, 32 bytes.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Option<Self> {
        let mut copy = *seed;
        let keypair = Keypair::ed25519_from_bytes(&mut copy).ok()?;
        Some(Self { secret: IdentitySecret::from_seed(seed), keypair })
    }

    /// Who the node is.
    #[must_use]
    pub fn node(&self) -> NodeId {
        NodeId(self.secret.verify_key().0)
    }

    /// What signs certificates and receipts.
    #[must_use]
    pub const fn secret(&self) -> &IdentitySecret {
        &self.secret
    }

    /// The same key, for a node that is a keeper: labels keep apart what it signs as one and as the other.
    #[must_use]
    pub fn keeper_secret(&self) -> KeeperSecret {
        let mut seed = self.secret.expose_seed();
        let secret = KeeperSecret::from_seed(&seed);
        seed.zeroize();
        secret
    }

    /// The same key, for libp2p.
    #[must_use]
    pub const fn keypair(&self) -> &Keypair {
        &self.keypair
    }
}

/// Whether other users of this machine may read or change this file; a directory is no such file.
fn exposed(file: &fs::File) -> std::io::Result<bool> {
    use std::os::unix::fs::PermissionsExt as _;
    let metadata = file.metadata()?;
    Ok(metadata.is_file() && metadata.permissions().mode() & 0o077 != 0)
}

/// Certificates of one channel key that are honoured; older ones name a key that cannot be asked for any more.
const HONOURED: usize = 4_096;

/// A channel key while it lives.
struct Period {
    secret: ChannelSecret,
    /// The last certificate for it.
    certificate: NodeCertificate,
    /// The digests of all certificates for it, the last one first, at most [`HONOURED`].
    digests: VecDeque<[u8; 32]>,
    /// When the key ceases to be honoured.
    ends: Time,
}

/// A node's channel keys: the current one and the one before, with their certificates.
#[derive(derive_more::Debug)]
#[debug("ChannelKeys(..)")]
pub struct ChannelKeys {
    periods: Mutex<Vec<Period>>,
    family: String,
    admission: Option<Admission>,
    seconds: u64,
}

impl ChannelKeys {
    /// No key yet; [`Self::rotate`] makes the first. Keys live for `seconds` and are honoured twice as long.
    #[must_use]
    pub const fn new(family: String, admission: Option<Admission>, seconds: u64) -> Self {
        Self { periods: Mutex::new(Vec::new()), family, admission, seconds }
    }

    /// Makes a new key and certificate for these addresses; all but the last one before are destroyed.
    ///
    /// # Errors
    /// [`IdentityError::Certificate`] if the network would not accept it, for want of an admission say.
    pub fn rotate(
        &self,
        identity: &Identity,
        network: &Network,
        addresses: Vec<String>,
        now: Time,
    ) -> Result<(), IdentityError> {
        let secret = ChannelSecret::generate(&mut rand::rng());
        let ends = now.after(self.seconds.saturating_mul(2));
        let claims = NodeClaims {
            network: network.id,
            identity: identity.node(),
            channel_key: secret.agreement_key(),
            addresses,
            family: self.family.clone(),
            validity: Validity { not_before: now, not_after: ends },
            admission: self.admission.clone(),
        };
        let certificate = NodeCertificate::issue(identity.secret(), claims).verify(network, now)?;
        let digests = VecDeque::from([certificate.digest()]);
        let mut periods = self.periods.lock();
        periods.insert(0, Period { secret, certificate, digests, ends });
        periods.truncate(2);
        Ok(())
    }

    /// Signs a new certificate for the current key: a sign of life, for the rosters. The ones before are
    /// honoured as long as the key is.
    ///
    /// # Errors
    /// As [`Self::rotate`].
    pub(crate) fn renew(
        &self,
        identity: &Identity,
        network: &Network,
        now: Time,
    ) -> Result<(), IdentityError> {
        let mut periods = self.periods.lock();
        let Some(period) = periods.first_mut() else { return Ok(()) };
        let mut claims = period.certificate.claims().clone();
        claims.validity = Validity { not_before: now, not_after: period.ends };
        let certificate = NodeCertificate::issue(identity.secret(), claims).verify(network, now)?;
        if certificate.digest() != period.certificate.digest() {
            period.digests.push_front(certificate.digest());
            period.digests.truncate(HONOURED);
            period.certificate = certificate;
        }
        Ok(())
    }

    /// The current certificate; `None` before the first rotation.
    #[must_use]
    pub fn certificate(&self) -> Option<NodeCertificate> {
        let periods = self.periods.lock();
        periods.first().map(|p| p.certificate.clone())
    }

    /// Calls `use_key` with the key of the certificate with this digest; `None` if it is gone.
    pub fn with_key<T>(
        &self,
        certificate: &[u8; 32],
        use_key: impl FnOnce(&ChannelSecret) -> T,
    ) -> Option<T> {
        let periods = self.periods.lock();
        let period = periods.iter().find(|p| p.digests.contains(certificate))?;
        Some(use_key(&period.secret))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use net::network_file::NetworkFile;

    #[test]
    fn a_key_is_honoured_under_all_its_certificates_and_no_longer_than_the_next_but_one() {
        let text = "name = 'test.alt'\nk = 1\nbootstrap = []\n";
        let network = toml::from_str::<NetworkFile>(text).unwrap().network().unwrap();
        let identity = Identity::from_seed(&[1; 32]).unwrap();
        let (keys, start) = (ChannelKeys::new(String::new(), None, 1_000), Time(1_800_000_000));
        assert!(keys.renew(&identity, &network, start).is_ok(), "nothing to renew");
        keys.rotate(&identity, &network, Vec::new(), start).unwrap();
        let mut certificates = vec![keys.certificate().unwrap()];
        for later in [0, 100, 250] {
            keys.renew(&identity, &network, start.after(later)).unwrap();
            certificates.push(keys.certificate().unwrap());
        }
        let key = |c: &NodeCertificate| keys.with_key(&c.digest(), ChannelSecret::agreement_key);
        let first = certificates[0].claims().channel_key;
        for certificate in &certificates {
            assert_eq!(key(certificate), Some(first));
            assert_eq!(certificate.claims().validity.not_after, start.after(2_000));
        }
        assert_eq!(certificates[0], certificates[1], "signed twice in one second");
        assert_eq!(certificates[3].claims().validity.not_before, start.after(250));
        for (rotations, honoured) in [(1, true), (2, false)] {
            keys.rotate(&identity, &network, Vec::new(), start.after(rotations)).unwrap();
            assert!(certificates.iter().all(|c| key(c).is_some() == honoured));
        }
    }
}
