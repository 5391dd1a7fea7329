//! The roster: the certificates of a network's nodes, as one member knows them, from which "closest" is a local
//! computation and nothing need be looked up when a mail is sent.
//!
//! A node becomes *active* once sources of two different operators vouch for it and this member itself has
//! known it for an epoch: nobody can mint a node next to a key after the key was sampled, whoever vouches for it.
//! The one exception is the epoch in which an empty roster is first filled by other members: what they tell
//! then counts as known since before, so that a new user can send at once. It rests on their word, and on
//! that no key is sampled before the roster is filled.
//!
//! **Alive** is who says so: a node signs its certificate anew several times an epoch
//! ([`renewal_seconds`]), and whose newest certificate is older than [`alive_seconds`] is *silent*, neither
//! active nor told of, until a newer one comes. So nobody can make a node look dead by saying so; whoever wants
//! that must keep its new certificates from a member, and so be all that this member compares with.
//!
//! A member *tells* others of the nodes that it asked itself in an earlier epoch, and of those that two
//! independent sources vouch for. Exchange is by digests in 256 pieces (by the first byte of the position): an
//! unchanged roster costs one round trip and 2 KiB.
//!
//! Nodes on the word of one source have room for themselves, of which no operator gets more than half
//! ([`MAX_UNVOUCHED`], [`MAX_UNVOUCHED_EACH`]).

mod closest;
mod compare;
mod completeness;
mod operator;
mod stored;
mod unvouched;

use std::collections::BTreeMap;

use compare::Pieces;
use serde::{Deserialize, Serialize};
use unvouched::{Room, Unvouched};

use crate::{
    certificate::NodeCertificate,
    id::NodeId,
    network::{Epoch, Network},
    position::{Key, Position},
    time::Time,
};

pub use compare::{MAX_CARRIED, MAX_LISTED, PIECES, ShortDigest};
pub use completeness::{Compared, Comparison, Completeness, Reason};
pub use operator::Operator;
pub use stored::StoredRoster;
pub use unvouched::{MAX_UNVOUCHED, MAX_UNVOUCHED_EACH};

/// The most nodes a roster holds.
pub const MAX_NODES: usize = 100_000;
/// Sources of different operators that a node needs to become active.
pub const VOUCHERS: usize = 2;
/// Older certificates of a node that are recognised, so that they are not asked for.
const OLDER: usize = 4;
/// The least time after which a node is silent, seconds: certificates tell whole seconds.
const MIN_ALIVE: u64 = 10;

/// How long a certificate shows that its node is alive, seconds: one and a half epochs. News reaches every
/// member within an epoch, and is a quarter of one old at most when it sets out. Clocks must agree much better
/// than that, so epochs are long compared with [`crate::time::MAX_SKEW`] wherever machines are not one.
#[must_use]
pub fn alive_seconds(network: &Network) -> u64 {
    (network.epoch_seconds.saturating_mul(3) / 2).max(MIN_ALIVE)
}

/// How often a node signs its certificate anew, seconds: four times an epoch.
#[must_use]
pub fn renewal_seconds(network: &Network) -> u64 {
    (network.epoch_seconds / 4).max(1)
}

/// From where a member knows a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// It asked the node itself.
    Contact,
    /// Another member, of this operator, tells of it.
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
    digest: ShortDigest,
    /// Digests of certificates that came before this one, the last ones only.
    older: Vec<ShortDigest>,
    /// When this member first heard of the node; the epoch before, if that was in the first fill.
    since: Epoch,
    /// The first source, and one independent of it if there is one.
    sources: Vec<Source>,
    /// The certificate is too old to show that the node is alive.
    silent: bool,
}

impl Entry {
    fn is_vouched(&self) -> bool {
        self.sources.len() >= VOUCHERS
    }

    fn is_told(&self, now: Epoch) -> bool {
        let met = self.since < now && self.sources.contains(&Source::Contact);
        !self.silent && (self.is_vouched() || met)
    }

    fn is_active(&self, now: Epoch) -> bool {
        !self.silent && self.since < now && self.is_vouched()
    }
}

