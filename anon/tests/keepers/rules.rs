//! The rules of the exchange of votes, one test each: chains, votes that are fetched, limits, evidence.

use anon::{
    keeper::{
        ballot::Ballot,
        broadcast::{Broadcast, BroadcastError, Output},
        chain::{self, Chain, ChainError, MAX_CHAIN},
        equivocation::{Equivocation, MAX_EQUIVOCATION},
        schedule::Moment,
        vote::{Rules, Vote, VoteDigest, VoteError},
    },
    keys::Signature,
    network::Epoch,
};

use crate::town::{RULES, Town, ballot, keepers, secret};

/// A vote for nobody that differs from the others by this number.
fn numbered(number: u64) -> Vote {
    let rules = Rules { network_serial: number, ..RULES };
    Vote { rules, before: None, nodes: [].into() }
}

fn chain_of(ballot: &Ballot, vote: &Vote, signers: &[u8]) -> Vec<u8> {
    let (origin, digest) = (signers[0], vote.digest());
    let sign = |k: &u8| (*k, chain::sign(ballot, &secret(usize::from(*k)), origin, digest));
    Chain::from_parts(ballot.epoch(), origin, digest, signers.iter().map(sign).collect()).encode()
}

/// Keeper 0 of a town, and what it does.
struct One {
    town: Town,
    broadcast: Broadcast,
}

impl One {
    fn of(n: usize) -> Self {
        let town = Town::new(n);
        let broadcast = Broadcast::new(town.ballot.clone(), 0, town.deadlines.rounds);
        Self { town, broadcast }
    }

    fn deadline(&self, signatures: usize) -> Moment {
        self.town.deadlines.rounds.deadline(signatures)
    }

    fn chain(&mut self, now: Moment, vote: &Vote, signers: &[u8]) -> Result<(), BroadcastError> {
        let chain = chain_of(&self.town.ballot, vote, signers);
        self.broadcast.handle_chain(now, &chain, &secret(0))
    }

    fn body(&mut self, now: Moment, vote: &Vote) -> Result<(), BroadcastError> {
        self.broadcast.handle_vote(now, &vote.encode(), &secret(0))
    }

    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.broadcast.poll_output()).collect()
    }

    fn voters(&mut self) -> Vec<u8> {
        let after = self.town.deadlines.rounds.until().after(1);
        self.broadcast.poll_votes(after).unwrap().into_keys().collect()
    }
}

#[test]
fn a_digest_is_relayed_only_when_its_vote_is_here() {
    let (mut one, vote) = (One::of(7), numbered(1));
    let now = one.deadline(1);
    one.chain(now, &vote, &[1]).unwrap();
    assert_eq!(one.outputs(), [Output::Fetch { from: 1, digest: vote.digest() }]);
    one.body(now, &vote).unwrap();
    let chain = chain_of(&one.town.ballot, &vote, &[1, 0]);
    let sent: Vec<Output> =
        [2, 3, 4, 5, 6].map(|to| Output::Send { to, chain: chain.clone() }).into();
    assert_eq!(one.outputs(), sent);
    assert_eq!(one.broadcast.vote(vote.digest()), Some(vote.encode()));
    assert_eq!(one.voters(), [1]);
}

#[test]
fn a_chain_counts_until_the_end_of_the_round_of_its_length() {
    for signers in [&[1][..], &[1, 2], &[1, 2, 3]] {
        let (mut one, vote) = (One::of(7), numbered(1));
        let deadline = one.deadline(signers.len());
        let late = Err(BroadcastError::Late { signatures: signers.len() });
        assert_eq!(one.chain(deadline.after(1), &vote, signers), late);
        let mut one = One::of(7);
        one.chain(deadline, &vote, signers).unwrap();
        one.body(deadline, &vote).unwrap();
        assert_eq!(one.voters(), [1]);
        // The vote itself has no more time than what announced it.
        let mut one = One::of(7);
        one.chain(deadline, &vote, signers).unwrap();
        assert_eq!(one.body(deadline.after(1), &vote), Err(BroadcastError::NotWanted));
        assert_eq!(one.voters(), [0_u8; 0]);
    }
}

#[test]
fn a_late_chain_does_not_count_although_its_vote_is_here() {
    let (mut one, vote) = (One::of(7), numbered(1));
    let now = one.deadline(1);
    one.chain(now, &vote, &[1]).unwrap();
    one.body(now, &vote).unwrap();
    let late = Err(BroadcastError::Late { signatures: 1 });
    assert_eq!(one.chain(now.after(1), &vote, &[2]), late);
    assert_eq!(one.voters(), [1]);
}

