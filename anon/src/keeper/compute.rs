//! The view that follows from the votes: the same for every keeper, to the last byte.
//!
//! A node is in with its elected statement, at the addresses that more than half of the keepers reached, unless it is
//! revoked. Where the network does not admit nodes one by one, identities are free and so places are capped: of the nodes
//! reached at one IPv4 address or in one IPv6 /64 the [`MAX_AT_PLACE`] keep that address which stood there in the view
//! before, then those of the lowest ids. Who loses its only address is out. If more nodes are left than the view may have,
//! those of the view before go first, then the lowest ids.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv6Addr},
};

use thiserror::Error;

use super::{
    ballot::Ballot,
    tally::{Elected, Tally},
};
use crate::{
    id::NodeId,
    keys::Signature,
    view::{
        descriptor::Descriptor,
        error::ViewError,
        header::ViewHeader,
        list::{NodeList, SignatureList},
        statement::{NodeStatement, StatementDigest},
    },
};

/// How many nodes a view has at one IPv4 address, or in one IPv6 /64.
pub const MAX_AT_PLACE: usize = 2;

/// Why a keeper cannot compute the view yet, or at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ComputeError {
    /// An elected statement is missing: any keeper that voted for it has it.
    #[error("the statement {0:?} is missing")]
    MissingStatement(StatementDigest),
    /// The nodes given are not those of the view before.
    #[error("these are not the nodes of the view before")]
    OtherBefore,
    /// No node is left: there is nothing to sign.
    #[error("no node was reached by more than half of the keepers")]
    NoNodes,
    /// The list cannot be made.
    #[error(transparent)]
    View(#[from] ViewError),
}

/// What a view follows from besides the votes; the votes name all of it.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// The statements of the elected nodes, verified for this network and epoch.
    pub statements: &'a BTreeMap<StatementDigest, NodeStatement>,
    /// The nodes of the view before, where there is one.
    pub before: Option<&'a NodeList>,
    /// The nodes that the revocation list of [`Tally::rules`] names.
    pub revoked: &'a BTreeSet<NodeId>,
    /// Whether places are capped, by the network file of [`Tally::rules`].
    pub is_capped: bool,
}

/// A view that no quorum has signed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// What is to be signed.
    pub header: ViewHeader,
    /// The nodes, by ascending id.
    pub nodes: NodeList,
    /// The nodes' signatures, in the same order.
    pub signatures: SignatureList,
}

/// A node that is in so far.
struct Entry<'a> {
    statement: &'a NodeStatement,
    descriptor: Descriptor,
    signature: Signature,
    before: Option<Descriptor>,
}

/// Computes the view of a ballot's epoch.
///
/// # Errors
/// [`ComputeError`] saying what is missing.
pub fn compute(
    ballot: &Ballot,
    tally: &Tally,
    given: Given<'_>,
) -> Result<Candidate, ComputeError> {
    let root = given.before.map(NodeList::root);
    if root != tally.before().map(|before| before.header().descriptors) {
        return Err(ComputeError::OtherBefore);
    }
    let mut entries = BTreeMap::new();
    for (node, elected) in tally.elected() {
        if given.revoked.contains(node) {
            continue;
        }
        if let Some(entry) = entry(ballot, *node, elected, given)? {
            entries.insert(*node, entry);
        }
    }
    if given.is_capped {
        cap_places(&mut entries);
    }
    cap_size(&mut entries, ballot.max_nodes());
    if entries.is_empty() {
        return Err(ComputeError::NoNodes);
    }
    finish(ballot, tally, &entries)
}

/// The elected node as the view would show it; `None` if its statement says nothing of where it was reached.
fn entry<'a>(
    ballot: &Ballot,
    node: NodeId,
    elected: &Elected,
    given: Given<'a>,
) -> Result<Option<Entry<'a>>, ComputeError> {
    let missing = ComputeError::MissingStatement(elected.statement);
    let statement = given.statements.get(&elected.statement).ok_or(missing)?;
    let stated = statement.descriptor();
    if stated.node() != node || statement.epoch() != ballot.epoch() {
        return Ok(None);
    }
    let restricted = statement.restricted(elected.tcp, elected.onion);
    let before = given.before.and_then(|before| before.find(&node));
    Ok(restricted.map(|(descriptor, signature)| Entry { statement, descriptor, signature, before }))
}

/// What counts as one place: an IPv4 address, or an IPv6 address's first 64 bits.
fn place(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
    }
}

fn place_of(descriptor: &Descriptor) -> Option<IpAddr> {
    descriptor.addresses().tcp().map(|tcp| place(tcp.ip()))
}

/// Takes the TCP address from all but the [`MAX_AT_PLACE`] longest-standing nodes of each place.
fn cap_places(entries: &mut BTreeMap<NodeId, Entry<'_>>) {
    let mut places: BTreeMap<IpAddr, Vec<(bool, NodeId)>> = BTreeMap::new();
    for (node, entry) in &*entries {
        if let Some(place) = place_of(&entry.descriptor) {
            let stood = entry.before.as_ref().and_then(place_of) == Some(place);
            places.entry(place).or_default().push((!stood, *node));
        }
    }
    for mut at_place in places.into_values() {
        at_place.sort_unstable();
        for (_, node) in at_place.into_iter().skip(MAX_AT_PLACE) {
            let Some(entry) = entries.get_mut(&node) else { continue };
            let has_onion = entry.descriptor.addresses().onion().is_some();
            match entry.statement.restricted(false, has_onion) {
                Some(left) => (entry.descriptor, entry.signature) = left,
                None => drop(entries.remove(&node)),
            }
        }
    }
}

/// Leaves no more nodes than a view may have.
fn cap_size(entries: &mut BTreeMap<NodeId, Entry<'_>>, max_nodes: u32) {
    let most = usize::try_from(max_nodes).unwrap_or(usize::MAX);
    if entries.len() > most {
        let mut order: Vec<(bool, NodeId)> =
            entries.iter().map(|(node, entry)| (entry.before.is_none(), *node)).collect();
        order.sort_unstable();
        for (_, node) in order.into_iter().skip(most) {
            entries.remove(&node);
        }
    }
}

fn finish(
    ballot: &Ballot,
    tally: &Tally,
    entries: &BTreeMap<NodeId, Entry<'_>>,
) -> Result<Candidate, ComputeError> {
    let nodes = NodeList::new(entries.values().map(|entry| entry.descriptor))?;
    let signatures = SignatureList::new(entries.values().map(|entry| entry.signature));
    let (network_serial, revocations) = tally.rules();
    let header = ViewHeader {
        network: ballot.network(),
        epoch: ballot.epoch(),
        before: tally.before().map(|before| before.id()),
        count: nodes.len(),
        descriptors: nodes.root(),
        signatures: signatures.root(),
        network_serial,
        revocations,
    };
    Ok(Candidate { header, nodes, signatures })
}
