//! From announced mails to mails in the Maildir, each exactly once, also across a crash between its steps.

use std::collections::{BTreeMap, BTreeSet};

use anon::{
    certificate::Address,
    mail::{Headers, MessageId},
};
use futures::{StreamExt as _, future::join_all, stream};

use super::{
    Announced, Delivered, Digest, Fetched, Reader,
    body::{Bodies, Mail, OpenPart},
    inbox::{Holders, Inbox},
    notes::Notes,
    seen::{Known, Seen},
};
use crate::{
    error::AgentError,
    event::Event,
    origin::{Origin, Origins},
};

/// Mails of one part fetched at once; longer ones come one by one.
const MAILS_AT_ONCE: usize = 8;
/// Mails whose bodies are deleted at once.
pub(super) const DELETED_AT_A_TIME: usize = 8;
/// Mails that are acknowledged at a time.
const ACKNOWLEDGED_AT_A_TIME: usize = 64;

/// What one round delivers.
pub(super) struct Delivery<'d, 'r> {
    pub(super) reader: &'r Reader<'r>,
    pub(super) bodies: &'d Bodies<'r>,
    pub(super) notes: &'d mut Notes<'r>,
    pub(super) seen: &'d mut Seen<'r>,
    pub(super) fetched: &'d mut Fetched,
}

/// What was settled in a round, and is still to be deleted and acknowledged.
struct Settled<'s, 'r> {
    bodies: &'s Bodies<'r>,
    inbox: &'s mut Inbox<'r>,
    holders: &'s Holders,
    digests: BTreeSet<Digest>,
    bodies_left: Vec<(Headers, Vec<OpenPart>)>,
    /// How many mails that were not delivered need a part.
    needed: BTreeMap<MessageId, usize>,
}

