//! What a reader remembers of notifications that it could not settle, so that they cost it little the next time: by
//! digest, when each was first missed, and how often.
//!
//! A body that the nodes near it do not have is *missing*. A sender announces a mail only when a quorum of nodes has
//! acknowledged each part, so an honest one is hardly ever missing, and anybody can announce what never existed.
//! Missing mails are tried after all others, [`RETRIES`] a reading, those first that were tried longest ago. After
//! [`GIVE_UP_AFTER`] they are looked for once more, and given up if they are missing still.
//!
//! A notification that does not open was sealed to another key, or is junk. If the address can have other keys, which
//! an authority may have certified, nobody can tell which, so it stays where it is until it expires: it may be the new
//! owner's mail.

use std::collections::{BTreeMap, BTreeSet};

use anon::{time::Time, wire};
use serde::{Deserialize, Serialize};

use super::Digest;
use crate::{error::AgentError, sealed, vault::Vault};

/// How long a mail is missing before it is given up, seconds: three days.
pub const GIVE_UP_AFTER: u64 = 3 * 86_400;
/// Missing mails that are looked for again in one reading.
pub(crate) const RETRIES: usize = 64;
/// Missing mails that are looked for a last time in one reading.
pub(crate) const LAST_TRIES: usize = 1_024;
/// How often one reading tries a mail that it could not reach.
const TRIES_IN_ONE_READING: u32 = 3;
/// How often a mail that could not be reached is tried like a new one; then it is retried like a missing one.
const TRIES_LIKE_NEW: u32 = 9;
/// How long a note is kept, seconds: longer than any node keeps a notification.
const KEPT_FOR: u64 = 60 * 86_400;
/// Notes kept; beyond that the oldest are forgotten, and what they were about is new again.
const MAX_NOTES: usize = 40_000;
/// The sealed file that has them. It can be made anew: without it everything is tried again.
const NOTES: &str = "reading";
/// More than the file takes, bytes.
const MAX: usize = MAX_NOTES * 64 + 16;

/// Why a notification is not settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Why {
    /// It does not open with this key.
    Unopened,
    /// The nodes near a part say that they do not have it: so often.
    Missing(u32),
    /// A part could not be reached: so often.
    Unreached(u32),
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Note {
    why: Why,
    /// When it was noted first.
    since: Time,
    /// When it was tried last.
    tried: Time,
}

/// The notes, and what this reading did so far.
pub(super) struct Notes<'a> {
    vault: &'a Vault,
    notes: BTreeMap<Digest, Note>,
    /// How often this reading tried each.
    tried: BTreeMap<Digest, u32>,
    retries: usize,
    last_tries: usize,
}

impl<'a> Notes<'a> {
    /// Reads the notes; a file that is no good is as good as none.
    ///
    /// # Errors
    /// [`AgentError::Vault`] if the disk fails.
    pub(super) fn read(vault: &'a Vault, now: Time) -> Result<Self, AgentError> {
        let costs = "what was missing before is tried as if it were new";
        let notes: Vec<(Digest, Note)> = sealed::read_or_new(vault, NOTES, MAX, costs)?;
        let is_kept = |note: &Note| now.0.saturating_sub(note.since.0) < KEPT_FOR;
        let notes = notes.into_iter().filter(|(_, note)| is_kept(note)).collect();
        Ok(Self { vault, notes, tried: BTreeMap::new(), retries: 0, last_tries: 0 })
    }

    /// Writes them.
    ///
    /// # Errors
    /// [`AgentError::Vault`].
    pub(super) fn write(&self) -> Result<(), AgentError> {
        let mut notes: Vec<(&Digest, &Note)> = self.notes.iter().collect();
        notes.sort_by_key(|(_, note)| note.since);
        let surplus = notes.len().saturating_sub(MAX_NOTES);
        let kept: Vec<_> = notes.into_iter().skip(surplus).collect();
        Ok(self.vault.write(NOTES, &wire::encode(&kept))?)
    }

