//! An account: one address, its keys and its certificate, kept in the vault.

use anon::{
    certificate::{
        Address, AddressCertificate, AddressClaims, CertificateError, SigningRequest,
        UnverifiedAddressCertificate,
    },
    keys::{AddressSecret, SealingSecret, SigningSecret as _},
    network::Network,
    time::{Time, Validity},
    wire,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{
    sealed,
    vault::{Vault, VaultError},
};

/// Name of the user's own account, and of its sealed file.
pub const OWN: &str = "account";
/// What the names of accounts for answers begin with.
const REPLY: &str = "reply-";
/// The most addresses for answers that one user keeps.
pub const MAX_REPLIES: usize = 64;
/// Its greatest length, bytes.
const MAX: usize = 4096;
/// How long a self-certifying certificate holds, seconds; `cutout fetch` renews it in its last quarter.
pub const VALIDITY: u64 = 365 * 86_400;

/// Why an account cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AccountError {
    /// The vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The certificate in it does not verify.
    #[error("this account's certificate is not accepted by its network: {0}")]
    Certificate(#[from] CertificateError),
    /// The authority has not signed for the address yet.
    #[error("the address {0} has no certificate yet")]
    Uncertified(Address),
    /// A certificate for other keys or another address.
    #[error("the certificate is not for this account")]
    ForeignCertificate,
}

impl AccountError {
    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Vault(error) => error.remedy(),
            Self::Uncertified(_) => {
                "have the authority sign your request, then run `cutout init --certificate FILE`"
            }
            Self::ForeignCertificate => "install the certificate that was made from your request",
            Self::Certificate(_) => {
                "check this machine's clock; if the certificate has expired, ask the authority for a new one"
            }
        }
    }
}

#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct Stored {
    #[zeroize(skip)]
    address: Address,
    signing_seed: [u8; 32],
    sealing_seed: [u8; 32],
    #[zeroize(skip)]
    certificate: Option<UnverifiedAddressCertificate>,
}

/// One address and its secrets.
#[derive(Debug)]
pub struct Account {
    address: Address,
    signing: AddressSecret,
    sealing: SealingSecret,
    certificate: Option<UnverifiedAddressCertificate>,
}

/// An address's secrets, sampled.
fn secrets() -> (AddressSecret, SealingSecret) {
    let mut rng = rand::rng();
    (AddressSecret::generate(&mut rng), SealingSecret::generate(&mut rng))
}

impl Account {
    /// A new account with an address that certifies itself.
    #[must_use]
    pub fn self_certifying(network: &Network, now: Time) -> Self {
        let (signing, sealing) = secrets();
        Self::from_secrets(signing, sealing, network, now)
    }

    /// The account with these secrets and an address that certifies itself.
    #[must_use]
    pub(crate) fn from_secrets(
        signing: AddressSecret,
        sealing: SealingSecret,
        network: &Network,
        now: Time,
    ) -> Self {
        let address =
            Address::self_certifying(network, &signing.verify_key(), &sealing.agreement_key());
        let mut account = Self { address, signing, sealing, certificate: None };
        account.renew(network, now);
        account
    }

    /// A new account with an address of one's choice, for which the authority has yet to sign.
    #[must_use]
    pub fn uncertified(address: Address) -> Self {
        let (signing, sealing) = secrets();
        Self { address, signing, sealing, certificate: None }
    }

    /// Signs a self-certifying account's certificate anew.
    pub(crate) fn renew(&mut self, network: &Network, now: Time) {
        let claims = AddressClaims {
            network: network.id,
            address: self.address.clone(),
            verify_key: self.signing.verify_key(),
            sealing_key: self.sealing.agreement_key(),
            validity: Validity::starting(now, VALIDITY),
        };
        self.certificate = Some(UnverifiedAddressCertificate::self_signed(&self.signing, claims));
    }

    /// Reads the user's own account from the vault.
    ///
    /// # Errors
    /// [`AccountError`].
    pub fn read(vault: &Vault) -> Result<Self, AccountError> {
        Self::read_named(vault, OWN)
    }

