//! What a keeper answers: nodes that state themselves, other keepers, and whoever wants a view.

use anon::{
    id::NodeId,
    keeper::{
        absence::Absence, broadcast::BroadcastError, chain::ChainError, schedule::Moment,
        vote::VoteDigest,
    },
    network::Epoch,
    request::{
        Response,
        view::{ViewRequest, encode_statements, encode_words, piece},
    },
    view::{
        quorum::UnverifiedSignedView,
        statement::{StatementDigest, UnverifiedNodeStatement},
    },
};

use super::{Keeper, work::Work};

/// How many chains that do not verify a keeper may send in one epoch before it is not listened to any more.
pub(super) const MAX_BAD_CHAINS: usize = 64;

impl Keeper {
    /// Answers a request of a node, or of an agent, which is no node that anybody knows.
    pub(crate) fn answer(&self, from: Option<NodeId>, request: &ViewRequest) -> Response {
        let answer = match request {
            ViewRequest::State(bytes) => {
                return if from.is_some_and(|node| self.hear(&node, bytes)) {
                    Response::View(Vec::new())
                } else {
                    Response::Refused
                };
            }
            ViewRequest::Words(epoch) => self.with(*epoch, |work| {
                let words: Vec<Absence> = work.words.values().cloned().collect();
                encode_words(&words)
            }),
            ViewRequest::Latest | ViewRequest::View { .. } | ViewRequest::Difference { .. } => {
                self.views.answer(request)
            }
            ViewRequest::Revocations { digest, from } => self.piece_of_revocations(digest, *from),
            ViewRequest::Statements(_)
            | ViewRequest::Vote { .. }
            | ViewRequest::Chain(_)
            | ViewRequest::Signatures(_)
            | ViewRequest::Word(_) => {
                let Some(keeper) = from.filter(|node| self.lines.contains_key(node)) else {
                    return Response::Refused;
                };
                self.answer_keeper(&keeper, request)
            }
        };
        answer.map_or(Response::NotFound, Response::View)
    }

    fn answer_keeper(&self, keeper: &NodeId, request: &ViewRequest) -> Option<Vec<u8>> {
        match request {
            ViewRequest::Statements(wanted) => Some(self.statements(wanted)),
            ViewRequest::Vote { epoch, digest, from } => self.vote(*epoch, *digest, *from),
            ViewRequest::Chain(bytes) => self.take_chain(keeper, bytes),
            ViewRequest::Signatures(bytes) => self.take_signatures(keeper, bytes),
            ViewRequest::Word(bytes) => self.take_word(bytes),
            ViewRequest::State(_)
            | ViewRequest::Words(_)
            | ViewRequest::Latest
            | ViewRequest::View { .. }
            | ViewRequest::Difference { .. }
            | ViewRequest::Revocations { .. } => None,
        }
    }

    /// Takes what a node states, which must be its own. Whether it counts.
    pub(crate) fn hear(&self, node: &NodeId, bytes: &[u8]) -> bool {
        let Ok(statement) = UnverifiedNodeStatement::decode(bytes) else { return false };
        if statement.claimed_node() != *node {
            return false;
        }
        let (now, epoch) = (self.clock.moment(), self.present().after(1));
        let is_in_time = |work: &mut Work| now <= work.deadlines.statements_until;
        if !self.with(epoch, is_in_time).unwrap_or(false) {
            return false;
        }
        let Ok(statement) = statement.verify(&self.network.id, epoch) else { return false };
        let before = self.views.before(epoch);
        let is_known = before.is_some_and(|before| before.view.nodes().rank_of(node).is_some());
        match self.with(epoch, |work| work.statements.take(statement, is_known)) {
            Some(Ok(proof)) => {
                if let Some(proof) = proof {
                    self.evidence.two_faces(&proof);
                }
                true
            }
            Some(Err(error)) => {
                tracing::debug!(%error, node = node.short(), "a statement is not taken");
                false
            }
            None => false,
        }
    }

    fn statements(&self, wanted: &[StatementDigest]) -> Vec<u8> {
        let works = self.works.lock();
        let find = |digest: &StatementDigest| {
            works.values().find_map(|work| work.statements.known().get(digest))
        };
        let found: Vec<_> =
            wanted.iter().filter_map(find).map(|statement| statement.to_unverified()).collect();
        encode_statements(&found)
    }

    fn vote(&self, epoch: Epoch, digest: VoteDigest, from: u32) -> Option<Vec<u8>> {
        let vote = self.with(epoch, |work| work.broadcast.vote(digest))??;
        piece(&vote, from).map(<[u8]>::to_vec)
    }

    fn piece_of_revocations(&self, digest: &[u8; 32], from: u32) -> Option<Vec<u8>> {
        if *digest != self.charter.rules().revocations {
            return None;
        }
        piece(self.revocations.as_ref()?, from).map(<[u8]>::to_vec)
    }

    /// Takes a chain into the broadcast that it is for.
    fn take_chain(&self, from: &NodeId, bytes: &[u8]) -> Option<Vec<u8>> {
        let now = self.clock.moment();
        let mut works = self.works.lock();
        // The view that is voted on is the last one.
        let is_taken =
            works.values_mut().rev().any(|work| self.is_chain_of(work, from, now, bytes));
        drop(works);
        is_taken.then(|| {
            self.wake.notify_one();
            Vec::new()
        })
    }

    /// Whether a chain is for this view, good or bad.
    fn is_chain_of(&self, work: &mut Work, from: &NodeId, now: Moment, bytes: &[u8]) -> bool {
        let Some(keeper) = work.number(from) else { return false };
        let bad = work.bad_chains.get(&keeper).copied().unwrap_or_default();
        if bad >= MAX_BAD_CHAINS {
            return false;
        }
        match work.broadcast.handle_chain(now, bytes, &self.secret) {
            Ok(()) => {
                work.answered.insert(keeper);
                true
            }
            Err(BroadcastError::Chain(ChainError::WrongEpoch(_))) => false,
            Err(error) => {
                tracing::debug!(%error, keeper, "a chain does not count");
                if matches!(error, BroadcastError::Chain(_) | BroadcastError::TooManyDigests { .. })
                {
                    *work.bad_chains.entry(keeper).or_default() += 1;
                }
                true
            }
        }
    }

    /// Takes the signatures that a keeper shows, and shows it what this one has.
    fn take_signatures(&self, from: &NodeId, bytes: &[u8]) -> Option<Vec<u8>> {
        let signed = UnverifiedSignedView::decode(bytes).ok()?;
        let shown = self.with(signed.header.epoch, |work| {
            if let Err(error) = work.take_signatures(&signed) {
                tracing::debug!(%error, "a signature does not count");
            }
            work.answered.extend(work.number(from));
            work.to_show().map_or_else(Vec::new, |signed| signed.encode())
        });
        self.wake.notify_one();
        shown
    }

    fn take_word(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let word = Absence::decode(bytes).ok()?;
        let now = self.clock.moment();
        self.with(word.epoch(), |work| {
            word.verify(&work.ballot, now, work.schedule.word_holds()).ok()?;
            let keeper = word.keeper();
            let is_newer = work.words.get(&keeper).is_none_or(|old| old.said() < word.said());
            if is_newer {
                work.words.insert(keeper, word);
            }
            Some(Vec::new())
        })?
    }
}
