//! The `vault` file: the master key, sealed under the passphrase.
//!
//! ```text
//! offset  bytes
//!      0      8  magic "cutvault"
//!      8      1  format version, 1
//!      9      4  argon2id memory, KiB, big endian
//!     13      4  argon2id passes, big endian (lanes: always 1; argon2 version: always 0x13)
//!     17     16  argon2id salt
//!     33     24  nonce
//!     57     16  tag
//!     73     32  master key, encrypted
//!    105     32  SHA-256 of bytes 0..105
//!
//! wrapping key = argon2id(passphrase, salt, memory, passes) -> 32 bytes
//! tag, encrypted = secretbox(wrapping key, nonce, master key)
//! ```
//!
//! The checksum is no defence: whoever changes the file can recompute it. It tells a disk that
//! forgot apart from a user who did. The costs are inputs of argon2id, so a changed cost gives
//! another wrapping key; they are bounded before any memory is allocated.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::seal::{
    KEY_BYTES, MasterKey, NONCE_BYTES, TAG_BYTES, fill_random, open_in_place, seal_in_place,
};
use super::{KdfCost, Passphrase, VaultError};

/// The most bytes that are read of a file: another version's may be longer than this one's.
pub(super) const MAX_HEADER_BYTES: usize = 4096;
/// Bytes in the file.
pub(super) const HEADER_BYTES: usize = BODY_BYTES + CHECKSUM_BYTES;

const MAGIC: &[u8; 8] = b"cutvault";
const VERSION: u8 = 1;
const SALT_BYTES: usize = 16;
const BODY_BYTES: usize = 8 + 1 + 4 + 4 + SALT_BYTES + NONCE_BYTES + TAG_BYTES + KEY_BYTES;
const CHECKSUM_BYTES: usize = 32;

/// The key that the passphrase becomes.
#[derive(ZeroizeOnDrop)]
struct WrappingKey([u8; KEY_BYTES]);

/// A decoded `vault` file, its master key still sealed.
#[derive(Debug)]
pub(super) struct Header {
    cost: KdfCost,
    salt: [u8; SALT_BYTES],
    nonce: [u8; NONCE_BYTES],
    tag: [u8; TAG_BYTES],
    encrypted: [u8; KEY_BYTES],
}

impl Header {
    /// Seals `master` under `passphrase`, with a new salt and nonce.
    pub(super) fn seal(
        master: &MasterKey,
        passphrase: &Passphrase,
        cost: KdfCost,
    ) -> Result<Self, VaultError> {
        let (mut salt, mut nonce) = ([0; SALT_BYTES], [0; NONCE_BYTES]);
        fill_random(&mut salt)?;
        fill_random(&mut nonce)?;
        let key = wrapping_key(passphrase, cost, &salt)?;
        // Encrypted in place: plaintext only until the next line.
        let mut encrypted = *master.as_bytes();
        let tag = seal_in_place(&key.0, &nonce, &mut encrypted)?;
        Ok(Self { cost, salt, nonce, tag, encrypted })
    }

    /// Opens the master key.
    ///
    /// # Errors
    /// [`VaultError::WrongPassphrase`], [`VaultError::OutOfMemory`].
    pub(super) fn open(&self, passphrase: &Passphrase) -> Result<MasterKey, VaultError> {
        let key = wrapping_key(passphrase, self.cost, &self.salt)?;
        let mut bytes = Zeroizing::new(self.encrypted);
        if open_in_place(&key.0, &self.nonce, &self.tag, bytes.as_mut_slice()) {
            Ok(MasterKey::from_unsealed(&bytes))
        } else {
            Err(VaultError::WrongPassphrase)
        }
    }

    /// Encodes to [`HEADER_BYTES`] bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES);
        out.extend_from_slice(MAGIC);
        out.push(VERSION);
        out.extend_from_slice(&self.cost.memory_kib().to_be_bytes());
        out.extend_from_slice(&self.cost.passes().to_be_bytes());
        out.extend_from_slice(&self.salt);
        out.extend_from_slice(&self.nonce);
        out.extend_from_slice(&self.tag);
        out.extend_from_slice(&self.encrypted);
        let checksum = Sha256::digest(&out);
        out.extend_from_slice(&checksum);
        out
    }

    /// Decodes a whole file; it allocates nothing.
    ///
    /// # Errors
    /// [`VaultError::Corrupt`], [`VaultError::UnsupportedVersion`],
    /// [`VaultError::CostOutOfBounds`].
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, VaultError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(VaultError::Corrupt)?;
        let (&version, rest) = rest.split_first().ok_or(VaultError::Corrupt)?;
        // The checksum comes first, and ends a file of any version: so damage is told from another version.
        let (body, checksum) =
            bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(VaultError::Corrupt)?;
        if Sha256::digest(body).as_slice() != checksum {
            return Err(VaultError::Corrupt);
        }
        if version != VERSION {
            let file = super::VAULT_FILE.to_owned();
            return Err(VaultError::UnsupportedVersion { file, version });
        }
        if body.len() != BODY_BYTES {
            return Err(VaultError::Corrupt);
        }
        let (memory_kib, rest) = take(rest)?;
        let (passes, rest) = take(rest)?;
        let cost = KdfCost::new(u32::from_be_bytes(*memory_kib), u32::from_be_bytes(*passes))?;
        let (&salt, rest) = take(rest)?;
        let (&nonce, rest) = take(rest)?;
        let (&tag, rest) = take(rest)?;
        let (&encrypted, _checksum) = take(rest)?;
        Ok(Self { cost, salt, nonce, tag, encrypted })
    }
}

