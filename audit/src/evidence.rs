//! Evidence that keepers and nodes leave behind (the folder `evidence/` of a keeper), checked offline with nothing but the
//! network file: signatures of the same key under two things of which it may sign one.
//!
//! A file is tried as each kind of proof, whatever its name says: only signatures count.

use std::fmt;

use anon::{
    id::{NetworkId, NodeId},
    keeper::{charter::Charter, equivocation::Equivocation},
    network::Epoch,
    view::{
        statement::{MAX_STATEMENT, NodeStatement, UnverifiedNodeStatement},
        two_views::{MAX_TWO_VIEWS, TwoViews},
    },
};
use net::peer_id;
use serde::Serialize;

/// The longest evidence, bytes.
pub(crate) const MAX_EVIDENCE: usize = MAX_TWO_VIEWS;

/// What was signed twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Kind {
    /// A keeper signed two votes for one view.
    #[serde(rename = "two-votes")]
    Votes,
    /// Keepers signed two views of one epoch, of which one at most has a quorum.
    #[serde(rename = "two-signatures")]
    Signatures,
    /// Two views of one epoch have a quorum each: users may follow different ones.
    #[serde(rename = "two-views")]
    Views,
    /// A node stated two things for one view.
    #[serde(rename = "two-statements")]
    Statements,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Votes => "signed two votes for the view",
            Self::Signatures => "signed two views",
            Self::Views => "signed two views, and both have a quorum",
            Self::Statements => "stated two things for the view",
        })
    }
}

/// A proof that holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Proof {
    pub(crate) kind: Kind,
    /// Of which epoch the view is.
    pub(crate) epoch: u64,
    /// Who signed both: keepers, or a node.
    pub(crate) signers: Vec<Signer>,
}

/// Who signed two things.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Signer {
    /// The keeper's number in the network file, from 0; none for a node.
    pub(crate) keeper: Option<u8>,
    /// Its node.
    pub(crate) node: String,
}

/// What a file proves to whoever has the network file; `None` if it proves nothing.
pub(crate) fn check(bytes: &[u8], charter: &Charter) -> Option<Proof> {
    two_votes(bytes, charter)
        .or_else(|| two_views(bytes, charter))
        .or_else(|| two_statements(bytes, &charter.network()))
}

fn two_votes(bytes: &[u8], charter: &Charter) -> Option<Proof> {
    let proof = Equivocation::decode(bytes).ok()?;
    proof.verify(&charter.ballot(proof.epoch())?).ok()?;
    let signers = signers(charter, proof.epoch(), &[proof.keeper()]);
    Some(Proof { kind: Kind::Votes, epoch: proof.epoch().0, signers })
}

fn two_views(bytes: &[u8], charter: &Charter) -> Option<Proof> {
    let proof = TwoViews::decode(bytes).ok()?;
    let fork = proof.verify(&charter.network(), |epoch| charter.keepers(epoch).cloned()).ok()?;
    let kind = if fork.has_quorums { Kind::Views } else { Kind::Signatures };
    let signers = signers(charter, fork.epoch, &fork.signers);
    Some(Proof { kind, epoch: fork.epoch.0, signers })
}

fn signers(charter: &Charter, epoch: Epoch, keepers: &[u8]) -> Vec<Signer> {
    let set = charter.keepers(epoch);
    let named = keepers.iter().filter_map(|keeper| {
        let node = NodeId(set?.key(*keeper)?.0);
        Some(Signer { keeper: Some(*keeper), node: named(&node)? })
    });
    named.collect()
}

fn named(node: &NodeId) -> Option<String> {
    peer_id(node).ok().map(|peer| peer.to_string())
}

/// Two statements stand one behind the other, and neither says how long it is.
fn two_statements(bytes: &[u8], network: &NetworkId) -> Option<Proof> {
    if bytes.len() > 2 * MAX_STATEMENT {
        return None;
    }
    let mut both = (1..bytes.len()).filter_map(|at| bytes.split_at_checked(at));
    let [one, other] =
        both.find_map(|(one, other)| Some([statement(one, network)?, statement(other, network)?]))?;
    if !one.contradicts(&other) {
        return None;
    }
    let signers = vec![Signer { keeper: None, node: named(&one.descriptor().node())? }];
    Some(Proof { kind: Kind::Statements, epoch: one.epoch().0, signers })
}

fn statement(bytes: &[u8], network: &NetworkId) -> Option<NodeStatement> {
    let statement = UnverifiedNodeStatement::decode(bytes).ok()?;
    let epoch = statement.claimed_epoch();
    statement.verify(network, epoch).ok()
}

#[cfg(test)]
mod tests {
    use anon::{
        keeper::{
            broadcast::Broadcast,
            chain::{self, Chain},
            charter::CharterTerms,
            vote::{Rules, Vote},
        },
        keys::{ChannelSecret, IdentitySecret, KeeperSecret, SigningSecret as _, VerifyKey},
        testing::views::{self, NETWORK, header},
        view::{
            descriptor::{Addresses, Descriptor, OnionAddress},
            header::ViewId,
        },
    };

