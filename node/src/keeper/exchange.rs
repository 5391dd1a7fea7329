//! What a keeper sends to the others and has of them: chains, votes, signatures. Each other keeper has a line of its own, of
//! bounded length, so that one that does not answer holds up nobody else's messages.

use std::sync::Arc;

use anon::{
    id::NodeId,
    keeper::{
        broadcast::BroadcastError,
        schedule::Moment,
        vote::{VoteDigest, max_vote},
    },
    network::Epoch,
    request::view::ViewRequest,
    view::quorum::UnverifiedSignedView,
};
use futures::future::join_all;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Keeper;
use crate::view::exchange::have_all;

/// How many messages wait for one keeper at most: two chains of each of the others, and as many votes.
const WAITING: usize = 128;
/// How many are under way to one keeper at once.
const UNDER_WAY: usize = 4;

/// The line of messages to one keeper.
#[derive(Debug)]
pub(super) struct Line {
    waiting: Arc<Semaphore>,
    under_way: Arc<Semaphore>,
}

impl Default for Line {
    fn default() -> Self {
        let [waiting, under_way] = [WAITING, UNDER_WAY].map(|size| Arc::new(Semaphore::new(size)));
        Self { waiting, under_way }
    }
}

impl Line {
    /// Waits for one's turn; `None` if too many wait.
    async fn turn(&self) -> Option<[OwnedSemaphorePermit; 2]> {
        let place = Arc::clone(&self.waiting).try_acquire_owned().ok()?;
        let turn = Arc::clone(&self.under_way).acquire_owned().await.ok()?;
        Some([place, turn])
    }
}

impl Keeper {
    /// The node of a keeper of an epoch, and until when votes are exchanged.
    fn exchanging(&self, epoch: Epoch, keeper: u8) -> Option<(NodeId, Moment, u64)> {
        let look = |work: &mut super::work::Work| {
            Some((work.node(keeper)?, work.deadlines.rounds.until(), work.schedule.delay()))
        };
        self.with(epoch, look)?
    }

    /// Sends a chain, again and again until it is there or of no use any more.
    pub(super) async fn send(&self, epoch: Epoch, to: u8, chain: Vec<u8>) {
        let Some((node, until, pause)) = self.exchanging(epoch, to) else { return };
        let Some(line) = self.lines.get(&node) else { return };
        let Some(_turn) = line.turn().await else {
            tracing::warn!(keeper = to, "too much waits for this keeper");
            return;
        };
        while self.clock.moment() <= until {
            if self.exchange.ask(&node, ViewRequest::Chain(chain.clone())).await.is_some() {
                self.with(epoch, |work| work.answered.insert(to));
                return;
            }
            self.clock.reach(self.clock.moment().after(pause / 2)).await;
        }
    }

    /// Fetches a vote. When it is here, all other requests for it are given up.
    pub(super) async fn fetch_vote(&self, epoch: Epoch, from: u8, digest: VoteDigest) {
        let Some((node, until, pause)) = self.exchanging(epoch, from) else { return };
        let Some(line) = self.lines.get(&node) else { return };
        let Some(_turn) = line.turn().await else { return };
        let Some(most) = self.with(epoch, |work| max_vote(&work.ballot)) else { return };
        let ask = |from| ViewRequest::Vote { epoch, digest, from };
        while self.clock.moment() <= until {
            let vote = have_all(&*self.exchange, &node, most, ask).await;
            if let Some(vote) = vote.filter(|vote| VoteDigest::of(vote) == digest) {
                self.take_vote(epoch, &vote);
                break;
            }
            self.clock.reach(self.clock.moment().after(pause / 2)).await;
        }
        let others = self.fetches.lock().remove(&digest);
        others.into_iter().flatten().for_each(|other| other.abort());
    }

    fn take_vote(&self, epoch: Epoch, vote: &[u8]) {
        let now = self.clock.moment();
        let taken = self.with(epoch, |work| work.broadcast.handle_vote(now, vote, &self.secret));
        match taken {
            Some(Err(error @ BroadcastError::Vote(_))) => {
                tracing::warn!(%error, "what a keeper announced is no vote");
            }
            Some(Err(error)) => tracing::debug!(%error, "a vote comes too late"),
            Some(Ok(())) | None => {}
        }
        self.wake.notify_one();
    }

    /// Shows all others what this keeper and they have signed, and takes what they show.
    pub(super) async fn push(&self, epoch: Epoch) {
        let look = |work: &mut super::work::Work| {
            let others = work.others();
            let missing = others.into_iter().filter(|(keeper, _)| !work.shown.contains(keeper));
            Some((work.to_show()?, missing.collect::<Vec<_>>(), work.quorum.is_some()))
        };
        if let Some((signed, others, is_quorum)) = self.with(epoch, look).flatten() {
            let request = ViewRequest::Signatures(signed.encode());
            let asked = others.iter().map(async |(keeper, node)| {
                let answer = self.exchange.ask(node, request.clone()).await;
                self.hear_answer(epoch, *keeper, answer, is_quorum);
            });
            let round = self.with(epoch, |work| work.round()).unwrap_or_default();
            let end = self.clock.moment().after(round);
            let all = std::pin::pin!(join_all(asked));
            futures::future::select(all, std::pin::pin!(self.clock.reach(end))).await;
        }
        let now = self.clock.moment();
        self.with(epoch, |work| {
            let is_late = now > work.deadlines.late_until;
            let pause = if is_late { work.round() } else { work.schedule.delay() };
            work.pushing.over(now.after(pause));
        });
        self.wake.notify_one();
    }

    fn hear_answer(&self, epoch: Epoch, keeper: u8, answer: Option<Vec<u8>>, is_quorum: bool) {
        let Some(answer) = answer else { return };
        self.with(epoch, |work| {
            work.answered.insert(keeper);
            if is_quorum {
                work.shown.insert(keeper);
            }
            if let Ok(signed) = UnverifiedSignedView::decode(&answer)
                && let Err(error) = work.take_signatures(&signed)
            {
                tracing::debug!(%error, keeper, "a signature does not count");
            }
        });
        self.wake.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_line_is_not_longer_than_it_may_be_and_who_waits_comes_when_another_one_ends() {
        let line = Arc::new(Line::default());
        let mut turns = Vec::new();
        for _ in 0..UNDER_WAY {
            turns.push(line.turn().await.unwrap());
        }
        let waiting: Vec<_> = (UNDER_WAY..WAITING)
            .map(|_| {
                let line = Arc::clone(&line);
                tokio::spawn(async move { line.turn().await.is_some() })
            })
            .collect();
        while line.waiting.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(line.turn().await.is_none(), "one too many");
        drop(turns);
        for one in waiting {
            assert!(one.await.unwrap());
        }
        assert!(line.turn().await.is_some());
    }
}
