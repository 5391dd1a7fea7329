//! The door of an inbox: who proves to be its owner may read, once, at this node, at about this time.

use anon::{
    authorization::{InboxOperation, InboxProof},
    certificate::UnverifiedAddressCertificate,
    id::NodeId,
    keys::Signature,
    network::Network,
    position::Key,
    request::InboxQuery,
    time::{MAX_SKEW, Time},
    wire,
};
use clap::ValueEnum;
use node::ReplayCache;
use rand::{RngExt as _, rngs::StdRng};
use serde::{Deserialize, Serialize};

use super::{
    family::{Check, Family, Seen, Tried},
    world::{NOW, Node, Owner, network},
};

/// How inboxes are guarded.
pub(super) trait Guarding {
    /// Whose inbox is opened at a door. `None`: nobody's.
    fn opens(&self, door: &mut Door, proof: &InboxProof, attempt: Attempt<'_>) -> Option<Key>;
}

/// What somebody wants, and when.
type Attempt<'a> = (InboxOperation<'a>, Time);

/// A node's door.
pub(super) struct Door {
    network: Network,
    node: NodeId,
    nonces: ReplayCache<[u8; 16]>,
}

/// Proofs remembered.
const MEMORY: usize = 1_024;

impl Door {
    fn of(node: NodeId) -> Self {
        Self { network: network(), node, nonces: ReplayCache::new(MEMORY) }
    }
}

/// The project's own: a proof is verified, and its nonce remembered.
struct Real;

impl Guarding for Real {
    fn opens(&self, door: &mut Door, proof: &InboxProof, attempt: Attempt<'_>) -> Option<Key> {
        let (operation, now) = attempt;
        let owner = proof.verify(&door.network, operation, door.node, now).ok()?;
        door.nonces.insert(owner.nonce).then(|| owner.certificate.address().inbox())
    }
}

/// What a door does not look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Blind {
    /// A proof that was made for one node opens the inbox at all of them, also for the node that was shown it.
    #[value(name = "proof without the node")]
    Node,
    /// A proof that was copied once opens the inbox for ever.
    #[value(name = "proof without the time")]
    Time,
    /// A proof that was copied on its way opens the inbox a second time.
    #[value(name = "no memory of proofs")]
    Repetition,
    /// Whoever has the owner's certificate, which is public, reads the inbox.
    #[value(name = "proof without a signature")]
    Signature,
    /// A permission to read is taken for one to delete.
    #[value(name = "reading proof that deletes")]
    Operation,
}

/// A proof as it travels.
#[derive(Serialize, Deserialize)]
struct BareProof {
    certificate: UnverifiedAddressCertificate,
    node: NodeId,
    time: Time,
    nonce: [u8; 16],
    signature: Signature,
}

impl Guarding for Blind {
    fn opens(&self, door: &mut Door, proof: &InboxProof, attempt: Attempt<'_>) -> Option<Key> {
        let (operation, now) = attempt;
        let bare: BareProof = wire::decode(&wire::encode(proof), usize::MAX).ok()?;
        match self {
            Self::Node => {
                door.node = bare.node;
                Real.opens(door, proof, attempt)
            }
            Self::Time => Real.opens(door, proof, (operation, bare.time)),
            Self::Repetition => {
                door.nonces = ReplayCache::new(MEMORY);
                Real.opens(door, proof, attempt)
            }
            Self::Signature => {
                let here = bare.node == door.node && bare.time.is_close_to(now);
                let certificate = bare.certificate.verify(&door.network, now).ok()?;
                let new = door.nonces.insert(bare.nonce);
                (here && new).then(|| certificate.address().inbox())
            }
            Self::Operation => Real.opens(door, proof, attempt).or_else(|| {
                let reading = InboxOperation::Read(&InboxQuery::FROM_THE_OLDEST);
                Real.opens(door, proof, (reading, now))
            }),
        }
    }
}

/// Everything that is tried at one door.
struct Attempts<'a> {
    guarding: &'a (dyn Guarding + 'static),
    here: NodeId,
    tried: usize,
    opened: usize,
}

impl Attempts<'_> {
    /// Comes to a fresh door with a proof, and again with the same.
    fn comes(&mut self, proof: &InboxProof, operation: InboxOperation<'_>, at: Time) {
        let opened = self.guarding.opens(&mut Door::of(self.here), proof, (operation, at));
        self.tried += 1;
        self.opened += usize::from(opened.is_some());
    }
}

fn ownership(guarding: &(dyn Guarding + 'static), rng: &mut StdRng) -> Seen {
    let (here, elsewhere) = (Node::new(1, rng)?.id(), Node::new(2, rng)?.id());
    let (bob, mallory) = (Owner::named("bob", rng)?, Owner::named("mallory", rng)?);
    let digests: [[u8; 32]; 2] = [rng.random(), rng.random()];
    let acknowledge = InboxOperation::Acknowledge(&digests);
    let list = InboxOperation::Read(&InboxQuery::FROM_THE_OLDEST);
    let inbox = bob.certificate.address().inbox();
    let mut attempts = Attempts { guarding, here, tried: 0, opened: 0 };
    for _ in 0..8 {
        let mut sign = |owner: &Owner, operation, node, time| {
            let (secret, certificate) = (&owner.secret, &bob.certificate);
            InboxProof::sign(secret, certificate, operation, node, time, rng.random())
        };
        for operation in [list, acknowledge] {
            let proof = sign(&bob, operation, here, NOW);
            let mut door = Door::of(here);
            if guarding.opens(&mut door, &proof, (operation, NOW)) != Some(inbox) {
                return None;
            }
            // The same again: at once, and at the last moment at which it counts.
            for again in [NOW, NOW.after(MAX_SKEW)] {
                attempts.tried += 1;
                let opened = guarding.opens(&mut door, &proof, (operation, again));
                attempts.opened += usize::from(opened.is_some());
            }
            attempts.comes(&sign(&bob, operation, elsewhere, NOW), operation, NOW);
            for late in [NOW.after(MAX_SKEW + 1), NOW.before(MAX_SKEW + 1), NOW.after(3_600)] {
                attempts.comes(&proof, operation, late);
            }
            // Bob's certificate, and somebody else's signature.
            attempts.comes(&sign(&mallory, operation, here, NOW), operation, NOW);
        }
        // A proof for reading is none for deleting, nor one for other notifications.
        attempts.comes(&sign(&bob, list, here, NOW), acknowledge, NOW);
        // Nor is one for a page one for another page.
        let page = InboxQuery::List { from: 126, count: 126 };
        attempts.comes(&sign(&bob, list, here, NOW), InboxOperation::Read(&page), NOW);
        attempts.comes(&sign(&bob, acknowledge, here, NOW), InboxOperation::Acknowledge(&[]), NOW);
    }
    let Attempts { tried, opened, .. } = attempts;
    let seen = format!(
        "{tried} proofs repeated, for another node, time or operation, or by another user: {opened} opened the inbox"
    );
    Some((opened == 0, seen))
}

/// Doors, and mutants of them.
pub(super) fn family() -> Box<dyn Tried> {
    Box::new(Family::<dyn Guarding, Blind> {
        checks: vec![Check { name: "property.ownership", attack: ownership }],
        real: Box::new(Real),
        mutant: |blind| Box::new(blind),
        attack: |_| "Bad inputs: inbox reads and deletes",
    })
}
