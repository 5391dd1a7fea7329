//! Services that lie: a closure before the honest service, and a count of how often it lied.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use anon::{
    certificate::UnverifiedNodeCertificate,
    request::{Request, Response},
};
use futures::future::BoxFuture;
use net::{Peer, Via};
use node::{Node, Service, StandardService};

/// A question to a hostile node.
pub(super) struct Asked {
    pub(super) node: Arc<StandardService>,
    pub(super) peer: Peer,
    pub(super) via: Via,
    pub(super) request: Request,
}

impl Asked {
    /// The answer that the honest service gives.
    pub(super) async fn honestly(self) -> Response {
        self.node.handle(&self.peer, self.via, self.request).await
    }

    /// The node's own certificate.
    pub(super) async fn own_certificate(&self) -> UnverifiedNodeCertificate {
        match self.node.handle(&self.peer, Via::Direct, Request::Certificate).await {
            Response::Certificate(certificate) => *certificate,
            other => panic!("{other:?}"),
        }
    }
}

/// What a hostile node answers.
pub(super) type Lie = Arc<dyn Fn(Asked) -> BoxFuture<'static, Response> + Send + Sync>;

/// A lie from a closure, which falls back on [`Asked::honestly`].
pub(super) fn lie<F>(answer: impl Fn(Asked) -> F + Send + Sync + 'static) -> Lie
where
    F: Future<Output = Response> + Send + 'static,
{
    Arc::new(move |asked| Box::pin(answer(asked)))
}

struct Liar {
    standard: Arc<StandardService>,
    lie: Lie,
}

impl Service for Liar {
    fn handle<'a>(&'a self, peer: &'a Peer, via: Via, request: Request) -> BoxFuture<'a, Response> {
        (self.lie)(Asked { node: Arc::clone(&self.standard), peer: peer.clone(), via, request })
    }
}

/// Puts a lie before a node's honest service.
pub(super) fn lying(node: Node, lie: &Lie) -> Node {
    let lie = Arc::clone(lie);
    node.serving(move |standard| Arc::new(Liar { standard, lie }))
}

/// How many lies may still be told, and how many were.
#[derive(Debug, Default)]
pub(super) struct Lies {
    left: AtomicUsize,
    told: AtomicUsize,
}

impl Lies {
    pub(super) fn at_most(count: usize) -> Arc<Self> {
        Arc::new(Self { left: AtomicUsize::new(count), told: AtomicUsize::new(0) })
    }

    /// The number of the next lie, if one more may be told.
    pub(super) fn tell(&self) -> Option<usize> {
        let one_less = |left: usize| left.checked_sub(1);
        self.left.try_update(Ordering::SeqCst, Ordering::SeqCst, one_less).ok()?;
        Some(self.told.fetch_add(1, Ordering::SeqCst))
    }

    /// Whether one more may be told.
    pub(super) fn is_left(&self) -> bool {
        self.left.load(Ordering::SeqCst) > 0
    }

    pub(super) fn told(&self) -> usize {
        self.told.load(Ordering::SeqCst)
    }

    /// From now on, this many more.
    pub(super) fn allow(&self, count: usize) {
        self.left.store(count, Ordering::SeqCst);
    }
}
