//! Once an epoch a node that does not make the view gets it: by difference if it has the one before, otherwise whole.
//!
//! It asks at a random moment after the epoch's beginning, first some random nodes of its last view, then perhaps all
//! keepers, which are asked by few nodes at first. It asks for the latest view, and then by ids that everybody has. So
//! whoever is asked learns that this node follows the view, and whether it has the one before, and nothing more. Whoever
//! hands out something else is left for another. Where nobody has the view of the epoch, f + 1 keepers' words are believed;
//! the node goes on asking all the same, ever more seldom, since a view may come late.

use std::{collections::BTreeMap, pin::pin, sync::Arc};

use anon::{
    id::NodeId,
    keeper::{
        absence::{Absence, check_words},
        charter::Charter,
        schedule::{Moment, Schedule},
    },
    keys::VerifyKey,
    network::{Epoch, Network},
    request::view::{ViewRequest, decode_words},
    time::Time,
    view::{
        difference::DifferenceDecoder,
        quorum::{KeeperSet, SignedView},
        signed::View,
        whole::WholeDecoder,
    },
};
use futures::future::{Either, select};
use net::clock::Clock;
use rand::{RngExt as _, seq::SliceRandom as _};

use super::{
    exchange::Exchange,
    fetch::{FetchError, fetch},
    kept::Views,
    status::Board,
};

/// How many nodes of the last view are asked in one look, before the keepers are.
const NODES_ASKED: u32 = 3;
/// How many of a view's nodes ask keepers in their first look, on average; in each later look twice as many do. All others
/// have the view of them, so that no number of nodes is too many for keepers. In a smaller network all ask them.
const ASK_KEEPERS: u32 = 64;
/// Within how many rounds of the epoch's beginning, or of its own, a node looks first.
const FIRST_WITHIN: u64 = 2;
/// Between two looks a node waits twice as long each time, but no longer than this part of an epoch: so it looks some
/// twenty times in an epoch that has no view.
const LONGEST_WAIT: u64 = 16;

/// Gets the views of a network.
pub(crate) struct Follower {
    pub(crate) network: Arc<Network>,
    pub(crate) charter: Charter,
    pub(crate) own: NodeId,
    /// Whether it runs as a keeper, which has the views of the epochs in which it is one by itself.
    pub(crate) is_keeper: bool,
    pub(crate) clock: Clock,
    pub(crate) exchange: Arc<dyn Exchange>,
    pub(crate) views: Arc<Views>,
    pub(crate) board: Arc<Board>,
}

