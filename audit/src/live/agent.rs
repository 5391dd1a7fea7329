//! Agents in this process over a network of node processes: the real ones, whose events tell the audit the truth
//! about who served in which role.

use std::{
    collections::BTreeSet,
    ops::Deref,
    path::{Path, PathBuf},
    sync::Arc,
};

use anon::selection::SampledKeys;
use cutout::{command::read_file, terminal::Failure};
use parking_lot::Mutex;
use testbed::person::Person;
use ua::{
    event::{Event, Listener},
    vault::{Vault, VaultError},
};

/// The sealed file in which an agent keeps certificates that it fetched.
const KNOWN: &str = "certificates";

/// Somebody with an address, an outbox and a Maildir.
#[derive(derive_more::Debug)]
#[debug("Agent(..)")]
pub struct Agent {
    person: Person,
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
    pub(super) fn keys_of(&self, along: &ua::event::Path) -> Option<SampledKeys> {
        let heard = self.0.lock();
        heard.iter().rev().find_map(|event| match event {
            Event::Channel { path, keys, .. } if path == along => Some(*keys),
            _ => None,
        })
    }
}

impl Deref for Agent {
    type Target = Person;

    fn deref(&self) -> &Person {
        &self.person
    }
}

impl Agent {
    /// A new user of the network in `network`, with an address that certifies itself.
    ///
    /// # Errors
    /// [`Failure`] if the network file or the disk is not as it should be.
    pub(crate) fn new(network: &Path, profile: PathBuf) -> Result<Self, Failure> {
        let text = String::from_utf8_lossy(&read_file(network)?).into_owned();
        let heard = Arc::new(Heard::default());
        let person = Person::new(&text, &profile, Arc::clone(&heard) as _)?;
        Ok(Self { person, heard, identities: Mutex::default() })
    }

    /// Keys, guards, roster and outbox.
    #[must_use]
    pub(crate) fn vault(&self) -> &Vault {
        self.agent.profile().vault()
    }

    /// Forgets the certificates that were fetched, so that the next mail fetches its recipient's again.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) fn forget_certificates(&self) -> Result<(), Failure> {
        match self.vault().remove(KNOWN) {
            Err(VaultError::NotFound) | Ok(()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether exactly this lies in its Maildir.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) fn has(&self, message: &[u8]) -> Result<bool, Failure> {
        Ok(self.person.mails()?.iter().any(|mail| mail == message))
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
