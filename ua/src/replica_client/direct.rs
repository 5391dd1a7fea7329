//! The direct replica client (paper, 3): the agent itself goes to the replicas, which see its address.

use std::{sync::Arc, time::Duration};

use anon::{
    certificate::NodeCertificate,
    id::NodeId,
    position::Key,
    request::{Answer, Request},
    verification::ReplicaSet,
};
use futures::future::{BoxFuture, join_all};
use net::{Links, ask};

use super::ReplicaClient;
use crate::{bootstrap::Bootstrap, error::AgentError, event::Purpose};

/// How long a replica may take for its answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// Goes to the replicas itself.
#[derive(Debug)]
pub(crate) struct DirectClient {
    bootstrap: Arc<Bootstrap>,
    links: Links,
    key: Key,
    purpose: Purpose,
}

impl DirectClient {
    /// A client to the replicas of `key`.
    ///
    /// # Errors
    /// [`AgentError::Link`] if this machine gives no randomness.
    pub(crate) fn new(
        bootstrap: Arc<Bootstrap>,
        key: Key,
        purpose: Purpose,
    ) -> Result<Self, AgentError> {
        let links = bootstrap.context().disposable()?;
        Ok(Self { bootstrap, links, key, purpose })
    }
}

impl ReplicaClient for DirectClient {
    fn replicas(&mut self) -> BoxFuture<'_, Result<ReplicaSet, AgentError>> {
        Box::pin(self.bootstrap.replicas(self.key, self.purpose))
    }

    fn perform<'a>(
        &'a mut self,
        targets: &'a [NodeCertificate],
        request: &'a Request,
    ) -> BoxFuture<'a, Result<Vec<Answer>, AgentError>> {
        let links = &self.links;
        Box::pin(async move {
            let asked = targets.iter().map(async |target| {
                let response = ask(links, target, request, ANSWER_TIMEOUT).await.ok();
                Answer { node: target.node(), response }
            });
            Ok(join_all(asked).await)
        })
    }

    fn performer(&self) -> Option<NodeId> {
        None
    }

    fn purpose(&self) -> Purpose {
        self.purpose
    }
}
