//! The keys of the vault and the box that they seal.
//!
//! ```text
//! master key   32 random bytes, made once, never changed
//! file key     HKDF-SHA256(salt: none, ikm: master key, info: FILE_KEY_LABEL | name) -> 32 bytes
//! sealed file  version 1 | nonce 24 | tag 16 | ciphertext (as long as the contents)
//!              secretbox = XSalsa20-Poly1305 (NaCl) under the file key, nonce random
//! ```
//!
//! secretbox has no associated data, so the name is bound through the key: a file moved to
//! another name meets another key and does not open (RFC 5869, section 3.2, on `info`).

use hkdf::Hkdf;
use rand::{TryRng, rngs::SysRng};
use sha2::Sha256;
use xsalsa20poly1305::{AeadInPlace, KeyInit, XSalsa20Poly1305};
use zeroize::{ZeroizeOnDrop, Zeroizing};

use super::{MAX_FILE_BYTES, VaultError};

/// Bytes in a key.
pub(super) const KEY_BYTES: usize = 32;
/// Bytes in a secretbox nonce.
pub(super) const NONCE_BYTES: usize = 24;
/// Bytes in a secretbox tag.
pub(super) const TAG_BYTES: usize = 16;
/// What sealing adds to the contents, in bytes: version, nonce and tag.
pub(super) const OVERHEAD_BYTES: usize = 1 + NONCE_BYTES + TAG_BYTES;

/// The format of a sealed file.
const FILE_VERSION: u8 = 1;
/// The only KDF label of the vault; of fixed length, and the name that follows ends the input.
const FILE_KEY_LABEL: &[u8] = b"cutout/vault/file/v1:";

/// The root of every file key. It lies on disk sealed under the passphrase only.
#[derive(ZeroizeOnDrop, derive_more::Debug)]
#[debug("MasterKey([scrubbed])")]
pub(super) struct MasterKey([u8; KEY_BYTES]);

impl MasterKey {
    /// Samples a new key.
    pub(super) fn generate() -> Result<Self, VaultError> {
        let mut key = Self([0; KEY_BYTES]);
        fill_random(&mut key.0)?;
        Ok(key)
    }

    /// Wraps bytes that were unsealed from the vault file.
    pub(super) fn from_unsealed(bytes: &[u8; KEY_BYTES]) -> Self {
        Self(*bytes)
    }

    pub(super) fn as_bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// Derives the key of the file called `name`.
    pub(super) fn file_key(&self, name: &str) -> Result<FileKey, VaultError> {
        let mut key = FileKey { key: [0; KEY_BYTES], name: name.to_owned() };
        Hkdf::<Sha256>::new(None, &self.0)
            .expand_multi_info(&[FILE_KEY_LABEL, name.as_bytes()], &mut key.key)
            .map_err(|_| VaultError::Internal)?;
        Ok(key)
    }
}

/// The key of one file name, and that name.
#[derive(ZeroizeOnDrop, derive_more::Debug)]
#[debug("FileKey([scrubbed])")]
pub(super) struct FileKey {
    key: [u8; KEY_BYTES],
    #[zeroize(skip)]
    name: String,
}

impl FileKey {
    /// Seals `contents`: [`OVERHEAD_BYTES`] longer than they.
    pub(super) fn seal(&self, contents: &[u8]) -> Result<Vec<u8>, VaultError> {
        if contents.len() > MAX_FILE_BYTES {
            return Err(VaultError::TooLarge { limit: MAX_FILE_BYTES });
        }
        let mut nonce = [0; NONCE_BYTES];
        fill_random(&mut nonce)?;
        // Room for all of it at once: a buffer that grew would leave plaintext behind.
        let mut sealed = Vec::with_capacity(OVERHEAD_BYTES.saturating_add(contents.len()));
        sealed.push(FILE_VERSION);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&[0; TAG_BYTES]);
        sealed.extend_from_slice(contents);
        let Some((head, body)) = sealed.split_at_mut_checked(OVERHEAD_BYTES) else {
            return Err(VaultError::Internal);
        };
        let tag = seal_in_place(&self.key, &nonce, body)?;
        let Some(tag_place) = head.last_chunk_mut::<TAG_BYTES>() else {
            return Err(VaultError::Internal);
        };
        *tag_place = tag;
        Ok(sealed)
    }

    /// Opens what [`seal`](Self::seal) made under the same key.
    ///
    /// The version is not sealed. A file that opens although it gives another one is of this version, and damaged.
    pub(super) fn open(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let damaged = || VaultError::Damaged(self.name.clone());
        let (&version, rest) = sealed.split_first().ok_or_else(damaged)?;
        match self.open_body(rest) {
            Some(contents) if version == FILE_VERSION => Ok(contents),
            None if version != FILE_VERSION => {
                Err(VaultError::UnsupportedVersion { file: self.name.clone(), version })
            }
            Some(_) | None => Err(damaged()),
        }
    }

    fn open_body(&self, body: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, rest) = body.split_first_chunk()?;
        let (tag, ciphertext) = rest.split_first_chunk()?;
        let mut contents = Zeroizing::new(ciphertext.to_vec());
        open_in_place(&self.key, nonce, tag, &mut contents).then_some(contents)
    }
}

