//! A path in memory that is made in one pass: the onion on every link, and what comes back.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use anon::{
    cell::Cell,
    channel::{ChannelError, LastHop, OpeningPath, Passage, SenderChannel},
    create::{Create, Created},
    handshake::{Early, HandshakeError},
    request::{Request, Response},
    wire,
};
use rand_core::CryptoRng;

use crate::{
    line::{Line, Links, accept, backward},
    world::Member,
};

/// A hop that has taken its part of an onion.
pub(crate) struct Taken {
    pub(crate) create: Create,
    pub(crate) created: Created,
    pub(crate) last_hop: LastHop,
    pub(crate) early: Early,
}

/// A path, once each hop has taken its part and before any answer has come back.
pub(crate) struct Pass {
    pub(crate) opening: OpeningPath,
    pub(crate) hops: Vec<Taken>,
}

/// A message that came back while the path was made, and its cells on each link it passed.
pub(crate) struct Back {
    pub(crate) message: Vec<u8>,
    pub(crate) links: Links,
}

/// Starts a path: each node with what it is asked.
pub(crate) fn start<R: CryptoRng>(
    path: &[(&impl Member, Option<Request>)],
    rng: &mut R,
) -> Result<(OpeningPath, Create), HandshakeError> {
    let verified: Vec<_> = path.iter().map(|(node, _)| node.verified()).collect();
    let requests = path.iter().map(|(_, request)| request.as_ref());
    let hops: Vec<_> = verified.iter().zip(requests).collect();
    let (opening, cell) = OpeningPath::start(&hops, rng)?;
    Ok((opening, cell.to_create().expect("a first cell")))
}

/// A node takes what came to it.
pub(crate) fn take<R: CryptoRng>(
    node: &impl Member,
    create: &Create,
    rng: &mut R,
) -> Result<Taken, ChannelError> {
    let accepted = accept(node, &Cell::create(create), rng)?;
    let (created, last_hop, early) = (accepted.created, accepted.last_hop, accepted.early);
    Ok(Taken { create: create.clone(), created, last_hop, early })
}

impl Pass {
    /// Every node takes its part and passes the rest on.
    pub(crate) fn through<R: CryptoRng>(
        path: &[(&impl Member, Option<Request>)],
        rng: &mut R,
    ) -> Self {
        let (opening, create) = start(path, rng).expect("a good path");
        let (mut hops, mut onward) = (Vec::new(), Some(create));
        for (node, _) in path {
            let taken = take(*node, &onward.take().expect("there is more"), rng).expect("it opens");
            onward = taken.early.onward.as_ref().map(|onward| (*onward.create).clone());
            hops.push(taken);
        }
        assert_eq!(onward, None);
        Self { opening, hops }
    }

    /// The hops confirm one after the other, each giving this answer if it was asked something.
    pub(crate) fn finish(self, answer: &Response) -> Result<(Line, Vec<Back>), ChannelError> {
        let mut hops = self.hops.into_iter();
        let Taken { created, mut last_hop, mut early, .. } = hops.next().expect("a first hop");
        let mut passage = self.opening.finish(&Cell::created(&created))?;
        let (mut go_betweens, mut came) = (Vec::new(), Vec::new());
        for next in hops {
            if early.request.is_some() {
                let links = backward(&mut go_betweens, last_hop.respond(answer)?);
                let hop = go_betweens.len();
                passage = match feed(passage, &links[0])? {
                    Passage::Answered { hop: place, answer: heard, path } if place == hop => {
                        assert_eq!(heard, *answer);
                        Passage::Underway(path)
                    }
                    other => panic!("{other:?}"),
                };
                came.push(Back { message: wire::encode(answer), links });
            }
            let extended = Response::Extended(Box::new(next.created.clone()));
            let (go_between, cells) = last_hop.extended(next.created)?;
            let links = backward(&mut go_betweens, cells);
            passage = feed(passage, &links[0])?;
            came.push(Back { message: wire::encode(&extended), links });
            go_betweens.push(go_between);
            (last_hop, early) = (next.last_hop, next.early);
        }
        let sender = arrived(passage);
        let (extensions, early) = (Vec::new(), early.request);
        Ok((Line { sender, go_betweens, last_hop, extensions, early }, came))
    }
}

/// What the sender makes of the cells that come back.
pub(crate) fn feed(mut passage: Passage, cells: &[Cell]) -> Result<Passage, ChannelError> {
    for cell in cells {
        let Passage::Underway(path) = passage else { panic!("not underway: {passage:?}") };
        passage = path.receive(cell.clone())?;
    }
    Ok(passage)
}

pub(crate) fn arrived(passage: Passage) -> SenderChannel {
    match passage {
        Passage::Arrived(channel) => *channel,
        other => panic!("not there yet: {other:?}"),
    }
}
