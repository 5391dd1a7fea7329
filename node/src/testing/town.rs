//! A network of nodes in this process, over real links and this machine's clock, in epochs of a few seconds.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::TcpListener,
    time::Duration,
};

use anon::{
    network::Epoch,
    request::{Response, view::ViewRequest},
    view::header::ViewId,
};
use net::{NetworkFile, Peer, Via, network_file::Keepers, peer_id};
use tempfile::TempDir;

use crate::{KeeperStatus, Node, NodeConfig, Running, Service as _};

/// An epoch, seconds, and a round, milliseconds.
pub(crate) const EPOCH: u64 = 8;
pub(crate) const ROUND: u64 = 700;

/// Nodes of which the first are keepers.
pub(crate) struct Town {
    pub(crate) directory: TempDir,
    pub(crate) file: NetworkFile,
    pub(crate) listen: Vec<String>,
    pub(crate) running: BTreeMap<usize, Running>,
}

impl Town {
    pub(crate) fn new(nodes: usize, keepers: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let text = format!(
            "name = 'town.alt'\nk = 1\nepoch_seconds = {EPOCH}\nround_milliseconds = {ROUND}\nplaces_capped = false"
        );
        let mut file = NetworkFile::parse(&text).unwrap();
        let mut listen = Vec::new();
        for index in 0..nodes {
            let at = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let at = format!("/ip4/127.0.0.1/tcp/{}", at.port());
            let directory = directory.path().join(index.to_string());
            let node = Node::new(directory, file.clone(), NodeConfig::default());
            let peer = peer_id(&node.initialise().unwrap().node()).unwrap();
            // The store closes in a thread of its own.
            while node.check_store().is_err() {
                std::thread::yield_now();
            }
            if index == 0 {
                file.keepers.push(Keepers { from_epoch: 0, nodes: Vec::new() });
                file.bootstrap.push(format!("{at}/p2p/{peer}"));
            }
            if index < keepers {
                file.keepers[0].nodes.push(format!("{at}/p2p/{peer}"));
            }
            listen.push(at);
            // Only whole files are read.
            file.keepers.retain(|set| !set.nodes.is_empty());
        }
        Self { directory, file, listen, running: BTreeMap::new() }
    }

    pub(crate) async fn start(&mut self, index: usize, dress: impl FnOnce(Node) -> Node) {
        let path = self.directory.path().join(index.to_string());
        let address = self.listen[index].clone();
        let peer = format!("{address}/p2p/");
        let keeper = self.file.keepers[0].nodes.iter().any(|node| node.starts_with(&peer));
        let config = NodeConfig { listen: vec![address], keeper, ..NodeConfig::default() };
        let node = dress(Node::new(path, self.file.clone(), config));
        self.running.insert(index, node.start().await.unwrap());
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.file.network().unwrap().epoch(net::now())
    }

    /// Waits until it is an epoch, and a second of it is over.
    pub(crate) async fn reach(&self, epoch: u64) {
        while self.epoch().0 < epoch {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    pub(crate) fn status(&self, index: usize) -> KeeperStatus {
        KeeperStatus::read(&self.directory.path().join(index.to_string())).unwrap().unwrap()
    }

    /// The latest view that a node has: its epoch, its id, and how many nodes it has.
    pub(crate) fn view(&self, index: usize) -> Option<(Epoch, ViewId, u32)> {
        let latest = self.running[&index].service().views.as_ref().unwrap().latest()?;
        Some((latest.view.epoch(), latest.view.id(), latest.view.nodes().len()))
    }

    /// Checks that so many nodes have one and the same view of that epoch, with so many nodes: its id.
    pub(crate) fn agree(&self, having: usize, epoch: u64, nodes: u32) -> ViewId {
        let views: BTreeSet<_> = (0..having).map(|index| self.view(index)).collect();
        let (at, id, count) = views.first().copied().flatten().unwrap();
        assert_eq!((views.len(), at.0, count), (1, epoch, nodes), "{:?}", self.status(0));
        id
    }

    pub(crate) async fn ask(&self, index: usize, request: ViewRequest) -> Response {
        let service = self.running[&index].service();
        let address = "/ip4/127.9.0.1/tcp/1".parse().unwrap();
        let peer = Peer { id: libp2p::PeerId::random(), address };
        service.handle(&peer, Via::Direct, anon::request::Request::View(request)).await
    }

    pub(crate) async fn stop(self) {
        for (_, running) in self.running {
            running.shutdown().await;
        }
    }
}
