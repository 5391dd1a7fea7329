//! Recipients' certificates: found, checked, and put back where a replica has lost its copy (paper, 2.4, 3.1).

mod absence;
pub mod known;

use std::{sync::Arc, time::Duration};

use anon::{
    certificate::{Address, AddressCertificate, NodeCertificate, UnverifiedAddressCertificate},
    receipt::{Expected, ReceiptKind, Tally},
    request::{Answer, DeletePermission, ObjectKind, Request, Response, Store, Targets},
    verification::verify_list,
};
use node::now;

use self::absence::{Absence, MOST_OPENED, says_none};
use crate::{
    courier::{AnonymousCourier, Courier, DirectCourier, deposit},
    entrance::Entrance,
    error::AgentError,
    event::{Event, Purpose},
    scheme::{OpenChannel, Scheme},
};

/// How long putting a certificate back may take; nobody waits for more.
const RESTORE_TIMEOUT: Duration = Duration::from_secs(30);

/// The request that keeps a certificate in the network; its owner may delete it.
#[must_use]
pub fn store_request(certificate: &AddressCertificate) -> Store {
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
/// [`AgentError::NoSuchRecipient`] if three far ends agree that a quorum of the replicas has none;
/// [`AgentError::NotFoundOut`] if too many bring too little to say.
pub async fn fetch_anonymously(
    scheme: &Arc<dyn Scheme>,
    entrance: &Entrance,
    address: &Address,
) -> Result<AddressCertificate, AgentError> {
    let key = address.certificate();
    let network = entrance.network();
    let count = u8::try_from(network.k).unwrap_or(u8::MAX);
    let early = Request::Perform {
        targets: scheme.near(key, count),
        request: Box::new(Request::Fetch { key }),
    };
    let mut absence = Absence::new(network.quorum, scheme.own_replicas(&key));
    for _ in 0..MOST_OPENED {
        let OpenChannel { mut channel, answer, path } =
            scheme.open(Purpose::Certificate, &early).await?;
        let may_ask_on = absence.may_ask_on(path.far_end);
        let (nodes, answers) = match answer {
            Response::Performed { nodes, answers } => {
                (verify_list(nodes, &key, network.k, network, now()).unwrap_or_default(), answers)
            }
            _ => (Vec::new(), Vec::new()),
        };
        if let Some(certificate) = newest(entrance, address, &answers) {
            let lacking = lacking(&nodes, &answers);
            if !lacking.is_empty() {
                let restore = Request::Perform {
                    targets: Targets::Nodes(lacking.iter().map(NodeCertificate::node).collect()),
                    request: Box::new(Request::Store(store_request(&certificate))),
                };
                // Nobody waits for it, but the channel must live until it is done.
                tokio::spawn(async move { channel.request(&restore, RESTORE_TIMEOUT).await });
            }
            return Ok(certificate);
        }
        absence.hear(path.far_end, &nodes, &answers);
        if absence.is_shown() {
            return Err(AgentError::NoSuchRecipient);
        }
        if !may_ask_on {
            break;
        }
        let reason = "no certificate found; asking through another channel".to_owned();
        entrance.listener().on(&Event::Retry { purpose: Purpose::Certificate, reason });
    }
    Err(AgentError::NotFoundOut)
}

/// Fetches the certificate of `address` directly, and puts it back at replicas that lack it (paper, 2.4).
///
/// # Errors
/// [`AgentError::NoSuchRecipient`] if a quorum of the replicas say, each for itself, that they have none;
/// [`AgentError::NotFoundOut`] if neither a certificate nor such a quorum is there.
pub async fn fetch_directly(
    entrance: &Arc<Entrance>,
    address: &Address,
) -> Result<AddressCertificate, AgentError> {
    let key = address.certificate();
    let mut courier = DirectCourier::new(Arc::clone(entrance), key, Purpose::Certificate)?;
    let set = courier.replicas().await?;
    let answers = courier.perform(set.nodes(), &Request::Fetch { key }).await?;
    let lacking = lacking(set.nodes(), &answers);
    let Some(certificate) = newest(entrance, address, &answers) else {
        let none = answers.iter().filter(|answer| says_none(answer)).count();
        let is_absent = none >= entrance.quorum_of(set.nodes());
        return Err(if is_absent { AgentError::NoSuchRecipient } else { AgentError::NotFoundOut });
    };
    if !lacking.is_empty() {
        let restore = Request::Store(store_request(&certificate));
        courier.perform(&lacking, &restore).await?;
    }
    Ok(certificate)
}

/// Sees to it that all k replicas hold one's own certificate (paper, 2.4), directly: how many had lost theirs.
///
/// # Errors
/// [`AgentError`] if not even a quorum could be brought to hold it.
pub async fn publish(
    entrance: &Arc<Entrance>,
    certificate: &AddressCertificate,
) -> Result<usize, AgentError> {
    let key = certificate.address().certificate();
    let mut courier = DirectCourier::new(Arc::clone(entrance), key, Purpose::Certificate)?;
    publish_by(&mut courier, entrance, certificate).await
}

/// As [`publish`], through channels: nobody learns whose address it is.
///
/// # Errors
/// As [`publish`].
pub async fn publish_anonymously(
    scheme: Arc<dyn Scheme>,
    entrance: &Arc<Entrance>,
    certificate: &AddressCertificate,
) -> Result<usize, AgentError> {
    let key = certificate.address().certificate();
    let (purpose, entrance) = (Purpose::Certificate, Arc::clone(entrance));
    let mut courier = AnonymousCourier::open(scheme, Arc::clone(&entrance), key, purpose).await?;
    publish_by(&mut courier, &entrance, certificate).await
}

/// As [`publish`], by any courier to the certificate's replicas.
///
/// # Errors
/// As [`publish`].
pub async fn publish_by(
    courier: &mut dyn Courier,
    entrance: &Entrance,
    certificate: &AddressCertificate,
) -> Result<usize, AgentError> {
    let key = certificate.address().certificate();
    let set = courier.replicas().await?;
    let answers = courier.perform(set.nodes(), &Request::Fetch { key }).await?;
    let holds = |answer: &Answer| matches!(&answer.response, Some(Response::Object(bytes)) if *bytes == certificate.encode());
    let lacking = answers.iter().filter(|answer| !holds(answer)).count();
    if lacking > 0 {
        let store = store_request(certificate);
        let network = entrance.network();
        let mut tally = Tally::new(Expected {
            network: network.id,
            kind: ReceiptKind::Stored,
            key,
            digest: store.digest(),
            size: u64::try_from(store.object.len()).unwrap_or(u64::MAX),
            nonce: store.nonce,
            keep_until: now(),
        });
        let request = Request::Store(store);
        deposit(courier, &request, &mut tally, entrance).await?;
    }
    Ok(lacking)
}

/// The newest valid certificate of `address` among the answers.
fn newest(
    entrance: &Entrance,
    address: &Address,
    answers: &[Answer],
) -> Option<AddressCertificate> {
    let valid = answers.iter().filter_map(|answer| match &answer.response {
        Some(Response::Object(bytes)) => {
            let certificate = UnverifiedAddressCertificate::decode(bytes).ok()?;
            certificate.verify(entrance.network(), now()).ok()
        }
        _ => None,
    });
    valid.filter(|certificate| certificate.address() == address).reduce(AddressCertificate::newer)
}

/// The replicas that are there and have no copy.
fn lacking(nodes: &[NodeCertificate], answers: &[Answer]) -> Vec<NodeCertificate> {
    let lacks = |node: &&NodeCertificate| {
        let answer = answers.iter().find(|answer| answer.node == node.node());
        matches!(answer, Some(Answer { response: Some(Response::NotFound), .. }))
    };
    nodes.iter().filter(lacks).cloned().collect()
}
