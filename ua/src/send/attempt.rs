//! One attempt at one mail: everything that does not wait for something else at once, and each step recorded in
//! the outbox as it is done.

use std::{sync::Arc, time::Duration};

use anon::{
    authorization::Deletion,
    certificate::{Address, AddressCertificate, NodeCertificate},
    mail::{DeleteSeed, Headers, MessageId, seal_notification},
    receipt::{Expected, ReceiptKind, Tally},
    request::{Append, DeletePermission, ObjectKind, Request, Store},
};
use futures::{StreamExt as _, future, stream};
use node::now;
use serde_bytes::ByteBuf;
use tokio::sync::Mutex;

use super::{Outcome, Sender, permissions::Permissions};
use crate::{
    certificates::{fetch_anonymously, fetch_directly, known},
    courier::{AnonymousCourier, Courier, DirectCourier, deposit},
    error::AgentError,
    event::{Event, Purpose},
    outbox::{OutgoingPart, OutgoingRecipient, Progress, State},
    session::random_delay,
};

/// Parts of one mail stored at once.
const PARTS_AT_ONCE: usize = 4;
/// Recipients of one mail served at once.
const RECIPIENTS_AT_ONCE: usize = 8;
/// The longest that channels are left to stand while a delay passes; nodes close silent ones after 120 s.
const MAX_IDLE: Duration = Duration::from_secs(60);
/// How long a replica must promise to keep what it took, seconds.
const KEEP: u64 = 7 * 86_400;

/// One attempt at one mail.
pub(super) struct Attempt<'a> {
    pub(super) sender: &'a Sender<'a>,
    pub(super) id: &'a str,
    pub(super) parts: &'a [OutgoingPart],
    pub(super) state: Mutex<State>,
}

/// A part that was stored in this attempt, and the way to where it is.
struct StoredPart {
    message_id: MessageId,
    receipts: usize,
    courier: Box<dyn Courier>,
    replicas: Vec<NodeCertificate>,
}

