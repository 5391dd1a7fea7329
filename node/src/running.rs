//! Whether a node runs, and what it says of itself while it does, for `cutout node status`.
//!
//! A running node keeps a lock on `running.lock` in its directory, and writes what others may want to know into
//! `running.json`. The lock is for looking at: nothing needs it to start, and whoever looks takes no lock that anything
//! needs.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{clock_check::ClockCheck, status_file};

/// The lock's file.
const LOCK: &str = "running.lock";
/// The file of what the node says.
const FILE: &str = "running.json";
/// How long a node waits for those that are looking.
const LOOKING: Duration = Duration::from_millis(20);

/// What a running node says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningStatus {
    /// By how many seconds its clock is behind most others', if that is too much; negative: ahead. It serves nobody
    /// as long as it is.
    pub clock_behind: Option<i64>,
}

impl RunningStatus {
    /// What the node in this directory says; `None` if none runs there.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn read(directory: &Path) -> io::Result<Option<Self>> {
        let lock = match File::open(directory.join(LOCK)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        match lock.try_lock_shared() {
            Ok(()) => return Ok(None),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
        Ok(Some(status_file::read(&directory.join(FILE))?.unwrap_or_default()))
    }
}

/// A running node's end of it.
#[derive(Debug)]
pub(crate) struct Sign {
    directory: PathBuf,
}

impl Sign {
    /// Forgets what an earlier run said.
    pub(crate) fn new(directory: &Path) -> Self {
        let _ = std::fs::remove_file(directory.join(FILE));
        Self { directory: directory.to_owned() }
    }

    /// Shows that a node runs, for as long as this is not dropped.
    pub(crate) async fn show(directory: PathBuf) {
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        let Ok(lock) = options.open(directory.join(LOCK)) else { return };
        while lock.try_lock().is_err() {
            tokio::time::sleep(LOOKING).await;
        }
        std::future::pending::<()>().await;
    }

    /// Says what is known now.
    pub(crate) fn say(&self, clock: &ClockCheck) {
        let status = RunningStatus { clock_behind: clock.behind() };
        if let Err(error) = status_file::write(&self.directory.join(FILE), &status) {
            tracing::debug!(%error, "what `node status` reads is not written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_looks_sees_whether_a_node_runs_and_stops_none() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let read = || RunningStatus::read(path).unwrap();
        assert_eq!(read(), None);
        let showing = tokio::spawn(Sign::show(path.to_owned()));
        while read().is_none() {
            tokio::task::yield_now().await;
        }
        Sign::new(path).say(&ClockCheck::default());
        assert_eq!(read(), Some(RunningStatus { clock_behind: None }));
        showing.abort();
        let _ = showing.await;
        assert_eq!(read(), None, "what it said is no sign of life");
    }
}
