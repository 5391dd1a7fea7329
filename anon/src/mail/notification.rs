//! Notifications (paper, 3.1 step 5): the headers, sealed to one recipient and padded to one size.
//!
//! ```text
//! notification = e ‖ secretbox(k, 0, pad(encode(headers), 4,096))        4,144 bytes, always
//! k            = HKDF(salt e ‖ recipient's sealing key, X25519(e, sealing key), context network ‖ address)
//! ```

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::{MailError, MessageId, Part};
use crate::{
    certificate::{Address, AddressCertificate, UnverifiedAddressCertificate},
    id::NetworkId,
    keys::{
        AddressSecret, AgreementKey, DeleteSecret, DerivedKey, EphemeralSecret, SealingSecret,
        SharedSecret, Signature, SigningSecret as _,
    },
    labels,
    network::Network,
    padding, secretbox,
    time::Time,
    wire,
};

/// The most parts a mail is cut into.
pub const MAX_PARTS: usize = 16;
/// The padded headers, bytes.
const HEADERS: usize = 4096;
/// A sealed notification's length, bytes.
pub const NOTIFICATION: usize = 32 + secretbox::TAG + HEADERS;
/// How much of a subject goes into the headers, bytes; the mail itself has it whole.
const MAX_SUBJECT: usize = 256;

/// What the recipient learns from an inbox.
#[derive(Serialize, Deserialize)]
pub struct Headers {
    /// The address it was sealed to.
    pub to: Address,
    /// When the sender says it was sent.
    pub date: Time,
    /// The subject, cut to 256 bytes.
    pub subject: String,
    /// The mail's length, bytes.
    pub size: u64,
    /// Its parts in order, at most [`MAX_PARTS`].
    pub parts: Vec<Part>,
    /// What deletes this recipient's permission from the parts; `None`: the recipient's certificate does.
    delete: Option<DeleteSeed>,
    /// Who sent it, if the sender says so.
    pub sender: Option<SenderProof>,
    /// Where an answer reaches the sender, if the sender made an address for that.
    pub reply_to: Option<Address>,
}

crate::hex::debug_as_name!(Headers);

/// The seed of one recipient's one-time delete keys: one for each part, so that parts do not show that they
/// belong together.
#[derive(Zeroize, ZeroizeOnDrop, Serialize, Deserialize)]
pub struct DeleteSeed([u8; 32]);

crate::hex::debug_as_name!(DeleteSeed);

impl DeleteSeed {
    /// The seed with these bytes, fresh randomness.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The delete key of one part: `HKDF(seed, label ‖ 0x00 ‖ Message-ID)`.
    #[must_use]
    pub fn secret(&self, part: &MessageId) -> DeleteSecret {
        let derived = DerivedKey(self.0).derive(&[], labels::DELETE_KEY, &part.0);
        DeleteSecret::from_seed(&derived.0)
    }
}

/// A sender's signature over a mail, known to the recipient alone.
#[derive(Clone, Serialize, Deserialize)]
pub struct SenderProof {
    certificate: Box<UnverifiedAddressCertificate>,
    signature: Signature,
}

crate::hex::debug_as_name!(SenderProof);

#[derive(Serialize)]
struct SignedMail<'a> {
    to: &'a Address,
    date: Time,
    digests: Vec<[u8; 32]>,
}

impl Headers {
    /// The headers of a mail for one recipient, with that recipient's delete seed if the parts have one-time
    /// delete keys.
    #[must_use]
    pub fn new(
        to: Address,
        date: Time,
        subject: &str,
        size: u64,
        parts: &[Part],
        delete: Option<DeleteSeed>,
    ) -> Self {
        let end = subject.floor_char_boundary(MAX_SUBJECT);
        let subject = subject.get(..end).unwrap_or_default().to_owned();
        let parts = parts.iter().map(Part::duplicate).collect();
        Self { to, date, subject, size, parts, delete, sender: None, reply_to: None }
    }

    /// Signs them; only the recipient will know.
    #[must_use]
    pub fn signed(mut self, secret: &AddressSecret, certificate: &AddressCertificate) -> Self {
        let network = certificate.claims().network;
        let signature = secret.sign(labels::MAIL_SIGNATURE, &network, &self.signed_content());
        self.sender =
            Some(SenderProof { certificate: Box::new(certificate.to_unverified()), signature });
        self
    }

    /// Names an address for answers.
    #[must_use]
    pub fn answered_at(mut self, reply_to: Option<Address>) -> Self {
        self.reply_to = reply_to;
        self
    }

