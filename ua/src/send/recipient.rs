//! One recipient of one attempt: the certificate, the delay, the notification.

use std::time::Duration;

use anon::{
    certificate::AddressCertificate,
    mail::{DeleteSeed, Headers, MailError, seal_notification},
    request::{Append, Request},
};
use futures::future;
use serde_bytes::ByteBuf;

use super::attempt::{Attempt, lower};
use crate::{
    certificates::{fetch_anonymously, known},
    error::AgentError,
    event::{Event, Purpose},
    outbox::{OutgoingRecipient, Progress},
    replica_client::ReplicaClient,
};

/// The longest that channels are left to stand while a delay passes; nodes close silent ones after 120 s.
const MAX_IDLE: Duration = Duration::from_secs(60);

/// What a notification needs: the recipient's certificate, unless it is sealed already, and perhaps a way to the inboxes.
type Prepared = (Option<AddressCertificate>, Option<Box<dyn ReplicaClient>>);

impl Attempt<'_> {
    /// Serves one recipient: prepares what can be prepared, waits for the bodies, so that whoever reads a notification
    /// finds them, and for the random delay, and appends the notification. If it is `hurried` the way to the inboxes is
    /// made at once; else not before the recipient is known to exist.
    pub(super) async fn serve(&self, index: usize, hurried: bool) -> Result<(), AgentError> {
        let delay = self.sample_delay();
        let Ok(place) = self.places.acquire().await else { return Ok(()) };
        let (certificate, client) = self.prepare(index, hurried && delay <= MAX_IDLE).await?;
        drop(place);
        // That they could not be stored is noted already.
        let Some(stored) = self.bodies().await else { return Ok(()) };
        self.let_others_pass(delay.saturating_sub(stored.elapsed())).await;
        let Ok(_place) = self.places.acquire().await else { return Ok(()) };
        self.announce(index, certificate, client).await
    }

    /// Waits a random time, so that whoever sees a body stored and a notification appended cannot match the
    /// two by time. The mail is in the outbox meanwhile.
    async fn let_others_pass(&self, delay: Duration) {
        if !delay.is_zero() {
            let seconds = delay.as_secs();
            self.sender.context().tell(&Event::Waiting { seconds });
            tokio::time::sleep(delay).await;
        }
    }

    async fn prepare(&self, index: usize, hurried: bool) -> Result<Prepared, AgentError> {
        let recipient = self.recipient(index).await?;
        let client = async {
            if !hurried {
                return Ok(None);
            }
            self.replica_client(recipient.address.inbox(), Purpose::Inbox).await.map(Some)
        };
        let certificate = self.certificate(index, &recipient);
        let (certificate, client) = future::join(certificate, client).await;
        Ok((certificate?, client?))
    }

    /// A recipient's certificate, where the notification is still to be sealed: the one in the vault while it is fresh,
    /// else the network's, by a channel of its own. Only an address that is its keys' fingerprint is never given other
    /// keys.
    async fn certificate(
        &self,
        index: usize,
        recipient: &OutgoingRecipient,
    ) -> Result<Option<AddressCertificate>, AgentError> {
        if matches!(recipient.progress, Progress::Sealed(_)) {
            return Ok(None);
        }
        if let Some(found) = self.found(index) {
            return Ok(Some(found));
        }
        let (vault, context) = (self.sender.outbox.vault(), self.sender.context());
        let address = &recipient.address;
        let lasts = address.is_self_certifying();
        if lasts && let Some(known) = known::read(vault, context, address)? {
            return Ok(Some(known));
        }
        let certificate = fetch_anonymously(&self.sender.scheme, context, address).await?;
        if lasts {
            known::add(vault, context, &certificate);
        }
        Ok(Some(certificate))
    }

    /// Appends one recipient's notification.
    async fn announce(
        &self,
        index: usize,
        certificate: Option<AddressCertificate>,
        client: Option<Box<dyn ReplicaClient>>,
    ) -> Result<(), AgentError> {
        let recipient = self.recipient(index).await?;
        let inbox = recipient.address.inbox();
        let mut client = match client {
            Some(client) => client,
            None => self.replica_client(inbox, Purpose::Inbox).await?,
        };
        let notification = self.notification(index, &recipient, certificate).await?;
        let nonce = self.nonce(&recipient.nonce);
        let append = Append { inbox, notification, nonce };
        let receipts = self.deposit(&mut *client, &Request::AppendInbox(append)).await?;
        self.note(|outcome| lower(&mut outcome.inbox_receipts, receipts));
        self.record(index, Progress::Delivered).await
    }

    /// One recipient's notification; it is sealed once and for all, on disk before it is sent.
    async fn notification(
        &self,
        index: usize,
        recipient: &OutgoingRecipient,
        certificate: Option<AddressCertificate>,
    ) -> Result<Vec<u8>, AgentError> {
        if let Progress::Sealed(notification) = &recipient.progress {
            return Ok(notification.to_vec());
        }
        let certificate = certificate.ok_or(AgentError::NotFoundOut)?;
        let sealed = self.seal(index, recipient, &certificate).await?;
        self.record(index, Progress::Sealed(ByteBuf::from(sealed.clone()))).await?;
        Ok(sealed)
    }

    async fn seal(
        &self,
        index: usize,
        recipient: &OutgoingRecipient,
        certificate: &AddressCertificate,
    ) -> Result<Vec<u8>, AgentError> {
        let parts: Vec<_> = self.parts.iter().map(|p| p.part.duplicate()).collect();
        let to = recipient.address.clone();
        let (headers, is_signed) = self
            .with_state(|state| {
                let (created, size) = (state.created, state.size);
                // Bodies name either the key of the recipient's certificate or a one-time key.
                let is_one_time = state.delete_key(index).is_none();
                let delete = is_one_time.then(|| DeleteSeed::from_bytes(recipient.delete_seed));
                let headers = Headers::new(to, created, &state.subject, size, &parts, delete);
                (headers.answered_at(state.reply_to.clone()), state.signed)
            })
            .await;
        let headers = if is_signed {
            let (account, context) = (self.sender.account, self.sender.context());
            let own = account.certificate(&context.network, context.now());
            let own = own.map_err(|_| AgentError::Mail(MailError::BadSignature))?;
            headers.signed(account.signing(), &own)
        } else {
            headers
        };
        Ok(seal_notification(&headers, certificate, &mut rand::rng())?)
    }
}

