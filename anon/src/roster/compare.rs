//! Comparing two rosters, piece by piece: what one tells of its own, and what it makes of another's.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::{Entry, Operator, Roster, Source};
use crate::{
    certificate::{NodeCertificate, UnverifiedNodeCertificate},
    network::Epoch,
    position::Position,
};

/// Pieces in which rosters are compared.
pub const PIECES: usize = 256;
/// The most digests one message of an exchange lists: all of a roster, 800 KB.
pub const MAX_LISTED: usize = super::MAX_NODES;
/// The most certificates one message of an exchange carries: about 80 KB of answer to 2 KiB of question.
pub const MAX_CARRIED: usize = 256;

/// The start of a certificate's SHA-256, for comparing rosters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ShortDigest(pub [u8; 8]);

impl ShortDigest {
    pub(super) fn of(certificate: &NodeCertificate) -> Self {
        Self(certificate.digest().first_chunk().copied().unwrap_or_default())
    }
}

/// The pieces' digests, so that a stranger's question costs no walk through the roster.
#[derive(Clone, Debug, Default)]
pub(super) struct Pieces {
    epoch: Epoch,
    digests: Vec<ShortDigest>,
    /// Which are to be computed again, a flag a piece.
    stale: Vec<bool>,
}

impl Pieces {
    /// What lies at this position has changed.
    pub(super) fn touch(&mut self, position: &Position) {
        if let Some(stale) = self.stale.get_mut(piece_of(position)) {
            *stale = true;
        }
    }
}

impl Roster {
    /// Digests of the pieces of what this member tells: XOR of the certificates' short digests, [`PIECES`] of
    /// them. Only pieces that have changed are computed again, and all of them in a new epoch.
    pub fn pieces(&mut self, now: Epoch) -> Vec<ShortDigest> {
        if self.pieces.epoch != now || self.pieces.digests.len() != PIECES {
            let digests = vec![ShortDigest([0; 8]); PIECES];
            self.pieces = Pieces { epoch: now, digests, stale: vec![true; PIECES] };
        }
        let Pieces { digests, stale, .. } = &mut self.pieces;
        for (piece, (digest, stale)) in digests.iter_mut().zip(stale).enumerate() {
            if std::mem::take(stale) {
                let told = self.entries.range(range_of(piece)).filter(|(_, e)| e.is_told(now));
                *digest = xor(told.map(|(_, e)| e.digest));
            }
        }
        digests.clone()
    }

    /// The digests of all that this member tells in the pieces that differ from `theirs`; at most
    /// [`MAX_LISTED`].
    pub fn differing(&mut self, theirs: &[ShortDigest], now: Epoch) -> Vec<ShortDigest> {
        let mine = self.pieces(now);
        let differing = (0..PIECES).filter(|piece| mine.get(*piece) != theirs.get(*piece));
        let entries = differing.flat_map(|piece| self.entries.range(range_of(piece)));
        let told = entries.map(|(_, e)| e).filter(|e| e.is_told(now));
        told.map(|e| e.digest).take(MAX_LISTED).collect()
    }

    /// Which of the listed certificates this roster has not heard of.
    #[must_use]
    pub fn unknown(&self, listed: &[ShortDigest]) -> Vec<ShortDigest> {
        listed.iter().filter(|d| !self.digests.contains_key(*d)).copied().collect()
    }

    /// The certificates with these digests, or newer ones of the same nodes, as far as this member tells of
    /// them; at most [`MAX_CARRIED`].
    #[must_use]
    pub fn wanted(&self, wanted: &[ShortDigest], now: Epoch) -> Vec<UnverifiedNodeCertificate> {
        let entries = wanted.iter().filter_map(|d| self.entries.get(self.digests.get(d)?));
        let told = entries.filter(|e| e.is_told(now));
        told.map(|e| e.certificate.to_unverified()).take(MAX_CARRIED).collect()
    }

    /// Takes a member's answer as its word for what it lists, and for what this roster told in the pieces that
    /// are alike. `sent` are the pieces that the member compared: where they are no longer this roster's, alike
    /// means nothing. Nor does it for nodes that were not told, which are in no digest.
    pub fn vouch(
        &mut self,
        sent: &[ShortDigest],
        alike: &[bool],
        listed: &[ShortDigest],
        source: &Operator,
        now: Epoch,
    ) {
        let mine = self.pieces(now);
        let same = |p: usize| mine.get(p) == sent.get(p) && alike.get(p).copied().unwrap_or(false);
        let unvouched = |(_, e): &(&Position, &Entry)| !e.is_vouched() && e.is_told(now);
        let pieces = (0..PIECES).filter(|piece| same(*piece));
        let told = pieces.flat_map(|p| self.entries.range(range_of(p)).filter(unvouched));
        let listed = listed.iter().filter_map(|d| self.digests.get(d));
        let vouched: Vec<Position> = told.map(|(p, _)| p).chain(listed).copied().collect();
        let source = Source::Member(source.clone());
        for position in vouched {
            self.add_source(&position, &source, now);
        }
    }
}

fn xor(digests: impl Iterator<Item = ShortDigest>) -> ShortDigest {
    digests.fold(ShortDigest([0; 8]), |mut sum, digest| {
        for (to, from) in sum.0.iter_mut().zip(digest.0) {
            *to ^= from;
        }
        sum
    })
}

/// In which piece a position lies: its first byte.
fn piece_of(position: &Position) -> usize {
    usize::from(position.0.first().copied().unwrap_or(0))
}

/// The positions of a piece.
fn range_of(piece: usize) -> RangeInclusive<Position> {
    let first = u8::try_from(piece).unwrap_or(u8::MAX);
    let (mut low, mut high) = ([0; 32], [u8::MAX; 32]);
    for end in [&mut low, &mut high] {
        if let Some(byte) = end.first_mut() {
            *byte = first;
        }
    }
    Position(low)..=Position(high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_twice_is_none() {
        let digests = |bytes: &[u8]| xor(bytes.iter().map(|byte| ShortDigest([*byte; 8])));
        assert_eq!(digests(&[0b1100, 0b1010]), ShortDigest([0b0110; 8]));
        assert_eq!(digests(&[7, 7]), digests(&[]));
    }
}
