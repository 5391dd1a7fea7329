//! A keeper that lies. What an honest one says to other keepers is replaced on its way out; votes that only it has are
//! handed out by [`Means::hand_out`].

use std::{collections::BTreeSet, sync::Arc};

use anon::{
    id::NodeId,
    keeper::{
        chain::{self, Chain},
        charter::Charter,
        vote::{Reached, Vote, VoteDigest},
    },
    keys::{KeeperSecret, SigningSecret as _},
    network::{Epoch, Network},
    request::view::{ViewRequest, piece},
    view::{
        header::ViewHeader,
        quorum::{KeeperSignature, UnverifiedSignedView},
        statement::StatementDigest,
    },
};
use futures::future::BoxFuture;
use net::now;
use node::Exchange;

use super::behaviour::{Behaviour, Hostile};

/// The ways in which a keeper lies.
pub(crate) const WAYS: [Behaviour; 4] =
    [Behaviour::TwoVotes, Behaviour::TwoViews, Behaviour::InventingNodes, Behaviour::SilentKeeper];

/// What a keeper lies with.
#[derive(Clone)]
pub(crate) struct Means {
    pub(crate) network: Arc<Network>,
    pub(crate) charter: Charter,
    pub(crate) secret: Arc<KeeperSecret>,
    pub(crate) behaviours: BTreeSet<Behaviour>,
    pub(crate) hostile: Hostile,
}

/// Stands between a keeper and those that it asks.
pub(crate) struct LyingKeeper {
    pub(crate) standard: Arc<dyn Exchange>,
    pub(crate) means: Means,
}

impl Exchange for LyingKeeper {
    fn ask<'a>(&'a self, node: &'a NodeId, request: ViewRequest) -> BoxFuture<'a, Option<Vec<u8>>> {
        match self.means.said(node, request) {
            Some(said) => self.standard.ask(node, said),
            None => Box::pin(std::future::ready(None)),
        }
    }
}

impl Means {
    fn own(&self) -> NodeId {
        NodeId(self.secret.verify_key().0)
    }

    fn is(&self, behaviour: Behaviour) -> bool {
        self.behaviours.contains(&behaviour) && self.hostile.has(&self.own(), behaviour)
    }

    /// Whether a keeper is one of those that hear something else: every other one.
    fn is_lied_to(&self, node: &NodeId, epoch: Epoch) -> bool {
        let number = self.charter.keepers(epoch).and_then(|set| set.number_of(&node.verify_key()));
        number.is_some_and(|number| number % 2 == 1)
    }

    /// What is said to a keeper in place of this; nothing, if the keeper is silent.
    fn said(&self, to: &NodeId, request: ViewRequest) -> Option<ViewRequest> {
        let is_of_keepers = !matches!(request, ViewRequest::State(_));
        if is_of_keepers && self.is(Behaviour::SilentKeeper) {
            return None;
        }
        let other = match &request {
            ViewRequest::Chain(bytes) => self.other_chain(to, bytes).map(ViewRequest::Chain),
            ViewRequest::Signatures(bytes) => {
                self.other_signature(to, bytes).map(ViewRequest::Signatures)
            }
            _ => None,
        };
        Some(other.unwrap_or(request))
    }

    /// Another vote in place of the own one: for every other keeper, or for all.
    fn other_chain(&self, to: &NodeId, bytes: &[u8]) -> Option<Vec<u8>> {
        let present = self.network.epoch(now());
        let read = |epoch: Epoch| {
            let (ballot, deadlines) = (self.charter.ballot(epoch)?, self.charter.deadlines(epoch)?);
            let chain = Chain::decode(bytes, &ballot, deadlines.rounds.count()).ok()?;
            Some((epoch, ballot, chain))
        };
        let (epoch, ballot, read) = [present.after(1), present].into_iter().find_map(read)?;
        let me = ballot.keepers().number_of(&self.secret.verify_key())?;
        let is_own = read.origin == me && read.signatures().len() == 1;
        let is_wanted = self.is(Behaviour::InventingNodes)
            || self.is(Behaviour::TwoVotes) && self.is_lied_to(to, epoch);
        if !is_own || !is_wanted {
            return None;
        }
        let digest = self.other_vote().digest();
        let signature = chain::sign(&ballot, &self.secret, me, digest);
        tracing::warn!("another vote on the view of epoch {} is for {}", epoch.0, to.short());
        Some(Chain::from_parts(epoch, me, digest, vec![(me, signature)]).encode())
    }

    /// A signature under another view in place of the own one, for every other keeper.
    fn other_signature(&self, to: &NodeId, bytes: &[u8]) -> Option<Vec<u8>> {
        let shown = UnverifiedSignedView::decode(bytes).ok()?;
        let epoch = shown.header.epoch;
        if !self.is(Behaviour::TwoViews) || !self.is_lied_to(to, epoch) {
            return None;
        }
        let header = ViewHeader { count: shown.header.count.saturating_add(1), ..shown.header };
        let signature = KeeperSignature::sign(self.charter.keepers(epoch)?, &self.secret, &header)?;
        tracing::warn!("another view of epoch {} is signed for {}", epoch.0, to.short());
        Some(UnverifiedSignedView { header, signatures: vec![signature] }.encode())
    }

    /// A vote for a node that nobody else has heard of, and for nobody else.
    fn other_vote(&self) -> Vote {
        let invented = (NodeId([0x1e; 32]), (StatementDigest([0x1e; 32]), Reached::Tcp));
        Vote { rules: self.charter.rules(), before: None, nodes: [invented].into() }
    }

    /// A piece of the other vote, for whoever asks for it.
    pub(crate) fn hand_out(&self, digest: &VoteDigest, from: u32) -> Option<Vec<u8>> {
        let vote = self.other_vote();
        if vote.digest() != *digest {
            return None;
        }
        piece(&vote.encode(), from).map(<[u8]>::to_vec)
    }
}
