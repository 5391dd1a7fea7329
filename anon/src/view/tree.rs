//! The Merkle tree of RFC 9162, section 2.1.

use serde::{Deserialize, Serialize};

use crate::hex::debug_as_short_hex;

/// A tree's root, 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Root(pub [u8; 32]);
debug_as_short_hex!(Root);
