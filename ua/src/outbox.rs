//! The outbox: mails on their way, sealed on disk before the network hears of them, and kept until every
//! recipient's quorum of receipts is in.
//!
//! ```text
//! outbox-<id>.mail     the sealed parts, written once
//! outbox-<id>.state    what was acknowledged, which notification was sealed to whom; written at each step
//! ```
//! The state is written first, as that of a mail that is coming, then the mail, then the state once more; and it goes
//! last. So a mail without a state, or a state that waits without its mail, is one of which a file was lost: it is named,
//! and the others go on. Nothing but [`Outbox::remove`] takes a mail away.
//!
//! A retry sends the very same sealed bytes, so a replica that has them already keeps one copy, and a reader
//! who has seen the mail knows it.

use std::collections::BTreeSet;

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
    sealed,
    vault::{Vault, VaultError},
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

/// Whether a mail is in the outbox for good: kept beside its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    /// It is being taken in, and nobody was told that it is.
    Coming,
    /// It is kept.
    Kept,
    /// It is delivered or given up, and being forgotten.
    Leaving,
}

/// A mail of which a file is missing, damaged, of another version or not to be read.
#[derive(Debug)]
pub struct DamagedMail {
    /// Its id.
    pub id: String,
    /// What is wrong, and with which file.
    pub error: VaultError,
}