/// A view, and how it was had.
type Had = (View, &'static str);

/// The keepers' words for one epoch that have been heard, by keeper.
type Words = BTreeMap<u8, Absence>;

impl Follower {
    /// Gets the view of each epoch, for as long as it runs.
    pub(crate) async fn run(self) {
        loop {
            let present = self.network.epoch(Time(self.clock.moment().0 / 1_000));
            let end = Moment::at(self.network.begins(present.after(1)));
            if let Some(schedule) = self.charter.schedule(present).filter(|_| !self.makes(present))
            {
                let ends = pin!(self.clock.reach(end));
                select(pin!(self.follow(present, &schedule)), ends).await;
            }
            self.clock.reach(end).await;
        }
    }

    /// Whether this node makes the view of an epoch with others.
    fn makes(&self, epoch: Epoch) -> bool {
        let key = VerifyKey(self.own.0);
        let is_named = |keepers: &KeeperSet| keepers.number_of(&key).is_some();
        self.is_keeper && self.charter.keepers(epoch).is_some_and(is_named)
    }

    /// Whether the view of this epoch, or a later one, is here.
    fn has(&self, epoch: Epoch) -> bool {
        self.views.latest().is_some_and(|latest| latest.view.epoch() >= epoch)
    }

    /// Gets the view of an epoch.
    async fn follow(&self, epoch: Epoch, schedule: &Schedule) {
        let longest = self.network.epoch_seconds.saturating_mul(1_000) / LONGEST_WAIT;
        let (mut wait, mut ask_keepers) = (schedule.round(), ASK_KEEPERS);
        let mut words = Words::new();
        let mut has_said = false;
        self.pause(0, schedule.round().saturating_mul(FIRST_WITHIN)).await;
        while !self.has(epoch) {
            let asks_keepers = self.asks_keepers(ask_keepers);
            self.look(epoch, schedule, asks_keepers, &mut words).await;
            if self.has(epoch) {
                return;
            }
            let is_none = self.is_believed(epoch, schedule, &words);
            // Who has not asked keepers does not know yet.
            if !has_said && asks_keepers && self.is_late(epoch) {
                has_said = true;
                let why = if is_none { "the keepers say so" } else { "nobody hands one out" };
                tracing::warn!("this node has no view of epoch {}: {why}", epoch.0);
            }
            self.pause(wait / 2, wait).await;
            wait = wait.saturating_mul(2).min(longest.max(schedule.round()));
            ask_keepers = ask_keepers.saturating_mul(2);
        }
    }

    /// Whether the view should have come by now.
    fn is_late(&self, epoch: Epoch) -> bool {
        let now = self.clock.moment();
        self.charter.deadlines(epoch).is_none_or(|deadlines| now > deadlines.late_until)
    }

    async fn pause(&self, least: u64, most: u64) {
        let wait = rand::rng().random_range(least..=most);
        self.clock.reach(self.clock.moment().after(wait)).await;
    }

    /// Asks one after the other until the view is here. Each may take as long as a keeper's word holds.
    async fn look(&self, epoch: Epoch, schedule: &Schedule, asks_keepers: bool, words: &mut Words) {
        for node in self.sources(epoch, asks_keepers) {
            let end = self.clock.moment().after(schedule.word_holds());
            let asked = pin!(self.ask(&node, epoch));
            let Either::Left((view, _)) = select(asked, pin!(self.clock.reach(end))).await else {
                tracing::debug!(node = node.short(), "a view took too long");
                continue;
            };
            if let Some(had) = view {
                self.keep(had).await;
            }
            if self.has(epoch) {
                return;
            }
            if self.is_late(epoch) {
                self.hear(&node, epoch, schedule, words).await;
            }
        }
    }

    /// Whether this is one of so many nodes of the last view that ask keepers. A node without a view does so in any case.
    fn asks_keepers(&self, ask_keepers: u32) -> bool {
        let nodes = self.views.latest().map_or(0, |latest| latest.view.nodes().len());
        rand::rng().random_range(0..nodes.max(1)) < ask_keepers
    }

    /// Whom to ask: some nodes of the last view, then perhaps the keepers, each in any order.
    fn sources(&self, epoch: Epoch, asks_keepers: bool) -> Vec<NodeId> {
        let mut rng = rand::rng();
        let mut sources = Vec::new();
        if let Some(latest) = self.views.latest() {
            let nodes = latest.view.nodes();
            let mut draw = |_| nodes.node(rng.random_range(0..nodes.len().max(1)));
            sources.extend((0..NODES_ASKED).filter_map(&mut draw));
        }
        if let Some(keepers) = self.charter.keepers(epoch).filter(|_| asks_keepers) {
            let mut keepers: Vec<NodeId> = keepers.keys().iter().map(|key| NodeId(key.0)).collect();
            keepers.shuffle(&mut rng);
            sources.extend(keepers);
        }
        sources.retain(|node| *node != self.own);
        sources
    }

    /// The latest view that a node has, if it is later than the one at hand, and not of an epoch that is far away.
    async fn ask(&self, node: &NodeId, epoch: Epoch) -> Option<Had> {
        let shown = self.exchange.ask(node, ViewRequest::Latest).await?;
        let signed = self.views.verify(&shown)?;
        let shows = signed.header().epoch;
        if self.has(shows) || shows > epoch.after(1) {
            return None;
        }
        match self.fetch(node, &signed).await {
            Ok(had) => Some(had),
            Err(error) => {
                tracing::debug!(%error, node = node.short(), "a view is not had of a node");
                None
            }
        }
    }

    async fn fetch(&self, node: &NodeId, signed: &SignedView) -> Result<Had, FetchError> {
        let (id, exchange) = (signed.id(), &*self.exchange);
        let keepers = self.charter.keepers(signed.header().epoch).ok_or(FetchError::NotHad)?;
        let latest = self.views.latest();
        if let Some(latest) = latest.filter(|base| signed.header().before == Some(base.view.id())) {
            let (base, decoder) =
                (latest.view.id(), DifferenceDecoder::new(&latest.view, keepers.clone()));
            let ask = |from| ViewRequest::Difference { base, id, from };
            match fetch(exchange, node, id, decoder, ask).await {
                // Perhaps it has just this view and not the one before.
                Err(FetchError::NotHad) => {}
                had => return had.map(|view| (view, "by difference")),
            }
        }
        let decoder = WholeDecoder::new(self.network.id, keepers.clone());
        let ask = |from| ViewRequest::View { id, from };
        fetch(exchange, node, id, decoder, ask).await.map(|view| (view, "whole"))
    }

    async fn keep(&self, (view, how): Had) {
        let (epoch, nodes) = (view.epoch(), view.nodes().len());
        match self.views.keep_aside(view).await {
            Ok(()) => {
                tracing::info!("this node has the view of epoch {}: {nodes} nodes, {how}", epoch.0);
            }
            Err(error) => tracing::error!(%error, "the view cannot be written"),
        }
    }

    /// Takes the keepers' words that a node has.
    async fn hear(&self, node: &NodeId, epoch: Epoch, schedule: &Schedule, words: &mut Words) {
        let Some(answer) = self.exchange.ask(node, ViewRequest::Words(epoch)).await else {
            return;
        };
        let (Ok(more), Some(ballot)) = (decode_words(&answer), self.charter.ballot(epoch)) else {
            return;
        };
        let now = self.clock.moment();
        for word in more {
            let is_newer = words.get(&word.keeper()).is_none_or(|old| old.said() < word.said());
            if is_newer && word.verify(&ballot, now, schedule.word_holds()).is_ok() {
                words.insert(word.keeper(), word);
            }
        }
    }

    /// Whether the words that were heard are to be believed. If so, they are handed on.
    fn is_believed(&self, epoch: Epoch, schedule: &Schedule, words: &Words) -> bool {
        let Some(ballot) = self.charter.ballot(epoch) else { return false };
        let words: Vec<Absence> = words.values().cloned().collect();
        let now = self.clock.moment();
        let is_believed = check_words(&ballot, &words, now, schedule.word_holds()).is_ok();
        if is_believed {
            self.views.believe(epoch, &words);
            self.board.has_none(epoch);
        }
        is_believed
    }
}

#[cfg(test)]
mod tests;