    use super::*;

    fn charter(keys: &[VerifyKey]) -> Charter {
        charter_of(NETWORK, keys)
    }

    fn charter_of(network: NetworkId, keys: &[VerifyKey]) -> Charter {
        let (sets, rules) = (vec![(Epoch(0), keys.to_vec())], Rules::default());
        let terms = CharterTerms { epoch_seconds: 60, round: 1_000, sets, rules, is_capped: false };
        Charter::new(network, terms).unwrap()
    }

    fn kind_and_signers(bytes: &[u8], charter: &Charter) -> Option<(Kind, Vec<Option<u8>>)> {
        let proof = check(bytes, charter)?;
        assert_eq!(proof.epoch, 5);
        Some((proof.kind, proof.signers.iter().map(|signer| signer.keeper).collect()))
    }

    /// No byte of it can be another one, and nothing can be missing.
    fn is_proof_alone(bytes: &[u8], charter: &Charter) {
        for at in 0..bytes.len() {
            let mut changed = bytes.to_vec();
            changed[at] ^= 1;
            assert_eq!(check(&changed, charter), None, "byte {at}");
            assert_eq!(check(&bytes[..at], charter), None, "cut at {at}");
        }
        let strangers = views::Keepers::new(7);
        assert_eq!(check(bytes, &charter_of(NetworkId([1; 32]), strangers.set.keys())), None);
    }

    #[test]
    fn two_views_prove_a_fork_only_if_both_have_a_quorum() {
        let keepers = views::Keepers::new(4);
        let charter = charter(keepers.set.keys());
        let [one, other] = [header(5, None), header(5, Some(ViewId([1; 32])))];
        let proof = |first: &[u8], second: &[u8]| {
            TwoViews::new(keepers.sign(&one, first), keepers.sign(&other, second)).encode()
        };
        let quorums = proof(&[0, 1, 2], &[1, 2, 3]);
        let expected = Some((Kind::Views, vec![Some(1), Some(2)]));
        assert_eq!(kind_and_signers(&quorums, &charter), expected);
        let one_keeper = proof(&[3], &[3]);
        let expected = Some((Kind::Signatures, vec![Some(3)]));
        assert_eq!(kind_and_signers(&one_keeper, &charter), expected);
        assert_eq!(kind_and_signers(&proof(&[2], &[3]), &charter), None);
        is_proof_alone(&quorums, &charter);
        is_proof_alone(&one_keeper, &charter);
    }

    #[test]
    fn two_votes_of_one_keeper_are_a_proof_against_it() {
        let secrets = [1, 2, 3, 4].map(|seed| KeeperSecret::from_seed(&[seed; 32]));
        let charter = charter(&secrets.each_ref().map(KeeperSecret::verify_key));
        let (ballot, epoch) = (charter.ballot(Epoch(5)).unwrap(), Epoch(5));
        let rounds = charter.deadlines(epoch).unwrap().rounds;
        let mut broadcast = Broadcast::new(ballot.clone(), 0, rounds);
        for serial in [1, 2] {
            let rules = Rules { network_serial: serial, ..Rules::default() };
            let digest = Vote { rules, before: None, nodes: [].into() }.digest();
            let signature = chain::sign(&ballot, &secrets[2], 2, digest);
            let chain = Chain::from_parts(epoch, 2, digest, vec![(2, signature)]).encode();
            broadcast.handle_chain(rounds.from(), &chain, &secrets[0]).unwrap();
        }
        let proof = broadcast.evidence()[0].encode();
        let expected = Some((Kind::Votes, vec![Some(2)]));
        assert_eq!(kind_and_signers(&proof, &charter), expected);
        is_proof_alone(&proof, &charter);
    }

    #[test]
    fn two_statements_are_a_proof_against_the_node_and_one_twice_is_none() {
        let charter = charter(views::Keepers::new(1).set.keys());
        let identity = IdentitySecret::from_seed(&[9; 32]);
        let node = NodeId(identity.verify_key().0);
        let stated = |channel: u8| {
            let key = ChannelSecret::from_seed(&[channel; 32]).agreement_key();
            let onion = Addresses::Onion(OnionAddress::new([7; 32], 80).unwrap());
            let descriptor = Descriptor::new(node, key, onion, None).unwrap();
            UnverifiedNodeStatement::issue(&identity, &NETWORK, Epoch(5), descriptor, None).encode()
        };
        let both = [stated(1), stated(2)].concat();
        assert_eq!(kind_and_signers(&both, &charter), Some((Kind::Statements, vec![None])));
        let named = check(&both, &charter).unwrap().signers[0].node.clone();
        assert_eq!(named, peer_id(&node).unwrap().to_string());
        is_proof_alone(&both, &charter);
        assert_eq!(check(&stated(1).repeat(2), &charter), None);
        assert_eq!(check(b"", &charter), None);
    }
}
