//! What a keeper has on its disk: what it promised, and its vote.
//!
//! ```text
//! keeper.record     the promise of the latest epoch: on the disk before the signature or the word leaves
//!                   the record │ the first 8 bytes of its SHA-256, so that no flipped bit makes another promise of it
//! keeper-vote.bin   epoch 8 (big-endian) │ the vote for the view of that epoch, as it was sent
//! ```
//! A new keeper begins with a record that promises nothing. So a directory that has another file of a keeper and no record
//! has lost it, and the keeper does not start: with an empty record it could sign a second view of an epoch.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anon::{
    keeper::{
        ballot::Ballot,
        schedule::Moment,
        signing::{Promised, Promises, Record, SigningError},
        vote::Vote,
    },
    network::Epoch,
};
use net::durable;
use thiserror::Error;

use crate::checked::{check, checked};

/// The record's file.
const RECORD: &str = "keeper.record";
/// The vote's file.
const VOTE: &str = "keeper-vote.bin";
/// What tells that a keeper has run here before.
const TRACES: [&str; 2] = [VOTE, "keeper.json"];

/// Why a keeper does not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The record cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// The record is not what was written.
    #[error("{0} is damaged")]
    Damaged(PathBuf),
    /// The record is of another version.
    #[error("{path}: {source}")]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: SigningError,
    },
    /// The record is gone, though this keeper has run before.
    #[error("{0} is gone, though this keeper has run before")]
    Missing(PathBuf),
}

/// A keeper's files.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    directory: PathBuf,
}

impl Disk {
    /// Those in a node's directory.
    pub(crate) fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// What this keeper has promised. Where none has run yet, the record is made.
    ///
    /// # Errors
    /// [`RecordError`].
    pub(crate) fn promises(&self) -> Result<Promises, RecordError> {
        let path = self.path(RECORD);
        match fs::read(&path) {
            Ok(bytes) => match checked(&bytes).map(Record::decode) {
                Some(Ok(record)) => Ok(Promises::new(Some(record))),
                Some(Err(source)) => Err(RecordError::Record { path, source }),
                None => Err(RecordError::Damaged(path)),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if TRACES.iter().any(|name| self.path(name).exists()) {
                    return Err(RecordError::Missing(path));
                }
                self.begin().map_err(|source| RecordError::Io { path, source })
            }
            Err(source) => Err(RecordError::Io { path, source }),
        }
    }

    /// Makes the record of a keeper that has promised nothing but that epoch 0, which has no view, has none.
    fn begin(&self) -> io::Result<Promises> {
        let mut promises = Promises::new(None);
        if let Ok(nothing) = promises.promise_none(Epoch(0), Moment(0)) {
            self.record(&nothing)?;
        }
        Ok(promises)
    }

    /// Puts a promise on the disk, in the place of the one before.
    ///
    /// # Errors
    /// The disk's: the promise must not be kept then.
    pub(crate) fn record<T>(&self, promised: &Promised<T>) -> io::Result<()> {
        let record = promised.record().encode();
        durable::replace(&self.path(RECORD), &[&record[..], &check(&record)].concat())
    }

    /// Puts this keeper's vote on the disk before it is sent: after a restart the same is sent again.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn write_vote(&self, epoch: Epoch, vote: &Vote) -> io::Result<()> {
        let bytes = [&epoch.0.to_be_bytes()[..], &vote.encode()].concat();
        durable::replace(&self.path(VOTE), &bytes)
    }

    /// The vote that this keeper has made on a ballot, if it has.
    pub(crate) fn vote(&self, ballot: &Ballot) -> Option<Vote> {
        let bytes = fs::read(self.path(VOTE)).ok()?;
        let (epoch, vote) = bytes.split_first_chunk()?;
        if u64::from_be_bytes(*epoch) != ballot.epoch().0 {
            return None;
        }
        Vote::decode(vote, ballot).ok()
    }
}

#[cfg(test)]
mod tests {
    use anon::{
        id::NetworkId,
        keeper::vote::Rules,
        testing::views::{Keepers, header},
    };

    use super::*;

    #[test]
    fn a_promise_on_the_disk_binds_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::new(directory.path());
        let mut promises = disk.promises().unwrap();
        let (one, mut other) = (header(7, None), header(7, None));
        other.network_serial += 1;
        disk.record(&promises.promise_view(one).unwrap()).unwrap();
        let mut again = disk.promises().unwrap();
        assert!(again.promise_view(one).is_ok());
        let refused = again.promise_view(other).unwrap_err();
        assert!(matches!(refused, SigningError::AnotherView { .. }), "{refused}");
    }

    /// Whatever a crash leaves: the promise is made before anything is written, and the file is the old or the new one.
    #[test]
    fn a_crash_between_writing_and_renaming_leaves_the_record_before() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::new(directory.path());
        let mut promises = disk.promises().unwrap();
        disk.record(&promises.promise_view(header(7, None)).unwrap()).unwrap();
        let next = promises.promise_view(header(8, None)).unwrap();
        // The new file is half there, and has not its name yet. The signature was not made: nobody has it.
        let half = next.record().encode();
        fs::write(directory.path().join("keeper.new"), &half[..half.len() / 2]).unwrap();
        drop(next);
        let read = disk.promises().unwrap();
        assert_eq!(read.record().unwrap().epoch(), Epoch(7));
        assert_eq!(read.record().unwrap().view(), Some(header(7, None).id()));
    }

    #[test]
    fn a_record_that_is_lost_or_damaged_stops_the_keeper() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::new(directory.path());
        disk.promises().unwrap();
        let vote = Vote { rules: Rules::default(), before: None, nodes: [].into() };
        disk.write_vote(Epoch(3), &vote).unwrap();
        let path = disk.path(RECORD);
        let good = fs::read(&path).unwrap();
        for end in 0..good.len() {
            fs::write(&path, &good[..end]).unwrap();
            assert!(matches!(disk.promises(), Err(RecordError::Damaged(_))), "{end}");
        }
        for bit in 0..8 * good.len() {
            let mut flipped = good.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, flipped).unwrap();
            assert!(matches!(disk.promises(), Err(RecordError::Damaged(_))), "bit {bit}");
        }
        let other = [2, 7, 7];
        fs::write(&path, [&other[..], &check(&other)].concat()).unwrap();
        assert!(matches!(disk.promises(), Err(RecordError::Record { .. })), "of another version");
        fs::remove_file(&path).unwrap();
        assert!(matches!(disk.promises(), Err(RecordError::Missing(_))));
        assert!(!path.exists(), "it does not begin anew");
    }

    #[test]
    fn a_record_that_cannot_be_written_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::new(directory.path());
        let mut promises = disk.promises().unwrap();
        fs::create_dir(directory.path().join("keeper.new")).unwrap();
        assert!(disk.record(&promises.promise_view(header(7, None)).unwrap()).is_err());
    }

    #[test]
    fn a_vote_is_read_again_for_its_own_epoch_alone() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::new(directory.path());
        let ballot = |epoch| Ballot::new(NetworkId([1; 32]), Epoch(epoch), Keepers::new(4).set, 10);
        let rules = Rules { network_serial: 4, ..Rules::default() };
        let vote = Vote { rules, before: None, nodes: [].into() };
        assert_eq!(disk.vote(&ballot(3)), None);
        disk.write_vote(Epoch(3), &vote).unwrap();
        assert_eq!(disk.vote(&ballot(3)), Some(vote));
        assert_eq!(disk.vote(&ballot(4)), None);
    }
}
