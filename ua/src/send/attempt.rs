//! One attempt at one mail: everything that does not wait for something else at once, each recipient by itself, and each
//! step recorded in the outbox as it is done. What becomes of one recipient changes nothing for another.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anon::{
    certificate::AddressCertificate,
    position::Key,
    receipt::{Expected, Tally},
    request::{ObjectKind, Request, Store},
};
use futures::{StreamExt as _, future, stream};
use sha2::{Digest as _, Sha256};
use tokio::sync::{Mutex, OnceCell, Semaphore};

use super::{Outcome, Sender, permissions::Permissions};
use crate::{
    certificates::{fetch_directly, known},
    error::AgentError,
    event::Purpose,
    outbox::{OutgoingPart, OutgoingRecipient, Progress, State},
    replica_client::{ReplicaClient, client, deposit},
    session::random_delay,
};

/// Parts of one mail stored at once.
const PARTS_AT_ONCE: usize = 4;
/// Recipients of one mail served at once; a delay that passes takes no place.
const RECIPIENTS_AT_ONCE: usize = 8;
/// How long a replica must promise to keep what it took, seconds.
const KEEP: u64 = 7 * 86_400;

/// One attempt at one mail.
pub(super) struct Attempt<'a> {
    pub(super) sender: &'a Sender<'a>,
    id: &'a str,
    pub(super) parts: &'a [OutgoingPart],
    pub(super) direct: bool,
    state: Mutex<State>,
    permissions: Permissions,
    pub(super) places: Semaphore,
    /// What makes this attempt's nonces others than those of the last one.
    salt: [u8; 32],
    /// The bodies, once they are all stored, since then; `None` if they could not be.
    bodies: OnceCell<Option<Instant>>,
    /// Certificates that were found in this attempt, so that nobody is asked for them again.
    found: parking_lot::Mutex<BTreeMap<usize, AddressCertificate>>,
    outcome: parking_lot::Mutex<Outcome>,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(
        sender: &'a Sender<'a>,
        id: &'a str,
        parts: &'a [OutgoingPart],
        state: State,
    ) -> Self {
        Self {
            sender,
            id,
            parts,
            direct: state.direct,
            permissions: Permissions::of(&state, |_| None),
            state: Mutex::new(state),
            places: Semaphore::new(RECIPIENTS_AT_ONCE),
            salt: rand::random(),
            bodies: OnceCell::new(),
            found: parking_lot::Mutex::default(),
            outcome: parking_lot::Mutex::default(),
        }
    }

    /// Makes the attempt: what came of it, and how far the mail is.
    pub(super) async fn run(mut self) -> Result<(Outcome, State), AgentError> {
        if self.direct {
            self.permissions = self.certificates_as_permissions().await?;
        }
        let turns = self.turns().await?;
        let is_alone = turns.len() == 1;
        // For those alone who were not found before nothing is stored until one of them is there.
        let is_doubtful = turns.iter().all(|(turn, _)| *turn == Progress::NoSuchRecipient.turn());
        let bodies = async {
            if !is_doubtful {
                self.bodies().await;
            }
        };
        let served = turns.iter().map(async |(_, index)| {
            let served = self.serve(*index, is_alone && !is_doubtful).await;
            if served.as_ref().is_err_and(AgentError::is_everybodys) {
                // The others would wait for nothing.
                self.places.close();
            }
            served
        });
        let ((), served) = future::join(bodies, future::join_all(served)).await;
        for (served, (_, index)) in served.into_iter().zip(&turns) {
            match served {
                Ok(()) => {}
                Err(AgentError::NoSuchRecipient) => {
                    self.record(*index, Progress::NoSuchRecipient).await?;
                }
                Err(error @ AgentError::Vault(_)) => return Err(error),
                Err(error) => self.note(|outcome| outcome.error = Some(error)),
            }
        }
        let mut outcome = self.outcome.into_inner();
        if outcome.body_receipts == 0 && matches!(self.bodies.get(), Some(Some(_))) {
            // Parts that an earlier attempt stored had their quorum then.
            outcome.body_receipts = self.sender.context().network.quorum;
        }
        Ok((outcome, self.state.into_inner()))
    }

    /// The recipients who wait, in the order of their turns: whose notification is sealed, whose certificate is at hand,
    /// who was not asked for yet, and last who was not found before. In a direct send only those whose certificate is
    /// among the delete permissions.
    async fn turns(&self) -> Result<Vec<(u8, usize)>, AgentError> {
        let recipients = self.state.lock().await.recipients.clone();
        let (vault, context) = (self.sender.outbox.vault(), self.sender.context());
        let mut turns = Vec::new();
        for (index, recipient) in recipients.iter().enumerate() {
            let is_found = self.found(index).is_some();
            let is_sealed = matches!(recipient.progress, Progress::Sealed(_));
            if recipient.progress == Progress::Delivered || (self.direct && !is_found && !is_sealed)
            {
                continue;
            }
            let lasts = recipient.address.is_self_certifying();
            let is_at_hand =
                is_found || (lasts && known::read(vault, context, &recipient.address)?.is_some());
            turns.push((recipient.progress.turn(), !is_at_hand, index));
        }
        turns.sort_unstable();
        Ok(turns.into_iter().map(|(turn, _, index)| (turn, index)).collect())
    }

    /// In a direct send the certificates are the delete permissions, so they come first, each by itself. The first attempt
    /// that finds any decides for all: who has none yet is to delete by one-time keys.
    async fn certificates_as_permissions(&self) -> Result<Permissions, AgentError> {
        let recipients = self.state.lock().await.recipients.clone();
        let bootstrap = self.sender.bootstrap;
        let fetched: Vec<_> = stream::iter(recipients.iter().enumerate())
            .map(async |(index, r)| (index, fetch_directly(bootstrap, &r.address).await))
            .buffered(RECIPIENTS_AT_ONCE)
            .collect()
            .await;
        for ((index, fetched), recipient) in fetched.into_iter().zip(&recipients) {
            let waits = matches!(recipient.progress, Progress::Waiting | Progress::NoSuchRecipient);
            match fetched {
                Ok(certificate) => self.has_found(index, certificate),
                Err(AgentError::NoSuchRecipient) if waits => {
                    self.record(index, Progress::NoSuchRecipient).await?;
                }
                Err(error) if waits => self.note(|outcome| outcome.error = Some(error)),
                Err(_) => {}
            }
        }
        let mut state = self.state.lock().await;
        let key = |index| Some(self.found(index)?.claims().verify_key);
        let keys: Vec<_> = (0..recipients.len()).map(key).collect();
        if state.delete_keys.is_empty() && keys.iter().any(Option::is_some) {
            state.delete_keys = keys;
            self.sender.outbox.update(self.id, &state)?;
        }
        Ok(Permissions::of(&state, |index| self.found(index)))
    }

    /// When all bodies were stored; whoever needs that first has it done. `None` if it failed.
    pub(super) async fn bodies(&self) -> Option<Instant> {
        *self.bodies.get_or_init(|| async { self.store_parts().await.then(Instant::now) }).await
    }

    /// Stores every part that has no quorum: whether all have.
    async fn store_parts(&self) -> bool {
        let missing: Vec<usize> = {
            let (state, current) = (self.state.lock().await, self.sender.context().now());
            (0..self.parts.len()).filter(|part| !state.is_stored(*part, current)).collect()
        };
        let stored: Vec<Result<(), AgentError>> = stream::iter(missing)
            .map(|index| self.store_part(index))
            .buffer_unordered(PARTS_AT_ONCE)
            .collect()
            .await;
        let mut all = true;
        for error in stored.into_iter().filter_map(Result::err) {
            all = false;
            self.note(|outcome| outcome.error = Some(error));
        }
        all
    }

    async fn store_part(&self, index: usize) -> Result<(), AgentError> {
        let Some(part) = self.parts.get(index) else { return Ok(()) };
        let name = &self.sender.context().network.name;
        let key = part.part.message_id.key(name);
        let mut client = self.replica_client(key, Purpose::Body).await?;
        let request = Request::Store(Store {
            key,
            kind: ObjectKind::Body,
            object: part.object.clone(),
            deleters: self.permissions.for_part(&part.part.message_id),
            nonce: self.nonce(&part.nonce),
        });
        let receipts = self.deposit(&mut *client, &request).await?;
        self.note(|outcome| lower(&mut outcome.body_receipts, receipts));
        let mut state = self.state.lock().await;
        if let Some(stored) = state.stored.get_mut(index) {
            *stored = Some(self.sender.context().now());
        }
        self.sender.outbox.update(self.id, &state)
    }

    pub(super) async fn replica_client(
        &self,
        key: Key,
        purpose: Purpose,
    ) -> Result<Box<dyn ReplicaClient>, AgentError> {
        let scheme = (!self.direct).then(|| Arc::clone(&self.sender.scheme));
        let Sender { bootstrap, evidence, .. } = self.sender;
        client(scheme, bootstrap, evidence, key, purpose).await
    }

    /// Has a request performed at the replicas until a quorum has given receipts: how many did.
    pub(super) async fn deposit(
        &self,
        client: &mut dyn ReplicaClient,
        request: &Request,
    ) -> Result<usize, AgentError> {
        let Sender { bootstrap, evidence, .. } = self.sender;
        let context = self.sender.context();
        let expected = Expected::of(request, context.network.id, context.now().after(KEEP));
        let mut tally = Tally::new(expected.ok_or(AgentError::BadAnswer)?);
        deposit(client, request, &mut tally, bootstrap, evidence).await?;
        Ok(tally.len())
    }

    /// A nonce for receipts of this attempt: those of an earlier one are worth nothing in it.
    pub(super) fn nonce(&self, of: &[u8; 16]) -> [u8; 16] {
        let digest = Sha256::new().chain_update(self.salt).chain_update(of).finalize();
        digest.first_chunk().copied().unwrap_or_default()
    }

    /// Notes something in what comes of the attempt.
    pub(super) fn note(&self, change: impl FnOnce(&mut Outcome)) {
        change(&mut self.outcome.lock());
    }

    /// A certificate that was found in this attempt.
    pub(super) fn found(&self, index: usize) -> Option<AddressCertificate> {
        self.found.lock().get(&index).cloned()
    }

    fn has_found(&self, index: usize, certificate: AddressCertificate) {
        self.found.lock().insert(index, certificate);
    }

    /// How long a recipient's notification waits once the bodies are stored.
    pub(super) fn sample_delay(&self) -> Duration {
        if self.direct { Duration::ZERO } else { random_delay(self.sender.delay) }
    }

    /// One recipient, as it is now.
    pub(super) async fn recipient(&self, index: usize) -> Result<OutgoingRecipient, AgentError> {
        let recipient = self.state.lock().await.recipients.get(index).cloned();
        recipient.ok_or(AgentError::NoSuchRecipient)
    }

    /// Looks at how far the mail is.
    pub(super) async fn with_state<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&*self.state.lock().await)
    }

    /// Records how far one recipient is.
    pub(super) async fn record(&self, index: usize, progress: Progress) -> Result<(), AgentError> {
        let mut state = self.state.lock().await;
        if let Some(recipient) = state.recipients.get_mut(index) {
            recipient.progress = progress;
        }
        self.sender.outbox.update(self.id, &state)
    }
}

