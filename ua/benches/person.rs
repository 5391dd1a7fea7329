//! Somebody with a profile in a cluster's network, who sends one mail at a time.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use net::Transport;
use testbed::{cluster::Cluster, person};
use ua::{event::Silent, session::SchemeChoice};

pub(crate) struct Person(person::Person);

/// How a mail travels.
pub(crate) struct Way {
    pub(crate) transport: Transport,
    pub(crate) scheme: SchemeChoice,
    pub(crate) direct: bool,
}

impl Person {
    pub(crate) fn new(cluster: &Cluster, directory: &Path, name: &str) -> Self {
        let network = std::fs::read_to_string(cluster.network_file()).unwrap();
        Self(person::Person::new(&network, &directory.join(name), Arc::new(Silent)).unwrap())
    }

    pub(crate) async fn publish(&self) {
        self.0.publish().await.unwrap();
    }

    /// Sends one mail, cold: how long it took from the outbox to the last receipt.
    pub(crate) async fn send(&self, to: &Self, way: Way, bytes: usize) -> Duration {
        let own = self.0.anew(Arc::new(Silent), way.transport).unwrap();
        // What was kept of earlier mails would make this one cheaper.
        let _ = own.agent.profile().vault().remove("certificates");
        let scheme = own.agent.scheme(way.scheme).await.unwrap();
        let text = vec![b'x'; bytes];
        let id = own.hand_in(&text, "A subject", to.0.address(), way.direct).unwrap();
        let start = Instant::now();
        let outcome = own.deliver(&id, scheme).await.unwrap();
        let elapsed = start.elapsed();
        assert!(outcome.error.is_none(), "{:?}", outcome.error);
        assert_eq!((outcome.delivered.len(), outcome.waiting.len()), (1, 0));
        elapsed
    }
}
