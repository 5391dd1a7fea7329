//! Signing: a promise is on the disk before the signature, or the word that there is none, leaves this file.

use std::sync::Arc;

use anon::{
    keeper::signing::{Promised, SigningError},
    network::Epoch,
    request::view::ViewRequest,
    view::quorum::UnverifiedSignedView,
};
use futures::future::join_all;

use super::{Keeper, work::Work};

impl Keeper {
    /// Makes this keeper's vote, on the disk first. One that was made before a restart is sent unchanged.
    pub(super) async fn make_vote(self: &Arc<Self>, epoch: Epoch) {
        let Some(ballot) = self.with(epoch, |work| work.ballot.clone()) else { return };
        let vote = if let Some(vote) = self.disk.vote(&ballot) {
            vote
        } else if !self.with(epoch, |work| work.hears_all).unwrap_or_default() {
            // Alone it would sign a view of the few nodes that it has heard of.
            return self.fault(&format!(
                "this keeper started too late to vote on the view of epoch {}",
                epoch.0
            ));
        } else {
            let before = self.views.before(epoch);
            let rules = self.charter.rules();
            let Some(vote) = self.with(epoch, |work| work.vote(rules, before.as_deref())) else {
                return;
            };
            let (disk, written) = (self.disk.clone(), vote.clone());
            let write = move || disk.write_vote(epoch, &written);
            if let Err(error) = blocking(write).await {
                return self.fault(&format!("the vote cannot be written: {error}"));
            }
            vote
        };
        self.with(epoch, |work| work.own_vote = super::work::OwnVote::Made(Box::new(vote)));
        self.wake.notify_one();
    }

    /// Signs the view that follows from the votes, if nothing else was promised for its epoch.
    pub(super) async fn sign(self: &Arc<Self>, epoch: Epoch) {
        let look = |work: &mut Work| Some((work.ballot.clone(), work.candidate.as_ref()?.header));
        let Some((ballot, header)) = self.with(epoch, look).flatten() else { return };
        let mut promises = self.promises.lock().await;
        let promised = match promises.promise_view(header) {
            Ok(promised) => self.recorded(promised).await,
            Err(error) => {
                self.refuse(error);
                None
            }
        };
        drop(promises);
        // The disk's word stands between the promise and the signature.
        let signature = promised.and_then(|promised| promised.recorded(&ballot, &self.secret));
        let now = self.clock.moment();
        self.with(epoch, |work| {
            if let Some(signature) = signature {
                let signed = UnverifiedSignedView { header, signatures: vec![signature] };
                let _ours = work.take_signatures(&signed);
                work.signed = Some(signed);
            }
            work.signing.over(now.after(work.round()));
        });
        self.wake.notify_one();
    }

    /// Says that this keeper knows of no view of an epoch, to all others, so that each of them can tell.
    pub(super) async fn deny(self: &Arc<Self>, epoch: Epoch) {
        let Some(ballot) = self.with(epoch, |work| work.ballot.clone()) else { return };
        let mut promises = self.promises.lock().await;
        let promised = match promises.promise_none(epoch, self.clock.moment()) {
            Ok(promised) => self.recorded(promised).await,
            // It has signed the next one already.
            Err(_) => None,
        };
        drop(promises);
        let word = promised.and_then(|promised| promised.recorded(&ballot, &self.secret));
        let said = self.clock.moment();
        let others = self.with(epoch, |work| {
            let word = word.filter(|_| work.quorum.is_none())?;
            if work.words.insert(work.me, word.clone()).is_none() {
                tracing::warn!("epoch {} has no view, as far as this keeper knows", epoch.0);
            }
            Some((word, work.others()))
        });
        if let Some((word, others)) = others.flatten() {
            let request = ViewRequest::Word(word.encode());
            let told = others.iter().map(|(_, node)| self.exchange.ask(node, request.clone()));
            let round = self.with(epoch, |work| work.round()).unwrap_or_default();
            let end = std::pin::pin!(self.clock.reach(said.after(round)));
            futures::future::select(std::pin::pin!(join_all(told)), end).await;
        }
        self.with(epoch, |work| work.denying.over(said.after(work.round())));
        self.wake.notify_one();
    }

    /// Puts a promise on the disk, and gives it back if it is there. Whoever calls holds the promises.
    async fn recorded<T: Send + 'static>(&self, promised: Promised<T>) -> Option<Promised<T>> {
        let disk = self.disk.clone();
        let write = move || disk.record(&promised).map(|()| promised);
        let written = blocking(write).await;
        match &written {
            Ok(_) => self.board.mended(),
            Err(error) => self.fault(&format!("the record cannot be written: {error}")),
        }
        written.ok()
    }

    fn refuse(&self, error: SigningError) {
        tracing::warn!(%error, "this keeper does not sign");
    }
}

/// Does what waits for the disk.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other)?
}
