//! Somebody who uses a network from within this process: a profile with an address that certifies itself, and the agent
//! over it.

use std::{path::Path, sync::Arc, time::Duration};

use anon::{
    certificate::{Address, AddressCertificate},
    network::Network,
    position::Key,
};
use net::{Clock, Transport};
use ua::{
    account::Account,
    agent::Agent,
    error::AgentError,
    event::SharedListener,
    maildir::Maildir,
    profile::{Profile, ProfileError},
    receive::Fetched,
    scheme::Scheme,
    send::{Mail, Outcome},
    vault::{KdfCost, Passphrase},
};

/// A user of a network.
#[derive(derive_more::Debug)]
#[debug("Person(..)")]
pub struct Person {
    /// The agent.
    pub agent: Agent,
    /// The keys of the address.
    pub account: Account,
    /// The address's certificate.
    pub certificate: AddressCertificate,
}

impl Person {
    /// A new user of the network with this file, whose profile is made in `directory`; over TCP and by this machine's
    /// clock.
    ///
    /// # Errors
    /// [`ProfileError`] if the network file or the disk is not as it should be.
    pub fn new(
        network: &str,
        directory: &Path,
        listener: SharedListener,
    ) -> Result<Self, ProfileError> {
        let passphrase = Passphrase::new("correct horse".to_owned())?;
        // Nobody attacks this vault, and nobody waits for it to be unlocked.
        let profile = Profile::create(directory, network, &passphrase, KdfCost::new(8, 1)?)?;
        let network = profile.network().network()?;
        profile.write_account(&Account::self_certifying(&network, Clock::default().now()))?;
        Self::over(Arc::new(profile), listener, Transport::Tcp)
    }

    /// The same user with a fresh agent, as the next command makes one.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn anew(
        &self,
        listener: SharedListener,
        transport: Transport,
    ) -> Result<Self, ProfileError> {
        Self::over(Arc::clone(self.agent.profile()), listener, transport)
    }

    fn over(
        profile: Arc<Profile>,
        listener: SharedListener,
        transport: Transport,
    ) -> Result<Self, ProfileError> {
        let context = profile.context(Clock::default(), listener, transport)?;
        let account = Account::read(profile.vault())?;
        let certificate = account.certificate(&context.network, context.now())?;
        Ok(Self { agent: Agent::new(profile, context)?, account, certificate })
    }

    /// The address.
    #[must_use]
    pub const fn address(&self) -> &Address {
        self.account.address()
    }

    /// The network.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.agent.context().network
    }

    /// Publishes the certificate, directly.
    ///
    /// # Errors
    /// [`AgentError`].
    pub async fn publish(&self) -> Result<(), AgentError> {
        self.agent.publish(&self.certificate, None).await.map(drop)
    }

    /// Puts an unsigned mail to one recipient into the outbox: its id.
    ///
    /// # Errors
    /// [`AgentError`].
    pub fn hand_in(
        &self,
        bytes: &[u8],
        subject: &str,
        to: &Address,
        direct: bool,
    ) -> Result<String, AgentError> {
        let recipients = std::slice::from_ref(to);
        let mail = Mail { bytes, subject, recipients, signed: false, direct, reply_to: None };
        self.agent.hand_in(&mail)
    }

    /// Delivers a mail of the outbox by a scheme, without the delay between its steps.
    ///
    /// # Errors
    /// [`AgentError`].
    pub async fn deliver(&self, id: &str, scheme: Arc<dyn Scheme>) -> Result<Outcome, AgentError> {
        let claim = self.agent.claim(id)?;
        self.agent.deliver(&claim, Duration::ZERO, std::future::ready(Ok(scheme))).await
    }

    /// The key and the sealed object of the first part of a mail in the outbox.
    ///
    /// # Errors
    /// [`AgentError`] if there is no such mail.
    pub fn body(&self, id: &str) -> Result<(Key, Vec<u8>), AgentError> {
        let first = self.agent.outbox().parts(id)?.into_iter().next();
        let part = first.ok_or_else(|| AgentError::BadFile(id.to_owned()))?;
        Ok((part.part.message_id.key(&self.network().name), part.object))
    }

    /// Reads the inbox: through channels of a scheme, or directly.
    ///
    /// # Errors
    /// [`AgentError`].
    pub async fn fetch(&self, scheme: Option<Arc<dyn Scheme>>) -> Result<Fetched, AgentError> {
        let mut fetched = Fetched::default();
        self.agent.read(&self.account, scheme, &self.maildir()?, &mut fetched).await?;
        Ok(fetched)
    }

    /// All mails read so far, byte for byte, sorted.
    ///
    /// # Errors
    /// [`AgentError::Maildir`].
    pub fn mails(&self) -> Result<Vec<Vec<u8>>, AgentError> {
        let maildir = self.maildir()?;
        let mails = maildir.list()?.into_iter().map(|entry| maildir.read(&entry));
        let mut mails = mails.collect::<Result<Vec<_>, _>>()?;
        mails.sort();
        Ok(mails)
    }

    fn maildir(&self) -> Result<Maildir, AgentError> {
        Ok(Maildir::open(&Profile::default_maildir(self.agent.profile().directory()))?)
    }
}
