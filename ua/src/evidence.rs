//! Evidence: what nodes did that honest ones do not do, with what proves it where something does.
//!
//! It is kept sealed, shown by `cutout status`, and speaks against guards. One statement that differs may be a
//! roster that lags behind; a node is held to have lied when it did so several times.

use std::collections::BTreeMap;

use anon::{certificate::NodeId, time::Time, wire};
use serde::{Deserialize, Serialize};

use crate::{
    error::AgentError,
    vault::{Vault, VaultError},
};

/// The sealed file.
const FILE: &str = "evidence";
/// Its greatest length, bytes.
const MAX_FILE: usize = 4 << 20;
/// The most pieces of evidence kept; the oldest go first.
const KEPT: usize = 1_000;
/// How many statements that differ make a liar.
const LIES: usize = 3;

/// What a node did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Misdeed {
    /// It named a node as nearest that nobody else knows.
    FalseNearest,
    /// Its list of replicas differs from the roster by more than churn.
    FalseList,
    /// It brought, or as replica signed, a receipt that does not count.
    BadReceipt,
    /// As far end it refused, or said of most replicas that they did not answer.
    Dropped,
    /// It was on a path that broke or fell silent: somebody there did it, or the network.
    OnBrokenPath,
    /// It named another node as nearest than this agent's roster does, one that is next in line: what churn looks
    /// like, and what a lie within its bounds does. Signed, and held against nobody by itself.
    OtherNearest,
}

impl Misdeed {
    /// A few words for people.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::FalseNearest => "named an unknown node as nearest",
            Self::FalseList => "listed other replicas",
            Self::BadReceipt => "gave a receipt that does not count",
            Self::Dropped => "did not do its errand",
            Self::OnBrokenPath => "was on a path that broke",
            Self::OtherNearest => "named another node as nearest, as after churn",
        }
    }
}

/// One thing that one node did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Who.
    pub node: NodeId,
    /// What.
    pub misdeed: Misdeed,
    /// When it was seen.
    pub seen: Time,
    /// The node's own signed statement, encoded; empty where there is none.
    #[serde(with = "serde_bytes")]
    pub proof: Vec<u8>,
}

/// The evidence in the vault.
///
/// # Errors
/// [`AgentError`].
pub fn read(vault: &Vault) -> Result<Vec<Evidence>, AgentError> {
    match vault.read(FILE) {
        Ok(bytes) => {
            wire::decode(&bytes, MAX_FILE).map_err(|_| AgentError::BadFile(FILE.to_owned()))
        }
        Err(VaultError::NotFound) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// Adds evidence to the vault.
///
/// # Errors
/// [`AgentError`].
pub fn add(vault: &Vault, new: Vec<Evidence>) -> Result<(), AgentError> {
    if new.is_empty() {
        return Ok(());
    }
    let _writing = vault.lock()?;
    let mut all = read(vault)?;
    all.extend(new);
    let surplus = all.len().saturating_sub(KEPT);
    all.drain(..surplus);
    Ok(vault.write(FILE, &wire::encode(&all))?)
}

/// The nodes that have lied, by their own signed statements, often enough.
#[must_use]
pub fn liars(evidence: &[Evidence]) -> Vec<NodeId> {
    let mut counts: BTreeMap<NodeId, usize> = BTreeMap::new();
    let lies = |e: &&Evidence| !e.proof.is_empty() && e.misdeed != Misdeed::OtherNearest;
    for item in evidence.iter().filter(lies) {
        *counts.entry(item.node).or_default() += 1;
    }
    counts.into_iter().filter(|(_, count)| *count >= LIES).map(|(node, _)| node).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_liar_is_who_signed_three_lies() {
        let lie = |node: u8, proof: &[u8]| Evidence {
            node: NodeId([node; 32]),
            misdeed: Misdeed::FalseNearest,
            seen: Time(0),
            proof: proof.to_vec(),
        };
        let mut all = vec![lie(1, b"a"), lie(1, b"b"), lie(2, b""), lie(2, b""), lie(2, b"")];
        assert!(liars(&all).is_empty());
        let other = Evidence { misdeed: Misdeed::OtherNearest, ..lie(1, b"d") };
        all.push(other);
        assert!(liars(&all).is_empty(), "churn is no lie");
        all.push(lie(1, b"c"));
        assert_eq!(liars(&all), [NodeId([1; 32])]);
    }
}
