//! Couriers carry a request to the k replicas of a key: directly (paper, 3), or through an anonymizer whose
//! list a verifier has confirmed (paper, 4.2). What happens at the replicas is the same.

mod anonymous;
mod direct;

use anon::{
    certificate::{NodeCertificate, NodeId},
    position::Key,
    receipt::{ReceiptError, Tally},
    request::{Answer, Request, Response},
    verification::ReplicaSet,
};
use futures::future::BoxFuture;
use std::time::Duration;

use crate::{
    entrance::Entrance,
    error::AgentError,
    event::{Event, Purpose},
    evidence::Misdeed,
};

pub use anonymous::AnonymousCourier;
pub use direct::DirectCourier;

/// Rounds of fresh nodes before a deposit is given up for now.
const ROUNDS: u32 = 4;

/// Carries requests to replicas.
pub trait Courier: Send {
    /// The replicas of the courier's key, found anew by two parties that agree.
    fn replicas(&mut self) -> BoxFuture<'_, Result<ReplicaSet, AgentError>>;

    /// Finds the replicas and performs a request at all of them: what one does first. A courier whose agent knows
    /// the replicas itself does both in one go, and has them confirmed meanwhile.
    fn first<'a>(
        &'a mut self,
        request: &'a Request,
    ) -> BoxFuture<'a, Result<(ReplicaSet, Vec<Answer>), AgentError>> {
        Box::pin(async move {
            let set = self.replicas().await?;
            let answers = self.perform(set.nodes(), request).await?;
            Ok((set, answers))
        })
    }

    /// Performs a request at these nodes and brings back their answers.
    fn perform<'a>(
        &'a mut self,
        targets: &'a [NodeCertificate],
        request: &'a Request,
    ) -> BoxFuture<'a, Result<Vec<Answer>, AgentError>>;

    /// The anonymizer that performs, if there is one.
    fn performer(&self) -> Option<NodeId>;

    /// What it is used for.
    fn purpose(&self) -> Purpose;

    /// The key whose replicas it serves.
    fn key(&self) -> Key;
}

/// Stores or appends at the k replicas until all have given a valid receipt, with fresh nodes for those that
/// fail (paper, 3.1 step 6). Enough is a quorum.
///
/// The replicas it ended up at.
///
/// # Errors
/// [`AgentError::NotEnoughReceipts`], or what kept the replicas from being found.
pub async fn deposit(
    courier: &mut dyn Courier,
    request: &Request,
    tally: &mut Tally,
    quorum: usize,
    entrance: &Entrance,
) -> Result<Vec<NodeCertificate>, AgentError> {
    let listener = entrance.listener();
    let purpose = courier.purpose();
    let mut full = false;
    let mut last = Vec::new();
    for round in 0..ROUNDS {
        let (set, answers) = match visit(courier, request, tally, round).await {
            Ok(visited) => visited,
            Err(_) if tally.len() >= quorum => break,
            Err(error) => return Err(error),
        };
        last = set.nodes().to_vec();
        if last.len() < quorum {
            return Err(AgentError::TooFewReplicas { found: last.len(), wanted: quorum });
        }
        for answer in answers {
            match answer.response {
                Some(Response::Receipt(receipt)) if receipt.claims.node == answer.node => {
                    if let Err(error) = tally.count(&set, *receipt) {
                        // Whoever brought it could have made it up, or kept it from another time: it speaks
                        // against the anonymizer, and against the replica only if that was asked directly.
                        let bearer = courier.performer().unwrap_or(answer.node);
                        if error != ReceiptError::Duplicate {
                            entrance.accuse(bearer, Misdeed::BadReceipt, Vec::new());
                        }
                        let reason = format!("a receipt does not count: {error}");
                        listener.on(&Event::Retry { purpose, reason });
                    }
                }
                Some(Response::Full) => full = true,
                _ => {}
            }
        }
        let valid = tally.len();
        listener.on(&Event::Receipts { purpose, valid, wanted: set.nodes().len() });
        if tally.missing(&set).is_empty() {
            break;
        }
        let reason = format!("{} replicas gave no receipt", tally.missing(&set).len());
        listener.on(&Event::Retry { purpose, reason });
        tokio::time::sleep(Duration::from_millis(300) * (round + 1)).await;
    }
    if tally.len() >= quorum {
        Ok(last)
    } else {
        Err(AgentError::NotEnoughReceipts { valid: tally.len(), wanted: quorum, full })
    }
}

/// One round: the replicas, and what those answered that have given no receipt yet.
async fn visit(
    courier: &mut dyn Courier,
    request: &Request,
    tally: &Tally,
    round: u32,
) -> Result<(ReplicaSet, Vec<Answer>), AgentError> {
    if round == 0 {
        return courier.first(request).await;
    }
    let set = courier.replicas().await?;
    let missing = tally.missing(&set);
    let answers =
        if missing.is_empty() { Vec::new() } else { courier.perform(&missing, request).await? };
    Ok((set, answers))
}
