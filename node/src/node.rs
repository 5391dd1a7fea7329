//! A whole node: from its directory and network file to a running process of all roles.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anon::{id::NodeId, network::Network, roster::renewal_seconds};
use files::{open, read_admission};
use libp2p::{Multiaddr, PeerId};
use net::{
    clock::now,
    link::{certified_addresses, is_onion, peer_id},
    network_file::NetworkFile,
    observer::Observer,
    roster::RosterKeeper,
    shares::Shares,
};
use rand::seq::IteratorRandom as _;
use tokio::{sync::mpsc, task::JoinSet};

use crate::{
    channel::{ChannelContext, budget},
    clock_check::ClockCheck,
    config::{ConfigError, NodeConfig, addresses},
    directory::Directory,
    error::NodeError,
    garbage::Collector,
    identity::{ChannelKeys, Identity, IdentityError},
    onion::{OnionStatus, Reach},
    replay::ReplayCache,
    running::Sign,
    server::{self, Acceptor, Parts, Server},
    service::{Service, StandardService},
    substrate::{self, Substrate},
};

mod files;

/// Nodes seen of which the directory has not been told yet.
const SEEN: usize = 1_024;
/// Nodes that were known before by which a node enters, beside those of its network file.
const WAYS_IN: usize = 8;

type WrapService = Box<dyn FnOnce(Arc<StandardService>) -> Arc<dyn Service> + Send>;
type WrapAcceptor = Box<dyn FnOnce(Arc<dyn Acceptor>, Parts) -> Arc<dyn Acceptor> + Send>;

/// What a node is made of before it starts.
#[derive(derive_more::Debug)]
#[debug("Node(..)")]
pub struct Node {
    directory: PathBuf,
    network: NetworkFile,
    config: NodeConfig,
    #[cfg(feature = "tor")]
    tor: Option<tor::Tor>,
    observer: Option<Arc<dyn Observer>>,
    wrap_service: WrapService,
    wrap_acceptor: WrapAcceptor,
}

/// A node that runs. Dropping it stops it; [`Running::shutdown`] waits for the store to close.
#[derive(Debug)]
pub struct Running {
    service: Arc<StandardService>,
    addresses: Vec<Multiaddr>,
    tasks: JoinSet<()>,
}

impl Node {
    /// A node in `directory`, created there if it is new, in this network.
    #[must_use]
    pub fn new(directory: PathBuf, network: NetworkFile, config: NodeConfig) -> Self {
        Self {
            directory,
            network,
            config,
            #[cfg(feature = "tor")]
            tor: None,
            observer: None,
            wrap_service: Box::new(|standard| standard),
            wrap_acceptor: Box::new(|standard, _| standard),
        }
    }

    /// Gives the node the client through which it offers the onion service that its configuration asks for.
    #[cfg(feature = "tor")]
    #[must_use]
    pub fn over(mut self, tor: tor::Tor) -> Self {
        self.tor = Some(tor);
        self
    }

    /// Its configuration.
    #[must_use]
    pub const fn config(&self) -> &NodeConfig {
        &self.config
    }

    /// Installs an observer at the protocol's edge.
    #[must_use]
    pub fn observed_by(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Puts another service in front of the standard one.
    #[must_use]
    pub fn serving(
        mut self,
        wrap: impl FnOnce(Arc<StandardService>) -> Arc<dyn Service> + Send + 'static,
    ) -> Self {
        self.wrap_service = Box::new(wrap);
        self
    }

    /// Puts another acceptor in front of the standard one.
    #[must_use]
    pub fn accepting(
        mut self,
        wrap: impl FnOnce(Arc<dyn Acceptor>, Parts) -> Arc<dyn Acceptor> + Send + 'static,
    ) -> Self {
        self.wrap_acceptor = Box::new(wrap);
        self
    }

    /// Makes the node's identity and store without starting it.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn initialise(&self) -> Result<Identity, NodeError> {
        Ok(open(&self.directory, &self.config.limits)?.0)
    }

    /// Checks that the network would accept this node's certificate.
    ///
    /// # Errors
    /// [`NodeError`] saying why not.
    pub fn check_admission(&self) -> Result<(), NodeError> {
        let Some(identity) = Identity::read(&self.directory)? else { return Ok(()) };
        let admission = read_admission(&self.directory)?;
        let keys = ChannelKeys::new(self.config.family.clone(), admission, 1);
        Ok(keys.rotate(&identity, &self.network.network()?, Vec::new(), now())?)
    }

