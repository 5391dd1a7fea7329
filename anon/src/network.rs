//! What all members of a network share and trust (paper, 2.1: the DHT and the certificate authority).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::{
    id::{NetworkId, NodeId},
    keeper::charter::Charter,
    keys::{AuthoritySecret, KeyError, Signature, SigningSecret as _, VerifyKey},
    labels,
    time::Time,
    wire,
};

pub use crate::time::Epoch;

/// The most replicas a network may ask for: what one Kademlia lookup can return.
pub const MAX_K: usize = 20;

/// How many of `k` replicas make a success where the network file does not say: three quarters, rounded down, and always
/// a majority. From k = 3 on one of them may be dead, and any two quorums have a node in common: a certificate that a
/// quorum keeps is never missing from a quorum.
#[must_use]
pub fn default_quorum(k: usize) -> usize {
    (k * 3 / 4).max(k / 2 + 1).min(k)
}

impl NetworkId {
    /// `SHA-256(label ‖ 0x00 ‖ name ‖ 0x00 ‖ authority's key, if there is one)`.
    #[must_use]
    pub fn derive(name: &str, authority: Option<&VerifyKey>) -> Self {
        let mut hash = Sha256::new();
        hash.update(labels::NETWORK_ID.as_bytes());
        hash.update([0]);
        hash.update(name.as_bytes());
        hash.update([0]);
        if let Some(key) = authority {
            hash.update(key.0);
        }
        Self(hash.finalize().into())
    }
}

/// What a member checks others against.
#[derive(Clone, Debug)]
pub struct Network {
    /// Its id.
    pub id: NetworkId,
    /// Its name, the domain of its addresses, such as `demo.alt`.
    pub name: String,
    /// The authority's key; without one only self-certifying addresses exist and any node may serve.
    pub authority: Option<VerifyKey>,
    /// Whether a node needs the authority's admission to serve.
    pub admission_required: bool,
    /// Replicas of each object.
    pub k: usize,
    /// Receipts that make a store or an append a success: more than half of `k`, and at most `k`.
    pub quorum: usize,
    /// An epoch's length, seconds, at least 1.
    pub epoch_seconds: u64,
    /// What the authority took back.
    pub revoked: Revoked,
    /// Who makes the network's views; a network without keepers has none.
    pub charter: Option<Charter>,
}

impl Network {
    /// The epoch that a moment lies in.
    #[must_use]
    pub fn epoch(&self, at: Time) -> Epoch {
        Epoch(at.0 / self.epoch_seconds.max(1))
    }

    /// When an epoch begins; the end of time for one that never does.
    #[must_use]
    pub fn begins(&self, epoch: Epoch) -> Time {
        epoch.begins(self.epoch_seconds.max(1))
    }
}

/// What the authority took back, by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revoked {
    /// Nodes.
    pub nodes: BTreeSet<NodeId>,
    /// Addresses' signing keys.
    pub addresses: BTreeSet<VerifyKey>,
}

/// A revocation list as it came; [`UnverifiedRevocationList::verify`] makes it count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnverifiedRevocationList {
    content: RevocationContent,
    signature: Signature,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct RevocationContent {
    number: u64,
    issued: Time,
    nodes: Vec<NodeId>,
    addresses: Vec<VerifyKey>,
}

/// A revocation list that the network's authority did not sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the revocation list is not signed by this network's authority")]
pub struct RevocationError(#[from] KeyError);

impl UnverifiedRevocationList {
    /// Signs list `number`: everything revoked so far.
    #[must_use]
    pub fn issue(
        authority: &AuthoritySecret,
        network: &NetworkId,
        number: u64,
        issued: Time,
        revoked: &Revoked,
    ) -> Self {
        let content = RevocationContent {
            number,
            issued,
            nodes: revoked.nodes.iter().copied().collect(),
            addresses: revoked.addresses.iter().copied().collect(),
        };
        let signature = authority.sign(labels::REVOCATION_LIST, network, &content);
        Self { content, signature }
    }

    /// `SHA-256(label ‖ 0x00 ‖ encoded list)`: what keepers name it by.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for part in [labels::REVOCATIONS_DIGEST.as_bytes(), &[0], &wire::encode(self)] {
            hash.update(part);
        }
        hash.finalize().into()
    }

    /// The list's number; a later list has a higher one.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.content.number
    }

    /// What it takes back.
    ///
    /// # Errors
    /// [`RevocationError`] if the authority did not sign it for this network.
    pub fn verify(
        self,
        network: &NetworkId,
        authority: &VerifyKey,
    ) -> Result<Revoked, RevocationError> {
        authority.verify(labels::REVOCATION_LIST, network, &self.content, &self.signature)?;
        Ok(Revoked {
            nodes: self.content.nodes.into_iter().collect(),
            addresses: self.content.addresses.into_iter().collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quorum_survives_a_dead_replica_and_meets_every_other_quorum() {
        let quorums: Vec<usize> = (1..=8).map(default_quorum).collect();
        assert_eq!(quorums, [1, 2, 2, 3, 3, 4, 5, 6]);
        for k in 1..=MAX_K {
            let quorum = default_quorum(k);
            assert!(quorum * 2 > k && quorum <= k, "two quorums of {k} may have nobody in common");
            assert!(k < 3 || quorum < k, "one dead replica of {k} keeps every mail waiting");
        }
    }

    #[test]
    fn an_epoch_begins_with_the_first_second_that_lies_in_it() {
        let mut network = Network {
            id: NetworkId::derive("demo.alt", None),
            name: "demo.alt".to_owned(),
            authority: None,
            admission_required: false,
            k: 1,
            quorum: 1,
            epoch_seconds: 90,
            revoked: Revoked::default(),
            charter: None,
        };
        assert_eq!(network.begins(Epoch(7)), Time(630));
        assert_eq!(network.epoch(Time(629)), Epoch(6));
        assert_eq!(network.epoch(Time(630)), Epoch(7));
        assert_eq!(network.begins(Epoch(u64::MAX)), Time(u64::MAX));
        network.epoch_seconds = 0;
        assert_eq!(network.begins(Epoch(7)), Time(7));
    }

    #[test]
    fn a_revocation_list_counts_only_from_the_authority_of_its_network() {
        let authority = AuthoritySecret::from_seed(&[1; 32]);
        let id = NetworkId::derive("demo.alt", Some(&authority.verify_key()));
        let revoked = Revoked { nodes: [NodeId([4; 32])].into(), ..Revoked::default() };
        let list = UnverifiedRevocationList::issue(&authority, &id, 3, Time(9), &revoked);
        assert_eq!(list.number(), 3);
        let digested = [b"cutout/1 revocations digest\0".as_slice(), &wire::encode(&list)].concat();
        assert_eq!(list.digest(), <[u8; 32]>::from(Sha256::digest(digested)));
        assert_eq!(list.clone().verify(&id, &authority.verify_key()), Ok(revoked));
        let other = NetworkId::derive("other.alt", Some(&authority.verify_key()));
        assert!(list.clone().verify(&other, &authority.verify_key()).is_err());
        let stranger = AuthoritySecret::from_seed(&[2; 32]).verify_key();
        assert!(list.verify(&id, &stranger).is_err());
    }
}
