//! Sending a mail (paper, 3.1 and 4.2): bodies to their k nodes, then a notification to each recipient's k
//! inboxes, picking up wherever an earlier attempt stopped.
//!
//! Everything that does not wait for something else runs at once: the channels for the bodies, for the
//! certificates and for the inboxes. Notifications wait for the bodies, so that whoever reads one finds it.

mod attempt;
mod permissions;
mod recipient;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use anon::{certificate::Address, mail::seal_body, request::MAX_DELETERS, time::Time};

use crate::{
    account::Account,
    bootstrap::Bootstrap,
    context::Context,
    error::AgentError,
    evidence::EvidenceLog,
    outbox::{Claim, Outbox, OutgoingPart, OutgoingRecipient, Progress, State},
    scheme::Scheme,
};
use attempt::Attempt;

/// A mail to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Mail<'a> {
    /// The message, byte for byte.
    pub bytes: &'a [u8],
    /// Its subject.
    pub subject: &'a str,
    /// Whom it goes to; at most 64.
    pub recipients: &'a [Address],
    /// Whether the recipients learn who sent it.
    pub signed: bool,
    /// Whether it travels directly (paper, 3) instead of anonymously (paper, 4).
    pub direct: bool,
    /// The address at which answers reach the sender; `None`: an anonymous sender gets none.
    pub reply_to: Option<&'a Address>,
}

/// What came of an attempt.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Recipients whose quorum of receipts is in.
    pub delivered: Vec<Address>,
    /// Recipients whom the network does not know now; the mail waits for them, too.
    pub unknown: Vec<Address>,
    /// Recipients for whom the mail waits in the outbox.
    pub waiting: Vec<Address>,
    /// Valid receipts for the bodies, the fewest of all parts.
    pub body_receipts: usize,
    /// Valid receipts of the inboxes, the fewest of all recipients served.
    pub inbox_receipts: usize,
    /// Why some are waiting.
    pub error: Option<AgentError>,
}

/// Sends mails of one account, or of nobody.
pub(crate) struct Sender<'a> {
    /// For whoever goes to the nodes itself.
    pub(crate) bootstrap: &'a Arc<Bootstrap>,
    /// What nodes on the way do that they should not.
    pub(crate) evidence: &'a Arc<EvidenceLog>,
    /// How channels are chosen.
    pub(crate) scheme: Arc<dyn Scheme>,
    /// Where mails wait.
    pub(crate) outbox: Outbox<'a>,
    /// Who signs, if a mail is signed.
    pub(crate) account: &'a Account,
    /// The mean delay between a mail's body and its notifications; zero: none.
    pub(crate) delay: Duration,
}

/// Seals a mail and puts it into the outbox, durably: its id. Nothing is sent yet.
///
/// # Errors
/// [`AgentError::Mail`] if it is too long; [`AgentError::Vault`].
pub fn hand_in(outbox: &Outbox<'_>, mail: &Mail<'_>, now: Time) -> Result<String, AgentError> {
    if mail.recipients.len() > MAX_DELETERS {
        return Err(AgentError::Mail(anon::mail::MailError::HeadersTooLong));
    }
    let sealed = seal_body(mail.bytes, &mut rand::rng())?;
    let parts: Vec<OutgoingPart> = sealed
        .into_iter()
        .map(|s| OutgoingPart { part: s.part, object: s.object, nonce: rand::random() })
        .collect();
    let recipient = |address: &Address| OutgoingRecipient {
        address: address.clone(),
        delete_seed: rand::random(),
        nonce: rand::random(),
        progress: Progress::Waiting,
    };
    let state = State {
        created: now,
        subject: mail.subject.to_owned(),
        size: u64::try_from(mail.bytes.len()).unwrap_or(u64::MAX),
        signed: mail.signed,
        direct: mail.direct,
        reply_to: mail.reply_to.cloned(),
        stored: vec![None; parts.len()],
        recipients: mail.recipients.iter().map(recipient).collect(),
        delete_keys: Vec::new(),
        attempts: 0,
        last_error: String::new(),
        evidence: Vec::new(),
    };
    outbox.add(&parts, &state)
}

impl Sender<'_> {
    fn context(&self) -> &Context {
        self.evidence.context()
    }

    /// Tries to deliver a mail that the caller has claimed; what is delivered in full leaves the outbox.
    ///
    /// # Errors
    /// [`AgentError`] if the outbox itself fails; failures on the way are in the [`Outcome`].
    pub(crate) async fn deliver(&self, claim: &Claim) -> Result<Outcome, AgentError> {
        let id = claim.id();
        let (state, parts) = (self.outbox.state(id)?, self.outbox.parts(id)?);
        let attempt = Attempt::new(self, id, &parts, state);
        let known = self.evidence.all().len();
        let (mut outcome, mut state) = attempt.run().await?;
        state.note(self.evidence.all().into_iter().skip(known));
        for recipient in &state.recipients {
            let list = match recipient.progress {
                Progress::Delivered => &mut outcome.delivered,
                Progress::NoSuchRecipient => &mut outcome.unknown,
                Progress::Waiting | Progress::Sealed(_) => &mut outcome.waiting,
            };
            list.push(recipient.address.clone());
        }
        if state.is_done() {
            self.outbox.remove(claim)?;
            return Ok(outcome);
        }
        let unheard = outcome.error.as_ref().is_some_and(AgentError::has_reached_nobody);
        state.attempts = state.attempts.saturating_add(u32::from(!unheard));
        state.last_error = match (&outcome.error, outcome.unknown.is_empty()) {
            (Some(error), _) => error.to_string(),
            (None, false) => AgentError::NoSuchRecipient.to_string(),
            (None, true) => String::new(),
        };
        self.outbox.update(id, &state)?;
        Ok(outcome)
    }
}