    /// Chooses what to try of what lies in the inbox: all that is new, and of what was missed as much as a reading may.
    pub(super) fn choose(&mut self, listed: &BTreeSet<Digest>, now: Time) -> BTreeSet<Digest> {
        let mut chosen = BTreeSet::new();
        let mut missed: Vec<(Time, Digest)> = Vec::new();
        for digest in listed {
            let tried = self.tried.get(digest).copied().unwrap_or_default();
            let note = self.notes.get(digest);
            let like_new = match note.map(|note| note.why) {
                None => true,
                Some(Why::Unreached(times)) => times < TRIES_LIKE_NEW,
                Some(Why::Missing(_) | Why::Unopened) => false,
            };
            match note {
                _ if like_new && tried < TRIES_IN_ONE_READING => drop(chosen.insert(*digest)),
                // A second anonymizer is asked in the same reading, too: the first may have lied.
                Some(Note { why: Why::Missing(_) | Why::Unreached(_), tried: at, .. })
                    if !like_new && tried < 2 =>
                {
                    missed.push((*at, *digest));
                }
                _ => {}
            }
        }
        missed.sort_unstable();
        for (_, digest) in missed {
            let (spent, most) = if self.is_due(&digest, now) {
                (&mut self.last_tries, LAST_TRIES)
            } else {
                (&mut self.retries, RETRIES)
            };
            if *spent < most {
                *spent += 1;
                chosen.insert(digest);
            }
        }
        chosen
    }

    /// Whether a mail has been missing for so long that it is given up if it is missing once more.
    fn is_due(&self, digest: &Digest, now: Time) -> bool {
        self.notes.get(digest).is_some_and(|note| {
            matches!(note.why, Why::Missing(_))
                && now.0.saturating_sub(note.since.0) >= GIVE_UP_AFTER
        })
    }

    /// Notes that the nodes near a part do not have it. `true` if the mail is given up by that.
    pub(super) fn missing(&mut self, digest: Digest, now: Time) -> bool {
        let is_over = self.is_due(&digest, now);
        self.note(digest, now, |why| match why {
            Some(Why::Missing(times)) => Why::Missing(times.saturating_add(1)),
            _ => Why::Missing(1),
        });
        is_over
    }

    /// Notes that a part could not be reached.
    pub(super) fn unreached(&mut self, digest: Digest, now: Time) {
        self.note(digest, now, |why| match why {
            Some(Why::Unreached(times)) => Why::Unreached(times.saturating_add(1)),
            // That it was missing once is not forgotten because a path broke.
            Some(missing @ Why::Missing(_)) => missing,
            _ => Why::Unreached(1),
        });
    }

    /// Notes that a notification does not open. `true` if that is news.
    pub(super) fn unopened(&mut self, digest: Digest, now: Time) -> bool {
        let is_new = !self.notes.contains_key(&digest);
        self.note(digest, now, |_| Why::Unopened);
        is_new
    }

    /// Whether there is a note of it.
    pub(super) fn has(&self, digest: &Digest) -> bool {
        self.notes.contains_key(digest)
    }

    /// How many of these are missing, and how many could not be reached.
    pub(super) fn counts(&self, listed: &[Digest]) -> (usize, usize) {
        let why = |digest| self.notes.get(digest).map(|note| note.why);
        let count =
            |is: fn(Why) -> bool| listed.iter().filter_map(why).filter(|why| is(*why)).count();
        let missing = count(|why| matches!(why, Why::Missing(_)));
        (missing, count(|why| matches!(why, Why::Unreached(_))))
    }

    /// Forgets a notification that is settled.
    pub(super) fn settled(&mut self, digest: &Digest) {
        self.notes.remove(digest);
    }

