//! The clock: read here and nowhere else. A node and an agent are given one, so that a test can give them its own.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use anon::{keeper::schedule::Moment, time::Time};
use tokio::sync::watch;

/// How long one sleeps at most before one looks at the clock again: somebody may have set it.
const LOOK: Duration = Duration::from_secs(1);

/// Where a node or an agent takes the time from, in seconds since 1970, or in milliseconds.
#[derive(Clone, Debug, Default)]
pub struct Clock(Source);

#[derive(Clone, Debug, Default)]
enum Source {
    /// This machine's clock.
    #[default]
    System,
    /// One that is set by hand; all copies show the same time, in milliseconds.
    ByHand(Arc<watch::Sender<u64>>),
}

impl Clock {
    /// A clock that stands still until it is set.
    #[must_use]
    pub fn stopped_at(time: Time) -> Self {
        let (sender, _) = watch::channel(Moment::at(time).0);
        Self(Source::ByHand(Arc::new(sender)))
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Time {
        match &self.0 {
            Source::System => now(),
            Source::ByHand(milliseconds) => Time(*milliseconds.borrow() / 1_000),
        }
    }

    /// The time now, to the millisecond.
    #[must_use]
    pub fn moment(&self) -> Moment {
        match &self.0 {
            Source::System => Moment(since_1970().try_into().unwrap_or(u64::MAX)),
            Source::ByHand(milliseconds) => Moment(*milliseconds.borrow()),
        }
    }

    /// Waits until it is a moment, or later. A clock that is set meanwhile is noticed within a second.
    pub async fn reach(&self, moment: Moment) {
        match &self.0 {
            Source::System => loop {
                let left = moment.0.saturating_sub(self.moment().0);
                if left == 0 {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(left).min(LOOK)).await;
            },
            Source::ByHand(milliseconds) => {
                // It cannot end before this clock does.
                let _ = milliseconds.subscribe().wait_for(|shown| *shown >= moment.0).await;
            }
        }
    }

    /// Sets a clock that stands still, and all its copies; this machine's clock is nobody's to set.
    pub fn set(&self, time: Time) {
        self.set_to(Moment::at(time));
    }

    /// As [`Self::set`], to the millisecond.
    pub fn set_to(&self, moment: Moment) {
        if let Source::ByHand(milliseconds) = &self.0 {
            milliseconds.send_replace(moment.0);
        }
    }
}

/// The time by this machine's clock.
#[must_use]
pub fn now() -> Time {
    Time((since_1970() / 1_000).try_into().unwrap_or(u64::MAX))
}

/// Milliseconds since 1970 by this machine's clock.
fn since_1970() -> u128 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis())
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

    #[tokio::test]
    async fn who_waits_for_a_moment_goes_on_when_the_clock_shows_it() {
        let clock = Clock::stopped_at(Time(7));
        clock.reach(Moment(7_000)).await;
        let waiting = tokio::spawn({
            let clock = clock.clone();
            async move {
                clock.reach(Moment(7_500)).await;
                clock.moment()
            }
        });
        clock.set_to(Moment(7_499));
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        clock.set_to(Moment(8_250));
        assert_eq!(waiting.await.unwrap(), Moment(8_250));
        assert_eq!(clock.now(), Time(8));
        let machine = Clock::default();
        let soon = machine.moment().after(5);
        machine.reach(soon).await;
        assert!(machine.moment() >= soon);
    }
}
