//! The broadcast of votes, after Dolev and Strong (*Authenticated Algorithms for Byzantine Agreement*, 1983): with messages
//! in time, all honest keepers end with the same votes, whatever up to f others do.
//!
//! Of a keeper's vote the digest travels, with signatures ([`super::chain`]); the vote itself is fetched from whoever
//! signed. A digest is **accepted** when its vote is here and at least as many keepers have signed it as the rounds that
//! have begun: `now ≤ T0 + signatures × R`. Whoever accepts a digest that fewer than f + 1 have signed signs it and sends it
//! to all others, and has then the vote ready for them. After the last round a keeper whose digest alone was accepted has
//! voted; who has none, or two, has not. `docs/protocol.md` has the proof.
//!
//! **Invariants.** An honest keeper signs only digests whose votes it holds, and at most two of one origin, which are enough
//! to know a liar: so two digests of one origin from one signer are taken and no more, and nothing that others send crowds
//! out what an honest keeper relays. At most `2n` digests of an origin are known, at most two of its votes held.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use thiserror::Error;

use super::{
    ballot::Ballot,
    chain::{self, Chain, ChainError},
    equivocation::Equivocation,
    schedule::{Moment, Rounds},
    vote::{Vote, VoteDigest, VoteError},
};
use crate::keys::{KeeperSecret, Signature};

/// How many digests of one origin a keeper signs, and takes from one signer: two prove that the origin lies.
pub const MAX_DIGESTS: usize = 2;

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BroadcastError {
    /// The chain is not one.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The chain has too few signatures for its time.
    #[error("{signatures} signatures came after the round of that number")]
    Late {
        /// How many different keepers are known to have signed.
        signatures: usize,
    },
    /// The last signer has already relayed [`MAX_DIGESTS`] digests of this origin.
    #[error("keeper {last} relays more than {MAX_DIGESTS} votes of keeper {origin}")]
    TooManyDigests {
        /// The last signer.
        last: u8,
        /// Whose votes they would be.
        origin: u8,
    },
    /// A vote that nothing in time announced.
    #[error("a vote that nobody announced in time")]
    NotWanted,
    /// The announced vote is not one: nobody honest signs it.
    #[error(transparent)]
    Vote(#[from] VoteError),
    /// This keeper has voted already.
    #[error("this keeper has voted")]
    Voted,
}

/// What a keeper is to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send a chain to a keeper.
    Send {
        /// To whom.
        to: u8,
        /// An encoded [`Chain`].
        chain: Vec<u8>,
    },
    /// Ask a keeper for a vote, and hand it to [`Broadcast::handle_vote`]. When it came from anybody, all other requests
    /// for it can be given up.
    Fetch {
        /// Whom to ask.
        from: u8,
        /// Which vote.
        digest: VoteDigest,
    },
}

/// What is known of one digest of one origin.
#[derive(Clone, Debug, Default)]
struct Offer {
    signatures: BTreeMap<u8, Signature>,
    asked: BTreeSet<u8>,
    is_accepted: bool,
}

/// What is known of one origin, by digest.
type Offers = BTreeMap<VoteDigest, Offer>;

/// Whether enough is accepted of an origin to know that it lies: nothing more need be known.
fn is_settled(offers: &Offers) -> bool {
    offers.values().filter(|offer| offer.is_accepted).count() >= MAX_DIGESTS
}

/// One keeper's part in the broadcast of all votes for the view of one epoch.
#[derive(Debug)]
pub struct Broadcast {
    ballot: Ballot,
    me: u8,
    rounds: Rounds,
    now: Moment,
    origins: BTreeMap<u8, Offers>,
    votes: BTreeMap<VoteDigest, Vote>,
    outputs: VecDeque<Output>,
}

impl Broadcast {
    /// The part of the keeper of number `me`. It is to be there when measuring ends, a round before the first round: the
    /// votes of quicker clocks come early.
    #[must_use]
    pub fn new(ballot: Ballot, me: u8, rounds: Rounds) -> Self {
        Self {
            ballot,
            me,
            rounds,
            now: Moment(0),
            origins: BTreeMap::new(),
            votes: BTreeMap::new(),
            outputs: VecDeque::new(),
        }
    }

