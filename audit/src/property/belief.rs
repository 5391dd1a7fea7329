//! Which nodes a roster believes in: those that were there before, by the word of more than one operator.

use std::collections::BTreeMap;

use anon::{
    certificate::NodeCertificate,
    id::NodeId,
    keys::{IdentitySecret, SigningSecret as _},
    network::Epoch,
    position::{Distance, Key},
    roster::{Operator, Roster, Source},
};
use clap::ValueEnum;
use rand::{RngExt as _, rngs::StdRng};

use super::{
    family::{Check, Family, Seen, Tried},
    world::{Node, nodes},
};

/// How a member comes to believe in nodes.
pub(super) trait Believing {
    /// A roster with nothing in it.
    fn book(&self) -> Box<dyn Book>;
}

/// A member's roster.
pub(super) trait Book {
    /// Hears of a node.
    fn learn(&mut self, node: &NodeCertificate, source: Source, now: Epoch);
    /// The node that is chosen for a key.
    fn chosen(&self, key: &Key, now: Epoch) -> Option<NodeId>;
}

/// The project's own.
struct Real;

impl Believing for Real {
    fn book(&self) -> Box<dyn Book> {
        Box::new(Roster::default())
    }
}

impl Book for Roster {
    fn learn(&mut self, node: &NodeCertificate, source: Source, now: Epoch) {
        Self::learn(self, node.clone(), source, now);
    }

    fn chosen(&self, key: &Key, now: Epoch) -> Option<NodeId> {
        self.closest(key, 1, now).first().map(NodeCertificate::node)
    }
}

/// What a member does not ask before it believes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Credulous {
    /// A node counts as soon as it is heard of, so that it can be made to fit a key that is already known.
    #[value(name = "draw over what is known now")]
    Age,
    /// One hostile member can fill a roster with nodes of its own.
    #[value(name = "roster that believes one source")]
    OneSource,
    /// One operator under two names counts as two sources.
    #[value(name = "roster that counts names")]
    OneOperator,
}

struct Entry {
    since: Epoch,
    sources: Vec<Source>,
}

struct CredulousBook {
    credulous: Credulous,
    entries: BTreeMap<NodeId, Entry>,
}

impl Believing for Credulous {
    fn book(&self) -> Box<dyn Book> {
        Box::new(CredulousBook { credulous: *self, entries: BTreeMap::new() })
    }
}

impl Book for CredulousBook {
    fn learn(&mut self, node: &NodeCertificate, source: Source, now: Epoch) {
        let fresh = || Entry { since: now, sources: Vec::new() };
        let entry = self.entries.entry(node.node()).or_insert_with(fresh);
        let independent = |known: &Source| match (self.credulous, known, &source) {
            (Credulous::OneOperator, known, new) => known != new,
            (_, Source::Member(known), Source::Member(new)) => !known.overlaps(new),
            (_, known, new) => known != new,
        };
        if entry.sources.iter().all(independent) {
            entry.sources.push(source);
        }
    }

    fn chosen(&self, key: &Key, now: Epoch) -> Option<NodeId> {
        let believed = |entry: &Entry| {
            (self.credulous == Credulous::Age || entry.since < now)
                && (self.credulous == Credulous::OneSource || entry.sources.len() >= 2)
        };
        let nodes = self.entries.iter().filter(|(_, entry)| believed(entry)).map(|(node, _)| *node);
        nodes.min_by_key(|node| distance(node, key))
    }
}

fn distance(node: &NodeId, key: &Key) -> Distance {
    node.position().distance(&key.position())
}

/// When honest nodes became known, when keys are sampled, and the epoch after.
const BEFORE: Epoch = Epoch(6);
const TODAY: Epoch = Epoch(8);
const AFTER: Epoch = Epoch(10);
const TRIALS: usize = 60;

/// Honest nodes, two members of different operators that know all of them, and a roster filled by these.
struct Ground {
    honest: Vec<Node>,
    members: [Operator; 2],
    book: Box<dyn Book>,
}

impl Ground {
    fn new(believing: &dyn Believing, rng: &mut StdRng) -> Option<Self> {
        let honest = nodes(24, rng)?;
        let [first, second, ..] = &honest[..] else { return None };
        let members = [Operator::of(&first.certificate), Operator::of(&second.certificate)];
        let mut book = believing.book();
        for node in &honest {
            for member in &members {
                book.learn(&node.certificate, Source::Member(member.clone()), BEFORE);
            }
        }
        Some(Self { honest, members, book })
    }

