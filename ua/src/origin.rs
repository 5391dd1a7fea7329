//! What a mail's notification said of where it comes from, kept beside the mail: who signed it, and where an answer goes.
//!
//! The Maildir holds the mail byte for byte (C-09), so this cannot stand in the mail, where a sender could write it as
//! well. It lies sealed in the vault, found by the SHA-256 of the mail's bytes: other mail programs may move and rename the
//! file as they like.
//!
//! ```text
//! origin-<2 hex>   what is known of the mails whose digest begins with these digits, oldest first
//! ```
//!
//! What is signed is the mail's content, whoever brought it. If a mail came twice, both origins are kept.

use anon::{certificate::Address, wire};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{error::AgentError, sealed, vault::Vault};

/// What the names of the sealed files begin with.
const PREFIX: &str = "origin-";
/// Mails that one file remembers, the newest; there are 256 files.
const MAX_MAILS: usize = 256;
/// Origins that are kept of one mail.
const MAX_ORIGINS: usize = 4;
/// The longest such file, bytes: an origin is two addresses.
const MAX_FILE: usize = MAX_MAILS * (64 + MAX_ORIGINS * 1_024);

/// Where a mail comes from, as its notification proves it or says it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Who signed it; verified. `None`: nobody.
    pub signer: Option<Address>,
    /// Where an answer reaches the sender, if the sender says.
    pub reply_to: Option<Address>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Known {
    digest: [u8; 32],
    origins: Vec<Origin>,
}

/// What is known of the mails that were delivered.
#[derive(Clone, Copy, Debug)]
pub struct Origins<'a> {
    vault: &'a Vault,
}

impl<'a> Origins<'a> {
    /// The origins in a vault.
    #[must_use]
    pub const fn new(vault: &'a Vault) -> Self {
        Self { vault }
    }

    /// Keeps where a mail comes from, durably. A file that is damaged is begun anew: it only says what was signed.
    ///
    /// # Errors
    /// [`AgentError::Vault`].
    pub(crate) fn note(&self, mail: &[u8], origin: &Origin) -> Result<(), AgentError> {
        let digest: [u8; 32] = Sha256::digest(mail).into();
        let name = file_name(&digest);
        let mut all = self.read(&name)?;
        let mut known = match all.iter().position(|known| known.digest == digest) {
            Some(at) => all.remove(at),
            None => Known { digest, origins: Vec::new() },
        };
        if !known.origins.contains(origin) {
            // A signature is never given up for a mail without one.
            if known.origins.len() >= MAX_ORIGINS && origin.signer.is_some() {
                let unsigned = known.origins.iter().position(|known| known.signer.is_none());
                unsigned.map(|at| known.origins.remove(at));
            }
            if known.origins.len() < MAX_ORIGINS {
                known.origins.push(origin.clone());
            }
        }
        all.push(known);
        let surplus = all.len().saturating_sub(MAX_MAILS);
        all.drain(..surplus);
        Ok(self.vault.write(&name, &wire::encode(&all))?)
    }

    /// What is known of a mail; nothing of one that did not come by `cutout fetch`, or long ago.
    ///
    /// # Errors
    /// [`AgentError`].
    pub fn of(&self, mail: &[u8]) -> Result<Vec<Origin>, AgentError> {
        let digest: [u8; 32] = Sha256::digest(mail).into();
        let all = self.read(&file_name(&digest))?;
        let known = all.into_iter().find(|known| known.digest == digest);
        Ok(known.map(|known| known.origins).unwrap_or_default())
    }

    fn read(&self, name: &str) -> Result<Vec<Known>, AgentError> {
        let costs = "who signed some of your mails is forgotten; the mails are whole";
        Ok(sealed::read_or_new(self.vault, name, MAX_FILE, costs)?)
    }
}

/// Who signed a mail of these origins, each once.
#[must_use]
pub fn signers(origins: &[Origin]) -> Vec<&Address> {
    each_once(origins.iter().filter_map(|origin| origin.signer.as_ref()))
}

