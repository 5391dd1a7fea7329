//! What nodes state, held against the agent's own roster; what differs by more than churn is evidence.

use anon::{
    certificate::NodeCertificate,
    id::NodeId,
    position::Key,
    request::Response,
    verification::{Disagreement, differs_by_churn},
    wire,
};

use super::GuardedScheme;
use crate::{error::AgentError, evidence::Violation};

impl GuardedScheme {
    /// Holds what a node states of a key against one's own roster.
    pub(super) fn judge(
        &self,
        asked: NodeId,
        key: Key,
        own: &NodeCertificate,
        answer: &Response,
    ) -> Result<(), AgentError> {
        let closest = self.stated(asked, key, answer)?;
        let own = std::slice::from_ref(own);
        if self.plan.roster.with(|roster| differs_by_churn(&key, &closest, own, roster)) {
            let is_other = closest.first() != own.first().map(NodeCertificate::node).as_ref();
            if is_other && self.plan.complete {
                self.report(asked, Violation::OtherClosest, answer);
            }
            return Ok(());
        }
        if !self.plan.complete {
            // Whoever knows that there are nodes it has not heard of cannot call another's word for them a lie.
            return Ok(());
        }
        self.report(asked, Violation::FalseClosest, answer);
        let second = closest.first().copied().unwrap_or(asked);
        let first = own.first().map_or(asked, NodeCertificate::node);
        Err(Disagreement::Node { first, second }.into())
    }

    /// Notes who was on a path that broke while it was built.
    pub(super) fn broke(&self, error: &AgentError, nodes: &[NodeId]) {
        if matches!(error, AgentError::Link(_)) {
            self.evidence.path_broke(nodes);
        }
    }

    pub(super) fn report(&self, node: NodeId, violation: Violation, answer: &Response) {
        let proof = match answer {
            Response::Closest(statement) => wire::encode(&**statement),
            _ => Vec::new(),
        };
        self.evidence.report(node, violation, proof);
    }

    /// The nodes that a signed answer states.
    pub(super) fn stated(
        &self,
        asked: NodeId,
        key: Key,
        answer: &Response,
    ) -> Result<Vec<NodeId>, AgentError> {
        let Response::Closest(statement) = answer else { return Err(AgentError::BadAnswer) };
        let network = self.context().network.id;
        statement.verify(&network, asked, key, self.epoch()).map_err(|_| AgentError::BadAnswer)?;
        Ok(statement.claims.closest.clone())
    }
}