/// Fills `out` from the operating system's generator.
pub(super) fn fill_random(out: &mut [u8]) -> Result<(), VaultError> {
    SysRng.try_fill_bytes(out).map_err(|_| VaultError::Randomness)
}

/// Encrypts `body` where it lies and returns its tag.
pub(super) fn seal_in_place(
    key: &[u8; KEY_BYTES],
    nonce: &[u8; NONCE_BYTES],
    body: &mut [u8],
) -> Result<[u8; TAG_BYTES], VaultError> {
    XSalsa20Poly1305::new(key.into())
        .encrypt_in_place_detached(nonce.into(), b"", body)
        .map(Into::into)
        .map_err(|_| VaultError::Internal)
}

/// Decrypts `body` where it lies; false, and `body` untouched, if key, nonce or tag do not fit.
#[must_use]
pub(super) fn open_in_place(
    key: &[u8; KEY_BYTES],
    nonce: &[u8; NONCE_BYTES],
    tag: &[u8; TAG_BYTES],
    body: &mut [u8],
) -> bool {
    XSalsa20Poly1305::new(key.into())
        .decrypt_in_place_detached(nonce.into(), b"", body, tag.into())
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> FileKey {
        MasterKey([7; KEY_BYTES]).file_key(name).unwrap()
    }

    #[test]
    fn every_flipped_or_missing_byte_is_noticed() {
        let sealed = key("a").seal(b"contents").unwrap();
        assert_eq!(sealed.len(), OVERHEAD_BYTES + 8);
        assert_eq!(key("a").open(&sealed).unwrap().as_slice(), b"contents");
        for place in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[place] ^= 1;
            let refused = key("a").open(&flipped);
            assert!(matches!(refused, Err(VaultError::Damaged(_))), "flipped at {place}");
            assert!(key("a").open(&sealed[..place]).is_err(), "cut at {place}");
        }
        let mut longer = sealed;
        longer.push(0);
        assert!(matches!(key("a").open(&longer), Err(VaultError::Damaged(_))));
    }

    #[test]
    fn another_version_is_told_from_damage() {
        let mut sealed = key("a").seal(b"contents").unwrap();
        // A later version that seals in another way.
        sealed[0] = 2;
        sealed[30] ^= 1;
        let refused = key("a").open(&sealed);
        assert!(matches!(refused, Err(VaultError::UnsupportedVersion { version: 2, .. })));
    }

    #[test]
    fn a_key_depends_on_name_and_master() {
        let sealed = key("a").seal(b"").unwrap();
        assert!(matches!(key("b").open(&sealed), Err(VaultError::Damaged(_))));
        let other = MasterKey([8; KEY_BYTES]).file_key("a").unwrap();
        assert!(matches!(other.open(&sealed), Err(VaultError::Damaged(_))));
    }

    #[test]
    fn nonces_and_master_keys_are_sampled_afresh() {
        let (one, two) = (key("a").seal(b"x").unwrap(), key("a").seal(b"x").unwrap());
        assert_ne!(one, two);
        let (one, two) = (MasterKey::generate().unwrap(), MasterKey::generate().unwrap());
        assert_ne!(one.0, two.0);
    }

    #[test]
    fn keys_are_wiped_on_drop() {
        fn wiped<T: ZeroizeOnDrop>() {}
        wiped::<MasterKey>();
        wiped::<FileKey>();
    }

    #[test]
    fn keys_print_no_bytes() {
        let printed = format!("{:?} {:?}", MasterKey([7; KEY_BYTES]), key("a"));
        assert_eq!(printed, "MasterKey([scrubbed]) FileKey([scrubbed])");
    }
}
