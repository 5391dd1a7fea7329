//! Views that this keeper did not compute itself: it asks the others for the view of an epoch that it lacks, and keeps the
//! one that a quorum signed.

use std::sync::Arc;

use anon::{
    id::NodeId,
    network::Epoch,
    request::view::ViewRequest,
    view::{quorum::SignedView, signed::View},
};
use futures::future::join_all;

use super::{Keeper, work::Work};

impl Keeper {
    /// Asks all others for their latest view, once.
    pub(super) async fn catch_up(self: &Arc<Self>, epoch: Epoch) {
        let Some(others) = self.with(epoch, |work| work.others()) else { return };
        let began = self.clock.moment();
        let asked = others.iter().map(async |(keeper, node)| {
            let answer = self.exchange.ask(node, ViewRequest::Latest).await?;
            self.with(epoch, |work| work.answered.insert(*keeper));
            self.views.verify(&answer).map(|signed| (*node, signed))
        });
        let shown: Vec<_> = join_all(asked).await.into_iter().flatten().collect();
        for (_, signed) in &shown {
            self.with(signed.header().epoch, |work| work.take_signatures(&signed.to_unverified()));
        }
        // One of an earlier epoch is what the next one follows.
        let latest = shown.into_iter().max_by_key(|(_, signed)| signed.header().epoch);
        if let Some((node, signed)) = latest
            && signed.header().epoch < epoch
        {
            self.have(&signed, vec![node]).await;
        }
        self.with(epoch, |work| {
            work.has_asked = true;
            work.asking.over(began.after(work.round()));
        });
        self.wake.notify_one();
    }

    /// Has a view that is later than all that are kept.
    async fn have(&self, signed: &SignedView, sources: Vec<NodeId>) {
        let latest = self.views.latest().map(|kept| kept.view.epoch());
        if latest.is_some_and(|latest| latest >= signed.header().epoch) {
            return;
        }
        if let Some(view) = self.fetch_view(signed, sources).await {
            self.keep(view).await;
        }
    }

    /// Keeps the view of an epoch that a quorum signed: the one that was computed here, or another one.
    pub(super) async fn keep_signed(self: &Arc<Self>, epoch: Epoch) {
        let began = self.clock.moment();
        let look = |work: &mut Work| Some((work.quorum.clone()?, work.candidate.clone()));
        let Some((signed, candidate)) = self.with(epoch, look).flatten() else { return };
        let own = candidate.filter(|candidate| candidate.header.id() == signed.id());
        let view = match own {
            Some(own) => View::new(signed.clone(), own.nodes, Some(own.signatures)).ok(),
            None => self.fetch_view(&signed, self.sources(epoch, &signed)).await,
        };
        if let Some(view) = view {
            let (epoch, nodes) = (view.epoch(), view.nodes().len());
            self.keep(view).await;
            let signatures = signed.signatures().len();
            let all = self.charter.keepers(epoch).map_or(0, |keepers| keepers.keys().len());
            tracing::info!(
                "view of epoch {}: {nodes} nodes, signed by {signatures} of {all} keepers",
                epoch.0
            );
        }
        let is_kept = self.views.of(epoch).is_some();
        self.with(epoch, |work| {
            work.is_kept = is_kept;
            work.keeping.over(began.after(work.round()));
        });
        self.wake.notify_one();
    }

    /// Who may have a view: those that signed it, and all other keepers of its epoch.
    fn sources(&self, epoch: Epoch, signed: &SignedView) -> Vec<NodeId> {
        let others = self.with(epoch, |work| work.others()).unwrap_or_default();
        let others = others.into_iter().map(|(_, node)| node);
        self.signers(signed).into_iter().chain(others).collect()
    }

    /// Keeps a view, durably.
    pub(super) async fn keep(&self, view: View) {
        if let Err(error) = self.views.keep_aside(view).await {
            self.fault(&format!("the view cannot be written: {error}"));
        }
    }
}