/// The nodes that one member knows.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    /// By position, so that pieces and neighbourhoods are ranges.
    entries: BTreeMap<Position, Entry>,
    /// Where the certificate with a digest, or a newer one of its node, is.
    digests: BTreeMap<ShortDigest, Position>,
    unvouched: Unvouched,
    pieces: Pieces,
    /// The epoch in which other members first told this roster anything.
    filled: Option<Epoch>,
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

    /// How many nodes only one source knows of.
    #[must_use]
    pub fn unvouched(&self) -> usize {
        self.unvouched.len()
    }

    /// Takes in what `source` knows of a node, if there is room for it. Of two certificates the newer one
    /// counts.
    pub fn learn(&mut self, certificate: NodeCertificate, source: Source, now: Epoch) {
        let position = certificate.node().position();
        if self.entries.contains_key(&position) {
            self.renew(&position, certificate);
            self.add_source(&position, &source, now);
            return;
        }
        let marks = match &source {
            // A contact stands for itself: whoever has many names has few addresses.
            Source::Contact => Operator::of(&certificate).marks(),
            Source::Member(operator) => operator.marks(),
        };
        let vouched = self.entries.len().saturating_sub(self.unvouched.len());
        match self.unvouched.room(&marks, vouched) {
            Room::Free => {}
            Room::InPlaceOf(other) => self.remove(&other),
            Room::None => return,
        }
        let since = match &source {
            Source::Member(_) if self.is_first_fill(now) => now.before(),
            Source::Contact | Source::Member(_) => now,
        };
        let (digest, older) = (ShortDigest::of(&certificate), Vec::new());
        let sources = vec![source];
        let entry = Entry { certificate, digest, older, since, sources, silent: false };
        self.insert(position, entry, marks);
    }

    /// Whether other members tell this roster something for the first time, in this epoch.
    fn is_first_fill(&mut self, now: Epoch) -> bool {
        *self.filled.get_or_insert(now) == now
    }

    fn insert(&mut self, position: Position, entry: Entry, marks: Vec<operator::Mark>) {
        self.digests.insert(entry.digest, position);
        if !entry.is_vouched() {
            self.unvouched.insert(position, marks);
        }
        self.entries.insert(position, entry);
        self.pieces.touch(&position);
    }

    fn remove(&mut self, position: &Position) {
        let Some(entry) = self.entries.remove(position) else { return };
        for digest in entry.older.iter().chain([&entry.digest]) {
            if self.digests.get(digest) == Some(position) {
                self.digests.remove(digest);
            }
        }
        self.unvouched.remove(position);
        self.pieces.touch(position);
    }

    /// Takes the newer of two certificates, and remembers the other one's digest.
    fn renew(&mut self, position: &Position, certificate: NodeCertificate) {
        let Some(entry) = self.entries.get_mut(position) else { return };
        let digest = ShortDigest::of(&certificate);
        if digest == entry.digest || entry.older.contains(&digest) {
            return;
        }
        let newer = entry.certificate.clone().newer(certificate);
        let is_new = ShortDigest::of(&newer) == digest;
        entry.older.push(if is_new { entry.digest } else { digest });
        if is_new {
            (entry.certificate, entry.digest, entry.silent) = (newer, digest, false);
        }
        let surplus = entry.older.len().saturating_sub(OLDER);
        for forgotten in entry.older.drain(..surplus) {
            if self.digests.get(&forgotten) == Some(position) {
                self.digests.remove(&forgotten);
            }
        }
        self.digests.insert(digest, *position);
        self.pieces.touch(position);
    }

    fn add_source(&mut self, position: &Position, source: &Source, now: Epoch) {
        let Some(entry) = self.entries.get_mut(position) else { return };
        if entry.is_vouched() || !entry.sources.iter().all(|s| s.independent_of(source)) {
            return;
        }
        entry.sources.push(source.clone());
        // In the first fill two members' word is what there is; a node's own presence is no such word.
        if *source == Source::Contact && self.filled == Some(now) {
            entry.since = now;
        }
        if entry.is_vouched() {
            self.unvouched.remove(position);
        }
        self.pieces.touch(position);
    }

    /// How many nodes that are new to this roster a member of this operator could add to it now.
    #[must_use]
    pub fn room_for(&self, operator: &Operator) -> usize {
        self.unvouched.share(&operator.marks())
    }

    /// Forgets what has expired or was revoked, at `now`. A roster that is empty then starts anew.
    pub fn expire(&mut self, network: &Network, now: Time) {
        let over = self.entries.iter().filter(|(_, e)| !e.certificate.holds(network, now));
        let over: Vec<Position> = over.map(|(position, _)| *position).collect();
        for position in over {
            self.remove(&position);
        }
        if self.entries.is_empty() {
            self.filled = None;
        }
    }

    /// Tells silent nodes from those that are alive, at `now`: for whoever has just compared with others, since
    /// the certificates in a roster that was not compared grow old by themselves.
    pub fn listen(&mut self, network: &Network, now: Time) {
        let span = alive_seconds(network);
        for (position, entry) in &mut self.entries {
            let silent = entry.certificate.claims().validity.not_before.after(span) < now;
            if silent != entry.silent {
                entry.silent = silent;
                self.pieces.touch(position);
            }
        }
    }

    /// Forgets a node.
    pub fn forget(&mut self, node: &NodeId) {
        self.remove(&node.position());
    }

    /// All nodes, active or not.
    pub fn known(&self) -> impl Iterator<Item = &NodeCertificate> {
        self.entries.values().map(|e| &e.certificate)
    }

    /// The nodes that are not silent, active or not.
    pub fn alive(&self) -> impl Iterator<Item = &NodeCertificate> {
        self.entries.values().filter(|e| !e.silent).map(|e| &e.certificate)
    }

    /// Whether a node is known and not silent.
    #[must_use]
    pub fn is_alive(&self, node: &NodeId) -> bool {
        self.entries.get(&node.position()).is_some_and(|e| !e.silent)
    }

    /// The active nodes.
    pub fn active(&self, now: Epoch) -> impl Iterator<Item = &NodeCertificate> {
        self.entries.values().filter(move |e| e.is_active(now)).map(|e| &e.certificate)
    }

    /// Whether a node is active.
    #[must_use]
    pub fn is_active(&self, node: &NodeId, now: Epoch) -> bool {
        self.entries.get(&node.position()).is_some_and(|e| e.is_active(now))
    }

    /// The certificate of a known node, active or not.
    #[must_use]
    pub fn certificate(&self, node: &NodeId) -> Option<&NodeCertificate> {
        self.entries.get(&node.position()).map(|e| &e.certificate)
    }

    /// The `count` nodes closest to a key, closest first, of those that have been active for an epoch: what this
    /// member states when it is asked, since who compares once an epoch hears of a node an epoch later.
    #[must_use]
    pub fn stated(&self, key: &Key, count: usize, now: Epoch) -> Vec<NodeCertificate> {
        let stated = |e: &Entry| e.is_active(now.before());
        closest::closest(&self.entries, &key.position(), count, stated)
    }

    /// The `count` active nodes closest to a key, closest first: what this member goes by.
    #[must_use]
    pub fn closest(&self, key: &Key, count: usize, now: Epoch) -> Vec<NodeCertificate> {
        closest::closest(&self.entries, &key.position(), count, |e| e.is_active(now))
    }
}
