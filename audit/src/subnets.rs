//! A guard that claims the subnets of others. Whom a path may have beside its guard depends on the addresses that the
//! guard's certificate names, and these are its own word: nobody tries them while one of them works. So a guard that
//! names an address in each /16 of the large hosting companies keeps the honest nodes there off the paths behind it.
//!
//! The network is made for this: two /16s in which all honest nodes live, and hostile nodes that live elsewhere. How much a
//! real network differs from that, nobody can say before there is one.

use std::collections::BTreeSet;

use anon::{
    certificate::NodeCertificate,
    id::NodeId,
    keys::IdentitySecret,
    network::Epoch,
    roster::{Operator, Roster, Source},
    selection::sample_guarded,
};
use rand::{SeedableRng as _, rngs::StdRng};

use crate::{outcome::Outcome, property::Node};

const NAME: &str = "acting.subnets";
const TODAY: Epoch = Epoch(100);
/// The subnets in which honest nodes live: as many as a certificate may name besides its own.
const SUBNETS: usize = anon::certificate::MAX_ADDRESSES - 1;
const HONEST: usize = 70;
const HOSTILE: usize = 10;
const PATHS: usize = 200;

/// How many of some paths behind a guard have nobody but accomplices on them.
struct Behind {
    sampled: usize,
    hostile: usize,
}

fn node(addresses: Vec<String>, rng: &mut StdRng) -> Option<NodeCertificate> {
    let node = Node::of(IdentitySecret::generate(rng), "", addresses, rng)?;
    Some(node.certificate)
}

/// Paths behind a guard that names these addresses.
fn behind(addresses: Vec<String>, rng: &mut StdRng) -> Option<Behind> {
    let guard = node(addresses, rng)?;
    let honest = |n: usize| vec![format!("/ip4/10.{}.{}.1/tcp/1", n % SUBNETS, n / SUBNETS)];
    let honest: Option<Vec<_>> = (0..HONEST).map(|n| node(honest(n), rng)).collect();
    let hostile: Option<Vec<_>> =
        (0..HOSTILE).map(|n| node(vec![format!("/ip4/11.{n}.0.1/tcp/1")], rng)).collect();
    let (honest, hostile) = (honest?, hostile?);
    let members = [
        node(vec!["/ip4/13.1.0.1/tcp/1".to_owned()], rng)?,
        node(vec!["/ip4/13.2.0.1/tcp/1".to_owned()], rng)?,
    ];
    let mut roster = Roster::default();
    for node in honest.iter().chain(&hostile).chain([&guard]) {
        for member in &members {
            roster.learn(node.clone(), Source::Member(Operator::of(member)), Epoch(TODAY.0 - 1));
        }
    }
    let bad: BTreeSet<NodeId> = hostile.iter().map(NodeCertificate::node).collect();
    let mut found = Behind { sampled: 0, hostile: 0 };
    for _ in 0..PATHS {
        let path = sample_guarded(&(&roster, TODAY), &guard, 1, &BTreeSet::new(), rng);
        let Some(path) = path else { continue };
        found.sampled += 1;
        found.hostile += usize::from(path.hops().all(|(_, node)| bad.contains(&node.node())));
    }
    Some(found)
}

/// Whether a guard gains by what it claims.
#[must_use]
pub(crate) fn outcome(seed: u64) -> Outcome {
    let own = "/ip4/12.0.0.1/tcp/1".to_owned();
    let claimed = (0..SUBNETS).map(|n| format!("/ip4/10.{n}.255.255/tcp/9"));
    let greedy: Vec<String> = [own.clone()].into_iter().chain(claimed).collect();
    let found = |addresses| behind(addresses, &mut StdRng::seed_from_u64(seed));
    let (Some(modest), Some(greedy)) = (found(vec![own]), found(greedy)) else {
        return Outcome::not_run(NAME, "the network could not be made");
    };
    let seen = format!(
        "behind a guard that names {SUBNETS} /16s of others, {} of {} paths have an accomplice as middle and as anonymizer; behind \
         one that does not, {} of {}, in a network made for this",
        greedy.hostile, greedy.sampled, modest.hostile, modest.sampled,
    );
    // By chance a few more, or a few less, of some hundred.
    let holds = greedy.hostile <= 2 * modest.hostile + PATHS / 20;
    Outcome::of_some(NAME, modest.sampled.min(greedy.sampled), holds, seen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Verdict;

    #[test]
    fn a_guard_that_claims_subnets_is_seen_to_gain_by_it() {
        let outcome = outcome(1);
        assert_eq!(outcome.verdict, Verdict::Fell, "{}", outcome.seen);
    }
}
