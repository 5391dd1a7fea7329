//! The outbox: mails on their way, sealed on disk before the network hears of them, and kept until every
//! recipient's quorum of receipts is in.
//!
//! ```text
//! outbox-<id>.mail     the sealed parts, written once
//! outbox-<id>.state    what was acknowledged, which notification was sealed to whom; written at each step
//! ```
//! A retry sends the very same sealed bytes, so a replica that has them already keeps one copy, and a reader
//! who has seen the mail knows it.

use anon::{
    certificate::{Address, NodeId},
    mail::Part,
    time::Time,
    wire,
};
use serde::{Deserialize, Serialize};

use crate::{
    error::AgentError,
    evidence::{Evidence, Misdeed},
    vault::Vault,
};

/// The longest sealed mail, bytes: all parts at their largest.
const MAX_MAIL: usize = anon::mail::MAX_PARTS * (anon::request::MAX_OBJECT + 1024);
/// The longest state, bytes: 64 recipients with a notification each.
const MAX_STATE: usize = 1 << 20;
/// How often a mail is tried before its owner is told that it waits for them.
pub const MAX_ATTEMPTS: u32 = 20;
/// The most misdeeds noted beside one mail; the evidence itself is kept elsewhere.
pub const MAX_NOTED: usize = 64;

/// One part of a mail, sealed.
#[derive(Debug, Serialize, Deserialize)]
pub struct OutgoingPart {
    /// For the notifications.
    pub part: Part,
    /// For the replicas.
    #[serde(with = "serde_bytes")]
    pub object: Vec<u8>,
    /// The nonce of its receipts.
    pub nonce: [u8; 16],
}

/// How far one recipient is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Progress {
    /// Nothing has been appended.
    Waiting,
    /// This notification may lie in some of the k inboxes.
    Sealed(serde_bytes::ByteBuf),
    /// A quorum of the k inboxes acknowledged it.
    Delivered,
    /// The network knows no such address.
    NoSuchRecipient,
}

/// One recipient of a mail.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OutgoingRecipient {
    /// Who.
    pub address: Address,
    /// The seed of this recipient's one-time delete keys.
    pub delete_seed: [u8; 32],
    /// The nonce of the inbox receipts.
    pub nonce: [u8; 16],
    /// How far it is.
    pub progress: Progress,
}

/// What is known of a mail on its way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    /// When it was handed in.
    pub created: Time,
    /// For the headers, and for the list.
    pub subject: String,
    /// The mail's length, bytes.
    pub size: u64,
    /// Whether the headers are signed.
    pub signed: bool,
    /// Whether it travels directly (paper, 3).
    pub direct: bool,
    /// The address at which answers reach the sender, if one was made.
    pub reply_to: Option<Address>,
    /// Which parts a quorum has acknowledged, in order.
    pub stored: Vec<bool>,
    /// The recipients.
    pub recipients: Vec<OutgoingRecipient>,
    /// Attempts so far.
    pub attempts: u32,
    /// Why the last attempt ended.
    pub last_error: String,
    /// What nodes did on the way that honest ones do not do, each once; at most [`MAX_NOTED`].
    pub evidence: Vec<(NodeId, Misdeed)>,
}

impl State {
    /// Notes what nodes did in an attempt.
    pub fn note(&mut self, evidence: impl IntoIterator<Item = Evidence>) {
        for Evidence { node, misdeed, .. } in evidence {
            if self.evidence.len() < MAX_NOTED && !self.evidence.contains(&(node, misdeed)) {
                self.evidence.push((node, misdeed));
            }
        }
    }

    /// Whether nothing is left to do.
    #[must_use]
    pub fn is_done(&self) -> bool {
        let settled = |r: &OutgoingRecipient| {
            matches!(r.progress, Progress::Delivered | Progress::NoSuchRecipient)
        };
        self.recipients.iter().all(settled)
    }
}

/// The mails on their way.
#[derive(Debug)]
pub struct Outbox<'a> {
    vault: &'a Vault,
}

impl<'a> Outbox<'a> {
    /// The outbox in a vault.
    #[must_use]
    pub const fn new(vault: &'a Vault) -> Self {
        Self { vault }
    }

