//! A scheme that opens no channel, for tests of what happens before one or without any.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use anon::{
    certificate::NodeCertificate,
    position::Key,
    request::{Request, Response, Targets},
    verification::ReplicaSet,
};

use super::{GuardedScheme, Opening, Scheme, Told};
use crate::{error::AgentError, event::Purpose};

/// Counts the channels that were asked for, and opens none.
#[derive(Default)]
pub(crate) struct Closed(AtomicUsize);

impl Closed {
    /// How many channels were asked for.
    pub(crate) fn asked(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Scheme for Closed {
    fn open<'a>(&'a self, _: Purpose, _: &'a Request) -> Opening<'a> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(async { Err(AgentError::NoGuard) })
    }

    fn guarded(self: Arc<Self>) -> Option<Arc<GuardedScheme>> {
        None
    }

    fn list_replicas(&self, key: Key, count: u8) -> Request {
        Request::Lookup { key, count }
    }

    fn compare_replicas(&self, _: Key, _: Told, _: Told) -> Result<ReplicaSet, AgentError> {
        Err(AgentError::BadAnswer)
    }

    fn candidates(&self, _: Key, _: Response) -> Result<Vec<NodeCertificate>, AgentError> {
        Err(AgentError::BadAnswer)
    }

    fn near(&self, key: Key, count: u8) -> Targets {
        Targets::LookedUp { key, count }
    }
}
