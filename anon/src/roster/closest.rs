//! The nodes closest to a position, without looking at all others: positions that share ever fewer leading bits
//! with the target are ever farther from it, and lie in one range for each number of bits.

use std::{cmp::Ordering, collections::BTreeMap, ops::RangeInclusive};

use super::Entry;
use crate::{certificate::NodeCertificate, position::Position};

/// The `count` entries closest to `target` of those that `keep` takes, closest first.
pub(super) fn closest(
    entries: &BTreeMap<Position, Entry>,
    target: &Position,
    count: usize,
    keep: impl Fn(&Entry) -> bool,
) -> Vec<NodeCertificate> {
    let mut found: Vec<(&Position, &Entry)> = entries.get_key_value(target).into_iter().collect();
    found.retain(|(_, e)| keep(e));
    let below = entries.range(..target).next_back();
    let above = entries.range(target..).find(|(p, _)| *p != target);
    let neighbours = below.into_iter().chain(above);
    // No other position shares more bits with the target than its neighbours do.
    let most = neighbours.map(|(p, _)| shared_bits(p, target)).max().unwrap_or(0);
    for bit in (0..=most).rev() {
        if found.len() >= count {
            break;
        }
        found.extend(entries.range(beside(target, bit)).filter(|(_, e)| keep(e)));
    }
    found.sort_by_cached_key(|(position, _)| position.distance(target));
    found.into_iter().take(count).map(|(_, e)| e.certificate.clone()).collect()
}

/// How many leading bits two positions have in common.
fn shared_bits(a: &Position, b: &Position) -> usize {
    let mut shared = 0;
    for (a, b) in a.0.iter().zip(&b.0) {
        let same = (a ^ b).leading_zeros();
        shared += usize::try_from(same).unwrap_or(0);
        if same < 8 {
            break;
        }
    }
    shared
}

/// The positions that share exactly `bit` leading bits with the target.
fn beside(target: &Position, bit: usize) -> RangeInclusive<Position> {
    let (mut low, mut high) = (target.0, target.0);
    let mask = 0x80_u8 >> (bit % 8);
    for (index, (low, high)) in low.iter_mut().zip(&mut high).enumerate() {
        match index.cmp(&(bit / 8)) {
            Ordering::Less => {}
            Ordering::Equal => {
                let (below, flipped) = (mask - 1, *low ^ mask);
                (*low, *high) = (flipped & !below, flipped | below);
            }
            Ordering::Greater => (*low, *high) = (0, u8::MAX),
        }
    }
    Position(low)..=Position(high)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A position of zeros but for one byte.
    fn position(index: usize, byte: u8) -> Position {
        let mut bytes = [0; 32];
        bytes[index] = byte;
        Position(bytes)
    }

    #[test]
    fn bits_are_shared_up_to_the_first_that_differs() {
        let zero = Position([0; 32]);
        for (other, shared) in [
            (position(0, 0x80), 0),
            (position(0, 0x01), 7),
            (position(1, 0xFF), 8),
            (position(31, 0x01), 255),
            (zero, 256),
        ] {
            assert_eq!(shared_bits(&zero, &other), shared);
        }
        // What comes after that says nothing.
        assert_eq!(shared_bits(&Position([0xFF; 32]), &position(0, 0xF0)), 4);
    }

    #[test]
    fn what_lies_beside_a_position_shares_exactly_so_many_bits_with_it() {
        let target = Position([0b0101_1010; 32]);
        for bit in 0..256 {
            let (low, high) = beside(&target, bit).into_inner();
            assert_eq!((shared_bits(&target, &low), shared_bits(&target, &high)), (bit, bit));
            let free = 255 - bit;
            let mut last = low;
            for bit in 256 - free..256 {
                last.0[bit / 8] |= 0x80 >> (bit % 8);
            }
            assert_eq!(last, high, "{bit}: all that follow the bit are free");
        }
    }
}
