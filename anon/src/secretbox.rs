//! NaCl's secretbox (XSalsa20-Poly1305, the tag first) and the bare XSalsa20 stream of a go-between's layer.
//!
//! `seal(k, n, m) = Poly1305(r ‖ s, c) ‖ c` with `(r ‖ s) ‖ c = XSalsa20(k, n) ⊕ (0³² ‖ m)`. There is no
//! associated data: context is bound by deriving the key from it.

use salsa20::{
    XSalsa20,
    cipher::{KeyIvInit, StreamCipher},
};
use thiserror::Error;
use xsalsa20poly1305::{AeadInPlace, KeyInit, XSalsa20Poly1305};

/// Bytes that sealing adds.
pub const TAG: usize = 16;

/// A key's length, bytes.
pub(crate) const KEY: usize = 32;

/// A box did not open; nothing more is said about why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("does not open under this key")]
pub struct OpenError;

/// A nonce that counts messages under one key: 8 bytes little-endian, then zeros.
#[must_use]
pub fn counter_nonce(counter: u64) -> [u8; 24] {
    let mut nonce = [0; 24];
    for (to, from) in nonce.iter_mut().zip(counter.to_le_bytes()) {
        *to = from;
    }
    nonce
}

/// Seals `message` under a key and a nonce that were never used together: `TAG + message.len()` bytes.
#[must_use]
pub fn seal(key: &[u8; KEY], nonce: &[u8; 24], message: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(TAG + message.len());
    sealed.extend([0; TAG]);
    sealed.extend(message);
    seal_in_place(key, nonce, &mut sealed);
    sealed
}

/// Seals in place a buffer whose first [`TAG`] bytes are room for the tag.
///
/// A shorter buffer, which no caller has, is left as it is.
pub fn seal_in_place(key: &[u8; KEY], nonce: &[u8; 24], buffer: &mut [u8]) {
    let Some((tag, message)) = buffer.split_first_chunk_mut::<TAG>() else { return };
    let cipher = XSalsa20Poly1305::new(key.into());
    #[expect(clippy::expect_used, reason = "fails only beyond 2^64 bytes or with associated data")]
    let computed = cipher
        .encrypt_in_place_detached(nonce.into(), b"", message)
        .expect("a message in memory is short enough");
    *tag = computed.into();
}

/// Opens what [`seal`] made.
///
/// # Errors
/// [`OpenError`] if it was changed, or sealed under another key or nonce.
pub fn open(key: &[u8; KEY], nonce: &[u8; 24], sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
    let mut buffer = sealed.to_vec();
    open_in_place(key, nonce, &mut buffer)?;
    buffer.drain(..TAG);
    Ok(buffer)
}

/// Opens in place; the message is what follows the first [`TAG`] bytes.
///
/// # Errors
/// As [`open`]; the buffer then holds nothing of use.
pub(crate) fn open_in_place(
    key: &[u8; KEY],
    nonce: &[u8; 24],
    buffer: &mut [u8],
) -> Result<(), OpenError> {
    let (tag, message) = buffer.split_first_chunk_mut::<TAG>().ok_or(OpenError)?;
    XSalsa20Poly1305::new(key.into())
        .decrypt_in_place_detached(nonce.into(), b"", message, (&*tag).into())
        .map_err(|_| OpenError)
}

/// Adds, or strips, one layer: XORs `data` with the XSalsa20 stream of a key and nonce. Keeps the length.
pub fn apply_stream(key: &[u8; KEY], nonce: &[u8; 24], data: &mut [u8]) {
    XSalsa20::new(key.into(), nonce.into()).apply_keystream(data);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flipped_bit_anywhere_does_not_open() {
        let (key, nonce) = ([1; 32], counter_nonce(5));
        let sealed = seal(&key, &nonce, b"meet at noon");
        assert_eq!(open(&key, &nonce, &sealed).as_deref(), Ok(&b"meet at noon"[..]));
        for i in 0..sealed.len() {
            let mut bad = sealed.clone();
            bad[i] ^= 1;
            assert_eq!(open(&key, &nonce, &bad), Err(OpenError));
        }
        assert_eq!(open(&key, &counter_nonce(6), &sealed), Err(OpenError));
        assert_eq!(open(&key, &nonce, &sealed[..15]), Err(OpenError));
    }
}