    fn note(&mut self, digest: Digest, now: Time, why: impl FnOnce(Option<Why>) -> Why) {
        let tried = self.tried.entry(digest).or_default();
        *tried = tried.saturating_add(1);
        let old = self.notes.get(&digest).copied();
        let was_missing = old.is_some_and(|note| matches!(note.why, Why::Missing(_)));
        let why = why(old.map(|note| note.why));
        // How long a mail is missing counts from when it was missed, not from when a path broke.
        let since = match old {
            Some(note) if was_missing || !matches!(why, Why::Missing(_)) => note.since,
            _ => now,
        };
        self.notes.insert(digest, Note { why, since, tried: now });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::{KdfCost, Passphrase};

    const NOW: Time = Time(1_800_000_000);

    fn digests(count: u32) -> BTreeSet<Digest> {
        let digest = |n: u32| {
            let mut digest = [0; 32];
            digest[..4].copy_from_slice(&n.to_be_bytes());
            digest
        };
        (0..count).map(digest).collect()
    }

    fn vault() -> (tempfile::TempDir, Vault) {
        let root = tempfile::tempdir().unwrap();
        let passphrase = Passphrase::new("x".to_owned()).unwrap();
        let vault = Vault::create(root.path(), &passphrase, KdfCost::new(8, 1).unwrap()).unwrap();
        (root, vault)
    }

    /// One reading, in which all of these are missing: how many were tried, and how many given up.
    fn reading(vault: &Vault, listed: &BTreeSet<Digest>, now: Time) -> (usize, usize) {
        let mut notes = Notes::read(vault, now).unwrap();
        let (mut tried, mut given_up) = (0, BTreeSet::new());
        loop {
            let left = listed.difference(&given_up).copied().collect();
            let chosen = notes.choose(&left, now);
            if chosen.is_empty() {
                break;
            }
            for digest in chosen {
                tried += 1;
                if notes.missing(digest, now) {
                    notes.settled(&digest);
                    given_up.insert(digest);
                }
            }
        }
        notes.write().unwrap();
        (tried, given_up.len())
    }

    #[test]
    fn what_never_existed_costs_little_and_is_given_up_after_three_days() {
        let (_root, vault) = vault();
        let mut left = digests(3_000);
        assert_eq!(reading(&vault, &left, NOW), (3_000 + RETRIES, 0));
        assert_eq!(reading(&vault, &left, NOW.after(3_600)), (RETRIES, 0));
        assert_eq!(reading(&vault, &left, NOW.after(GIVE_UP_AFTER - 1)), (RETRIES, 0));
        let mut given_up = Vec::new();
        for day in 3..6 {
            let (tried, gone) = reading(&vault, &left, NOW.after(day * 86_400));
            assert_eq!(tried, gone);
            given_up.push(gone);
            let notes = Notes::read(&vault, NOW).unwrap();
            left.retain(|digest| notes.notes.contains_key(digest));
        }
        assert_eq!((given_up, left.len()), (vec![LAST_TRIES, LAST_TRIES, 952], 0));
    }

    #[test]
    fn a_mail_that_could_not_be_reached_stays_as_good_as_new_for_some_readings() {
        let (_root, vault) = vault();
        let listed = digests(200);
        for reading in 0..5 {
            let mut notes = Notes::read(&vault, NOW).unwrap();
            let mut rounds = Vec::new();
            loop {
                let chosen = notes.choose(&listed, NOW.after(reading));
                if chosen.is_empty() {
                    break;
                }
                rounds.push(chosen.len());
                chosen.iter().for_each(|digest| notes.unreached(*digest, NOW.after(reading)));
            }
            notes.write().unwrap();
            let expected = if reading < 3 { vec![200; 3] } else { vec![RETRIES] };
            assert_eq!(rounds, expected, "reading {reading}");
        }
    }

    #[test]
    fn how_long_a_mail_is_missing_counts_from_when_it_was_missed() {
        let (_root, vault) = vault();
        let digest = [7; 32];
        let mut notes = Notes::read(&vault, NOW).unwrap();
        notes.unreached(digest, NOW);
        let later = NOW.after(GIVE_UP_AFTER);
        assert!(!notes.missing(digest, later), "it was never missing before");
        notes.unreached(digest, later.after(10));
        assert!(!notes.missing(digest, later.after(GIVE_UP_AFTER - 1)));
        assert!(notes.missing(digest, later.after(GIVE_UP_AFTER)));
    }

    #[test]
    fn a_file_that_is_no_good_is_as_good_as_none() {
        let (_root, vault) = vault();
        vault.write(NOTES, b"nonsense").unwrap();
        assert!(Notes::read(&vault, NOW).unwrap().notes.is_empty());
        let mut notes = Notes::read(&vault, NOW).unwrap();
        assert!(notes.unopened([1; 32], NOW) && !notes.unopened([1; 32], NOW));
        notes.write().unwrap();
        let mut again = Notes::read(&vault, NOW).unwrap();
        assert!(again.choose(&BTreeSet::from([[1; 32]]), NOW).is_empty(), "it stays closed");
        assert!(Notes::read(&vault, NOW.after(KEPT_FOR)).unwrap().notes.is_empty());
    }
}
