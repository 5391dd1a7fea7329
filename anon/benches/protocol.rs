//! What the protocol costs without any I/O: handshakes, cells, layers, receipts, notifications, certificates.

#![allow(clippy::expect_used, reason = "a benchmark stops at the first surprise")]

#[path = "../tests/support/world.rs"]
mod world;

use std::{hint::black_box, time::Duration};

use anon::{
    cell::{CELL, Cell},
    channel::{Extension, GoBetween, LastHop, Opening, SenderChannel},
    create::MAX_HOPS,
    handshake::{Initiator, respond},
    labels,
    mail::{DeleteSeed, Headers, open_notification, seal_body, seal_notification},
    position::Key,
    receipt::{Receipt, ReceiptClaims, ReceiptKind},
    request::{MAX_OBJECT, ObjectKind, Request, Store},
    secretbox,
};
use criterion::{BatchSize, Criterion, Throughput};
use rand::rngs::StdRng;
use world::{NOW, Node, Owner, network, rng};

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1_200))
        .sample_size(30)
        .without_plots()
        .configure_from_args();
    handshakes(&mut criterion);
    cells(&mut criterion);
    signatures(&mut criterion);
    notifications(&mut criterion);
    criterion.final_summary();
}

/// A lookup as it rides along with every first message.
fn early() -> Request {
    Request::Lookup { key: Key([9; 32]), count: 8 }
}

