//! The DHT space (paper, 2.1): 256-bit positions under the XOR metric.
//!
//! An object's position, which the paper calls its *key*, is the SHA-256 of its identifier; a node's
//! position is the SHA-256 of its libp2p peer id, as Kademlia has it.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A point of the DHT space, 32 bytes, big-endian.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position(pub [u8; 32]);

/// The XOR distance of two positions; orders like an unsigned 256-bit number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Distance([u8; 32]);

impl Position {
    /// The position of an identifier: a Message-ID, an address, an address and `-certificate`.
    #[must_use]
    pub fn of_identifier(identifier: &str) -> Self {
        Self(Sha256::digest(identifier.as_bytes()).into())
    }

    /// The distance to another position.
    #[must_use]
    pub fn distance(&self, other: &Self) -> Distance {
        let mut d = [0; 32];
        for (d, (a, b)) in d.iter_mut().zip(self.0.iter().zip(other.0.iter())) {
            *d = a ^ b;
        }
        Distance(d)
    }

    /// The first eight hexadecimal digits, for people to compare.
    #[must_use]
    pub fn short(&self) -> String {
        data_encoding::HEXLOWER.encode(self.0.first_chunk::<4>().unwrap_or(&[0; 4]))
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Position({}…)", self.short())
    }
}

/// Sorts `items` by their distance to `key` and keeps the `k` closest.
pub fn keep_closest<T>(
    items: &mut Vec<T>,
    key: &Position,
    k: usize,
    position: impl Fn(&T) -> Position,
) {
    items.sort_by_key(|item| position(item).distance(key));
    items.truncate(k);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_position_is_the_sha256_of_the_identifier() {
        // SHA-256("abc"), FIPS 180-4.
        assert_eq!(Position::of_identifier("abc").short(), "ba7816bf");
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
        let mut all: Vec<Position> = (0..=255).map(|i| Position([i; 32])).collect();
        keep_closest(&mut all, &Position([7; 32]), 3, |p| *p);
        assert_eq!(all, [Position([7; 32]), Position([6; 32]), Position([5; 32])]);
    }
}