    /// Signs this keeper's own vote and sends it to all, at the beginning of the first round. A keeper that was restarted
    /// hands in the same vote again or none at all: two would make it a liar.
    ///
    /// # Errors
    /// [`BroadcastError`] if it has voted already or the first round is over.
    pub fn handle_own_vote(
        &mut self,
        now: Moment,
        vote: Vote,
        secret: &KeeperSecret,
    ) -> Result<(), BroadcastError> {
        let now = self.advance(now);
        let (me, digest) = (self.me, vote.digest());
        if self.origins.get(&me).is_some_and(|offers| offers.values().any(|o| o.is_accepted)) {
            return Err(BroadcastError::Voted);
        }
        if now > self.rounds.deadline(1) {
            return Err(BroadcastError::Late { signatures: 1 });
        }
        let signature = chain::sign(&self.ballot, secret, me, digest);
        let offer = self.origins.entry(me).or_default().entry(digest).or_default();
        offer.signatures.insert(me, signature);
        offer.is_accepted = true;
        self.votes.insert(digest, vote);
        self.send_to_others(me, digest);
        Ok(())
    }

    /// Takes a chain that a keeper sent.
    ///
    /// # Errors
    /// [`BroadcastError`] if it does not count; nobody need be told.
    pub fn handle_chain(
        &mut self,
        now: Moment,
        bytes: &[u8],
        secret: &KeeperSecret,
    ) -> Result<(), BroadcastError> {
        let now = self.advance(now);
        let chain = Chain::decode(bytes, &self.ballot, self.rounds.count())?;
        if now > self.rounds.until() {
            return Err(BroadcastError::Late { signatures: chain.signatures().len() });
        }
        if !self.take_in(&chain)? {
            return Ok(());
        }
        let (origin, digest, last) = (chain.origin, chain.digest, chain.last());
        let rounds = self.rounds;
        let Some(offer) = self.offer(origin, digest) else { return Ok(()) };
        let signatures = offer.signatures.len();
        if now > rounds.deadline(signatures) {
            return Err(BroadcastError::Late { signatures });
        }
        if self.votes.contains_key(&digest) {
            self.accept(origin, digest, secret);
        } else if self.offer(origin, digest).is_some_and(|offer| offer.asked.insert(last)) {
            self.outputs.push_back(Output::Fetch { from: last, digest });
        }
        Ok(())
    }

    /// Adds a chain's signatures to those that are known of its digest, each verified once. `false`: nothing more about
    /// this digest need be known.
    fn take_in(&mut self, chain: &Chain) -> Result<bool, BroadcastError> {
        let (origin, digest, last) = (chain.origin, chain.digest, chain.last());
        let offers = self.origins.entry(origin).or_default();
        let known = offers.get(&digest);
        if is_settled(offers) || known.is_some_and(|offer| offer.is_accepted) {
            return Ok(false);
        }
        if known.is_none() {
            let relayed = offers.values().filter(|offer| offer.signatures.contains_key(&last));
            if relayed.count() >= MAX_DIGESTS {
                return Err(BroadcastError::TooManyDigests { last, origin });
            }
        }
        let mut fresh = Vec::new();
        for (keeper, signature) in chain.signatures() {
            if !known.is_some_and(|offer| offer.signatures.contains_key(keeper)) {
                chain::verify_one(&self.ballot, *keeper, origin, digest, signature)?;
                fresh.push((*keeper, *signature));
            }
        }
        offers.entry(digest).or_default().signatures.extend(fresh);
        Ok(true)
    }

