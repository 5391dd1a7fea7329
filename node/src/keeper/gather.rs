//! After the votes: what they name and is not here is fetched from whoever voted for it, and the view is computed.

use std::{collections::BTreeSet, pin::pin};

use anon::{
    id::NodeId,
    keeper::{
        compute::{Given, compute},
        tally::Tally,
    },
    network::{Epoch, UnverifiedRevocationList},
    request::view::{MAX_STATEMENTS_ASKED, ViewRequest, decode_statements},
    view::{quorum::SignedView, signed::View, statement::StatementDigest, whole::WholeDecoder},
    wire,
};
use futures::{StreamExt as _, future::join_all, stream};
use net::network_file::MAX_REVOCATIONS;

use super::{Keeper, work::Work};
use crate::view::{exchange::have_all, fetch::fetch};

/// What is missing for a view.
#[derive(Debug, Default)]
struct Missing {
    /// Statements, by who voted for them.
    statements: Vec<(NodeId, Vec<StatementDigest>)>,
    /// The view before, and who signed it or voted.
    before: Option<(SignedView, Vec<NodeId>)>,
    /// The revocation list, and who voted for it.
    revocations: Option<([u8; 32], Vec<NodeId>)>,
}

impl Missing {
    const fn is_nothing(&self) -> bool {
        self.statements.is_empty() && self.before.is_none() && self.revocations.is_none()
    }
}

impl Keeper {
    /// Fetches what is missing, and computes the view, as long as that is of use.
    pub(super) async fn gather(&self, epoch: Epoch) {
        while let Some(missing) = self.missing(epoch) {
            if missing.is_nothing() {
                self.compute(epoch);
                return self.wake.notify_one();
            }
            let began = self.clock.moment();
            let statements = self.fetch_statements(epoch, &missing.statements);
            tokio::join!(
                statements,
                self.fetch_before(missing.before),
                self.fetch_revocations(missing.revocations),
            );
            let Some(pause) = self.with(epoch, |work| work.schedule.delay()) else { return };
            // Nobody is asked without end for what nobody has.
            if self.missing(epoch).is_some_and(|missing| !missing.is_nothing()) {
                self.clock.reach(began.after(pause)).await;
            }
        }
    }

    /// What is missing; `None` if no view follows from the votes, or need be computed any more.
    fn missing(&self, epoch: Epoch) -> Option<Missing> {
        let now = self.clock.moment();
        let mut works = self.works.lock();
        // Where others have a quorum, their view is fetched whole.
        let work = works.get_mut(&epoch).filter(|work| work.quorum.is_none())?;
        let Work { tally, broadcast, statements, ballot, me, .. } = work;
        let tally = tally.as_ref()?.as_ref().ok()?;
        let votes = broadcast.poll_votes(now)?;
        let node = |keeper: &u8| ballot.key(*keeper).map(|key| NodeId(key.0));
        let voters: Vec<NodeId> = votes.keys().filter(|k| *k != me).filter_map(node).collect();
        let mut missing = Missing::default();
        for (keeper, vote) in votes.iter().filter(|(keeper, _)| *keeper != me) {
            let lacks = |(node, elected): (&NodeId, &anon::keeper::tally::Elected)| {
                let is_voted = vote.nodes.get(node).is_some_and(|(d, _)| *d == elected.statement);
                let is_here = statements.known().contains_key(&elected.statement);
                (is_voted && !is_here).then_some(elected.statement)
            };
            let lacked: Vec<_> = tally.elected().iter().filter_map(lacks).collect();
            if let (false, Some(node)) = (lacked.is_empty(), node(keeper)) {
                missing.statements.push((node, lacked));
            }
        }
        missing.before = tally
            .before()
            .filter(|before| self.views.find(&before.id()).is_none())
            .map(|before| (before.clone(), [self.signers(before), voters.clone()].concat()));
        missing.revocations = self.revoked(tally).is_none().then(|| (tally.rules().1, voters));
        Some(missing)
    }

    /// The other keepers that signed a view.
    pub(super) fn signers(&self, signed: &SignedView) -> Vec<NodeId> {
        let Some(keepers) = self.charter.keepers(signed.header().epoch) else { return Vec::new() };
        let keys = signed.signatures().iter().filter_map(|one| keepers.key(one.keeper));
        keys.map(|key| NodeId(key.0)).filter(|node| self.lines.contains_key(node)).collect()
    }

    /// The nodes that the revocation list of the votes names; `None` if it is not here.
    fn revoked(&self, tally: &Tally) -> Option<BTreeSet<NodeId>> {
        let (_, digest) = tally.rules();
        if digest == self.charter.rules().revocations {
            return Some(self.network.revoked.nodes.clone());
        }
        if digest == [0; 32] {
            return Some(BTreeSet::new());
        }
        self.other_lists.lock().get(&digest).cloned()
    }

