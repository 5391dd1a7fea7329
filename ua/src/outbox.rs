//! The outbox: mails on their way, sealed on disk before the network hears of them, and kept until every
//! recipient's quorum of receipts is in, or their owner drops them. That a recipient is not known, or that a mail is too
//! old to be tried, is said; it ends nothing.
//!
//! ```text
//! outbox-<id>.mail     the sealed parts, and what opens them; written once, and locked by whoever sends the mail
//! outbox-<id>.state    what was acknowledged, which notification was sealed to whom; written at each step
//! ```
//! The state is written first, as that of a mail that is coming, then the mail, then the state once more; and it goes
//! last. So a mail without a state, or a state that waits without its mail, is one of which a file was lost: it is named,
//! and the others go on. Nothing but [`Outbox::remove`] takes a mail away.
//!
//! A retry sends the very same sealed bytes, so a replica that has them already keeps one copy, and a reader
//! who has seen the mail knows it.
//!
//! Several commands may work here at once: a mail is sent by whoever holds its [`Claim`], and by nobody else meanwhile.

use std::collections::BTreeSet;

use anon::{certificate::Address, id::NodeId, keys::VerifyKey, mail::Part, time::Time, wire};
use serde::{Deserialize, Serialize};

use crate::{
    error::AgentError,
    evidence::{Evidence, Violation},
    sealed,
    vault::{Vault, VaultError, VaultLock},
};

/// The longest sealed mail, bytes: all parts at their largest.
const MAX_MAIL: usize = anon::mail::MAX_PARTS * (anon::request::MAX_OBJECT + 1024);
/// The longest state, bytes: 64 recipients with a notification each.
const MAX_STATE: usize = 1 << 20;
/// How long a mail is tried, seconds: 30 days, as long as nodes keep what has arrived. Then it is no longer tried, and
/// stays until its owner drops it.
pub const TRIED_SECONDS: u64 = 30 * 86_400;
/// How long a body counts as stored that a quorum has acknowledged, seconds. Replicas promise to keep it for a week at
/// least: one that was stored longer ago than this is stored again before it is announced to anybody.
pub(crate) const STORED_SECONDS: u64 = 86_400;
/// The most violations noted beside one mail; the evidence itself is kept elsewhere.
pub(crate) const MAX_NOTED: usize = 64;

/// One part of a mail, sealed.
#[derive(Debug, Serialize, Deserialize)]
pub struct OutgoingPart {
    /// For the notifications.
    pub part: Part,
    /// For the replicas.
    #[serde(with = "serde_bytes")]
    pub object: Vec<u8>,
    /// From which each attempt makes the nonce of its receipts.
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
    /// Nothing has been appended, and when it was asked last the network knew no such address. It is asked again.
    NoSuchRecipient,
}

impl Progress {
    /// How soon a recipient's turn comes: whoever is known first, so that nobody waits behind addresses that may not exist.
    #[must_use]
    pub(crate) const fn turn(&self) -> u8 {
        match self {
            Self::Sealed(_) => 0,
            Self::Waiting => 1,
            Self::NoSuchRecipient => 2,
            Self::Delivered => 3,
        }
    }
}

/// One recipient of a mail.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OutgoingRecipient {
    /// Who.
    pub address: Address,
    /// The seed of this recipient's one-time delete keys.
    pub(crate) delete_seed: [u8; 32],
    /// From which each attempt makes the nonce of the inbox receipts.
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
    pub(crate) signed: bool,
    /// Whether it travels directly (paper, 3).
    pub direct: bool,
    /// The address at which answers reach the sender, if one was made.
    pub(crate) reply_to: Option<Address>,
    /// When a quorum has acknowledged each part, in order.
    pub stored: Vec<Option<Time>>,
    /// The recipients.
    pub recipients: Vec<OutgoingRecipient>,
    /// In a direct send: by the key of which certificate each recipient deletes the bodies; `None`: by one-time keys, as in
    /// any other. It is decided before anything is stored, and empty until then.
    pub(crate) delete_keys: Vec<Option<VerifyKey>>,
    /// Attempts so far of which somebody in the network has heard.
    pub attempts: u32,
    /// Why the last attempt ended.
    pub last_error: String,
    /// What nodes did on the way that honest ones do not do, each once; at most 64 of these.
    pub evidence: Vec<(NodeId, Violation)>,
}

