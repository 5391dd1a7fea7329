//! Recipients' certificates: found, checked, and put back where a replica has lost its copy (paper, 2.4, 3.1).

mod absence;
pub(crate) mod known;

use std::{sync::Arc, time::Duration};

use self::absence::{Absence, Finding, MOST_OPENED, says_none};
use crate::{
    bootstrap::Bootstrap,
    context::Context,
    error::AgentError,
    event::{Event, Purpose},
    evidence::EvidenceLog,
    replica_client::{DirectClient, ReplicaClient, deposit},
    scheme::{OpenChannel, Scheme},
};
use anon::{
    certificate::{Address, AddressCertificate, NodeCertificate, UnverifiedAddressCertificate},
    position::Key,
    receipt::{Expected, ReceiptKind, Tally},
    request::{Answer, DeletePermission, ObjectKind, Request, Response, Store, Targets},
    verification::verify_list,
};

/// How long putting a certificate back may take; nobody waits for more.
const RESTORE_TIMEOUT: Duration = Duration::from_secs(30);

/// The request that keeps a certificate in the network; its owner may delete it.
#[must_use]
pub(crate) fn store_request(certificate: &AddressCertificate) -> Store {
    Store {
        key: certificate.address().certificate(),
        kind: ObjectKind::Certificate,
        object: certificate.encode(),
        deleters: vec![DeletePermission::Certificate(Box::new(certificate.to_unverified()))],
        nonce: rand::random(),
    }
}

/// Fetches the certificate of `address` through a channel, and puts it back at replicas that lack it.
///
/// # Errors
/// [`AgentError::NoSuchRecipient`] if three anonymizers agree that a quorum of the replicas has none;
/// [`AgentError::NotFoundOut`] if too many bring too little to say.
pub(crate) async fn fetch_anonymously(
    scheme: &Arc<dyn Scheme>,
    context: &Context,
    address: &Address,
) -> Result<AddressCertificate, AgentError> {
    let key = address.certificate();
    let network = &context.network;
    let count = u8::try_from(network.k).unwrap_or(u8::MAX);
    let early = Request::Perform {
        targets: scheme.near(key, count),
        request: Box::new(Request::Fetch { key }),
    };
    let own = Arc::clone(scheme).guarded().and_then(|guarded| guarded.own_replicas(&key));
    let mut absence = Absence::new(network.quorum, own);
    for _ in 0..MOST_OPENED {
        let OpenChannel { mut channel, answer, path } =
            scheme.open(Purpose::Certificate, &early).await?;
        let (nodes, answers) = brought(answer, &key, context);
        if let Some(certificate) = newest(context, address, &answers) {
            if let Some(restore) = restoring(&certificate, &nodes, &answers) {
                // Nobody waits for it, but the channel must live until it is done.
                tokio::spawn(async move { channel.request(&restore, RESTORE_TIMEOUT).await });
            }
            return Ok(certificate);
        }
        match absence.hear(path.anonymizer, &nodes, &answers) {
            Finding::Shown => return Err(AgentError::NoSuchRecipient),
            Finding::Unclear => break,
            Finding::AskOn => {
                let reason = "no certificate found; asking through another channel".to_owned();
                context.tell(&Event::Retry { purpose: Purpose::Certificate, reason });
            }
        }
    }
    Err(AgentError::NotFoundOut)
}

/// Fetches the certificate of `address` directly, and puts it back at replicas that lack it (paper, 2.4).
///
/// # Errors
/// [`AgentError::NoSuchRecipient`] if a quorum of the replicas say, each for itself, that they have none;
/// [`AgentError::NotFoundOut`] if neither a certificate nor such a quorum is there.
pub(crate) async fn fetch_directly(
    bootstrap: &Arc<Bootstrap>,
    address: &Address,
) -> Result<AddressCertificate, AgentError> {
    let key = address.certificate();
    let mut client = DirectClient::new(Arc::clone(bootstrap), key, Purpose::Certificate)?;
    let set = client.replicas().await?;
    let answers = client.perform(set.nodes(), &Request::Fetch { key }).await?;
    let lacking = lacking(set.nodes(), &answers);
    let Some(certificate) = newest(bootstrap.context(), address, &answers) else {
        let none = answers.iter().filter(|answer| says_none(answer)).count();
        let is_absent = none >= bootstrap.quorum_of(set.nodes());
        return Err(if is_absent { AgentError::NoSuchRecipient } else { AgentError::NotFoundOut });
    };
    if !lacking.is_empty() {
        let restore = Request::Store(store_request(&certificate));
        client.perform(&lacking, &restore).await?;
    }
    Ok(certificate)
}

