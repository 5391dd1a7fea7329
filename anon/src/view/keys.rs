//! A node's channel keys, one for each view that it stated itself for, for as long as they live.
//!
//! A key belongs to one view. It is on the disk, sealed, before the node states it, so that a node that starts again goes
//! on with the same key: to keepers two keys for one view are two faces, and to senders a key that is gone is a node that
//! is gone. It is destroyed when the view after the next one is signed, or, if there are no views any more, when the last
//! one has served for [`SERVES`] epochs beyond its own.
//!
//! The sealed file is `version ‖ nonce (24) ‖ secretbox`. The box holds, for each view, its epoch, the key's seed and the
//! node's statement.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use super::statement::MAX_STATEMENT;
use crate::{
    hex::debug_as_name,
    id::NetworkId,
    keys::{ChannelSecret, DerivedKey, IdentitySecret},
    labels, secretbox,
    time::Epoch,
    wire::{self, WireError},
};

/// For how many epochs beyond its own a view serves where no later one is signed.
pub const SERVES: u64 = 3;
/// The most keys that live at once: of a view that is still to be signed, and of those that may serve.
pub const MAX_KEYS: usize = 8;
/// The version of the sealed file.
pub const KEYS_VERSION: u8 = 1;
/// The longest sealed file, bytes.
pub const MAX_SEALED: usize =
    1 + NONCE + secretbox::TAG + 1 + MAX_KEYS * (9 + 33 + 3 + MAX_STATEMENT);
const NONCE: usize = 24;

/// A file that does not hold this node's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ViewKeysError {
    /// Made by software that this one does not understand.
    #[error("unknown version of a node's channel keys: {0}")]
    UnknownVersion(u8),
    /// Damaged, or another node's.
    #[error("the node's channel keys do not open")]
    Open,
    /// What was sealed is no list of keys.
    #[error(transparent)]
    Wire(#[from] WireError),
}

/// What seals a node's channel keys: it follows from the node's identity.
pub struct KeysSeal(DerivedKey);

debug_as_name!(KeysSeal);

impl KeysSeal {
    /// `HKDF(salt: network, secret: the identity's seed, label)`.
    #[must_use]
    pub fn of(identity: &IdentitySecret, network: &NetworkId) -> Self {
        Self(identity.derive(&network.0, labels::VIEW_KEYS, b""))
    }
}

/// A key, and the statement that names it.
#[derive(Debug)]
pub struct ViewKey {
    /// The secret half.
    pub secret: ChannelSecret,
    /// The encoded statement.
    pub statement: Vec<u8>,
}

/// A node's channel keys by the epoch of their view.
#[derive(Debug, Default)]
pub struct ViewKeys(BTreeMap<Epoch, ViewKey>);

#[derive(Serialize, Deserialize)]
struct Stored {
    epoch: Epoch,
    seed: [u8; 32],
    #[serde(with = "serde_bytes")]
    statement: Vec<u8>,
}

impl Drop for Stored {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.seed);
    }
}

impl ViewKeys {
    /// The key of a view's epoch.
    #[must_use]
    pub fn get(&self, epoch: Epoch) -> Option<&ViewKey> {
        self.0.get(&epoch)
    }

    /// Adds the key of a view, unless there is one: a node states one key for each.
    pub fn insert(&mut self, epoch: Epoch, key: ViewKey) {
        self.0.entry(epoch).or_insert(key);
        while self.0.len() > MAX_KEYS {
            self.0.pop_first();
        }
    }

    /// Takes the key of a view away.
    pub fn remove(&mut self, epoch: Epoch) {
        self.0.remove(&epoch);
    }

    /// Destroys the keys whose time is over in the epoch `present`, where `signed` is the latest view that a quorum signed:
    /// how many those were.
    pub fn expire(&mut self, present: Epoch, signed: Option<Epoch>) -> usize {
        let before = self.0.len();
        self.0.retain(|of, _| {
            let is_followed = signed.is_some_and(|signed| signed.0 >= of.0.saturating_add(2));
            let is_old = present.0 > of.0.saturating_add(SERVES);
            !is_followed && !is_old
        });
        before.saturating_sub(self.0.len())
    }

    /// The sealed file, at most [`MAX_SEALED`] bytes. A nonce is used once.
    #[must_use]
    pub fn seal(&self, seal: &KeysSeal, nonce: &[u8; NONCE]) -> Vec<u8> {
        let stored: Vec<Stored> = self
            .0
            .iter()
            .map(|(epoch, key)| Stored {
                epoch: *epoch,
                seed: key.secret.expose_seed(),
                statement: key.statement.clone(),
            })
            .collect();
        let plain = Zeroizing::new(wire::encode(&stored));
        let mut bytes = vec![KEYS_VERSION];
        bytes.extend(nonce);
        bytes.extend(secretbox::seal(&seal.0.0, nonce, &plain));
        bytes
    }