/// The fewest receipts so far; zero: there were none.
pub(super) fn lower(fewest: &mut usize, receipts: usize) {
    *fewest = if *fewest == 0 { receipts } else { receipts.min(*fewest) };
}

#[cfg(test)]
mod tests {
    use anon::certificate::Address;
    use net::now;
    use serde_bytes::ByteBuf;

    use super::*;
    use crate::{
        replica_client::made_up::{KEY, MadeUp},
        send::{
            hand_in,
            tests::{Stage, mail},
        },
    };

    /// A mail to five: one who has it, one who was not found, one who waits, one whose notification is sealed, and one
    /// who waits as well.
    fn state(stage: &Stage, direct: bool) -> (String, State) {
        let recipients: Vec<Address> = (0..5).map(|_| stage.stranger().address().clone()).collect();
        let sender = stage.sender();
        let id = hand_in(&sender.outbox, &mail(&recipients), now()).unwrap();
        let mut state = sender.outbox.state(&id).unwrap();
        let sealed = Progress::Sealed(ByteBuf::from(vec![1]));
        let progress = [
            Progress::Delivered,
            Progress::NoSuchRecipient,
            Progress::Waiting,
            sealed,
            Progress::Waiting,
        ];
        for (recipient, progress) in state.recipients.iter_mut().zip(progress) {
            recipient.progress = progress;
        }
        state.direct = direct;
        (id, state)
    }

