//! What was delivered, so that no mail comes twice, whatever happens in between.
//!
//! A mail is known by all its parts in their order, by who verifiably signed it, and by where an answer goes. A
//! notification is a repetition if it adds nothing to a mail that was delivered. Another recipient of a mail can
//! announce its parts to Bob once more, without the signature, or with an address of her own for the answer: Bob then
//! gets both, whichever comes first, and the genuine one is never dropped for hers.
//!
//! ```text
//! seen-<number>   sealed; at most 250 mails each, and in the newest one the mail that is being delivered
//! ```

use std::collections::BTreeMap;

use anon::{certificate::Address, mail::Headers, wire};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{error::AgentError, sealed, vault::Vault};

/// What the names of the sealed files begin with.
const SEEN: &str = "seen-";
/// Mails that one file remembers: it is written anew for each mail.
const IN_ONE: usize = 250;
/// Files: together they remember 20,000 mails.
const FILES: usize = 80;
/// More than a file takes, bytes.
const MAX: usize = (IN_ONE + 2) * 64;

/// What a mail is known by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    parts: [u8; 20],
    signer: Option<[u8; 12]>,
    reply_to: Option<[u8; 12]>,
}

impl Known {
    /// What the mail with these headers is known by, `signer` having verifiably signed it.
    pub(super) fn of(headers: &Headers, signer: Option<&Address>) -> Self {
        let digest = headers.parts_digest();
        let mut parts = [0; 20];
        parts.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        Self { parts, signer: signer.map(short), reply_to: headers.reply_to.as_ref().map(short) }
    }

    /// Whether it tells nothing that `delivered`, of the same parts, does not.
    fn adds_nothing_to(&self, delivered: &Self) -> bool {
        let same = |mine: Option<[u8; 12]>, other| mine.is_none() || mine == other;
        same(self.signer, delivered.signer) && same(self.reply_to, delivered.reply_to)
    }
}

fn short(address: &Address) -> [u8; 12] {
    let digest = Sha256::digest(address.to_string().as_bytes());
    let mut short = [0; 12];
    short.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    short
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Page {
    delivered: Vec<Known>,
    delivering: Option<Known>,
}

/// The mails that were delivered.
pub(super) struct Seen<'a> {
    vault: &'a Vault,
    known: BTreeMap<[u8; 20], Vec<Known>>,
    files: Vec<String>,
    number: u64,
    page: Page,
}

impl<'a> Seen<'a> {
    /// Reads what the vault remembers.
    ///
    /// # Errors
    /// [`AgentError`] if a file cannot be read, or is none of ours.
    pub(super) fn read(vault: &'a Vault) -> Result<Self, AgentError> {
        let files = vault.list(SEEN)?;
        let mut seen =
            Self { vault, known: BTreeMap::new(), files, number: 0, page: Page::default() };
        for name in &seen.files {
            let number = name.strip_prefix(SEEN).and_then(|number| number.parse().ok());
            seen.number = number.ok_or_else(|| AgentError::BadFile(name.clone()))?;
            let costs = "a mail that an inbox still holds may arrive once more";
            seen.page = sealed::read_or_new(vault, name, MAX, costs)?;
            for mail in &seen.page.delivered {
                seen.known.entry(mail.parts).or_default().push(mail.clone());
            }
        }
        Ok(seen)
    }

    /// Whether a notification adds nothing to what was delivered.
    pub(super) fn has(&self, mail: &Known) -> bool {
        let delivered = self.known.get(&mail.parts).map(Vec::as_slice).unwrap_or_default();
        delivered.iter().any(|delivered| mail.adds_nothing_to(delivered))
    }

    /// Whether a delivery of this mail was begun, and never ended.
    pub(super) fn was_interrupted(&self, mail: &Known) -> bool {
        self.page.delivering.as_ref() == Some(mail)
    }

    /// Notes that a mail is being delivered; durable on return.
    ///
    /// # Errors
    /// [`AgentError::Vault`].
    pub(super) fn begin(&mut self, mail: &Known) -> Result<(), AgentError> {
        if self.page.delivered.len() >= IN_ONE {
            self.turn_over()?;
        }
        self.page.delivering = Some(mail.clone());
        self.write()
    }

    /// Notes that a mail was delivered; durable on return.
    ///
    /// # Errors
    /// [`AgentError::Vault`].
    pub(super) fn end(&mut self, mail: &Known) -> Result<(), AgentError> {
        self.page.delivering = None;
        self.page.delivered.push(mail.clone());
        self.known.entry(mail.parts).or_default().push(mail.clone());
        self.write()
    }

    /// Begins another file; the oldest goes when there are too many.
    fn turn_over(&mut self) -> Result<(), AgentError> {
        self.page = Page::default();
        self.number = self.number.saturating_add(1);
        while self.files.len() >= FILES {
            self.vault.forget(&self.files.remove(0))?;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), AgentError> {
        let name = format!("{SEEN}{:010}", self.number);
        self.vault.write(&name, &wire::encode(&self.page))?;
        if self.files.last() != Some(&name) {
            self.files.push(name);
        }
        Ok(())
    }
}
