//! Parts of mails as they came, sealed in the vault, until the mail is whole: a mail of sixteen parts that needs
//! several readings goes on where it was.
//!
//! They are kept as the nodes had them, so that without the notification, which has their keys, nobody can open
//! them, the owner of the vault included. The names of the files are random: whoever has the disk cannot compare them
//! with what nodes store.
//!
//! ```text
//! parts          sealed: which file has which part
//! part-<hex>     sealed: a part
//! ```

use std::collections::BTreeMap;

use anon::{request::MAX_OBJECT, time::Time, wire};
use serde::{Deserialize, Serialize};

use super::Digest;
use crate::{error::AgentError, sealed, vault::Vault};

/// Bytes of parts that are kept: three of the longest mails.
const MAX_KEPT: usize = 48 << 20;
/// How long a part is kept, seconds: a week.
const KEPT_FOR: u64 = 7 * 86_400;
/// What the names of the sealed files begin with.
const PART: &str = "part-";
/// The sealed file that says what is where. It can be made anew: without it parts are fetched again.
const INDEX: &str = "parts";
/// More than the index takes, bytes.
const MAX_INDEX: usize = 1 << 20;
/// The most parts in it.
const MAX_PARTS: usize = 4_096;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Kept {
    name: String,
    size: u64,
    since: Time,
}

/// The parts that are kept.
pub(super) struct Parts<'a> {
    vault: &'a Vault,
    kept: BTreeMap<Digest, Kept>,
}

impl<'a> Parts<'a> {
    /// Reads which parts there are, and removes what is too old or belongs to nothing.
    ///
    /// # Errors
    /// [`AgentError::Vault`] if the disk fails.
    pub(super) fn read(vault: &'a Vault, now: Time) -> Result<Self, AgentError> {
        let costs = "parts of long mails are fetched once more";
        let kept: Vec<(Digest, Kept)> = sealed::read_or_new(vault, INDEX, MAX_INDEX, costs)?;
        let is_fresh = |kept: &Kept| now.0.saturating_sub(kept.since.0) < KEPT_FOR;
        let kept = kept.into_iter().filter(|(_, kept)| is_fresh(kept)).collect();
        let parts = Self { vault, kept };
        for name in vault.list(PART)? {
            if !parts.kept.values().any(|kept| kept.name == name) {
                vault.forget(&name)?;
            }
        }
        Ok(parts)
    }

    /// The part with this digest, if it is here.
    pub(super) fn get(&self, digest: &Digest) -> Option<Vec<u8>> {
        let kept = self.kept.get(digest)?;
        self.vault.read(&kept.name).ok().map(|bytes| bytes.to_vec())
    }

    /// Keeps a part; the oldest ones make room.
    ///
    /// # Errors
    /// [`AgentError::Vault`].
    pub(super) fn keep(
        &mut self,
        digest: Digest,
        part: &[u8],
        now: Time,
    ) -> Result<(), AgentError> {
        if self.kept.contains_key(&digest) || part.len() > MAX_OBJECT {
            return Ok(());
        }
        let size = u64::try_from(part.len()).unwrap_or(u64::MAX);
        while self.size().saturating_add(size) > u64::try_from(MAX_KEPT).unwrap_or(u64::MAX)
            || self.kept.len() >= MAX_PARTS
        {
            let oldest = self.kept.iter().min_by_key(|(_, kept)| kept.since);
            let Some(oldest) = oldest.map(|(digest, _)| *digest) else { break };
            self.forget(&oldest)?;
        }
        let name = format!("{PART}{}", data_encoding::HEXLOWER.encode(&rand::random::<[u8; 8]>()));
        self.vault.write(&name, part)?;
        self.kept.insert(digest, Kept { name, size, since: now });
        self.write()
    }

    /// Forgets a part.
    ///
    /// # Errors
    /// [`AgentError::Vault`].
    pub(super) fn forget(&mut self, digest: &Digest) -> Result<(), AgentError> {
        let Some(kept) = self.kept.remove(digest) else { return Ok(()) };
        self.vault.forget(&kept.name)?;
        self.write()
    }

    fn size(&self) -> u64 {
        self.kept.values().map(|kept| kept.size).fold(0, u64::saturating_add)
    }

    fn write(&self) -> Result<(), AgentError> {
        let kept: Vec<(&Digest, &Kept)> = self.kept.iter().collect();
        Ok(self.vault.write(INDEX, &wire::encode(&kept))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::{KdfCost, Passphrase};

    const NOW: Time = Time(1_800_000_000);

    #[test]
    fn parts_are_kept_within_their_bounds_and_for_a_week() {
        let root = tempfile::tempdir().unwrap();
        let passphrase = Passphrase::new("x".to_owned()).unwrap();
        let vault = Vault::create(root.path(), &passphrase, KdfCost::new(8, 1).unwrap()).unwrap();
        let mut parts = Parts::read(&vault, NOW).unwrap();
        let whole = vec![5; MAX_OBJECT];
        for number in 0..50_u8 {
            parts.keep([number; 32], &whole, NOW.after(number.into())).unwrap();
        }
        assert_eq!(vault.list(PART).unwrap().len(), 48);
        assert_eq!((parts.get(&[0; 32]), parts.get(&[1; 32])), (None, None), "the oldest went");
        assert_eq!(parts.get(&[49; 32]), Some(whole));
        parts.forget(&[49; 32]).unwrap();
        // What a crash left over, and what no index names.
        vault.write("part-0000", b"left over").unwrap();
        let parts = Parts::read(&vault, NOW.after(50)).unwrap();
        assert!(parts.get(&[2; 32]).is_some() && parts.get(&[49; 32]).is_none());
        assert_eq!(vault.list(PART).unwrap().len(), 47);
        assert!(Parts::read(&vault, NOW.after(KEPT_FOR + 50)).unwrap().kept.is_empty());
        vault.write(INDEX, b"nonsense").unwrap();
        assert!(Parts::read(&vault, NOW).unwrap().kept.is_empty());
        assert_eq!(vault.list(PART).unwrap(), Vec::<String>::new());
    }
}
