//! Addresses for answers: the keys of each come from a seed of this profile and the address's number, so that a copy of the
//! profile, a backup for one, can find the addresses that were made after it.
//!
//! ```text
//! answers   sealed: the seed, which is random, and the number of the next address      (keys: anon/src/answers.rs)
//! ```
//! Nobody but the profile can tell that two such addresses have one owner: the seed is random, never leaves the vault,
//! and has nothing to do with the keys of the user's own address.
//!
//! A copy that makes addresses of its own gives out numbers that the other copy gives out, too: two correspondents then
//! have one address. `cutout fetch --restored` moves the number past those that the network knows.

use anon::{answers::AnswerSeed, network::Network, time::Time, wire};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{
    account::{Account, AccountError},
    sealed,
    vault::Vault,
};

/// The sealed file.
const ANSWERS: &str = "answers";
/// More than it takes, bytes.
const MAX: usize = 64;
/// How many numbers beyond the next one a restored copy looks at, at most.
pub(crate) const WINDOW: u32 = 64;
/// How many numbers in a row that the network does not know end the looking: an address is made before it is published,
/// which may fail.
pub const MISSES: usize = 4;

#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct Stored {
    seed: [u8; 32],
    next: u32,
}

/// Where the addresses for answers come from.
#[derive(derive_more::Debug)]
#[debug("Answers(..)")]
pub struct Answers<'a> {
    vault: &'a Vault,
    stored: Stored,
}

impl<'a> Answers<'a> {
    /// Reads the seed; a profile that has none gets one.
    ///
    /// # Errors
    /// [`AccountError`] if the vault fails or holds something else.
    pub fn open(vault: &'a Vault) -> Result<Self, AccountError> {
        if let Some(stored) = sealed::read(vault, ANSWERS, MAX)? {
            return Ok(Self { vault, stored });
        }
        let _writing = vault.lock()?;
        // Another command may have been first.
        if let Some(stored) = sealed::read(vault, ANSWERS, MAX)? {
            return Ok(Self { vault, stored });
        }
        let fresh = Self { vault, stored: Stored { seed: rand::random(), next: 0 } };
        fresh.write()?;
        Ok(fresh)
    }

    /// Makes the next address, and keeps its account under a name of its own. What was given out once is not given
    /// out again, also after a crash.
    ///
    /// # Errors
    /// [`AccountError::Vault`].
    pub fn make(&mut self, network: &Network, now: Time) -> Result<Account, AccountError> {
        let number = {
            // Two commands at once never give out one number.
            let _writing = self.vault.lock()?;
            self.catch_up()?;
            let number = self.stored.next;
            self.stored.next = number.saturating_add(1);
            self.write()?;
            number
        };
        let account = self.numbered(number, network, now);
        account.write_named(self.vault, &Account::reply_name())?;
        Ok(account)
    }

    /// The addresses that a copy may have made since, by their numbers.
    #[must_use]
    pub fn ahead(&self, network: &Network, now: Time) -> Vec<(u32, Account)> {
        let end = self.stored.next.saturating_add(WINDOW);
        (self.stored.next..end).map(|n| (n, self.numbered(n, network, now))).collect()
    }

    /// Takes over an address that was made by a copy.
    ///
    /// # Errors
    /// [`AccountError::Vault`].
    pub fn adopt(&mut self, number: u32, account: &Account) -> Result<(), AccountError> {
        account.write_named(self.vault, &Account::reply_name())?;
        let _writing = self.vault.lock()?;
        self.catch_up()?;
        self.stored.next = self.stored.next.max(number.saturating_add(1));
        self.write()
    }

    /// Takes over how far another command of the same profile has come meanwhile.
    fn catch_up(&mut self) -> Result<(), AccountError> {
        if let Some(stored) = sealed::read::<Stored>(self.vault, ANSWERS, MAX)? {
            self.stored.next = self.stored.next.max(stored.next);
        }
        Ok(())
    }

    fn numbered(&self, number: u32, network: &Network, now: Time) -> Account {
        let seed = AnswerSeed::from_bytes(self.stored.seed);
        let (signing, sealing) = seed.secrets(&network.id, number);
        Account::from_secrets(signing, sealing, network, now)
    }

    fn write(&self) -> Result<(), AccountError> {
        Ok(self.vault.write(ANSWERS, &Zeroizing::new(wire::encode(&self.stored)))?)
    }
}

#[cfg(test)]
mod tests {
    use net::{NetworkFile, now};

    use super::*;
    use crate::vault::{KdfCost, Passphrase};

    fn open(directory: &std::path::Path) -> Vault {
        Vault::open(directory, &Passphrase::new("x".to_owned()).unwrap()).unwrap()
    }

    #[test]
    fn a_backup_finds_the_addresses_that_were_made_after_it() {
        let root = tempfile::tempdir().unwrap();
        let (profile, backup) = (root.path().join("home"), root.path().join("backup"));
        let passphrase = Passphrase::new("x".to_owned()).unwrap();
        let vault = Vault::create(&profile, &passphrase, KdfCost::new(8, 1).unwrap()).unwrap();
        let network = NetworkFile::parse("name = 'answers.alt'").unwrap().network().unwrap();
        let make = || Answers::open(&vault).unwrap().make(&network, now()).unwrap();
        let before = make().address().clone();
        std::fs::create_dir(&backup).unwrap();
        for name in ["vault", "answers"] {
            std::fs::copy(profile.join(name), backup.join(name)).unwrap();
        }
        let since = [make().address().clone(), make().address().clone()];
        assert!(!since.contains(&before) && since[0] != since[1]);

        let restored = open(&backup);
        let mut answers = Answers::open(&restored).unwrap();
        let ahead = answers.ahead(&network, now());
        let addresses: Vec<_> = ahead.iter().map(|(_, account)| account.address()).collect();
        assert_eq!(addresses[..2], [&since[0], &since[1]]);
        assert_eq!(addresses.len(), 64);
        let (number, account) = &ahead[1];
        answers.adopt(*number, account).unwrap();
        let names = Account::replies(&restored).unwrap();
        let kept = Account::read_named(&restored, &names[0]).unwrap();
        assert_eq!(kept.address(), &since[1]);
        assert!(kept.certificate(&network, now()).is_ok());
        // Nothing is given out twice, whatever order they are found in.
        answers.adopt(ahead[0].0, &ahead[0].1).unwrap();
        let next = Answers::open(&restored).unwrap().make(&network, now()).unwrap();
        assert!(!since.contains(next.address()));
        // Another profile's, and another network's, are others.
        let other = NetworkFile::parse("name = 'other.alt'").unwrap().network().unwrap();
        assert!(answers.ahead(&other, now()).iter().all(|(_, a)| !since.contains(a.address())));
    }
}
