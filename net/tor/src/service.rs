//! An onion service: what it takes in, within bounds, and whether it can be reached.

use std::{sync::Arc, time::Duration};

use arti_client::config::onion_service::OnionServiceConfigBuilder;
use futures::{Stream, StreamExt as _};
use libp2p::Multiaddr;
use safelog::DisplayRedacted as _;
use tokio::{
    sync::{Semaphore, mpsc},
    task::{JoinHandle, JoinSet},
};
use tor_cell::relaycell::msg::Connected;
use tor_hsservice::{RendRequest, RunningOnionService, StreamRequest, status::State};
use tor_proto::stream::IncomingStreamRequest;

use crate::{
    address::onion_address,
    client::{Tor, TorError, explain},
    transport::{Serving, Stream as TorStream},
};

/// The port of the service, the only one that it answers on. (Tor's ports are the service's own: nothing is bound.)
pub(crate) const PORT: u16 = 4001;
/// The service's name in arti's files.
const NICKNAME: &str = "cutout";
/// Clients that may be connected, or about to be, at once; further ones are not answered.
const CLIENTS: usize = 512;
/// Streams that one client's circuit may have.
const STREAMS_PER_CLIENT: u32 = 8;
/// How long a client's circuit may be without a stream.
const IDLE: Duration = Duration::from_secs(30);
/// Streams that wait to be taken by the transport.
const WAITING: usize = 64;

/// What is known of whether a service can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reachability {
    /// Whether its descriptor is at all directories that should have it, or at some.
    pub published: bool,
    /// The state, in a word.
    pub state: &'static str,
}

/// A running onion service. Dropping it ends it.
#[derive(derive_more::Debug)]
#[debug("OnionService(..)")]
pub struct OnionService {
    address: Multiaddr,
    running: Arc<RunningOnionService>,
    accepting: JoinHandle<()>,
}

impl Drop for OnionService {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Tor {
    /// Launches this client's onion service, whose key it keeps among its state, and what a transport needs to listen
    /// for it.
    ///
    /// # Errors
    /// [`TorError`].
    pub fn serve(&self) -> Result<(OnionService, Serving), TorError> {
        let mut config = OnionServiceConfigBuilder::default();
        let nickname = NICKNAME.parse().map_err(|_| TorError::Arti("a bad nickname".to_owned()))?;
        config.nickname(nickname).max_concurrent_streams_per_circuit(STREAMS_PER_CLIENT);
        let config = config.build().map_err(crate::config::ConfigError::from)?;
        let launched = self.client().launch_onion_service(config);
        let off = || TorError::Arti("the onion service is switched off".to_owned());
        let (running, requests) = launched.map_err(|error| explain(&error))?.ok_or_else(off)?;
        let name = running.onion_address().ok_or_else(off)?.display_unredacted().to_string();
        let address = onion_address(&name, PORT).ok_or_else(off)?;
        let (sender, streams) = mpsc::channel(WAITING);
        let accepting = tokio::spawn(accept(requests, sender));
        let serving = Serving { address: address.clone(), streams };
        Ok((OnionService { address, running, accepting }, serving))
    }
}

impl OnionService {
    /// Its address.
    #[must_use]
    pub const fn address(&self) -> &Multiaddr {
        &self.address
    }

    /// Whether its descriptor is published.
    #[must_use]
    pub fn reachability(&self) -> Reachability {
        let state = self.running.status().state();
        let (published, state) = match state {
            State::Running => (true, "running"),
            State::DegradedReachable => (true, "degraded: fewer introduction points than wanted"),
            State::DegradedUnreachable => (true, "degraded: some directories lack the descriptor"),
            State::Bootstrapping => (false, "publishing"),
            State::Recovering => (false, "recovering"),
            State::Broken => (false, "broken"),
            State::Shutdown => (false, "ended"),
            _ => (false, "unknown"),
        };
        Reachability { published, state }
    }
}

async fn accept(requests: impl Stream<Item = RendRequest>, to: mpsc::Sender<TorStream>) {
    let slots = Arc::new(Semaphore::new(CLIENTS));
    let mut requests = std::pin::pin!(requests);
    let mut clients = JoinSet::new();
    while let Some(request) = requests.next().await {
        while clients.try_join_next().is_some() {}
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else { continue };
        let to = to.clone();
        clients.spawn(async move {
            serve_client(request, &to).await;
            drop(slot);
        });
    }
}

/// Serves one client's circuit, until it is gone or has had no stream for a while: who only holds it takes another's place.
async fn serve_client(request: RendRequest, to: &mpsc::Sender<TorStream>) {
    let Ok(mut streams) = request.accept().await else { return };
    let living = Arc::new(());
    loop {
        match tokio::time::timeout(IDLE, streams.next()).await {
            Ok(Some(stream)) => hand_over(stream, &living, to).await,
            Ok(None) => return,
            Err(_) if Arc::strong_count(&living) == 1 => return,
            Err(_) => {}
        }
    }
}

async fn hand_over(stream: StreamRequest, living: &Arc<()>, to: &mpsc::Sender<TorStream>) {
    let wanted = match stream.request() {
        IncomingStreamRequest::Begin(begin) => begin.port() == PORT,
        _ => false,
    };
    if !wanted {
        // As other onion services do: whoever tries doors learns nothing from the difference.
        let _ = stream.shutdown_circuit();
        return;
    }
    if let Ok(stream) = stream.accept(Connected::new_empty()).await {
        // Full, it is dropped: the circuit's own flow control is not ours to block.
        let _ = to.try_send(TorStream::new(stream, Some(Arc::clone(living))));
    }
}
