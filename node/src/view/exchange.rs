//! Asking another node for the sake of the view.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anon::{
    id::NodeId,
    request::{
        Request, Response,
        view::{MAX_PIECE, ViewRequest},
    },
};
use futures::future::BoxFuture;
use libp2p::Multiaddr;
use net::{Carrier, Links, peer_id};

use super::{address, kept::Views};

/// Asks nodes for the sake of the view. The standard one is over links; tests and audits put others in front of it.
pub trait Exchange: Send + Sync + 'static {
    /// Asks a keeper, or a node of a view that is at hand; `None` if it is not reached, does not answer in time, or has no answer.
    fn ask<'a>(&'a self, node: &'a NodeId, request: ViewRequest) -> BoxFuture<'a, Option<Vec<u8>>>;
}

/// Asks over links of this node's own identity, by which keepers know each other.
pub(crate) struct OverLinks {
    pub(crate) links: Links,
    /// Where the keepers are reached.
    pub(crate) keepers: BTreeMap<NodeId, Multiaddr>,
    /// Where other nodes are.
    pub(crate) views: Arc<Views>,
    /// How long an answer may take.
    pub(crate) timeout: Duration,
}

impl OverLinks {
    fn addresses(&self, node: &NodeId) -> Option<Vec<Multiaddr>> {
        if let Some(address) = self.keepers.get(node) {
            return Some(vec![address.clone()]);
        }
        let latest = self.views.latest()?;
        Some(address::of(latest.view.nodes().find(node)?.addresses()))
    }
}

impl Exchange for OverLinks {
    fn ask<'a>(&'a self, node: &'a NodeId, request: ViewRequest) -> BoxFuture<'a, Option<Vec<u8>>> {
        Box::pin(async move {
            let addresses = self.addresses(node)?;
            let asked = async {
                let link = self.links.open_at(peer_id(node)?, addresses, Carrier::Request).await?;
                link.request(&Request::View(request), self.timeout).await
            };
            match asked.await {
                Ok(Response::View(answer)) => Some(answer),
                Ok(_) => None,
                Err(error) => {
                    tracing::debug!(%error, node = node.short(), "a keeper or a node of the view did not answer");
                    None
                }
            }
        })
    }
}

/// Has something long of a keeper, piece by piece, at most `most` bytes. `ask` says what to ask for from which byte on.
/// `None` if a piece does not come, or it is longer.
pub(crate) async fn have_all(
    exchange: &dyn Exchange,
    node: &NodeId,
    most: usize,
    ask: impl Fn(u32) -> ViewRequest,
) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let from = u32::try_from(whole.len()).ok()?;
        let piece = exchange.ask(node, ask(from)).await?;
        whole.extend_from_slice(&piece);
        if whole.len() > most {
            return None;
        }
        if piece.len() < MAX_PIECE {
            return Some(whole);
        }
    }
}

#[cfg(test)]
mod tests {
    use anon::request::view::piece;

    use super::*;

    /// Has so many bytes, and hands them out.
    struct Long(usize);

    impl Exchange for Long {
        fn ask<'a>(
            &'a self,
            _: &'a NodeId,
            request: ViewRequest,
        ) -> BoxFuture<'a, Option<Vec<u8>>> {
            let ViewRequest::Revocations { from, .. } = request else { panic!("not asked") };
            let whole: Vec<u8> = (0..=250).cycle().take(self.0).collect();
            Box::pin(std::future::ready(piece(&whole, from).map(<[u8]>::to_vec)))
        }
    }

    #[tokio::test]
    async fn pieces_make_the_whole_unless_it_is_longer_than_it_may_be() {
        let ask = |from| ViewRequest::Revocations { digest: [0; 32], from };
        let node = NodeId([1; 32]);
        for length in [0, 1, MAX_PIECE, MAX_PIECE + 7, 2 * MAX_PIECE] {
            let had = have_all(&Long(length), &node, length, ask).await.unwrap();
            assert_eq!(had.len(), length);
            assert!(had.iter().zip((0..=250).cycle()).all(|(had, told)| *had == told));
            if let Some(less) = length.checked_sub(1) {
                assert_eq!(have_all(&Long(length), &node, less, ask).await, None);
            }
        }
    }
}
