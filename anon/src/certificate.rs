//! Certificates (paper, 2.1 and 4.1), their checks as types: what comes from outside is `Unverified…`, what
//! a caller may act on has been verified at a time.

mod address;
mod node;
mod signing_request;

pub use address::{
    Address, AddressCertificate, AddressClaims, AddressError, MAX_ADDRESS_VALIDITY,
    UnverifiedAddressCertificate,
};
pub use node::{
    Admission, MAX_ADDRESS, MAX_ADDRESSES, MAX_FAMILY, MAX_NODE_CERTIFICATE, MAX_NODE_VALIDITY,
    NodeCertificate, NodeClaims, UnverifiedNodeCertificate,
};
pub use signing_request::{RequestError, SigningRequest, Subject};

use thiserror::Error;

use crate::{
    keys::KeyError,
    time::{Time, Timeliness, Validity},
    wire::WireError,
};

/// Why a certificate is not accepted. All but `NotYetValid` and `Expired` mean that whoever made it errs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The bytes are no certificate.
    #[error("not a certificate: {0}")]
    Wire(#[from] WireError),
    /// Made for another network.
    #[error("made for another network")]
    WrongNetwork,
    /// A key is weak, or a signature does not verify.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Not valid yet, beyond the allowed skew.
    #[error("not valid yet (or this machine's clock is behind)")]
    NotYetValid,
    /// Expired, beyond the allowed skew.
    #[error("expired (or this machine's clock is ahead)")]
    Expired,
    /// The network wants the authority's admission, and there is none that fits.
    #[error("not admitted by the network's authority")]
    NotAdmitted,
    /// The authority took it back.
    #[error("revoked by the network's authority")]
    Revoked,
    /// The address is not the fingerprint of the keys, or no authority signed for it.
    #[error("the address does not belong to the key")]
    WrongSigner,
    /// A field is longer, or there are more of them, than a certificate may have.
    #[error("a field is out of bounds")]
    OutOfBounds,
}

fn check_validity(validity: &Validity, now: Time) -> Result<(), CertificateError> {
    match validity.at(now) {
        Timeliness::Timely => Ok(()),
        Timeliness::NotYet => Err(CertificateError::NotYetValid),
        Timeliness::Expired => Err(CertificateError::Expired),
    }
}
