//! Who stands behind a node, as far as anybody can tell.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::certificate::NodeCertificate;

/// Who stands behind a node: its family and the /16 (or /32 of IPv6) it lives in. Two nodes have different
/// operators only if neither agrees. An onion address stands for itself: it costs nothing and shows no subnet, so that
/// nodes without any other can be told apart by name alone (L-56).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Operator {
    family: String,
    subnets: BTreeSet<Vec<u8>>,
}

/// One thing by which operators are told apart; whoever has it in common shares what it may fill.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mark {
    /// Nothing is known of it.
    Nothing,
    Family(String),
    Subnet(Vec<u8>),
}

impl Operator {
    /// The operator that a certificate points to.
    #[must_use]
    pub fn of(certificate: &NodeCertificate) -> Self {
        let claims = certificate.claims();
        let subnets = claims.addresses.iter().filter_map(|a| subnet(a)).collect();
        Self { family: claims.family.clone(), subnets }
    }

    /// Whether the two could be one: the same family, or a subnet in common, or nothing to tell them apart.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self == other
            || (!self.family.is_empty() && self.family == other.family)
            || !self.subnets.is_disjoint(&other.subnets)
    }

    /// Everything that it could have in common with another.
    pub(super) fn marks(&self) -> Vec<Mark> {
        let family = Some(&self.family).filter(|f| !f.is_empty()).cloned().map(Mark::Family);
        let mut marks: Vec<Mark> =
            family.into_iter().chain(self.subnets.iter().cloned().map(Mark::Subnet)).collect();
        if marks.is_empty() {
            marks.push(Mark::Nothing);
        }
        marks
    }
}

/// The /16 of an IPv4 multiaddr, the /32 of an IPv6 one, the whole name of an onion; `None` for other names.
fn subnet(address: &str) -> Option<Vec<u8>> {
    let mut parts = address.split('/').skip(1);
    match (parts.next()?, parts.next()?) {
        ("ip4", text) => {
            let octets = text.parse::<std::net::Ipv4Addr>().ok()?.octets();
            Some(octets.first_chunk::<2>()?.to_vec())
        }
        ("ip6", text) => {
            let octets = text.parse::<std::net::Ipv6Addr>().ok()?.octets();
            Some(octets.first_chunk::<4>()?.to_vec())
        }
        ("onion3", text) => {
            let (name, _) = text.split_once(':').unwrap_or((text, ""));
            Some(name.as_bytes().to_vec())
        }
        _ => None,
    }
}