/// Sees to it that all k replicas hold one's own certificate (paper, 2.4), by any client to them: how many had lost
/// theirs.
///
/// # Errors
/// [`AgentError`] if not even a quorum could be brought to hold it.
pub(crate) async fn publish(
    client: &mut dyn ReplicaClient,
    bootstrap: &Bootstrap,
    evidence: &EvidenceLog,
    certificate: &AddressCertificate,
) -> Result<usize, AgentError> {
    let key = certificate.address().certificate();
    let set = client.replicas().await?;
    let answers = client.perform(set.nodes(), &Request::Fetch { key }).await?;
    let holds = |answer: &Answer| matches!(&answer.response, Some(Response::Object(bytes)) if *bytes == certificate.encode());
    let lacking = answers.iter().filter(|answer| !holds(answer)).count();
    if lacking > 0 {
        let store = store_request(certificate);
        let context = bootstrap.context();
        let mut tally = Tally::new(Expected {
            network: context.network.id,
            kind: ReceiptKind::Stored,
            key,
            digest: store.digest(),
            size: u64::try_from(store.object.len()).unwrap_or(u64::MAX),
            nonce: store.nonce,
            keep_until: context.now(),
        });
        let request = Request::Store(store);
        deposit(client, &request, &mut tally, bootstrap, evidence).await?;
    }
    Ok(lacking)
}

/// The newest valid certificate of `address` among the answers.
fn newest(context: &Context, address: &Address, answers: &[Answer]) -> Option<AddressCertificate> {
    let valid = answers.iter().filter_map(|answer| match &answer.response {
        Some(Response::Object(bytes)) => {
            let certificate = UnverifiedAddressCertificate::decode(bytes).ok()?;
            certificate.verify(&context.network, context.now()).ok()
        }
        _ => None,
    });
    valid.filter(|certificate| certificate.address() == address).reduce(AddressCertificate::newer)
}

/// The replicas of `key` that an anonymizer says it asked, and their answers. Nothing, if it answered something else.
fn brought(answer: Response, key: &Key, context: &Context) -> (Vec<NodeCertificate>, Vec<Answer>) {
    let Response::Performed { nodes, answers } = answer else { return Default::default() };
    let (network, now) = (&context.network, context.now());
    (verify_list(nodes, key, network.k, network, now).unwrap_or_default(), answers)
}

/// What puts a certificate back at the replicas that are there and have no copy, if there are any.
fn restoring(
    certificate: &AddressCertificate,
    nodes: &[NodeCertificate],
    answers: &[Answer],
) -> Option<Request> {
    let lacking: Vec<_> = lacking(nodes, answers).iter().map(NodeCertificate::node).collect();
    (!lacking.is_empty()).then(|| Request::Perform {
        targets: Targets::Nodes(lacking),
        request: Box::new(Request::Store(store_request(certificate))),
    })
}

/// The replicas that are there and have no copy.
fn lacking(nodes: &[NodeCertificate], answers: &[Answer]) -> Vec<NodeCertificate> {
    let lacks = |node: &&NodeCertificate| {
        let answer = answers.iter().find(|answer| answer.node == node.node());
        matches!(answer, Some(Answer { response: Some(Response::NotFound), .. }))
    };
    nodes.iter().filter(lacks).cloned().collect()
}

#[cfg(test)]
mod tests {
    use anon::time::Time;
    use net::now;

    use super::*;
    use crate::{
        account::Account,
        replica_client::{
            client,
            made_up::{self, MadeUp, node, parts, receipt},
        },
        scheme::closed::Closed,
    };

    fn context() -> Context {
        Context::quiet(made_up::network())
    }

    fn account() -> (Account, AddressCertificate) {
        let network = made_up::network();
        let account = Account::self_certifying(&network, Time(now().0 - 100));
        let certificate = account.certificate(&network, now()).unwrap();
        (account, certificate)
    }

    #[test]
    fn of_all_answers_the_newest_certificate_of_that_address_is_found() {
        let (context, (mut bob, older), (eve, others)) = (context(), account(), account());
        bob.renew(&context.network, now());
        let newer = bob.certificate(&context.network, now()).unwrap();
        let answer = |response| Answer { node: node(1), response };
        let object = |bytes: Vec<u8>| answer(Some(Response::Object(bytes)));
        let nothing = [
            answer(None),
            answer(Some(Response::NotFound)),
            object(vec![7; 64]),
            object(others.encode()),
        ];
        assert_eq!(newest(&context, bob.address(), &nothing), None);
        assert_eq!(newest(&context, eve.address(), &nothing), Some(others));
        let [older, newer] = [older, newer].map(|found| (object(found.encode()), found));
        let some = |answers: &[&Answer]| -> Vec<Answer> {
            nothing.iter().chain(answers.iter().copied()).cloned().collect()
        };
        let found = |answers: &[&Answer]| newest(&context, bob.address(), &some(answers)).unwrap();
        assert_eq!(found(&[&older.0]), older.1);
        assert_eq!(found(&[&older.0, &newer.0]), newer.1);
        assert_eq!(found(&[&newer.0, &older.0]), newer.1);
    }

