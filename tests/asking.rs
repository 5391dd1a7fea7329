//! A client that knows nothing but the network file, and asks nodes of a network of processes for the view.

use std::time::Duration;

use anon::{
    keeper::charter::Charter,
    network::Network as Params,
    request::{Request, Response, view::ViewRequest},
    view::quorum::{SignedView, UnverifiedSignedView},
};
use net::{Carrier, Links, NetworkFile, peer_id};
use testbed::cluster::{Cluster, ClusterNode};

/// How long a node may take for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What a client has of a network.
pub struct Client {
    pub links: Links,
    pub params: Params,
}

impl Client {
    pub fn of(cluster: &Cluster) -> Self {
        let file = NetworkFile::read(&cluster.network_file()).unwrap();
        Self { links: Links::disposable(&file.name).unwrap(), params: file.network().unwrap() }
    }

    pub fn charter(&self) -> &Charter {
        self.params.charter.as_ref().unwrap()
    }

    /// What a node answers for the sake of the view; `None` if it has nothing, says nothing, or is not reached.
    pub async fn ask(&self, node: &ClusterNode, request: ViewRequest) -> Option<Vec<u8>> {
        let mut address = node.address.clone();
        address.pop();
        let peer = peer_id(&node.id).unwrap();
        let link = self.links.open_at(peer, vec![address], Carrier::Request).await.ok()?;
        match link.request(&Request::View(request), TIMEOUT).await.ok()? {
            Response::View(bytes) => Some(bytes),
            Response::NotFound | Response::Refused => None,
            other => panic!("{other:?}"),
        }
    }

    /// A node's latest view without its nodes; it must have a quorum.
    pub async fn latest(&self, node: &ClusterNode) -> Option<SignedView> {
        let shown = self.ask(node, ViewRequest::Latest).await?;
        let shown = UnverifiedSignedView::decode(&shown).unwrap();
        let keepers = self.charter().keepers(shown.header.epoch).unwrap();
        Some(shown.verify(&self.params.id, keepers).expect("a quorum signed it"))
    }
}
