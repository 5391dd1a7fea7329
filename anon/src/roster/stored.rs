//! A roster as it is kept on disk, in bounded room: certificates tell addresses and families of their nodes' own choice,
//! so that a hostile member could otherwise make a roster that its owner cannot write down.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Entry, MAX_NODES, Operator, Roster, ShortDigest, Source, VOUCHERS};
use crate::{
    certificate::UnverifiedNodeCertificate,
    network::{Epoch, Network},
    time::Time,
    wire,
};

/// What a roster takes beside its entries and members, bytes at most: the epoch of the first fill, and how many there are.
const HEAD: usize = 32;

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

impl StoredRoster {
    /// The most of it that takes at most `limit` bytes, encoded. What fewest vouch for goes first, and of those the
    /// longest entries: a node fills others' disks with as many long ones as it likes, and needs no long one itself.
    #[must_use]
    pub fn within(mut self, limit: usize) -> Self {
        if wire::encode(&self).len() <= limit {
            return self;
        }
        let size = |entry: &StoredEntry| wire::encode(entry).len();
        let mut order: Vec<(usize, usize, usize)> = self
            .entries
            .iter()
            .enumerate()
            .map(|(index, entry)| {
                (VOUCHERS.saturating_sub(entry.sources.len()), size(entry), index)
            })
            .collect();
        order.sort_unstable();
        let mut left = limit.saturating_sub(HEAD + wire::encode(&self.members).len());
        let fits = order.iter().take_while(|(_, size, _)| {
            let rest = left.checked_sub(*size);
            left = rest.unwrap_or(0);
            rest.is_some()
        });
        let kept: BTreeSet<usize> = fits.map(|(_, _, index)| *index).collect();
        let mut index = 0;
        self.entries.retain(|_| {
            index += 1;
            kept.contains(&(index - 1))
        });
        if self.entries.is_empty() {
            self.members.clear();
        }
        self
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        certificate::{NodeCertificate, NodeClaims},
        id::{NetworkId, NodeId},
        keys::{ChannelSecret, IdentitySecret, SigningSecret as _},
        time::Validity,
    };

    fn network() -> Network {
        Network {
            id: NetworkId::derive("demo.alt", None),
            name: "demo.alt".to_owned(),
            authority: None,
            admission_required: false,
            k: 3,
            quorum: 2,
            epoch_seconds: 60,
            revoked: crate::network::Revoked::default(),
            charter: None,
        }
    }

    fn node(seed: u8, address: &str, longest: bool) -> NodeCertificate {
        let identity = IdentitySecret::from_seed(&[seed; 32]);
        let long = ["a", "b", "c"].map(|l| format!("/onion3/{}:65535", l.repeat(56))).to_vec();
        let claims = NodeClaims {
            network: network().id,
            identity: NodeId(identity.verify_key().0),
            channel_key: ChannelSecret::from_seed(&[seed; 32]).agreement_key(),
            addresses: if longest { long } else { vec![address.to_owned()] },
            family: address.to_owned(),
            validity: Validity { not_before: Time(1), not_after: Time(1_000_000) },
            admission: None,
        };
        NodeCertificate::issue(&identity, claims).verify(&network(), Time(2)).unwrap()
    }

    #[test]
    fn what_fewest_vouch_for_goes_first_and_then_what_is_longest() {
        let mut roster = Roster::default();
        let members =
            [node(1, "/ip4/192.0.2.1/tcp/1", false), node(2, "/ip4/198.51.100.1/tcp/1", false)];
        let sources = members.each_ref().map(|member| Source::Member(Operator::of(member)));
        let good: Vec<_> =
            (10..20).map(|n| node(n, &format!("/ip4/203.0.{n}.1/tcp/1"), false)).collect();
        for node in &good {
            sources.iter().for_each(|source| roster.learn(node.clone(), source.clone(), Epoch(1)));
        }
        for n in 100..150 {
            roster.learn(node(n, "", true), sources[0].clone(), Epoch(1));
        }
        let all = roster.store();
        let size = wire::encode(&all).len();
        assert_eq!(all.clone().within(size).entries.len(), 60, "what fits is kept whole");
        for limit in [0, 10, HEAD, size / 20, size / 4, size / 2, size - 1] {
            let kept = all.clone().within(limit);
            assert!(wire::encode(&kept).len() <= limit.max(HEAD), "{limit}");
            // And as much as fits: with the shortest that is gone it would be too long.
            let longest = all.entries.iter().map(|e| wire::encode(e).len()).max().unwrap_or(0);
            let unused = limit.saturating_sub(wire::encode(&kept).len());
            assert!(unused <= longest + wire::encode(&all.members).len() + HEAD, "{limit}");
            let kept = Roster::restore(kept, &network(), Time(3));
            let known = |node: &&NodeCertificate| kept.certificate(&node.node()).is_some();
            let vouched = good.iter().filter(known).count();
            assert!(kept.len() == vouched || vouched == good.len(), "{limit}");
            assert!(limit < size / 4 || vouched == good.len(), "{limit}");
        }
    }
}