    /// Opens a sealed file.
    ///
    /// # Errors
    /// [`ViewKeysError`].
    pub fn open(seal: &KeysSeal, bytes: &[u8]) -> Result<Self, ViewKeysError> {
        let (&version, rest) = bytes.split_first().ok_or(ViewKeysError::Open)?;
        if version != KEYS_VERSION {
            return Err(ViewKeysError::UnknownVersion(version));
        }
        let (nonce, sealed) = rest.split_first_chunk().ok_or(ViewKeysError::Open)?;
        let plain = secretbox::open(&seal.0.0, nonce, sealed).map_err(|_| ViewKeysError::Open)?;
        let stored: Vec<Stored> = wire::decode(&Zeroizing::new(plain), MAX_SEALED)?;
        let mut keys = Self::default();
        for mut one in stored {
            let secret = ChannelSecret::from_seed(&one.seed);
            let statement = std::mem::take(&mut one.statement);
            keys.insert(one.epoch, ViewKey { secret, statement });
        }
        Ok(keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NETWORK: NetworkId = NetworkId([7; 32]);

    fn seal_of(node: u8) -> KeysSeal {
        KeysSeal::of(&IdentitySecret::from_seed(&[node; 32]), &NETWORK)
    }

    fn keys(epochs: std::ops::RangeInclusive<u64>) -> ViewKeys {
        let mut keys = ViewKeys::default();
        for epoch in epochs {
            let number = u8::try_from(epoch).unwrap();
            let secret = ChannelSecret::from_seed(&[number; 32]);
            keys.insert(Epoch(epoch), ViewKey { secret, statement: vec![number; 200] });
        }
        keys
    }

    fn epochs(keys: &ViewKeys) -> Vec<u64> {
        keys.0.keys().map(|epoch| epoch.0).collect()
    }

    #[test]
    fn a_key_is_destroyed_when_the_view_after_the_next_is_signed() {
        let mut all = keys(5..=8);
        assert_eq!(all.expire(Epoch(7), Some(Epoch(6))), 0);
        assert_eq!(all.expire(Epoch(7), Some(Epoch(7))), 1);
        assert_eq!(epochs(&all), [6, 7, 8]);
        assert_eq!(all.expire(Epoch(8), Some(Epoch(8))), 1);
        assert_eq!(epochs(&all), [7, 8]);
    }

    #[test]
    fn without_views_a_key_lives_for_three_epochs_beyond_its_own() {
        let mut all = keys(5..=5);
        for present in 5..=8 {
            assert_eq!(all.expire(Epoch(present), Some(Epoch(5))), 0, "{present}");
        }
        assert_eq!(all.expire(Epoch(9), Some(Epoch(5))), 1);
        let mut never = keys(5..=5);
        assert_eq!(never.expire(Epoch(8), None), 0);
        assert_eq!(never.expire(Epoch(9), None), 1);
    }

    #[test]
    fn a_second_key_of_one_view_is_not_taken_and_old_ones_make_room() {
        let mut all = keys(5..=5);
        let first = all.get(Epoch(5)).unwrap().secret.agreement_key();
        let other = ChannelSecret::from_seed(&[99; 32]);
        all.insert(Epoch(5), ViewKey { secret: other, statement: Vec::new() });
        assert_eq!(all.get(Epoch(5)).unwrap().secret.agreement_key(), first);
        assert_eq!(epochs(&keys(1..=20)), (13..=20).collect::<Vec<_>>());
    }

    #[test]
    fn a_key_that_is_taken_away_makes_room_for_another() {
        let mut all = keys(5..=6);
        all.remove(Epoch(5));
        assert_eq!(epochs(&all), [6]);
    }

    #[test]
    fn a_sealed_file_opens_for_its_node_in_its_network_alone() {
        let (all, seal) = (keys(1..=8), seal_of(1));
        let bytes = all.seal(&seal, &[3; NONCE]);
        assert!(bytes.len() <= MAX_SEALED);
        let read = ViewKeys::open(&seal, &bytes).unwrap();
        assert_eq!(epochs(&read), epochs(&all));
        for epoch in 1..=8 {
            let [one, other] = [&all, &read].map(|keys| keys.get(Epoch(epoch)).unwrap());
            assert_eq!(one.secret.agreement_key(), other.secret.agreement_key());
            assert_eq!(one.statement, other.statement);
        }
        assert_eq!(ViewKeys::open(&seal_of(2), &bytes).unwrap_err(), ViewKeysError::Open);
        let elsewhere = KeysSeal::of(&IdentitySecret::from_seed(&[1; 32]), &NetworkId([8; 32]));
        assert_eq!(ViewKeys::open(&elsewhere, &bytes).unwrap_err(), ViewKeysError::Open);
        for at in 1..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert_eq!(ViewKeys::open(&seal, &bad).unwrap_err(), ViewKeysError::Open, "{at}");
        }
        for length in 0..NONCE + 2 {
            assert!(ViewKeys::open(&seal, &bytes[..length]).is_err());
        }
        let mut later = bytes;
        later[0] = 2;
        assert_eq!(ViewKeys::open(&seal, &later).unwrap_err(), ViewKeysError::UnknownVersion(2));
    }

    #[test]
    fn a_seed_stands_nowhere_in_the_sealed_file() {
        let bytes = keys(1..=3).seal(&seal_of(1), &[3; NONCE]);
        assert!(!bytes.windows(32).any(|window| window.iter().all(|byte| *byte == window[0])));
    }
}
