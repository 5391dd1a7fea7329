//! The keepers of a network, who are known before any node runs: the network file names them.

use std::net::{SocketAddr, TcpListener};

use libp2p::multiaddr::Protocol;
use net::{network_file::Keepers, peer_id};
use node::{Node, NodeConfig, NodeError, StoreError};

use super::{ClusterError, ClusterOptions, multiaddr};

/// Makes the keepers' identities: where they will listen, and what the network file says of them.
pub(super) fn named(
    options: &ClusterOptions,
) -> Result<(Vec<SocketAddr>, Vec<Keepers>), ClusterError> {
    let (mut settled, mut nodes) = (Vec::new(), Vec::new());
    for index in 0..options.keepers {
        let ip = (options.address)(index);
        let listen = TcpListener::bind(SocketAddr::new(ip, 0))?.local_addr()?;
        let directory = options.node_directory(index);
        let node = Node::new(directory, options.network.clone(), NodeConfig::default());
        let peer = peer_id(&node.initialise()?.node())?;
        // The store that it made closes in a thread of its own, and the node's process is to open it.
        while matches!(node.check_store(), Err(NodeError::Store(StoreError::Locked))) {
            std::thread::yield_now();
        }
        nodes.push(multiaddr(listen).with(Protocol::P2p(peer)).to_string());
        settled.push(listen);
    }
    if nodes.is_empty() {
        return Ok((settled, options.network.keepers.clone()));
    }
    Ok((settled, vec![Keepers { from_epoch: 0, nodes }]))
}
