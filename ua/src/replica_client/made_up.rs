//! A client to replicas that a test makes up, for tests of what an agent makes of their answers.

use std::sync::Arc;

use anon::{
    certificate::{NodeCertificate, NodeClaims},
    id::NodeId,
    keys::{ChannelSecret, IdentitySecret, SigningSecret as _},
    network::Network,
    position::Key,
    receipt::{Expected, Receipt, ReceiptClaims},
    request::{Answer, Request, Response},
    time::{Time, Validity},
    verification::ReplicaSet,
};
use futures::future::BoxFuture;
use net::{NetworkFile, now};

use super::ReplicaClient;
use crate::{
    bootstrap::Bootstrap, context::Context, error::AgentError, event::Purpose,
    evidence::EvidenceLog,
};

/// The key whose replicas they are.
pub(crate) const KEY: Key = Key([0; 32]);

/// A network with five replicas of a key, of which three are a quorum.
pub(crate) fn network() -> Network {
    let network = NetworkFile::parse("name = 'replicas.alt'").unwrap().network().unwrap();
    Network { k: 5, quorum: 3, ..network }
}

/// What an agent has there that has heard of a node that is no replica.
pub(crate) fn parts() -> (Arc<Bootstrap>, Arc<EvidenceLog>) {
    let context = Context::quiet(network());
    let bootstrap = Bootstrap::new(context.clone(), Vec::new());
    bootstrap.remember(&[certificate(99)]);
    (Arc::new(bootstrap), Arc::new(EvidenceLog::new(context)))
}

/// One node's certificate.
pub(crate) fn certificate(seed: u8) -> NodeCertificate {
    let network = network();
    let identity = IdentitySecret::from_seed(&[seed; 32]);
    let claims = NodeClaims {
        network: network.id,
        identity: NodeId(identity.verify_key().0),
        channel_key: ChannelSecret::from_seed(&[seed; 32]).agreement_key(),
        addresses: Vec::new(),
        family: String::new(),
        validity: Validity::starting(now(), 1_000),
        admission: None,
    };
    NodeCertificate::issue(&identity, claims).verify(&network, now()).unwrap()
}

/// A node's identity.
pub(crate) fn node(seed: u8) -> NodeId {
    certificate(seed).node()
}

/// A node's receipt for a request.
pub(crate) fn receipt(seed: u8, request: &Request, expiry: Time) -> Receipt {
    let Expected { network, kind, key, digest, size, nonce, .. } =
        Expected::of(request, network().id, expiry).unwrap();
    let node = node(seed);
    let claims = ReceiptClaims { network, kind, key, digest, size, expiry, node, nonce };
    Receipt::issue(&IdentitySecret::from_seed(&[seed; 32]), claims)
}

/// What a replica answers, by its seed, in which round.
type Answers = Box<dyn FnMut(u8, usize, &Request) -> Option<Response> + Send>;

/// A client to replicas with the seeds from one on.
pub(crate) struct MadeUp {
    replicas: u8,
    answers: Answers,
    /// In so many rounds the replicas are found.
    pub(crate) rounds_left: usize,
    /// Who performs, if not the agent.
    pub(crate) performer: Option<NodeId>,
    /// What was performed, and at how many replicas.
    pub(crate) performed: Vec<(Request, usize)>,
}

impl MadeUp {
    pub(crate) fn new(
        replicas: u8,
        answers: impl FnMut(u8, usize, &Request) -> Option<Response> + Send + 'static,
    ) -> Self {
        let (performer, performed) = (None, Vec::new());
        Self { replicas, answers: Box::new(answers), rounds_left: 4, performer, performed }
    }

    /// One whose replicas give receipts: so many of them in each round.
    pub(crate) fn with_receipts(replicas: u8, giving: &'static [u8], expiry: Time) -> Self {
        Self::new(replicas, move |seed, round, request| {
            let gives = giving.get(round).is_some_and(|giving| seed <= *giving);
            gives.then(|| Response::Receipt(Box::new(receipt(seed, request, expiry))))
        })
    }

    fn certificates(&self) -> Vec<NodeCertificate> {
        (1..=self.replicas).map(certificate).collect()
    }
}

impl ReplicaClient for MadeUp {
    fn replicas(&mut self) -> BoxFuture<'_, Result<ReplicaSet, AgentError>> {
        let nodes = self.certificates();
        let found = match self.rounds_left.checked_sub(1) {
            Some(left) => {
                self.rounds_left = left;
                Ok(ReplicaSet::agree(KEY, nodes.clone(), nodes).unwrap())
            }
            None => Err(AgentError::OneNode),
        };
        Box::pin(std::future::ready(found))
    }

    fn perform<'a>(
        &'a mut self,
        targets: &'a [NodeCertificate],
        request: &'a Request,
    ) -> BoxFuture<'a, Result<Vec<Answer>, AgentError>> {
        let round = self.performed.len();
        self.performed.push((request.clone(), targets.len()));
        let seed = |node| (1..=self.replicas).find(|seed| self::node(*seed) == node).unwrap();
        let targets: Vec<_> = targets.iter().map(|t| (t.node(), seed(t.node()))).collect();
        let answers = targets
            .into_iter()
            .map(|(node, seed)| Answer { node, response: (self.answers)(seed, round, request) });
        let answers = answers.collect();
        Box::pin(async { Ok(answers) })
    }

    fn performer(&self) -> Option<NodeId> {
        self.performer
    }

    fn purpose(&self) -> Purpose {
        Purpose::Body
    }
}
