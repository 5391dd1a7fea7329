//! What hostile nodes do, which of them are hostile now, and the account they keep of it.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use anon::{
    id::NodeId,
    position::{Key, keep_closest},
};
use clap::ValueEnum;
use data_encoding::HEXLOWER_PERMISSIVE;
use net::Peer;
use serde::{Deserialize, Serialize};

use super::note::Note;
use crate::record::{JsonLines, Record, Recorder};

/// A way of being hostile. A node may have several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Behaviour {
    /// None of it.
    Honest,
    /// Asked which node is closest to a key, states that it is an accomplice, or somebody nobody knows.
    LyingGoBetween,
    /// Asked for the replicas of a key, states a list of accomplices and strangers.
    LyingList,
    /// As anonymizer, does not store what it is to store, and refuses, says that nobody answered, or says nothing.
    Dropping,
    /// As anonymizer, brings receipts that prove nothing; as replica, signs such.
    Forging,
    /// Extends channels and stops forwarding, without a word, or some cells later.
    DroppingGoBetween,
    /// Hands each agent that compares rosters with it versions of its accomplices' certificates that nobody else has, and
    /// as anonymizer knows agents by the version that they name.
    Marking,
    /// As guard, writes the caller's address into the cells that it passes on; as anonymizer, reads it and takes it out.
    Tagging,
    /// As replica, answers with as much junk as an answer may have.
    AnsweringAtLength,
    /// As replica, keeps what it has signed for to itself.
    HoldingBack,
    /// As keeper, sends every other keeper another vote than the rest.
    TwoVotes,
    /// As keeper, signs another view for every other keeper.
    TwoViews,
    /// As keeper, votes for a node that nobody else has heard of, and for nobody else.
    InventingNodes,
    /// As keeper, states itself and says nothing else to other keepers.
    SilentKeeper,
}

impl Behaviour {
    /// Its name, as in arguments and in the list of hostile nodes.
    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// One thing that an honest node does not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// Stated, signed, that an accomplice is closest to a key.
    NamedAccomplice,
    /// Stated, signed, that a node nobody knows is closest to a key.
    NamedStranger,
    /// Stated, signed, other replicas.
    ListedOthers,
    /// Refused a proxied request.
    RefusedProxied,
    /// Said of a proxied request it did not do that no replica answered.
    ClaimedSilence,
    /// Never answered a proxied request.
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
    /// As member, handed a version of an accomplice's certificate to this peer alone.
    HandedMark,
    /// As guard, wrote this peer's address into its cells.
    WroteNote,
    /// As anonymizer, was asked about a key, by whoever names this mark or sent this note.
    WasAsked,
    /// As replica, answered at length.
    AnsweredAtLength,
    /// As replica, said that it had nothing.
    HeldBack,
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

/// The list of hostile nodes: a file, one node id (64 hexadecimal digits) a line, which may change at any time. A line may
/// go on with the names of behaviours, in commas: then the node does these alone.
#[derive(Clone, Debug, Default)]
pub struct Hostile(Option<PathBuf>);

impl Hostile {
    /// The list in a file; without one, whoever asks is hostile and has no accomplices.
    #[must_use]
    pub(crate) const fn listed_in(file: Option<PathBuf>) -> Self {
        Self(file)
    }

    /// The text of such a file.
    #[must_use]
    pub fn text(nodes: &[NodeId]) -> String {
        nodes.iter().map(|node| HEXLOWER_PERMISSIVE.encode(&node.0) + "\n").collect()
    }

    /// The text of such a file in which the nodes do only these things.
    #[must_use]
    pub fn text_of(nodes: &[NodeId], behaviours: &[Behaviour]) -> String {
        let names: Vec<String> = behaviours.iter().map(|behaviour| behaviour.name()).collect();
        let names = names.join(",");
        nodes
            .iter()
            .map(|node| format!("{} {names}\n", HEXLOWER_PERMISSIVE.encode(&node.0)))
            .collect()
    }

    /// The nodes, each with the names of what it does; none: all that it can.
    fn lines(&self) -> Vec<(NodeId, String)> {
        let text = self.0.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
        let node = |line: &str| {
            let (node, names) = line.trim().split_once(' ').unwrap_or_else(|| (line.trim(), ""));
            let bytes = HEXLOWER_PERMISSIVE.decode(node.as_bytes()).ok()?;
            Some((NodeId(bytes.try_into().ok()?), names.to_owned()))
        };
        text.unwrap_or_default().lines().filter_map(node).collect()
    }

    fn nodes(&self) -> Vec<NodeId> {
        self.lines().into_iter().map(|(node, _)| node).collect()
    }

    /// Whether a node is hostile now.
    #[must_use]
    pub(crate) fn includes(&self, node: &NodeId) -> bool {
        self.0.is_none() || self.nodes().contains(node)
    }

    /// Whether a node, which can do this, does it now.
    #[must_use]
    pub(crate) fn has(&self, node: &NodeId, does: Behaviour) -> bool {
        let says =
            |names: &str| names.is_empty() || names.split(',').any(|name| name == does.name());
        self.0.is_none() || self.lines().iter().any(|(listed, names)| listed == node && says(names))
    }

    /// The others, those closest to a key first.
    #[must_use]
    pub(crate) fn accomplices(&self, of: &NodeId, key: &Key) -> Vec<NodeId> {
        let mut others: Vec<NodeId> = self.nodes().into_iter().filter(|node| node != of).collect();
        keep_closest(&mut others, key, usize::MAX, NodeId::position);
        others
    }
}

/// The account that one node keeps of what it does.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    recorder: Option<Arc<Recorder>>,
    notes: Option<JsonLines>,
    acts: AtomicUsize,
}

impl Ledger {
    pub(crate) fn new(recorder: Option<Arc<Recorder>>, notes: Option<JsonLines>) -> Self {
        Self { recorder, notes, acts: AtomicUsize::new(0) }
    }

    /// Writes down what an accomplice can use.
    pub(crate) fn note(&self, note: &Note) {
        if let Some(notes) = &self.notes {
            notes.write(note);
        }
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
        std::fs::write(&file, Hostile::text_of(&[a], &[Behaviour::Marking, Behaviour::Tagging]))
            .unwrap();
        assert!(hostile.has(&a, Behaviour::Tagging) && !hostile.has(&a, Behaviour::Forging));
        assert!(!hostile.has(&b, Behaviour::Tagging));
        std::fs::remove_file(file).unwrap();
        assert!(!hostile.includes(&a) && Hostile::default().includes(&a));
    }
}
