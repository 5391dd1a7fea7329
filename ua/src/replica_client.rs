//! A replica client brings a request to the k replicas of a key: directly (paper, 3), or through an anonymizer
//! whose list of replicas a verifier has confirmed (paper, 4.2). What happens at the replicas is the same.

mod anonymous;
mod direct;
#[cfg(test)]
pub(crate) mod made_up;
#[cfg(test)]
mod tests;

use anon::{
    certificate::NodeCertificate,
    id::NodeId,
    position::Key,
    receipt::{Receipt, ReceiptError, Tally},
    request::{Answer, Request, Response},
    verification::ReplicaSet,
    wire,
};
use futures::future::BoxFuture;
use std::{sync::Arc, time::Duration};

use crate::{
    bootstrap::Bootstrap,
    error::AgentError,
    event::{Event, Purpose},
    evidence::{EvidenceLog, Violation},
    scheme::Scheme,
};

pub(crate) use anonymous::AnonymousClient;
pub(crate) use direct::DirectClient;

/// Rounds of fresh nodes before a deposit is given up for now.
const ROUNDS: u32 = 4;

/// Carries requests to replicas.
pub(crate) trait ReplicaClient: Send {
    /// The replicas of this client's key, found anew by two parties that agree.
    fn replicas(&mut self) -> BoxFuture<'_, Result<ReplicaSet, AgentError>>;

    /// Performs a request at the replicas that the agent knows itself, and has them confirmed meanwhile; `None`
    /// where it does not know them, nothing stands ready to do that, or it failed.
    fn at_once<'a>(
        &'a mut self,
        request: &'a Request,
    ) -> BoxFuture<'a, Option<(ReplicaSet, Vec<Answer>)>> {
        let _ = request;
        Box::pin(std::future::ready(None))
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
}

/// A client to the replicas of `key`: through channels of this scheme or, without one, directly.
///
/// # Errors
/// [`AgentError`] if no channels come about, or this machine gives no randomness.
pub(crate) async fn client(
    scheme: Option<Arc<dyn Scheme>>,
    bootstrap: &Arc<Bootstrap>,
    evidence: &Arc<EvidenceLog>,
    key: Key,
    purpose: Purpose,
) -> Result<Box<dyn ReplicaClient>, AgentError> {
    let evidence = Arc::clone(evidence);
    Ok(match scheme {
        Some(scheme) => Box::new(AnonymousClient::open(scheme, evidence, key, purpose).await?),
        None => Box::new(DirectClient::new(Arc::clone(bootstrap), key, purpose)?),
    })
}

/// Stores or appends at the k replicas until all have given a valid receipt, with fresh nodes for those that
/// fail (paper, 3.1 step 6). Enough is a quorum.
///
/// The replicas it ended up at.
///
/// # Errors
/// [`AgentError::NotEnoughReceipts`], or what kept the replicas from being found.
pub(crate) async fn deposit(
    client: &mut dyn ReplicaClient,
    request: &Request,
    tally: &mut Tally,
    bootstrap: &Bootstrap,
    evidence: &EvidenceLog,
) -> Result<Vec<NodeCertificate>, AgentError> {
    let context = bootstrap.context();
    let purpose = client.purpose();
    let mut quorum = context.network.quorum;
    let mut full = false;
    let mut last = Vec::new();
    for round in 0..ROUNDS {
        let (set, answers) = match visit(client, request, tally).await {
            Ok(visited) => visited,
            Err(_) if tally.len() >= quorum => break,
            Err(error) => return Err(error),
        };
        last = set.nodes().to_vec();
        quorum = bootstrap.quorum_of(&last);
        if last.len() < quorum {
            return Err(AgentError::TooFewReplicas { found: last.len(), wanted: quorum });
        }
        report_idle(client, evidence, quorum, &answers);
        for answer in answers {
            match answer.response {
                Some(Response::Receipt(receipt)) => {
                    let counted = count(tally, &set, answer.node, &receipt);
                    if let Err(error) = counted {
                        report_for_receipt(client, evidence, answer.node, &receipt, error);
                        let reason = format!("a receipt does not count: {error}");
                        context.tell(&Event::Retry { purpose, reason });
                    }
                }
                Some(Response::Full) => full = true,
                _ => {}
            }
        }
        let valid = tally.len();
        context.tell(&Event::Receipts { purpose, valid, wanted: set.nodes().len() });
        // Those that gave none get a second chance; with a quorum there is no need for a third.
        if tally.missing(&set).is_empty() || (round > 0 && valid >= quorum) {
            break;
        }
        let reason = format!("{} replicas gave no receipt", tally.missing(&set).len());
        context.tell(&Event::Retry { purpose, reason });
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
    client: &mut dyn ReplicaClient,
    request: &Request,
    tally: &Tally,
) -> Result<(ReplicaSet, Vec<Answer>), AgentError> {
    if let Some(visited) = client.at_once(request).await {
        return Ok(visited);
    }
    let set = client.replicas().await?;
    let missing = tally.missing(&set);
    let answers =
        if missing.is_empty() { Vec::new() } else { client.perform(&missing, request).await? };
    Ok((set, answers))
}

fn count(
    tally: &mut Tally,
    set: &ReplicaSet,
    from: NodeId,
    receipt: &Receipt,
) -> Result<(), ReceiptError> {
    if receipt.claims.node != from {
        return Err(ReceiptError::NotAReplica);
    }
    tally.count(set, receipt.clone())
}

/// Holds a receipt that does not count against its bearer: an anonymizer checks what it is given, and brings no
/// other. How long it lasts is the replica's own word, with which that alone is charged.
fn report_for_receipt(
    client: &dyn ReplicaClient,
    evidence: &EvidenceLog,
    replica: NodeId,
    receipt: &Receipt,
    error: ReceiptError,
) {
    let signed = receipt.verify(&evidence.context().network.id).is_ok();
    match error {
        ReceiptError::Duplicate => {}
        ReceiptError::ExpiresTooSoon if signed => {
            evidence.report(replica, Violation::BadReceipt, wire::encode(receipt));
        }
        _ => {
            let bearer = client.performer().unwrap_or(replica);
            evidence.report(bearer, Violation::BadReceipt, Vec::new());
        }
    }
}

/// Blames the anonymizer when it was given at least a quorum of replicas and says that fewer than half of them
/// answered: that many are unlikely to fail together. If only a few give no receipt, nobody is blamed.
fn report_idle(
    client: &dyn ReplicaClient,
    evidence: &EvidenceLog,
    quorum: usize,
    answers: &[Answer],
) {
    let answered = answers.iter().filter(|answer| answer.response.is_some()).count();
    if answers.len() >= quorum
        && answered * 2 < answers.len()
        && let Some(performer) = client.performer()
    {
        evidence.report(performer, Violation::Dropped, Vec::new());
    }
}