impl Attempt<'_> {
    pub(super) async fn run(&self) -> Result<Outcome, AgentError> {
        let (direct, recipients) = {
            let state = self.state.lock().await;
            (state.direct, state.recipients.clone())
        };
        let waiting: Vec<(usize, OutgoingRecipient)> = recipients
            .iter()
            .cloned()
            .enumerate()
            .filter(|(_, r)| matches!(r.progress, Progress::Waiting | Progress::Sealed(_)))
            .collect();
        // In a direct send the certificates are the delete permissions, so they come first.
        let permissions = if direct {
            self.certificates_as_permissions(&recipients).await
        } else {
            Ok(Permissions::OneTime(recipients.clone()))
        };
        let mut outcome = Outcome::default();
        let permissions = match permissions {
            Ok(permissions) => permissions,
            Err(error) => {
                outcome.error = Some(error);
                return Ok(outcome);
            }
        };
        if permissions.is_for_nobody() {
            for (index, _) in waiting {
                self.record(index, Progress::NoSuchRecipient).await?;
            }
            return Ok(outcome);
        }
        let bodies = self.store_parts(&permissions, direct);
        let prepared = stream::iter(waiting)
            .map(async |(index, r)| {
                let delay = if direct { Duration::ZERO } else { random_delay(self.sender.delay) };
                (index, delay, self.prepare_recipient(&r, direct, delay).await)
            })
            .buffer_unordered(RECIPIENTS_AT_ONCE)
            .collect::<Vec<_>>();
        let (bodies, prepared) = future::join(bodies, prepared).await;
        let mut bodies = match bodies {
            Ok(bodies) => bodies,
            Err(error) => {
                outcome.error = Some(error);
                return Ok(outcome);
            }
        };
        // Parts that an earlier attempt stored had their quorum then.
        let quorum = self.sender.entrance.network().quorum;
        outcome.body_receipts = bodies.iter().map(|part| part.receipts).min().unwrap_or(quorum);
        let appended = stream::iter(prepared)
            .map(async |(index, delay, prepared)| match prepared {
                Ok((certificate, courier)) => {
                    self.let_others_pass(delay).await;
                    let mut courier = match courier {
                        Some(courier) => courier,
                        None => self.courier_to_inbox(index, direct).await?,
                    };
                    self.append(index, &certificate, &mut *courier).await
                }
                Err(AgentError::NoSuchRecipient) => {
                    self.record(index, Progress::NoSuchRecipient).await?;
                    Err(AgentError::NoSuchRecipient)
                }
                Err(error) => Err(error),
            })
            .buffer_unordered(RECIPIENTS_AT_ONCE)
            .collect::<Vec<_>>()
            .await;
        let mut fewest = None;
        for result in appended {
            match result {
                Ok(receipts) => {
                    fewest = Some(fewest.map_or(receipts, |f: usize| f.min(receipts)));
                }
                Err(error @ AgentError::Vault(_)) => return Err(error),
                Err(AgentError::NoSuchRecipient) => {}
                Err(error) => outcome.error = Some(error),
            }
        }
        outcome.inbox_receipts = fewest.unwrap_or(0);
        if !direct {
            self.withdraw(&mut bodies).await;
        }
        Ok(outcome)
    }

    /// Waits a random time, so that whoever sees a body stored and a notification appended cannot match the
    /// two by time. The mail is in the outbox meanwhile.
    async fn let_others_pass(&self, delay: Duration) {
        if !delay.is_zero() {
            let seconds = delay.as_secs();
            self.sender.entrance.listener().on(&Event::Waiting { seconds });
            tokio::time::sleep(delay).await;
        }
    }

    async fn certificates_as_permissions(
        &self,
        recipients: &[OutgoingRecipient],
    ) -> Result<Permissions, AgentError> {
        let mut permissions = Vec::new();
        for recipient in recipients {
            match fetch_directly(&self.sender.entrance, &recipient.address).await {
                Ok(certificate) => {
                    let certificate = Box::new(certificate.to_unverified());
                    permissions.push(DeletePermission::Certificate(certificate));
                }
                Err(AgentError::NoSuchRecipient) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Permissions::Certificates(permissions))
    }

    async fn courier(
        &self,
        key: anon::position::Key,
        purpose: Purpose,
        direct: bool,
    ) -> Result<Box<dyn Courier>, AgentError> {
        let entrance = Arc::clone(&self.sender.entrance);
        if direct {
            return Ok(Box::new(DirectCourier::new(entrance, key, purpose)?));
        }
        let scheme = Arc::clone(&self.sender.scheme);
        Ok(Box::new(AnonymousCourier::open(scheme, entrance, key, purpose).await?))
    }

    /// Stores every part that has no quorum yet: the fewest receipts that one got.
    async fn store_parts(
        &self,
        permissions: &Permissions,
        direct: bool,
    ) -> Result<Vec<StoredPart>, AgentError> {
        let stored = self.state.lock().await.stored.clone();
        let results: Vec<Result<Option<StoredPart>, AgentError>> =
            stream::iter(self.parts.iter().enumerate())
                .map(async |(index, part)| {
                    if stored.get(index).copied().unwrap_or(false) {
                        return Ok(None);
                    }
                    self.store_part(index, part, permissions, direct).await.map(Some)
                })
                .buffer_unordered(PARTS_AT_ONCE)
                .collect()
                .await;
        results.into_iter().filter_map(Result::transpose).collect()
    }

    /// Gives up the permissions of recipients whom the network does not know: nobody else would ever delete
    /// what was stored for them.
    async fn withdraw(&self, stored: &mut [StoredPart]) {
        let recipients = self.state.lock().await.recipients.clone();
        let unknown = recipients.iter().filter(|r| r.progress == Progress::NoSuchRecipient);
        let network = &self.sender.entrance.network().id;
        for recipient in unknown {
            let seed = DeleteSeed::from_bytes(recipient.delete_seed);
            for part in &mut *stored {
                let (key, secret) = (part.courier.key(), seed.secret(&part.message_id));
                for node in &part.replicas {
                    let deletion = Deletion::sign(&secret, network, key, node.node(), now());
                    let request = Request::Delete(deletion);
                    // What is not reached goes when its retention ends.
                    let _ = part.courier.perform(std::slice::from_ref(node), &request).await;
                }
            }
        }
    }

    async fn store_part(
        &self,
        index: usize,
        part: &OutgoingPart,
        permissions: &Permissions,
        direct: bool,
    ) -> Result<StoredPart, AgentError> {
        let network = self.sender.entrance.network();
        let key = part.part.message_id.key(&network.name);
        let mut courier = self.courier(key, Purpose::Body, direct).await?;
        let store = Store {
            key,
            kind: ObjectKind::Body,
            object: part.object.clone(),
            deleters: permissions.for_part(&part.part.message_id),
            nonce: part.nonce,
        };
        let mut tally =
            self.tally(ReceiptKind::Stored, key, store.digest(), store.object.len(), part.nonce);
        let entrance = &self.sender.entrance;
        let request = Request::Store(store);
        let replicas =
            deposit(&mut *courier, &request, &mut tally, network.quorum, entrance).await?;
        let mut state = self.state.lock().await;
        if let Some(stored) = state.stored.get_mut(index) {
            *stored = true;
        }
        self.sender.outbox.update(self.id, &state)?;
        let (message_id, receipts) = (part.part.message_id, tally.len());
        Ok(StoredPart { message_id, receipts, courier, replicas })
    }

    fn tally(
        &self,
        kind: ReceiptKind,
        key: anon::position::Key,
        digest: [u8; 32],
        size: usize,
        nonce: [u8; 16],
    ) -> Tally {
        let network = self.sender.entrance.network().id;
        let size = u64::try_from(size).unwrap_or(u64::MAX);
        Tally::new(Expected {
            network,
            kind,
            key,
            digest,
            size,
            nonce,
            keep_until: now().after(KEEP),
        })
    }

    /// What a recipient needs before the bodies are stored: a certificate, and a way to the inboxes, unless the
    /// delay is so long that nodes would close it meanwhile.
    async fn prepare_recipient(
        &self,
        recipient: &OutgoingRecipient,
        direct: bool,
        delay: Duration,
    ) -> Result<(AddressCertificate, Option<Box<dyn Courier>>), AgentError> {
        let address = &recipient.address;
        let courier = async {
            if delay > MAX_IDLE {
                return Ok(None);
            }
            self.courier(address.inbox(), Purpose::Inbox, direct).await.map(Some)
        };
        let (certificate, courier) = future::join(self.certificate(address, direct), courier).await;
        Ok((certificate?, courier?))
    }

    async fn courier_to_inbox(
        &self,
        index: usize,
        direct: bool,
    ) -> Result<Box<dyn Courier>, AgentError> {
        let recipient = self.state.lock().await.recipients.get(index).cloned();
        let inbox = recipient.ok_or(AgentError::NoSuchRecipient)?.address.inbox();
        self.courier(inbox, Purpose::Inbox, direct).await
    }

    /// A recipient's certificate: the one in the vault while it is fresh, else the network's, by a channel of its
    /// own. Only an address that is its keys' fingerprint is never given other keys.
    async fn certificate(
        &self,
        address: &Address,
        direct: bool,
    ) -> Result<AddressCertificate, AgentError> {
        let entrance = &self.sender.entrance;
        if direct {
            return fetch_directly(entrance, address).await;
        }
        let vault = self.sender.outbox.vault();
        let lasts = address.is_self_certifying();
        if lasts && let Some(known) = known::read(vault, entrance.network(), address)? {
            return Ok(known);
        }
        let certificate = fetch_anonymously(&self.sender.scheme, entrance, address).await?;
        if lasts {
            known::add(vault, entrance.network(), &certificate);
        }
        Ok(certificate)
    }

    /// Appends one recipient's notification; it is sealed once and for all, on disk before it is sent.
    async fn append(
        &self,
        index: usize,
        certificate: &AddressCertificate,
        courier: &mut dyn Courier,
    ) -> Result<usize, AgentError> {
        let recipient = self.state.lock().await.recipients.get(index).cloned();
        let Some(recipient) = recipient else { return Ok(0) };
        let notification = match recipient.progress {
            Progress::Sealed(notification) => notification.into_vec(),
            _ => {
                let sealed = self.seal(&recipient, certificate).await?;
                self.record(index, Progress::Sealed(ByteBuf::from(sealed.clone()))).await?;
                sealed
            }
        };
        let append =
            Append { inbox: recipient.address.inbox(), notification, nonce: recipient.nonce };
        let size = append.notification.len();
        let mut tally =
            self.tally(ReceiptKind::Appended, append.inbox, append.digest(), size, recipient.nonce);
        let quorum = self.sender.entrance.network().quorum;
        let entrance = &self.sender.entrance;
        deposit(courier, &Request::AppendInbox(append), &mut tally, quorum, entrance).await?;
        self.record(index, Progress::Delivered).await?;
        Ok(tally.len())
    }

    async fn seal(
        &self,
        recipient: &OutgoingRecipient,
        certificate: &AddressCertificate,
    ) -> Result<Vec<u8>, AgentError> {
        let state = self.state.lock().await;
        // A direct mail's bodies name the recipient's certificate, an anonymous one's a one-time key.
        let delete = (!state.direct).then(|| DeleteSeed::from_bytes(recipient.delete_seed));
        let parts: Vec<_> = self.parts.iter().map(|p| p.part.duplicate()).collect();
        let to = recipient.address.clone();
        let headers = Headers::new(to, state.created, &state.subject, state.size, &parts, delete)
            .answered_at(state.reply_to.clone());
        let headers = if state.signed {
            let network = self.sender.entrance.network();
            let own = self.sender.account.certificate(network, now());
            let own = own.map_err(|_| AgentError::Mail(anon::mail::MailError::BadSignature))?;
            headers.signed(self.sender.account.signing(), &own)
        } else {
            headers
        };
        Ok(seal_notification(&headers, certificate, &mut rand::rng())?)
    }

    async fn record(&self, index: usize, progress: Progress) -> Result<(), AgentError> {
        let mut state = self.state.lock().await;
        if let Some(recipient) = state.recipients.get_mut(index) {
            recipient.progress = progress;
        }
        self.sender.outbox.update(self.id, &state)
    }
}
