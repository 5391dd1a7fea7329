//! A client of the Tor network: its start, step by step, and why it does not come about.

use std::{
    path::Path,
    sync::{Arc, Once},
    time::Duration,
};

use arti_client::{
    BootstrapBehavior, ErrorKind, HasKind as _, TorClient,
    status::{BlockageKind, BootstrapStatus},
};
use futures::StreamExt as _;
use thiserror::Error;

use crate::{
    config::{ConfigError, TorConfig},
    health::Health,
    transport::{Client, TorTransport},
};

/// How often it is looked whether anything moved.
const LOOK: Duration = Duration::from_millis(100);

/// What Tor waits for, as far as can be told from here.
#[derive(Clone, Copy, Debug, derive_more::Display, PartialEq, Eq)]
#[non_exhaustive]
pub enum Blockage {
    /// No connection to anywhere comes about.
    #[display("no connection to any relay comes about")]
    Offline,
    /// Connections come about, and then are cut or answered by somebody else: a firewall or a filter.
    #[display("relays are reached, but what they say is cut off or changed on the way")]
    Filtered,
    /// This machine's clock, or the relays', is wrong.
    #[display("this machine's clock does not fit the Tor network's")]
    Clock,
    /// Relays are there, and the directory of the network is not to be had.
    #[display("relays answer, but the directory of the Tor network is not to be had")]
    Directory,
    /// Something else, or nothing that arti could name.
    #[display("nothing moves")]
    Unknown,
}

/// Why there is no Tor.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TorError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// arti's own files cannot be used.
    #[error("Tor's files cannot be used: {0}")]
    Files(String),
    /// The network cannot be reached.
    #[error("Tor cannot be reached: {0}")]
    Unreachable(Blockage),
    /// Something else.
    #[error("Tor does not start: {0}")]
    Arti(String),
}

/// How far a start is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Of 100.
    pub percent: u8,
    /// What it waits for.
    pub waiting_for: String,
}

/// A client of the Tor network. Clones are one client.
#[derive(derive_more::Debug, Clone)]
#[debug("Tor(..)")]
pub struct Tor {
    client: Arc<Client>,
    health: Arc<Health>,
    timeout: Duration,
}

impl Tor {
    /// Starts a client that keeps its state in `directory`, and waits until it can be used. `on_step` is told how far it
    /// is.
    ///
    /// # Errors
    /// [`TorError`]; [`TorError::Unreachable`] as soon as nothing has moved for as long as the configuration's timeout.
    pub async fn start(
        config: &TorConfig,
        directory: &Path,
        mut on_step: impl FnMut(&Step),
    ) -> Result<Self, TorError> {
        provide_cryptography();
        let client = TorClient::builder()
            .config(config.arti(directory)?)
            .bootstrap_behavior(BootstrapBehavior::Manual)
            .create_unbootstrapped()
            .map_err(|error| explain(&error))?;
        wait(&client, config.timeout(), &mut on_step).await?;
        Ok(Self { client, health: Arc::default(), timeout: config.timeout() })
    }

    /// A transport whose circuits nobody else's connections share.
    #[must_use]
    pub fn transport(&self) -> TorTransport {
        TorTransport::new(Arc::clone(&self.client), Arc::clone(&self.health))
    }

    /// Waits until all dials, from now on, have failed for as long as the configuration's timeout.
    pub async fn lost(&self) -> TorError {
        self.health.forget();
        while self.health.failing_for().is_none_or(|time| time < self.timeout) {
            tokio::time::sleep(LOOK).await;
        }
        TorError::Unreachable(blockage(&self.client.bootstrap_status()))
    }

    pub(crate) const fn client(&self) -> &Arc<Client> {
        &self.client
    }
}

/// Starts a client and waits until it can be used.
async fn wait(
    client: &Client,
    timeout: Duration,
    on_step: &mut impl FnMut(&Step),
) -> Result<(), TorError> {
    let mut events = client.bootstrap_events();
    let mut moved = tokio::time::Instant::now();
    let mut last: Option<Step> = None;
    let mut starting = std::pin::pin!(client.bootstrap());
    let mut is_started = false;
    loop {
        tokio::select! {
            started = &mut starting, if !is_started => match started {
                Ok(()) => is_started = true,
                Err(error) if is_final(&error) => return Err(explain(&error)),
                // The next attempt may do better, while there is time.
                Err(_) => {
                    tokio::time::sleep(LOOK).await;
                    starting.set(client.bootstrap());
                }
            },
            _ = events.next() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
        let status = client.bootstrap_status();
        // With a directory from the last time it is started at once: whether relays answer is seen by circuits.
        if is_started && status.ready_for_traffic() {
            return Ok(());
        }
        let step = step(&status);
        if last.as_ref() != Some(&step) {
            on_step(&step);
            if last.is_none_or(|last| last.percent != step.percent) {
                moved = tokio::time::Instant::now();
            }
            last = Some(step);
        }
        if moved.elapsed() > timeout {
            return Err(TorError::Unreachable(blockage(&status)));
        }
    }
}

/// rustls asks for a provider once a process; without one it panics.
fn provide_cryptography() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Whoever else has provided one has done it for us, too.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

fn step(status: &BootstrapStatus) -> Step {
    let percent = (0..=100_u8).rev().find(|p| f32::from(*p) <= status.as_frac() * 100.0);
    let text = status.to_string();
    // "42%: connecting successfully; directory is fetching …": the number is told apart.
    let waiting_for = text.split_once("%: ").map_or(text.as_str(), |(_, rest)| rest).to_owned();
    Step { percent: percent.unwrap_or(0), waiting_for }
}

fn blockage(status: &BootstrapStatus) -> Blockage {
    match status.blocked().map(|blocked| blocked.kind()) {
        Some(BlockageKind::Offline) => Blockage::Offline,
        Some(BlockageKind::Filtering) => Blockage::Filtered,
        Some(BlockageKind::ClockSkewed) => Blockage::Clock,
        Some(BlockageKind::CantBootstrap) => Blockage::Directory,
        _ => guess(&status.to_string()),
    }
}

/// What is in the way by arti's own words of what it waits for: for a minute after its start it names no reason.
fn guess(text: &str) -> Blockage {
    let says = |part: &str| text.contains(part);
    if says("Clock is") {
        Blockage::Clock
    } else if says("to the internet") {
        Blockage::Offline
    } else if says("handshak") {
        Blockage::Filtered
    } else if says("directory") && !says("usable") {
        Blockage::Directory
    } else {
        Blockage::Unknown
    }
}

/// Whether trying again would end the same.
fn is_final(error: &arti_client::Error) -> bool {
    is_of_files(error.kind())
        || matches!(error.kind(), ErrorKind::InvalidConfig | ErrorKind::SoftwareDeprecated)
}

const fn is_of_files(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::FsPermissions
            | ErrorKind::PersistentStateAccessFailed
            | ErrorKind::PersistentStateCorrupted
            | ErrorKind::CacheAccessFailed
            | ErrorKind::CacheCorrupted
            | ErrorKind::KeystoreAccessFailed
            | ErrorKind::KeystoreCorrupted
            | ErrorKind::LocalResourceAlreadyInUse
    )
}

/// An error of arti's in words: its whole chain of causes.
pub(crate) fn explain(error: &arti_client::Error) -> TorError {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    if is_of_files(error.kind()) { TorError::Files(text) } else { TorError::Arti(text) }
}
