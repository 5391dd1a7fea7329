//! Where an agent works: the network's parameters, a clock, who is told what happens, and what links go over.

use std::{sync::Arc, time::Duration};

use anon::{
    network::{Epoch, Network},
    time::Time,
};
use net::{Clock, LinkError, Links, Transport};

use crate::{
    error::AgentError,
    event::{Event, SharedListener},
    hedge::GAP,
};

/// Over Tor everything may take so many times as long.
const OVER_TOR: u32 = 6;

/// What is around an agent. All copies share the same clock, listener and transport.
#[derive(Clone, derive_more::Debug)]
#[debug("Context(..)")]
pub struct Context {
    /// The network's parameters.
    pub network: Arc<Network>,
    /// Where the time comes from.
    pub(crate) clock: Clock,
    /// Who is told what happens.
    pub(crate) listener: SharedListener,
    /// What links go over.
    pub transport: Transport,
}

impl Context {
    /// The time now.
    #[must_use]
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    /// The network's epoch now.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.network.epoch(self.now())
    }

    /// Tells the listener what happened.
    pub fn tell(&self, event: &Event) {
        self.listener.on(event);
    }

    /// Links under a fresh identity, of which the listener is told.
    ///
    /// # Errors
    /// [`LinkError`] if this machine gives no randomness.
    pub fn disposable(&self) -> Result<Links, LinkError> {
        let fresh = Links::disposable_over(&self.network.name, &self.transport)?;
        self.tell(&Event::Identity(fresh.local()));
        Ok(fresh)
    }

    /// How long an answer is waited for before somebody else is asked as well.
    pub(crate) fn gap(&self) -> Duration {
        if self.transport.is_tor() { GAP * OVER_TOR } else { GAP }
    }

    /// Does some work, unless the transport is lost meanwhile: what would fail, attempt after attempt, ends at once.
    ///
    /// # Errors
    /// [`AgentError::Lost`], or what the work ends with.
    pub(crate) async fn unless_lost<T>(
        &self,
        work: impl Future<Output = Result<T, AgentError>>,
    ) -> Result<T, AgentError> {
        tokio::select! {
            done = work => done,
            lost = self.transport.lost() => Err(lost.into()),
        }
    }
}

#[cfg(test)]
impl Context {
    /// A network where nobody listens, by this machine's clock.
    pub(crate) fn quiet(network: Network) -> Self {
        let (network, listener) = (Arc::new(network), Arc::new(crate::event::Silent));
        Self { network, clock: Clock::default(), listener, transport: Transport::Tcp }
    }
}