impl State {
    /// Notes what nodes did in an attempt.
    pub(crate) fn note(&mut self, evidence: impl IntoIterator<Item = Evidence>) {
        for Evidence { node, violation, .. } in evidence {
            if self.evidence.len() < MAX_NOTED && !self.evidence.contains(&(node, violation)) {
                self.evidence.push((node, violation));
            }
        }
    }

    /// By the key of which certificate this recipient deletes the bodies; `None`: by one-time keys.
    #[must_use]
    pub(crate) fn delete_key(&self, recipient: usize) -> Option<VerifyKey> {
        self.delete_keys.get(recipient).copied().flatten()
    }

    /// Whether nothing is left to do.
    #[must_use]
    pub(crate) fn is_done(&self) -> bool {
        self.recipients.iter().all(|r| r.progress == Progress::Delivered)
    }

    /// Whether it is too old to be tried, at `now`.
    #[must_use]
    pub fn is_over(&self, now: Time) -> bool {
        self.created.after(TRIED_SECONDS) < now
    }

    /// Whether a part lies in the network, at `now`, and will for days.
    #[must_use]
    pub(crate) fn is_stored(&self, part: usize, now: Time) -> bool {
        let stored = self.stored.get(part).copied().flatten();
        stored.is_some_and(|at| at <= now && now < at.after(STORED_SECONDS))
    }
}

/// The sole right to send a mail, or to drop it, until it is dropped itself.
#[derive(Debug)]
#[must_use = "the mail is anybody's to send when the claim is dropped"]
pub struct Claim {
    id: String,
    _lock: Option<VaultLock>,
}

