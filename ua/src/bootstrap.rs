//! Bootstrap: the nodes that an agent knows, from the network file and from earlier, asked two at a time and compared.
//!
//! The agent is no member of the DHT (paper, 2.1: "the user agent must have the IP address of at least one of
//! the system nodes"). What is closest to a key it asks of two nodes it knows, each under an identity of its
//! own, and it believes them where they agree.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anon::{
    certificate::NodeCertificate,
    network::{MAX_K, default_quorum},
    position::Key,
    request::{Request, Response},
    verification::{CrossVerified, Disagreement, ReplicaSet, cross_verify, verify_list},
};
use libp2p::{Multiaddr, PeerId};
use net::{Carrier, Links, certified_addresses, peer_id};
use parking_lot::Mutex;
use rand::seq::SliceRandom as _;

use crate::{
    context::Context,
    error::AgentError,
    event::{Event, Purpose},
    hedge::hedge,
};

/// How long a node may take for a lookup.
pub(crate) const LOOKUP_TIMEOUT: Duration = Duration::from_secs(15);
/// How often two answers that disagree are asked for again.
const ATTEMPTS: usize = 4;
/// The most nodes that an agent remembers.
const KNOWN: usize = 256;
/// How many nodes are enough to enter by, and how often more are asked for at a time.
pub(crate) const ENOUGH: usize = 40;
const WIDEN: usize = 2;
/// How many nodes an agent with one bootstrap node asks that one for.
const MORE: u8 = 8;

/// The nodes that an agent knows.
#[derive(derive_more::Debug)]
#[debug("Bootstrap(..)")]
pub struct Bootstrap {
    context: Context,
    nodes: Mutex<BTreeMap<PeerId, Vec<Multiaddr>>>,
    /// Every node that this agent was ever told of, at most [`KNOWN`].
    heard: Mutex<BTreeSet<PeerId>>,
    links: Mutex<BTreeMap<PeerId, Links>>,
}

impl Bootstrap {
    /// Begins with these nodes.
    #[must_use]
    pub(crate) fn new(context: Context, nodes: Vec<(PeerId, Multiaddr)>) -> Self {
        let mut known: BTreeMap<PeerId, Vec<Multiaddr>> = BTreeMap::new();
        for (peer, address) in nodes {
            known.entry(peer).or_default().push(address);
        }
        let heard = Mutex::new(known.keys().copied().collect());
        Self { context, heard, nodes: Mutex::new(known), links: Mutex::default() }
    }

    /// What is around it.
    #[must_use]
    pub(crate) const fn context(&self) -> &Context {
        &self.context
    }

    /// Remembers nodes for the next time: only such as a random key led to. A node that was found near
    /// somebody's inbox, asked later from this machine's own address, would learn who asks.
    pub(crate) fn remember(&self, certificates: &[NodeCertificate]) {
        self.hear_of(certificates);
        let mut nodes = self.nodes.lock();
        for certificate in certificates {
            if nodes.len() < KNOWN
                && let Ok(peer) = peer_id(&certificate.node())
            {
                nodes.insert(peer, certified_addresses(certificate));
            }
        }
    }

    /// Notes that these nodes exist, without keeping a way to them.
    fn hear_of(&self, certificates: &[NodeCertificate]) {
        let mut heard = self.heard.lock();
        for peer in certificates.iter().filter_map(|c| peer_id(&c.node()).ok()) {
            if heard.len() < KNOWN {
                heard.insert(peer);
            }
        }
    }

    /// Whether the network, as far as this agent has ever heard, has no nodes but these.
    fn are_all(&self, nodes: &[NodeCertificate]) -> bool {
        let these: BTreeSet<PeerId> =
            nodes.iter().filter_map(|n| peer_id(&n.node()).ok()).collect();
        let heard = self.heard.lock();
        heard.len() < KNOWN && heard.is_subset(&these)
    }

    /// How many of these replicas make a success: the network's quorum. In a network that has fewer nodes than that, as far
    /// as this agent has ever heard, and names all of them, it is the quorum of so many.
    #[must_use]
    pub(crate) fn quorum_of(&self, replicas: &[NodeCertificate]) -> usize {
        let quorum = self.context.network.quorum;
        if replicas.len() < quorum && self.are_all(replicas) {
            return default_quorum(replicas.len()).max(1);
        }
        quorum
    }

    /// Gets to know more nodes, those near random keys, so that the way in outlives the bootstrap nodes. Who is
    /// asked learns that the agent is there, and nothing else. Failures do not matter.
    pub(crate) async fn widen(&self) {
        for _ in 0..WIDEN {
            if self.known().len() >= ENOUGH {
                return;
            }
            let random = Key(rand::random());
            for answer in self.two_answers(random, MAX_K).await.unwrap_or_default() {
                self.remember(&answer);
            }
        }
    }

    /// The nodes known now.
    #[must_use]
    pub(crate) fn known(&self) -> Vec<(PeerId, Vec<Multiaddr>)> {
        let nodes = self.nodes.lock();
        nodes.iter().map(|(peer, addresses)| (*peer, addresses.clone())).collect()
    }

    /// The node closest to a key, as two nodes agree.
    ///
    /// # Errors
    /// [`AgentError`] if too few nodes answer, or they go on disagreeing.
    pub(crate) async fn lookup(
        &self,
        key: Key,
        purpose: Purpose,
    ) -> Result<CrossVerified, AgentError> {
        let agree = |first: Vec<NodeCertificate>, second: Vec<NodeCertificate>| {
            let closest = |list: Vec<NodeCertificate>| list.into_iter().next();
            match (closest(first), closest(second)) {
                (Some(first), Some(second)) => cross_verify(first, second),
                _ => Err(Disagreement::BadList),
            }
        };
        self.agreed(key, 1, purpose, agree).await
    }

