//! E-mail addresses and their certificates (paper, 2.1): signed by the authority, or self-certifying.

use std::fmt;

use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::{CertificateError, check_validity};
use crate::{
    id::NetworkId,
    keys::{
        AddressSecret, AgreementKey, AuthoritySecret, Signature, SigningSecret as _, VerifyKey,
    },
    labels,
    network::Network,
    position::Key,
    time::{Time, Validity},
    wire,
};

/// The longest address, bytes (RFC 5321, 4.5.3.1.3).
const MAX_ADDRESS: usize = 254;
/// The longest time that an address certificate holds, seconds: ten years. It is kept as long as it holds.
pub const MAX_ADDRESS_VALIDITY: u64 = 3_653 * 86_400;
/// Base-32 digits of a fingerprint of 32 bytes.
const FINGERPRINT_DIGITS: usize = 52;

/// An e-mail address in lower case: `local@network`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address(String);

/// Text that is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not an address of the form name@network (letters, digits and . _ + - before the @)")]
pub struct AddressError;

impl TryFrom<String> for Address {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        if Self::parse(&text)?.0 == text { Ok(Self(text)) } else { Err(AddressError) }
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Address([scrubbed])")
    }
}

impl Address {
    /// Reads an address, in any case.
    ///
    /// # Errors
    /// [`AddressError`].
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let text = text.trim().to_ascii_lowercase();
        let (local, domain) = text.split_once('@').ok_or(AddressError)?;
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let good = text.len() <= MAX_ADDRESS
            && !local.is_empty()
            && local.bytes().all(|b| allowed(b) || b == b'+')
            && !domain.is_empty()
            && domain.bytes().all(allowed);
        if good { Ok(Self(text)) } else { Err(AddressError) }
    }

    /// The address whose local part is the fingerprint of these keys.
    #[must_use]
    pub fn self_certifying(network: &Network, verify: &VerifyKey, sealing: &AgreementKey) -> Self {
        Self(format!("{}@{}", fingerprint(&network.id, verify, sealing), network.name))
    }

    /// The part before the `@`.
    #[must_use]
    pub(crate) fn local(&self) -> &str {
        self.0.split_once('@').map_or("", |(local, _)| local)
    }

    /// The part behind the `@`: the network's name.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.0.split_once('@').map_or("", |(_, domain)| domain)
    }

    /// Where its inbox lies (Table 1: the address).
    #[must_use]
    pub fn inbox(&self) -> Key {
        Key::of_identifier(&self.0)
    }

    /// Where its certificate lies (Table 1: the address and `-certificate`).
    #[must_use]
    pub fn certificate(&self) -> Key {
        Key::of_identifier(&format!("{}-certificate", self.0))
    }

    /// Whether the local part looks like a fingerprint; such addresses certify themselves or not at all.
    #[must_use]
    pub fn is_self_certifying(&self) -> bool {
        let local = self.local();
        local.len() == FINGERPRINT_DIGITS
            && local.bytes().all(|b| b.is_ascii_lowercase() || (b'2'..=b'7').contains(&b))
    }
}

/// `base32(SHA-256(label ‖ 0x00 ‖ network ‖ signing key ‖ sealing key))`, lower case, 52 digits.
fn fingerprint(network: &NetworkId, verify: &VerifyKey, sealing: &AgreementKey) -> String {
    let mut hash = Sha256::new();
    hash.update(labels::FINGERPRINT.as_bytes());
    hash.update([0]);
    for part in [&network.0, &verify.0, &sealing.0] {
        hash.update(part);
    }
    BASE32_NOPAD.encode(&hash.finalize()).to_ascii_lowercase()
}

/// What an address certificate binds together.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AddressClaims {
    /// The network.
    pub network: NetworkId,
    /// The address.
    pub address: Address,
    /// Authenticates the owner: reads, deletions, signed mail.
    pub verify_key: VerifyKey,
    /// What notifications are sealed to.
    pub sealing_key: AgreementKey,
    /// How long it holds.
    pub validity: Validity,
}

/// An address certificate as it came.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct UnverifiedAddressCertificate {
    claims: AddressClaims,
    signature: Signature,
}

/// An address certificate that was verified for its network at a time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AddressCertificate(UnverifiedAddressCertificate);

impl UnverifiedAddressCertificate {
    /// The longest encoding, bytes.
    pub const MAX: usize = 512;

    /// Signs a self-certifying certificate, or, by the address's own key, nothing anyone accepts.
    #[must_use]
    pub fn self_signed(secret: &AddressSecret, claims: AddressClaims) -> Self {
        let signature = secret.sign(labels::ADDRESS_CERTIFICATE, &claims.network, &claims);
        Self { claims, signature }
    }

    /// Signs a certificate as the authority.
    #[must_use]
    pub fn issue(authority: &AuthoritySecret, claims: AddressClaims) -> Self {
        let signature = authority.sign(labels::ADDRESS_CERTIFICATE, &claims.network, &claims);
        Self { claims, signature }
    }

    /// Reads one from bytes.
    ///
    /// # Errors
    /// [`CertificateError::Wire`].
    pub fn decode(bytes: &[u8]) -> Result<Self, CertificateError> {
        Ok(wire::decode(bytes, Self::MAX)?)
    }

    /// Checks everything about it, at `now`. Who must have signed follows from the form of the address.
    ///
    /// # Errors
    /// [`CertificateError`] saying which check failed.
    pub fn verify(
        self,
        network: &Network,
        now: Time,
    ) -> Result<AddressCertificate, CertificateError> {
        let claims = &self.claims;
        if claims.network != network.id || claims.address.domain() != network.name {
            return Err(CertificateError::WrongNetwork);
        }
        let Validity { not_before, not_after } = claims.validity;
        if not_after.0.saturating_sub(not_before.0) > MAX_ADDRESS_VALIDITY {
            return Err(CertificateError::OutOfBounds);
        }
        check_validity(&claims.validity, now)?;
        claims.sealing_key.check()?;
        claims.verify_key.check()?;
        if network.revoked.addresses.contains(&claims.verify_key) {
            return Err(CertificateError::Revoked);
        }
        let signer = if claims.address.is_self_certifying() {
            let own = fingerprint(&network.id, &claims.verify_key, &claims.sealing_key);
            if claims.address.local() != own {
                return Err(CertificateError::WrongSigner);
            }
            claims.verify_key
        } else {
            network.authority.ok_or(CertificateError::WrongSigner)?
        };
        signer.verify(labels::ADDRESS_CERTIFICATE, &network.id, claims, &self.signature)?;
        Ok(AddressCertificate(self))
    }
}

impl AddressCertificate {
    /// What it binds together.
    #[must_use]
    pub const fn claims(&self) -> &AddressClaims {
        &self.0.claims
    }

    /// The address.
    #[must_use]
    pub const fn address(&self) -> &Address {
        &self.0.claims.address
    }

    /// For sending it on: the reader verifies again.
    #[must_use]
    pub fn to_unverified(&self) -> UnverifiedAddressCertificate {
        self.0.clone()
    }

    /// The stored form.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        wire::encode(&self.0)
    }

    /// The later of two valid certificates of one address: a fixed order, so that all readers agree.
    #[must_use]
    pub fn newer(self, other: Self) -> Self {
        let rank = |c: &Self| (c.claims().validity.not_before, c.encode());
        if rank(&other) > rank(&self) { other } else { self }
    }
}
