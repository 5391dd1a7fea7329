//! Keepers against up to f others that lie, are silent or slow or have a wrong clock, over thousands of seeded schedules;
//! and each rule of theirs by itself.
#![cfg(test)]

#[path = "keepers/honest.rs"]
mod honest;
#[path = "keepers/liars.rs"]
mod liars;
#[path = "keepers/messages.rs"]
mod messages;
#[path = "keepers/promises.rs"]
mod promises;
#[path = "keepers/rules.rs"]
mod rules;
#[path = "keepers/sim.rs"]
mod sim;
#[path = "keepers/town.rs"]
mod town;
#[path = "keepers/views.rs"]
mod views;

use std::collections::{BTreeMap, BTreeSet};

use anon::view::header::ViewId;

use crate::{
    sim::{Fault, Network, Sim},
    town::{Kind, Town},
};

/// How many keepers, and how many seeds.
const SEEDS: [(usize, u64); 4] = [(1, 50), (4, 1_200), (7, 300), (10, 80)];

/// With messages and clocks as assumed: every honest keeper holds the same votes, all honest ones among them, and computes
/// the same view, in which every honest node is and no node that hostile keepers alone list; and has a quorum for it.
#[test]
fn honest_keepers_agree_and_sign_one_view_in_time() {
    let mut seen: BTreeMap<Fault, usize> = BTreeMap::new();
    let (mut caught, mut silenced) = (0, 0);
    for (n, seeds) in SEEDS {
        let town = Town::new(n);
        for seed in 0..seeds {
            let sim = Sim::new(&town, Network::Timely, seed).run();
            for fault in sim.faults.values() {
                *seen.entry(*fault).or_default() += 1;
            }
            let (c, s) = check_timely(&town, &sim, &format!("n = {n}, seed {seed}"));
            caught += c;
            silenced += s;
        }
    }
    // The checks had something to look at.
    assert!(seen.len() == 4 && seen.values().all(|count| *count > 50), "{seen:?}");
    assert!(caught > 100 && silenced > 100, "{caught} caught, {silenced} without a vote");
}

/// Checks one run; how many liars were caught by an honest keeper, and how many keepers have no vote.
fn check_timely(town: &Town, sim: &Sim<'_>, run: &str) -> (usize, usize) {
    let first = sim.honest().next().unwrap();
    let votes = first.votes.as_ref().unwrap();
    let candidate = first.candidate.as_ref().unwrap_or_else(|| panic!("{run}: no view"));
    let mut caught = BTreeSet::new();
    for keeper in sim.honest() {
        assert_eq!(keeper.votes.as_ref().unwrap(), votes, "{run}: other votes at {}", keeper.me);
        assert!(votes.contains_key(&keeper.me), "{run}: honest {} has no vote", keeper.me);
        assert_eq!(keeper.candidate.as_ref(), Some(candidate), "{run}: another view");
        assert_eq!(keeper.signed, [candidate.header], "{run}");
        let quorum = keeper.collector.poll_quorum().unwrap_or_else(|| panic!("{run}: no quorum"));
        assert_eq!(quorum.header(), &candidate.header, "{run}");
        for liar in keeper.evidence.iter().copied().chain(keeper.collector.evidence().into_keys()) {
            assert_eq!(sim.faults.get(&liar), Some(&Fault::Liar), "{run}: {liar} is no liar");
            caught.insert(liar);
        }
    }
    if !sim.holders.is_empty() {
        assert_eq!(candidate.header.before, Some(town.before.0.id()), "{run}: the view before");
    }
    for stated in &town.stated {
        let is_in = candidate.nodes.find(&stated.statement.descriptor().node()).is_some();
        match stated.kind {
            Kind::Honest => assert!(is_in, "{run}: an honest node is out"),
            Kind::Private => assert!(!is_in, "{run}: a node that only liars know is in"),
            Kind::Flaky | Kind::TwoFaced => {}
        }
    }
    (caught.len(), usize::from(town.len()) - votes.len())
}

/// Whatever the network and the clocks do, and however often keepers restart: an honest keeper signs one view, and no two
/// have a quorum even if all others sign every view there is.
#[test]
fn no_schedule_gives_two_views_a_quorum() {
    let (mut divided, mut refused, mut stuck) = (0, 0, 0);
    for (n, seeds) in SEEDS {
        let town = Town::new(n);
        let threshold = town.ballot.keepers().threshold();
        for seed in 0..seeds {
            let sim = Sim::new(&town, Network::Asynchronous, seed).run();
            let mut signers: BTreeMap<ViewId, usize> = BTreeMap::new();
            for keeper in sim.honest() {
                let ids: BTreeSet<ViewId> =
                    keeper.signed.iter().map(|header| header.id()).collect();
                assert!(ids.len() <= 1, "n = {n}, seed {seed}: {} signed two views", keeper.me);
                for id in ids {
                    *signers.entry(id).or_default() += 1;
                }
                assert!(keeper.collector.quorums().len() <= 1, "n = {n}, seed {seed}");
                refused += keeper.refused.len();
            }
            let quorums = signers.values().filter(|s| **s + sim.faults.len() >= threshold).count();
            assert!(quorums <= 1, "n = {n}, seed {seed}: {quorums} views can have a quorum");
            divided += usize::from(signers.len() > 1);
            stuck += usize::from(quorums == 0);
        }
    }
    // The checks had something to look at: honest keepers that signed different views, second signatures refused after a
    // restart, and epochs without a view.
    assert!(divided > 50 && refused > 20 && stuck > 50, "{divided}, {refused}, {stuck}");
}
