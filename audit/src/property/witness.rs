//! Whether two answers are compared: nobody's word alone names the anonymizer, or the storage nodes.

use anon::{
    certificate::NodeCertificate,
    id::NodeId,
    position::Key,
    verification::{ReplicaSet, cross_verify},
};
use rand::{RngExt as _, rngs::StdRng};

use super::{
    family::{Check, Family, Mutant, Seen},
    world::{Node, nodes},
};

/// How two answers are compared.
pub(super) trait Comparing {
    /// The anonymizer that a go-between and a witness name.
    fn anonymizer(&self, go_between: &NodeCertificate, witness: &NodeCertificate)
    -> Option<NodeId>;
    /// The storage nodes that an anonymizer and a verifier list.
    fn replicas(
        &self,
        key: Key,
        anonymizer: &[NodeCertificate],
        verifier: &[NodeCertificate],
    ) -> Option<Vec<NodeId>>;
}

/// The project's own comparison.
struct Real;

impl Comparing for Real {
    fn anonymizer(
        &self,
        go_between: &NodeCertificate,
        witness: &NodeCertificate,
    ) -> Option<NodeId> {
        let verified = cross_verify(go_between.clone(), witness.clone()).ok()?;
        Some(verified.certificate().node())
    }

    fn replicas(
        &self,
        key: Key,
        anonymizer: &[NodeCertificate],
        verifier: &[NodeCertificate],
    ) -> Option<Vec<NodeId>> {
        let set = ReplicaSet::agree(key, anonymizer.to_vec(), verifier.to_vec()).ok()?;
        Some(set.nodes().iter().map(NodeCertificate::node).collect())
    }
}

/// Whose word is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trusting {
    GoBetween,
    Anonymizer,
    /// Nodes that either lists.
    Union,
}

impl Comparing for Trusting {
    fn anonymizer(
        &self,
        go_between: &NodeCertificate,
        witness: &NodeCertificate,
    ) -> Option<NodeId> {
        match self {
            Self::GoBetween => Some(go_between.node()),
            Self::Anonymizer | Self::Union => Real.anonymizer(go_between, witness),
        }
    }

    fn replicas(
        &self,
        key: Key,
        anonymizer: &[NodeCertificate],
        verifier: &[NodeCertificate],
    ) -> Option<Vec<NodeId>> {
        let mut union = anonymizer.to_vec();
        union.extend(verifier.iter().filter(|n| !anonymizer.contains(n)).cloned());
        match self {
            Self::GoBetween => Real.replicas(key, anonymizer, verifier),
            Self::Anonymizer => Real.replicas(key, anonymizer, anonymizer),
            Self::Union => Real.replicas(key, &union, &union),
        }
    }
}

const TRIALS: usize = 100;

fn witness(comparing: &(dyn Comparing + 'static), rng: &mut StdRng) -> Seen {
    let (honest, hostile) = (nodes(10, rng)?, nodes(10, rng)?);
    let (mut lies, mut believed) = (0, 0);
    for _ in 0..TRIALS {
        let (true_one, accomplice) = (pick(&honest, rng)?, pick(&hostile, rng)?);
        let (true_one, accomplice) = (&true_one.certificate, &accomplice.certificate);
        if comparing.anonymizer(true_one, true_one) != Some(true_one.node()) {
            return None;
        }
        for (go_between, witness) in [(accomplice, true_one), (true_one, accomplice)] {
            lies += 1;
            let named = comparing.anonymizer(go_between, witness);
            believed += usize::from(named == Some(accomplice.node()));
        }
    }
    let seen = format!(
        "{lies} times one of two named an accomplice as the anonymizer: {believed} believed"
    );
    Some((believed == 0, seen))
}

fn replica_lists(comparing: &(dyn Comparing + 'static), rng: &mut StdRng) -> Seen {
    let (honest, hostile) = (nodes(8, rng)?, nodes(8, rng)?);
    let list = |nodes: &[Node]| nodes.iter().map(|n| n.certificate.clone()).collect::<Vec<_>>();
    let (true_list, other) = (list(&honest), list(&hostile));
    let (mut lies, mut believed) = (0, 0);
    for _ in 0..TRIALS {
        let key = Key(rng.random());
        if comparing.replicas(key, &true_list, &true_list)?.len() != true_list.len() {
            return None;
        }
        let cut = rng.random_range(0..true_list.len());
        let (kept, left_out) = true_list.split_at(cut);
        let replaced = [kept, other.get(cut..)?].concat();
        let swelled = [&true_list[..], other.get(..1)?].concat();
        let mut liars = vec![replaced, swelled];
        if !left_out.is_empty() && !kept.is_empty() {
            liars.push(kept.to_vec());
        }
        for lie in &liars {
            for (anonymizer, verifier) in [(lie, &true_list), (&true_list, lie)] {
                lies += 1;
                let found = comparing.replicas(key, anonymizer, verifier);
                believed += usize::from(found.is_some());
            }
        }
    }
    let seen = format!(
        "{lies} lists with nodes replaced, added or left out by one of two: {believed} taken"
    );
    Some((believed == 0, seen))
}

fn pick<'a>(nodes: &'a [Node], rng: &mut StdRng) -> Option<&'a Node> {
    nodes.get(rng.random_range(0..nodes.len()))
}

/// Comparisons, and mutants of them.
pub(super) fn family() -> Family<dyn Comparing> {
    let mutant = |name, weakness, attack, trusting: Trusting| Mutant {
        name,
        weakness,
        attack,
        subject: Box::new(trusting) as Box<dyn Comparing>,
    };
    Family {
        checks: vec![
            Check { name: "property.witness", attack: witness },
            Check { name: "property.replica-lists", attack: replica_lists },
        ],
        real: Box::new(Real),
        mutants: vec![
            mutant(
                "go-between believed without a witness",
                "The go-between alone says who the anonymizer is, and names an accomplice.",
                "4. Two liars (one is enough)",
                Trusting::GoBetween,
            ),
            mutant(
                "anonymizer believed without a verifier",
                "The anonymizer alone says where the mail is to be stored, and names accomplices.",
                "4. Two liars (one is enough)",
                Trusting::Anonymizer,
            ),
            mutant(
                "both lists put together",
                "Nodes that only one of two lists are taken as well, so that either can bring in its own.",
                "4. Two liars (one is enough)",
                Trusting::Union,
            ),
        ],
    }
}