#[test]
fn a_chain_of_all_its_rounds_is_not_relayed() {
    let (mut one, vote) = (One::of(7), numbered(1));
    let now = one.deadline(3);
    one.chain(now, &vote, &[1, 2, 3]).unwrap();
    one.body(now, &vote).unwrap();
    assert_eq!(one.outputs().len(), 1, "only the request for the vote");
    assert_eq!(one.voters(), [1]);
}

#[test]
fn signatures_of_several_chains_count_together() {
    let (mut one, vote) = (One::of(7), numbered(1));
    let now = one.deadline(3);
    let late = |signatures| Err(BroadcastError::Late { signatures });
    assert_eq!(one.chain(now, &vote, &[1, 2]), late(2));
    one.chain(now, &vote, &[1, 3]).unwrap();
    one.body(now, &vote).unwrap();
    assert_eq!(one.voters(), [1]);
}

#[test]
fn a_vote_that_came_too_late_is_asked_for_again_with_more_signatures() {
    let (mut one, vote) = (One::of(7), numbered(1));
    let (first, second) = (one.deadline(1), one.deadline(2));
    one.chain(first, &vote, &[1]).unwrap();
    assert_eq!(one.body(first.after(1), &vote), Err(BroadcastError::NotWanted));
    one.outputs();
    one.chain(second, &vote, &[1, 2]).unwrap();
    assert_eq!(one.outputs(), [Output::Fetch { from: 2, digest: vote.digest() }]);
    // And of who was asked before, too.
    one.chain(second, &vote, &[1]).unwrap();
    assert_eq!(one.outputs(), [Output::Fetch { from: 1, digest: vote.digest() }]);
}

#[test]
fn who_has_signed_is_asked_once_and_each_one_that_signs() {
    let (mut one, vote) = (One::of(7), numbered(1));
    let now = one.deadline(1);
    for signers in [&[1][..], &[1], &[1, 2], &[1, 2]] {
        one.chain(now, &vote, signers).unwrap();
    }
    let fetch = |from| Output::Fetch { from, digest: vote.digest() };
    assert_eq!(one.outputs(), [fetch(1), fetch(2)]);
}

#[test]
fn two_votes_of_one_keeper_are_none_and_are_kept_as_proof() {
    let (mut one, votes) = (One::of(7), [numbered(1), numbered(2)]);
    let now = one.deadline(1);
    assert!(one.broadcast.evidence().is_empty());
    for vote in &votes {
        one.chain(now, vote, &[1]).unwrap();
        one.body(now, vote).unwrap();
    }
    assert_eq!(one.voters(), [0_u8; 0]);
    let [proof] = &one.broadcast.evidence()[..] else { panic!("one liar") };
    assert_eq!((proof.keeper(), proof.epoch()), (1, one.town.ballot.epoch()));
    proof.verify(&one.town.ballot).unwrap();
    assert!(proof.encode().len() <= MAX_EQUIVOCATION);
    assert_eq!(Equivocation::decode(&proof.encode()).as_ref(), Ok(proof));
    // A digest is enough for the proof, without its vote; and it is none against anybody else, or for another epoch.
    let mut one = One::of(7);
    votes.iter().for_each(|vote| one.chain(now, vote, &[1]).unwrap());
    assert_eq!(one.broadcast.evidence(), std::slice::from_ref(proof));
    let other = Ballot::new(one.town.ballot.network(), Epoch(6), keepers(7), 9);
    assert_eq!(proof.verify(&other), Err(ChainError::WrongEpoch(proof.epoch())));
    let mut bytes = proof.encode();
    bytes[2] = 3;
    let blamed = Equivocation::decode(&bytes).unwrap().verify(&one.town.ballot);
    assert!(matches!(blamed, Err(ChainError::Signature { keeper: 3, .. })), "{blamed:?}");
    bytes[0] = 9;
    assert_eq!(Equivocation::decode(&bytes), Err(ChainError::UnknownVersion(9)));
}