    #[tokio::test]
    async fn recipients_have_their_turns_as_far_as_they_are_and_who_is_known_comes_first() {
        let stage = Stage::new();
        let (id, state) = state(&stage, false);
        let sender = stage.sender();
        let attempt = Attempt::new(&sender, &id, &[], state);
        assert_eq!(attempt.turns().await.unwrap(), [(0, 3), (1, 2), (1, 4), (2, 1)]);
        let certificate = stage.stranger().certificate(stage.network(), now()).unwrap();
        attempt.has_found(4, certificate);
        assert_eq!(attempt.turns().await.unwrap(), [(0, 3), (1, 4), (1, 2), (2, 1)]);
    }

    #[tokio::test]
    async fn a_certificate_in_the_vault_is_at_hand() {
        let stage = Stage::new();
        let (id, mut state) = state(&stage, false);
        let bob = stage.stranger();
        let certificate = bob.certificate(stage.network(), now()).unwrap();
        state.recipients[4].address = bob.address().clone();
        known::add(&stage.vault, stage.context(), &certificate);
        let sender = stage.sender();
        let attempt = Attempt::new(&sender, &id, &[], state);
        assert_eq!(attempt.turns().await.unwrap(), [(0, 3), (1, 4), (1, 2), (2, 1)]);
    }

