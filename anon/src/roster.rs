//! The roster: the certificates of a network's nodes, as one member knows them, from which "closest" is a local
//! computation and nothing need be looked up when a mail is sent.
//!
//! A node becomes *active* once sources of two different operators vouch for it and it has been known for an
//! epoch: nobody can mint a node next to a key after the key was drawn. What a member hands on of its roster
//! is its *settled* part, the nodes it has known since before the current epoch, so whoever is told of a node
//! knows that the source has known it for that long.
//!
//! Exchange is by digests in 256 pieces (by the first byte of the position): an unchanged roster costs one
//! round trip and 2 KiB.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    certificate::{NodeCertificate, NodeId, UnverifiedNodeCertificate},
    network::{Epoch, Network},
    position::{Key, keep_closest},
    time::Time,
};

/// The most nodes a roster holds.
pub const MAX_NODES: usize = 100_000;
/// Pieces in which rosters are compared.
pub const PIECES: usize = 256;
/// Sources of different operators that a node needs to become active.
pub const VOUCHERS: usize = 2;
/// The most digests one message of an exchange lists.
pub const MAX_LISTED: usize = 50_000;
/// The most certificates one message of an exchange carries.
pub const MAX_CARRIED: usize = 2_048;

/// The start of a certificate's SHA-256, for comparing rosters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ShortDigest(pub [u8; 8]);

impl ShortDigest {
    fn of(certificate: &NodeCertificate) -> Self {
        Self(certificate.digest().first_chunk().copied().unwrap_or_default())
    }
}

/// Who stands behind a node, as far as anybody can tell: its family and the /16 (or /32 of IPv6) it lives in.
/// Two nodes have different operators only if neither agrees.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Operator {
    family: String,
    subnets: BTreeSet<Vec<u8>>,
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
}

/// The /16 of an IPv4 multiaddr, the /32 of an IPv6 one; `None` for names and onions.
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
        _ => None,
    }
}

/// From where a member knows a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// It asked the node itself.
    Contact,
    /// Another member, of this operator, had it in its settled roster.
    Member(Operator),
}

impl Source {
    fn independent_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Member(a), Self::Member(b)) => !a.overlaps(b),
            (Self::Contact, Self::Contact) => false,
            (Self::Contact, Self::Member(_)) | (Self::Member(_), Self::Contact) => true,
        }
    }
}

#[derive(Clone, Debug)]
struct Entry {
    certificate: NodeCertificate,
    /// When this member first knew the node, or since when independent members say they did.
    since: Epoch,
    /// The first source, and one independent of it if there is one.
    sources: Vec<Source>,
}

impl Entry {
    fn is_vouched(&self) -> bool {
        self.sources.len() >= VOUCHERS
    }

    fn is_settled(&self, now: Epoch) -> bool {
        self.since < now && (self.is_vouched() || self.sources.contains(&Source::Contact))
    }

    fn is_active(&self, now: Epoch) -> bool {
        self.since < now && self.is_vouched()
    }
}

/// An entry as it is kept on disk.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoredEntry {
    certificate: UnverifiedNodeCertificate,
    since: Epoch,
    sources: Vec<Source>,
}

/// The nodes that one member knows.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    entries: BTreeMap<NodeId, Entry>,
}

impl Roster {
    /// How many nodes are known, active or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes in what `source` knows of a node. A member's settled nodes were known to it before the current
    /// epoch; a contact is as old as it is. Of two certificates the newer one counts.
    pub fn learn(&mut self, certificate: NodeCertificate, source: Source, now: Epoch) {
        let since = match source {
            Source::Contact => now,
            Source::Member(_) => now.before(),
        };
        let node = certificate.node();
        if let Some(entry) = self.entries.get_mut(&node) {
            entry.certificate = entry.certificate.clone().newer(certificate);
            let known = entry.sources.iter().all(|s| s.independent_of(&source));
            if known && entry.sources.len() < VOUCHERS {
                entry.sources.push(source);
                // As old as the younger of the two says: one liar makes nobody old.
                entry.since = entry.since.max(since).min(now);
                if entry.sources.iter().all(|s| matches!(s, Source::Member(_))) {
                    entry.since = entry.since.min(now.before());
                }
            }
        } else if self.entries.len() < MAX_NODES {
            self.entries.insert(node, Entry { certificate, since, sources: vec![source] });
        }
    }

    /// Forgets what has expired or was revoked, at `now`.
    pub fn expire(&mut self, network: &Network, now: Time) {
        self.entries
            .retain(|_, entry| entry.certificate.to_unverified().verify(network, now).is_ok());
    }

    /// Forgets a node.
    pub fn forget(&mut self, node: &NodeId) {
        self.entries.remove(node);
    }

    /// All nodes, active or not.
    pub fn known(&self) -> impl Iterator<Item = &NodeCertificate> {
        self.entries.values().map(|e| &e.certificate)
    }

    /// The active nodes.
    pub fn active(&self, now: Epoch) -> impl Iterator<Item = &NodeCertificate> {
        self.entries.values().filter(move |e| e.is_active(now)).map(|e| &e.certificate)
    }

    /// Whether a node is active.
    #[must_use]
    pub fn is_active(&self, node: &NodeId, now: Epoch) -> bool {
        self.entries.get(node).is_some_and(|e| e.is_active(now))
    }

