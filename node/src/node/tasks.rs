//! The last step of a node's start: its service, and everything that it does at the same time.

use std::{sync::Arc, time::Duration};

use anon::roster::renewal_seconds;
use net::shares::{RangeShare, Shares};
use tokio::{
    task::JoinSet,
    time::{Instant, Interval, interval_at},
};

use super::{
    Node, Running, certifier::Certifier, files::Storage, transport::Transport, views::Viewing,
};
use crate::{
    channel::{ChannelContext, budget},
    clock_check::ClockCheck,
    directory::Directory,
    garbage::Collector,
    handshake_keys::{HandshakeKeys, ViewNames},
    replay::ReplayCache,
    running::Sign,
    server::{self, Acceptor, Parts, Server},
    service::StandardService,
};

impl Node {
    pub(super) fn tasks(
        self,
        storage: Storage,
        transport: Transport,
        viewing: Option<Viewing>,
    ) -> Running {
        let service = Arc::new(self.service(storage, &transport, viewing.as_ref()));
        let mut tasks = JoinSet::new();
        if let Some(viewing) = viewing {
            viewing.begin(&service, &transport, &mut tasks);
        }
        let Transport { started, seen, addresses, certifier, share, .. } = transport;
        let (certifier, directory) = (Arc::new(certifier), self.directory.clone());
        let check = Arc::new(ClockCheck::of(self.clock.clone()));
        #[cfg(feature = "tor")]
        if let Some(onion) = transport.onion {
            let (network, peer) = (&service.network.name, service.identity.keypair().public());
            let clock = self.clock.clone();
            tasks.spawn(onion.watch(directory.clone(), network.clone(), peer.into(), clock));
        }
        tasks.spawn(started.driver.run());
        tasks.spawn(Arc::clone(&service.directory).fill(seen, share));
        tasks.spawn(Arc::clone(&service.roster).keep_up(service.links.clone()));
        let acceptor = self.acceptor(&service, Arc::clone(&check), share);
        tasks.spawn(server::accept(acceptor, started.inbound));
        tasks.spawn(collect_garbage(Arc::clone(&service), Arc::clone(&check)));
        tasks.spawn(renew(Arc::clone(&certifier), Arc::clone(&check)));
        let seconds = service.limits.channel_key_seconds;
        tasks.spawn(rotate(Arc::clone(&certifier), seconds));
        let sign = Sign::new(&directory);
        tasks.spawn(Sign::show(directory));
        tasks.spawn(check_clock(check, Arc::clone(&service), certifier, sign));
        Running { service, addresses, tasks }
    }

    fn service(
        &self,
        storage: Storage,
        transport: &Transport,
        viewing: Option<&Viewing>,
    ) -> StandardService {
        let Storage { network, identity, store, roster } = storage;
        let (limits, links) = (self.config.limits.clone(), transport.started.links.clone());
        let dht = transport.started.dht.clone();
        StandardService {
            directory: Arc::new(Directory::new(
                Arc::clone(&network),
                links.clone(),
                Arc::clone(&roster),
                self.clock.clone(),
                limits.certificates,
                limits.channel_key_seconds,
            )),
            collector: Collector::new(
                store.clone(),
                dht.clone(),
                Arc::clone(&network),
                Arc::clone(&roster),
                identity.node(),
                self.clock.clone(),
                &limits,
            ),
            nonces: ReplayCache::new(limits.replays),
            lookups: Shares::new(
                "lookups",
                limits.lookups / 4 * 3,
                limits.lookups_per_peer,
                transport.share,
            ),
            keys: Arc::clone(&transport.certifier.keys),
            observer: self.observer.clone(),
            clock: self.clock.clone(),
            network,
            identity,
            store,
            dht,
            roster,
            links,
            limits,
            views: viewing.map(|viewing| Arc::clone(&viewing.views)),
            view_keys: viewing.map(|viewing| Arc::clone(&viewing.keys)),
            keeper: viewing.and_then(|viewing| viewing.keeper.clone()),
        }
    }

    fn acceptor(
        self,
        service: &Arc<StandardService>,
        check: Arc<ClockCheck>,
        share: RangeShare,
    ) -> Arc<dyn Acceptor> {
        let (network, keys) = (Arc::clone(&service.network), Arc::clone(&service.keys));
        let (links, limits) = (service.links.clone(), &service.limits);
        let handshake_keys = Arc::new(handshake_keys(service));
        let context = ChannelContext {
            network: Arc::clone(&network),
            keys: Arc::clone(&handshake_keys),
            links: links.clone(),
            roster: Arc::clone(&service.roster),
            service: (self.wrap_service)(Arc::clone(service)),
            observer: self.observer,
            replays: ReplayCache::new(limits.replays),
            budget: budget(limits, share),
            clock: self.clock,
            check,
            idle: Duration::from_secs(limits.channel_idle_seconds),
            frame_bytes: limits.frame_bytes.min(anon::request::MAX_MESSAGE),
        };
        let server = Arc::new(Server::new(context, links.clone(), limits, share));
        (self.wrap_acceptor)(server, Parts { network, keys, handshake_keys, links })
    }
}

fn handshake_keys(service: &StandardService) -> HandshakeKeys {
    let in_views = service.views.clone().zip(service.view_keys.clone());
    let (clock, epoch_seconds) = (service.clock.clone(), service.network.epoch_seconds);
    HandshakeKeys {
        network: service.network.id,
        node: service.identity.node(),
        certified: Arc::clone(&service.keys),
        in_views: in_views.map(|(views, keys)| ViewNames { views, keys, clock, epoch_seconds }),
    }
}

fn every(seconds: u64) -> Interval {
    let period = Duration::from_secs(seconds.max(1));
    interval_at(Instant::now() + period, period)
}

async fn collect_garbage(service: Arc<StandardService>, check: Arc<ClockCheck>) {
    let mut times = every(service.limits.garbage_seconds);
    loop {
        times.tick().await;
        // What a wrong clock takes for expired is gone for good.
        check.ask(&service.dht, &service.links).await;
        if check.is_right() {
            service.collector.tidy().await;
        }
    }
}

async fn rotate(certifier: Arc<Certifier>, seconds: u64) {
    let mut times = every(seconds);
    loop {
        times.tick().await;
        log(certifier.rotate());
    }
}

async fn renew(certifier: Arc<Certifier>, check: Arc<ClockCheck>) {
    let mut times = every(renewal_seconds(&certifier.network));
    loop {
        times.tick().await;
        // A node that serves nobody shows others no sign of life.
        if check.is_right() {
            log(certifier.renew());
        } else {
            certifier.show();
        }
    }
}

async fn check_clock(
    check: Arc<ClockCheck>,
    service: Arc<StandardService>,
    certifier: Arc<Certifier>,
    sign: Sign,
) {
    let mut was_right = true;
    let changed = move |check: &ClockCheck| {
        sign.say(check);
        if !std::mem::replace(&mut was_right, check.is_right()) && was_right {
            log(certifier.mend());
        }
    };
    check.keep_up(service.dht.clone(), service.links.clone(), changed).await;
}

fn log(certified: Result<(), crate::identity::IdentityError>) {
    if let Err(error) = certified {
        tracing::error!(%error, "the certificate was not renewed");
    }
}