    #[tokio::test]
    async fn in_a_direct_send_only_those_have_a_turn_who_were_found_or_are_sealed_to() {
        let stage = Stage::new();
        let (id, state) = state(&stage, true);
        let sender = stage.sender();
        let attempt = Attempt::new(&sender, &id, &[], state);
        assert_eq!(attempt.turns().await.unwrap(), [(0, 3)]);
        let certificate = stage.stranger().certificate(stage.network(), now()).unwrap();
        for index in [0, 4] {
            attempt.has_found(index, certificate.clone());
        }
        assert_eq!(attempt.turns().await.unwrap(), [(0, 3), (1, 4)], "who has it gets it once");
    }

    #[tokio::test]
    async fn a_receipt_counts_if_the_replica_keeps_the_object_for_a_week() {
        let stage = Stage::new();
        let (id, state) = state(&stage, false);
        let sender = stage.sender();
        let attempt = Attempt::new(&sender, &id, &[], state);
        let request = Request::Store(Store {
            key: KEY,
            kind: ObjectKind::Body,
            object: b"an object".to_vec(),
            deleters: Vec::new(),
            nonce: [7; 16],
        });
        let week = 7 * 24 * 60 * 60;
        for (kept, is_enough) in [(week + 60, true), (week - 60, false)] {
            let mut client = MadeUp::with_receipts(5, &[5], now().after(kept));
            client.rounds_left = 1;
            let receipts = attempt.deposit(&mut client, &request).await;
            assert_eq!(receipts.ok(), is_enough.then_some(5), "{kept} seconds");
        }
    }
}
