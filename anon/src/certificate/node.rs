//! Node certificates: which channel key and which addresses a node has, signed by the node itself, and the
//! authority's admission where the network wants one.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{CertificateError, check_validity};
use crate::{
    id::{NetworkId, NodeId},
    keys::{
        AgreementKey, AuthoritySecret, IdentitySecret, Signature, SigningSecret as _, VerifyKey,
    },
    labels,
    network::Network,
    time::{Time, Timeliness, Validity},
    wire,
};

/// The most addresses a certificate names: one of IPv4, one of IPv6, one onion service.
pub const MAX_ADDRESSES: usize = 3;
/// The longest address, bytes: `/onion3/`, 56 letters, a colon and a port.
pub const MAX_ADDRESS: usize = 70;
/// The longest family name, bytes.
pub const MAX_FAMILY: usize = 64;
/// The longest time that a node certificate holds, seconds: 32 days. Nobody can leave a node in a roster for ever.
pub const MAX_NODE_VALIDITY: u64 = 32 * 86_400;
/// The longest encoding of a node certificate, bytes, rounded up: a full roster of them fits a vault's file.
pub const MAX_NODE_CERTIFICATE: usize = 576;

/// Letters of an onion service's name, version 3.
const ONION_LETTERS: usize = 56;

/// The authority's permission for a node to serve in its network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admission {
    validity: Validity,
    signature: Signature,
}

#[derive(Serialize)]
struct AdmissionClaims {
    node: NodeId,
    validity: Validity,
}

impl Admission {
    /// Admits `node` for a time.
    #[must_use]
    pub fn issue(
        authority: &AuthoritySecret,
        network: &NetworkId,
        node: NodeId,
        validity: Validity,
    ) -> Self {
        let signature =
            authority.sign(labels::ADMISSION, network, &AdmissionClaims { node, validity });
        Self { validity, signature }
    }

    /// Checks that `authority` admitted `node` at this time.
    ///
    /// # Errors
    /// [`CertificateError`] saying which check failed.
    pub fn verify(
        &self,
        authority: &VerifyKey,
        network: &NetworkId,
        node: NodeId,
        now: Time,
    ) -> Result<(), CertificateError> {
        check_validity(&self.validity, now)?;
        let claims = AdmissionClaims { node, validity: self.validity };
        authority
            .verify(labels::ADMISSION, network, &claims, &self.signature)
            .map_err(|_| CertificateError::NotAdmitted)
    }
}

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeClaims {
    /// The network it serves.
    pub network: NetworkId,
    /// Who it is.
    pub identity: NodeId,
    /// What senders run the handshake with.
    pub channel_key: AgreementKey,
    /// Where it listens: at most [`MAX_ADDRESSES`], each one `/ip4/…/tcp/…`, `/ip6/…/tcp/…` or `/onion3/…:…`.
    pub addresses: Vec<String>,
    /// Who operates it, at most [`MAX_FAMILY`] bytes; empty: nobody says.
    pub family: String,
    /// How long this channel key holds.
    pub validity: Validity,
    /// The authority's permission, where the network wants one.
    pub admission: Option<Admission>,
}

/// A node certificate as it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnverifiedNodeCertificate {
    claims: NodeClaims,
    signature: Signature,
}

/// A node certificate that was verified for its network at a time.
#[derive(Clone, PartialEq, Eq)]
pub struct NodeCertificate {
    inner: UnverifiedNodeCertificate,
    digest: [u8; 32],
}

impl fmt::Debug for NodeCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeCertificate({})", self.node().short())
    }
}

impl UnverifiedNodeCertificate {
    /// Whose certificate it says it is.
    #[must_use]
    pub const fn claimed_node(&self) -> NodeId {
        self.claims.identity
    }

    /// Whether everything in it is as long, and holds as long, as it may. No signature is checked.
    #[must_use]
    pub(crate) fn is_in_bounds(&self) -> bool {
        let NodeClaims { addresses, family, validity, .. } = &self.claims;
        let seconds = validity.not_after.0.saturating_sub(validity.not_before.0);
        addresses.len() <= MAX_ADDRESSES
            && addresses.iter().all(|address| is_address(address))
            && family.len() <= MAX_FAMILY
            && seconds <= MAX_NODE_VALIDITY
    }

