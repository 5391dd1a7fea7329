//! Sending: a mail is handed in, and delivered as often as it takes.

use std::{sync::Arc, time::Duration};

use super::Agent;
use crate::{
    account::Account,
    error::AgentError,
    outbox::Claim,
    scheme::Scheme,
    send::{Mail, Outcome, Sender, hand_in},
    session::{Choices, SchemeChoice},
};

impl Agent {
    /// Hands a mail in, durably, and tries to deliver it: its id in the outbox, and what came of it.
    ///
    /// # Errors
    /// [`AgentError::Mail`] if it is too long, or as [`Self::retry`]; once it is handed in it waits.
    pub async fn send(
        &self,
        mail: &Mail<'_>,
        choices: &Choices,
    ) -> Result<(String, Outcome), AgentError> {
        let id = self.hand_in(mail)?;
        let outcome = self.retry(&self.claim(&id)?, choices).await?;
        Ok((id, outcome))
    }

    /// Puts a mail into the outbox, durably: its id. Nothing is sent yet.
    ///
    /// # Errors
    /// [`AgentError::Mail`] if it is too long; [`AgentError::Vault`].
    pub fn hand_in(&self, mail: &Mail<'_>) -> Result<String, AgentError> {
        hand_in(&self.outbox(), mail, self.context.now())
    }

    /// Takes a mail of the outbox, so that nobody else sends it meanwhile.
    ///
    /// # Errors
    /// [`AgentError::BeingSent`] if another command does; [`AgentError::Vault`].
    pub fn claim(&self, id: &str) -> Result<Claim, AgentError> {
        self.outbox().claim(id)?.ok_or(AgentError::BeingSent)
    }

    /// Tries to deliver a mail that waits, in the way in which it was handed in.
    ///
    /// # Errors
    /// As [`Self::deliver`].
    pub async fn retry(&self, claim: &Claim, choices: &Choices) -> Result<Outcome, AgentError> {
        // Sent directly, nothing is to be chosen.
        let is_direct = self.outbox().state(claim.id())?.direct;
        let choice = if is_direct { SchemeChoice::Paper } else { choices.scheme };
        self.deliver(claim, choices.delay, self.scheme(choice)).await
    }

    /// Tries to deliver a mail by the scheme that `prepared` comes to. What is delivered in full leaves the outbox; what
    /// kept the agent from trying is noted there.
    ///
    /// # Errors
    /// [`AgentError`] if the scheme or the outbox itself fails; failures on the way are in the [`Outcome`].
    pub async fn deliver(
        &self,
        claim: &Claim,
        delay: Duration,
        prepared: impl Future<Output = Result<Arc<dyn Scheme>, AgentError>>,
    ) -> Result<Outcome, AgentError> {
        let vault = self.profile.vault();
        let attempt = async {
            let account = Account::read(vault)?;
            let (scheme, outbox) = (prepared.await?, self.outbox());
            let (bootstrap, evidence) = (&self.bootstrap, &self.evidence);
            let sender = Sender { bootstrap, evidence, scheme, outbox, account: &account, delay };
            sender.deliver(claim).await
        };
        let outcome = self.context.unless_lost(attempt).await;
        if let Err(error) = &outcome {
            let counts = error.exit_code() != 69;
            if let Err(error) = self.outbox().failed(claim, &error.to_string(), counts) {
                vault.notice(format!("{}: {error}", claim.id()));
            }
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use net::Clock;

    use super::*;
    use crate::agent::tests::agent;

    #[tokio::test]
    async fn what_keeps_a_mail_from_being_tried_is_noted_and_counts_if_somebody_was_reached() {
        let (_directory, agent) = agent(Clock::default());
        let recipients = [Account::read(agent.profile().vault()).unwrap().address().clone()];
        let (bytes, subject) = (b"the mail", "a subject");
        let (signed, direct, reply_to) = (false, false, None);
        let mail = Mail { bytes, subject, recipients: &recipients, signed, direct, reply_to };
        let id = agent.hand_in(&mail).unwrap();
        let mut expected = 0;
        for (error, counts) in [(AgentError::NoGuard, 0), (AgentError::RosterTooSmall, 1)] {
            let (told, claim) = (error.to_string(), agent.claim(&id).unwrap());
            assert!(matches!(agent.claim(&id), Err(AgentError::BeingSent)));
            let prepared = std::future::ready(Err(error));
            assert!(agent.deliver(&claim, Duration::ZERO, prepared).await.is_err());
            let state = agent.outbox().state(&id).unwrap();
            expected += counts;
            assert_eq!((state.attempts, state.last_error), (expected, told));
        }
        let (claim, guarded) = (agent.claim(&id).unwrap(), SchemeChoice::Guarded { middle: 1 });
        let retried = agent.retry(&claim, &Choices::hurried(guarded)).await;
        assert!(matches!(retried, Err(AgentError::NoNode)), "{retried:?}");
        assert_eq!(agent.outbox().mail(&id).unwrap(), bytes);
        let sent = agent.send(&mail, &Choices::hurried(guarded)).await;
        assert!(matches!(sent, Err(AgentError::NoNode)), "{sent:?}");
        assert_eq!(agent.outbox().ids().unwrap().len(), 2, "what cannot be sent yet waits");
    }
}
