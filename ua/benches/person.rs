//! Somebody with a home in a cluster's network, who sends one mail at a time.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use net::{Underlay, now};
use testbed::cluster::Cluster;
use ua::{
    account::Account,
    certificates::publish,
    event::Silent,
    home::Home,
    outbox::Outbox,
    send::{Mail, Sender},
    session::{SchemeChoice, prepare_scheme},
    vault::{KdfCost, Passphrase},
};

pub(crate) struct Person {
    home: Home,
    account: Account,
}

/// How a mail travels.
pub(crate) struct Way {
    pub(crate) underlay: Underlay,
    pub(crate) scheme: SchemeChoice,
    pub(crate) direct: bool,
}

impl Person {
    pub(crate) fn new(cluster: &Cluster, directory: &Path, name: &str) -> Self {
        let network = std::fs::read_to_string(cluster.network_file()).unwrap();
        let passphrase = Passphrase::new("bench".to_owned()).unwrap();
        // Nothing here unlocks a vault while it is measured.
        let cost = KdfCost::new(8, 1).unwrap();
        let home = Home::create(&directory.join(name), &network, &passphrase, cost).unwrap();
        let account = Account::self_certifying(&home.network().network().unwrap(), now());
        Self { home, account }
    }

    pub(crate) async fn publish(&self) {
        let entrance = self.home.entrance(Arc::new(Silent), Underlay::Tcp).unwrap();
        let certificate = self.account.certificate(entrance.network(), now()).unwrap();
        publish(&Arc::new(entrance), &certificate).await.unwrap();
    }

    /// Sends one mail, cold: how long it took from the outbox to the last receipt.
    pub(crate) async fn send(&self, to: &Self, way: Way, bytes: usize) -> Duration {
        let entrance = Arc::new(self.home.entrance(Arc::new(Silent), way.underlay).unwrap());
        // What was kept of earlier mails would make this one cheaper.
        let _ = self.home.vault().remove("certificates");
        let sender = Sender {
            scheme: prepare_scheme(way.scheme, self.home.vault(), &entrance).await.unwrap(),
            entrance,
            outbox: Outbox::new(self.home.vault()),
            account: &self.account,
            delay: Duration::ZERO,
        };
        let text = vec![b'x'; bytes];
        let mail = Mail {
            bytes: &text,
            subject: "A subject",
            recipients: &[to.account.address().clone()],
            signed: false,
            direct: way.direct,
            reply_to: None,
        };
        let id = sender.prepare(&mail).unwrap();
        let start = Instant::now();
        let outcome = sender.deliver(&id).await.unwrap();
        let elapsed = start.elapsed();
        assert!(outcome.error.is_none(), "{:?}", outcome.error);
        assert_eq!((outcome.delivered.len(), outcome.waiting.len()), (1, 0));
        elapsed
    }
}
