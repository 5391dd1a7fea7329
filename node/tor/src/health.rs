//! Whether streams over Tor still come about. arti says of a client that has once been connected that it is, for ever: so
//! what becomes of each dial is noted here.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use arti_client::ErrorKind;
use tokio::time::Instant;

/// Since when no dial has got through Tor.
#[derive(Debug, Default)]
pub(crate) struct Health(Mutex<Option<Instant>>);

impl Health {
    pub(crate) fn succeeded(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Notes a failure, unless it is the far side's: whoever hears of that has got through Tor.
    pub(crate) fn failed(&self, kind: ErrorKind) {
        if !is_far(kind) {
            let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            since.get_or_insert_with(Instant::now);
        }
    }

    /// For how long all dials have failed.
    pub(crate) fn failing_for(&self) -> Option<Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).map(|since| since.elapsed())
    }
}

const fn is_far(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ExitPolicyRejected
            | ErrorKind::ExitTimeout
            | ErrorKind::OnionServiceConnectionFailed
            | ErrorKind::OnionServiceNotFound
            | ErrorKind::OnionServiceNotRunning
            | ErrorKind::RemoteConnectionRefused
            | ErrorKind::RemoteHostNotFound
            | ErrorKind::RemoteNetworkFailed
            | ErrorKind::RemoteNetworkTimeout
            | ErrorKind::RemoteStreamClosed
            | ErrorKind::RemoteStreamError
            | ErrorKind::RemoteStreamReset
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_what_is_not_the_far_sides_doing_counts_and_only_until_something_gets_through() {
        let health = Health::default();
        health.failed(ErrorKind::RemoteConnectionRefused);
        assert_eq!(health.failing_for(), None);
        health.failed(ErrorKind::TorAccessFailed);
        tokio::time::advance(Duration::from_secs(3)).await;
        health.failed(ErrorKind::CircuitCollapse);
        assert_eq!(health.failing_for(), Some(Duration::from_secs(3)));
        health.succeeded();
        assert_eq!(health.failing_for(), None);
    }
}
