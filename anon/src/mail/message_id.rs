//! Message-IDs: random, and so silent about the sender.

use std::fmt;

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};

use crate::position::Key;

/// The identifier of one sealed body: 20 random bytes, written `<32 base-32 digits@network>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MessageId(pub [u8; 20]);

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MessageId([scrubbed])")
    }
}

impl MessageId {
    /// Samples a new one.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = [0; 20];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }

    /// Its text in the network of this name.
    #[must_use]
    pub fn to_text(&self, network: &str) -> String {
        format!("<{}@{network}>", data_encoding::BASE32_NOPAD.encode(&self.0).to_ascii_lowercase())
    }

    /// Where the body belongs (Table 1: the Message-ID).
    #[must_use]
    pub fn key(&self, network: &str) -> Key {
        Key::of_identifier(&self.to_text(network))
    }
}