#[test]
fn one_signature_twice_proves_nothing() {
    let (mut one, votes) = (One::of(7), [numbered(1), numbered(2)]);
    let now = one.deadline(1);
    votes.iter().for_each(|vote| one.chain(now, vote, &[1]).unwrap());
    let mut bytes = one.broadcast.evidence()[0].encode();
    let (first, second) = bytes[3..].split_at_mut(97);
    second.copy_from_slice(first);
    let proof = Equivocation::decode(&bytes).unwrap();
    assert_eq!(proof.verify(&one.town.ballot), Err(ChainError::NoContradiction));
}

#[test]
fn nobody_crowds_out_what_another_one_relays() {
    let mut one = One::of(7);
    let now = one.deadline(1);
    // Keeper 1 lies without end, and keeper 2 helps: two digests of each are taken.
    for number in 1..=2 {
        one.chain(now, &numbered(number), &[1]).unwrap();
    }
    for number in 11..=12 {
        one.chain(now, &numbered(number), &[1, 2]).unwrap();
    }
    let too_many = |last| Err(BroadcastError::TooManyDigests { last, origin: 1 });
    assert_eq!(one.chain(now, &numbered(3), &[1]), too_many(1));
    assert_eq!(one.chain(now, &numbered(13), &[1, 2]), too_many(2));
    // What keeper 3 relays is taken all the same, and so is another keeper's vote from the same liars.
    let (relayed, other) = (numbered(20), numbered(30));
    one.chain(now, &relayed, &[1, 3]).unwrap();
    one.body(now, &relayed).unwrap();
    one.chain(now, &other, &[4, 2]).unwrap();
    one.body(now, &other).unwrap();
    assert_eq!(one.voters(), [1, 4]);
}

#[test]
fn a_third_vote_of_a_liar_is_neither_signed_nor_held() {
    let mut one = One::of(7);
    let now = one.deadline(1);
    let votes = [numbered(1), numbered(2), numbered(3)];
    for (vote, last) in votes.iter().zip([1, 2, 3]) {
        let signers: &[u8] = if last == 1 { &[1] } else { &[1, last] };
        one.chain(now, vote, signers).unwrap();
    }
    let [first, second, third] = &votes;
    one.body(now, first).unwrap();
    one.body(now, second).unwrap();
    assert_eq!(one.body(now, third), Err(BroadcastError::NotWanted));
    assert_eq!(one.broadcast.vote(third.digest()), None);
    // Nor asked for any more, whoever else signs it.
    one.outputs();
    one.chain(now, third, &[1, 4]).unwrap();
    assert_eq!(one.outputs(), []);
}

#[test]
fn a_vote_counts_for_every_keeper_that_signed_the_same() {
    let (mut one, vote) = (One::of(7), numbered(1));
    let now = one.deadline(1);
    one.chain(now, &vote, &[1]).unwrap();
    one.chain(now, &vote, &[2]).unwrap();
    one.body(now, &vote).unwrap();
    // It is here now, and need not be asked for.
    one.outputs();
    one.chain(now, &vote, &[3]).unwrap();
    assert!(one.outputs().iter().all(|output| matches!(output, Output::Send { .. })));
    assert_eq!(one.voters(), [1, 2, 3]);
}

#[test]
fn what_is_no_vote_is_not_relayed() {
    let (mut one, vote) = (One::of(7), numbered(1));
    let now = one.deadline(1);
    let mut bytes = vote.encode();
    bytes.push(0);
    let digest = VoteDigest::of(&bytes);
    let signature = chain::sign(&one.town.ballot, &secret(1), 1, digest);
    let chain = Chain::from_parts(one.town.ballot.epoch(), 1, digest, vec![(1, signature)]);
    one.broadcast.handle_chain(now, &chain.encode(), &secret(0)).unwrap();
    let refused = one.broadcast.handle_vote(now, &bytes, &secret(0));
    assert_eq!(refused, Err(BroadcastError::Vote(VoteError::Length)));
    assert_eq!(one.outputs().len(), 1);
    assert_eq!(one.voters(), [0_u8; 0]);
    assert_eq!(one.body(now, &numbered(9)), Err(BroadcastError::NotWanted));
}

#[test]
fn a_keeper_votes_once_and_in_the_first_round() {
    let mut one = One::of(4);
    let now = one.deadline(1);
    let late = one.broadcast.handle_own_vote(now.after(1), numbered(1), &secret(0));
    assert_eq!(late, Err(BroadcastError::Late { signatures: 1 }));
    let mut one = One::of(4);
    one.broadcast.handle_own_vote(now, numbered(1), &secret(0)).unwrap();
    assert_eq!(one.outputs().len(), 3);
    let again = one.broadcast.handle_own_vote(now, numbered(2), &secret(0));
    assert_eq!(again, Err(BroadcastError::Voted));
    assert_eq!(one.voters(), [0]);
}

