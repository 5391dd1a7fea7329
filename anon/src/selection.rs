//! Drawing the keys of a channel (paper, 4.1). Which nodes they resolve to is the business of a scheme.
//!
//! A selection is a trait so that schemes can be exchanged and simulated at scale with the very code that
//! sends mail.

use rand_core::CryptoRng;

use crate::position::Key;

/// The random keys of one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw {
    /// keyX: the node closest to it becomes the go-between.
    pub go_between: Key,
    /// keyY: the node closest to it becomes the witness.
    pub witness: Key,
    /// keyZ: the node closest to it becomes the far end.
    pub far_end: Key,
}

/// A way to choose the nodes of a channel.
pub trait Selection {
    /// Draws the keys of one channel.
    fn draw<R: CryptoRng>(&self, rng: &mut R) -> Draw;
}

/// Section 4.1 to the letter: three fresh, independent, uniform keys for every channel.
#[derive(Clone, Copy, Debug, Default)]
pub struct Paper;

impl Selection for Paper {
    fn draw<R: CryptoRng>(&self, rng: &mut R) -> Draw {
        let mut key = || {
            let mut bytes = [0; 32];
            rng.fill_bytes(&mut bytes);
            Key(bytes)
        };
        Draw { go_between: key(), witness: key(), far_end: key() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_channel_draws_three_keys_of_its_own() {
        let mut keys = BTreeSet::new();
        for _ in 0..100 {
            let Draw { go_between, witness, far_end } = Paper.draw(&mut rand::rng());
            keys.extend([go_between, witness, far_end]);
        }
        assert_eq!(keys.len(), 300);
    }
}
