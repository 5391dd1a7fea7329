//! What hostile nodes do, which of them are hostile now, and the account they keep of it.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use anon::{
    certificate::NodeId,
    position::{Key, keep_closest},
};
use clap::ValueEnum;
use data_encoding::HEXLOWER_PERMISSIVE;
use node::Peer;
use serde::{Deserialize, Serialize};
use ua::record::{Record, Recorder};

/// A way of being hostile. A node may have several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Behaviour {
    /// None of it.
    Honest,
    /// Asked which node is nearest to a key, states that it is an accomplice, or somebody nobody knows.
    LyingGoBetween,
    /// Asked for the replicas of a key, states a list of accomplices and strangers.
    LyingList,
    /// As far end, does not store what it is to store, and refuses, says that nobody answered, or says nothing.
    Dropping,
    /// As far end, brings receipts that prove nothing; as replica, signs such.
    Forging,
    /// Extends channels and stops forwarding, without a word, or some cells later.
    DroppingGoBetween,
}

/// One thing that an honest node does not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// Stated, signed, that an accomplice is nearest to a key.
    NamedAccomplice,
    /// Stated, signed, that a node nobody knows is nearest to a key.
    NamedStranger,
    /// Stated, signed, other replicas.
    ListedOthers,
    /// Refused an errand.
    RefusedErrand,
    /// Said of an errand it did not do that no replica answered.
    ClaimedSilence,
    /// Never answered an errand.
    StayedSilent,
    /// Brought receipts whose digest is another one, signed by itself.
    ForgedDigest,
    /// Brought receipts in the replicas' names, signed by itself.
    ForgedSignature,
    /// Brought the replicas' own receipts for something else.
    ReplayedReceipts,
    /// Brought receipts in its own name.
    OwnReceipts,
    /// As replica, signed a receipt for another digest.
    SignedOtherDigest,
    /// As replica, signed a receipt that ends too soon.
    SignedBriefReceipt,
    /// As replica, signed a receipt of the other kind.
    SignedOtherKind,
    /// Stopped forwarding the cells of a channel, without a word.
    StoppedForwarding,
    /// Closed a channel that it had extended.
    ClosedChannel,
}

impl Act {
    /// The act that a line of a record tells.
    #[must_use]
    pub fn of(record: &Record) -> Option<Self> {
        serde_json::from_value(serde_json::Value::String(record.lied.clone())).ok()
    }
}

impl std::fmt::Display for Act {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.serialize(f)
    }
}

/// The list of hostile nodes: a file, one node id (64 hexadecimal digits) a line, which may change at any time.
#[derive(Clone, Debug, Default)]
pub struct Hostile(Option<PathBuf>);

impl Hostile {
    /// The list in a file; without one, whoever asks is hostile and has no accomplices.
    #[must_use]
    pub const fn listed_in(file: Option<PathBuf>) -> Self {
        Self(file)
    }

    /// The text of such a file.
    #[must_use]
    pub fn text(nodes: &[NodeId]) -> String {
        nodes.iter().map(|node| HEXLOWER_PERMISSIVE.encode(&node.0) + "\n").collect()
    }

    fn nodes(&self) -> Vec<NodeId> {
        let text = self.0.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
        let node = |line: &str| {
            let bytes = HEXLOWER_PERMISSIVE.decode(line.trim().as_bytes()).ok()?;
            Some(NodeId(bytes.try_into().ok()?))
        };
        text.unwrap_or_default().lines().filter_map(node).collect()
    }

    /// Whether a node is hostile now.
    #[must_use]
    pub fn includes(&self, node: &NodeId) -> bool {
        self.0.is_none() || self.nodes().contains(node)
    }

    /// The others, those nearest to a key first.
    #[must_use]
    pub fn accomplices(&self, of: &NodeId, key: &Key) -> Vec<NodeId> {
        let mut others: Vec<NodeId> = self.nodes().into_iter().filter(|node| node != of).collect();
        keep_closest(&mut others, key, usize::MAX, NodeId::position);
        others
    }
}

/// The account that one node keeps of what it does.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    recorder: Option<Arc<Recorder>>,
    acts: AtomicUsize,
}

impl Ledger {
    pub(crate) fn new(recorder: Option<Arc<Recorder>>) -> Self {
        Self { recorder, acts: AtomicUsize::new(0) }
    }

    /// How many acts were chosen before this one, for taking turns.
    pub(crate) fn turn(&self) -> usize {
        self.acts.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn write(&self, peer: &Peer, act: Act) {
        if let Some(recorder) = &self.recorder {
            recorder.lied(peer, &act.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_hostile_while_it_is_on_the_list() {
        let file = std::env::temp_dir().join(format!("hostile-{}", rand::random::<u64>()));
        let hostile = Hostile::listed_in(Some(file.clone()));
        let [a, b] = [NodeId([1; 32]), NodeId([2; 32])];
        assert!(!hostile.includes(&a));
        std::fs::write(&file, Hostile::text(&[a, b])).unwrap();
        assert!(hostile.includes(&a));
        assert_eq!(hostile.accomplices(&a, &Key([0; 32])), [b]);
        std::fs::remove_file(file).unwrap();
        assert!(!hostile.includes(&a) && Hostile::default().includes(&a));
    }
}
