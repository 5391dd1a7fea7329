//! What works, and what a go-between sees of it.

use std::{collections::BTreeSet, sync::LazyLock};

use anon::{
    cell::{CELL, Cell, CellError, PAYLOAD},
    position::Key,
    request::{MAX_MESSAGE, MAX_OBJECT, ObjectKind, Request, Response, Store},
};

use crate::{
    line::{Line, Links},
    world::{Node, rng},
};

pub(crate) const KEY: Key = Key([3; 32]);

/// Nodes that differ, at most six.
pub(crate) fn nodes(count: u8) -> &'static [Node] {
    static ALL: LazyLock<Vec<Node>> = LazyLock::new(|| (1..=6).map(Node::new).collect());
    &ALL[..usize::from(count)]
}

pub(crate) fn store(object: usize) -> Request {
    let object = (0_u8..=250).cycle().take(object).collect();
    let kind = ObjectKind::Body;
    Request::Store(Store { key: KEY, kind, object, deleters: Vec::new(), nonce: [1; 16] })
}

#[test]
fn requests_and_responses_of_any_size_over_one_two_and_three_hops() {
    for hops in 1..=3 {
        let mut line = Line::over(nodes(hops), &mut rng(1));
        assert_eq!(line.sender.hops(), usize::from(hops));
        let edge = PAYLOAD - 4 - 1 - 3;
        for size in [0, 1, edge - 1, edge, edge + 1, 2 * PAYLOAD, MAX_OBJECT] {
            let request = store(size);
            let links = line.request(&request);
            assert_eq!(links.len(), usize::from(hops));
            assert_eq!(line.receive_requests(links.last().unwrap()), Ok(vec![request]));
            assert!(!line.last_hop.is_amid_request());
            let response = Response::Object(vec![7; size]);
            let links = line.respond(&response);
            assert_eq!(line.receive_responses(&links[0]), Ok(vec![response]));
        }
    }
}

#[test]
fn a_message_fills_as_many_cells_as_it_needs() {
    let mut line = Line::over(nodes(1), &mut rng(1));
    // Behind the message's length: the variant, the object's length (three bytes), the object.
    let edge = PAYLOAD - 4 - 1 - 3;
    for (size, cells) in [(0, 1), (edge, 1), (edge + 1, 2), (edge + PAYLOAD, 2), (MAX_OBJECT, 258)]
    {
        assert_eq!(line.respond(&Response::Object(vec![0; size]))[0].len(), cells, "{size}");
    }
    let lookup = Request::Lookup { key: KEY, count: 20 };
    for request in [Request::Certificate, Request::Fetch { key: KEY }, lookup, store(1_000)] {
        assert_eq!(line.request(&request)[0].len(), 1);
    }
}

#[test]
fn a_request_is_incomplete_until_its_last_cell() {
    let mut line = Line::over(nodes(2), &mut rng(1));
    let links = line.request(&store(10_000));
    let (last, first) = links[1].split_last().unwrap();
    assert_eq!(line.receive_requests(first), Ok(vec![]));
    assert!(line.last_hop.is_amid_request());
    assert_eq!(line.receive_requests(std::slice::from_ref(last)), Ok(vec![store(10_000)]));
}

#[test]
fn a_message_beyond_the_limit_is_not_sent() {
    let mut line = Line::over(nodes(1), &mut rng(1));
    let object = |size| Response::Object(vec![0; size]);
    let longest = MAX_MESSAGE - 1 - 5;
    assert!(line.last_hop.respond(&object(longest)).is_ok());
    assert_eq!(line.last_hop.respond(&object(longest + 1)), Err(CellError));
    assert_eq!(line.sender.request(&store(MAX_MESSAGE)), Err(CellError));
}

#[test]
fn early_requests_arrive_with_the_handshake() {
    let (nodes, rng) = (nodes(3), &mut rng(1));
    let lookup = Request::Lookup { key: KEY, count: 8 };
    let mut line = Line::open(&nodes[0], Some(&lookup), rng);
    assert_eq!(line.early, Some(lookup));
    let links = line.respond(&Response::NotFound);
    assert_eq!(line.receive_responses(&links[0]), Ok(vec![Response::NotFound]));

    let mut line = line.extend(&nodes[1], Some(&Request::Certificate), rng);
    assert_eq!(line.early, Some(Request::Certificate));
    let certificate = Box::new(nodes[1].certificate.to_unverified());
    let response = Response::Certificate(certificate);
    let links = line.respond(&response);
    assert_eq!(line.receive_responses(&links[0]), Ok(vec![response]));

    let line = line.extend(&nodes[2], None, rng);
    assert_eq!(line.early, None);
}

fn windows(cells: &[Cell]) -> BTreeSet<&[u8]> {
    cells.iter().flat_map(|cell| cell.as_bytes().windows(16)).collect()
}

#[test]
fn the_two_sides_of_a_go_between_share_no_block() {
    let (nodes, rng) = (nodes(3), &mut rng(1));
    let mut line = Line::over(&nodes[..2], rng).extend(&nodes[2], None, rng);
    let mut seen: Vec<Links> = std::mem::take(&mut line.extensions);
    for request in [Request::Certificate, Request::Certificate, store(6_000)] {
        seen.push(line.request(&request));
        seen.push(line.respond(&Response::Object(vec![0; 6_000])));
    }
    for links in &seen {
        assert!(links.iter().flatten().all(|cell| cell.as_bytes().len() == CELL));
        for pair in links.windows(2) {
            assert_eq!(pair[0].len(), pair[1].len());
            assert!(windows(&pair[0]).is_disjoint(&windows(&pair[1])));
        }
    }
    // The same message twice, and nothing but zeros: no link shows either, and no layer is the same twice.
    let cells = || seen.iter().flatten().flatten().map(|cell| cell.as_bytes().to_vec());
    let layers = seen.iter().flat_map(|links| links.windows(2)).flat_map(|pair| {
        let both = pair[0].iter().zip(&pair[1]);
        both.map(|(a, b)| a.as_bytes().iter().zip(b.as_bytes()).map(|(a, b)| a ^ b).collect())
    });
    for all in [cells().collect::<Vec<_>>(), layers.collect()] {
        let blocks: BTreeSet<&[u8]> = all.iter().flat_map(|cell| cell.chunks(16)).collect();
        assert_eq!(blocks.len(), all.len() * CELL / 16);
    }
}
