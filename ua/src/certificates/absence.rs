//! When an address counts as absent: never from silence, a refusal or one voice.
//!
//! What a far end brings back is its own word, signed by nobody. So the same quorum of replicas must have said "not found"
//! to [`VOICES`] far ends, each drawn by itself; where the agent knows the replicas, of those. A certificate is kept by a
//! quorum, and two quorums have a node in common, so that an honest one among these replicas would have had it. That all
//! [`VOICES`] far ends lie remains possible (THREATMODEL, L-35); the mail waits all the same.

use std::collections::{BTreeMap, BTreeSet};

use anon::{
    certificate::{NodeCertificate, UnverifiedAddressCertificate},
    id::NodeId,
    request::{Answer, Response},
};

/// Far ends that must agree.
pub(super) const VOICES: usize = 3;
/// The most far ends that are asked for one address in one attempt.
pub(super) const MOST_ASKED: usize = 5;
/// The most channels that are opened for that: where draws fall on the same far ends some are for nothing.
pub(super) const MOST_OPENED: usize = 16;

/// Whether a replica says that it has no certificate, or brings one: who has heard it and found none that holds, as after
/// a revocation, has its word that there is no other. A refusal says nothing.
pub(super) fn says_none(answer: &Answer) -> bool {
    match &answer.response {
        Some(Response::NotFound) => true,
        Some(Response::Object(bytes)) => UnverifiedAddressCertificate::decode(bytes).is_ok(),
        _ => false,
    }
}

/// What far ends said of replicas that have no certificate.
pub(super) struct Absence {
    quorum: usize,
    replicas: Option<BTreeSet<NodeId>>,
    /// The far ends that say so, by replica.
    said: BTreeMap<NodeId, BTreeSet<NodeId>>,
    asked: BTreeSet<NodeId>,
}

impl Absence {
    /// Nothing was said yet. `replicas`: those that hold the certificate if anybody does, where the agent knows them.
    pub(super) fn new(quorum: usize, replicas: Option<Vec<NodeCertificate>>) -> Self {
        let replicas = replicas.map(|nodes| nodes.iter().map(NodeCertificate::node).collect());
        Self { quorum, replicas, said: BTreeMap::new(), asked: BTreeSet::new() }
    }

    /// Notes that a far end was asked: whether another one may be.
    pub(super) fn may_ask_on(&mut self, far_end: NodeId) -> bool {
        self.asked.insert(far_end);
        self.asked.len() < MOST_ASKED
    }

    /// Takes in what a far end brought back from the nodes that it says it asked, and no valid certificate among it.
    pub(super) fn hear(&mut self, far_end: NodeId, nodes: &[NodeCertificate], answers: &[Answer]) {
        for answer in answers {
            let is_asked = nodes.iter().any(|node| node.node() == answer.node);
            let counts = self.replicas.as_ref().is_none_or(|own| own.contains(&answer.node));
            if is_asked && counts && says_none(answer) {
                self.said.entry(answer.node).or_default().insert(far_end);
            }
        }
    }

    /// Whether enough far ends agree on a quorum.
    pub(super) fn is_shown(&self) -> bool {
        let agreed = self.said.values().filter(|far_ends| far_ends.len() >= VOICES);
        agreed.count() >= self.quorum
    }
}

#[cfg(test)]
mod tests {
    use net::{NetworkFile, now};
    use node::{ChannelKeys, Identity};

    use super::*;

    fn replicas(seeds: &[u8]) -> Vec<NodeCertificate> {
        let network = NetworkFile::parse("name = 'absent.alt'").unwrap().network().unwrap();
        let certificate = |seed: &u8| {
            let keys = ChannelKeys::new(String::new(), None, 1_000);
            let identity = Identity::from_seed(&[*seed; 32]).unwrap();
            keys.rotate(&identity, &network, Vec::new(), now()).unwrap();
            keys.certificate().unwrap()
        };
        seeds.iter().map(certificate).collect()
    }

    fn answers(nodes: &[NodeCertificate], response: Option<Response>) -> Vec<Answer> {
        nodes.iter().map(|n| Answer { node: n.node(), response: response.clone() }).collect()
    }

    const FAR_ENDS: [NodeId; 4] =
        [NodeId([1; 32]), NodeId([2; 32]), NodeId([3; 32]), NodeId([4; 32])];

    #[test]
    fn three_far_ends_and_a_quorum_of_replicas_make_an_absence() {
        let nodes = replicas(&[1, 2, 3]);
        let not_found = answers(&nodes, Some(Response::NotFound));
        for own in [None, Some(nodes.clone())] {
            let mut absence = Absence::new(2, own);
            for far_end in &FAR_ENDS[..2] {
                absence.hear(*far_end, &nodes, &not_found);
                absence.hear(*far_end, &nodes, &not_found);
            }
            assert!(!absence.is_shown(), "two voices, however often");
            // One replica is dead; two are a quorum.
            absence.hear(FAR_ENDS[2], &nodes, &not_found[..2]);
            assert!(absence.is_shown());
        }
    }

    #[test]
    fn silence_refusals_and_others_answers_say_nothing() {
        let nodes = replicas(&[1, 2, 3]);
        let mut absence = Absence::new(2, Some(nodes.clone()));
        let others = replicas(&[4, 5, 6]);
        for far_end in FAR_ENDS {
            let junk = Some(Response::Object(vec![7; 64]));
            for nothing in [None, Some(Response::Refused), Some(Response::Full), junk] {
                absence.hear(far_end, &nodes, &answers(&nodes, nothing));
            }
            absence.hear(far_end, &nodes, &answers(&nodes[..1], Some(Response::NotFound)));
            // Nodes that hold nothing of it by the agent's own roster, and answers of nodes that were not asked.
            absence.hear(far_end, &others, &answers(&others, Some(Response::NotFound)));
            absence.hear(far_end, &others, &answers(&nodes, Some(Response::NotFound)));
        }
        assert!(!absence.is_shown());
    }

    #[test]
    fn far_ends_that_name_different_replicas_do_not_agree() {
        let nodes = replicas(&[1, 2, 3, 4, 5, 6]);
        let mut absence = Absence::new(2, None);
        for (far_end, some) in FAR_ENDS.iter().zip(nodes.chunks(2)) {
            absence.hear(*far_end, some, &answers(some, Some(Response::NotFound)));
        }
        assert!(!absence.is_shown());
    }
}
