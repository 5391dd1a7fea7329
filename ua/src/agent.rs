//! The agent: all that one user does in the network, over their profile and in a context. It is the way into this crate:
//! commands, tests, benchmarks and the audit make the same one, by [`Agent::new`].
//!
//! ```text
//! send, retry ─► deliver     a mail: into the outbox, and from there to its recipients
//! fetch ─► fetch_account ─► read     notifications and bodies: into the Maildir
//! keep_ready                 certificates, roster, guards, bootstrap nodes
//! status                     what the agent knows and keeps
//! ```
//! [`Agent::scheme`] makes a scheme ready for one piece of work; [`Agent::deliver`], [`Agent::publish`] and [`Agent::read`]
//! take one, so that their caller may give them another.

mod fetch;
mod ready;
mod send;
mod status;

use std::sync::Arc;

use anon::certificate::{Address, AddressCertificate};

use crate::{
    bootstrap::Bootstrap,
    certificates,
    context::Context,
    error::AgentError,
    event::Purpose,
    evidence::{self, EvidenceLog},
    outbox::Outbox,
    profile::{Profile, ProfileError},
    replica_client::client,
    scheme::Scheme,
};

pub use status::Status;

/// One user's agent.
#[derive(derive_more::Debug)]
#[debug("Agent(..)")]
pub struct Agent {
    profile: Arc<Profile>,
    context: Context,
    bootstrap: Arc<Bootstrap>,
    evidence: Arc<EvidenceLog>,
}

impl Agent {
    /// The agent of the user to whom this profile belongs.
    ///
    /// # Errors
    /// [`ProfileError`] if the network file names no nodes that can be read, or the vault cannot be read.
    pub fn new(profile: impl Into<Arc<Profile>>, context: Context) -> Result<Self, ProfileError> {
        let profile = profile.into();
        let bootstrap = Arc::new(Bootstrap::new(context.clone(), profile.bootstrap()?));
        let evidence = Arc::new(EvidenceLog::new(context.clone()));
        Ok(Self { profile, context, bootstrap, evidence })
    }

    /// What the user keeps.
    #[must_use]
    pub const fn profile(&self) -> &Arc<Profile> {
        &self.profile
    }

    /// What is around the agent.
    #[must_use]
    pub const fn context(&self) -> &Context {
        &self.context
    }

    /// The nodes that lead into the network.
    #[must_use]
    pub const fn bootstrap(&self) -> &Arc<Bootstrap> {
        &self.bootstrap
    }

    /// What nodes did since the agent began, or since [`Self::remember`].
    #[must_use]
    pub const fn evidence(&self) -> &Arc<EvidenceLog> {
        &self.evidence
    }

    /// Where mails wait.
    #[must_use]
    pub fn outbox(&self) -> Outbox<'_> {
        Outbox::new(self.profile.vault())
    }

    /// Sees to it that all replicas hold one of the user's certificates (paper, 2.4), through channels of this scheme or,
    /// without one, directly: how many had lost theirs.
    ///
    /// # Errors
    /// [`AgentError`] if not even a quorum could be brought to hold it.
    pub async fn publish(
        &self,
        certificate: &AddressCertificate,
        scheme: Option<Arc<dyn Scheme>>,
    ) -> Result<usize, AgentError> {
        let (bootstrap, evidence) = (&self.bootstrap, &self.evidence);
        let (key, purpose) = (certificate.address().certificate(), Purpose::Certificate);
        let publishing = async {
            let mut client = client(scheme, bootstrap, evidence, key, purpose).await?;
            certificates::publish(&mut *client, bootstrap, evidence, certificate).await
        };
        self.context.unless_lost(publishing).await
    }

    /// Somebody's certificate, through channels of this scheme or, without one, directly.
    ///
    /// # Errors
    /// [`AgentError::NoSuchRecipient`] if a quorum of the replicas have none; [`AgentError::NotFoundOut`] if too few say.
    pub async fn look_up(
        &self,
        address: &Address,
        scheme: Option<Arc<dyn Scheme>>,
    ) -> Result<AddressCertificate, AgentError> {
        let looking = async {
            match scheme {
                Some(scheme) => {
                    certificates::fetch_anonymously(&scheme, &self.context, address).await
                }
                None => certificates::fetch_directly(&self.bootstrap, address).await,
            }
        };
        self.context.unless_lost(looking).await
    }

    /// Writes down the nodes that the agent got to know, and the evidence that it gathered. Where that fails it is said:
    /// what was done before is done all the same.
    pub fn remember(&self) {
        self.profile.remember(self.bootstrap.known());
        let vault = self.profile.vault();
        if let Err(error) = evidence::add(vault, self.evidence.take()) {
            vault.notice(format!("evidence against nodes is not kept: {error}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use anon::time::Time;
    use net::{Clock, Transport};
    use tempfile::TempDir;

    use super::*;
    use crate::{
        account::{Account, OWN, VALIDITY},
        event::Silent,
        vault::{KdfCost, Passphrase},
    };

    /// An agent by this clock, whose account was made now, in a network that nobody can reach.
    pub(super) fn agent(clock: Clock) -> (TempDir, Agent) {
        let directory = tempfile::tempdir().unwrap();
        let passphrase = Passphrase::new("x".to_owned()).unwrap();
        let cost = KdfCost::new(8, 1).unwrap();
        let network = "name = 'agent.alt'";
        let profile = Profile::create(directory.path(), network, &passphrase, cost).unwrap();
        let context = profile.context(clock, Arc::new(Silent), Transport::Tcp).unwrap();
        let account = Account::self_certifying(&context.network, context.now());
        profile.write_account(&account).unwrap();
        (directory, Agent::new(profile, context).unwrap())
    }

    #[test]
    fn an_account_is_renewed_when_the_agents_clock_says_so() {
        let (made, clock) = (Time(1_000_000_000), Clock::stopped_at(Time(1_000_000_000)));
        let (_directory, agent) = agent(clock.clone());
        let network = &agent.context().network;
        let is_valid_at = |time| agent.account(OWN).unwrap().certificate(network, time).is_ok();
        let later = made.after(VALIDITY + 86_400);
        clock.set(made.after(VALIDITY / 2));
        assert!(is_valid_at(made.after(60)) && !is_valid_at(later));
        clock.set(made.after(VALIDITY - 60));
        assert!(is_valid_at(later));
        assert_eq!(agent.status().unwrap().epoch, network.epoch(clock.now()));
    }
}