    fn compute(&self, epoch: Epoch) {
        let mut works = self.works.lock();
        let Some(work) = works.get_mut(&epoch) else { return };
        let Some(Ok(tally)) = &work.tally else { return };
        let before = tally.before().and_then(|before| self.views.find(&before.id()));
        let revoked = self.revoked(tally).unwrap_or_default();
        let given = Given {
            statements: work.statements.known(),
            before: before.as_ref().map(|kept| kept.view.nodes()),
            revoked: &revoked,
            is_capped: self.charter.is_capped(),
        };
        match compute(&work.ballot, tally, given) {
            Ok(candidate) => work.candidate = Some(candidate),
            Err(error) => tracing::warn!(%error, view = epoch.0, "no view can be made"),
        }
        for proof in tally.contradictions(work.statements.known()) {
            self.evidence.two_faces(&proof.map(Clone::clone));
        }
    }

    async fn fetch_statements(&self, epoch: Epoch, wanted: &[(NodeId, Vec<StatementDigest>)]) {
        let all = wanted.len().max(1);
        let from_each = wanted.iter().enumerate().map(async |(place, (node, digests))| {
            // Each begins elsewhere in the list, so that together they are sooner done.
            let mut digests = digests.clone();
            let begin = digests.len() * place / all;
            digests.rotate_left(begin);
            for some in digests.chunks(MAX_STATEMENTS_ASKED) {
                self.fetch_some_statements(epoch, node, some).await;
            }
        });
        join_all(from_each).await;
    }

    async fn fetch_some_statements(&self, epoch: Epoch, node: &NodeId, some: &[StatementDigest]) {
        let is_missing = |work: &mut Work| {
            let known = work.statements.known();
            some.iter().copied().filter(|digest| !known.contains_key(digest)).collect::<Vec<_>>()
        };
        let Some(missing) = self.with(epoch, is_missing).filter(|all| !all.is_empty()) else {
            return;
        };
        let request = ViewRequest::Statements(missing.clone());
        let Some(answer) = self.exchange.ask(node, request).await else { return };
        let Ok(statements) = decode_statements(&answer) else { return };
        for statement in statements {
            if let Ok(statement) = statement.verify(&self.network.id, epoch)
                && missing.contains(&statement.digest())
            {
                self.with(epoch, |work| work.statements.add(statement));
            }
        }
    }

    async fn fetch_before(&self, missing: Option<(SignedView, Vec<NodeId>)>) {
        let Some((signed, sources)) = missing else { return };
        if let Some(view) = self.fetch_view(&signed, sources).await {
            self.keep(view).await;
        }
    }

    /// Fetches a whole view from any of some keepers.
    pub(super) async fn fetch_view(
        &self,
        signed: &SignedView,
        sources: Vec<NodeId>,
    ) -> Option<View> {
        let keepers = self.charter.keepers(signed.header().epoch)?;
        let one = async |node| {
            let decoder = WholeDecoder::new(self.network.id, keepers.clone());
            let (id, exchange) = (signed.id(), &*self.exchange);
            fetch(exchange, &node, id, decoder, |from| ViewRequest::View { id, from }).await.ok()
        };
        self.first_of(signed.header().epoch, sources, one).await
    }

    async fn fetch_revocations(&self, missing: Option<([u8; 32], Vec<NodeId>)>) {
        let (Some((digest, sources)), Some(authority)) = (missing, self.network.authority) else {
            return;
        };
        let one = async |node| {
            let ask = |from| ViewRequest::Revocations { digest, from };
            let bytes = have_all(&*self.exchange, &node, MAX_REVOCATIONS, ask).await?;
            let list: UnverifiedRevocationList = wire::decode(&bytes, MAX_REVOCATIONS).ok()?;
            (list.digest() == digest).then(|| list.verify(&self.network.id, &authority).ok())?
        };
        if let Some(revoked) = self.first_of(self.present(), sources, one).await {
            let mut lists = self.other_lists.lock();
            // One is enough: the votes of an epoch name one.
            lists.clear();
            lists.insert(digest, revoked.nodes);
        }
    }

    /// What the first of some keepers has: they are asked in any order, as many at once as it takes for one of them to be
    /// honest.
    async fn first_of<T, F: Future<Output = Option<T>>>(
        &self,
        epoch: Epoch,
        mut sources: Vec<NodeId>,
        one: impl FnMut(NodeId) -> F,
    ) -> Option<T> {
        sources.sort_unstable();
        sources.dedup();
        rand::seq::SliceRandom::shuffle(&mut sources[..], &mut rand::rng());
        let at_once = self.charter.keepers(epoch).map_or(1, |keepers| keepers.faults() + 1);
        let found = stream::iter(sources).map(one).buffer_unordered(at_once);
        pin!(found.filter_map(std::future::ready)).next().await
    }
}