    /// Starts it: opens the store, listens, enters the network.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn start(self) -> Result<Running, NodeError> {
        self.config.check()?;
        let network = Arc::new(self.network.network()?);
        let limits = self.config.limits.clone();
        let (identity, store) = open(&self.directory, &limits)?;
        let identity = Arc::new(identity);
        let (sender, seen) = mpsc::channel(SEEN);
        let roster = Arc::new(RosterKeeper::open(
            Arc::clone(&network),
            Some(self.directory.join("roster.bin")),
        ));
        let bootstrap = ways_in(self.network.bootstrap_peers()?, &roster);
        OnionStatus::forget(&self.directory);
        let reach = self.reach().await?;
        let (name, carriage) = (&network.name, reach.carriage);
        let share = limits.range_share(carriage.is_only_tor());
        let clock = Arc::new(ClockCheck::default());
        let mut started = substrate::start(&identity, name, bootstrap, &limits, sender, carriage)?;
        let bound = started.driver.listen(&reach.listen).await?;
        let (onions, bound) = bound.into_iter().partition::<Vec<_>, _>(is_onion);
        let mut addresses = match addresses(&self.config.advertise)? {
            advertised if advertised.is_empty() => bound,
            advertised => advertised,
        };
        // Last, because whoever can choose tries them in this order, and an exit is nearer than a rendezvous.
        addresses.extend(onions);
        if addresses.is_empty() {
            return Err(NodeError::NoAddress);
        }
        started.driver.advertise(&addresses);

        let admission = read_admission(&self.directory)?;
        let keys = Arc::new(ChannelKeys::new(
            self.config.family.clone(),
            admission,
            limits.channel_key_seconds,
        ));
        let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        keys.rotate(&identity, &network, texts.clone(), now())?;

        if let Some(own) = keys.certificate() {
            roster.met(own);
        }
        let directory = Arc::new(Directory::new(
            Arc::clone(&network),
            started.links.clone(),
            Arc::clone(&roster),
            limits.certificates,
            limits.channel_key_seconds,
        ));
        let collector = Arc::new(Collector::new(
            store.clone(),
            started.substrate.clone(),
            Arc::clone(&network),
            Arc::clone(&roster),
            identity.node(),
            &limits,
        ));
        let service = Arc::new(StandardService {
            network: Arc::clone(&network),
            identity: Arc::clone(&identity),
            keys: Arc::clone(&keys),
            store,
            substrate: started.substrate,
            directory: Arc::clone(&directory),
            roster: Arc::clone(&roster),
            links: started.links.clone(),
            collector: Arc::clone(&collector),
            observer: self.observer.clone(),
            nonces: ReplayCache::new(limits.replays),
            lookups: Shares::new("lookups", limits.lookups / 4 * 3, limits.lookups_per_peer, share),
            limits: limits.clone(),
        });
        let context = ChannelContext {
            network: Arc::clone(&network),
            keys: Arc::clone(&keys),
            links: started.links.clone(),
            roster: Arc::clone(&roster),
            service: (self.wrap_service)(Arc::clone(&service)),
            observer: self.observer,
            replays: ReplayCache::new(limits.replays),
            budget: budget(&limits, share),
            clock: Arc::clone(&clock),
            idle: Duration::from_secs(limits.channel_idle_seconds),
            frame_bytes: limits.frame_bytes.min(anon::request::MAX_MESSAGE),
        };

        let links = started.links.clone();
        let parts =
            Parts { network: Arc::clone(&network), keys: Arc::clone(&keys), links: started.links };
        let server = Arc::new(Server::new(context, links.clone(), &limits, share));
        let acceptor = (self.wrap_acceptor)(server, parts);

