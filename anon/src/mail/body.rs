//! Sealing a mail's bytes into objects of at most 1 MiB, each under its own key and random Message-ID.

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::{MAX_PARTS, MessageId};
use crate::{
    limits::MAX_OBJECT,
    padding::{self, PREFIX, padme},
    secretbox,
};

/// Padmé's step just below 1 MiB; the largest padded length that still has room for the tag is 63 of them.
const STEP: usize = 1 << 14;
/// What one part carries, bytes.
const PART: usize = MAX_OBJECT - STEP - PREFIX;
/// The longest mail, bytes.
pub const BODY_MAX: usize = PART * MAX_PARTS;

/// Why a mail is not sealed, or does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MailError {
    /// Longer than [`BODY_MAX`].
    #[error("longer than the {BODY_MAX} bytes that a mail may have")]
    TooLong,
    /// An object is not what the sender's digest says.
    #[error("an object is not the one that the sender stored")]
    WrongDigest,
    /// Does not open, or is malformed inside.
    #[error("does not open")]
    DoesNotOpen,
    /// Opens, but what is inside is nothing that a sender of ours would seal.
    #[error("opens, and holds nonsense")]
    Nonsense,
    /// The headers do not fit a notification.
    #[error("the headers do not fit a notification")]
    HeadersTooLong,
    /// The sender's certificate or signature does not verify.
    #[error("the mail's signature does not verify")]
    BadSignature,
}

/// The session key of one part.
#[derive(Zeroize, ZeroizeOnDrop, Serialize, Deserialize)]
pub struct BodyKey([u8; 32]);

crate::hex::debug_as_name!(BodyKey);

/// What a recipient needs to find, check and open one part of a mail.
#[derive(Debug, Serialize, Deserialize)]
pub struct Part {
    /// Where it is.
    pub message_id: MessageId,
    /// SHA-256 of the stored object.
    pub digest: [u8; 32],
    key: BodyKey,
}

impl Part {
    /// A copy for the notification of one more recipient.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self { message_id: self.message_id, digest: self.digest, key: BodyKey(self.key.0) }
    }

    /// Checks an object against the sender's digest.
    ///
    /// # Errors
    /// [`MailError::WrongDigest`]: ask another replica.
    pub fn check(&self, object: &[u8]) -> Result<(), MailError> {
        let digest: [u8; 32] = Sha256::digest(object).into();
        if digest == self.digest { Ok(()) } else { Err(MailError::WrongDigest) }
    }

    /// Checks and opens an object.
    ///
    /// # Errors
    /// [`MailError::WrongDigest`], or [`MailError::DoesNotOpen`] if the sender sealed nonsense.
    pub fn open(&self, object: &[u8]) -> Result<Vec<u8>, MailError> {
        self.check(object)?;
        let padded =
            secretbox::open(&self.key.0, &[0; 24], object).map_err(|_| MailError::DoesNotOpen)?;
        Ok(padding::unpad(&padded).map_err(|_| MailError::DoesNotOpen)?.to_vec())
    }
}

/// One part, sealed: the object to store and what the notification says of it.
#[derive(Debug)]
pub struct SealedPart {
    /// For the notification.
    pub part: Part,
    /// For the k nodes.
    pub object: Vec<u8>,
}

/// Cuts a mail into parts and seals each under a fresh key; lengths are padded (Padmé) first.
///
/// # Errors
/// [`MailError::TooLong`].
pub fn seal_body<R: CryptoRng>(mail: &[u8], rng: &mut R) -> Result<Vec<SealedPart>, MailError> {
    if mail.len() > BODY_MAX {
        return Err(MailError::TooLong);
    }
    let pieces: Vec<&[u8]> = if mail.is_empty() { vec![mail] } else { mail.chunks(PART).collect() };
    pieces
        .into_iter()
        .map(|piece| {
            let size = padme(piece.len() + PREFIX);
            let padded = padding::pad(piece, size).map_err(|_| MailError::TooLong)?;
            let mut key = BodyKey([0; 32]);
            rng.fill_bytes(&mut key.0);
            let object = secretbox::seal(&key.0, &[0; 24], &padded);
            let digest = Sha256::digest(&object).into();
            Ok(SealedPart {
                part: Part { message_id: MessageId::generate(rng), digest, key },
                object,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_part_fits_an_object_exactly_once_padded() {
        assert!(padme(PART + PREFIX) + secretbox::TAG <= MAX_OBJECT);
        assert!(padme(PART + PREFIX + 1) + secretbox::TAG > MAX_OBJECT);
    }

    #[test]
    fn parts_open_to_the_mail_and_to_nothing_else() {
        let mail: Vec<u8> = (0..=255).cycle().take(PART + 10).collect();
        let sealed = seal_body(&mail, &mut rand::rng()).unwrap();
        let sizes: Vec<_> = sealed.iter().map(|s| s.object.len()).collect();
        assert_eq!(sizes, [PART + PREFIX + secretbox::TAG, 14 + secretbox::TAG]);
        let opened: Vec<u8> = sealed.iter().flat_map(|s| s.part.open(&s.object).unwrap()).collect();
        assert!(opened == mail);
        let mut bad = sealed[1].object.clone();
        bad[3] ^= 1;
        assert_eq!(sealed[1].part.open(&bad), Err(MailError::WrongDigest));
        assert_eq!(sealed[0].part.open(&sealed[1].object), Err(MailError::WrongDigest));
        assert_eq!(
            seal_body(&vec![0; BODY_MAX + 1], &mut rand::rng()).err(),
            Some(MailError::TooLong)
        );
    }
}
