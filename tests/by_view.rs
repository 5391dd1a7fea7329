//! A client that knows nothing but the network file reads the view of a network of processes, makes a path by epoch and
//! node, and has something stored and fetched through it. In the next epoch the old name is accepted for a tenth of an
//! epoch, and no longer.

use std::time::{Duration, SystemTime};

use anon::{
    position::Key,
    request::{ObjectKind, Request, Response, Store, view::ViewRequest},
    verification::CrossVerified,
    view::{signed::View, whole::WholeDecoder},
};
use net::{Channel, LinkError, Links};
use testbed::cluster::ClusterNode;

use crate::{asking::Client, support::Network};

/// An epoch, seconds; a round, milliseconds; and for how long the view before is accepted, milliseconds.
const EPOCH: u64 = 30;
const ROUND: u64 = 600;
const OVERLAP: u64 = EPOCH * 1_000 / 10;
const TIMEOUT: Duration = Duration::from_secs(10);

impl Client {
    /// The view of an epoch, once a node has it.
    async fn view(&self, node: &ClusterNode, epoch: u64) -> View {
        let signed = loop {
            match self.latest(node).await {
                Some(signed) if signed.header().epoch.0 == epoch => break signed,
                Some(signed) if signed.header().epoch.0 > epoch => panic!("{signed:?}"),
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        };
        let keepers = self.charter().keepers(signed.header().epoch).unwrap().clone();
        let mut decoder = WholeDecoder::new(self.params.id, keepers);
        let request = ViewRequest::View { id: signed.id(), from: 0 };
        decoder.feed(&self.ask(node, request).await.unwrap()).unwrap();
        decoder.finish().unwrap()
    }

    /// A path over these nodes as they stand in a view.
    async fn open(&self, view: &View, nodes: &[ClusterNode]) -> Result<Channel, LinkError> {
        let hop = |node: &ClusterNode| (CrossVerified::in_view(view, &node.id).unwrap(), None);
        let hops: Vec<_> = nodes.iter().map(hop).collect();
        let links = Links::disposable(&self.params.name).unwrap();
        Channel::open_path(&links, &hops, TIMEOUT, |_, _| Ok::<_, LinkError>(())).await
    }
}

fn milliseconds() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    since.as_millis().try_into().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_by_epoch_and_node_carries_a_mails_requests_until_its_view_is_over() {
    let network = Network::bare(4, |options| {
        options.keepers = 1;
        options.network.epoch_seconds = EPOCH;
        options.network.round_milliseconds = Some(ROUND);
    })
    .await;
    let (client, nodes) = (Client::of(&network.cluster), &network.cluster.nodes()[1..]);
    let epoch = milliseconds() / 1_000 / EPOCH + 2;
    let view = client.view(&nodes[0], epoch).await;
    assert_eq!(view.nodes().len(), 4);
    for node in nodes {
        assert_eq!(client.view(node, epoch).await.id(), view.id(), "the same for everyone");
    }
    let mut channel = client.open(&view, nodes).await.unwrap();
    let (key, object) = (Key([7; 32]), vec![7; 20_000]);
    let store = Store {
        key,
        kind: ObjectKind::Body,
        object: object.clone(),
        deleters: Vec::new(),
        nonce: [1; 16],
    };
    let stored = channel.request(&Request::Store(store), TIMEOUT).await.unwrap();
    assert!(matches!(stored, Response::Receipt(_)), "{stored:?}");
    let fetched = channel.request(&Request::Fetch { key }, TIMEOUT).await.unwrap();
    assert_eq!(fetched, Response::Object(object));

    // For a while after the next view is there, both are accepted; then only that one. What is late is not judged.
    let next = epoch + 1;
    let begins = next * EPOCH * 1_000;
    tokio::time::sleep(Duration::from_millis(begins.saturating_sub(milliseconds()))).await;
    let (mut accepted, mut refused) = (0, 0);
    while refused < 3 {
        let is_there = client.latest(&nodes[0]).await.unwrap().header().epoch.0 >= next;
        let (from, opened) = (milliseconds(), client.open(&view, nodes).await);
        match opened {
            Ok(_) => {
                assert!(!is_there || from < begins + OVERLAP, "accepted for too long");
                accepted += 1;
            }
            Err(error) => {
                assert!(milliseconds() >= begins + OVERLAP, "refused too early: {error}");
                refused += 1;
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(accepted > 0, "no path was begun within {OVERLAP} ms");
    let next = client.view(&nodes[0], next).await;
    assert!(client.open(&next, nodes).await.is_ok());
}