fn handshakes(criterion: &mut Criterion) {
    let mut rng = rng(1);
    let (node, early) = (Node::new(1), early());
    let (_, create) = Initiator::start(&node.hop(), Some(&early), &mut rng).expect("starts");
    let mut group = criterion.benchmark_group("handshake");
    group.bench_function("initiator start", |b| {
        b.iter(|| Initiator::start(&node.hop(), Some(&early), &mut rng).expect("starts"));
    });
    group.bench_function("responder", |b| {
        b.iter(|| respond(black_box(&create), &node.responder(), &mut rng).expect("answers"));
    });
    let others: Vec<Node> = (2..).take(MAX_HOPS - 1).map(Node::new).collect();
    let hops: Vec<_> = [&node].into_iter().chain(&others).map(|hop| (hop.hop(), None)).collect();
    group.bench_function("initiator start, five hops in one pass", |b| {
        b.iter(|| Initiator::start_path(&hops, &mut rng).expect("starts"));
    });
    let (.., onion) = Initiator::start_path(&hops, &mut rng).expect("starts");
    group.bench_function("responder, go-between in one pass", |b| {
        b.iter(|| respond(black_box(&onion), &node.responder(), &mut rng).expect("answers"));
    });
    group.bench_function("initiator finish", |b| {
        b.iter_batched(
            || answered(&node, &early, &mut rng),
            |(initiator, created)| initiator.finish(&created).expect("confirmed"),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("both sides", |b| {
        b.iter(|| {
            let (initiator, created) = answered(&node, &early, &mut rng);
            initiator.finish(&created).expect("confirmed")
        });
    });
    group.finish();
}

fn answered(node: &Node, early: &Request, rng: &mut StdRng) -> (Initiator, anon::create::Created) {
    let (initiator, create) = Initiator::start(&node.hop(), Some(early), rng).expect("starts");
    let (_, created, _) = respond(&create, &node.responder(), rng).expect("answers");
    (initiator, created)
}

/// The sender's end of a channel to one node, and the node's end.
fn one_hop(node: &Node, rng: &mut StdRng) -> (SenderChannel, LastHop) {
    let (opening, cell) = Opening::start(&node.verified(), None, rng).expect("starts");
    let (last_hop, created) = accept(&cell, node, rng);
    (opening.finish(&created).expect("confirmed"), last_hop)
}

fn accept(cell: &Cell, node: &Node, rng: &mut StdRng) -> (LastHop, Cell) {
    let create = cell.to_create().expect("a first cell");
    let accepted = LastHop::accept(&create, &node.responder(), rng).expect("answers");
    (accepted.last_hop, Cell::created(&accepted.created))
}

/// A channel through one go-between: its three ends.
fn two_hops(rng: &mut StdRng) -> (SenderChannel, GoBetween, LastHop) {
    let (first, second) = (Node::new(2), Node::new(3));
    let (channel, mut hop) = one_hop(&first, rng);
    let (mut extending, cells) = channel.extend(&second.verified(), None, rng).expect("extends");
    let request = cells.into_iter().find_map(|cell| hop.receive(cell).expect("opens"));
    let Some(Request::Extend { create, .. }) = request else { unreachable_here() };
    let (last_hop, created) = accept(&Cell::create(&create), &second, rng);
    let (go_between, cells) =
        hop.extended(created.to_created().expect("an answer")).expect("answers");
    for cell in cells {
        match extending.receive(cell).expect("opens") {
            Extension::Waiting(waiting) => extending = *waiting,
            Extension::Extended(channel) => return (*channel, go_between, last_hop),
        }
    }
    unreachable_here()
}

#[expect(clippy::panic, reason = "a benchmark stops at the first surprise")]
fn unreachable_here() -> ! {
    panic!("the channel did not come about")
}

/// The largest request there is, some 257 cells.
fn large_request() -> Request {
    Request::Store(Store {
        key: Key([1; 32]),
        kind: ObjectKind::Body,
        object: vec![7; MAX_OBJECT],
        deleters: Vec::new(),
        nonce: [0; 16],
    })
}

fn cells(criterion: &mut Criterion) {
    let mut rng = rng(2);
    let request = large_request();
    let bytes = Throughput::Bytes(u64::try_from(MAX_OBJECT).expect("1 MiB"));
    let mut group = criterion.benchmark_group("cells");
    group.throughput(bytes);
    let (mut sender, mut last_hop) = one_hop(&Node::new(1), &mut rng);
    group.bench_function("sender: encode and seal 1 MiB", |b| {
        let (mut sender, _) = one_hop(&Node::new(1), &mut rng);
        b.iter(|| sender.request(&request).expect("fits"));
    });
    group.bench_function("last hop: open and decode 1 MiB", |b| {
        b.iter_batched(
            || sender.request(&request).expect("fits"),
            |cells| {
                let opened = cells.into_iter().map(|cell| last_hop.receive(cell).expect("opens"));
                opened.last().flatten().expect("complete")
            },
            BatchSize::PerIteration,
        );
    });
    let (mut sender, mut go_between, _last_hop) = two_hops(&mut rng);
    group.bench_function("sender: encode, seal and one layer, 1 MiB", |b| {
        b.iter(|| sender.request(&request).expect("fits"));
    });
    group.throughput(Throughput::Bytes(u64::try_from(CELL).expect("4 KiB")));
    let mut cell = Cell::from_bytes(Box::new([5; CELL]));
    group.bench_function("go-between: one layer, one cell", |b| {
        b.iter(|| go_between.forward.apply(black_box(&mut cell)));
    });
    let (key, mut buffer) = ([3; 32], [0; CELL]);
    group.bench_function("secretbox alone: seal one cell", |b| {
        b.iter(|| {
            secretbox::seal_in_place(&key, &secretbox::counter_nonce(1), black_box(&mut buffer));
        });
    });
    group.finish();
}

fn signatures(criterion: &mut Criterion) {
    let (node, network) = (Node::new(1), network());
    let claims = ReceiptClaims {
        network: network.id,
        kind: ReceiptKind::Stored,
        key: Key([1; 32]),
        digest: [2; 32],
        size: 10_240,
        expiry: NOW.after(86_400),
        node: node.id(),
        nonce: [3; 16],
    };
    let receipt = Receipt::issue(&node.identity, claims.clone());
    let mut group = criterion.benchmark_group("receipt");
    group.bench_function("sign", |b| {
        b.iter_batched(
            || claims.clone(),
            |claims| Receipt::issue(&node.identity, claims),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("verify", |b| {
        b.iter(|| {
            let Receipt { claims, signature } = black_box(&receipt);
            let key = claims.node.verify_key();
            key.verify(labels::RECEIPT, &network.id, claims, signature).expect("genuine");
        });
    });
    group.finish();
    let owner = Owner::self_certifying(4);
    let mut group = criterion.benchmark_group("certificate verify");
    group.bench_function("node", |b| {
        b.iter_batched(
            || node.certificate.to_unverified(),
            |certificate| certificate.verify(&network, NOW).expect("genuine"),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("address", |b| {
        b.iter_batched(
            || owner.certificate.to_unverified(),
            |certificate| certificate.verify(&network, NOW).expect("genuine"),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn notifications(criterion: &mut Criterion) {
    let mut rng = rng(3);
    let owner = Owner::self_certifying(5);
    let parts: Vec<_> = seal_body(&[1; 100], &mut rng)
        .expect("short enough")
        .into_iter()
        .map(|sealed| sealed.part)
        .collect();
    let delete = DeleteSeed::from_bytes([6; 32]);
    let to = owner.certificate.address().clone();
    let headers = Headers::new(to, NOW, "A subject", 100, &parts, Some(delete));
    let sealed = seal_notification(&headers, &owner.certificate, &mut rng).expect("fits");
    let mut group = criterion.benchmark_group("notification");
    group.bench_function("seal", |b| {
        b.iter(|| seal_notification(&headers, &owner.certificate, &mut rng).expect("fits"));
    });
    group.bench_function("open", |b| {
        b.iter(|| {
            open_notification(black_box(&sealed), &owner.sealing, &owner.certificate)
                .expect("opens")
        });
    });
    group.finish();
}
