//! All that a keeper knows for the view of one epoch, and what is due next.
//!
//! A state machine without input or output: it is asked what is due at a moment, and told what came of it.

use std::collections::{BTreeMap, BTreeSet};

use anon::{
    id::NodeId,
    keeper::{
        absence::Absence,
        ballot::Ballot,
        broadcast::{Broadcast, Output},
        charter::Charter,
        collect::{CollectError, Collector},
        compute::Candidate,
        schedule::{Deadlines, Moment, Schedule},
        tally::{Tally, TallyError},
        vote::{Reached, Rules, Vote, VoteDigest},
    },
    keys::{KeeperSecret, SigningSecret as _},
    network::Epoch,
    view::{
        quorum::{SignedView, UnverifiedSignedView},
        statement::StatementDigest,
    },
};
use net::shares::RangeShare;

use super::statements::Statements;
use crate::view::{kept::Kept, state::last_told};

/// What is to be done, each in a task of its own.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Job {
    /// Dial the nodes that stated themselves.
    Measure(Epoch),
    /// Make this keeper's vote, and put it on the disk.
    Vote(Epoch),
    /// Send a chain to a keeper.
    Send(Epoch, u8, Vec<u8>),
    /// Fetch a vote from a keeper.
    Fetch(Epoch, u8, VoteDigest),
    /// Fetch what the votes name, and compute the view.
    Gather(Epoch),
    /// Sign the view.
    Sign(Epoch),
    /// Exchange signatures.
    Push(Epoch),
    /// Keep the view that a quorum signed.
    Keep(Epoch),
    /// Ask the others for a view of this epoch.
    CatchUp(Epoch),
    /// Say that there is no view.
    Deny(Epoch),
}

/// How far this keeper's own vote is.
#[derive(Debug, PartialEq)]
pub(super) enum OwnVote {
    None,
    Making,
    Made(Box<Vote>),
    Sent,
}

/// Something that is done again and again, one at a time.
#[derive(Debug, Default)]
pub(super) struct Again {
    is_under_way: bool,
    not_before: Moment,
}

impl Again {
    /// Whether to begin now.
    fn begins(&mut self, now: Moment) -> bool {
        let begins = !self.is_under_way && now >= self.not_before;
        self.is_under_way |= begins;
        begins
    }

    /// It is over, and is to be done again at that moment at the earliest.
    pub(super) const fn over(&mut self, next: Moment) {
        self.is_under_way = false;
        self.not_before = next;
    }
}

/// All that is known for one view.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) ballot: Ballot,
    pub(super) me: u8,
    pub(super) schedule: Schedule,
    pub(super) deadlines: Deadlines,
    pub(super) statements: Statements,
    /// Whether this keeper began early enough to hear what each node states: if it did not, it makes no vote.
    pub(super) hears_all: bool,
    pub(super) reached: BTreeMap<NodeId, (StatementDigest, Reached)>,
    pub(super) broadcast: Broadcast,
    /// How many chains of each keeper did not verify.
    pub(super) bad_chains: BTreeMap<u8, usize>,
    pub(super) own_vote: OwnVote,
    pub(super) tally: Option<Result<Tally, TallyError>>,
    pub(super) candidate: Option<Candidate>,
    /// What this keeper has signed.
    pub(super) signed: Option<UnverifiedSignedView>,
    pub(super) collector: Collector,
    pub(super) quorum: Option<SignedView>,
    pub(super) is_kept: bool,
    pub(super) words: BTreeMap<u8, Absence>,
    /// Who answered anything.
    pub(super) answered: BTreeSet<u8>,
    /// Who has been shown the quorum.
    pub(super) shown: BTreeSet<u8>,
    /// Whether the others were asked for the view.
    pub(super) has_asked: bool,
    has_measured: bool,
    pub(super) signing: Again,
    pub(super) pushing: Again,
    pub(super) keeping: Again,
    pub(super) asking: Again,
    pub(super) denying: Again,
}

