//! Keepers in this process, over real links and this machine's clock, in epochs of a few seconds.

use std::{sync::Arc, time::Duration};

use anon::{
    id::NodeId,
    network::Epoch,
    request::{Response, view::ViewRequest},
};
use futures::future::BoxFuture;
use parking_lot::Mutex;

use crate::{
    Exchange, Node, NodeConfig,
    testing::town::{ROUND, Town},
};

#[tokio::test(flavor = "multi_thread")]
async fn one_keeper_alone_makes_a_view_of_all_nodes_every_epoch() {
    let mut town = Town::new(3, 1);
    for index in 0..3 {
        town.start(index, |node| node).await;
    }
    let first = town.epoch().0 + 2;
    for epoch in first..first + 2 {
        town.reach(epoch).await;
        town.agree(1, epoch, 3);
    }
    let status = town.status(0);
    assert_eq!((status.warnings(), status.keepers), (Vec::new(), 1));
    // Whoever asks is told, and a node that is no keeper does not answer as one.
    assert!(matches!(town.ask(0, ViewRequest::Latest).await, Response::View(_)));
    assert_eq!(town.ask(1, ViewRequest::Chain(vec![1; 40])).await, Response::Refused);
    assert_eq!(town.ask(0, ViewRequest::Chain(vec![1; 40])).await, Response::Refused);
    town.stop().await;
}

/// Says nothing to anybody, once it is told to.
struct Mute(Arc<dyn Exchange>, Arc<Mutex<bool>>);

impl Exchange for Mute {
    fn ask<'a>(&'a self, node: &'a NodeId, request: ViewRequest) -> BoxFuture<'a, Option<Vec<u8>>> {
        if *self.1.lock() { Box::pin(std::future::ready(None)) } else { self.0.ask(node, request) }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn four_keepers_agree_with_one_silent_and_with_two_they_say_that_there_is_no_view() {
    let mut town = Town::new(5, 4);
    let silent: Vec<Arc<Mutex<bool>>> = (0..5).map(|_| Arc::default()).collect();
    for (index, silent) in silent.iter().enumerate() {
        let silent = Arc::clone(silent);
        town.start(index, |node| node.exchanging(|real| Arc::new(Mute(real, silent)))).await;
    }
    let first = town.epoch().0 + 2;
    town.reach(first).await;
    let id = town.agree(4, first, 5);
    assert_eq!(town.status(0).warnings(), [""; 0]);

    *silent[3].lock() = true;
    town.reach(first + 2).await;
    let (epoch, later, nodes) = town.view(0).unwrap();
    assert!(epoch.0 == first + 2 && later != id, "{:?}", town.status(0));
    // The silent one does not state itself either.
    assert_eq!(nodes, 4);
    let warnings = town.status(0).warnings();
    assert!(warnings[0].contains("silent: 3"), "{warnings:?}");

    *silent[2].lock() = true;
    town.reach(first + 4).await;
    tokio::time::sleep(Duration::from_millis(4 * ROUND)).await;
    let (epoch, ..) = town.view(0).unwrap();
    assert!(epoch.0 < first + 4, "two of four are no quorum");
    let status = town.status(0);
    assert_eq!(status.no_view, Some(first + 4), "{status:?}");
    let Response::View(words) = town.ask(0, ViewRequest::Words(Epoch(first + 4))).await else {
        panic!("no words")
    };
    let words = anon::request::view::decode_words(&words).unwrap();
    let charter = town.file.network().unwrap().charter.unwrap();
    let (ballot, schedule) = (charter.ballot(Epoch(first + 4)), charter.schedule(Epoch(first + 4)));
    let now = net::Clock::default().moment();
    let holds = schedule.unwrap().word_holds();
    anon::keeper::absence::check_words(&ballot.unwrap(), &words, now, holds).unwrap();

    // When they speak again there is a view again, one epoch later at the latest.
    silent.iter().for_each(|silent| *silent.lock() = false);
    town.reach(first + 6).await;
    town.agree(4, first + 6, 5);
    assert_eq!(town.status(0).no_view, None);
    town.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keeper_that_starts_late_has_the_view_of_the_others() {
    let mut town = Town::new(4, 4);
    for index in 0..3 {
        town.start(index, |node| node).await;
    }
    let first = town.epoch().0 + 2;
    town.reach(first).await;
    town.start(3, |node| node).await;
    let has_it = async {
        while town.view(3).is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(3), has_it).await.expect("it asks");
    assert_eq!(town.view(3).map(|(epoch, ..)| epoch.0), Some(first));
    town.reach(first + 2).await;
    assert_eq!(town.view(3), town.view(0));
    assert_eq!(town.status(3).view.unwrap().signed.len(), 4, "it signs with the others");
    town.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lone_keeper_that_starts_again_late_makes_no_view_of_the_few_that_it_has_heard_of() {
    let mut town = Town::new(3, 1);
    for index in 0..3 {
        town.start(index, |node| node).await;
    }
    let first = town.epoch().0 + 2;
    town.reach(first).await;
    town.agree(1, first, 3);
    // The last third of the time for statements has begun, and it is not over.
    let charter = town.file.network().unwrap().charter.unwrap();
    let (deadlines, schedule) =
        (charter.deadlines(Epoch(first + 1)).unwrap(), charter.schedule(Epoch(first + 1)).unwrap());
    let late = crate::view::state::last_told(&deadlines, &schedule);
    net::Clock::default().reach(late).await;
    town.running.remove(&0).unwrap().shutdown().await;
    town.start(0, |node| node).await;
    assert!(net::Clock::default().moment() < deadlines.statements_until, "it states itself again");
    town.reach(first + 1).await;
    town.agree(1, first, 3);
    town.reach(first + 2).await;
    town.agree(1, first + 2, 3);
    town.stop().await;
}

#[tokio::test]
async fn who_is_not_named_does_not_start_as_a_keeper() {
    let town = Town::new(2, 1);
    let config = NodeConfig { listen: vec![town.listen[1].clone()], ..NodeConfig::default() };
    let config = NodeConfig { keeper: true, ..config };
    let node = Node::new(town.directory.path().join("1"), town.file.clone(), config);
    assert_eq!(node.is_keeper().unwrap(), (true, false));
    let refused = node.start().await.unwrap_err();
    assert!(matches!(refused, crate::NodeError::NotKeeper), "{refused}");
    let config = NodeConfig::default();
    let keeper = Node::new(town.directory.path().join("0"), town.file.clone(), config);
    assert_eq!(keeper.is_keeper().unwrap(), (false, true));
}
