//! Which views a handshake may name: a node accepts the latest one, and for a short time the one before it.
//!
//! All nodes keep to the same rule, so that an agent that is late is not told from others by who still takes it. Until
//! the view of a new epoch is there, the one before serves on; once it is there, agents have [`OVERLAP`] seconds from
//! the beginning of its epoch to get it.

use std::cmp::Ordering;

use super::keys::SERVES;
use crate::time::{Epoch, Time};

/// For how long the view before is accepted, seconds from the beginning of the epoch of the latest one; an epoch's tenth
/// where that is less.
pub const OVERLAP: u64 = 600;

/// Whether a node whose latest view is of the epoch `latest` accepts, at this moment, a handshake that names the view of
/// the epoch `named`. An epoch has `epoch_seconds`.
#[must_use]
pub fn is_accepted(named: Epoch, latest: Epoch, epoch_seconds: u64, now: Time) -> bool {
    let is_served = now < named.after(SERVES + 1).begins(epoch_seconds);
    is_served
        && match named.cmp(&latest) {
            Ordering::Less => {
                now < latest.begins(epoch_seconds).after(OVERLAP.min(epoch_seconds / 10))
            }
            Ordering::Equal => true,
            Ordering::Greater => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seconds from the beginning of epoch 100 at which a view is accepted, of those that are asked about.
    fn accepted(named: u64, latest: u64, length: u64, asked: &[i64]) -> Vec<i64> {
        let at = |second: i64| Time((100 * length).checked_add_signed(second).unwrap());
        let is = |second: &i64| is_accepted(Epoch(named), Epoch(latest), length, at(*second));
        asked.iter().copied().filter(is).collect()
    }

    #[test]
    fn the_view_before_is_accepted_for_ten_minutes_or_an_epochs_tenth() {
        let asked = [-1, 0, 599, 600, 86_399];
        assert_eq!(accepted(99, 100, 86_400, &asked), [-1, 0, 599]);
        assert_eq!(accepted(100, 100, 86_400, &asked), asked);
        for (length, overlap) in [(6_010, 600), (6_000, 600), (5_999, 599), (20, 2), (9, 0)] {
            let asked = [-1, overlap - 1, overlap];
            assert_eq!(accepted(99, 100, length, &asked), asked[..2], "{length}");
        }
    }

    #[test]
    fn until_the_next_view_is_there_the_last_one_serves_on_for_three_epochs() {
        let asked = [0, 599, 600, 399_999, 400_000];
        assert_eq!(accepted(100, 100, 100_000, &asked), asked[..4]);
        assert_eq!(accepted(99, 99, 100_000, &[299_999, 300_000]), [299_999]);
        // A view that comes late ends that at once, and one after several without any as well.
        assert_eq!(accepted(99, 100, 100_000, &[599, 600, 50_000]), [599]);
        assert_eq!(accepted(97, 100, 100_000, &[599, 600]), [599]);
        assert_eq!(accepted(96, 100, 100_000, &[-1, 0]), [-1]);
    }

    #[test]
    fn a_view_that_is_signed_before_its_epoch_begins_is_accepted_and_so_is_the_present_one() {
        let asked = [-50, -1, 0];
        assert_eq!(accepted(100, 100, 86_400, &asked), asked);
        assert_eq!(accepted(99, 100, 86_400, &asked), asked);
        // What is not there is not accepted, whoever asks.
        assert_eq!(accepted(101, 100, 86_400, &asked), []);
    }

    #[test]
    fn epochs_beyond_all_numbers_are_no_trouble() {
        for named in [0, u64::MAX] {
            for latest in [0, u64::MAX] {
                let is = is_accepted(Epoch(named), Epoch(latest), u64::MAX, Time(1));
                assert_eq!(is, named <= latest, "{named} {latest}");
            }
        }
    }
}
