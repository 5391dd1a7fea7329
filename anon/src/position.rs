//! The DHT space (paper, 2.1): 256-bit positions under the XOR metric.
//!
//! An object's *key*, which is what travels, is the SHA-256 of its identifier. libp2p's Kademlia hashes
//! whatever it is asked for once more, so a key's position is SHA-256(key), and a node's position is
//! SHA-256(peer id). Distances are between positions.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::hex::debug_as_short_hex;

/// What is looked up, 32 bytes: an object's key, or a random one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key(pub [u8; 32]);

/// A point of the DHT space, 32 bytes, big-endian.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position(pub [u8; 32]);

/// The XOR distance of two positions; orders like an unsigned 256-bit number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Distance([u8; 32]);

impl Key {
    /// The key of an identifier: a Message-ID, an address, an address and `-certificate`.
    #[must_use]
    pub fn of_identifier(identifier: &str) -> Self {
        Self(Sha256::digest(identifier.as_bytes()).into())
    }

    /// Where in the DHT space it lies.
    #[must_use]
    pub fn position(&self) -> Position {
        Position(Sha256::digest(self.0).into())
    }
}

impl Position {
    /// The distance to another position.
    #[must_use]
    pub fn distance(&self, other: &Self) -> Distance {
        let mut d = [0; 32];
        for (d, (a, b)) in d.iter_mut().zip(self.0.iter().zip(other.0.iter())) {
            *d = a ^ b;
        }
        Distance(d)
    }
}

debug_as_short_hex!(Key, Position);

/// Sorts `items` by their distance to `key` and keeps the `k` closest.
pub fn keep_closest<T>(items: &mut Vec<T>, key: &Key, k: usize, position: impl Fn(&T) -> Position) {
    let target = key.position();
    items.sort_by_cached_key(|item| position(item).distance(&target));
    items.truncate(k);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_key_is_the_sha256_of_the_identifier() {
        // SHA-256("abc"), FIPS 180-4.
        assert_eq!(Key::of_identifier("abc").0[..4], [0xba, 0x78, 0x16, 0xbf]);
    }

    proptest! {
        #[test]
        fn distance_is_a_metric(a: [u8; 32], b: [u8; 32]) {
            let (a, b) = (Position(a), Position(b));
            prop_assert_eq!(a.distance(&b), b.distance(&a));
            prop_assert_eq!(a.distance(&a), Distance([0; 32]));
            prop_assert_eq!(a == b, a.distance(&b) == a.distance(&a));
        }
    }

    #[test]
    fn the_closest_come_first() {
        let key = Key([1; 32]);
        let at = |last: u8| {
            let mut position = key.position();
            position.0[31] ^= last;
            position
        };
        let mut all: Vec<Position> = (0..=255).map(at).collect();
        all.reverse();
        keep_closest(&mut all, &key, 3, |p| *p);
        assert_eq!(all, [at(0), at(1), at(2)]);
    }
}
