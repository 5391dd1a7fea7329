//! Our own known answers: handshakes, cells and layers on every link of a channel that grows to three hops.

use anon::{
    cell::Cell,
    channel::Opening,
    create::{Create, Created},
    request::{Request, Response},
    testing::{key, object},
    wire,
};
use sha2::{Digest as _, Sha256};

use super::{messages::Messages, names::Members};
use crate::{
    line::{Line, Links, accept},
    tape::Tape,
    vector::{Vector, known_answers},
};

fn digests(cells: &[Cell]) -> Vec<[u8; 32]> {
    cells.iter().map(|cell| Sha256::digest(cell.as_bytes()).into()).collect()
}

/// Compares one message's cells on every link with the next step of the file.
pub(super) fn assert_step(step: &Vector<'_>, way: &str, message: &[u8], links: &Links) {
    assert_eq!(step.text("/way"), way);
    let digest: [u8; 32] = Sha256::digest(message).into();
    assert_eq!(digest, step.array("/message_sha256"), "another message");
    let expected: Vec<Vec<[u8; 32]>> = step
        .list("/links")
        .iter()
        .map(|link| link.list("").iter().map(|cell| cell.array("")).collect())
        .collect();
    let made: Vec<Vec<[u8; 32]>> = links.iter().map(|cells| digests(cells)).collect();
    assert_eq!(made, expected);
}

#[test]
fn every_cell_on_every_link() {
    let file = known_answers!("cutout-channel");
    let all = Vector(&file);
    let mut steps = all.list("/steps").into_iter();
    let members = Members::read();
    let messages = Messages::read();
    let stored = messages.cast();
    let early = [Some(Request::Lookup { key: key(), count: 3 }), None, Some(Request::Certificate)];
    let mut line: Option<Line> = None;
    for (number, (node, early)) in members.nodes.iter().zip(&early).enumerate() {
        let seed = |whose| all.bytes(&format!("/{whose}_seeds/{number}"));
        let mut tape = Tape::new(&[&seed("sender"), &all.bytes("/rest"), &seed("node")]);
        let mut longer = match line {
            None => Line::open(node, early.as_ref(), &mut tape),
            Some(line) => line.extend(node, early.as_ref(), &mut tape),
        };
        assert!(tape.is_used_up());
        assert_eq!(&longer.early, early);
        let extensions: Vec<Links> = longer.extensions.drain(..).collect();
        let handshake = steps.next().unwrap();
        assert_eq!(handshake.length("/extended_to"), number);
        let create = Create::from_padded(&handshake.bytes("/create")).unwrap();
        let created = Created::from_padded(&handshake.bytes("/created")).unwrap();
        if let [forward, backward] = &extensions[..] {
            let next = Box::new(node.certificate.to_unverified());
            let extend = Request::Extend { next, create: Box::new(create) };
            let extended = Response::Extended(Box::new(created));
            assert_step(&steps.next().unwrap(), "forward", &wire::encode(&extend), forward);
            assert_step(&steps.next().unwrap(), "backward", &wire::encode(&extended), backward);
        }
        for (request, response) in [
            (Request::Fetch { key: key() }, Response::Object(object())),
            (
                Request::Store(stored.store()),
                Response::Receipt(Box::new(stored.receipts()[0].clone())),
            ),
        ] {
            let links = longer.request(&request);
            assert_step(&steps.next().unwrap(), "forward", &wire::encode(&request), &links);
            assert_eq!(longer.receive_requests(links.last().unwrap()), Ok(vec![request]));
            let links = longer.respond(&response);
            assert_step(&steps.next().unwrap(), "backward", &wire::encode(&response), &links);
            assert_eq!(longer.receive_responses(&links[0]), Ok(vec![response]));
        }
        line = Some(longer);
    }
    assert!(steps.next().is_none());
}

#[test]
fn the_first_cells_of_a_channel_byte_for_byte() {
    let file = known_answers!("cutout-channel");
    let all = Vector(&file);
    let members = Members::read();
    let node = &members.nodes[0];
    let early = Request::Lookup { key: key(), count: 3 };
    let sampled = ["/sender_seeds/0", "/rest", "/node_seeds/0"].map(|path| all.bytes(path));
    let mut tape = Tape::new(&[&sampled.concat()]);
    let (opening, create) = Opening::start(&node.verified(), Some(&early), &mut tape).unwrap();
    let padded = |path| [all.bytes(path), vec![0; 4_096]].concat()[..4_096].to_vec();
    assert_eq!(create.as_bytes()[..], padded("/steps/0/create"));
    let mut accepted = accept(node, &create, &mut tape).unwrap();
    let created = Cell::created(&accepted.created);
    assert_eq!(created.as_bytes()[..], padded("/steps/0/created"));
    let mut sender = opening.finish(&created).unwrap();
    let sent = sender.request(&Request::Fetch { key: key() }).unwrap();
    assert_eq!(sent[0].as_bytes()[..], all.bytes("/steps/1/first_cell"));
    let answered = accepted.last_hop.respond(&Response::Object(object())).unwrap();
    assert_eq!(answered[0].as_bytes()[..], all.bytes("/steps/2/first_cell"));
}
