//! How a reader gets to the nodes that hold its mail: itself, or through channels, one for each key.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anon::{
    certificate::NodeCertificate,
    network::MAX_K,
    position::Key,
    request::{Errand, Request, Response},
};
use futures::future::{BoxFuture, join_all};
use node::{Channel, Links, ask};

use crate::{entrance::Entrance, error::AgentError, event::Purpose, scheme::Scheme};

/// How long a node may take for its answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a far end may take to perform errands and bring back the answers.
const PERFORM_TIMEOUT: Duration = Duration::from_secs(60);

/// A way to the nodes that hold what belongs to a key.
pub trait Route: Send + Sync {
    /// The nodes that may hold it, nearest first: rather one too many.
    fn candidates(&self, key: Key) -> BoxFuture<'_, Result<Vec<NodeCertificate>, AgentError>>;

    /// Asks each node what is for it alone; the answers in order, `None` where none came.
    fn ask_each(
        &self,
        key: Key,
        errands: Vec<(NodeCertificate, Request)>,
    ) -> BoxFuture<'_, Vec<Option<Response>>>;
}

/// The reader goes itself: the nodes see its address.
#[derive(Debug)]
pub struct DirectRoute {
    entrance: Arc<Entrance>,
    links: Links,
}

impl DirectRoute {
    /// A route over what the agent knows of the network.
    ///
    /// # Errors
    /// [`AgentError::Link`] if this machine gives no randomness.
    pub fn new(entrance: Arc<Entrance>) -> Result<Self, AgentError> {
        let links = entrance.disposable()?;
        Ok(Self { entrance, links })
    }
}

impl Route for DirectRoute {
    fn candidates(&self, key: Key) -> BoxFuture<'_, Result<Vec<NodeCertificate>, AgentError>> {
        Box::pin(self.entrance.all_candidates(key))
    }

    fn ask_each(
        &self,
        _: Key,
        errands: Vec<(NodeCertificate, Request)>,
    ) -> BoxFuture<'_, Vec<Option<Response>>> {
        Box::pin(async move {
            let asked = errands.iter().map(async |(node, request)| {
                ask(&self.links, node, request, ANSWER_TIMEOUT).await.ok()
            });
            join_all(asked).await
        })
    }
}

/// A channel for each key: no far end sees two inboxes, or an inbox and a body, of one reader.
pub struct AnonymousRoute {
    scheme: Arc<dyn Scheme>,
    k: usize,
    open: Mutex<BTreeMap<Key, Channel>>,
}

impl std::fmt::Debug for AnonymousRoute {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AnonymousRoute(..)")
    }
}

impl AnonymousRoute {
    /// A route over channels of this scheme.
    #[must_use]
    pub fn new(scheme: Arc<dyn Scheme>, entrance: &Entrance) -> Self {
        Self { scheme, k: entrance.network().k, open: Mutex::default() }
    }

    fn take(&self, key: Key) -> Option<Channel> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&key)
    }

    fn keep(&self, key: Key, channel: Channel) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(key, channel);
    }

    async fn open(&self, key: Key) -> Result<(Channel, Vec<NodeCertificate>), AgentError> {
        let question = self.scheme.list_replicas(key, u8::try_from(self.k).unwrap_or(u8::MAX));
        let open = self.scheme.open(Purpose::Reading, &question).await?;
        Ok((open.channel, self.scheme.candidates(key, open.answer)?))
    }

    /// Performs at most [`MAX_K`] errands; `None` if the channel failed.
    async fn perform(
        &self,
        key: Key,
        errands: &[(NodeCertificate, Request)],
    ) -> Option<Vec<Option<Response>>> {
        let mut channel = match self.take(key) {
            Some(channel) => channel,
            None => self.open(key).await.ok()?.0,
        };
        let each = errands
            .iter()
            .map(|(node, request)| Errand { target: node.node(), request: request.clone() });
        let request = Request::PerformEach(each.collect());
        match channel.request(&request, PERFORM_TIMEOUT).await {
            Ok(Response::Performed { answers, .. }) if answers.len() == errands.len() => {
                self.keep(key, channel);
                Some(answers.into_iter().map(|answer| answer.response).collect())
            }
            _ => None,
        }
    }
}

impl Route for AnonymousRoute {
    fn candidates(&self, key: Key) -> BoxFuture<'_, Result<Vec<NodeCertificate>, AgentError>> {
        Box::pin(async move {
            let (channel, candidates) = self.open(key).await?;
            self.keep(key, channel);
            Ok(candidates)
        })
    }

    fn ask_each(
        &self,
        key: Key,
        errands: Vec<(NodeCertificate, Request)>,
    ) -> BoxFuture<'_, Vec<Option<Response>>> {
        Box::pin(async move {
            let mut answers = Vec::with_capacity(errands.len());
            for some in errands.chunks(MAX_K) {
                match self.perform(key, some).await {
                    Some(performed) => answers.extend(performed),
                    None => answers.extend(some.iter().map(|_| None)),
                }
            }
            answers
        })
    }
}
