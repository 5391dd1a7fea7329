//! The clock: read here and nowhere else. A node and an agent are given one, so that a test can give them its own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use anon::time::Time;

/// Where a node or an agent takes the time from, in seconds since 1970.
#[derive(Clone, Debug, Default)]
pub struct Clock(Source);

#[derive(Clone, Debug, Default)]
enum Source {
    /// This machine's clock.
    #[default]
    System,
    /// One that is set by hand; all copies show the same time.
    ByHand(Arc<AtomicU64>),
}

impl Clock {
    /// A clock that stands still until it is set.
    #[must_use]
    pub fn stopped_at(time: Time) -> Self {
        Self(Source::ByHand(Arc::new(AtomicU64::new(time.0))))
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Time {
        match &self.0 {
            Source::System => now(),
            Source::ByHand(seconds) => Time(seconds.load(Ordering::SeqCst)),
        }
    }

    /// Sets a clock that stands still, and all its copies; this machine's clock is nobody's to set.
    pub fn set(&self, time: Time) {
        if let Source::ByHand(seconds) = &self.0 {
            seconds.store(time.0, Ordering::SeqCst);
        }
    }
}

/// The time by this machine's clock.
#[must_use]
pub fn now() -> Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Time(since.map_or(0, |d| d.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_copies_of_a_stopped_clock_show_what_it_is_set_to() {
        let clock = Clock::stopped_at(Time(7));
        let copy = clock.clone();
        clock.set(Time(9));
        assert_eq!((clock.now(), copy.now()), (Time(9), Time(9)));
    }

    #[test]
    fn the_machines_clock_goes_and_cannot_be_set() {
        let clock = Clock::default();
        clock.set(Time(9));
        assert!(clock.now() > Time(1_700_000_000) && clock.now() <= now());
    }
}
