//! What ends a walk, what is garbage, and when a search for room rests.

use anon::roster::{Operator, Source};

use super::*;
use crate::{
    Running,
    store::{ObjectKind, StoredObject},
    testing,
};

/// Bounds that end no walk.
const ALL: Bounds = Bounds { keys: usize::MAX, enough: u64::MAX, longest: Duration::MAX };

/// An object of a thousand bytes that is kept until then.
fn until(expiry: u64) -> StoredObject {
    let kind = ObjectKind::Body;
    StoredObject { kind, digest: [1; 32], expiry, deleters: Vec::new(), bytes: vec![1; 1_000] }
}

#[tokio::test]
async fn whoever_stores_does_not_wait_for_a_collection_that_goes_on() {
    let (node, _directory) = testing::node().await;
    let collector = &node.service().collector;
    let _collecting = collector.running.lock().await;
    let room = tokio::time::timeout(TURN * 2, collector.make_room(1)).await;
    assert_eq!(room.expect("it gives up"), Collected::default());
}

/// Thirty days pass at once, by the clock that this node was given.
#[tokio::test]
async fn a_node_keeps_what_it_stored_to_the_last_second_of_its_time() {
    let now = net::clock::now();
    let clock = Clock::stopped_at(now);
    let given = clock.clone();
    let (node, _directory) = testing::dressed(move |node| node.with_clock(given)).await;
    let (store, collector) = (&node.service().store, &node.service().collector);
    let expiry = now.0 + 30 * 86_400;
    store.store([7; 32], until(expiry), false).await.unwrap();
    clock.set(anon::time::Time(expiry));
    assert_eq!(collector.tidy().await.freed, 0);
    assert!(store.fetch([7; 32]).await.unwrap().is_some());
    clock.set(anon::time::Time(expiry + 1));
    assert!(collector.tidy().await.freed >= 1_000);
    assert!(store.fetch([7; 32]).await.unwrap().is_none());
}

#[test]
fn a_collection_was_vain_if_it_freed_too_little_and_cost_something() {
    let (quick, slow) = (QUICK, QUICK + Duration::from_millis(1));
    for (freed, stayed, took, vain) in [
        (9, 0, slow, true),
        (9, 1, quick, true),
        (9, 0, quick, false),
        (10, 1, slow, false),
        (11, 1, slow, false),
    ] {
        let collected = Collected { looked_at: 5, stayed, freed };
        assert_eq!(was_vain(&collected, 10, took), vain, "{freed} {stayed} {took:?}");
    }
}

#[tokio::test]
async fn after_a_vain_collection_there_is_a_pause_and_what_expired_counts_as_freed() {
    let (node, _directory) = testing::node().await;
    let collector = &node.service().collector;
    let expiry = collector.clock.now().0;
    collector.store.store([2; 32], until(expiry + 1_000), false).await.unwrap();
    let vain = async |elapsed: Duration| {
        collector.running.lock().await.vain = Instant::now().checked_sub(elapsed);
        collector.make_room(1).await.looked_at
    };
    assert_eq!(vain(PAUSE / 2).await, 0, "it rests");
    assert_eq!(vain(PAUSE * 2).await, 1);
    collector.running.lock().await.vain = None;
    collector.store.store([3; 32], until(expiry - 1_000), false).await.unwrap();
    assert!(collector.make_room(1).await.freed >= 1_000);
}

#[test]
fn a_walk_ends_with_the_first_of_its_bounds() {
    let second = Duration::from_secs(1);
    let bounds = Bounds { keys: 4, enough: 100, longest: 10 * second };
    for (stayed, freed, took, ends) in [
        (3, 99, 9, false),
        (4, 0, 0, true),
        (5, 0, 0, true),
        (0, 100, 0, true),
        (0, 101, 0, true),
        (0, 0, 10, true),
        (0, 0, 11, true),
    ] {
        let collected = Collected { looked_at: 9, stayed, freed };
        assert_eq!(bounds.end(&collected, took * second), ends, "{stayed} {freed} {took}");
    }
}

/// Another collector of this node, by whose roster these nodes alone have long been there.
fn collector(here: &Running, known: &[&Running]) -> Collector {
    let service = here.service();
    let (store, dht) = (service.store.clone(), service.dht.clone());
    let roster = RosterKeeper::open(Arc::clone(&service.network), None, service.clock.clone());
    let long_ago = service.network.epoch(service.clock.now()).before().before();
    for node in known {
        let own = node.service().keys.certificate().unwrap();
        for source in [Source::Contact, Source::Member(Operator::of(&own))] {
            roster.with(|roster| roster.learn(own.clone(), source, long_ago));
        }
    }
    let (network, clock) = (Arc::clone(&service.network), service.clock.clone());
    let (roster, limits) = (Arc::new(roster), &service.limits);
    Collector::new(store, dht, network, roster, here.id(), clock, limits)
}

