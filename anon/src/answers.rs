//! The secrets of a user's addresses for answers, derived from one seed, so that whoever has the seed finds all of them.
//!
//! ```text
//! seed(n, use) = HKDF(seed, salt network id, label ‖ 0x00 ‖ n (4 bytes, big endian) ‖ use (1 byte))
//! use            0: the address's signing secret    1: its sealing secret
//! ```
//! Two of these addresses show nobody that they have one owner.

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{
    id::NetworkId,
    keys::{AddressSecret, DerivedKey, SealingSecret},
    labels,
};

/// The seed of a user's addresses for answers.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct AnswerSeed([u8; 32]);

crate::hex::debug_as_name!(AnswerSeed);

impl AnswerSeed {
    /// The seed with these bytes, fresh randomness once.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The secrets of the address with this number, in this network.
    #[must_use]
    pub fn secrets(&self, network: &NetworkId, number: u32) -> (AddressSecret, SealingSecret) {
        let seed = DerivedKey(self.0);
        let derive = |purpose: u8| {
            let context = [&number.to_be_bytes()[..], &[purpose]].concat();
            seed.derive(&network.0, labels::REPLY_ADDRESS, &context)
        };
        (AddressSecret::from_seed(&derive(0).0), SealingSecret::from_seed(&derive(1).0))
    }
}