    /// The k nodes closest to a key, as two nodes agree.
    ///
    /// # Errors
    /// As [`Self::lookup`].
    pub(crate) async fn replicas(
        &self,
        key: Key,
        purpose: Purpose,
    ) -> Result<ReplicaSet, AgentError> {
        let agree = |first, second| ReplicaSet::agree(key, first, second);
        let set = self.agreed(key, self.context.network.k, purpose, agree).await?;
        let replicas = set.nodes().iter().map(NodeCertificate::node).collect();
        self.context.tell(&Event::Agreed { purpose, replicas });
        Ok(set)
    }

    /// Whatever nodes either of two nodes lists as closest to a key: what a reader asks, who would rather
    /// ask one node too many.
    ///
    /// # Errors
    /// [`AgentError`] if no node answers.
    pub async fn all_candidates(&self, key: Key) -> Result<Vec<NodeCertificate>, AgentError> {
        let mut all: Vec<NodeCertificate> = Vec::new();
        for candidate in self.two_answers(key, self.context.network.k).await?.into_iter().flatten()
        {
            match all.iter_mut().find(|known| known.node() == candidate.node()) {
                Some(known) => *known = known.clone().newer(candidate),
                None => all.push(candidate),
            }
        }
        anon::position::keep_closest(&mut all, &key, usize::MAX, |n| n.node().position());
        Ok(all)
    }

    async fn agreed<T>(
        &self,
        key: Key,
        count: usize,
        purpose: Purpose,
        agree: impl Fn(Vec<NodeCertificate>, Vec<NodeCertificate>) -> Result<T, Disagreement>,
    ) -> Result<T, AgentError> {
        let mut attempt = 1;
        loop {
            let mut answers = self.two_answers(key, count).await?.into_iter();
            let (first, second) = match (answers.next(), answers.next()) {
                (Some(first), Some(second)) => (first, second),
                // A network of one node: there is nobody else to ask, and nobody else to name.
                (Some(only), None) if only.len() == 1 && self.are_all(&only) => {
                    (only.clone(), only)
                }
                _ => return Err(AgentError::OneNode),
            };
            match agree(first, second) {
                Ok(agreed) => return Ok(agreed),
                Err(disagreement) if attempt == ATTEMPTS => return Err(disagreement.into()),
                Err(disagreement) => {
                    self.context.tell(&Event::Disagreed { purpose, disagreement });
                    attempt += 1;
                    tokio::time::sleep(Duration::from_millis(250)).await;
                }
            }
        }
    }

    /// Asks two nodes; where one fails, or takes long, a third is asked, and so on. At least one answer.
    async fn two_answers(
        &self,
        key: Key,
        count: usize,
    ) -> Result<Vec<Vec<NodeCertificate>>, AgentError> {
        let mut nodes = self.known();
        if nodes.len() < 2 {
            self.meet_more(&nodes).await?;
            nodes = self.known();
        }
        nodes.shuffle(&mut rand::rng());
        let (mut answers, mut silent) = (Vec::new(), Vec::new());
        let mut rest = nodes.iter();
        let next = || {
            rest.next().map(async |(peer, addresses)| {
                self.ask(*peer, addresses, key, count).await.ok_or(*peer)
            })
        };
        let take = |answer| {
            match answer {
                Ok(list) => answers.push(list),
                Err(peer) => silent.push(peer),
            }
            answers.len() >= 2
        };
        hedge(next, 2, self.context.gap(), take).await;
        if answers.is_empty() {
            return Err(AgentError::NoNode);
        }
        // Others answer, so it is not this machine that is cut off: the silent ones are not asked again.
        let mut known = self.nodes.lock();
        known.retain(|peer, _| !silent.contains(peer));
        Ok(answers)
    }

    async fn meet_more(&self, nodes: &[(PeerId, Vec<Multiaddr>)]) -> Result<(), AgentError> {
        let Some((peer, addresses)) = nodes.first() else { return Err(AgentError::NoNode) };
        let random = Key(rand::random());
        let more = self.ask(*peer, addresses, random, usize::from(MORE)).await;
        self.remember(&more.ok_or(AgentError::NoNode)?);
        Ok(())
    }

    async fn ask(
        &self,
        peer: PeerId,
        addresses: &[Multiaddr],
        key: Key,
        count: usize,
    ) -> Option<Vec<NodeCertificate>> {
        let links = self.links(peer)?;
        let request = Request::Lookup { key, count: u8::try_from(count).ok()? };
        let link = links.open_at(peer, addresses.to_vec(), Carrier::Request).await.ok()?;
        match link.request(&request, LOOKUP_TIMEOUT).await.ok()? {
            Response::LookedUp(list) => {
                verify_list(list, &key, count, &self.context.network, self.context.now()).ok()
            }
            _ => None,
        }
    }

    /// The identity under which this node is asked: the same one while the agent runs; over Tor another each time.
    fn links(&self, peer: PeerId) -> Option<Links> {
        if self.context.transport.is_tor() {
            return self.context.disposable().ok();
        }
        let mut links = self.links.lock();
        if let Some(known) = links.get(&peer) {
            return Some(known.clone());
        }
        let fresh = self.context.disposable().ok()?;
        links.insert(peer, fresh.clone());
        Some(fresh)
    }
}