/// What lies in the outbox.
#[derive(Debug, Default)]
pub struct Found {
    /// The mails that wait, sorted by their ids.
    pub waiting: Vec<(String, State)>,
    /// Those that cannot be sent as they are; they stay until their owner restores a file, or gives them up.
    pub damaged: Vec<DamagedMail>,
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
        let taken_in = self
            .write(&id, Phase::Coming, state)
            .and_then(|()| Ok(self.vault.write(&mail_name(&id), &wire::encode(parts))?))
            .and_then(|()| self.update(&id, state));
        if taken_in.is_err() {
            // On a full disk nothing half written stays; what does is swept away the next time.
            let _ = self.clear(&id);
        }
        taken_in.map(|()| id)
    }

    /// Records how far a mail is, durably.
    ///
    /// # Errors
    /// [`AgentError::Vault`].
    pub fn update(&self, id: &str, state: &State) -> Result<(), AgentError> {
        self.write(id, Phase::Kept, state)
    }

    fn write(&self, id: &str, phase: Phase, state: &State) -> Result<(), AgentError> {
        Ok(self.vault.write(&state_name(id), &wire::encode(&(phase, state)))?)
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

    /// The ids of all mails that wait, sorted; those that are damaged are not among them.
    ///
    /// # Errors
    /// [`AgentError::Vault`].
    pub fn ids(&self) -> Result<Vec<String>, AgentError> {
        Ok(self.look()?.waiting.into_iter().map(|(id, _)| id).collect())
    }

    /// What lies in the outbox. It changes nothing.
    ///
    /// # Errors
    /// [`AgentError::Vault`] if the vault's directory cannot be read.
    pub fn look(&self) -> Result<Found, AgentError> {
        let mut found = Found::default();
        for (id, has_mail) in self.all()? {
            match self.read(&id) {
                Ok((Phase::Coming | Phase::Leaving, _)) => {}
                Ok((Phase::Kept, state)) if has_mail => found.waiting.push((id, state)),
                Ok((Phase::Kept, state)) if state.is_done() => {}
                Ok((Phase::Kept, _)) => {
                    let error = VaultError::Missing(mail_name(&id));
                    found.damaged.push(DamagedMail { id, error });
                }
                Err(error) => found.damaged.push(DamagedMail { id, error }),
            }
        }
        Ok(found)
    }

    /// Removes what an agent left that was killed as it took a mail in, before it said that it had, or forgot one. To be
    /// called by whoever has the vault's lock: another agent may be taking a mail in.
    ///
    /// # Errors
    /// [`AgentError::Vault`].
    pub fn sweep(&self) -> Result<(), AgentError> {
        for (id, has_mail) in self.all()? {
            match self.read(&id) {
                Ok((Phase::Coming | Phase::Leaving, _)) => self.clear(&id)?,
                Ok((Phase::Kept, state)) if !has_mail && state.is_done() => self.clear(&id)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// The ids of which any file is there, and whether that of the mail itself is.
    fn all(&self) -> Result<Vec<(String, bool)>, AgentError> {
        let names = self.vault.list("outbox-")?;
        let with = |suffix: &'static str| {
            let id = move |name: &String| {
                Some(name.strip_prefix("outbox-")?.strip_suffix(suffix)?.to_owned())
            };
            names.iter().filter_map(id).collect::<BTreeSet<String>>()
        };
        let (states, mails) = (with(".state"), with(".mail"));
        let has_mail = |id: &String| (id.clone(), mails.contains(id));
        Ok(states.union(&mails).map(has_mail).collect())
    }

    /// How far a mail is.
    ///
    /// # Errors
    /// [`AgentError`].
    pub fn state(&self, id: &str) -> Result<State, AgentError> {
        Ok(self.read(id)?.1)
    }

    fn read(&self, id: &str) -> Result<(Phase, State), VaultError> {
        let name = state_name(id);
        sealed::read(self.vault, &name, MAX_STATE)?.ok_or(VaultError::Missing(name))
    }

    /// A mail's sealed parts.
    ///
    /// # Errors
    /// [`AgentError`].
    pub fn parts(&self, id: &str) -> Result<Vec<OutgoingPart>, AgentError> {
        let name = mail_name(id);
        Ok(sealed::read(self.vault, &name, MAX_MAIL)?.ok_or(VaultError::Missing(name))?)
    }

    /// Forgets a mail that is delivered or given up, a damaged one too.
    ///
    /// # Errors
    /// [`AgentError::Vault`].
    pub fn remove(&self, id: &str) -> Result<(), AgentError> {
        if let Ok((Phase::Kept, state)) = self.read(id)
            && !state.is_done()
        {
            // Killed between the two removals, it would look like a mail that was lost.
            self.write(id, Phase::Leaving, &state)?;
        }
        self.clear(id)
    }

    fn clear(&self, id: &str) -> Result<(), AgentError> {
        for name in [mail_name(id), state_name(id)] {
            match self.vault.remove(&name) {
                Ok(()) | Err(VaultError::NotFound) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
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

    fn stage() -> (tempfile::TempDir, Vault) {
        let directory = tempfile::tempdir().unwrap();
        let passphrase = Passphrase::new("correct horse".to_owned()).unwrap();
        let cost = KdfCost::new(8, 1).unwrap();
        let vault = Vault::create(&directory.path().join("vault"), &passphrase, cost).unwrap();
        (directory, vault)
    }

    /// A state of somebody for whom the mail waits.
    fn waiting() -> State {
        let network = node::NetworkFile::parse("name = 'demo.alt'").unwrap().network().unwrap();
        let account = crate::account::Account::self_certifying(&network, Time(1));
        let (delete_seed, nonce) = ([0; 32], [0; 16]);
        let address = account.address().clone();
        let recipient =
            OutgoingRecipient { address, delete_seed, nonce, progress: Progress::Waiting };
        State { recipients: vec![recipient], ..state() }
    }

    #[test]
    fn what_a_killed_agent_left_half_done_is_removed() {
        let (_directory, vault) = stage();
        let outbox = Outbox::new(&vault);
        let kept = outbox.add(&[], &waiting()).unwrap();
        let [coming, half, leaving, done] = ["a1", "a2", "a3", "a4"];
        outbox.write(coming, Phase::Coming, &waiting()).unwrap();
        outbox.write(half, Phase::Coming, &waiting()).unwrap();
        vault.write(&mail_name(half), &wire::encode(&Vec::<OutgoingPart>::new())).unwrap();
        outbox.write(leaving, Phase::Leaving, &waiting()).unwrap();
        outbox.write(done, Phase::Kept, &state()).unwrap();
        assert!(outbox.look().unwrap().damaged.is_empty());
        assert_eq!(outbox.ids().unwrap(), std::slice::from_ref(&kept));
        outbox.sweep().unwrap();
        assert_eq!(vault.list("outbox-").unwrap(), [mail_name(&kept), state_name(&kept)]);
    }

    #[test]
    fn a_lost_file_is_named_and_nothing_else_goes() {
        let (directory, vault) = stage();
        let outbox = Outbox::new(&vault);
        let [whole, no_mail, no_state, damaged, other, folder] =
            [(); 6].map(|()| outbox.add(&[], &waiting()).unwrap());
        vault.remove(&mail_name(&no_mail)).unwrap();
        vault.remove(&state_name(&no_state)).unwrap();
        let at = |id: &str| directory.path().join("vault").join(state_name(id));
        std::fs::write(at(&damaged), b"\x01 damaged").unwrap();
        vault.write(&state_name(&other), b"\xff").unwrap();
        std::fs::remove_file(at(&folder)).unwrap();
        std::fs::create_dir(at(&folder)).unwrap();
        outbox.sweep().unwrap();
        let found = outbox.look().unwrap();
        assert_eq!(found.waiting.len(), 1);
        assert_eq!(found.waiting[0].0, whole);
        let mut told: Vec<_> =
            found.damaged.iter().map(|d| (d.id.clone(), d.error.to_string())).collect();
        let mut wanted = [
            (no_mail.clone(), format!("vault/{} is missing", mail_name(&no_mail))),
            (no_state.clone(), format!("vault/{} is missing", state_name(&no_state))),
            (damaged.clone(), format!("vault/{} is damaged", state_name(&damaged))),
            (other.clone(), format!("vault/{} is whole, but another", state_name(&other))),
            (folder.clone(), format!("cannot read vault/{}: ", state_name(&folder))),
        ];
        told.sort();
        wanted.sort();
        for ((id, said), (wanted_id, part)) in told.iter().zip(&wanted) {
            assert!(id == wanted_id && said.starts_with(part.as_str()), "{said}, not {part}");
        }
        assert_eq!(told.len(), wanted.len());
        for id in [&whole, &no_mail, &no_state, &damaged, &other] {
            outbox.remove(id).unwrap();
        }
        assert_eq!(vault.list("outbox-").unwrap().len(), 2, "what its owner gave up is gone");
    }
}