/// Stores an object at a key.
async fn store(collector: &Collector, key: [u8; 32]) {
    collector.store.store(key, until(collector.clock.now().0 + 1_000), false).await.unwrap();
}

/// The first so many keys that are nearer to one node than to another.
fn keys_near(node: &Running, other: &Running, count: usize) -> Vec<Key> {
    let is_near = |key: &Key| {
        let mut ids = vec![node.id(), other.id()];
        anon::position::keep_closest(&mut ids, key, 1, NodeId::position);
        ids == [node.id()]
    };
    let near = (0..=255).map(|byte| Key([byte; 32])).filter(is_near);
    near.take(count).collect()
}

#[tokio::test]
async fn a_walk_goes_on_where_the_last_one_from_its_end_stopped_and_once_round() {
    let (here, _directory) = testing::node().await;
    // By its roster nobody is near a key, and by a lookup this node is: each key was looked up and stays.
    let (collector, mut state) = (collector(&here, &[]), State::default());
    for key in 1..=3 {
        store(&collector, [key; 32]).await;
    }
    let two = Bounds { keys: 2, ..ALL };
    let no_time = Bounds { longest: Duration::ZERO, ..ALL };
    // Walks from the top and from below take turns: how many keys each looks at, and where both stand then.
    for (bounds, looked_at, descending, ascending) in [
        (two, 2, Some(2), None),
        (two, 2, Some(2), Some(2)),
        // To the one end, and from the other to where it began.
        (ALL, 3, Some(2), Some(2)),
        (ALL, 3, Some(2), Some(2)),
        (no_time, 0, Some(2), Some(2)),
        (two, 2, Some(2), Some(1)),
        (two, 2, Some(3), Some(1)),
    ] {
        let walked = collector.walk(&mut state, bounds).await;
        assert_eq!(walked, Collected { looked_at, stayed: looked_at, freed: 0 }, "{bounds:?}");
        let at = |key: Option<u8>| key.map(|key| [key; 32]);
        assert_eq!((state.descending, state.ascending), (at(descending), at(ascending)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_garbage_where_the_roster_and_a_lookup_say_that_another_node_is_closer() {
    let (here, _here) = testing::node().await;
    let (there, _there) = testing::enter_at(&here, |node| node).await;
    let (own, others) = (keys_near(&here, &there, 1)[0], keys_near(&there, &here, 1)[0]);
    for (known, of_own, of_others) in [
        (vec![], Verdict::Stays, Verdict::Garbage),
        (vec![&here], Verdict::Ours, Verdict::Ours),
        (vec![&there], Verdict::Stays, Verdict::Garbage),
        (vec![&here, &there], Verdict::Ours, Verdict::Garbage),
    ] {
        let collector = collector(&here, &known);
        assert_eq!(collector.judge(own).await, of_own, "{} known", known.len());
        assert_eq!(collector.judge(others).await, of_others, "{} known", known.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_walk_drops_garbage_alone_and_no_more_than_is_enough() {
    let (here, _here) = testing::node().await;
    let (there, _there) = testing::enter_at(&here, |node| node).await;
    let collector = collector(&here, &[&here, &there]);
    let (own, others) = (keys_near(&here, &there, 2), keys_near(&there, &here, 3));
    for key in own.iter().chain(&others) {
        store(&collector, key.0).await;
    }
    let left = async || {
        let keys = collector.store.keys(None, Direction::Ascending, STEP).await.unwrap();
        keys.into_iter().map(|usage| usage.key).collect::<Vec<_>>()
    };
    let mut state = State::default();
    let walked = collector.walk(&mut state, Bounds { enough: 1, ..ALL }).await;
    assert!(walked.freed >= 1_000, "{walked:?}");
    assert_eq!((walked.stayed, left().await.len()), (0, 4), "one has gone");
    let walked = collector.walk(&mut state, ALL).await;
    assert_eq!((walked.looked_at, walked.stayed), (4, 0));
    let own: Vec<_> = own.into_iter().map(|key| key.0).collect();
    assert_eq!(left().await, own);
}