impl<'r> Delivery<'_, 'r> {
    /// Fetches, delivers, deletes and acknowledges, in this order for each mail. How many were not tried, because no
    /// more ways could be opened.
    pub(super) async fn deliver_all(
        &mut self,
        mails: Vec<Announced>,
        digests: BTreeSet<Digest>,
        inbox: &mut Inbox<'r>,
        holders: &Holders,
    ) -> Result<usize, AgentError> {
        let mut needed = BTreeMap::new();
        for part in mails.iter().flat_map(|(_, headers)| &headers.parts) {
            *needed.entry(part.message_id).or_default() += 1;
        }
        let bodies = self.bodies;
        let bodies_left = Vec::new();
        let mut settled = Settled { bodies, inbox, holders, digests, bodies_left, needed };
        let all = mails.len();
        let (mut tried, mut left) = (0, 0);
        let (known, new): (Vec<_>, Vec<_>) =
            mails.into_iter().partition(|(_, headers)| self.is_repeated(headers));
        for (digest, headers) in known {
            self.fetched.repeated += 1;
            tried += 1;
            self.settle(&mut settled, digest, headers, Vec::new()).await;
        }
        let (short, long): (Vec<_>, Vec<_>) =
            new.into_iter().partition(|(_, headers)| headers.parts.len() == 1);
        for (mails, at_once) in [(short, MAILS_AT_ONCE), (long, 1)] {
            let fetching = stream::iter(mails)
                .map(async |(digest, headers)| {
                    let mail = bodies.fetch_mail(&headers).await;
                    (digest, headers, mail)
                })
                .buffered(at_once);
            let mut fetching = std::pin::pin!(fetching);
            while let Some((digest, headers, mail)) = fetching.next().await {
                tried += 1;
                self.reader.context.tell(&Event::Tried { tried, all });
                if matches!(mail, Mail::Unreached) && bodies.has_no_path() {
                    left += 1;
                    continue;
                }
                self.take_in(&mut settled, digest, headers, mail).await?;
            }
        }
        settled.delete().await;
        settled.acknowledge().await;
        self.fetched.tried += tried.saturating_sub(left);
        Ok(left)
    }

    /// Deals with one mail that was fetched, or could not be.
    async fn take_in(
        &mut self,
        settled: &mut Settled<'_, 'r>,
        digest: Digest,
        headers: Headers,
        mail: Mail,
    ) -> Result<(), AgentError> {
        let clock = self.reader.context.now();
        let is_repeated = self.is_repeated(&headers);
        let ways = match mail {
            // Two notifications of one mail in one fetch, whatever came of the second.
            Mail::Whole(_, ways) if is_repeated => {
                self.fetched.repeated += 1;
                ways
            }
            Mail::Missing | Mail::Unreached if is_repeated => {
                self.fetched.repeated += 1;
                Vec::new()
            }
            Mail::Whole(body, ways) => {
                self.deliver(&headers, &body)?;
                ways
            }
            Mail::Nonsense => {
                self.fetched.junk += 1;
                Vec::new()
            }
            Mail::Missing => {
                if !self.notes.missing(digest, clock) {
                    return Ok(());
                }
                self.fetched.given_up += 1;
                Vec::new()
            }
            Mail::Unreached => {
                self.notes.unreached(digest, clock);
                return Ok(());
            }
        };
        self.settle(settled, digest, headers, ways).await;
        Ok(())
    }

    async fn settle(
        &mut self,
        settled: &mut Settled<'_, 'r>,
        digest: Digest,
        headers: Headers,
        ways: Vec<OpenPart>,
    ) {
        self.notes.settled(&digest);
        settled.add(digest, headers, ways).await;
    }

    /// Who verifiably signed a mail; an error if somebody says so who did not.
    fn signer(&self, headers: &Headers) -> Result<Option<Address>, anon::mail::MailError> {
        headers.verified_sender(&self.reader.context.network, self.reader.context.now())
    }

    fn is_repeated(&self, headers: &Headers) -> bool {
        let signer = self.signer(headers).ok().flatten();
        self.seen.has(&Known::of(headers, signer.as_ref()))
    }

    /// Puts a mail into the Maildir.
    fn deliver(&mut self, headers: &Headers, body: &[u8]) -> Result<(), AgentError> {
        let signer = self.signer(headers);
        if signer.is_err() {
            self.fetched.forged += 1;
        }
        let sender = signer.ok().flatten();
        let known = Known::of(headers, sender.as_ref());
        let origin = Origin { signer: sender.clone(), reply_to: headers.reply_to.clone() };
        // First, so that no mail lies in the Maildir whose signer is not known.
        Origins::new(self.reader.vault).note(body, &origin)?;
        if !self.seen.was_interrupted(&known) || !self.is_in_maildir(body)? {
            self.seen.begin(&known)?;
            self.reader.maildir.deliver(body)?;
        }
        self.seen.end(&known)?;
        self.fetched.delivered.push(Delivered {
            subject: headers.subject.clone(),
            sender,
            size: headers.size,
            reply_to: headers.reply_to.clone(),
        });
        Ok(())
    }

    fn is_in_maildir(&self, body: &[u8]) -> Result<bool, AgentError> {
        let (maildir, size) = (self.reader.maildir, u64::try_from(body.len()).unwrap_or(u64::MAX));
        for entry in maildir.list()?.iter().filter(|entry| entry.size == size) {
            if maildir.read(entry)? == body {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Settled<'_, '_> {
    async fn add(&mut self, digest: Digest, headers: Headers, ways: Vec<OpenPart>) {
        for part in &headers.parts {
            if let Some(needed) = self.needed.get_mut(&part.message_id) {
                *needed = needed.saturating_sub(1);
            }
        }
        self.digests.insert(digest);
        self.bodies_left.push((headers, ways));
        if self.bodies_left.len() >= DELETED_AT_A_TIME {
            self.delete().await;
        }
        if self.digests.len() >= ACKNOWLEDGED_AT_A_TIME {
            self.delete().await;
            self.acknowledge().await;
        }
    }

    async fn delete(&mut self) {
        let needed = self.needed.iter().filter(|(_, needed)| **needed > 0).map(|(id, _)| *id);
        let needed: BTreeSet<MessageId> = needed.collect();
        let left = std::mem::take(&mut self.bodies_left);
        let deleting = left.into_iter().map(async |(headers, ways)| {
            self.bodies.delete_bodies(&headers, ways, &needed).await;
        });
        join_all(deleting).await;
    }

    async fn acknowledge(&mut self) {
        let digests = std::mem::take(&mut self.digests);
        if !digests.is_empty() {
            self.inbox.acknowledge(&digests, self.holders).await;
        }
    }
}
