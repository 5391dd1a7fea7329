//! Which time things age by: the wall clock, unless it leaps.
//!
//! What is due is deleted, so a clock that is wrong by a month would delete everything. A leap of more than
//! [`LEAP`] beyond the time that has passed, while the node runs or since it noted the time before it was stopped,
//! is therefore doubted for [`GRACE`]: things age as before, by the time that passes. If the clock still says so
//! then, it is believed. A node that was off for longer waits as long, which costs it disk alone.

use std::time::{Duration, Instant};

/// How far the clock may be ahead of the time that has passed, seconds.
const LEAP: u64 = 86_400;
/// How long a clock that leapt is doubted.
const GRACE: Duration = Duration::from_secs(3 * 86_400);

/// The time by which things age.
#[derive(Debug, Default)]
pub(super) struct Ageing {
    /// The time that was believed last, unix seconds, and when that was.
    believed: Option<(u64, Option<Instant>)>,
    /// Since when the clock is doubted, and what it said then.
    doubted: Option<(Instant, u64)>,
}

impl Ageing {
    /// Begins with the time, unix seconds, that was noted before the node was stopped.
    pub(super) fn since(noted: Option<u64>) -> Self {
        Self { believed: noted.map(|noted| (noted, None)), doubted: None }
    }

    /// The time to age by, unix seconds, where the clock says `wall` at the moment `at`.
    pub(super) fn at(&mut self, wall: u64, at: Instant) -> u64 {
        let passed = match self.believed {
            None => wall,
            Some((believed, None)) => believed,
            Some((believed, Some(then))) => after(believed, then, at),
        };
        let time = if self.believe(wall, passed, at) { wall } else { passed };
        self.believed = Some((time, Some(at)));
        time
    }

    /// Whether the clock is to be believed, where it is `passed` by the time that has passed.
    fn believe(&mut self, wall: u64, passed: u64, at: Instant) -> bool {
        if wall <= passed.saturating_add(LEAP) {
            self.doubted = None;
            return true;
        }
        if let Some((since, said)) = self.doubted
            && wall <= after(said, since, at).saturating_add(LEAP)
        {
            return at.saturating_duration_since(since) >= GRACE;
        }
        self.doubted = Some((at, wall));
        let (ahead, grace) = (wall.saturating_sub(passed), GRACE.as_secs());
        tracing::warn!(
            ahead,
            grace,
            "the clock has leapt ahead (seconds); nothing is deleted by it until it has stayed so"
        );
        false
    }
}

/// `time` and what has passed from `then` to `at`, unix seconds.
fn after(time: u64, then: Instant, at: Instant) -> u64 {
    time.saturating_add(at.saturating_duration_since(then).as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    /// A moment so many seconds after the first one.
    fn later(first: Instant, seconds: u64) -> Instant {
        first + Duration::from_secs(seconds)
    }

    #[test]
    fn a_clock_that_goes_on_is_believed() {
        let first = Instant::now();
        let mut ageing = Ageing::since(None);
        for step in 0..100 {
            // It runs a little fast, and is set back once.
            let wall = 1_000_000 + step * 700 - if step > 50 { 5_000 } else { 0 };
            assert_eq!(ageing.at(wall, later(first, step * 600)), wall);
        }
    }

    #[test]
    fn a_leap_of_a_month_deletes_nothing_for_days_and_is_believed_in_the_end() {
        let first = Instant::now();
        let mut ageing = Ageing::since(Some(1_000_000));
        assert_eq!(ageing.at(1_000_600, first), 1_000_600);
        let leapt = |passed: u64| 1_000_600 + 30 * DAY + passed;
        // It is seen to have leapt after 600 seconds.
        for passed in (600..600 + 3 * DAY).step_by(600) {
            let time = ageing.at(leapt(passed), later(first, passed));
            assert_eq!(time, 1_000_600 + passed, "time passes as before");
        }
        let passed = 3 * DAY + 600;
        assert_eq!(ageing.at(leapt(passed), later(first, passed)), leapt(passed));
    }

    #[test]
    fn a_leap_that_is_put_right_leaves_no_trace() {
        let first = Instant::now();
        let mut ageing = Ageing::since(None);
        assert_eq!(ageing.at(1_000_000, first), 1_000_000);
        for passed in [600, 1_200] {
            let time = ageing.at(1_000_000 + 60 * DAY, later(first, passed));
            assert_eq!(time, 1_000_000 + passed);
        }
        assert_eq!(ageing.at(1_001_800, later(first, 1_800)), 1_001_800);
        // Another one begins the waiting anew.
        let late = later(first, 3 * DAY + 1_800);
        assert_eq!(ageing.at(1_001_800 + 3 * DAY, late), 1_001_800 + 3 * DAY);
        assert!(ageing.at(1_000_000 + 90 * DAY, later(late, 600)) < 1_000_000 + 4 * DAY);
    }

    #[test]
    fn a_second_leap_during_the_doubt_is_doubted_for_as_long() {
        let first = Instant::now();
        let mut ageing = Ageing::since(None);
        ageing.at(1_000_000, first);
        ageing.at(1_000_000 + 5 * DAY, later(first, 600));
        let second = later(first, 2 * DAY);
        assert_eq!(ageing.at(1_000_000 + 60 * DAY, second), 1_000_000 + 2 * DAY);
        let time = ageing.at(1_000_000 + 62 * DAY, later(second, 2 * DAY));
        assert_eq!(time, 1_000_000 + 4 * DAY);
        let time = ageing.at(1_000_000 + 64 * DAY, later(second, 4 * DAY));
        assert_eq!(time, 1_000_000 + 64 * DAY);
    }

    #[test]
    fn a_node_that_was_off_for_two_months_waits_before_it_deletes() {
        let first = Instant::now();
        let mut ageing = Ageing::since(Some(1_000_000));
        assert_eq!(ageing.at(1_000_000 + 60 * DAY, first), 1_000_000);
        let time = ageing.at(1_000_000 + 63 * DAY, later(first, 3 * DAY));
        assert_eq!(time, 1_000_000 + 63 * DAY);
        // Off for less than a day, it goes on at once.
        let mut ageing = Ageing::since(Some(1_000_000));
        assert_eq!(ageing.at(1_000_000 + DAY, first), 1_000_000 + DAY);
    }
}