/// Where answers to a mail of these origins go, each address once. If one of them is signed, only what signers said counts.
#[must_use]
pub fn reply_addresses(origins: &[Origin]) -> Vec<&Address> {
    let is_signed = origins.iter().any(|origin| origin.signer.is_some());
    let count = origins.iter().filter(|origin| origin.signer.is_some() || !is_signed);
    each_once(count.filter_map(|origin| origin.reply_to.as_ref()))
}

/// Each of these once, in their order.
fn each_once<'a>(all: impl Iterator<Item = &'a Address>) -> Vec<&'a Address> {
    let mut once: Vec<&Address> = Vec::new();
    for address in all {
        if !once.contains(&address) {
            once.push(address);
        }
    }
    once
}

fn file_name(digest: &[u8; 32]) -> String {
    let [first, ..] = digest;
    format!("{PREFIX}{first:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::{KdfCost, Passphrase};

    fn vault() -> (tempfile::TempDir, Vault) {
        let directory = tempfile::tempdir().unwrap();
        let passphrase = Passphrase::new("correct horse".to_owned()).unwrap();
        let cost = KdfCost::new(8, 1).unwrap();
        let vault = Vault::create(directory.path(), &passphrase, cost).unwrap();
        (directory, vault)
    }

    fn address(name: &str) -> Address {
        Address::parse(&format!("{name}@demo.alt")).unwrap()
    }

    fn signed(name: &str) -> Origin {
        Origin { signer: Some(address(name)), reply_to: None }
    }

    #[test]
    fn what_was_signed_is_found_by_the_mails_bytes_alone() {
        let (_directory, vault) = vault();
        let origins = Origins::new(&vault);
        origins.note(b"a mail", &signed("alice")).unwrap();
        origins.note(b"a mail", &signed("alice")).unwrap();
        origins.note(b"another", &Origin::default()).unwrap();
        assert_eq!(origins.of(b"a mail").unwrap(), [signed("alice")]);
        assert_eq!(origins.of(b"another").unwrap(), [Origin::default()]);
        assert!(origins.of(b"a mail ").unwrap().is_empty());
    }

    #[test]
    fn a_copy_takes_no_signature_and_no_answers_away() {
        let (_directory, vault) = vault();
        let origins = Origins::new(&vault);
        for n in 0..2 * MAX_ORIGINS {
            let reply_to = Some(address(&format!("mallory{n}")));
            origins.note(b"a mail", &Origin { signer: None, reply_to }).unwrap();
        }
        let carol = Origin { reply_to: Some(address("carols-answers")), ..signed("carol") };
        origins.note(b"a mail", &carol).unwrap();
        let known = origins.of(b"a mail").unwrap();
        assert_eq!(known.len(), MAX_ORIGINS);
        assert_eq!(signers(&known), [&address("carol")]);
        assert_eq!(reply_addresses(&known), [&address("carols-answers")]);
    }

    #[test]
    fn the_oldest_are_forgotten_and_a_damaged_file_is_begun_anew() {
        let (_directory, vault) = vault();
        let origins = Origins::new(&vault);
        // Mails whose digests begin alike.
        let alike = |n: &u32| Sha256::digest(n.to_le_bytes()).first() == Some(&0);
        let mails: Vec<[u8; 4]> =
            (0..).filter(alike).take(MAX_MAILS + 1).map(u32::to_le_bytes).collect();
        for mail in &mails {
            origins.note(mail, &signed("alice")).unwrap();
        }
        assert!(origins.of(&mails[0]).unwrap().is_empty());
        assert_eq!(origins.of(&mails[1]).unwrap(), [signed("alice")]);
        vault.write("origin-00", b"not a list").unwrap();
        assert!(origins.of(&mails[1]).unwrap().is_empty());
        origins.note(&mails[1], &signed("alice")).unwrap();
        assert_eq!(origins.of(&mails[1]).unwrap(), [signed("alice")]);
    }

    #[test]
    fn the_longest_addresses_fit() {
        let (_directory, vault) = vault();
        let long = address(&"a".repeat(64));
        let origin = Origin { signer: Some(long.clone()), reply_to: Some(long) };
        Origins::new(&vault).note(b"a mail", &origin).unwrap();
        assert!(wire::encode(&origin).len() <= 1_024);
    }
}