    /// The vault it lies in.
    #[must_use]
    pub const fn vault(&self) -> &'a Vault {
        self.vault
    }

    /// Takes a mail in, durably: its id.
    ///
    /// # Errors
    /// [`AgentError::Vault`].
    pub fn add(&self, parts: &[OutgoingPart], state: &State) -> Result<String, AgentError> {
        let id = data_encoding::HEXLOWER.encode(&rand::random::<[u8; 6]>());
        // A mail whose state is not written yet does not count as taken in.
        self.vault.write(&mail_name(&id), &wire::encode(parts))?;
        self.update(&id, state)?;
        Ok(id)
    }

    /// Records how far a mail is, durably.
    ///
    /// # Errors
    /// [`AgentError::Vault`].
    pub fn update(&self, id: &str, state: &State) -> Result<(), AgentError> {
        Ok(self.vault.write(&state_name(id), &wire::encode(state))?)
    }

    /// Counts an attempt that could not even begin, and why.
    ///
    /// # Errors
    /// As [`Self::state`].
    pub fn could_not_begin(&self, id: &str, why: &str) -> Result<(), AgentError> {
        let mut state = self.state(id)?;
        state.attempts += 1;
        why.clone_into(&mut state.last_error);
        self.update(id, &state)
    }

    /// Notes that an attempt was cut off, or could not begin, by no fault of the network's: it does not count, however
    /// often it happens. `attempts` is how many there were before.
    ///
    /// # Errors
    /// As [`Self::state`].
    pub fn was_cut_off(&self, id: &str, why: &str, attempts: u32) -> Result<(), AgentError> {
        let mut state = self.state(id)?;
        state.attempts = attempts;
        why.clone_into(&mut state.last_error);
        self.update(id, &state)
    }

    /// The ids of all mails on their way, sorted. What an agent left that was killed as it took a mail in or
    /// forgot one, a mail without a state, is removed.
    ///
    /// # Errors
    /// [`AgentError::Vault`].
    pub fn ids(&self) -> Result<Vec<String>, AgentError> {
        let names = self.vault.list("outbox-")?;
        let with = |suffix: &'static str| {
            let id = move |name: &String| {
                Some(name.strip_prefix("outbox-")?.strip_suffix(suffix)?.to_owned())
            };
            names.iter().filter_map(id)
        };
        let ids: Vec<String> = with(".state").collect();
        for left in with(".mail").filter(|id| !ids.contains(id)) {
            self.vault.remove(&mail_name(&left))?;
        }
        Ok(ids)
    }

    /// How far a mail is.
    ///
    /// # Errors
    /// [`AgentError`].
    pub fn state(&self, id: &str) -> Result<State, AgentError> {
        let name = state_name(id);
        let bytes = self.vault.read(&name)?;
        wire::decode(&bytes, MAX_STATE).map_err(|_| AgentError::BadFile(name))
    }

    /// A mail's sealed parts.
    ///
    /// # Errors
    /// [`AgentError`].
    pub fn parts(&self, id: &str) -> Result<Vec<OutgoingPart>, AgentError> {
        let name = mail_name(id);
        let bytes = self.vault.read(&name)?;
        wire::decode(&bytes, MAX_MAIL).map_err(|_| AgentError::BadFile(name))
    }

    /// Forgets a mail that is delivered or given up.
    ///
    /// # Errors
    /// [`AgentError::Vault`].
    pub fn remove(&self, id: &str) -> Result<(), AgentError> {
        self.vault.remove(&state_name(id))?;
        Ok(self.vault.remove(&mail_name(id))?)
    }
}

fn mail_name(id: &str) -> String {
    format!("outbox-{id}.mail")
}

fn state_name(id: &str) -> String {
    format!("outbox-{id}.state")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::{KdfCost, Passphrase};

    fn state() -> State {
        State {
            created: Time(1),
            subject: String::new(),
            size: 0,
            signed: false,
            direct: false,
            reply_to: None,
            stored: Vec::new(),
            recipients: Vec::new(),
            attempts: 0,
            evidence: Vec::new(),
            last_error: String::new(),
        }
    }

    #[test]
    fn what_a_killed_agent_left_half_done_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let passphrase = Passphrase::new("correct horse".to_owned()).unwrap();
        let cost = KdfCost::new(8, 1).unwrap();
        let vault = Vault::create(&directory.path().join("vault"), &passphrase, cost).unwrap();
        let outbox = Outbox::new(&vault);
        let (kept, left) = (outbox.add(&[], &state()).unwrap(), outbox.add(&[], &state()).unwrap());
        vault.remove(&state_name(&left)).unwrap();
        assert_eq!(outbox.ids().unwrap(), std::slice::from_ref(&kept));
        assert_eq!(vault.list("outbox-").unwrap(), [mail_name(&kept), state_name(&kept)]);
    }
}
