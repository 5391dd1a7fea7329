//! When an address counts as absent: never from silence, a refusal or one voice.
//!
//! What an anonymizer brings back is its own word, signed by nobody. So the same quorum of replicas must have said "not
//! found" to [`VOICES`] anonymizers, each sampled by itself; where the agent knows the replicas, of those. A certificate is
//! kept by a quorum, and two quorums have a node in common, so that an honest one among these replicas would have had it.
//! That all [`VOICES`] anonymizers lie remains possible (THREATMODEL, L-35); the mail waits all the same.

use std::collections::{BTreeMap, BTreeSet};

use anon::{
    certificate::{NodeCertificate, UnverifiedAddressCertificate},
    id::NodeId,
    request::{Answer, Response},
};

/// Anonymizers that must agree.
pub(super) const VOICES: usize = 3;
/// The most anonymizers that are asked for one address in one attempt.
pub(super) const MOST_ASKED: usize = 5;
/// The most channels that are opened for that: where samples fall on the same anonymizers some are for nothing.
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

/// What the anonymizers that were asked so far make of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// It has no certificate: enough anonymizers agree on a quorum.
    Shown,
    /// Nothing yet: another anonymizer is to be asked.
    AskOn,
    /// Nothing, and as many were asked as may be.
    Unclear,
}

/// What anonymizers said of replicas that have no certificate.
pub(super) struct Absence {
    quorum: usize,
    replicas: Option<BTreeSet<NodeId>>,
    /// The anonymizers that say so, by replica.
    said: BTreeMap<NodeId, BTreeSet<NodeId>>,
    asked: BTreeSet<NodeId>,
}

impl Absence {
    /// Nothing was said yet. `replicas`: those that hold the certificate if anybody does, where the agent knows them.
    pub(super) fn new(quorum: usize, replicas: Option<Vec<NodeCertificate>>) -> Self {
        let replicas = replicas.map(|nodes| nodes.iter().map(NodeCertificate::node).collect());
        Self { quorum, replicas, said: BTreeMap::new(), asked: BTreeSet::new() }
    }

    /// Takes in what an anonymizer brought back from the nodes that it says it asked, and no valid certificate among it.
    pub(super) fn hear(
        &mut self,
        anonymizer: NodeId,
        nodes: &[NodeCertificate],
        answers: &[Answer],
    ) -> Finding {
        self.asked.insert(anonymizer);
        for answer in answers {
            let is_asked = nodes.iter().any(|node| node.node() == answer.node);
            let counts = self.replicas.as_ref().is_none_or(|own| own.contains(&answer.node));
            if is_asked && counts && says_none(answer) {
                self.said.entry(answer.node).or_default().insert(anonymizer);
            }
        }
        let agreed = self.said.values().filter(|anonymizers| anonymizers.len() >= VOICES);
        if agreed.count() >= self.quorum {
            Finding::Shown
        } else if self.asked.len() < MOST_ASKED {
            Finding::AskOn
        } else {
            Finding::Unclear
        }
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

    const ANONYMIZERS: [NodeId; MOST_ASKED] =
        [NodeId([1; 32]), NodeId([2; 32]), NodeId([3; 32]), NodeId([4; 32]), NodeId([5; 32])];

    /// What is found after each anonymizer but the last one says nothing, and what after that one.
    const NOTHING: [Finding; MOST_ASKED] =
        [Finding::AskOn, Finding::AskOn, Finding::AskOn, Finding::AskOn, Finding::Unclear];

    #[test]
    fn three_anonymizers_and_a_quorum_of_replicas_make_an_absence() {
        let nodes = replicas(&[1, 2, 3]);
        let not_found = answers(&nodes, Some(Response::NotFound));
        for own in [None, Some(nodes.clone())] {
            let mut absence = Absence::new(2, own);
            for anonymizer in [0, 1, 0, 1, 0, 1, 0, 1] {
                let found = absence.hear(ANONYMIZERS[anonymizer], &nodes, &not_found);
                assert_eq!(found, Finding::AskOn, "two voices, however often");
            }
            // One replica is dead; two are a quorum.
            assert_eq!(absence.hear(ANONYMIZERS[2], &nodes, &not_found[..2]), Finding::Shown);
        }
    }

    #[test]
    fn silence_refusals_and_others_answers_say_nothing() {
        let nodes = replicas(&[1, 2, 3]);
        let mut absence = Absence::new(2, Some(nodes.clone()));
        let others = replicas(&[4, 5, 6]);
        for (anonymizer, nothing_found) in ANONYMIZERS.into_iter().zip(NOTHING) {
            let mut hear = |nodes: &[NodeCertificate], answers: &[Answer]| {
                assert_eq!(absence.hear(anonymizer, nodes, answers), nothing_found, "{answers:?}");
            };
            let junk = Some(Response::Object(vec![7; 64]));
            for nothing in [None, Some(Response::Refused), Some(Response::Full), junk] {
                hear(&nodes, &answers(&nodes, nothing));
            }
            hear(&nodes, &answers(&nodes[..1], Some(Response::NotFound)));
            // Nodes that hold nothing of it by the agent's own roster, and answers of nodes that were not asked.
            hear(&others, &answers(&others, Some(Response::NotFound)));
            hear(&others, &answers(&nodes, Some(Response::NotFound)));
        }
    }

    #[test]
    fn anonymizers_that_name_different_replicas_do_not_agree() {
        let nodes = replicas(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        let mut absence = Absence::new(2, None);
        let found = ANONYMIZERS.iter().zip(nodes.chunks(2)).map(|(anonymizer, some)| {
            absence.hear(*anonymizer, some, &answers(some, Some(Response::NotFound)))
        });
        assert_eq!(found.collect::<Vec<_>>(), NOTHING);
    }
}
