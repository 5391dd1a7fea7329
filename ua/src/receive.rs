//! Reading (paper, 3.2 and 3.3): the superset of the k inboxes, bodies checked against their digests, deletion
//! at all k, and an acknowledgement only once a mail lies safely in the Maildir.
//!
//! ```text
//! list every inbox to its end ─► superset, by digest ─► hand over what is new, once each ─► open
//! ─► short mails first, mails that were missing before last:
//!      fetch parts (next replica where one is missing or wrong) ─► Maildir, fsynced ─► seen, fsynced
//!      ─► delete at the body's replicas ─► acknowledge to the inboxes, some at a time
//! ─► again, until nothing is left that could be had
//! ```
//! The paper's node deletes when it has sent; a lost answer would lose mail. Ours deletes when the reader says
//! that it has it.
//!
//! **Invariant:** no notification is acknowledged but one whose mail was delivered, or given up after
//! [`GIVE_UP_AFTER`] seconds, or that certainly is junk: it opens and holds nonsense, or it does not open with the only
//! key that the address can have. Whoever reads an address that has got other keys deletes nothing of the new owner's.
//!
//! **Invariant:** nothing that lies in an inbox keeps what lies behind it from being read, up to
//! 16,384 notifications at a node.

mod body;
mod deliver;
mod inbox;
mod notes;
mod parts;
mod report;
mod route;
mod seen;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use anon::{
    certificate::AddressCertificate,
    mail::{Headers, MailError, open_notification},
};

use self::{body::Bodies, deliver::Delivery, inbox::Inbox, notes::Notes, seen::Seen};
use crate::{
    account::Account, context::Context, error::AgentError, maildir::Maildir, vault::Vault,
};

pub use notes::GIVE_UP_AFTER;
pub use report::{Delivered, Fetched};
pub(crate) use route::{AnonymousRoute, DirectRoute, Place, Route, Way};

/// How often a reading looks into the inbox. Each time it tries what could not be reached the last time.
const MAX_ROUNDS: usize = 16;
/// Notifications that one round opens, those first that most inboxes hold.
const MAX_OPENED: usize = 20_000;
/// Notifications that are handed over at a time.
const HANDED_OVER: usize = 1_024;

/// SHA-256 of a notification.
type Digest = [u8; 32];
/// A notification's digest and what it announces.
type Announced = (Digest, Headers);

/// Reads one account's mail.
#[derive(derive_more::Debug)]
#[debug("Reader(..)")]
pub(crate) struct Reader<'a> {
    pub(crate) context: Context,
    pub(crate) route: Box<dyn Route>,
    pub(crate) vault: &'a Vault,
    pub(crate) account: &'a Account,
    pub(crate) certificate: AddressCertificate,
    pub(crate) maildir: &'a Maildir,
}

impl Reader<'_> {
    /// Reads, delivers, acknowledges and deletes everything that is there. What was delivered stands in `fetched` also
    /// where this fails or is dropped later: who signed a mail, and where an answer goes, is told there alone.
    ///
    /// # Errors
    /// [`AgentError`] if no inbox answers or the disk fails; then nothing was acknowledged that is not safe.
    pub(crate) async fn fetch(&self, fetched: &mut Fetched) -> Result<(), AgentError> {
        let mut notes = Notes::read(self.vault, self.context.now())?;
        let mut seen = Seen::read(self.vault)?;
        let mut inbox = Inbox::new(self);
        let bodies = Bodies::new(self)?;
        for _ in 0..MAX_ROUNDS {
            let round = self.round(&mut inbox, &bodies, &mut notes, &mut seen, fetched).await;
            notes.write()?;
            if !round? || fetched.is_cut_short {
                break;
            }
        }
        Ok(())
    }

    /// Looks into the inbox once, and settles what can be. Whether anything was handed over that was to be tried.
    async fn round<'r>(
        &'r self,
        inbox: &mut Inbox<'r>,
        bodies: &Bodies<'r>,
        notes: &mut Notes<'r>,
        seen: &mut Seen<'r>,
        fetched: &mut Fetched,
    ) -> Result<bool, AgentError> {
        let listed = inbox.list().await?;
        fetched.inboxes = fetched.inboxes.max(inbox.held.len());
        let chosen = notes.choose(&listed.iter().copied().collect(), self.context.now());
        let wanted: Vec<Digest> = listed
            .iter()
            .filter(|digest| chosen.contains(*digest))
            .take(MAX_OPENED)
            .copied()
            .collect();
        let mut delivery = Delivery { reader: self, bodies, notes, seen, fetched };
        let mut settled = BTreeSet::new();
        let holders = inbox.holders();
        let mut mails: Vec<Announced> = Vec::new();
        let mut has_more = false;
        for some in wanted.chunks(HANDED_OVER) {
            for (digest, notification) in inbox.hand_over(some).await {
                has_more = true;
                match self.open(&notification) {
                    Ok(headers) => mails.push((digest, headers)),
                    Err(error) if error == MailError::Nonsense || self.has_the_only_key() => {
                        delivery.fetched.junk += 1;
                        delivery.notes.settled(&digest);
                        settled.insert(digest);
                    }
                    Err(_) if delivery.notes.unopened(digest, self.context.now()) => {
                        delivery.fetched.unopened += 1;
                    }
                    Err(_) => {}
                }
            }
        }
        // What was missed before comes last, long mails behind short ones, and of those the oldest first.
        mails.sort_by_cached_key(|(digest, headers)| {
            (delivery.notes.has(digest), headers.parts.len(), headers.date)
        });
        let left = delivery.deliver_all(mails, settled, inbox, &holders).await?;
        (fetched.missing, fetched.unreached) = notes.counts(&listed);
        (fetched.unreached, fetched.is_cut_short) =
            (fetched.unreached.saturating_add(left), bodies.has_no_path());
        Ok(has_more)
    }

    /// Whether nobody can seal to this address but to this key: the address is the key's fingerprint. An authority may
    /// have certified any other for other keys.
    fn has_the_only_key(&self) -> bool {
        self.account.address().is_self_certifying()
    }

    fn open(&self, notification: &[u8]) -> Result<Headers, MailError> {
        open_notification(notification, self.account.sealing(), &self.certificate)
    }
}
