//! Small files that end with a check of what is before it, so that a flipped bit makes no other secret or promise of it.

use sha2::{Digest as _, Sha256};

/// Bytes of a check.
pub(crate) const CHECK: usize = 8;

/// What stands behind `content` in its file: the first bytes of its SHA-256.
pub(crate) fn check(content: &[u8]) -> [u8; CHECK] {
    let digest: [u8; 32] = Sha256::digest(content).into();
    *digest.first_chunk().unwrap_or(&[0; CHECK])
}

/// The content of a file, if it is whole.
pub(crate) fn checked(file: &[u8]) -> Option<&[u8]> {
    let (content, rest) = file.split_last_chunk::<CHECK>()?;
    (*rest == check(content)).then_some(content)
}