#[cfg(test)]
mod tests {
    use anon::mail::open_notification;
    use net::now;

    use super::*;
    use crate::{
        account::Account,
        outbox::State,
        send::{
            hand_in,
            tests::{Stage, mail},
        },
    };

    fn handed_in(stage: &Stage, bob: &Account, signed: bool) -> (String, State) {
        let recipients = [bob.address().clone()];
        let sender = stage.sender();
        let mail = crate::send::Mail { signed, ..mail(&recipients) };
        let id = hand_in(&sender.outbox, &mail, now()).unwrap();
        let state = sender.outbox.state(&id).unwrap();
        (id, state)
    }

    #[tokio::test]
    async fn a_notification_is_sealed_once_and_tells_the_recipient_all_of_the_mail() {
        for signed in [false, true] {
            let stage = Stage::new();
            let (sender, bob) = (stage.sender(), stage.stranger());
            let certificate = bob.certificate(stage.network(), now()).unwrap();
            let (id, state) = handed_in(&stage, &bob, signed);
            let parts = sender.outbox.parts(&id).unwrap();
            let (created, seed) = (state.created, state.recipients[0].delete_seed);
            let attempt = Attempt::new(&sender, &id, &parts, state);
            let recipient = attempt.recipient(0).await.unwrap();
            let sealed =
                attempt.notification(0, &recipient, Some(certificate.clone())).await.unwrap();

            let headers = open_notification(&sealed, bob.sealing(), &certificate).unwrap();
            assert_eq!((&headers.to, headers.date, headers.size), (bob.address(), created, 16));
            assert_eq!(headers.subject, "a subject");
            let content = headers.parts[0].open(&parts[0].object).unwrap();
            assert_eq!((headers.parts.len(), &*content), (1, &b"the genuine mail"[..]));
            let from = headers.verified_sender(stage.network(), now()).unwrap();
            assert_eq!(from, signed.then(|| stage.account.address().clone()));
            let [expected, found] = [
                Some(DeleteSeed::from_bytes(seed).secret(&headers.parts[0].message_id)),
                headers.delete_secret(&headers.parts[0]),
            ]
            .map(|secret| secret.map(|secret| anon::keys::SigningSecret::verify_key(&secret)));
            assert_eq!(found, expected);

            // It is on disk, and the same ever after, whatever certificate is found then.
            let recipient = sender.outbox.state(&id).unwrap().recipients.remove(0);
            assert_eq!(recipient.progress, Progress::Sealed(ByteBuf::from(sealed.clone())));
            assert_eq!(attempt.notification(0, &recipient, None).await.unwrap(), sealed);
        }
    }

    #[tokio::test]
    async fn a_way_to_the_inboxes_is_made_ahead_only_if_there_is_a_hurry() {
        let stage = Stage::new();
        let (sender, bob) = (stage.sender(), stage.stranger());
        let (id, mut state) = handed_in(&stage, &bob, false);
        // Nobody is asked for the certificate.
        state.recipients[0].progress = Progress::Sealed(ByteBuf::from(vec![1]));
        let attempt = Attempt::new(&sender, &id, &[], state);
        let (certificate, client) = attempt.prepare(0, false).await.unwrap();
        assert!(certificate.is_none() && client.is_none());
        assert_eq!(stage.scheme.asked(), 0);
        assert!(attempt.prepare(0, true).await.is_err(), "no channel can be had");
        assert!(stage.scheme.asked() > 0);
    }
}