impl Claim {
    /// The mail's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
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
    pub(crate) const fn vault(&self) -> &'a Vault {
        self.vault
    }

    /// Takes a mail in, durably: its id.
    ///
    /// # Errors
    /// [`AgentError::Vault`].
    pub(crate) fn add(&self, parts: &[OutgoingPart], state: &State) -> Result<String, AgentError> {
        let id = data_encoding::HEXLOWER.encode(&rand::random::<[u8; 6]>());
        let _writing = self.vault.lock()?;
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

    /// Takes a mail to send it, or to drop it; `None` if another command does that now.
    ///
    /// # Errors
    /// [`AgentError::Vault`], [`VaultError::NotFound`] if there is no such mail.
    pub fn claim(&self, id: &str) -> Result<Option<Claim>, AgentError> {
        let claim = |lock| Claim { id: id.to_owned(), _lock: lock };
        match self.vault.claim(&mail_name(id)) {
            Ok(lock) => Ok(lock.map(|lock| claim(Some(lock)))),
            // The mail itself is lost: nobody can send it, and its owner may drop what is left.
            Err(VaultError::NotFound) if self.vault.list("outbox-")?.contains(&state_name(id)) => {
                Ok(Some(claim(None)))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Notes why an attempt could not begin, or was cut off. It counts if somebody in the network has heard of it.
    ///
    /// # Errors
    /// As [`Self::state`].
    pub fn failed(&self, claim: &Claim, why: &str, counts: bool) -> Result<(), AgentError> {
        let mut state = self.state(claim.id())?;
        state.attempts = state.attempts.saturating_add(u32::from(counts));
        why.clone_into(&mut state.last_error);
        self.update(claim.id(), &state)
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
        // Nobody takes a mail in or forgets one meanwhile: what is half there now was left by one that was killed.
        let _writing = self.vault.lock()?;
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

    /// Removes what an agent left that was killed as it took a mail in, before it said that it had, or forgot one.
    ///
    /// # Errors
    /// [`AgentError::Vault`].
    pub fn sweep(&self) -> Result<(), AgentError> {
        let _writing = self.vault.lock()?;
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

    /// A mail as it was handed in, byte for byte.
    ///
    /// # Errors
    /// As [`Self::parts`]; [`AgentError::Mail`] if what is kept does not open.
    pub fn mail(&self, id: &str) -> Result<Vec<u8>, AgentError> {
        let mut mail = Vec::new();
        for part in self.parts(id)? {
            mail.extend(part.part.open(&part.object)?);
        }
        Ok(mail)
    }

    /// Forgets a mail that is delivered or given up, a damaged one too.
    ///
    /// # Errors
    /// [`AgentError::Vault`].
    pub fn remove(&self, claim: &Claim) -> Result<(), AgentError> {
        let id = claim.id();
        let _writing = self.vault.lock()?;
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
            self.vault.forget(&name)?;
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
            delete_keys: Vec::new(),
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
        let network = net::NetworkFile::parse("name = 'demo.alt'").unwrap().network().unwrap();
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
            outbox.remove(&outbox.claim(id).unwrap().unwrap()).unwrap();
        }
        assert_eq!(vault.list("outbox-").unwrap().len(), 2, "what its owner gave up is gone");
    }

    #[test]
    fn a_mail_that_is_being_taken_in_is_not_cleared_away() {
        let (_directory, vault) = stage();
        let outbox = Outbox::new(&vault);
        // Another command has written the mail and not yet that it is kept.
        let writing = vault.lock().unwrap();
        outbox.write("00", Phase::Coming, &waiting()).unwrap();
        vault.write(&mail_name("00"), &wire::encode(&Vec::<OutgoingPart>::new())).unwrap();
        std::thread::scope(|scope| {
            let sweeping = scope.spawn(|| outbox.sweep().unwrap());
            std::thread::sleep(std::time::Duration::from_millis(50));
            outbox.update("00", &waiting()).unwrap();
            drop(writing);
            sweeping.join().unwrap();
        });
        assert_eq!(outbox.ids().unwrap(), ["00"]);
        assert!(vault.read(&mail_name("00")).is_ok());
    }

    #[test]
    fn one_command_at_a_time_sends_a_mail_or_drops_it() {
        let (_directory, vault) = stage();
        let outbox = Outbox::new(&vault);
        let id = outbox.add(&[], &state()).unwrap();
        let claim = outbox.claim(&id).unwrap().unwrap();
        assert!(outbox.claim(&id).unwrap().is_none());
        outbox.failed(&claim, "nobody is there", false).unwrap();
        outbox.failed(&claim, "somebody was there", true).unwrap();
        let state = outbox.state(&id).unwrap();
        assert_eq!((state.attempts, state.last_error.as_str()), (1, "somebody was there"));
        drop(claim);
        let claim = outbox.claim(&id).unwrap().unwrap();
        outbox.remove(&claim).unwrap();
        assert!(outbox.claim(&id).is_err(), "it is gone");
    }

    #[test]
    fn a_mail_is_tried_for_30_days_and_its_body_counts_as_stored_for_one() {
        let stored = |at| State { stored: vec![Some(Time(at)), None], ..state() };
        let start = 1_000_000;
        assert!(stored(start).is_stored(0, Time(start)));
        assert!(!stored(start).is_stored(0, Time(start + STORED_SECONDS)));
        assert!(!stored(start).is_stored(0, Time(start - 1)), "by a clock that was ahead");
        assert!(
            !stored(start).is_stored(1, Time(start)) && !stored(start).is_stored(2, Time(start))
        );
        let mail = State { created: Time(start), ..state() };
        assert!(!mail.is_over(Time(start + TRIED_SECONDS)) && !mail.is_over(Time(0)));
        assert!(mail.is_over(Time(start + TRIED_SECONDS + 1)));
    }

    #[test]
    fn nobody_is_done_but_who_has_got_the_mail() {
        let recipient = |progress| OutgoingRecipient {
            address: Address::parse("bob@demo.alt").unwrap(),
            delete_seed: [0; 32],
            nonce: [0; 16],
            progress,
        };
        let with = |all: &[Progress]| State {
            recipients: all.iter().cloned().map(recipient).collect(),
            ..state()
        };
        assert!(with(&[Progress::Delivered, Progress::Delivered]).is_done());
        assert!(!with(&[Progress::Delivered, Progress::NoSuchRecipient]).is_done());
        assert!(!with(&[Progress::Waiting]).is_done());
    }
}