    /// Checks everything about it, at `now`.
    ///
    /// # Errors
    /// [`CertificateError`] saying which check failed.
    pub fn verify(self, network: &Network, now: Time) -> Result<NodeCertificate, CertificateError> {
        let claims = &self.claims;
        if claims.network != network.id {
            return Err(CertificateError::WrongNetwork);
        }
        if !self.is_in_bounds() {
            return Err(CertificateError::OutOfBounds);
        }
        check_validity(&claims.validity, now)?;
        claims.channel_key.check()?;
        if network.revoked.nodes.contains(&claims.identity) {
            return Err(CertificateError::Revoked);
        }
        if network.admission_required {
            let admission = claims.admission.as_ref().ok_or(CertificateError::NotAdmitted)?;
            let authority = network.authority.as_ref().ok_or(CertificateError::NotAdmitted)?;
            admission.verify(authority, &network.id, claims.identity, now)?;
        }
        let key = claims.identity.verify_key();
        key.verify(labels::NODE_CERTIFICATE, &network.id, claims, &self.signature)?;
        let digest = Sha256::digest(wire::encode(&self)).into();
        Ok(NodeCertificate { inner: self, digest })
    }
}

impl NodeCertificate {
    /// Signs a certificate for oneself.
    #[must_use]
    pub fn issue(identity: &IdentitySecret, claims: NodeClaims) -> UnverifiedNodeCertificate {
        let signature = identity.sign(labels::NODE_CERTIFICATE, &claims.network, &claims);
        UnverifiedNodeCertificate { claims, signature }
    }

    /// Whose certificate it is.
    #[must_use]
    pub const fn node(&self) -> NodeId {
        self.inner.claims.identity
    }

    /// What the node says of itself.
    #[must_use]
    pub const fn claims(&self) -> &NodeClaims {
        &self.inner.claims
    }

    /// SHA-256 of the encoded certificate: which channel key a handshake is meant for.
    #[must_use]
    pub const fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Whether what was verified once still holds at `now`: the dates, the admission's too, and that nobody
    /// revoked it. No signature is checked again.
    #[must_use]
    pub fn holds(&self, network: &Network, now: Time) -> bool {
        let claims = self.claims();
        let admitted = || {
            let admission = claims.admission.as_ref();
            admission.is_some_and(|a| a.validity.at(now) == Timeliness::Timely)
        };
        claims.validity.at(now) == Timeliness::Timely
            && !network.revoked.nodes.contains(&claims.identity)
            && (!network.admission_required || admitted())
    }

    /// For sending it on: the reader verifies again.
    #[must_use]
    pub fn to_unverified(&self) -> UnverifiedNodeCertificate {
        self.inner.clone()
    }

    /// The one of two certificates of one node whose channel key is newer: a fixed order, so that everybody
    /// who has both takes the same.
    #[must_use]
    pub fn newer(self, other: Self) -> Self {
        let rank = |c: &Self| (c.claims().validity.not_before, c.digest);
        if rank(&other) > rank(&self) { other } else { self }
    }
}

/// Whether a text is an address that a node can have, written in the one way that everybody writes it: what cannot be
/// dialled is no use to anybody and costs every roster its room.
fn is_address(text: &str) -> bool {
    let parts: Vec<&str> = text.split('/').collect();
    text.len() <= MAX_ADDRESS
        && match parts.as_slice() {
            ["", "ip4", ip, "tcp", port] => is_written_so::<Ipv4Addr>(ip) && is_port(port),
            ["", "ip6", ip, "tcp", port] => is_written_so::<Ipv6Addr>(ip) && is_port(port),
            ["", "onion3", onion] => onion.split_once(':').is_some_and(|(name, port)| {
                let letter = |b: u8| b.is_ascii_lowercase() || (b'2'..=b'7').contains(&b);
                name.len() == ONION_LETTERS && name.bytes().all(letter) && is_port(port)
            }),
            _ => false,
        }
}

fn is_port(text: &str) -> bool {
    is_written_so::<u16>(text)
}

/// Whether a text is what this kind of value prints.
fn is_written_so<T: FromStr + fmt::Display>(text: &str) -> bool {
    text.parse::<T>().is_ok_and(|value| value.to_string() == text)
}