    /// The honest node closest to a key.
    fn closest(&self, key: &Key) -> Option<NodeId> {
        self.honest.iter().map(Node::id).min_by_key(|node| distance(node, key))
    }

    /// A node that is closer to the key than every honest one, found by trying.
    fn grind(&self, key: &Key, rng: &mut StdRng) -> Option<Node> {
        let closest = distance(&self.closest(key)?, key);
        loop {
            let identity = IdentitySecret::generate(rng);
            if distance(&NodeId(identity.verify_key().0), key) < closest {
                return Node::of(identity, "", vec!["/ip4/10.250.0.1/tcp/1".to_owned()], rng);
            }
        }
    }
}

/// Makes a node next to each key that was sampled, and lets everybody endorse it.
fn grinding(believing: &(dyn Believing + 'static), rng: &mut StdRng) -> Seen {
    let mut ground = Ground::new(believing, rng)?;
    let (mut minted, mut chosen) = (0, 0);
    for _ in 0..TRIALS {
        let key = Key(rng.random());
        if minted == 0 && ground.book.chosen(&key, TODAY) != ground.closest(&key) {
            return None;
        }
        let bogus = ground.grind(&key, rng)?;
        for source in
            ground.members.clone().map(Source::Member).into_iter().chain([Source::Contact])
        {
            ground.book.learn(&bogus.certificate, source, TODAY);
        }
        minted += 1;
        chosen += usize::from(ground.book.chosen(&key, TODAY) == Some(bogus.id()));
    }
    let seen = format!(
        "{minted} nodes made next to a key that was sampled, all endorsed: {chosen} chosen"
    );
    Some((chosen == 0, seen))
}

/// Makes nodes long before, which one operator endorses under many names and from many addresses.
fn two_sources(believing: &(dyn Believing + 'static), rng: &mut StdRng) -> Seen {
    let mut ground = Ground::new(believing, rng)?;
    // A node that two operators endorse is believed in: otherwise no node could ever be new.
    let key = Key(rng.random());
    let honest = ground.grind(&key, rng)?;
    for member in ground.members.clone() {
        ground.book.learn(&honest.certificate, Source::Member(member), TODAY);
    }
    if ground.book.chosen(&key, AFTER) != Some(honest.id()) {
        return None;
    }
    ground.honest.push(honest);
    let masks = |family: &str, address: &str, rng: &mut StdRng| {
        let mask = Node::of(IdentitySecret::generate(rng), family, vec![address.to_owned()], rng)?;
        Some(Operator::of(&mask.certificate))
    };
    // One family in several networks, and several families in one network.
    let mut wide = Vec::new();
    let mut many = Vec::new();
    for number in 1..=4 {
        wide.push(masks("hostile", &format!("/ip4/10.{}.0.1/tcp/1", 200 + number), rng)?);
        many.push(masks(&format!("mask {number}"), "/ip4/10.240.0.1/tcp/1", rng)?);
    }
    let (mut minted, mut chosen, mut displaced) = (0, 0, 0);
    for trial in 0..TRIALS {
        let key = Key(rng.random());
        let bogus = ground.grind(&key, rng)?;
        let names = if trial % 2 == 0 { &wide } else { &many };
        for name in names {
            ground.book.learn(&bogus.certificate, Source::Member(name.clone()), TODAY);
        }
        minted += 1;
        let found = ground.book.chosen(&key, AFTER);
        chosen += usize::from(found == Some(bogus.id()));
        displaced += usize::from(found != ground.closest(&key));
    }
    let seen = format!(
        "{minted} nodes that one operator endorses under four names: {chosen} chosen, {displaced} honest nodes lost their place"
    );
    Some((chosen == 0 && displaced == 0, seen))
}

/// Rosters, and mutants of them.
pub(super) fn family() -> Box<dyn Tried> {
    Box::new(Family::<dyn Believing, Credulous> {
        checks: vec![
            Check { name: "property.grinding", attack: grinding },
            Check { name: "property.two-sources", attack: two_sources },
        ],
        real: Box::new(Real),
        mutant: |credulous| Box::new(credulous),
        attack: |credulous| match credulous {
            Credulous::Age => "2. Grinding",
            Credulous::OneSource => "14. Eclipse by Sybils",
            Credulous::OneOperator => "4. Two liars",
        },
    })
}
