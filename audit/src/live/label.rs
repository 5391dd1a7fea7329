//! Labels: what a mail's participants know at birth, by name, and the search for it in what a process wrote down.

use std::collections::{BTreeMap, BTreeSet};

use anon::id::NodeId;
use testbed::record::Record;

use super::stage::MailRun;

/// Every label that there is. "DHT keys" are those of an inbox and a certificate; the public keys in the certificate count
/// too, since they name their owner as surely.
pub const LABELS: [&str; 19] = [
    "A's address",
    "A's identity",
    "A's name",
    "A's DHT keys",
    "Bob's address",
    "Bob's identity",
    "Bob's name",
    "Bob's DHT keys",
    "Message-ID's key",
    "sealed body",
    "subject",
    "text",
    "keyX",
    "keyY",
    "keyZ",
    "who is X",
    "who is M",
    "who is Y",
    "who is Z",
];
/// Labels that say who wrote.
pub(super) const OF_ALICE: [&str; 4] = ["A's address", "A's identity", "A's name", "A's DHT keys"];
/// Labels that say who was written to.
pub(super) const OF_BOB: [&str; 4] =
    ["Bob's address", "Bob's identity", "Bob's name", "Bob's DHT keys"];

/// What the participants know at birth, as bytes to be looked for.
pub(super) struct Needles {
    of: Vec<(&'static str, Vec<u8>)>,
    /// Addresses that two had: see [`Needles::is_nobodys`].
    shared: BTreeSet<Vec<u8>>,
}

impl Needles {
    /// Everything of a mail that has a label.
    pub(super) fn of(mail: &MailRun<'_>, bobs_peers: &BTreeSet<&str>) -> Self {
        let mut needles: Vec<(&'static str, Vec<u8>)> = Vec::new();
        let alices_peers = mail.alice.identities();
        let mut owners: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (_, line) in &mail.lines {
            let owner = match line.peer.as_str() {
                peer if alices_peers.contains(peer) => "A's address",
                peer if bobs_peers.contains(peer) => "Bob's address",
                _ => "",
            };
            owners.entry(&line.address).or_default().insert(owner);
        }
        let mut shared = BTreeSet::new();
        for (address, owners) in owners {
            if owners.len() > 1 {
                shared.insert(address.as_bytes().to_vec());
            }
            let only = owners.iter().next().filter(|owner| owners.len() == 1 && !owner.is_empty());
            needles.extend(only.map(|owner| (*owner, address.as_bytes().to_vec())));
        }
        needles.extend(alices_peers.iter().map(|peer| ("A's identity", peer.clone().into_bytes())));
        needles.extend(bobs_peers.iter().map(|peer| ("Bob's identity", peer.as_bytes().to_vec())));
        for (name, keys, person) in
            [("A's name", "A's DHT keys", mail.alice), ("Bob's name", "Bob's DHT keys", mail.bob)]
        {
            let (address, claims) = (person.address(), person.certificate.claims());
            needles.push((name, address.to_string().into_bytes()));
            needles.push((keys, address.inbox().0.to_vec()));
            needles.push((keys, address.certificate().0.to_vec()));
            needles.push((keys, claims.verify_key.0.to_vec()));
            needles.push((keys, claims.sealing_key.0.to_vec()));
        }
        let middle = mail.object.len() / 2;
        needles.push(("Message-ID's key", mail.key.0.to_vec()));
        for start in [0, middle] {
            let piece = mail.object.get(start..start + 32).unwrap_or_default();
            needles.push(("sealed body", piece.to_vec()));
        }
        needles.push(("subject", mail.subject.clone().into_bytes()));
        needles.push(("text", mail.message.clone()));
        for (_, _, keys) in &mail.sending {
            needles.push(("keyX", keys.go_between.0.to_vec()));
            needles.push(("keyY", keys.witness.0.to_vec()));
            needles.push(("keyZ", keys.anonymizer.0.to_vec()));
        }
        needles.sort();
        needles.dedup();
        needles.retain(|(_, bytes)| bytes.len() >= 8);
        Self { of: needles, shared }
    }

    /// Whether this is an address of two of A, Bob and everyone else. Here all are one host, whose calls to two nodes may
    /// come from one port at the same time: such an address names nobody and ties nobody.
    pub(super) fn is_nobodys(&self, value: &[u8]) -> bool {
        self.shared.contains(value)
    }

    /// The labels of what stands in some lines.
    pub(super) fn in_lines(&self, lines: &[&Record]) -> BTreeSet<&'static str> {
        self.in_bytes(&lines.iter().map(|line| raw(line)).collect::<Vec<_>>())
    }

    /// The labels of what stands in some bytes.
    pub(super) fn in_bytes(&self, raw: &[Vec<u8>]) -> BTreeSet<&'static str> {
        let holds = |needle: &[u8]| raw.iter().any(|bytes| contains(bytes, needle));
        self.of.iter().filter(|(_, needle)| holds(needle)).map(|(label, _)| *label).collect()
    }
}

/// Everything in a line, as bytes.
fn raw(line: &Record) -> Vec<u8> {
    let nodes: Vec<u8> = line.nodes.iter().flat_map(|node| node.0).collect();
    let caller = line.peer.parse::<libp2p::PeerId>().ok();
    let caller = caller.and_then(|peer| NodeId::from_peer_id(&peer.to_bytes()));
    let caller = caller.map(|node| node.0).unwrap_or_default();
    let (peer, address) = (line.peer.as_bytes(), line.address.as_bytes());
    [peer, b"\n", address, b"\n", &caller, b"\n", &nodes, b"\n", &line.request, b"\n", &line.answer]
        .concat()
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    let Some(first) = needle.first() else { return false };
    let starts = bytes.iter().enumerate().filter(|(_, byte)| *byte == first);
    starts.into_iter().any(|(start, _)| bytes.get(start..start + needle.len()) == Some(needle))
}