/// Splits the next `N` bytes off.
fn take<const N: usize>(bytes: &[u8]) -> Result<(&[u8; N], &[u8]), VaultError> {
    bytes.split_first_chunk().ok_or(VaultError::Corrupt)
}

/// Derives the wrapping key: argon2id, version 0x13, one lane. Its memory is wiped afterwards.
fn wrapping_key(
    passphrase: &Passphrase,
    cost: KdfCost,
    salt: &[u8; SALT_BYTES],
) -> Result<WrappingKey, VaultError> {
    let params = Params::new(cost.memory_kib(), cost.passes(), 1, Some(KEY_BYTES))
        .map_err(|_| VaultError::Internal)?;
    let mut memory = Vec::new();
    memory.try_reserve_exact(params.block_count()).map_err(|_| VaultError::OutOfMemory)?;
    memory.resize(params.block_count(), Block::new());
    let mut key = WrappingKey([0; KEY_BYTES]);
    let outcome = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(
            passphrase.as_bytes(),
            salt,
            &mut key.0,
            memory.as_mut_slice(),
        );
    memory.iter_mut().zeroize();
    outcome.map_err(|_| VaultError::Internal)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(text.to_owned()).unwrap()
    }

    fn sealed() -> (MasterKey, Header) {
        let master = MasterKey::generate().unwrap();
        let cost = KdfCost::new(8, 1).unwrap();
        let header = Header::seal(&master, &passphrase("right"), cost).unwrap();
        (master, header)
    }

    /// Changes the body and makes the checksum fit, as an attacker would.
    fn forge(header: &Header, change: impl FnOnce(&mut [u8])) -> Vec<u8> {
        let mut bytes = header.encode();
        change(&mut bytes[..BODY_BYTES]);
        let checksum = Sha256::digest(&bytes[..BODY_BYTES]);
        bytes[BODY_BYTES..].copy_from_slice(&checksum);
        bytes
    }

    #[test]
    fn only_the_right_passphrase_opens() {
        let (master, header) = sealed();
        let decoded = Header::decode(&header.encode()).unwrap();
        assert_eq!(decoded.open(&passphrase("right")).unwrap().as_bytes(), master.as_bytes());
        let refused = decoded.open(&passphrase("wrong"));
        assert!(matches!(refused, Err(VaultError::WrongPassphrase)));
        assert_ne!(decoded.encrypted, *master.as_bytes());
    }

    #[test]
    fn damage_is_told_apart_from_a_wrong_passphrase() {
        let bytes = sealed().1.encode();
        assert_eq!(bytes.len(), HEADER_BYTES);
        for place in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[place] ^= 0x80;
            let refused = Header::decode(&flipped);
            assert!(matches!(refused, Err(VaultError::Corrupt)), "at {place}");
            assert!(matches!(Header::decode(&bytes[..place]), Err(VaultError::Corrupt)));
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(matches!(Header::decode(&longer), Err(VaultError::Corrupt)));
    }

    #[test]
    fn another_version_is_told_from_damage() {
        let (_, header) = sealed();
        let bytes = forge(&header, |body| body[MAGIC.len()] = 2);
        let refused = Header::decode(&bytes);
        assert!(matches!(refused, Err(VaultError::UnsupportedVersion { version: 2, .. })));
    }

    #[test]
    fn tampering_with_a_fitting_checksum_does_not_open() {
        let (_, header) = sealed();
        // The last byte of the passes: another cost is another key.
        for place in [16, 17, 33, 57, 73, BODY_BYTES - 1] {
            let bytes = forge(&header, |body| body[place] ^= 2);
            let refused = Header::decode(&bytes).unwrap().open(&passphrase("right"));
            assert!(matches!(refused, Err(VaultError::WrongPassphrase)), "at {place}");
        }
    }

    #[test]
    fn hostile_costs_are_refused_before_they_are_paid() {
        let (_, header) = sealed();
        let hostile: [(usize, u32); 4] =
            [(9, u32::MAX), (9, 1024 * 1024 + 1), (13, 17), (13, u32::MAX)];
        for (place, value) in hostile {
            let bytes = forge(&header, |body| {
                body[place..place + 4].copy_from_slice(&value.to_be_bytes());
            });
            assert!(matches!(Header::decode(&bytes), Err(VaultError::CostOutOfBounds { .. })));
        }
    }

    #[test]
    fn equal_passphrases_give_unequal_files() {
        let (master, header) = sealed();
        let again = Header::seal(&master, &passphrase("right"), header.cost).unwrap();
        assert_ne!(again.salt, header.salt);
        assert_ne!(again.nonce, header.nonce);
    }
}
