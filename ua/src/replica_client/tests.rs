//! What deposits make of their replicas' answers, and what is held against whom.

use anon::{
    receipt::{Expected, Receipt},
    request::{ObjectKind, Store},
    time::Time,
};
use net::now;

use super::{
    made_up::{KEY, MadeUp, certificate, network, node, parts, receipt},
    *,
};

fn request() -> Request {
    Request::Store(Store {
        key: KEY,
        kind: ObjectKind::Body,
        object: b"an object".to_vec(),
        deleters: Vec::new(),
        nonce: [7; 16],
    })
}

fn tally(keep_until: Time) -> Tally {
    Tally::new(Expected::of(&request(), network().id, keep_until).unwrap())
}

/// Deposits at so many replicas, of which so many give a receipt in each round: what came of it, and how many were asked
/// in each round.
async fn deposited(
    replicas: u8,
    giving: &'static [u8],
) -> (Result<Vec<NodeId>, AgentError>, Vec<usize>) {
    let ((bootstrap, evidence), later) = (parts(), now().after(100));
    let mut client = MadeUp::with_receipts(replicas, giving, later);
    client.rounds_left = giving.len();
    let mut tally = tally(later);
    let done = deposit(&mut client, &request(), &mut tally, &bootstrap, &evidence).await;
    let ids = |nodes: Vec<NodeCertificate>| nodes.iter().map(NodeCertificate::node).collect();
    (done.map(ids), client.performed.into_iter().map(|(_, asked)| asked).collect())
}

fn replicas(count: u8) -> ReplicaSet {
    let nodes: Vec<_> = (1..=count).map(certificate).collect();
    ReplicaSet::agree(KEY, nodes.clone(), nodes).unwrap()
}

fn nodes(count: u8) -> Vec<NodeId> {
    replicas(count).nodes().iter().map(NodeCertificate::node).collect()
}

#[tokio::test]
async fn a_deposit_is_done_once_all_replicas_gave_receipts() {
    let (done, asked) = deposited(5, &[5, 5]).await;
    assert_eq!((done.unwrap(), asked), (nodes(5), vec![5]));
    let (done, asked) = deposited(3, &[3, 3]).await;
    assert_eq!((done.unwrap(), asked), (nodes(3), vec![3]), "a quorum of replicas will do");
}

#[tokio::test]
async fn fewer_replicas_than_a_quorum_are_too_few() {
    let (done, _) = deposited(2, &[2]).await;
    assert!(matches!(done, Err(AgentError::TooFewReplicas { found: 2, wanted: 3 })), "{done:?}");
}

#[tokio::test]
async fn those_that_gave_no_receipt_are_asked_once_more() {
    let (all, quorum) = tokio::join!(deposited(5, &[3, 5]), deposited(5, &[3, 3, 3]));
    assert_eq!((all.0.unwrap(), all.1), (nodes(5), vec![5, 2]));
    assert_eq!((quorum.0.unwrap(), quorum.1), (nodes(5), vec![5, 2]), "not a third time");
}

#[tokio::test]
async fn where_the_replicas_are_lost_a_quorum_of_receipts_counts_and_less_does_not() {
    let (quorum, less) = tokio::join!(deposited(5, &[3]), deposited(5, &[2]));
    assert_eq!(quorum.0.unwrap(), nodes(5));
    assert!(matches!(less.0, Err(AgentError::OneNode)), "{:?}", less.0);
}

#[tokio::test]
async fn a_receipt_that_another_node_brings_does_not_count() {
    let later = now().after(100);
    let mut tally = tally(later);
    let set = replicas(5);
    let receipt = receipt(1, &request(), later);
    assert_eq!(count(&mut tally, &set, node(2), &receipt), Err(ReceiptError::NotAReplica));
    assert_eq!((count(&mut tally, &set, node(1), &receipt), tally.len()), (Ok(()), 1));
    assert_eq!(count(&mut tally, &set, node(1), &receipt), Err(ReceiptError::Duplicate));
}

/// Against whom a receipt from replica 1 is held that does not count, why, and whether its own words prove it.
fn reported(
    performer: Option<NodeId>,
    receipt: &Receipt,
    error: ReceiptError,
) -> Vec<(NodeId, Violation, Vec<u8>)> {
    let ((_, evidence), mut client) = (parts(), MadeUp::new(5, |_, _, _| None));
    client.performer = performer;
    report_for_receipt(&client, &evidence, node(1), receipt, error);
    evidence.all().into_iter().map(|e| (e.node, e.violation, e.proof)).collect()
}

#[tokio::test]
async fn a_bad_receipt_is_held_against_its_bearer_and_its_time_against_its_signer() {
    let signed = receipt(1, &request(), now());
    let mut forged = signed.clone();
    forged.claims.expiry = Time(1);
    for performer in [None, Some(node(50))] {
        let bearer =
            vec![(performer.unwrap_or_else(|| node(1)), Violation::BadReceipt, Vec::new())];
        let signer = vec![(node(1), Violation::BadReceipt, wire::encode(&signed))];
        let soon = ReceiptError::ExpiresTooSoon;
        assert_eq!(reported(performer, &signed, soon), signer);
        assert_eq!(reported(performer, &forged, soon), bearer);
        assert_eq!(reported(performer, &signed, ReceiptError::OtherOperation), bearer);
        assert_eq!(reported(performer, &signed, ReceiptError::NotAReplica), bearer);
        // A replica that is asked twice gives the same receipt twice.
        assert_eq!(reported(performer, &signed, ReceiptError::Duplicate), []);
    }
}

#[tokio::test]
async fn an_anonymizer_is_idle_if_less_than_half_of_a_quorum_or_more_answered() {
    let z = Some(node(50));
    for (asked, answered, performer, is_idle) in [
        (5, 2, z, true),
        (5, 3, z, false),
        (4, 2, z, false),
        (4, 1, z, true),
        (3, 1, z, true),
        (2, 0, z, false),
        (5, 0, None, false),
    ] {
        let ((_, evidence), mut client) = (parts(), MadeUp::new(5, |_, _, _| None));
        client.performer = performer;
        let answer = |seed| Answer {
            node: node(seed),
            response: (seed <= answered).then_some(Response::Refused),
        };
        let answers: Vec<_> = (1..=asked).map(answer).collect();
        report_idle(&client, &evidence, 3, &answers);
        let evidence: Vec<_> = evidence.all().into_iter().map(|e| (e.node, e.violation)).collect();
        let expected = if is_idle { vec![(node(50), Violation::Dropped)] } else { Vec::new() };
        assert_eq!(evidence, expected, "{answered} of {asked}");
    }
}

#[tokio::test]
async fn an_idle_anonymizer_is_noted_in_a_deposit() {
    let (bootstrap, evidence) = parts();
    let mut client = MadeUp::new(5, |_, _, _| None);
    (client.performer, client.rounds_left) = (Some(node(50)), 1);
    let mut tally = tally(now());
    let done = deposit(&mut client, &request(), &mut tally, &bootstrap, &evidence).await;
    assert!(done.is_err());
    assert_eq!(evidence.all().len(), 1);
}
