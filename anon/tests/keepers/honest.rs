//! A keeper that does as it should: the machines of `anon::keeper`, put together as a node puts them together.

use std::collections::{BTreeMap, BTreeSet};

use anon::{
    keeper::{
        broadcast::{Broadcast, Output},
        collect::Collector,
        compute::{Candidate, ComputeError, Given, compute},
        schedule::Moment,
        signing::{Promises, Record, SigningError},
        tally::{Tally, TallyError},
        vote::{Vote, VoteDigest},
    },
    view::{
        header::ViewHeader,
        quorum::UnverifiedSignedView,
        statement::{NodeStatement, StatementDigest},
    },
};

use crate::town::{NET, Town};

/// What keepers send each other.
#[derive(Clone, Debug)]
pub(crate) enum Message {
    Chain(Vec<u8>),
    AskVote(VoteDigest),
    Vote(Vec<u8>),
    AskStatement(StatementDigest),
    Statement(Box<NodeStatement>),
    Signed(Box<UnverifiedSignedView>),
}

pub(crate) struct Honest {
    pub(crate) me: u8,
    /// Milliseconds by which its clock is ahead, or behind.
    pub(crate) offset: i64,
    own: Vote,
    statements: BTreeMap<StatementDigest, NodeStatement>,
    broadcast: Option<Broadcast>,
    pub(crate) votes: Option<BTreeMap<u8, VoteDigest>>,
    kept: BTreeMap<u8, Vote>,
    pub(crate) tally: Option<Result<Tally, TallyError>>,
    pub(crate) candidate: Option<Candidate>,
    /// What is on its disk.
    disk: Option<Vec<u8>>,
    pub(crate) refused: Vec<SigningError>,
    pub(crate) signed: Vec<ViewHeader>,
    pub(crate) collector: Collector,
    pub(crate) evidence: BTreeSet<u8>,
}

impl Honest {
    pub(crate) fn new(
        town: &Town,
        me: u8,
        offset: i64,
        own: Vote,
        statements: BTreeMap<StatementDigest, NodeStatement>,
    ) -> Self {
        Self {
            me,
            offset,
            own,
            statements,
            broadcast: None,
            votes: None,
            kept: BTreeMap::new(),
            tally: None,
            candidate: None,
            disk: None,
            refused: Vec::new(),
            signed: Vec::new(),
            collector: Collector::new(town.ballot.clone()),
            evidence: BTreeSet::new(),
        }
    }

    pub(crate) fn local(&self, global: u64) -> Moment {
        Moment(global.checked_add_signed(self.offset).unwrap())
    }

    pub(crate) fn global(&self, local: Moment) -> u64 {
        local.0.checked_add_signed(-self.offset).unwrap()
    }

    /// Loses everything but what is on the disk, and votes anew. Of the votes that it had it still finds those of these
    /// keepers, if they are enough to compute a view from.
    pub(crate) fn restart(&mut self, town: &Town, own: Vote, found: &[u8]) -> Vec<(u8, Message)> {
        let fresh = Self::new(town, self.me, self.offset, own, BTreeMap::new());
        let old = std::mem::replace(self, fresh);
        (self.disk, self.signed, self.refused) = (old.disk, old.signed, old.refused);
        self.statements = old.statements;
        let mut votes = old.kept;
        votes.retain(|keeper, _| found.contains(keeper));
        let shown = votes.iter().map(|(keeper, vote)| (*keeper, vote)).collect();
        if let Ok(tally) = Tally::of(&town.ballot, &shown, |_| Some(town.ballot.keepers().clone()))
        {
            self.tally = Some(Ok(tally));
            return self.try_to_sign(town);
        }
        Vec::new()
    }

    /// What its clock makes it do.
    pub(crate) fn wake(&mut self, town: &Town, global: u64) -> Vec<(u8, Message)> {
        let now = self.local(global);
        let (d, secret) = (&town.deadlines, &town.secrets[usize::from(self.me)]);
        if now >= d.measured_until && self.broadcast.is_none() {
            self.broadcast = Some(Broadcast::new(town.ballot.clone(), self.me, d.rounds));
        }
        let Some(broadcast) = &mut self.broadcast else { return Vec::new() };
        if now >= d.rounds.from() {
            // A restarted keeper that comes late has no vote.
            let _late = broadcast.handle_own_vote(now, self.own.clone(), secret);
        }
        let mut messages = outputs(broadcast);
        if self.tally.is_none()
            && let Some(votes) = broadcast.poll_votes(now)
        {
            self.votes =
                Some(votes.iter().map(|(keeper, vote)| (*keeper, vote.digest())).collect());
            self.kept = votes.iter().map(|(keeper, vote)| (*keeper, (*vote).clone())).collect();
            let tally = Tally::of(&town.ballot, &votes, |_| Some(town.ballot.keepers().clone()));
            let missing = |tally: &Tally| Self::missing(&self.statements, tally, &votes);
            let asked = tally.as_ref().map(missing).unwrap_or_default();
            self.tally = Some(tally);
            messages.extend(asked);
            messages.extend(self.try_to_sign(town));
        }
        messages
    }

