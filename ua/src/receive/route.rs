//! How a reader gets to the nodes that hold its mail: itself, or through channels, one for each key.
//!
//! A channel serves one key and is closed when that is done. It is never used for another body: whoever sends Bob a
//! mail knows a key that he will ask for, and an anonymizer that works with that sender would learn the keys of all else
//! that comes through the same channel. Where a reader needs more channels than there are nodes, a node is anonymizer
//! again once all others were as often (`anon::selection::Planner`); by the channels nobody can tell that they have one
//! reader.

use std::{sync::Arc, time::Duration};

use anon::{
    certificate::NodeCertificate,
    id::NodeId,
    network::MAX_K,
    position::Key,
    request::{ProxiedRequest, Request, Response},
};
use futures::future::{BoxFuture, join_all};
use net::{Channel, LinkError, Links, ask};

use crate::{
    bootstrap::Bootstrap,
    error::AgentError,
    event::Purpose,
    scheme::{GuardedScheme, OpenChannel, Scheme},
};

/// How long a node may take for its answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// How long an anonymizer may take to perform proxied requests and bring back the answers.
const PERFORM_TIMEOUT: Duration = Duration::from_secs(60);

/// What lies at a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The reader's inbox.
    Inbox,
    /// A part of a mail.
    Body,
}

/// A way to the nodes that hold what belongs to a key.
pub(crate) trait Route: Send + Sync {
    /// Opens a way to the nodes near a key.
    fn open(&self, key: Key, place: Place) -> BoxFuture<'_, Result<Box<dyn Way>, AgentError>>;
}

/// Each node's answer, if it gave one.
pub(crate) type Asked<'a> = BoxFuture<'a, Result<Vec<Option<Response>>, AgentError>>;

/// An open way; dropping it closes it.
pub(crate) trait Way: Send {
    /// The nodes that may hold it, closest first: rather one too many.
    fn nodes(&self) -> &[NodeCertificate];

    /// Asks each node what is for it alone, all at once; the answers in order, `None` where none came.
    ///
    /// # Errors
    /// [`AgentError`] if the way is broken, and no good any more.
    fn ask_each(&mut self, requests: Vec<(NodeCertificate, Request)>) -> Asked<'_>;
}

/// The reader goes itself: the nodes see its address.
#[derive(Debug)]
pub(crate) struct DirectRoute {
    bootstrap: Arc<Bootstrap>,
    links: Links,
}

impl DirectRoute {
    /// A route over what the agent knows of the network.
    ///
    /// # Errors
    /// [`AgentError::Link`] if this machine gives no randomness.
    pub(crate) fn new(bootstrap: Arc<Bootstrap>) -> Result<Self, AgentError> {
        let links = bootstrap.context().disposable()?;
        Ok(Self { bootstrap, links })
    }
}

impl Route for DirectRoute {
    fn open(&self, key: Key, _: Place) -> BoxFuture<'_, Result<Box<dyn Way>, AgentError>> {
        Box::pin(async move {
            let nodes = self.bootstrap.all_candidates(key).await?;
            Ok(Box::new(DirectWay { links: self.links.clone(), nodes }) as Box<dyn Way>)
        })
    }
}

struct DirectWay {
    links: Links,
    nodes: Vec<NodeCertificate>,
}

impl Way for DirectWay {
    fn nodes(&self) -> &[NodeCertificate] {
        &self.nodes
    }

    fn ask_each(&mut self, requests: Vec<(NodeCertificate, Request)>) -> Asked<'_> {
        Box::pin(async move {
            let asked = requests.iter().map(async |(node, request)| {
                ask(&self.links, node, request, ANSWER_TIMEOUT).await.ok()
            });
            Ok(join_all(asked).await)
        })
    }
}

/// A channel for each key: no anonymizer is told of two inboxes, or an inbox and a body, or two bodies, that they have
/// one reader.
#[derive(derive_more::Debug)]
#[debug("AnonymousRoute(..)")]
pub(crate) struct AnonymousRoute {
    pub(crate) scheme: Arc<dyn Scheme>,
    pub(crate) k: usize,
}

impl Route for AnonymousRoute {
    fn open(&self, key: Key, place: Place) -> BoxFuture<'_, Result<Box<dyn Way>, AgentError>> {
        Box::pin(async move {
            let question = self.scheme.list_replicas(key, u8::try_from(self.k).unwrap_or(u8::MAX));
            let open = self.scheme.open(Purpose::Reading, &question).await?;
            let OpenChannel { channel, answer, path } = open;
            let guarded = Arc::clone(&self.scheme).guarded();
            let mut way =
                AnonymousWay { guarded, channel, anonymizer: path.anonymizer, nodes: Vec::new() };
            if place == Place::Inbox {
                way.set_apart();
            }
            way.nodes = self.scheme.candidates(key, answer)?;
            Ok(Box::new(way) as Box<dyn Way>)
        })
    }
}

struct AnonymousWay {
    guarded: Option<Arc<GuardedScheme>>,
    channel: Channel,
    anonymizer: NodeId,
    nodes: Vec<NodeCertificate>,
}

impl AnonymousWay {
    /// The anonymizer is to serve for nothing else of this reading.
    fn set_apart(&self) {
        if let Some(guarded) = &self.guarded {
            guarded.set_apart(self.anonymizer);
        }
    }

    /// Has at most [`MAX_K`] proxied requests performed.
    async fn perform(
        &mut self,
        requests: &[(NodeCertificate, Request)],
    ) -> Result<Vec<Option<Response>>, AgentError> {
        let each = requests.iter().map(|(node, request)| ProxiedRequest {
            target: node.node(),
            request: request.clone(),
        });
        let request = Request::PerformEach(each.collect());
        match self.channel.request(&request, PERFORM_TIMEOUT).await {
            Ok(Response::Performed { answers, .. }) if answers.len() == requests.len() => {
                Ok(answers.into_iter().map(|answer| answer.response).collect())
            }
            Ok(_) => {
                self.set_apart();
                Err(AgentError::BadAnswer)
            }
            Err(error) => {
                if matches!(error, LinkError::TimedOut) {
                    // Whoever let time run out once does not get to do it again where there are others.
                    self.set_apart();
                }
                Err(error.into())
            }
        }
    }
}

impl Way for AnonymousWay {
    fn nodes(&self) -> &[NodeCertificate] {
        &self.nodes
    }

    fn ask_each(&mut self, requests: Vec<(NodeCertificate, Request)>) -> Asked<'_> {
        Box::pin(async move {
            let mut answers = Vec::with_capacity(requests.len());
            for some in requests.chunks(MAX_K) {
                answers.extend(self.perform(some).await?);
            }
            Ok(answers)
        })
    }
}
