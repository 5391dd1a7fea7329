//! Whether two answers are compared: nobody's word alone names the anonymizer, or the storage nodes.

use anon::{
    certificate::NodeCertificate,
    id::NodeId,
    position::Key,
    verification::{ReplicaSet, cross_verify},
};
use clap::ValueEnum;
use rand::{RngExt as _, rngs::StdRng};

use super::{
    family::{Check, Family, Seen, Tried},
    world::{Node, nodes},
};

/// How two answers are compared.
pub(super) trait Comparing {
    /// The anonymizer that a go-between and a witness name.
    fn anonymizer(&self, named: [&NodeCertificate; 2]) -> Option<NodeId>;
    /// The storage nodes that an anonymizer and a verifier list.
    fn replicas(&self, key: Key, lists: [&[NodeCertificate]; 2]) -> Option<Vec<NodeId>>;
}

/// The project's own comparison.
struct Real;

impl Comparing for Real {
    fn anonymizer(&self, [go_between, witness]: [&NodeCertificate; 2]) -> Option<NodeId> {
        let verified = cross_verify(go_between.clone(), witness.clone()).ok()?;
        Some(verified.node())
    }

    fn replicas(&self, key: Key, lists: [&[NodeCertificate]; 2]) -> Option<Vec<NodeId>> {
        let [anonymizer, verifier] = lists;
        let set = ReplicaSet::agree(key, anonymizer.to_vec(), verifier.to_vec()).ok()?;
        Some(set.nodes().iter().map(NodeCertificate::node).collect())
    }
}

/// Whose word is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Trusting {
    /// The go-between alone says who the anonymizer is, and names an accomplice.
    #[value(name = "go-between believed without a witness")]
    GoBetween,
    /// The anonymizer alone says where the mail is to be stored, and names accomplices.
    #[value(name = "anonymizer believed without a verifier")]
    Anonymizer,
    /// Nodes that only one of two lists are taken as well, so that either can bring in its own.
    #[value(name = "both lists put together")]
    Union,
}

impl Comparing for Trusting {
    fn anonymizer(&self, [go_between, witness]: [&NodeCertificate; 2]) -> Option<NodeId> {
        match self {
            Self::GoBetween => Some(go_between.node()),
            Self::Anonymizer | Self::Union => Real.anonymizer([go_between, witness]),
        }
    }

    fn replicas(&self, key: Key, lists: [&[NodeCertificate]; 2]) -> Option<Vec<NodeId>> {
        let [anonymizer, verifier] = lists;
        let mut union = anonymizer.to_vec();
        union.extend(verifier.iter().filter(|n| !anonymizer.contains(n)).cloned());
        match self {
            Self::GoBetween => Real.replicas(key, lists),
            Self::Anonymizer => Real.replicas(key, [anonymizer; 2]),
            Self::Union => Real.replicas(key, [&union; 2]),
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
        if comparing.anonymizer([true_one; 2]) != Some(true_one.node()) {
            return None;
        }
        for (go_between, witness) in [(accomplice, true_one), (true_one, accomplice)] {
            lies += 1;
            let named = comparing.anonymizer([go_between, witness]);
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
        if comparing.replicas(key, [&true_list; 2])?.len() != true_list.len() {
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
                let found = comparing.replicas(key, [anonymizer, verifier]);
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
pub(super) fn family() -> Box<dyn Tried> {
    Box::new(Family::<dyn Comparing, Trusting> {
        checks: vec![
            Check { name: "property.witness", attack: witness },
            Check { name: "property.replica-lists", attack: replica_lists },
        ],
        real: Box::new(Real),
        mutant: |trusting| Box::new(trusting),
        attack: |_| "4. Two liars (one is enough)",
    })
}
