//! Whether streams over Tor still come about. arti says of a client that has once been connected that it is, for ever: so
//! what becomes of each dial is noted here.

use std::time::Duration;

use arti_client::ErrorKind;
use parking_lot::Mutex;
use tokio::time::Instant;

/// What became of the dials since the last one that got through Tor: when the first and the last of them failed. A time
/// without any dial says nothing.
#[derive(Debug, Default)]
pub(crate) struct Health(Mutex<Option<(Instant, Instant)>>);

impl Health {
    pub(crate) fn succeeded(&self) {
        self.forget();
    }

    /// Begins anew: what failed before does not count.
    pub(crate) fn forget(&self) {
        *self.0.lock() = None;
    }

    /// Notes why a dial failed. What a far side says has come through Tor; what depends on who is dialled says nothing.
    pub(crate) fn failed(&self, kind: ErrorKind) {
        if is_said_by_far_side(kind) {
            self.succeeded();
        } else if !is_about_far_side(kind) {
            let mut failures = self.0.lock();
            let now = Instant::now();
            let first = failures.map_or(now, |(first, _)| first);
            *failures = Some((first, now));
        }
    }

    /// For how long all dials have failed.
    pub(crate) fn failing_for(&self) -> Option<Duration> {
        let failures = self.0.lock();
        failures.map(|(first, last)| last.duration_since(first))
    }
}

const fn is_said_by_far_side(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ExitPolicyRejected
            | ErrorKind::OnionServiceNotFound
            | ErrorKind::RemoteConnectionRefused
            | ErrorKind::RemoteHostNotFound
            | ErrorKind::RemoteNetworkFailed
    )
}

const fn is_about_far_side(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ExitTimeout
            | ErrorKind::ForbiddenStreamTarget
            | ErrorKind::InvalidStreamTarget
            | ErrorKind::OnionServiceAddressInvalid
            | ErrorKind::OnionServiceConnectionFailed
            | ErrorKind::OnionServiceNotRunning
            | ErrorKind::OnionServiceProtocolViolation
            | ErrorKind::RemoteNetworkTimeout
            | ErrorKind::RemoteProtocolViolation
            | ErrorKind::RemoteStreamClosed
            | ErrorKind::RemoteStreamError
            | ErrorKind::RemoteStreamReset
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_what_is_tors_own_failure_counts_from_its_first_time_to_its_last() {
        let health = Health::default();
        health.failed(ErrorKind::ForbiddenStreamTarget);
        assert_eq!(health.failing_for(), None);
        health.failed(ErrorKind::TorAccessFailed);
        tokio::time::advance(Duration::from_secs(3)).await;
        health.failed(ErrorKind::CircuitCollapse);
        // Nothing is dialled for a while, and nothing of it is held against Tor.
        tokio::time::advance(Duration::from_secs(600)).await;
        health.failed(ErrorKind::OnionServiceProtocolViolation);
        assert_eq!(health.failing_for(), Some(Duration::from_secs(3)));
        // Who refuses has been reached.
        health.failed(ErrorKind::RemoteConnectionRefused);
        assert_eq!(health.failing_for(), None);
    }
}
