//! What a node can do that honest ones do not do, and one piece of evidence of it.

use anon::{id::NodeId, time::Time};
use derive_more::Display;
use serde::{Deserialize, Serialize};

/// The longest proof that is kept, bytes. A signed statement that names [`anon::network::MAX_K`] nodes, which is the
/// most that one is asked for, has some 850.
pub(crate) const MAX_PROOF: usize = 1024;

/// What a node did.
#[derive(Clone, Copy, Debug, Display, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Violation {
    /// It named a node as closest that nobody else knows.
    #[display("named an unknown node as closest")]
    FalseClosest,
    /// Its list of replicas differs from the roster by more than churn.
    #[display("listed other replicas")]
    FalseList,
    /// It brought, or as replica signed, a receipt that does not count.
    #[display("gave a receipt that does not count")]
    BadReceipt,
    /// As anonymizer it refused, or said of most replicas that they did not answer.
    #[display("did not carry out a request")]
    Dropped,
    /// It was on a path that broke or fell silent: somebody there did it, or the network.
    #[display("was on a path that broke")]
    OnBrokenPath,
    /// It named another node as closest than this agent's roster does, one that is next in line: what churn looks
    /// like, and what a lie within its bounds does. Signed, and held against nobody by itself.
    #[display("named another node as closest, as after churn")]
    OtherClosest,
}

/// One thing that one node did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Who.
    pub node: NodeId,
    /// What.
    pub violation: Violation,
    /// When it was seen.
    pub seen: Time,
    /// The node's own signed statement, encoded; empty where there is none.
    #[serde(with = "serde_bytes")]
    pub proof: Vec<u8>,
}

impl Evidence {
    /// What a node did, seen at `seen`; a proof that is longer than any honest statement is not kept.
    #[must_use]
    pub(crate) fn new(node: NodeId, violation: Violation, seen: Time, mut proof: Vec<u8>) -> Self {
        if proof.len() > MAX_PROOF {
            proof = Vec::new();
        }
        Self { node, violation, seen, proof }
    }

    /// Whether the node itself signed what speaks against it.
    pub(crate) fn is_signed_lie(&self) -> bool {
        !self.proof.is_empty() && self.violation != Violation::OtherClosest
    }
}
