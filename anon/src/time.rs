//! Time as an argument: seconds since 1970-01-01 UTC, epochs, and spans of validity.

use serde::{Deserialize, Serialize};

/// How far two honest clocks may differ, seconds.
pub const MAX_SKEW: u64 = 300;

/// A moment, seconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Time(pub u64);

impl Time {
    /// The moment `seconds` later, at most the end of time.
    #[must_use]
    pub const fn after(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// The moment `seconds` earlier, at least the epoch.
    #[must_use]
    pub const fn before(self, seconds: u64) -> Self {
        Self(self.0.saturating_sub(seconds))
    }

    /// Whether the two moments are at most [`MAX_SKEW`] apart.
    #[must_use]
    pub const fn is_close_to(self, other: Self) -> bool {
        self.0.abs_diff(other.0) <= MAX_SKEW
    }
}

/// A period of the network's own clock: `time / epoch length`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch before.
    #[must_use]
    pub const fn before(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// Its first second, where each epoch has `seconds`; the end of time for one that never begins.
    #[must_use]
    pub const fn begins(self, seconds: u64) -> Time {
        Time(self.0.saturating_mul(seconds))
    }

    /// The epoch so many epochs later, at most the last one.
    #[must_use]
    pub const fn after(self, epochs: u64) -> Self {
        Self(self.0.saturating_add(epochs))
    }
}

/// From when until when something holds; both ends count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Validity {
    /// The first moment.
    pub not_before: Time,
    /// The last moment.
    pub not_after: Time,
}

/// Where a moment lies with respect to a [`Validity`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timeliness {
    /// More than [`MAX_SKEW`] before the first moment.
    NotYet,
    /// Within, give or take [`MAX_SKEW`].
    Timely,
    /// More than [`MAX_SKEW`] after the last moment.
    Expired,
}

impl Validity {
    /// A span of `seconds` that starts at `from`.
    #[must_use]
    pub const fn starting(from: Time, seconds: u64) -> Self {
        Self { not_before: from, not_after: from.after(seconds) }
    }

    /// Where `now` lies, allowing [`MAX_SKEW`] on both sides.
    #[must_use]
    pub(crate) const fn at(&self, now: Time) -> Timeliness {
        if now.after(MAX_SKEW).0 < self.not_before.0 {
            Timeliness::NotYet
        } else if now.before(MAX_SKEW).0 > self.not_after.0 {
            Timeliness::Expired
        } else {
            Timeliness::Timely
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validity_allows_five_minutes_of_skew_and_no_more() {
        let v = Validity::starting(Time(10_000), 1_000);
        assert_eq!(v.at(Time(9_699)), Timeliness::NotYet);
        assert_eq!(v.at(Time(9_700)), Timeliness::Timely);
        assert_eq!(v.at(Time(11_300)), Timeliness::Timely);
        assert_eq!(v.at(Time(11_301)), Timeliness::Expired);
    }
}
