//! Evidence: what nodes did that honest ones do not do, with what proves it where something does.
//!
//! It is kept sealed, shown by `cutout status`, and speaks against guards. One statement that differs may be a
//! roster that lags behind; a node is held to have lied when it did so several times.
//!
//! **Invariant:** what is kept is bounded, in all and of each node, whatever nodes answer: so it always fits into its
//! file, and a node that does much cannot push out what speaks against others.

use std::collections::BTreeMap;

use anon::id::NodeId;
use parking_lot::Mutex;

use crate::{context::Context, error::AgentError, event::Event, sealed, vault::Vault};

pub use crate::violation::{Evidence, Violation};

/// The sealed file.
const FILE: &str = "evidence";
/// Its greatest length, bytes: [`KEPT`] pieces of at most some 1,100 bytes each, and room to spare.
const MAX_FILE: usize = 4 << 20;
/// The most pieces of evidence kept.
const KEPT: usize = 1_000;
/// The most pieces of one node that are gathered in one run, and that are kept.
const KEPT_EACH: usize = 16;
/// The most pieces that are gathered in one run.
const GATHERED: usize = 256;
/// How many statements that differ make a liar.
const LIES: usize = 3;
/// What the loss of the file means.
const LOSS: &str = "what nodes did before is not known any more";

/// The evidence that an agent gathers while it works, until it is kept.
#[derive(derive_more::Debug)]
#[debug("EvidenceLog(..)")]
pub struct EvidenceLog {
    context: Context,
    found: Mutex<Vec<Evidence>>,
}

impl EvidenceLog {
    /// An empty log.
    #[must_use]
    pub(crate) const fn new(context: Context) -> Self {
        Self { context, found: Mutex::new(Vec::new()) }
    }

    /// What is around it.
    #[must_use]
    pub(crate) const fn context(&self) -> &Context {
        &self.context
    }

    /// Holds a violation against a node; `proof` is its signed statement, if there is one.
    pub(crate) fn report(&self, node: NodeId, violation: Violation, proof: Vec<u8>) {
        let evidence = Evidence::new(node, violation, self.context.now(), proof);
        self.context.tell(&Event::Evidence(evidence.clone()));
        let mut all = self.found.lock();
        let of_it = all.iter().filter(|known| known.node == node).count();
        if all.len() < GATHERED && of_it < KEPT_EACH {
            all.push(evidence);
        }
    }

    /// Notes that a channel through these nodes broke. None of them is reported: any may have done it.
    pub(crate) fn path_broke(&self, nodes: &[NodeId]) {
        for node in nodes {
            self.report(*node, Violation::OnBrokenPath, Vec::new());
        }
    }

    /// What was gathered so far.
    #[must_use]
    pub(crate) fn all(&self) -> Vec<Evidence> {
        self.found.lock().clone()
    }

    /// What was gathered so far, which is the caller's to keep.
    #[must_use]
    pub fn take(&self) -> Vec<Evidence> {
        std::mem::take(&mut *self.found.lock())
    }
}

/// The evidence in the vault.
///
/// # Errors
/// [`AgentError::Vault`] if the file cannot be read; one that is lost counts as empty, and is said to be.
pub fn read(vault: &Vault) -> Result<Vec<Evidence>, AgentError> {
    Ok(sealed::read_or_new(vault, FILE, MAX_FILE, LOSS)?)
}

/// Adds evidence to the vault, and drops what is too much.
///
/// # Errors
/// [`AgentError::Vault`].
pub fn add(vault: &Vault, new: Vec<Evidence>) -> Result<(), AgentError> {
    if new.is_empty() {
        return Ok(());
    }
    let _writing = vault.lock()?;
    let mut all = read(vault)?;
    all.extend(new.into_iter().map(|e| Evidence::new(e.node, e.violation, e.seen, e.proof)));
    bound(&mut all);
    Ok(vault.write(FILE, &anon::wire::encode(&all))?)
}

/// Drops what is too much: of a node with more than [`KEPT_EACH`] pieces, and then of the node with most. What nobody
/// signed goes before what proves a lie, and of two alike the older one.
fn bound(all: &mut Vec<Evidence>) {
    let mut by_node: BTreeMap<NodeId, Vec<usize>> = BTreeMap::new();
    for (index, item) in all.iter().enumerate() {
        by_node.entry(item.node).or_default().push(index);
    }
    for indices in by_node.values_mut() {
        // The one to go first comes last.
        indices.sort_by_key(|index| {
            (!all.get(*index).is_some_and(Evidence::is_signed_lie), usize::MAX - index)
        });
        indices.truncate(KEPT_EACH);
    }
    // By the most that each node may keep: a level that all together fit under.
    let fits = |each: &usize| by_node.values().map(|i| i.len().min(*each)).sum::<usize>() <= KEPT;
    let each = (1..=KEPT_EACH).rev().find(fits).unwrap_or(1);
    let mut kept: Vec<usize> =
        by_node.into_values().flat_map(|i| i.into_iter().take(each)).collect();
    kept.sort_unstable();
    // More nodes than there is room for pieces: the oldest go.
    let surplus = kept.len().saturating_sub(KEPT);
    kept.drain(..surplus);
    let mut kept = kept.into_iter().peekable();
    let mut index = 0;
    all.retain(|_| {
        let is_kept = kept.next_if_eq(&index).is_some();
        index += 1;
        is_kept
    });
}

