//! The nodes of the scan, and what each of them is to the mail: by where its identity lies, by who called it, and by what
//! the sender and the recipient say of their own channels.

use std::{
    collections::BTreeSet,
    net::{SocketAddr, SocketAddrV4},
    path::Path,
};

use anon::{certificate::Address, network::MAX_K};
use libp2p::multiaddr::Protocol;
use testbed::cluster::{Cluster, ClusterNode};

use super::{
    expected::Part,
    needle::{Canaries, Label},
    person::Calls,
};

/// How much further than k readers look.
const WIDER: usize = 4;

/// A process: its name, its parts, its number.
pub(super) type Process = (String, BTreeSet<Part>, Option<u32>);

/// The nodes, and what each is to the mail.
pub(super) struct Nodes<'a> {
    cluster: &'a Cluster,
    parts: Vec<BTreeSet<Part>>,
}

/// Where a node listens.
pub(super) fn socket(node: &ClusterNode) -> Option<SocketAddr> {
    let mut parts = node.address.iter();
    match (parts.next()?, parts.next()?) {
        (Protocol::Ip4(ip), Protocol::Tcp(port)) => Some((ip, port).into()),
        _ => None,
    }
}

impl<'a> Nodes<'a> {
    /// Those near the recipient's certificate and inbox are told by their places.
    pub(super) fn new(cluster: &'a Cluster, to: &Address, k: usize) -> Self {
        let parts = cluster.nodes().iter().map(|_| BTreeSet::from([Part::Node])).collect();
        let mut nodes = Self { cluster, parts };
        let wider = (k + WIDER).min(MAX_K);
        let near =
            [(to.certificate(), k, Part::CertificateNode), (to.inbox(), wider, Part::InboxNode)];
        for (key, count, part) in near {
            let ids = cluster.closest(&key, count);
            nodes.mark(part, |node| ids.contains(&node.id));
        }
        nodes
    }

    fn mark(&mut self, part: Part, is_one: impl Fn(&ClusterNode) -> bool) {
        for (node, parts) in self.cluster.nodes().iter().zip(&mut self.parts) {
            if is_one(node) {
                parts.insert(part);
            }
        }
    }

    /// Marks those that somebody called, and looks from now on for where the calls came from.
    pub(super) fn called(
        &mut self,
        calls: &Calls,
        part: Part,
        label: Label,
        canaries: &mut Canaries,
    ) {
        let remotes: BTreeSet<SocketAddrV4> = calls.iter().map(|(_, remote)| *remote).collect();
        self.mark(
            part,
            |node| matches!(socket(node), Some(SocketAddr::V4(at)) if remotes.contains(&at)),
        );
        calls.iter().for_each(|(local, _)| canaries.endpoint(label, *local));
    }

    /// Marks anonymizers by their short names.
    pub(super) fn anonymizers(&mut self, short: &[String]) {
        self.mark(Part::Anonymizer, |node| short.contains(&node.id.short()));
    }

    /// The processes of nodes that have one of these parts.
    pub(super) fn processes(&self, which: &[Part]) -> Vec<Process> {
        let all = self.cluster.nodes().iter().zip(&self.parts).enumerate();
        all.filter(|(_, (_, parts))| which.iter().any(|part| parts.contains(part)))
            .map(|(index, (node, parts))| (format!("node {index}"), parts.clone(), node.pid()))
            .collect()
    }

    /// All of them, each with its directory.
    pub(super) fn all(&self) -> Vec<(usize, &BTreeSet<Part>, &Path)> {
        let all = self.cluster.nodes().iter().zip(&self.parts).enumerate();
        all.map(|(index, (node, parts))| (index, parts, node.directory.as_path())).collect()
    }
}
