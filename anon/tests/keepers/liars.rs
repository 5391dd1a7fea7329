//! Hostile keepers that act together: they know everything that any of them knows, and use all their keys.

use std::collections::BTreeMap;

use anon::{
    keeper::{
        chain::{self, Chain},
        schedule::Moment,
        vote::VoteDigest,
    },
    keys::Signature,
    network::Epoch,
    view::{
        header::ViewHeader,
        quorum::{KeeperSignature, UnverifiedSignedView},
    },
};
use rand::{RngExt as _, rngs::StdRng};

use crate::{
    honest::Message,
    town::{Kind, ROUND, Town},
};

/// A message that arrives at a keeper when its own clock shows this.
pub(crate) struct Shot {
    pub(crate) at: Moment,
    pub(crate) from: u8,
    pub(crate) to: u8,
    pub(crate) message: Message,
}

pub(crate) struct Liars {
    pub(crate) members: Vec<u8>,
    bodies: BTreeMap<VoteDigest, Vec<u8>>,
    /// How many of ten requests for a vote they answer.
    answers: u32,
    headers: Vec<ViewHeader>,
}

impl Liars {
    pub(crate) fn new(members: Vec<u8>, rng: &mut StdRng) -> Self {
        let answers = [0, 5, 10][rng.random_range(0..3)];
        Self { members, bodies: BTreeMap::new(), answers, headers: Vec::new() }
    }

    /// What they do on their own account: one to three votes of each, with chains of their own making that arrive at the last
    /// moment, one millisecond after it, or early, at some only; and junk.
    pub(crate) fn plan(&mut self, town: &Town, rng: &mut StdRng) -> Vec<Shot> {
        let mut shots = Vec::new();
        for origin in self.members.clone() {
            for _ in 0..rng.random_range(1..=3) {
                let body = make_body(town, rng);
                let digest = VoteDigest::of(&body);
                self.bodies.insert(digest, body);
                for to in town.ballot.numbers() {
                    if rng.random_bool(0.6) {
                        shots.extend(self.shoot(town, rng, origin, digest, &BTreeMap::new(), to));
                    }
                }
            }
            shots.extend(self.junk(town, rng, origin));
        }
        shots
    }

    /// A chain with the signatures of some of them besides those that are known, for one keeper.
    fn shoot(
        &self,
        town: &Town,
        rng: &mut StdRng,
        origin: u8,
        digest: VoteDigest,
        known: &BTreeMap<u8, Signature>,
        to: u8,
    ) -> Option<Shot> {
        let rounds = town.deadlines.rounds;
        let sign = |keeper: u8| {
            let secret = &town.secrets[usize::from(keeper)];
            (keeper, chain::sign(&town.ballot, secret, origin, digest))
        };
        let mut signatures: Vec<(u8, Signature)> = known.iter().map(|(k, s)| (*k, *s)).collect();
        if signatures.is_empty() {
            signatures.push(sign(origin));
        }
        signatures.sort_by_key(|(keeper, _)| *keeper != origin);
        let mut helpers: Vec<u8> = self.members.clone();
        helpers.retain(|helper| signatures.iter().all(|(keeper, _)| keeper != helper));
        while !helpers.is_empty() && signatures.len() < rounds.count() && rng.random_bool(0.8) {
            let helper = helpers.swap_remove(rng.random_range(0..helpers.len()));
            signatures.push(sign(helper));
        }
        let deadline = rounds.deadline(signatures.len());
        let at = match rng.random_range(0..6) {
            0 | 1 => deadline,
            2 => deadline.after(1),
            3 => deadline.before(1),
            4 => deadline.before(rng.random_range(0..ROUND)),
            _ => Moment(rng.random_range(rounds.from().before(ROUND).0..=rounds.until().0)),
        };
        let from = self.members[rng.random_range(0..self.members.len())];
        let chain = Chain::from_parts(town.ballot.epoch(), origin, digest, signatures);
        Some(Shot { at, from, to, message: Message::Chain(chain.encode()) })
    }