    #[test]
    fn an_anonymizer_brings_answers_and_counts_with_no_more_nodes_than_there_are_replicas() {
        let answers = vec![Answer { node: node(1), response: Some(Response::NotFound) }];
        let brings = |replicas: u8| {
            let nodes = (1..=replicas).map(|seed| made_up::certificate(seed).to_unverified());
            let answer = Response::Performed { nodes: nodes.collect(), answers: answers.clone() };
            let (nodes, brought) = brought(answer, &made_up::KEY, &context());
            assert_eq!(brought, answers);
            nodes.len()
        };
        assert_eq!([0, 1, 5, 6].map(brings), [0, 1, 5, 0]);
        let refused = brought(Response::Refused, &made_up::KEY, &context());
        assert_eq!(refused, (Vec::new(), Vec::new()));
    }

    #[test]
    fn a_certificate_is_put_back_where_a_replica_says_that_it_has_none_and_nowhere_else() {
        let (_, certificate) = account();
        let nodes = [1, 2, 3, 4].map(made_up::certificate);
        let held = Response::Object(certificate.encode());
        let restored = |lack: &[usize]| {
            let mut answers =
                [Some(held.clone()), Some(held.clone()), Some(Response::Refused), None];
            lack.iter().for_each(|place| answers[*place] = Some(Response::NotFound));
            let answers = nodes.iter().zip(answers);
            let answers = answers.map(|(n, response)| Answer { node: n.node(), response });
            match restoring(&certificate, &nodes, &answers.collect::<Vec<_>>())? {
                Request::Perform { targets: Targets::Nodes(targets), request } => {
                    let Request::Store(store) = *request else { panic!("{request:?}") };
                    assert_eq!(store.object, certificate.encode());
                    Some(targets)
                }
                request => panic!("{request:?}"),
            }
        };
        assert_eq!(restored(&[]), None);
        assert_eq!(restored(&[0, 1]), Some(vec![node(1), node(2)]));
        assert_eq!(restored(&[3]), Some(vec![node(4)]));
    }

    /// Publishes a certificate that only these replicas lack, and that all take: how many lacked it, and at how many
    /// replicas it was stored.
    async fn published(lack: &'static [u8]) -> (usize, Vec<usize>) {
        let ((bootstrap, evidence), (_, certificate)) = (parts(), account());
        let held = certificate.encode();
        let mut client = MadeUp::new(5, move |seed, _, request| {
            Some(match request {
                Request::Fetch { .. } if lack.contains(&seed) => Response::NotFound,
                Request::Fetch { .. } => Response::Object(held.clone()),
                _ => Response::Receipt(Box::new(receipt(seed, request, now().after(100)))),
            })
        });
        let lacking = publish(&mut client, &bootstrap, &evidence, &certificate).await.unwrap();
        let is_store = |(request, _): &(Request, usize)| matches!(request, Request::Store(_));
        let stored = client.performed.into_iter().filter(is_store);
        (lacking, stored.map(|(_, replicas)| replicas).collect())
    }

    #[tokio::test]
    async fn a_certificate_is_stored_only_if_a_replica_lacks_it() {
        assert_eq!(published(&[]).await, (0, vec![]));
        assert_eq!(published(&[2]).await, (1, vec![5]));
        assert_eq!(published(&[1, 2, 3, 4, 5]).await, (5, vec![5]));
    }

    #[tokio::test]
    async fn nothing_is_published_where_nobody_is_reached() {
        // The one node that it knows has no address.
        let ((bootstrap, evidence), (_, certificate)) = (parts(), account());
        let key = certificate.address().certificate();
        let published = async |scheme| {
            let client = client(scheme, &bootstrap, &evidence, key, Purpose::Certificate);
            publish(&mut *client.await?, &bootstrap, &evidence, &certificate).await
        };
        let directly = published(None).await;
        assert!(matches!(directly, Err(AgentError::NoNode)), "{directly:?}");
        let scheme = Arc::new(Closed::default());
        let closed = Arc::<Closed>::clone(&scheme);
        let anonymously = published(Some(closed)).await;
        assert!(matches!(anonymously, Err(AgentError::NoGuard)), "{anonymously:?}");
        assert!(scheme.asked() > 0);
    }
}