    /// The names of the accounts that were made for answers, sorted.
    ///
    /// # Errors
    /// [`AccountError::Vault`].
    pub fn replies(vault: &Vault) -> Result<Vec<String>, AccountError> {
        Ok(vault.list(REPLY)?)
    }

    /// A fresh name for an account for answers; it says nothing.
    #[must_use]
    pub fn reply_name() -> String {
        format!("{REPLY}{}", data_encoding::HEXLOWER.encode(&rand::random::<[u8; 6]>()))
    }

    /// Reads the account of this name from the vault.
    ///
    /// # Errors
    /// [`AccountError`].
    pub fn read_named(vault: &Vault, name: &str) -> Result<Self, AccountError> {
        let stored: Option<Stored> = sealed::read(vault, name, MAX)?;
        let stored = stored.ok_or_else(|| VaultError::Missing(name.to_owned()))?;
        Ok(Self {
            address: stored.address.clone(),
            signing: AddressSecret::from_seed(&stored.signing_seed),
            sealing: SealingSecret::from_seed(&stored.sealing_seed),
            certificate: stored.certificate.clone(),
        })
    }

    /// Writes the user's own account to the vault.
    ///
    /// # Errors
    /// [`AccountError::Vault`].
    pub fn write(&self, vault: &Vault) -> Result<(), AccountError> {
        self.write_named(vault, OWN)
    }

    /// Writes the account to the vault under this name.
    ///
    /// # Errors
    /// [`AccountError::Vault`].
    pub fn write_named(&self, vault: &Vault, name: &str) -> Result<(), AccountError> {
        let stored = Stored {
            address: self.address.clone(),
            signing_seed: self.signing.expose_seed(),
            sealing_seed: self.sealing.expose_seed(),
            certificate: self.certificate.clone(),
        };
        let bytes = Zeroizing::new(wire::encode(&stored));
        Ok(vault.write(name, &bytes)?)
    }

    /// Takes in the certificate that the authority made.
    ///
    /// # Errors
    /// [`AccountError`] if it does not verify or is somebody else's.
    pub fn certify(
        &mut self,
        certificate: UnverifiedAddressCertificate,
        network: &Network,
        now: Time,
    ) -> Result<(), AccountError> {
        let verified = certificate.clone().verify(network, now)?;
        let claims = verified.claims();
        let mine = claims.address == self.address
            && claims.verify_key == self.signing.verify_key()
            && claims.sealing_key == self.sealing.agreement_key();
        if !mine {
            return Err(AccountError::ForeignCertificate);
        }
        self.certificate = Some(certificate);
        Ok(())
    }

    /// What to hand to the authority.
    #[must_use]
    pub fn signing_request(&self, network: &Network) -> SigningRequest {
        let sealing = self.sealing.agreement_key();
        SigningRequest::for_address(&network.id, &self.signing, self.address.clone(), sealing)
    }

    /// The address.
    #[must_use]
    pub const fn address(&self) -> &Address {
        &self.address
    }

    /// The signing secret.
    #[must_use]
    pub const fn signing(&self) -> &AddressSecret {
        &self.signing
    }

    /// The sealing secret.
    #[must_use]
    pub const fn sealing(&self) -> &SealingSecret {
        &self.sealing
    }

    /// The certificate, verified now.
    ///
    /// # Errors
    /// [`AccountError`] if there is none or it does not hold any more.
    pub fn certificate(
        &self,
        network: &Network,
        now: Time,
    ) -> Result<AddressCertificate, AccountError> {
        match &self.certificate {
            Some(certificate) => Ok(certificate.clone().verify(network, now)?),
            None => Err(AccountError::Uncertified(self.address.clone())),
        }
    }

    /// Whether a self-certifying certificate is in its last quarter, or over.
    #[must_use]
    pub(crate) fn wants_renewal(&self, network: &Network, now: Time) -> bool {
        self.address.is_self_certifying()
            && self.certificate(network, now.after(VALIDITY / 4)).is_err()
    }
}
