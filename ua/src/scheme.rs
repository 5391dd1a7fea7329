//! Schemes: how the nodes of a channel are chosen and checked. All else is shared.

#[cfg(test)]
pub(crate) mod closed;
mod guarded;
mod paper;
mod pool;

use anon::{
    certificate::NodeCertificate,
    id::NodeId,
    position::Key,
    request::{Request, Response, Targets},
    verification::{ReplicaSet, verify_list},
};
use futures::future::BoxFuture;
use net::Channel;
use std::sync::Arc;

use crate::{
    context::Context,
    error::AgentError,
    event::{Path, Purpose},
};

pub use guarded::{GuardedPlan, GuardedScheme};
pub(crate) use paper::PaperScheme;

/// A channel, and the anonymizer's answer to the request that rode along.
#[derive(Debug)]
pub struct OpenChannel {
    /// The channel.
    pub channel: Channel,
    /// The answer to the early request.
    pub answer: Response,
    /// Its nodes.
    pub path: Path,
}

/// A channel that was built ahead: nobody has asked its anonymizer anything, or told it what it is for.
#[derive(Debug)]
pub(crate) struct ReadyChannel {
    /// The channel.
    pub(crate) channel: Channel,
    /// Its nodes.
    pub(crate) path: Path,
}

/// A channel that is being opened.
pub type Opening<'a> = BoxFuture<'a, Result<OpenChannel, AgentError>>;

/// What a node answered.
pub type Told = (NodeId, Response);

/// A way to get channels.
pub trait Scheme: Send + Sync {
    /// Opens a channel to a random node that nobody could choose for us, with a first request on board.
    fn open<'a>(&'a self, purpose: Purpose, early: &'a Request) -> Opening<'a>;

    /// The scheme that plans its paths itself, if this is one: what only that can do is no part of this trait.
    fn guarded(self: Arc<Self>) -> Option<Arc<GuardedScheme>>;

    /// What an anonymizer is asked for the replicas of a key.
    fn list_replicas(&self, key: Key, k: u8) -> Request;

    /// Compares what the anonymizer and the verifier answered to [`Self::list_replicas`].
    ///
    /// # Errors
    /// [`AgentError::Disagreement`] if they do not agree.
    fn compare_replicas(&self, key: Key, z: Told, w: Told) -> Result<ReplicaSet, AgentError>;

    /// Whom a reader asks for what belongs to a key, given an anonymizer's answer to [`Self::list_replicas`].
    ///
    /// # Errors
    /// [`AgentError`] if the answer is none.
    fn candidates(&self, key: Key, answer: Response) -> Result<Vec<NodeCertificate>, AgentError>;

    /// The nodes near a key, as an anonymizer is to find them.
    fn near(&self, key: Key, count: u8) -> Targets;
}

/// The nodes closest to a key that an anonymizer found in the DHT.
fn listed(
    key: Key,
    answer: Response,
    context: &Context,
) -> Result<Vec<NodeCertificate>, AgentError> {
    let Response::LookedUp(list) = answer else { return Err(AgentError::BadAnswer) };
    let network = &context.network;
    Ok(verify_list(list, &key, network.k, network, context.now())?)
}