    /// Chains that are forged, malformed or too many; none may change anything.
    fn junk(&self, town: &Town, rng: &mut StdRng, liar: u8) -> Vec<Shot> {
        let victim = rng.random_range(0..town.len());
        let digest = VoteDigest(rng.random());
        let secret = &town.secrets[usize::from(liar)];
        let own = chain::sign(&town.ballot, secret, liar, digest);
        let forged = chain::sign(&town.ballot, secret, victim, digest);
        let epoch = town.ballot.epoch();
        let mut chains = vec![
            // A vote of somebody else's, in its name.
            Chain::from_parts(epoch, victim, digest, vec![(victim, forged)]),
            Chain::from_parts(epoch, victim, digest, vec![(victim, forged), (liar, forged)]),
            // A helper's signature that is none.
            Chain::from_parts(epoch, liar, digest, vec![(liar, own), (victim, own)]),
            Chain::from_parts(epoch, liar, digest, vec![(liar, own), (liar, own)]),
            Chain::from_parts(epoch, liar, digest, vec![(town.len(), own), (liar, own)]),
            Chain::from_parts(epoch, liar, digest, vec![]),
            Chain::from_parts(Epoch(epoch.0 + 1), liar, digest, vec![(liar, own)]),
        ];
        // More digests than anybody signs, so that those of others find no room.
        for _ in 0..rng.random_range(0..4) {
            let digest = VoteDigest(rng.random());
            let own = chain::sign(&town.ballot, secret, liar, digest);
            chains.push(Chain::from_parts(epoch, liar, digest, vec![(liar, own)]));
        }
        let from = town.deadlines.rounds.from();
        let shots = chains.into_iter().map(|chain| Shot {
            at: Moment(rng.random_range(from.before(ROUND).0..=from.after(ROUND).0)),
            from: liar,
            to: rng.random_range(0..town.len()),
            message: Message::Chain(chain.encode()),
        });
        shots.collect()
    }

    /// What they make of a message that one of them was sent.
    pub(crate) fn react(
        &mut self,
        town: &Town,
        rng: &mut StdRng,
        now: Moment,
        from: u8,
        to: u8,
        message: Message,
    ) -> Vec<Shot> {
        match message {
            Message::Chain(bytes) => self.pass_on(town, rng, now, &bytes),
            Message::AskVote(digest) => {
                if rng.random_range(0..10) >= self.answers {
                    return Vec::new();
                }
                let Some(body) = self.bodies.get(&digest) else { return Vec::new() };
                let at = now.after([0, ROUND / 4, 2 * ROUND][rng.random_range(0..3)]);
                vec![Shot { at, from: to, to: from, message: Message::Vote(body.clone()) }]
            }
            Message::Vote(body) => {
                self.bodies.insert(VoteDigest::of(&body), body);
                Vec::new()
            }
            Message::Signed(signed) => self.sign_everything(town, rng, now, signed.header),
            Message::AskStatement(_) | Message::Statement(_) => Vec::new(),
        }
    }

    /// Adds their signatures to a chain, and sends it to some at the last moment for it.
    fn pass_on(&self, town: &Town, rng: &mut StdRng, now: Moment, bytes: &[u8]) -> Vec<Shot> {
        let rounds = town.deadlines.rounds;
        let Ok(chain) = Chain::decode(bytes, &town.ballot, rounds.count()) else {
            return Vec::new();
        };
        let known: BTreeMap<u8, Signature> = chain.signatures().iter().copied().collect();
        let mut shots = Vec::new();
        for to in town.ballot.numbers() {
            if rng.random_bool(0.3) {
                shots.extend(self.shoot(town, rng, chain.origin, chain.digest, &known, to));
            }
        }
        shots.retain(|shot| shot.at > now);
        shots
    }

    /// Signs every view it hears of, and one that it invents; sends each to some.
    fn sign_everything(
        &mut self,
        town: &Town,
        rng: &mut StdRng,
        now: Moment,
        header: ViewHeader,
    ) -> Vec<Shot> {
        if self.headers.contains(&header) {
            return Vec::new();
        }
        let mut headers = vec![header];
        if self.headers.is_empty() {
            headers.push(ViewHeader { count: header.count + 1, ..header });
        }
        self.headers.extend(&headers);
        let mut shots = Vec::new();
        for header in headers {
            let sign = |keeper: &u8| {
                let secret = &town.secrets[usize::from(*keeper)];
                KeeperSignature::sign(town.ballot.keepers(), secret, &header).unwrap()
            };
            let signatures: Vec<KeeperSignature> = self.members.iter().map(sign).collect();
            let signed = UnverifiedSignedView { header, signatures };
            for to in town.ballot.numbers() {
                if rng.random_bool(0.5) {
                    continue;
                }
                let at = now.after(rng.random_range(0..2 * ROUND));
                let message = Message::Signed(Box::new(signed.clone()));
                shots.push(Shot { at, from: self.members[0], to, message });
            }
        }
        shots
    }
}

/// A vote for what liars like, or bytes that are none.
fn make_body(town: &Town, rng: &mut StdRng) -> Vec<u8> {
    let chosen: Vec<bool> = town.stated.iter().map(|_| rng.random_bool(0.5)).collect();
    let has_before = rng.random_bool(0.5);
    let vote = town.vote(has_before, |i, kind| kind == Kind::Private || chosen[i]);
    let mut body = vote.encode();
    if rng.random_bool(0.2) {
        body.pop();
    }
    body
}