    /// Takes a vote that was fetched. Its digest says whose it is.
    ///
    /// # Errors
    /// [`BroadcastError`] if nobody announced it in time, or it is no vote.
    pub fn handle_vote(
        &mut self,
        now: Moment,
        bytes: &[u8],
        secret: &KeeperSecret,
    ) -> Result<(), BroadcastError> {
        let now = self.advance(now);
        let digest = VoteDigest::of(bytes);
        let waits = |(origin, offers): (&u8, &Offers)| {
            let offer = offers.get(&digest)?;
            let is_timely = now <= self.rounds.deadline(offer.signatures.len());
            (is_timely && !offer.is_accepted && !is_settled(offers)).then_some(*origin)
        };
        let waiting: Vec<u8> = self.origins.iter().filter_map(waits).collect();
        if waiting.is_empty() {
            self.forget_requests(digest);
            return Err(BroadcastError::NotWanted);
        }
        let vote = Vote::decode(bytes, &self.ballot)?;
        self.votes.insert(digest, vote);
        for origin in waiting {
            self.accept(origin, digest, secret);
        }
        Ok(())
    }

    /// A vote came too late for what was known of it: with more signatures it may be asked for again.
    fn forget_requests(&mut self, digest: VoteDigest) {
        for offers in self.origins.values_mut() {
            if let Some(offer) = offers.get_mut(&digest) {
                offer.asked.clear();
            }
        }
    }

    /// Accepts a digest that is in time and whose vote is here, and relays it where fewer than f + 1 have signed it.
    fn accept(&mut self, origin: u8, digest: VoteDigest, secret: &KeeperSecret) {
        let (me, rounds) = (self.me, self.rounds);
        let own = chain::sign(&self.ballot, secret, origin, digest);
        let Some(offer) = self.offer(origin, digest) else { return };
        offer.is_accepted = true;
        if offer.signatures.len() < rounds.count() && !offer.signatures.contains_key(&me) {
            offer.signatures.insert(me, own);
            self.send_to_others(origin, digest);
        }
    }

    /// Sends a digest with all its signatures to whoever is not known to have signed it.
    fn send_to_others(&mut self, origin: u8, digest: VoteDigest) {
        let Some(offer) = self.origins.get(&origin).and_then(|offers| offers.get(&digest)) else {
            return;
        };
        let chain = Chain::of(&self.ballot, origin, digest, &offer.signatures, self.me).encode();
        for to in self.ballot.numbers().filter(|keeper| !offer.signatures.contains_key(keeper)) {
            self.outputs.push_back(Output::Send { to, chain: chain.clone() });
        }
    }

    /// What to do next, until `None`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// A vote that this keeper holds, encoded, for another keeper that asks.
    #[must_use]
    pub fn vote(&self, digest: VoteDigest) -> Option<Vec<u8>> {
        self.votes.get(&digest).map(Vote::encode)
    }

    /// The votes that count, by the keeper's number. `None` while the rounds last; afterwards it stays the same.
    #[must_use]
    pub fn poll_votes(&mut self, now: Moment) -> Option<BTreeMap<u8, &Vote>> {
        if self.advance(now) <= self.rounds.until() {
            return None;
        }
        let votes = self.origins.iter().filter_map(|(origin, offers)| {
            let mut accepted = offers.iter().filter(|(_, offer)| offer.is_accepted);
            let (digest, _) = accepted.next()?;
            if accepted.next().is_some() {
                return None;
            }
            Some((*origin, self.votes.get(digest)?))
        });
        Some(votes.collect())
    }

    /// Proof against every keeper that is known to have signed two votes of its own, to be kept and published.
    #[must_use]
    pub fn evidence(&self) -> Vec<Equivocation> {
        let proof = |(origin, offers): (&u8, &Offers)| {
            let mut signed = offers.iter().filter_map(|(digest, offer)| {
                offer.signatures.get(origin).map(|signature| (*digest, *signature))
            });
            Some(Equivocation::new(&self.ballot, *origin, [signed.next()?, signed.next()?]))
        };
        self.origins.iter().filter_map(proof).collect()
    }

    fn offer(&mut self, origin: u8, digest: VoteDigest) -> Option<&mut Offer> {
        self.origins.get_mut(&origin)?.get_mut(&digest)
    }

    /// Time does not go back, even if the caller's clock does: what was late stays late.
    fn advance(&mut self, now: Moment) -> Moment {
        self.now = self.now.max(now);
        self.now
    }
}