/// The nodes that have lied, by their own signed statements, often enough.
#[must_use]
pub fn liars(evidence: &[Evidence]) -> Vec<NodeId> {
    let mut counts: BTreeMap<NodeId, usize> = BTreeMap::new();
    for item in evidence.iter().filter(|e| e.is_signed_lie()) {
        *counts.entry(item.node).or_default() += 1;
    }
    counts.into_iter().filter(|(_, count)| *count >= LIES).map(|(node, _)| node).collect()
}

#[cfg(test)]
mod tests {
    use anon::time::Time;

    use super::*;
    use crate::violation::MAX_PROOF;

    #[test]
    fn a_liar_is_who_signed_three_lies() {
        let lie = |node: u8, proof: &[u8]| Evidence {
            node: NodeId([node; 32]),
            violation: Violation::FalseClosest,
            seen: Time(0),
            proof: proof.to_vec(),
        };
        let mut all = vec![lie(1, b"a"), lie(1, b"b"), lie(2, b""), lie(2, b""), lie(2, b"")];
        assert!(liars(&all).is_empty());
        let other = Evidence { violation: Violation::OtherClosest, ..lie(1, b"d") };
        all.push(other);
        assert!(liars(&all).is_empty(), "churn is no lie");
        all.push(lie(1, b"c"));
        assert_eq!(liars(&all), [NodeId([1; 32])]);
    }
    fn piece(node: u16, violation: Violation, seen: u64, proof: usize) -> Evidence {
        let mut id = [0; 32];
        id[..2].copy_from_slice(&node.to_be_bytes());
        Evidence::new(NodeId(id), violation, Time(seen), vec![1; proof])
    }

    #[test]
    fn no_node_pushes_out_what_speaks_against_others() {
        let mut all: Vec<Evidence> =
            (0..3).map(|n| piece(1, Violation::FalseList, n, 100)).collect();
        // A loud one, and as many as may be that broke paths which an honest node was on.
        all.extend((0..5_000).map(|n| piece(2, Violation::FalseClosest, 10 + n, MAX_PROOF)));
        all.extend((0..900).map(|n| piece(n + 100, Violation::OnBrokenPath, 10_000, 0)));
        all.extend((0..900).map(|n| piece(n + 100, Violation::OnBrokenPath, 10_001, 0)));
        bound(&mut all);
        assert!(all.len() <= KEPT, "{}", all.len());
        assert_eq!(all.iter().filter(|e| e.seen < Time(3)).count(), 1, "the loud lost fifteen");
        let mut few: Vec<Evidence> =
            (0..3).map(|n| piece(1, Violation::FalseList, n, 100)).collect();
        few.extend((0..5_000).map(|n| piece(2, Violation::FalseClosest, 10 + n, MAX_PROOF)));
        few.extend((0..100).map(|n| piece(1, Violation::OnBrokenPath, 9_000 + n, 0)));
        bound(&mut few);
        assert_eq!(few.len(), 2 * KEPT_EACH);
        let node = piece(1, Violation::FalseList, 0, 0).node;
        assert!(liars(&few).contains(&node), "signed lies outlive what nobody signed");
        let newest = few.iter().map(|e| e.seen).max();
        assert_eq!(newest, Some(Time(9_099)));
    }

    #[test]
    fn whatever_nodes_answer_can_be_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let passphrase = crate::vault::Passphrase::new("x".to_owned()).unwrap();
        let cost = crate::vault::KdfCost::new(8, 1).unwrap();
        let vault = Vault::create(&directory.path().join("vault"), &passphrase, cost).unwrap();
        // The longest message that a node can answer with, again and again.
        for seen in 0..5 {
            let node = NodeId([9; 32]);
            let proof = vec![7; 1 << 20];
            add(
                &vault,
                vec![Evidence {
                    node,
                    violation: Violation::FalseClosest,
                    seen: Time(seen),
                    proof,
                }],
            )
            .unwrap();
        }
        // Nothing is taken for lost, and so thrown away.
        assert_eq!(read(&vault).unwrap().len(), 5);
        let most = (0..2_000).map(|n| piece(n, Violation::FalseClosest, 9, MAX_PROOF)).collect();
        add(&vault, most).unwrap();
        assert_eq!(read(&vault).unwrap().len(), KEPT);
    }
}