impl Work {
    /// The work for the view of an epoch. `None` if the keeper with this secret is none of that epoch's.
    pub(super) fn new(
        charter: &Charter,
        epoch: Epoch,
        secret: &KeeperSecret,
        share: RangeShare,
        kept: Option<&Kept>,
    ) -> Option<Self> {
        let (ballot, deadlines) = (charter.ballot(epoch)?, charter.deadlines(epoch)?);
        let me = ballot.keepers().number_of(&secret.verify_key())?;
        let most = usize::try_from(ballot.max_nodes()).unwrap_or(usize::MAX);
        let mut work = Self {
            broadcast: Broadcast::new(ballot.clone(), me, deadlines.rounds),
            collector: Collector::new(ballot.clone()),
            statements: Statements::new(most, share),
            hears_all: false,
            schedule: charter.schedule(epoch)?,
            deadlines,
            me,
            ballot,
            own_vote: OwnVote::None,
            reached: BTreeMap::new(),
            bad_chains: BTreeMap::new(),
            tally: None,
            candidate: None,
            signed: None,
            quorum: None,
            is_kept: kept.is_some(),
            words: BTreeMap::new(),
            answered: BTreeSet::new(),
            shown: BTreeSet::new(),
            has_asked: false,
            has_measured: false,
            signing: Again::default(),
            pushing: Again::default(),
            keeping: Again::default(),
            asking: Again::default(),
            denying: Again::default(),
        };
        if let Some(kept) = kept {
            let _ours = work.take_signatures(&kept.view.signed().to_unverified());
        }
        Some(work)
    }

    /// Whether a keeper that begins now hears each node once more, also one whose clock is ahead.
    pub(super) fn begins_in_time(&self, now: Moment) -> bool {
        now.after(self.schedule.skew()) <= last_told(&self.deadlines, &self.schedule)
    }

    /// The view's epoch.
    pub(super) const fn epoch(&self) -> Epoch {
        self.ballot.epoch()
    }

    /// The node of a keeper.
    pub(super) fn node(&self, keeper: u8) -> Option<NodeId> {
        self.ballot.key(keeper).map(|key| NodeId(key.0))
    }

    /// The number of the keeper that this node is.
    pub(super) fn number(&self, node: &NodeId) -> Option<u8> {
        self.ballot.keepers().number_of(&node.verify_key())
    }

    /// All other keepers.
    pub(super) fn others(&self) -> Vec<(u8, NodeId)> {
        let others = self.ballot.numbers().filter(|keeper| *keeper != self.me);
        others.filter_map(|keeper| Some((keeper, self.node(keeper)?))).collect()
    }

    /// A round's length, milliseconds.
    pub(super) const fn round(&self) -> u64 {
        self.schedule.round()
    }

    /// Takes signatures under a view of this epoch.
    ///
    /// # Errors
    /// [`CollectError`] for the first that does not count.
    pub(super) fn take_signatures(
        &mut self,
        signed: &UnverifiedSignedView,
    ) -> Result<(), CollectError> {
        let taken = self.collector.handle_signatures(signed);
        if self.quorum.is_none() {
            self.quorum = self.collector.poll_quorum();
        }
        taken
    }

    /// What others are shown: the view under its quorum, or what this keeper has signed, with all signatures that are here.
    pub(super) fn to_show(&self) -> Option<UnverifiedSignedView> {
        let header = match (&self.quorum, &self.signed) {
            (Some(quorum), _) => *quorum.header(),
            (None, Some(signed)) => signed.header,
            (None, None) => return None,
        };
        Some(self.collector.signed(&header))
    }

    /// This keeper's vote: the nodes it reached, and what it goes by.
    pub(super) fn vote(&self, rules: Rules, before: Option<&Kept>) -> Vote {
        let most = usize::try_from(self.ballot.max_nodes()).unwrap_or(usize::MAX);
        let stood = |node: &NodeId| before.is_some_and(|b| b.view.nodes().rank_of(node).is_some());
        let mut nodes: Vec<_> = self.reached.iter().collect();
        if nodes.len() > most {
            nodes.sort_by_key(|(node, _)| (!stood(node), **node));
            nodes.truncate(most);
        }
        Vote {
            rules,
            before: before.map(|before| before.view.signed().to_unverified()),
            nodes: nodes.into_iter().map(|(node, reached)| (*node, *reached)).collect(),
        }
    }

