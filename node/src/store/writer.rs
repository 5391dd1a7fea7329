//! The writer thread: gathers waiting writes into groups, commits each group at once, answers
//! afterwards.
//!
//! ```text
//! queue ─► group ─► transaction ─► commit durable ─► answers
//!                       │ a row makes no sense: each write again, in a transaction of its own
//!                       │ the disk is full: give up the reserve; open anew; what frees space again,
//!                       │   each in a transaction of its own; the failure to the others
//!                       └ the file failed: the failure to all of the group; open anew; rest
//! ```
//! Opening anew verifies the whole file. So that a disk which stays full does not keep the thread
//! at that, writes are refused with the same failure for four times as long as it took. Those that
//! free space are not: they are what ends it.

use std::{
    io::ErrorKind,
    mem,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    thread::{self, JoinHandle},
    time::Instant,
};

use redb::{Database, Durability};
use tokio::sync::{mpsc, oneshot};

use super::{
    Corruption, Shared, StoreError, StoreLimits,
    file::{self, Slot, guarded},
    group::Group,
    space::Space,
};

/// The disk is full.
pub(super) const FULL: StoreError = StoreError::Io(ErrorKind::StorageFull);

/// A write in the queue.
pub(super) trait Job: Send {
    /// Tells whether somebody still waits for the answer.
    fn is_wanted(&self) -> bool;
    /// Tells whether the change gives space back.
    fn frees(&self) -> bool;
    /// Makes the change and keeps the answer back; an error is one that undoes the transaction.
    fn apply(&mut self, group: &mut Group<'_>) -> Result<(), StoreError>;
    /// Gives the answer that was kept back, or the failure that befell the group.
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

/// A write and where its answer goes.
pub(super) struct Pending<A, F> {
    write: F,
    frees: bool,
    reply: oneshot::Sender<Result<A, StoreError>>,
    outcome: Result<A, StoreError>,
}

impl<A, F> Pending<A, F> {
    /// A write, and whether it gives space back, so that it is made even where the disk is full.
    pub(super) fn new(
        frees: bool,
        write: F,
        reply: oneshot::Sender<Result<A, StoreError>>,
    ) -> Self {
        Self { write, frees, reply, outcome: Err(StoreError::Closed) }
    }
}

impl<A: Send, F: Fn(&mut Group<'_>) -> Result<A, StoreError> + Send> Job for Pending<A, F> {
    fn is_wanted(&self) -> bool {
        !self.reply.is_closed()
    }

    fn frees(&self) -> bool {
        self.frees
    }

    fn apply(&mut self, group: &mut Group<'_>) -> Result<(), StoreError> {
        self.outcome = (self.write)(group);
        match &self.outcome {
            Err(failure) if !failure.is_refusal() => Err(*failure),
            _ => Ok(()),
        }
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        // Nobody may wait any more; what was done stays done.
        let _ = self.reply.send(committed.and(self.outcome));
    }
}

/// The state of the writer thread.
pub(super) struct Writer {
    shared: Arc<Shared>,
    path: PathBuf,
    queue: mpsc::Receiver<Box<dyn Job>>,
    space: Space,
    /// After a fault: until when writes are refused with it.
    rest: Option<(Instant, StoreError)>,
}

impl Writer {
    /// Prepares the writer of the file at `path`, which is open in `shared`.
    pub(super) fn new(
        shared: Arc<Shared>,
        path: PathBuf,
        queue: mpsc::Receiver<Box<dyn Job>>,
    ) -> Self {
        let space = Space::new(path.clone(), shared.limits.reserve);
        Self { shared, path, queue, space, rest: None }
    }

    /// Starts the thread. It ends when the queue is closed and empty, and returns how closing the
    /// file went.
    ///
    /// # Errors
    /// [`StoreError::Io`] if the system has no thread to give.
    pub(super) fn spawn(self) -> Result<JoinHandle<Result<(), StoreError>>, StoreError> {
        let thread = thread::Builder::new().name("store-writer".to_owned());
        thread.spawn(move || self.run()).map_err(|cause| StoreError::Io(cause.kind()))
    }

    fn run(mut self) -> Result<(), StoreError> {
        let most = self.shared.limits.group.max(1);
        self.space.restore();
        self.space.tell();
        while let Some(first) = self.queue.blocking_recv() {
            let mut group = vec![first];
            while group.len() < most {
                let Ok(next) = self.queue.try_recv() else {
                    break;
                };
                group.push(next);
            }
            group.retain(|job| job.is_wanted());
            self.serve(group);
        }
        match self.take_down(StoreError::Closed) {
            Slot::Open(database) => guarded(|| Ok(database.close()?)),
            Slot::Down(_) => Ok(()),
        }
    }

    /// Commits `group` and answers it.
    fn serve(&mut self, mut group: Vec<Box<dyn Job>>) {
        if let Some((until, fault)) = self.rest {
            if Instant::now() < until {
                let (frees, others) =
                    group.into_iter().partition(|job| fault == FULL && job.frees());
                answer(others, Err(fault));
                group = frees;
            } else {
                self.rest = None;
            }
        }
        let mut committed = self.commit(&mut group);
        if committed == Err(StoreError::Reopening) {
            // Something before this group has made the file unusable.
            self.reopen(StoreError::Reopening);
            committed = self.commit(&mut group);
        }
        match committed {
            Err(StoreError::Corrupt(Corruption::Row(_))) if group.len() > 1 => {
                for job in group {
                    self.serve(vec![job]);
                }
            }
            Ok(()) | Err(StoreError::Corrupt(Corruption::Row(_))) => answer(group, committed),
            Err(fault) => self.fail(group, fault),
        }
    }

    /// Sees to a group whose commit failed, and to the file.
    fn fail(&mut self, group: Vec<Box<dyn Job>>, fault: StoreError) {
        tracing::error!(%fault, writes = group.len(), "a commit failed");
        let again = fault == FULL && self.space.release();
        let (again, lost) = group.into_iter().partition(|job| again && job.frees());
        answer(lost, Err(fault));
        let began = Instant::now();
        self.reopen(fault);
        self.rest = Some((Instant::now() + began.elapsed().saturating_mul(4), fault));
        for job in again {
            self.serve(vec![job]);
        }
    }

    /// Applies `group` in one transaction and makes it durable.
    fn commit(&mut self, group: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
        if group.is_empty() {
            return Ok(());
        }
        let Self { shared, space, .. } = self;
        let committed = guarded(|| shared.with(|db| commit(db, &shared.limits, space, group)))?;
        shared.commits.fetch_add(u64::from(committed), Ordering::Relaxed);
        space.restore();
        Ok(())
    }

    /// Closes the file and opens it again; until that works, `fault` is what everybody is told.
    fn reopen(&self, fault: StoreError) {
        let mut slot = self.shared.slot.write();
        let failed = mem::replace(&mut *slot, Slot::Down(fault));
        // A file that has failed is left as it is, for the next line to recover.
        let _ = guarded(|| {
            drop(failed);
            Ok(())
        });
        *slot = match file::open(&self.path) {
            Ok(database) => Slot::Open(database),
            Err(fault) => Slot::Down(fault),
        };
    }

    fn take_down(&self, reason: StoreError) -> Slot {
        let mut slot = self.shared.slot.write();
        mem::replace(&mut *slot, Slot::Down(reason))
    }
}

fn answer(group: Vec<Box<dyn Job>>, committed: Result<(), StoreError>) {
    for job in group {
        job.answer(committed);
    }
}

/// Applies `group` in one transaction; tells whether there was anything to commit.
///
/// Two phases: after a failed `fsync` the file's header cannot point at pages that never reached
/// the disk, and a damaged page is reported at the next open instead of the commit being taken
/// back.
fn commit(
    database: &Database,
    limits: &StoreLimits,
    space: &mut Space,
    group: &mut [Box<dyn Job>],
) -> Result<bool, StoreError> {
    let mut txn = database.begin_write()?;
    txn.set_durability(Durability::Immediate)?;
    txn.set_two_phase_commit(true);
    let mut tables = Group::open(&txn, limits, |counted| space.room(counted))?;
    for job in group {
        job.apply(&mut tables)?;
    }
    let changed = tables.finish()?;
    if changed {
        txn.commit()?;
    } else {
        txn.abort()?;
    }
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use parking_lot::RwLock;
    use std::path::Path;
    use std::sync::atomic::{AtomicU32, AtomicU64};
    use std::time::Duration;

    use super::super::tests::limits;
    use super::*;

    const OTHER: StoreError = StoreError::Io(ErrorKind::Other);

    type Told = oneshot::Receiver<Result<(), StoreError>>;

    /// A write that fails so often before it is made.
    fn job(frees: bool, fault: StoreError, times: u32) -> (Box<dyn Job>, Told) {
        let (reply, told) = oneshot::channel();
        let times = AtomicU32::new(times);
        let write = move |_: &mut Group<'_>| {
            let left =
                times.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
            if left.is_ok() { Err(fault) } else { Ok(()) }
        };
        (Box::new(Pending::new(frees, write, reply)), told)
    }

    /// A writer that is served by hand, over a new store.
    fn writer(path: &Path) -> Writer {
        let database = file::create(path).unwrap();
        let shared = Shared {
            slot: RwLock::new(Slot::Open(database)),
            limits: limits(),
            commits: AtomicU64::new(0),
        };
        Writer::new(Arc::new(shared), path.to_owned(), mpsc::channel(1).1)
    }

    /// Serves two writes together that fail so often; what is told to the one that gives space back, and to the other.
    fn served(writer: &mut Writer, fault: StoreError, times: u32) -> [Result<(), StoreError>; 2] {
        let (frees, told_frees) = job(true, fault, times);
        let (takes, told_takes) = job(false, fault, times);
        writer.serve(vec![frees, takes]);
        [told_frees, told_takes].map(|mut told| told.try_recv().unwrap())
    }

    #[test]
    fn a_writer_that_rests_from_a_full_disk_makes_only_what_gives_space_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = writer(&folder.path().join("store"));
        let until = Instant::now() + Duration::from_secs(3_600);
        for (fault, frees) in [(FULL, Ok(())), (OTHER, Err(OTHER))] {
            writer.rest = Some((until, fault));
            assert_eq!(served(&mut writer, fault, 0), [frees, Err(fault)]);
        }
        writer.rest = Some((Instant::now(), OTHER));
        assert_eq!(served(&mut writer, OTHER, 0), [Ok(()); 2], "it has rested");
    }

    #[test]
    fn on_a_full_disk_what_gives_space_back_is_tried_again_if_there_is_a_reserve() {
        for (fault, is_reserved, frees) in [
            (FULL, true, Ok(())),
            (FULL, false, Err(FULL)),
            // A reserve is of no use against anything else.
            (OTHER, true, Err(OTHER)),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let reserve = folder.path().join("store.reserve");
            if is_reserved {
                std::fs::write(&reserve, b"reserve").unwrap();
            }
            let mut writer = writer(&folder.path().join("store"));
            assert_eq!(served(&mut writer, fault, 1), [frees, Err(fault)], "{is_reserved}");
            assert_eq!(reserve.exists(), fault == OTHER, "{fault}");
        }
    }
}
