//! What the nodes of a network are called, who of them is near a key, and what they have recorded.

use std::path::PathBuf;

use anon::{
    id::NodeId,
    position::{Key, keep_closest},
};

use super::{Cluster, ClusterNode};
use crate::record::{self, Record};

impl Cluster {
    /// The nodes' ids, in the order of their numbers.
    #[must_use]
    pub fn ids(&self) -> Vec<NodeId> {
        self.nodes.iter().map(|node| node.id).collect()
    }

    /// The `count` nodes closest to a key, closest first.
    #[must_use]
    pub fn closest(&self, key: &Key, count: usize) -> Vec<NodeId> {
        let mut ids = self.ids();
        keep_closest(&mut ids, key, count, NodeId::position);
        ids
    }

    /// How long each node's record is, bytes: what comes after that is new.
    #[must_use]
    pub fn marks(&self) -> Vec<u64> {
        let length = |path: PathBuf| std::fs::metadata(path).map_or(0, |file| file.len());
        self.nodes.iter().map(|node| length(node.record())).collect()
    }

    /// What the nodes recorded after these marks, node by node.
    ///
    /// # Errors
    /// [`std::io::Error`] if a record cannot be read.
    pub fn records(&self, marks: &[u64]) -> std::io::Result<Vec<(NodeId, Record)>> {
        let mut all = Vec::new();
        for (node, from) in self.nodes.iter().zip(marks) {
            let (records, _) = record::read(&node.record(), *from)?;
            all.extend(records.into_iter().map(|record| (node.id, record)));
        }
        Ok(all)
    }
}

impl ClusterNode {
    /// The process, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().and_then(|(child, _)| child.id())
    }

    /// Where it records, if it does.
    pub(super) fn record(&self) -> PathBuf {
        self.directory.join("record.jsonl")
    }
}
