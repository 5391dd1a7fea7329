//! What an applicant hands to the offline authority: an address or a node to be signed for.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Address, AddressClaims, Admission, UnverifiedAddressCertificate};
use crate::{
    id::{NetworkId, NodeId},
    keys::{
        AddressSecret, AgreementKey, AuthoritySecret, IdentitySecret, KeyError, Signature,
        SigningSecret as _, VerifyKey,
    },
    labels,
    network::Network,
    time::Validity,
};

/// Whom the authority is asked to sign for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Subject {
    /// An e-mail address and its keys.
    Address {
        /// The address.
        address: Address,
        /// Its signing key.
        verify_key: VerifyKey,
        /// Its sealing key.
        sealing_key: AgreementKey,
    },
    /// A node.
    Node(NodeId),
}

/// A subject, and the proof that whoever asks holds its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningRequest {
    network: NetworkId,
    subject: Subject,
    signature: Signature,
}

/// Why the authority does not sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RequestError {
    /// Made for another network.
    #[error("the request was made for another network")]
    WrongNetwork,
    /// Not signed by the subject's own key.
    #[error("the request is not signed by the key it names")]
    NotOwner(#[from] KeyError),
    /// An address that is a fingerprint needs no authority, and must not get one.
    #[error("a self-certifying address needs no authority")]
    SelfCertifying,
}

impl SigningRequest {
    /// Asks for an address certificate.
    #[must_use]
    pub fn for_address(
        network: &NetworkId,
        secret: &AddressSecret,
        address: Address,
        sealing_key: AgreementKey,
    ) -> Self {
        let subject = Subject::Address { address, verify_key: secret.verify_key(), sealing_key };
        let signature = secret.sign(labels::SIGNING_REQUEST, network, &subject);
        Self { network: *network, subject, signature }
    }

    /// Asks for a node's admission.
    #[must_use]
    pub fn for_node(network: &NetworkId, secret: &IdentitySecret) -> Self {
        let subject = Subject::Node(NodeId(secret.verify_key().0));
        let signature = secret.sign(labels::SIGNING_REQUEST, network, &subject);
        Self { network: *network, subject, signature }
    }

    /// Checks the request and tells whom it is for.
    ///
    /// # Errors
    /// [`RequestError`] saying which check failed.
    pub fn verify(&self, network: &Network) -> Result<&Subject, RequestError> {
        if self.network != network.id {
            return Err(RequestError::WrongNetwork);
        }
        let key = match &self.subject {
            Subject::Address { address, .. } if address.domain() != network.name => {
                return Err(RequestError::WrongNetwork);
            }
            Subject::Address { address, .. } if address.is_self_certifying() => {
                return Err(RequestError::SelfCertifying);
            }
            Subject::Address { verify_key, sealing_key, .. } => {
                sealing_key.check()?;
                *verify_key
            }
            Subject::Node(node) => node.verify_key(),
        };
        key.verify(labels::SIGNING_REQUEST, &network.id, &self.subject, &self.signature)?;
        Ok(&self.subject)
    }
}

impl Subject {
    /// The authority's certificate for an address subject; `None` for a node.
    #[must_use]
    pub fn certify(
        &self,
        authority: &AuthoritySecret,
        network: &NetworkId,
        validity: Validity,
    ) -> Option<UnverifiedAddressCertificate> {
        let Self::Address { address, verify_key, sealing_key } = self else { return None };
        let claims = AddressClaims {
            network: *network,
            address: address.clone(),
            verify_key: *verify_key,
            sealing_key: *sealing_key,
            validity,
        };
        Some(UnverifiedAddressCertificate::issue(authority, claims))
    }

    /// The authority's admission for a node subject; `None` for an address.
    #[must_use]
    pub fn admit(
        &self,
        authority: &AuthoritySecret,
        network: &NetworkId,
        validity: Validity,
    ) -> Option<Admission> {
        let Self::Node(node) = self else { return None };
        Some(Admission::issue(authority, network, *node, validity))
    }
}
