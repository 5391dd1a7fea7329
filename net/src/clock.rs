//! The clock, read in one place.

use std::time::SystemTime;

use anon::time::Time;

/// The time by this machine's clock.
#[must_use]
pub fn now() -> Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Time(since.map_or(0, |d| d.as_secs()))
}