    fn signed_content(&self) -> SignedMail<'_> {
        let digests = self.parts.iter().map(|p| p.digest).collect();
        SignedMail { to: &self.to, date: self.date, digests }
    }

    /// What the parts are together: `SHA-256(label ‖ 0x00 ‖ encode(digests, in order))`. Two mails have the same if, and
    /// only if, they are the same sealed objects in the same order; a copy that lacks a part is another mail.
    #[must_use]
    pub fn parts_digest(&self) -> [u8; 32] {
        let digests: Vec<[u8; 32]> = self.parts.iter().map(|part| part.digest).collect();
        let mut hash = Sha256::new();
        hash.update(labels::MAIL_PARTS.as_bytes());
        hash.update([0]);
        hash.update(wire::encode(&digests));
        hash.finalize().into()
    }

    /// The secret that deletes this recipient's permission from a part; `None`: the recipient's own key does.
    #[must_use]
    pub fn delete_secret(&self, part: &Part) -> Option<DeleteSecret> {
        self.delete.as_ref().map(|seed| seed.secret(&part.message_id))
    }

    /// Who sent it: `None` if the sender does not say.
    ///
    /// # Errors
    /// [`MailError::BadSignature`] if the sender says something untrue.
    pub fn verified_sender(
        &self,
        network: &Network,
        now: Time,
    ) -> Result<Option<Address>, MailError> {
        let Some(proof) = &self.sender else { return Ok(None) };
        let certificate = (*proof.certificate)
            .clone()
            .verify(network, now)
            .map_err(|_| MailError::BadSignature)?;
        certificate
            .claims()
            .verify_key
            .verify(labels::MAIL_SIGNATURE, &network.id, &self.signed_content(), &proof.signature)
            .map_err(|_| MailError::BadSignature)?;
        Ok(Some(certificate.address().clone()))
    }
}

fn notification_key(
    shared: &SharedSecret,
    ephemeral: &AgreementKey,
    sealing: &AgreementKey,
    network: &NetworkId,
    to: &Address,
) -> DerivedKey {
    let context = [&network.0[..], to.to_string().as_bytes()].concat();
    shared.derive(&[ephemeral.0, sealing.0].concat(), labels::NOTIFICATION, &context)
}

/// Seals headers to the owner of `certificate`: [`NOTIFICATION`] bytes.
///
/// # Errors
/// [`MailError::HeadersTooLong`]; [`MailError::DoesNotOpen`] if the recipient's key is not usable.
pub fn seal_notification<R: CryptoRng>(
    headers: &Headers,
    certificate: &AddressCertificate,
    rng: &mut R,
) -> Result<Vec<u8>, MailError> {
    let claims = certificate.claims();
    // What the recipient could not open must not be sent.
    if headers.to != claims.address || !(1..=MAX_PARTS).contains(&headers.parts.len()) {
        return Err(MailError::DoesNotOpen);
    }
    let padded =
        padding::pad(&wire::encode(headers), HEADERS).map_err(|_| MailError::HeadersTooLong)?;
    let ephemeral = EphemeralSecret::generate(rng);
    let public = ephemeral.agreement_key();
    let shared = ephemeral.agree(&claims.sealing_key).map_err(|_| MailError::DoesNotOpen)?;
    let key =
        notification_key(&shared, &public, &claims.sealing_key, &claims.network, &claims.address);
    Ok([&public.0[..], &secretbox::seal(&key.0, &[0; 24], &padded)].concat())
}

/// Opens a notification with the sealing secret of the address it lay in the inbox of.
///
/// # Errors
/// [`MailError::DoesNotOpen`] if it was not sealed to this key of this address: by whom, and to which, nobody can tell.
/// [`MailError::Nonsense`] if it was, and what is inside is no announcement of a mail.
pub fn open_notification(
    notification: &[u8],
    secret: &SealingSecret,
    certificate: &AddressCertificate,
) -> Result<Headers, MailError> {
    let claims = certificate.claims();
    let (public, sealed) = notification.split_first_chunk::<32>().ok_or(MailError::DoesNotOpen)?;
    let public = AgreementKey(*public);
    let shared = secret.agree(&public).map_err(|_| MailError::DoesNotOpen)?;
    let key =
        notification_key(&shared, &public, &claims.sealing_key, &claims.network, &claims.address);
    let padded = secretbox::open(&key.0, &[0; 24], sealed).map_err(|_| MailError::DoesNotOpen)?;
    let encoded = padding::unpad(&padded).map_err(|_| MailError::Nonsense)?;
    let headers: Headers = wire::decode(encoded, HEADERS).map_err(|_| MailError::Nonsense)?;
    let good = headers.to == claims.address && (1..=MAX_PARTS).contains(&headers.parts.len());
    if good { Ok(headers) } else { Err(MailError::Nonsense) }
}
