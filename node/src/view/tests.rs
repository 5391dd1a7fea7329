//! Nodes that get views over real links, some of which lie to the others.

use std::{sync::Arc, time::Duration};

use anon::request::{
    Request, Response,
    view::{MAX_PIECE, ViewRequest},
};
use futures::future::BoxFuture;
use net::{Peer, Via};
use parking_lot::Mutex;

use crate::{
    Service, StandardService, ViewStatus,
    testing::town::{EPOCH, Town},
};

/// How a node lies about views.
#[derive(Clone, Copy)]
enum Lie {
    /// It shows the first view that it had, for ever.
    Old,
    /// A bit of what it hands out is another one.
    Wrong,
    /// What it hands out has no end.
    Growing,
}

/// A node that lies to whoever asks for a view, and counts how often.
struct Liar {
    honest: Arc<StandardService>,
    lie: Lie,
    first: Mutex<Option<Vec<u8>>>,
    lies: Arc<Mutex<u32>>,
}

impl Liar {
    fn lie(&self, request: &ViewRequest, truth: Response) -> Response {
        let Response::View(mut bytes) = truth.clone() else { return truth };
        match (self.lie, request) {
            (Lie::Old, ViewRequest::Latest) => {
                bytes = self.first.lock().get_or_insert(bytes).clone();
            }
            (Lie::Wrong, ViewRequest::Difference { .. } | ViewRequest::View { .. }) => {
                bytes.last_mut().into_iter().for_each(|last| *last ^= 1);
            }
            (Lie::Growing, ViewRequest::Difference { .. } | ViewRequest::View { .. }) => {
                bytes.resize(MAX_PIECE, 7);
            }
            _ => {}
        }
        let told = Response::View(bytes);
        *self.lies.lock() += u32::from(told != truth);
        told
    }
}

impl Service for Liar {
    fn handle<'a>(&'a self, peer: &'a Peer, via: Via, request: Request) -> BoxFuture<'a, Response> {
        Box::pin(async move {
            let view = if let Request::View(view) = &request { Some(view.clone()) } else { None };
            let truth = self.honest.handle(peer, via, request).await;
            match view {
                Some(view) => self.lie(&view, truth),
                None => truth,
            }
        })
    }
}

/// How many epochs it may take until every liar was asked by somebody.
const LONGEST: u64 = 12;

#[tokio::test(flavor = "multi_thread")]
async fn every_node_has_every_view_whoever_lies_and_who_was_away_has_the_latest() {
    let mut town = Town::new(6, 1);
    let lies: [Arc<Mutex<u32>>; 3] = Default::default();
    for index in [0, 4, 5] {
        town.start(index, |node| node).await;
    }
    for (index, lie) in [Lie::Old, Lie::Wrong, Lie::Growing].into_iter().enumerate() {
        let told = Arc::clone(&lies[index]);
        let liar = move |honest| -> Arc<dyn Service> {
            Arc::new(Liar { honest, lie, first: Mutex::default(), lies: told })
        };
        town.start(1 + index, |node| node.serving(liar)).await;
    }
    let first = town.epoch().0 + 2;
    let mut epoch = first;
    loop {
        town.reach(epoch + 1).await;
        // The keeper may have the next view by now; that of the epoch that is over, everybody had.
        for index in 0..6 {
            let (has, _, nodes) = town.view(index).unwrap();
            assert!(has.0 >= epoch, "node {index} has the view of epoch {}, not {epoch}", has.0);
            assert_eq!(nodes, 6);
        }
        epoch += 1;
        if lies.iter().all(|lies| *lies.lock() > 0) {
            break;
        }
        assert!(epoch < first + LONGEST, "nobody asked some liar");
    }
    let status = |town: &Town| {
        let directory = town.directory.path().join("5");
        ViewStatus::read(&directory).unwrap().unwrap()
    };
    let at_hand = status(&town).view.unwrap();
    assert!((at_hand.nodes, at_hand.stands) == (6, true) && at_hand.epoch >= epoch - 1);

    town.running.remove(&5).unwrap().shutdown().await;
    town.reach(epoch + 3).await;
    town.start(5, |node| node).await;
    let has_it = async {
        while town.view(5).is_none_or(|(has, ..)| has.0 < epoch + 3) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(2 * EPOCH), has_it).await.expect("it asks");
    town.stop().await;
}