    /// The certificate of a known node, active or not.
    #[must_use]
    pub fn certificate(&self, node: &NodeId) -> Option<&NodeCertificate> {
        self.entries.get(node).map(|e| &e.certificate)
    }

    /// The `count` active nodes closest to a key, closest first.
    #[must_use]
    pub fn closest(&self, key: &Key, count: usize, now: Epoch) -> Vec<NodeCertificate> {
        Self::closest_of(self.active(now), key, count)
    }

    /// The `count` settled nodes closest to a key: what this member answers when it is asked.
    #[must_use]
    pub fn closest_settled(&self, key: &Key, count: usize, now: Epoch) -> Vec<NodeCertificate> {
        let settled = self.entries.values().filter(|e| e.is_settled(now)).map(|e| &e.certificate);
        Self::closest_of(settled, key, count)
    }

    fn closest_of<'a>(
        nodes: impl Iterator<Item = &'a NodeCertificate>,
        key: &Key,
        count: usize,
    ) -> Vec<NodeCertificate> {
        let mut all: Vec<&NodeCertificate> = nodes.collect();
        keep_closest(&mut all, key, count, |n| n.node().position());
        all.into_iter().cloned().collect()
    }

    /// Digests of the settled nodes' pieces: XOR of their certificates' short digests.
    #[must_use]
    pub fn pieces(&self, now: Epoch) -> Vec<ShortDigest> {
        let mut pieces = vec![ShortDigest([0; 8]); PIECES];
        for entry in self.entries.values().filter(|e| e.is_settled(now)) {
            let digest = ShortDigest::of(&entry.certificate);
            if let Some(piece) = pieces.get_mut(piece_of(&entry.certificate)) {
                for (to, from) in piece.0.iter_mut().zip(digest.0) {
                    *to ^= from;
                }
            }
        }
        pieces
    }

    /// The digests of all settled nodes in the pieces that differ from `theirs`; at most [`MAX_LISTED`].
    #[must_use]
    pub fn differing(&self, theirs: &[ShortDigest], now: Epoch) -> Vec<ShortDigest> {
        let mine = self.pieces(now);
        let differs = |piece: usize| mine.get(piece) != theirs.get(piece);
        let settled = self.entries.values().filter(|e| e.is_settled(now));
        settled
            .filter(|e| differs(piece_of(&e.certificate)))
            .map(|e| ShortDigest::of(&e.certificate))
            .take(MAX_LISTED)
            .collect()
    }

    /// Which of the listed certificates are not in this roster.
    #[must_use]
    pub fn unknown(&self, listed: &[ShortDigest]) -> Vec<ShortDigest> {
        let known: BTreeSet<ShortDigest> =
            self.entries.values().map(|e| ShortDigest::of(&e.certificate)).collect();
        listed.iter().filter(|d| !known.contains(*d)).take(MAX_CARRIED).copied().collect()
    }

    /// The settled certificates with these digests, at most [`MAX_CARRIED`].
    #[must_use]
    pub fn wanted(&self, wanted: &[ShortDigest], now: Epoch) -> Vec<UnverifiedNodeCertificate> {
        let wanted: BTreeSet<ShortDigest> = wanted.iter().copied().collect();
        let settled = self.entries.values().filter(|e| e.is_settled(now));
        settled
            .filter(|e| wanted.contains(&ShortDigest::of(&e.certificate)))
            .map(|e| e.certificate.to_unverified())
            .take(MAX_CARRIED)
            .collect()
    }

    /// Takes a member's listing as its word for the nodes that this roster has the same certificates of, and
    /// for those in pieces that did not differ at all.
    pub fn vouch(
        &mut self,
        pieces_alike: &[bool],
        listed: &[ShortDigest],
        source: &Operator,
        now: Epoch,
    ) {
        let listed: BTreeSet<ShortDigest> = listed.iter().copied().collect();
        let vouched: Vec<NodeCertificate> = self
            .entries
            .values()
            .filter(|e| !e.is_vouched())
            .map(|e| &e.certificate)
            .filter(|c| {
                listed.contains(&ShortDigest::of(c))
                    || pieces_alike.get(piece_of(c)).copied().unwrap_or(false)
            })
            .cloned()
            .collect();
        for certificate in vouched {
            self.learn(certificate, Source::Member(source.clone()), now);
        }
    }

    /// All entries, for the disk.
    #[must_use]
    pub fn store(&self) -> Vec<StoredEntry> {
        let stored = |e: &Entry| StoredEntry {
            certificate: e.certificate.to_unverified(),
            since: e.since,
            sources: e.sources.clone(),
        };
        self.entries.values().map(stored).collect()
    }

    /// A roster from the disk: what still verifies at `now`.
    #[must_use]
    pub fn restore(stored: Vec<StoredEntry>, network: &Network, now: Time) -> Self {
        let mut entries = BTreeMap::new();
        for entry in stored.into_iter().take(MAX_NODES) {
            if let Ok(certificate) = entry.certificate.verify(network, now) {
                let mut sources = entry.sources;
                sources.truncate(VOUCHERS);
                let entry = Entry { certificate, since: entry.since, sources };
                entries.insert(entry.certificate.node(), entry);
            }
        }
        Self { entries }
    }
}

fn piece_of(certificate: &NodeCertificate) -> usize {
    usize::from(certificate.node().position().0.first().copied().unwrap_or(0))
}