    fn missing(
        statements: &BTreeMap<StatementDigest, NodeStatement>,
        tally: &Tally,
        votes: &BTreeMap<u8, &Vote>,
    ) -> Vec<(u8, Message)> {
        let mut asked = Vec::new();
        for (node, elected) in tally.elected() {
            if statements.contains_key(&elected.statement) {
                continue;
            }
            for (keeper, vote) in votes {
                if vote.nodes.get(node).is_some_and(|(digest, _)| *digest == elected.statement) {
                    asked.push((*keeper, Message::AskStatement(elected.statement)));
                }
            }
        }
        asked
    }

    fn try_to_sign(&mut self, town: &Town) -> Vec<(u8, Message)> {
        let Some(Ok(tally)) = &self.tally else { return Vec::new() };
        let before = tally.before().map(|_| &town.before.1);
        let revoked = BTreeSet::new();
        let given =
            Given { statements: &self.statements, before, revoked: &revoked, is_capped: true };
        let candidate = match compute(&town.ballot, tally, given) {
            Ok(candidate) => candidate,
            Err(ComputeError::MissingStatement(_) | ComputeError::NoNodes) => return Vec::new(),
            Err(error) => panic!("keeper {}: {error}", self.me),
        };
        let header = candidate.header;
        self.candidate = Some(candidate);
        let record = self.disk.as_ref().map(|bytes| Record::decode(bytes).unwrap());
        let promised = match Promises::new(record).promise_view(header) {
            Ok(promised) => promised,
            Err(error) => {
                self.refused.push(error);
                return Vec::new();
            }
        };
        self.disk = Some(promised.record().encode());
        let secret = &town.secrets[usize::from(self.me)];
        let signature = promised.recorded(&town.ballot, secret).unwrap();
        self.signed.push(header);
        let signed = UnverifiedSignedView { header, signatures: vec![signature] };
        self.collector.handle_signatures(&signed).unwrap();
        let to_all = town.ballot.numbers().filter(|keeper| *keeper != self.me);
        to_all.map(|to| (to, Message::Signed(Box::new(signed.clone())))).collect()
    }

    /// What a message makes it do.
    pub(crate) fn handle(
        &mut self,
        town: &Town,
        global: u64,
        from: u8,
        message: Message,
    ) -> Vec<(u8, Message)> {
        let now = self.local(global);
        let secret = &town.secrets[usize::from(self.me)];
        match message {
            Message::Signed(signed) => {
                let _junk = self.collector.handle_signatures(&signed);
            }
            Message::AskStatement(digest) => {
                let found = self.statements.get(&digest).cloned();
                return found
                    .map(|s| (from, Message::Statement(Box::new(s))))
                    .into_iter()
                    .collect();
            }
            Message::Statement(statement) => {
                let statement = statement.to_unverified().verify(&NET, town.ballot.epoch());
                let statement = statement.unwrap();
                self.statements.insert(statement.digest(), statement);
                if self.candidate.is_none() {
                    return self.try_to_sign(town);
                }
            }
            Message::Chain(_) | Message::AskVote(_) | Message::Vote(_) => {
                let Some(broadcast) = &mut self.broadcast else { return Vec::new() };
                match message {
                    Message::Chain(chain) => {
                        let _junk = broadcast.handle_chain(now, &chain, secret);
                    }
                    Message::Vote(vote) => {
                        let _junk = broadcast.handle_vote(now, &vote, secret);
                    }
                    Message::AskVote(digest) => {
                        let vote = broadcast.vote(digest);
                        return vote.map(|v| (from, Message::Vote(v))).into_iter().collect();
                    }
                    _ => {}
                }
                for proof in broadcast.evidence() {
                    proof.verify(&town.ballot).unwrap();
                    self.evidence.insert(proof.keeper());
                }
                return outputs(broadcast);
            }
        }
        Vec::new()
    }
}

fn outputs(broadcast: &mut Broadcast) -> Vec<(u8, Message)> {
    let mut messages = Vec::new();
    while let Some(output) = broadcast.poll_output() {
        messages.push(match output {
            Output::Send { to, chain } => (to, Message::Chain(chain)),
            Output::Fetch { from, digest } => (from, Message::AskVote(digest)),
        });
    }
    messages
}
