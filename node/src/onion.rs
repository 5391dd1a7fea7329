//! How a node is reached: at TCP addresses, by an onion service, or both; and what it knows of that.
//!
//! A node with an onion service tries it as a stranger would, by circuits of its own, and writes down what came of it:
//! `onion.json` in its directory, which `cutout node status` reads.

use std::path::Path;

use anon::time::Time;
use libp2p::Multiaddr;
use serde::{Deserialize, Serialize};

use crate::{
    config::{NodeConfig, addresses},
    link::Carriage,
    node::NodeError,
};

/// The file's name.
const FILE: &str = "onion.json";
/// Its greatest length, bytes.
const MAX_FILE: u64 = 4_096;

/// What a node's directory says of its onion service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnionStatus {
    /// The address.
    pub address: String,
    /// What the service says of itself and of its descriptor.
    pub state: String,
    /// Whether the descriptor is published.
    pub published: bool,
    /// When the node last tried to reach itself.
    pub tried: Option<Time>,
    /// When it last did.
    pub reached: Option<Time>,
}

impl OnionStatus {
    /// What the node in this directory last wrote down; `None` if it has no onion service.
    ///
    /// # Errors
    /// If the file is there and cannot be read.
    pub fn read(directory: &Path) -> std::io::Result<Option<Self>> {
        use std::io::Read as _;
        let file = match std::fs::File::open(directory.join(FILE)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let mut text = String::new();
        file.take(MAX_FILE).read_to_string(&mut text)?;
        Ok(Some(serde_json::from_str(&text)?))
    }

    /// Forgets what an earlier run wrote down.
    pub(crate) fn forget(directory: &Path) {
        let _ = std::fs::remove_file(directory.join(FILE));
    }

    /// Whether a stranger reaches it, as far as is known: the last attempt was a success.
    #[must_use]
    pub fn is_reachable(&self) -> bool {
        self.reached.is_some() && self.reached == self.tried
    }
}

/// What carries a node's links, and where it is reached.
pub(crate) struct Reach {
    pub(crate) carriage: Carriage,
    pub(crate) listen: Vec<Multiaddr>,
    #[cfg(feature = "tor")]
    pub(crate) service: Option<service::Service>,
}

impl Reach {
    /// At TCP addresses alone.
    pub(crate) fn over_tcp(config: &NodeConfig) -> Result<Self, NodeError> {
        Ok(Self {
            carriage: Carriage::Tcp,
            listen: addresses(&config.listen)?,
            #[cfg(feature = "tor")]
            service: None,
        })
    }
}

#[cfg(feature = "tor")]
pub(crate) mod service {
    //! The onion service of a node that runs.

    use std::{
        path::{Path, PathBuf},
        time::Duration,
    };

    use anon::request::{Request, Response};
    use libp2p::{Multiaddr, PeerId};
    use tor::{OnionService, Tor};

    use super::{FILE, OnionStatus, Reach};
    use crate::{
        clock::now,
        config::{NodeConfig, Onion, addresses},
        link::{Carriage, Carrier, Links, Underlay},
        node::NodeError,
    };

    /// How long a descriptor may take to be published before the node says where it listens all the same.
    const PUBLISHED_WITHIN: Duration = Duration::from_secs(180);
    /// How often it is looked whether it is.
    const LOOK: Duration = Duration::from_millis(100);
    /// How long until a node that did not reach itself tries again, and one that did.
    const AGAIN: Duration = Duration::from_secs(15);
    const ONCE_MORE: Duration = Duration::from_secs(600);
    /// How long its own answer may take, over TCP.
    const ANSWER: Duration = Duration::from_secs(5);

    /// A node's onion service, and the client that offers it.
    pub(crate) struct Service {
        tor: Tor,
        service: OnionService,
    }

    impl Reach {
        /// By an onion service, and at TCP addresses if it is beside them.
        pub(crate) async fn over_tor(config: &NodeConfig, tor: &Tor) -> Result<Self, NodeError> {
            let (service, serving) = tor.serve()?;
            let began = tokio::time::Instant::now();
            while !service.reachability().published && began.elapsed() < PUBLISHED_WITHIN {
                tokio::time::sleep(LOOK).await;
            }
            let transport = tor.transport().serving(serving);
            let mut listen = addresses(&config.listen)?;
            listen.push(service.address().clone());
            let carriage = match config.onion {
                Onion::Only => Carriage::Tor(transport),
                Onion::Beside | Onion::Off => Carriage::Mixed(transport),
            };
            let service = Some(Service { tor: tor.clone(), service });
            Ok(Self { carriage, listen, service })
        }
    }

    impl Service {
        /// Its address.
        pub(crate) const fn address(&self) -> &Multiaddr {
            self.service.address()
        }

        /// Tries it for as long as the node lives, and writes down what came of it.
        pub(crate) async fn watch(self, directory: PathBuf, network: String, peer: PeerId) {
            let mut status = self.status();
            loop {
                let seen = self.status();
                (status.state, status.published) = (seen.state, seen.published);
                write(&directory, &status);
                let tried = now();
                status.tried = Some(tried);
                let is_reached = self.reaches_itself(&network, peer).await;
                if is_reached {
                    status.reached = Some(tried);
                }
                let seen = self.status();
                (status.state, status.published) = (seen.state, seen.published);
                write(&directory, &status);
                tokio::time::sleep(if is_reached { ONCE_MORE } else { AGAIN }).await;
            }
        }

        fn status(&self) -> OnionStatus {
            let reachability = self.service.reachability();
            OnionStatus {
                address: self.address().to_string(),
                state: reachability.state.to_owned(),
                published: reachability.published,
                tried: None,
                reached: None,
            }
        }

        async fn reaches_itself(&self, network: &str, peer: PeerId) -> bool {
            let underlay = Underlay::Tor(self.tor.clone());
            let Ok(links) = Links::disposable_over(network, &underlay) else { return false };
            let to = vec![self.address().clone()];
            let Ok(link) = links.open_at(peer, to, Carrier::Request).await else { return false };
            let answer = link.request(&Request::Certificate, ANSWER).await;
            matches!(answer, Ok(Response::Certificate(_)))
        }
    }

    fn write(directory: &Path, status: &OnionStatus) {
        let new = directory.join("onion.json.new");
        let written = serde_json::to_vec(status)
            .map_err(std::io::Error::from)
            .and_then(|text| std::fs::write(&new, text))
            .and_then(|()| std::fs::rename(&new, directory.join(FILE)));
        if let Err(error) = written {
            tracing::warn!(%error, "the onion service's status was not written");
        }
    }
}
