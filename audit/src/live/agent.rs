//! Agents in this process over a network of node processes: the real ones, whose events tell the audit the truth
//! about who served in which role.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anon::{
    certificate::{Address, AddressCertificate},
    selection::Draw,
};
use cutout::terminal::Failure;
use net::{NetworkFile, now};
use node::NodeError;
use parking_lot::Mutex;
use ua::{
    account::Account,
    certificates::publish,
    entrance::Entrance,
    event::{Event, Listener},
    home::HomeError,
    maildir::Maildir,
    outbox::Outbox,
    receive::{AnonymousRoute, DirectRoute, Fetched, Reader, Route},
    scheme::Scheme,
    send::{Mail, Outcome, Sender, hand_in},
    session::{SchemeChoice, prepare_scheme},
    vault::{KdfCost, Passphrase, Vault, VaultError},
};

/// The sealed file in which an agent keeps certificates that it fetched.
const KNOWN: &str = "certificates";

/// Somebody with an address, an outbox and a Maildir.
#[derive(derive_more::Debug)]
#[debug("Agent(..)")]
pub struct Agent {
    home: PathBuf,
    /// Keys, guards, roster and outbox.
    pub vault: Vault,
    /// The keys of the address.
    pub account: Account,
    /// The address's certificate.
    pub certificate: AddressCertificate,
    /// The way into the network.
    pub entrance: Arc<Entrance>,
    heard: Arc<Heard>,
    identities: Mutex<BTreeSet<String>>,
}

/// What happened to an agent since somebody asked.
#[derive(Debug, Default)]
pub(super) struct Heard(Mutex<Vec<Event>>);

impl Listener for Heard {
    fn on(&self, event: &Event) {
        self.0.lock().push(event.clone());
    }
}

impl Heard {
    /// The keys that chose this path, if it is one of those that stood since [`Agent::take_events`].
    pub(super) fn draw_of(&self, along: &ua::event::Path) -> Option<Draw> {
        let heard = self.0.lock();
        heard.iter().rev().find_map(|event| match event {
            Event::Channel { path, keys, .. } if path == along => Some(*keys),
            _ => None,
        })
    }
}

impl Agent {
    /// A new user of the network in `network`, with an address that certifies itself.
    ///
    /// # Errors
    /// [`Failure`] if the network file or the disk is not as it should be.
    pub(crate) fn new(network: &Path, home: PathBuf) -> Result<Self, Failure> {
        let file = NetworkFile::read(network).map_err(NodeError::from)?;
        let params = Arc::new(file.network().map_err(HomeError::from)?);
        let passphrase = Passphrase::new("correct horse".to_owned())?;
        let vault = Vault::create(&home.join("vault"), &passphrase, KdfCost::new(8, 1)?)?;
        let account = Account::self_certifying(&params, now());
        let certificate = account.certificate(&params, now())?;
        let heard = Arc::new(Heard::default());
        let nodes = file.bootstrap_peers().map_err(HomeError::from)?;
        let entrance = Arc::new(Entrance::new(params, Arc::clone(&heard) as _, nodes));
        let identities = Mutex::default();
        Ok(Self { home, vault, account, certificate, entrance, heard, identities })
    }

    /// The address.
    #[must_use]
    pub(crate) fn address(&self) -> &Address {
        self.account.address()
    }

    /// Publishes the certificate, directly.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) async fn publish(&self) -> Result<(), Failure> {
        publish(&self.entrance, &self.certificate).await?;
        Ok(())
    }

    /// Forgets the certificates that were fetched, so that the next mail fetches its recipient's again.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) fn forget_certificates(&self) -> Result<(), Failure> {
        match self.vault.remove(KNOWN) {
            Err(VaultError::NotFound) | Ok(()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Puts a mail into the outbox: its id.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) fn prepare(
        &self,
        bytes: &[u8],
        subject: &str,
        to: &Address,
    ) -> Result<String, Failure> {
        let recipients = std::slice::from_ref(to);
        let mail =
            Mail { bytes, subject, recipients, signed: false, direct: false, reply_to: None };
        Ok(hand_in(&self.outbox(), &mail)?)
    }

    /// The outbox.
    #[must_use]
    pub(crate) fn outbox(&self) -> Outbox<'_> {
        Outbox::new(&self.vault)
    }

    /// A scheme, prepared as for one mail.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) async fn scheme(&self, choice: SchemeChoice) -> Result<Arc<dyn Scheme>, Failure> {
        Ok(prepare_scheme(choice, &self.vault, &self.entrance).await?)
    }

    /// Delivers a mail of the outbox by a scheme, without the delay between its steps.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) async fn deliver(
        &self,
        id: &str,
        scheme: Arc<dyn Scheme>,
    ) -> Result<Outcome, Failure> {
        let (entrance, outbox) = (Arc::clone(&self.entrance), self.outbox());
        let delay = Duration::ZERO;
        let sender = Sender { scheme, entrance, outbox, account: &self.account, delay };
        Ok(sender.deliver(id).await?)
    }

    /// Reads the inbox: through channels of a scheme, or directly.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) async fn fetch(&self, scheme: Option<Arc<dyn Scheme>>) -> Result<Fetched, Failure> {
        let entrance = Arc::clone(&self.entrance);
        let route: Box<dyn Route> = match scheme {
            Some(scheme) => Box::new(AnonymousRoute::new(scheme, &entrance)),
            None => Box::new(DirectRoute::new(Arc::clone(&entrance))?),
        };
        let maildir = Maildir::open(&self.home.join("mail"))?;
        let (vault, certificate) = (&self.vault, self.certificate.clone());
        let reader = Reader::new(entrance, route, vault, &self.account, certificate, &maildir);
        let mut fetched = Fetched::default();
        reader.fetch(&mut fetched).await?;
        Ok(fetched)
    }

    /// Whether exactly this lies in its Maildir.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) fn has(&self, message: &[u8]) -> Result<bool, Failure> {
        let maildir = Maildir::open(&self.home.join("mail"))?;
        for entry in maildir.list()? {
            if maildir.read(&entry)? == message {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What happened since the last time; the identities used since the beginning are kept.
    pub(crate) fn take_events(&self) -> Vec<Event> {
        let mut heard = self.heard.0.lock();
        let events = std::mem::take(&mut *heard);
        let mut identities = self.identities.lock();
        identities.extend(events.iter().filter_map(|event| match event {
            Event::Identity(peer) => Some(peer.to_string()),
            _ => None,
        }));
        events
    }

    /// Where this agent's events are kept.
    pub(super) fn heard(&self) -> Arc<Heard> {
        Arc::clone(&self.heard)
    }

    /// The libp2p identities that this agent has used, as text.
    #[must_use]
    pub(crate) fn identities(&self) -> BTreeSet<String> {
        self.identities.lock().clone()
    }
}
