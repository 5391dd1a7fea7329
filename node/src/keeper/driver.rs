//! One loop by the deadlines of the epoch: what is due is begun, each in a task of its own, and then the loop sleeps until
//! the next deadline or until something comes.

use std::sync::Arc;

use anon::{keeper::schedule::Moment, network::Epoch, time::Time, view::statement::NodeStatement};
use tokio::task::JoinSet;

use super::{
    Keeper,
    evidence::against_keepers,
    measure::measure,
    work::{Job, Work},
};

impl Keeper {
    /// Works for as long as it is not dropped; with it end all its tasks.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut tasks = JoinSet::new();
        loop {
            let now = self.clock.moment();
            let (jobs, next) = self.advance(now);
            for job in jobs {
                self.begin(job, &mut tasks);
            }
            self.report(now);
            tokio::select! {
                () = self.clock.reach(next) => {}
                () = self.wake.notified() => {}
                Some(ended) = tasks.join_next() => {
                    if let Err(error) = ended && error.is_panic() {
                        tracing::error!(%error, "a keeper's task failed");
                    }
                }
            }
        }
    }

    /// What is due now, and when to look again at the latest.
    fn advance(&self, now: Moment) -> (Vec<Job>, Moment) {
        let present = self.network.epoch(Time(now.0 / 1_000));
        let mut works = self.works.lock();
        works.retain(|epoch, _| *epoch >= present);
        self.fetches.lock().retain(|_, tasks| tasks.iter().any(|task| !task.is_finished()));
        for epoch in [present, present.after(1)] {
            if !works.contains_key(&epoch)
                && let Some(work) = self.work(epoch, now)
            {
                works.insert(epoch, work);
            }
        }
        let due = |work: &mut Work| work.due(now, &self.charter, &self.secret);
        let jobs = works.values_mut().flat_map(due).collect();
        let next_epoch = Moment::at(self.network.begins(present.after(1)));
        let next = works.values().map(|work| work.next(now)).min();
        let next = next.map_or(next_epoch, |next| next.min(next_epoch));
        let proofs: Vec<_> = works.values().flat_map(against_keepers).collect();
        drop(works);
        self.evidence.of_keepers(proofs);
        (jobs, next)
    }

    fn work(&self, epoch: Epoch, now: Moment) -> Option<Work> {
        let kept = self.views.of(epoch);
        let mut work = Work::new(&self.charter, epoch, &self.secret, self.share, kept.as_deref())?;
        // A network's first view is made of those that are heard, and the next one of all.
        work.hears_all = work.begins_in_time(now) || self.views.before(epoch).is_none();
        Some(work)
    }

    fn begin(self: &Arc<Self>, job: Job, tasks: &mut JoinSet<()>) {
        let keeper = Arc::clone(self);
        match job {
            Job::Measure(epoch) => drop(tasks.spawn(async move { keeper.measure(epoch).await })),
            Job::Vote(epoch) => drop(tasks.spawn(async move { keeper.make_vote(epoch).await })),
            Job::Send(epoch, to, chain) => {
                tasks.spawn(async move { keeper.send(epoch, to, chain).await });
            }
            Job::Fetch(epoch, from, digest) => {
                // Before it begins, so that it finds itself among them when it ends.
                let mut fetches = self.fetches.lock();
                let fetch = async move { keeper.fetch_vote(epoch, from, digest).await };
                fetches.entry(digest).or_default().push(tasks.spawn(fetch));
            }
            Job::Gather(epoch) => drop(tasks.spawn(async move { keeper.gather(epoch).await })),
            Job::Sign(epoch) => drop(tasks.spawn(async move { keeper.sign(epoch).await })),
            Job::Push(epoch) => drop(tasks.spawn(async move { keeper.push(epoch).await })),
            Job::Keep(epoch) => drop(tasks.spawn(async move { keeper.keep_signed(epoch).await })),
            Job::CatchUp(epoch) => drop(tasks.spawn(async move { keeper.catch_up(epoch).await })),
            Job::Deny(epoch) => drop(tasks.spawn(async move { keeper.deny(epoch).await })),
        }
    }

    /// Dials the nodes that stated themselves, until the time for it is over.
    async fn measure(&self, epoch: Epoch) {
        let look =
            |work: &mut Work| (work.statements.first_of_each(), work.deadlines.measured_until);
        let Some((statements, until)) = self.with(epoch, look) else { return };
        let before = self.views.before(epoch);
        let stood = |statement: &NodeStatement| {
            let node = statement.descriptor().node();
            before.as_ref().is_some_and(|before| before.view.nodes().rank_of(&node).is_some())
        };
        let (known, strangers) = statements.into_iter().partition(stood);
        let found = |statement: &NodeStatement, reached| {
            let (node, digest) = (statement.descriptor().node(), statement.digest());
            self.with(epoch, |work| work.reached.insert(node, (digest, reached)));
        };
        measure(&*self.probe, &self.clock, until, [known, strangers], found).await;
    }
}
