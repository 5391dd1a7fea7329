//! The anonymous courier (paper, 4.2): the anonymizer Z performs, the verifier W confirms where.

use std::{sync::Arc, time::Duration};

use anon::{
    certificate::{NodeCertificate, NodeId},
    position::Key,
    request::{Answer, Request, Response, Targets},
    verification::ReplicaSet,
};
use futures::future::BoxFuture;
use node::Channel;

use super::Courier;
use crate::{
    entrance::Entrance,
    error::AgentError,
    event::{Event, Path, Purpose},
    evidence::Misdeed,
    scheme::{OpenChannel, Scheme},
};

/// How often a new pair of channels is tried before the courier gives up.
const ATTEMPTS: usize = 4;
/// How long an anonymizer may take to perform a request at all targets and bring back the answers.
const PERFORM_TIMEOUT: Duration = Duration::from_secs(60);

/// Goes through an anonymizer, confirmed by a verifier.
pub struct AnonymousCourier {
    scheme: Arc<dyn Scheme>,
    entrance: Arc<Entrance>,
    key: Key,
    purpose: Purpose,
    anonymizer: Option<Channel>,
    path: Option<Path>,
    fresh: Option<ReplicaSet>,
}

impl std::fmt::Debug for AnonymousCourier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AnonymousCourier(..)")
    }
}

impl AnonymousCourier {
    /// A courier to the replicas of `key`, its channels open and their lists compared.
    ///
    /// # Errors
    /// [`AgentError`], [`AgentError::Disagreement`] if no pair of lists agreed.
    pub async fn open(
        scheme: Arc<dyn Scheme>,
        entrance: Arc<Entrance>,
        key: Key,
        purpose: Purpose,
    ) -> Result<Self, AgentError> {
        let mut courier =
            Self { scheme, entrance, key, purpose, anonymizer: None, path: None, fresh: None };
        courier.fresh = Some(courier.find_replicas().await?);
        Ok(courier)
    }

    /// Opens Z and W and compares their lists, again with others until two agree.
    async fn find_replicas(&mut self) -> Result<ReplicaSet, AgentError> {
        let k = u8::try_from(self.entrance.network().k).unwrap_or(u8::MAX);
        let closest = self.scheme.list_replicas(self.key, k);
        let mut attempt = 1;
        loop {
            match self.compare_once(&closest).await {
                Ok(set) => {
                    let replicas = set.nodes().iter().map(NodeCertificate::node).collect();
                    let agreed = Event::Agreed { purpose: self.purpose, replicas };
                    self.entrance.listener().on(&agreed);
                    return Ok(set);
                }
                Err(AgentError::Disagreement(disagreement)) if attempt < ATTEMPTS => {
                    let event = Event::Disagreed { purpose: self.purpose, disagreement };
                    self.entrance.listener().on(&event);
                    attempt += 1;
                    tokio::time::sleep(Duration::from_millis(250)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn compare_once(&mut self, closest: &Request) -> Result<ReplicaSet, AgentError> {
        let (z, w) = tokio::try_join!(
            self.scheme.open(self.purpose, closest),
            self.scheme.open(self.purpose.check(), closest),
        )?;
        // "Another random node W" (4.2): in a small network the dice may fall on the same one.
        let w = if w.path.far_end == z.path.far_end {
            self.another_verifier(closest, &z).await?
        } else {
            w
        };
        let (from_z, from_w) = ((z.path.far_end, z.answer), (w.path.far_end, w.answer));
        let set = self.scheme.compare_replicas(self.key, from_z, from_w)?;
        self.path = Some(z.path);
        self.anonymizer = Some(z.channel);
        Ok(set)
    }

    async fn another_verifier(
        &self,
        closest: &Request,
        z: &OpenChannel,
    ) -> Result<OpenChannel, AgentError> {
        for _ in 0..ATTEMPTS * 4 {
            let w = self.scheme.open(self.purpose.check(), closest).await?;
            if w.path.far_end != z.path.far_end {
                return Ok(w);
            }
        }
        Err(AgentError::TooFewNodes)
    }
}

impl Courier for AnonymousCourier {
    fn replicas(&mut self) -> BoxFuture<'_, Result<ReplicaSet, AgentError>> {
        Box::pin(async move {
            match self.fresh.take() {
                Some(set) => Ok(set),
                None => self.find_replicas().await,
            }
        })
    }

    fn perform<'a>(
        &'a mut self,
        targets: &'a [NodeCertificate],
        request: &'a Request,
    ) -> BoxFuture<'a, Result<Vec<Answer>, AgentError>> {
        Box::pin(async move {
            let Some(channel) = &mut self.anonymizer else { return Err(AgentError::BadAnswer) };
            let nodes = targets.iter().map(NodeCertificate::to_unverified).collect();
            let perform = Request::Perform {
                targets: Targets::Nodes(nodes),
                request: Box::new(request.clone()),
            };
            match channel.request(&perform, PERFORM_TIMEOUT).await {
                Ok(Response::Performed { answers, .. }) if answers.len() == targets.len() => {
                    Ok(answers)
                }
                // A dead or unwilling anonymizer: the next round opens a new pair and repeats the request,
                // which the replicas that did perform it recognise. What it refuses it refuses itself, sealed;
                // silence may be the doing of anybody on the path.
                failed => {
                    match (&self.path, failed) {
                        (Some(path), Ok(_)) => {
                            self.entrance.accuse(path.far_end, Misdeed::Dropped, Vec::new());
                        }
                        (Some(path), Err(_)) => self.entrance.path_broke(&path.along()),
                        (None, _) => {}
                    }
                    self.anonymizer = None;
                    Ok(Vec::new())
                }
            }
        })
    }

    fn performer(&self) -> Option<NodeId> {
        self.path.as_ref().map(|path| path.far_end)
    }

    fn purpose(&self) -> Purpose {
        self.purpose
    }

    fn key(&self) -> Key {
        self.key
    }
}
