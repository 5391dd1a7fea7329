//! The second step of a node's start: it listens, and certifies the addresses at which others reach it.

use std::sync::Arc;

use libp2p::{Multiaddr, PeerId};
use net::{
    link::{certified_addresses, is_onion, peer_id},
    roster::RosterKeeper,
    shares::RangeShare,
};
use rand::seq::IteratorRandom as _;
use tokio::sync::mpsc;

use super::{Node, certifier::Certifier, files::Storage};
use crate::{
    config::addresses,
    dht::{self, Seen, Started},
    error::NodeError,
    onion::{OnionStatus, Reach},
};

/// Nodes seen of which the directory has not been told yet.
const SEEN: usize = 1_024;
/// Nodes that were known before by which a node enters, beside those of its network file.
const WAYS_IN: usize = 8;

/// A node that can be reached, and serves nobody yet.
pub(super) struct Transport {
    pub(super) started: Started,
    /// The nodes that the DHT meets.
    pub(super) seen: mpsc::Receiver<Seen>,
    pub(super) addresses: Vec<Multiaddr>,
    pub(super) certifier: Certifier,
    /// What one range of addresses may have of anything.
    pub(super) share: RangeShare,
    #[cfg(feature = "tor")]
    pub(super) onion: Option<crate::onion::service::Service>,
}

impl Node {
    pub(super) async fn transport(&self, storage: &Storage) -> Result<Transport, NodeError> {
        let Storage { network, identity, roster, .. } = storage;
        let limits = &self.config.limits;
        let (sender, seen) = mpsc::channel(SEEN);
        let bootstrap = ways_in(self.network.bootstrap_peers()?, roster);
        OnionStatus::forget(&self.directory);
        let reach = self.reach().await?;
        let carriage = reach.carriage;
        let share = limits.range_share(carriage.is_only_tor());
        let mut started = dht::start(identity, &network.name, bootstrap, limits, sender, carriage)?;
        let bound = started.driver.listen(&reach.listen).await?;
        let addresses = self.reachable_at(bound)?;
        started.driver.advertise(&addresses);
        let certifier = Certifier {
            keys: Arc::new(self.keys(limits.channel_key_seconds)?),
            identity: Arc::clone(identity),
            network: Arc::clone(network),
            roster: Arc::clone(roster),
            clock: self.clock.clone(),
            addresses: addresses.iter().map(ToString::to_string).collect(),
        };
        certifier.rotate()?;
        Ok(Transport {
            started,
            seen,
            addresses,
            certifier,
            share,
            #[cfg(feature = "tor")]
            onion: reach.service,
        })
    }

    /// Where others dial a node that listens at these addresses.
    fn reachable_at(&self, bound: Vec<Multiaddr>) -> Result<Vec<Multiaddr>, NodeError> {
        let (onions, bound) = bound.into_iter().partition::<Vec<_>, _>(is_onion);
        let advertised = addresses(&self.config.advertise)?;
        let mut addresses = if advertised.is_empty() { bound } else { advertised };
        // Last, because whoever can choose tries them in this order, and an exit is nearer than a rendezvous.
        addresses.extend(onions);
        if addresses.is_empty() { Err(NodeError::NoAddress) } else { Ok(addresses) }
    }

    #[cfg(feature = "tor")]
    async fn reach(&self) -> Result<Reach, NodeError> {
        use crate::config::{ConfigError, Onion};
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