        let mut tasks = JoinSet::new();
        #[cfg(feature = "tor")]
        if let Some(service) = reach.service {
            let (directory, peer) = (self.directory.clone(), identity.keypair().public());
            tasks.spawn(service.watch(directory, network.name.clone(), peer.to_peer_id()));
        }
        tasks.spawn(started.driver.run());
        tasks.spawn(directory.fill(seen, share));
        tasks.spawn(Arc::clone(&roster).keep_up(links.clone()));
        tasks.spawn(server::accept(acceptor, started.inbound));
        let asking = (Arc::clone(&clock), service.substrate.clone(), links.clone());
        tasks.spawn(every(limits.garbage_seconds, move || {
            let (collector, (clock, substrate, links)) = (Arc::clone(&collector), asking.clone());
            async move {
                // What a wrong clock takes for expired is gone for good.
                clock.ask(&substrate, &links).await;
                if clock.is_right() {
                    collector.tidy().await;
                }
            }
        }));
        // A new key now and then, and in between new certificates for it: signs of life, for the rosters.
        let certify = move |certified: Result<(), IdentityError>, keys: &ChannelKeys| {
            match certified {
                Ok(()) => keys.certificate().into_iter().for_each(|own| roster.met(own)),
                Err(error) => tracing::error!(%error, "the certificate was not renewed"),
            }
            std::future::ready(())
        };
        let alive = Arc::clone(&clock);
        let renewing =
            (Arc::clone(&keys), Arc::clone(&identity), Arc::clone(&network), certify.clone());
        tasks.spawn(every(renewal_seconds(&network), move || {
            let (keys, identity, network, certify) = &renewing;
            // A node that serves nobody shows no sign of life.
            let renewed = alive.is_right().then(|| keys.renew(identity, network, now()));
            certify(renewed.unwrap_or(Ok(())), keys)
        }));
        let (own, node) = (Arc::clone(&service.roster), service.identity.node());
        let rotate = {
            let (keys, network) = (Arc::clone(&keys), Arc::clone(&network));
            move || certify(keys.rotate(&identity, &network, texts.clone(), now()), &keys)
        };
        let begin_anew = rotate.clone();
        tasks.spawn(every(limits.channel_key_seconds, rotate));
        let (sign, substrate) = (Sign::new(&self.directory), service.substrate.clone());
        tasks.spawn(Sign::show(self.directory.clone()));
        let mut was_right = true;
        tasks.spawn(clock.keep_up(substrate, links, move |clock| {
            sign.say(clock);
            let is_mended = !std::mem::replace(&mut was_right, clock.is_right()) && was_right;
            let holds = keys.certificate().is_some_and(|own| own.holds(&network, now()));
            // What a wrong clock certified may not hold yet, and would be in the way of what does.
            if is_mended && !holds {
                own.with(|roster| roster.forget(&node));
                let _done = begin_anew();
            }
        }));
        Ok(Running { service, addresses, tasks })
    }
}

impl Node {
    #[cfg(feature = "tor")]
    async fn reach(&self) -> Result<Reach, NodeError> {
        use crate::config::Onion;
        match &self.tor {
            Some(tor) if self.config.onion != Onion::Off => {
                Reach::over_tor(&self.config, tor).await
            }
            None if self.config.onion != Onion::Off => Err(ConfigError::NoTor.into()),
            _ => Reach::over_tcp(&self.config),
        }
    }

    #[cfg(not(feature = "tor"))]
    #[expect(clippy::unused_async, reason = "with Tor it waits for the onion service")]
    async fn reach(&self) -> Result<Reach, NodeError> {
        Reach::over_tcp(&self.config)
    }
}

async fn every<F: Future<Output = ()>>(seconds: u64, mut work: impl FnMut() -> F) {
    let period = Duration::from_secs(seconds.max(1));
    let mut interval = tokio::time::interval_at(tokio::time::Instant::now() + period, period);
    loop {
        interval.tick().await;
        work().await;
    }
}

/// Whom to enter the network by: those of the network file, and some that this node knew when it last ran, which may be
/// all that are left. A node that has met nobody and is told of nobody is the first of its network.
fn ways_in(
    mut bootstrap: Vec<(PeerId, Multiaddr)>,
    roster: &RosterKeeper,
) -> Vec<(PeerId, Multiaddr)> {
    let known = roster.with(|roster| roster.alive().cloned().sample(&mut rand::rng(), WAYS_IN));
    for certificate in known {
        if let (Ok(peer), Some(address)) =
            (peer_id(&certificate.node()), certified_addresses(&certificate).into_iter().next())
        {
            bootstrap.push((peer, address));
        }
    }
    bootstrap
}

impl Running {
    /// Who the node is.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.service.identity.node()
    }

    /// Where others dial it, each with the node's peer id at the end, as a network file wants it.
    #[must_use]
    pub fn addresses(&self) -> Vec<Multiaddr> {
        let peer = self.service.identity.keypair().public().to_peer_id();
        let with_id = |a: &Multiaddr| a.clone().with(libp2p::multiaddr::Protocol::P2p(peer));
        self.addresses.iter().map(with_id).collect()
    }

    /// The node's standard service.
    #[must_use]
    pub const fn service(&self) -> &Arc<StandardService> {
        &self.service
    }

    /// What the network expects of its members.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.service.network
    }

    /// Waits until the node has entered the network.
    pub async fn joined(&self) {
        let mut substrate: Substrate = self.service.substrate.clone();
        substrate.joined().await;
    }

    /// Stops serving and closes the store.
    pub async fn shutdown(mut self) {
        self.tasks.shutdown().await;
        if let Err(error) = self.service.store.close().await {
            tracing::error!(%error, "the store did not close cleanly");
        }
    }
}