    /// What is due at a moment.
    pub(super) fn due(
        &mut self,
        now: Moment,
        charter: &Charter,
        secret: &KeeperSecret,
    ) -> Vec<Job> {
        let (epoch, d) = (self.epoch(), self.deadlines);
        let mut jobs = Vec::new();
        if now > d.statements_until && !self.has_measured {
            self.has_measured = true;
            jobs.push(Job::Measure(epoch));
        }
        let may_vote = now > d.measured_until && now <= d.rounds.deadline(1);
        if may_vote && self.own_vote == OwnVote::None {
            self.own_vote = OwnVote::Making;
            jobs.push(Job::Vote(epoch));
        }
        self.send_own_vote(now, secret);
        while let Some(output) = self.broadcast.poll_output() {
            jobs.push(match output {
                Output::Send { to, chain } => Job::Send(epoch, to, chain),
                Output::Fetch { from, digest } => Job::Fetch(epoch, from, digest),
            });
        }
        if self.count(now, charter) {
            jobs.push(Job::Gather(epoch));
        }
        self.due_after_votes(now, &mut jobs);
        jobs
    }

    fn send_own_vote(&mut self, now: Moment, secret: &KeeperSecret) {
        if now < self.deadlines.rounds.from() {
            return;
        }
        match std::mem::replace(&mut self.own_vote, OwnVote::Sent) {
            OwnVote::Made(vote) => {
                if let Err(error) = self.broadcast.handle_own_vote(now, *vote, secret) {
                    tracing::warn!(%error, view = self.epoch().0, "this keeper has no vote");
                }
            }
            other => self.own_vote = other,
        }
    }

    /// Counts the votes as soon as the last round is over. Whether a view may follow from them.
    fn count(&mut self, now: Moment, charter: &Charter) -> bool {
        // Who was not there while votes were exchanged has none, and finds the view with the others.
        if self.tally.is_some() {
            return false;
        }
        let Some(votes) = self.broadcast.poll_votes(now) else { return false };
        let keepers_of = |epoch| charter.keepers(epoch).cloned();
        let tally = Tally::of(&self.ballot, &votes, keepers_of);
        if let Err(error) = &tally {
            tracing::debug!(%error, view = self.epoch().0, "no view follows from the votes");
        }
        self.tally.insert(tally).is_ok()
    }

    fn due_after_votes(&mut self, now: Moment, jobs: &mut Vec<Job>) {
        let (epoch, d) = (self.epoch(), self.deadlines);
        let is_alone = self.others().is_empty();
        if self.candidate.is_some() && self.signed.is_none() && self.signing.begins(now) {
            jobs.push(Job::Sign(epoch));
        }
        let has_all_seen = self.shown.len() >= self.others().len();
        if self.to_show().is_some() && !has_all_seen && self.pushing.begins(now) {
            jobs.push(Job::Push(epoch));
        }
        if self.quorum.is_some() && !self.is_kept && self.keeping.begins(now) {
            jobs.push(Job::Keep(epoch));
        }
        if now <= d.starts || self.quorum.is_some() {
            return;
        }
        if !is_alone && self.asking.begins(now) {
            jobs.push(Job::CatchUp(epoch));
        }
        let may_deny = now > d.late_until && (self.has_asked || is_alone);
        if may_deny && self.denying.begins(now) {
            jobs.push(Job::Deny(epoch));
        }
    }

    /// When to look again at the latest, if nothing comes before.
    pub(super) fn next(&self, now: Moment) -> Moment {
        let (d, tick) = (&self.deadlines, self.schedule.delay());
        let ends = [
            d.statements_until.after(1),
            d.measured_until.after(1),
            d.rounds.from(),
            d.rounds.until().after(1),
            d.starts.after(1),
            d.late_until.after(1),
        ];
        let next = ends.into_iter().find(|end| *end > now);
        let next = next.unwrap_or_else(|| now.after(self.round()));
        let is_busy = now > d.rounds.until() && self.quorum.is_none() || !self.has_all_seen();
        if is_busy { next.min(now.after(tick)) } else { next }
    }

    fn has_all_seen(&self) -> bool {
        self.quorum.is_none() || self.shown.len() >= self.others().len()
    }
}
