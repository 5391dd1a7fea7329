//! A roster as it is kept on disk.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Entry, MAX_NODES, Operator, Roster, ShortDigest, Source, VOUCHERS};
use crate::{
    certificate::UnverifiedNodeCertificate,
    network::{Epoch, Network},
    time::Time,
};

/// A roster on its way to or from the disk. Members that tell of thousands of nodes are written down once.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct StoredRoster {
    filled: Option<Epoch>,
    members: Vec<Operator>,
    entries: Vec<StoredEntry>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct StoredEntry {
    certificate: UnverifiedNodeCertificate,
    since: Epoch,
    sources: Vec<StoredSource>,
    silent: bool,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum StoredSource {
    Contact,
    /// The member at this place of [`StoredRoster::members`].
    Member(u32),
}

impl StoredSource {
    fn read(self, members: &[Operator]) -> Option<Source> {
        match self {
            Self::Contact => Some(Source::Contact),
            Self::Member(place) => {
                let member = members.get(usize::try_from(place).ok()?)?;
                Some(Source::Member(member.clone()))
            }
        }
    }
}

impl Roster {
    /// All of it, for the disk.
    #[must_use]
    pub fn store(&self) -> StoredRoster {
        let mut places: BTreeMap<&Operator, u32> = BTreeMap::new();
        let mut members = Vec::new();
        let mut entries = Vec::with_capacity(self.entries.len());
        for entry in self.entries.values() {
            let sources = entry.sources.iter().map(|source| match source {
                Source::Contact => StoredSource::Contact,
                Source::Member(operator) => {
                    let next = u32::try_from(members.len()).unwrap_or(u32::MAX);
                    StoredSource::Member(*places.entry(operator).or_insert_with(|| {
                        members.push(operator.clone());
                        next
                    }))
                }
            });
            entries.push(StoredEntry {
                sources: sources.collect(),
                certificate: entry.certificate.to_unverified(),
                since: entry.since,
                silent: entry.silent,
            });
        }
        StoredRoster { filled: self.filled, members, entries }
    }

    /// A roster from the disk: what still verifies at `now`. Without anything that does, it starts anew.
    #[must_use]
    pub fn restore(stored: StoredRoster, network: &Network, now: Time) -> Self {
        let mut roster = Self::default();
        for entry in stored.entries.into_iter().take(MAX_NODES) {
            let StoredEntry { certificate, since, sources, silent } = entry;
            let Ok(certificate) = certificate.verify(network, now) else { continue };
            let sources = sources.into_iter().take(VOUCHERS);
            let sources: Vec<Source> = sources.filter_map(|s| s.read(&stored.members)).collect();
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
