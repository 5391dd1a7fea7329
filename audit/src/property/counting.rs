//! Which receipts count: a mail is sent only when enough different storage nodes of the agreed set have signed.

use std::collections::BTreeSet;

use anon::{
    id::NodeId,
    position::Key,
    receipt::{Expected, Receipt, ReceiptClaims, ReceiptKind, Tally},
    verification::ReplicaSet,
};
use clap::ValueEnum;
use rand::{RngExt as _, rngs::StdRng};

use super::{
    family::{Check, Family, Seen, Tried},
    world::{NOW, Node, network, network_named, nodes},
};

/// How receipts are counted.
pub(super) trait Counting {
    /// How many of these count towards the quorum of this operation at this set.
    fn counted(&self, expected: &Expected, set: &ReplicaSet, receipts: Vec<Receipt>) -> usize;
}

/// The project's own count.
struct Real;

impl Counting for Real {
    fn counted(&self, expected: &Expected, set: &ReplicaSet, receipts: Vec<Receipt>) -> usize {
        let mut tally = Tally::new(expected.clone());
        for receipt in receipts {
            // Why one does not count is of no matter here.
            let _ = tally.count(set, receipt);
        }
        tally.len()
    }
}

/// What a count does not look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Blind {
    /// One node's receipt, copied, makes up for those of all others.
    #[value(name = "count of copies")]
    Copies,
    /// Anybody's receipt counts, so that a go-between can sign for storage that nobody will find.
    #[value(name = "count without the set")]
    Set,
    /// A receipt for something else counts, so that the mail itself may never have been kept.
    #[value(name = "count without the digest")]
    Digest,
    /// A receipt counts whoever wrote it.
    #[value(name = "count without signatures")]
    Signature,
    /// A receipt counts though the node will drop the mail before anybody can read it.
    #[value(name = "count without expiry")]
    Expiry,
    /// A receipt from an earlier time counts, though the node may have deleted the mail since.
    #[value(name = "count without the nonce")]
    Nonce,
}

impl Counting for Blind {
    fn counted(&self, expected: &Expected, set: &ReplicaSet, receipts: Vec<Receipt>) -> usize {
        let good = |receipt: &&Receipt| {
            let mut claims = receipt.claims.clone();
            match self {
                Self::Digest => claims.digest = expected.digest,
                Self::Expiry => claims.expiry = expected.keep_until,
                Self::Nonce => claims.nonce = expected.nonce,
                Self::Copies | Self::Set | Self::Signature => {}
            }
            (*self == Self::Set || set.contains(&claims.node))
                && expected.fits(&claims).is_ok()
                && (*self == Self::Signature || receipt.verify(&expected.network).is_ok())
        };
        let good: Vec<NodeId> = receipts.iter().filter(good).map(|r| r.claims.node).collect();
        let different: BTreeSet<&NodeId> = good.iter().collect();
        if *self == Self::Copies { good.len() } else { different.len() }
    }
}

/// What is wrong with claims that an honest node would not sign.
const WRONG: [fn(&mut ReceiptClaims, [u8; 16]); 6] = [
    |claims, _| claims.kind = ReceiptKind::Appended,
    |claims, r| claims.key = Key([r[0]; 32]),
    |claims, r| claims.digest = [r[1]; 32],
    |claims, _| claims.size += 1,
    |claims, r| claims.nonce = r,
    |claims, _| claims.expiry = claims.expiry.before(1),
];

/// What this node signs if all is well.
fn honest(expected: &Expected, node: &Node) -> ReceiptClaims {
    ReceiptClaims {
        network: expected.network,
        kind: expected.kind,
        key: expected.key,
        digest: expected.digest,
        size: expected.size,
        expiry: expected.keep_until,
        node: node.id(),
        nonce: expected.nonce,
    }
}

/// Offers what should not count beside one that does.
fn receipts(counting: &(dyn Counting + 'static), rng: &mut StdRng) -> Seen {
    let nodes = nodes(4, rng)?;
    let (strangers, key) = (nodes_beyond(rng)?, Key(rng.random()));
    let list = || nodes.iter().map(|node| node.certificate.clone()).collect::<Vec<_>>();
    let set = ReplicaSet::agree(key, list(), list()).ok()?;
    let expected = Expected {
        network: network().id,
        kind: ReceiptKind::Stored,
        key,
        digest: rng.random(),
        size: 300,
        nonce: rng.random(),
        keep_until: NOW.after(86_400),
    };
    let honest = |node: &Node| honest(&expected, node);
    let issue = |node: &Node| Receipt::issue(&node.identity, honest(node));
    if counting.counted(&expected, &set, nodes.iter().map(issue).collect()) != nodes.len() {
        return None;
    }
    let elsewhere = network_named("elsewhere.alt").id;
    let first = nodes.first()?;
    let (mut offered, mut counted) = (0, 0);
    let mut offer = |receipts: Vec<Receipt>| {
        offered += receipts.len();
        let all = [vec![issue(first)], receipts].concat();
        counted += counting.counted(&expected, &set, all).saturating_sub(1);
    };
    // Copies, and the same node again with another expiry.
    offer((0..20).map(|_| issue(first)).collect());
    let later = |more| ReceiptClaims { expiry: expected.keep_until.after(more), ..honest(first) };
    offer((0..20).map(|more| Receipt::issue(&first.identity, later(more))).collect());
    offer(strangers.iter().map(issue).collect());
    for change in WRONG {
        let others = nodes.iter().skip(1);
        let changed = others.map(|node| {
            let mut claims = honest(node);
            change(&mut claims, rng.random());
            Receipt::issue(&node.identity, claims)
        });
        offer(changed.collect());
    }
    // Signed by a stranger in a member's name, for another network, and with a bit changed.
    let forged = nodes.iter().skip(1).zip(&strangers).flat_map(|(node, stranger)| {
        let mut bent = issue(node);
        if let Some(byte) = bent.signature.0.get_mut(rng.random_range(0..64_usize)) {
            *byte ^= 1;
        }
        let there = ReceiptClaims { network: elsewhere, ..honest(node) };
        [
            Receipt::issue(&stranger.identity, honest(node)),
            Receipt::issue(&node.identity, there),
            bent,
        ]
    });
    offer(forged.collect());
    let seen = format!("{offered} receipts that should not count: {counted} counted");
    Some((counted == 0, seen))
}

/// Honest nodes that are not in the set.
fn nodes_beyond(rng: &mut StdRng) -> Option<Vec<Node>> {
    (100..110).map(|number| Node::new(number, rng)).collect()
}

/// Counts, and mutants of them.
pub(super) fn family() -> Box<dyn Tried> {
    Box::new(Family::<dyn Counting, Blind> {
        checks: vec![Check { name: "property.receipts", attack: receipts }],
        real: Box::new(Real),
        mutant: |blind| Box::new(blind),
        attack: |_| "Bad inputs: receipts",
    })
}