#[test]
fn votes_are_read_only_after_the_last_round_and_time_does_not_go_back() {
    let (mut one, vote) = (One::of(4), numbered(1));
    let until = one.town.deadlines.rounds.until();
    assert_eq!(one.broadcast.poll_votes(until), None);
    assert_eq!(one.broadcast.poll_votes(until.after(1)), Some([].into()));
    let now = one.deadline(1);
    assert_eq!(one.chain(now, &vote, &[1]), Err(BroadcastError::Late { signatures: 1 }));
    assert_eq!(one.broadcast.poll_votes(now), Some([].into()));
}

#[test]
fn forged_and_malformed_chains_are_refused_by_name() {
    let mut one = One::of(7);
    let (ballot, now, vote) = (one.town.ballot.clone(), one.deadline(1), numbered(1));
    let digest = vote.digest();
    let sign = |keeper: u8, ballot: &Ballot, origin| {
        (keeper, chain::sign(ballot, &secret(usize::from(keeper)), origin, digest))
    };
    let epoch = ballot.epoch();
    let own = sign(1, &ballot, 1);
    let other_set = Ballot::new(ballot.network(), epoch, keepers(4), 9);
    let mut chain = |epoch, signatures: Vec<(u8, Signature)>| {
        let bytes = Chain::from_parts(epoch, 1, digest, signatures).encode();
        match one.broadcast.handle_chain(now, &bytes, &secret(0)) {
            Err(BroadcastError::Chain(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(chain(Epoch(9), vec![own]), ChainError::WrongEpoch(Epoch(9)));
    assert_eq!(chain(epoch, vec![]), ChainError::OriginNotFirst);
    assert_eq!(chain(epoch, vec![sign(2, &ballot, 1), own]), ChainError::OriginNotFirst);
    assert_eq!(chain(epoch, vec![own, own]), ChainError::SignedTwice(1));
    assert_eq!(chain(epoch, vec![own, (7, own.1)]), ChainError::NoSuchKeeper(7));
    let four = vec![own, sign(2, &ballot, 1), sign(3, &ballot, 1), sign(4, &ballot, 1)];
    assert_eq!(chain(epoch, four), ChainError::TooManySignatures(3));
    // Signed for another origin, by another set of keepers, by somebody else.
    for bad in [sign(1, &ballot, 2), sign(1, &other_set, 1), (1, sign(2, &ballot, 1).1)] {
        let error = chain(epoch, vec![bad]);
        assert!(matches!(error, ChainError::Signature { keeper: 1, .. }), "{error:?}");
    }
    let error = chain(epoch, vec![own, (2, own.1)]);
    assert!(matches!(error, ChainError::Signature { keeper: 2, .. }), "{error:?}");
    // None of them left anything behind.
    assert_eq!(one.outputs(), []);
    assert!(one.broadcast.evidence().is_empty());
}

#[test]
fn chains_that_are_cut_extended_or_changed_do_no_harm() {
    let ballot = ballot(16);
    let good = chain_of(&ballot, &numbered(1), &[15, 0, 1, 2, 3, 4]);
    assert!(good.len() <= MAX_CHAIN);
    assert!(Chain::decode(&good, &ballot, 6).is_ok());
    for cut in 0..good.len() {
        assert!(Chain::decode(&good[..cut], &ballot, 6).is_err(), "{cut}");
    }
    let long = [&good[..], &[0]].concat();
    assert!(Chain::decode(&long, &ballot, 6).is_err());
    let mut newer = good.clone();
    newer[0] = 2;
    assert_eq!(Chain::decode(&newer, &ballot, 6), Err(ChainError::UnknownVersion(2)));
    // A changed bit is refused by form, or by a signature.
    for at in 1..good.len() {
        let mut changed = good.clone();
        changed[at] ^= 1;
        let mut one = One::of(16);
        let now = one.town.deadlines.rounds.from();
        let result = one.broadcast.handle_chain(now, &changed, &secret(0));
        assert!(matches!(result, Err(BroadcastError::Chain(_))), "{at}: {result:?}");
    }
}
