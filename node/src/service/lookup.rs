//! The lookup service (paper, 2.1) with certificates, which is all that go-betweens, witnesses, anonymizers
//! and verifiers are asked for before a mail is sent (4.1, 4.2).

use std::time::Duration;

use anon::{
    certificate::NodeCertificate,
    id::NodeId,
    position::Key,
    request::Response,
    verification::{Statement, StatementClaims},
};
use futures::future::join_all;
use net::peer::Peer;

use super::StandardService;

/// Nodes looked up beyond those asked for, to replace those that do not hand out a certificate.
const SPARE: usize = 2;
/// How long a peer's lookup waits for its turn before it is refused.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(3);

impl StandardService {
    /// The certificates of the `count` nodes closest to `key` that are alive, closest first.
    pub(super) async fn lookup_certificates(
        &self,
        key: Key,
        count: usize,
    ) -> Option<Vec<NodeCertificate>> {
        let found = self.dht.lookup(key, self.network.k.max(count) + SPARE).await;
        let found = found.inspect_err(|error| tracing::debug!(%error, "no lookup")).ok()?;
        let closest: Vec<NodeId> = found.iter().map(|(node, _)| *node).collect();
        self.observer.looked_up(&key, &closest);
        let own = self.identity.node();
        let certificates = found.into_iter().map(async |(node, addresses)| {
            if node == own {
                return self.keys.certificate();
            }
            self.directory.certificate(node, addresses).await.ok()
        });
        let mut live: Vec<NodeCertificate> =
            join_all(certificates).await.into_iter().flatten().collect();
        live.truncate(count);
        Some(live)
    }

    /// What this node's roster says is closest to a key, signed; nothing is looked up.
    pub(super) fn closest(&self, key: Key, count: usize) -> Response {
        let epoch = self.network.epoch(self.clock.now());
        let nodes = self.roster.with(|roster| roster.stated(&key, count, epoch));
        let claims = StatementClaims {
            network: self.network.id,
            node: self.identity.node(),
            epoch,
            key,
            closest: nodes.iter().map(NodeCertificate::node).collect(),
        };
        Response::Closest(Box::new(Statement::issue(self.identity.secret(), claims)))
    }

    /// As [`Self::lookup_certificates`], for a peer, be it within a proxied request: a lookup makes many nodes work, and
    /// this one wait, so each peer has its share of them.
    pub(super) async fn looked_up_for(
        &self,
        peer: &Peer,
        key: Key,
        count: usize,
    ) -> Option<Vec<NodeCertificate>> {
        let _held = self.lookups.wait(peer.caller(), 1, LOOKUP_TIMEOUT).await?;
        self.lookup_certificates(key, count).await
    }

    /// Answers a peer that wants something looked up.
    pub(super) async fn lookup(&self, peer: &Peer, key: Key, count: usize) -> Response {
        match self.looked_up_for(peer, key, count).await {
            Some(nodes) => {
                Response::LookedUp(nodes.iter().map(NodeCertificate::to_unverified).collect())
            }
            None => Response::Refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use anon::{position::keep_closest, request::Request};
    use futures::future::BoxFuture;

    use super::*;
    use crate::{Node, Service, testing};
    use net::Via;

    /// Answers nothing, and hands out no certificate.
    struct Refusing;

    impl Service for Refusing {
        fn handle<'a>(&'a self, _: &'a Peer, _: Via, _: Request) -> BoxFuture<'a, Response> {
            Box::pin(std::future::ready(Response::Refused))
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn two_that_hand_out_no_certificate_hide_nobody_behind_them() {
        let mut nodes = vec![testing::node().await];
        for _ in 0..2 {
            let dress = |node: Node| node.serving(|_| Arc::new(Refusing));
            let refusing = testing::enter_at(&nodes[0].0, dress).await;
            nodes.push(refusing);
        }
        let here = nodes[0].0.service();
        // Of these nodes the honest one is farthest from the key.
        let farthest = |key: &Key| {
            let mut ids: Vec<NodeId> = nodes.iter().map(|(node, _)| node.id()).collect();
            keep_closest(&mut ids, key, 3, NodeId::position);
            ids.last().copied()
        };
        let key = (0..=255)
            .map(|byte| Key([byte; 32]))
            .find(|key| farthest(key) == Some(nodes[0].0.id()));
        let found = here.lookup_certificates(key.unwrap(), 1).await.unwrap();
        assert_eq!(found.iter().map(NodeCertificate::node).collect::<Vec<_>>(), [nodes[0].0.id()]);
    }
}
