//! A roster as it is kept on disk.

use serde::{Deserialize, Serialize};

use super::{Entry, MAX_NODES, Operator, Roster, ShortDigest, Source, VOUCHERS};
use crate::{
    certificate::UnverifiedNodeCertificate,
    network::{Epoch, Network},
    time::Time,
};

/// A roster on its way to or from the disk.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct StoredRoster {
    filled: Option<Epoch>,
    entries: Vec<StoredEntry>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct StoredEntry {
    certificate: UnverifiedNodeCertificate,
    since: Epoch,
    sources: Vec<Source>,
    silent: bool,
}

impl Roster {
    /// All of it, for the disk.
    #[must_use]
    pub fn store(&self) -> StoredRoster {
        let stored = |e: &Entry| StoredEntry {
            certificate: e.certificate.to_unverified(),
            since: e.since,
            sources: e.sources.clone(),
            silent: e.silent,
        };
        StoredRoster { filled: self.filled, entries: self.entries.values().map(stored).collect() }
    }

    /// Takes in what another process of the same user has written meanwhile, as if this one had heard it: the newer
    /// certificate of each node, the earlier time since when it is known, and every source.
    pub fn take_in(&mut self, stored: StoredRoster, network: &Network, now: Time) {
        let theirs = Self::restore(stored, network, now);
        let epoch = network.epoch(now);
        for (position, entry) in theirs.entries {
            let marks = match entry.sources.first() {
                Some(Source::Member(operator)) => operator.marks(),
                Some(Source::Contact) | None => Operator::of(&entry.certificate).marks(),
            };
            if !self.entries.contains_key(&position) {
                if self.entries.len() < MAX_NODES {
                    self.insert(position, entry, marks);
                }
                continue;
            }
            self.renew(&position, entry.certificate);
            for source in &entry.sources {
                self.add_source(&position, source, epoch);
            }
            if let Some(own) = self.entries.get_mut(&position) {
                own.since = own.since.min(entry.since);
            }
            self.pieces.touch(&position);
        }
        self.filled = match (self.filled, theirs.filled) {
            (Some(own), Some(their)) => Some(own.min(their)),
            (own, their) => own.or(their),
        };
    }

    /// A roster from the disk: what still verifies at `now`. Without anything that does, it starts anew.
    #[must_use]
    pub fn restore(stored: StoredRoster, network: &Network, now: Time) -> Self {
        let mut roster = Self::default();
        for entry in stored.entries.into_iter().take(MAX_NODES) {
            let StoredEntry { certificate, since, mut sources, silent } = entry;
            let Ok(certificate) = certificate.verify(network, now) else { continue };
            sources.truncate(VOUCHERS);
            let marks = match sources.first() {
                Some(Source::Member(operator)) => operator.marks(),
                Some(Source::Contact) | None => Operator::of(&certificate).marks(),
            };
            let digest = ShortDigest::of(&certificate);
            let position = certificate.node().position();
            let older = Vec::new();
            let entry = Entry { certificate, digest, older, since, sources, silent };
            roster.insert(position, entry, marks);
        }
        if !roster.is_empty() {
            roster.filled = stored.filled;
        }
        roster
    }
}
