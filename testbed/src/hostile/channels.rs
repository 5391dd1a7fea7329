//! Channels of a hostile node: accepted and extended as an honest one does it, and then read (`tagging`) or let down
//! (`silence`).

use std::sync::{Arc, OnceLock};

use anon::{
    cell::Cell,
    certificate::NodeCertificate,
    channel::{Accepted, ChannelError, LastHop},
    create::Create,
    handshake::{HandshakeError, Responder},
    request::Request,
};
use futures::future::BoxFuture;
use net::{Carrier, CellReader, CellWriter, Link, LinkError, Peer, RosterKeeper, Via, now};
use node::{Acceptor, Parts, Service};

use super::{
    behaviour::{Behaviour, Hostile, Ledger},
    silence,
    tagging::{self, Reading},
};

/// What channels need of the node's service.
pub(crate) struct Handed {
    pub(crate) service: Arc<dyn Service>,
    pub(crate) roster: Arc<RosterKeeper>,
}

/// Serves channels in the honest acceptor's place while its node is hostile.
pub(crate) struct Channels {
    pub(crate) standard: Arc<dyn Acceptor>,
    pub(crate) parts: Parts,
    /// What the node's service hands over when it is made.
    pub(crate) handed: Arc<OnceLock<Handed>>,
    /// Whether it is one that reads what comes under marks and with notes, and one that drops channels.
    pub(crate) reads: bool,
    pub(crate) drops: bool,
    pub(crate) hostile: Hostile,
    pub(crate) ledger: Arc<Ledger>,
}

/// The two ends of a link.
pub(super) type Ends = (CellReader, CellWriter);

/// One channel, while this node is its last hop.
struct Served<'a> {
    peer: Peer,
    handed: &'a Handed,
    ends: Ends,
    last_hop: LastHop,
    /// If what its cells say is read.
    reading: Option<Reading>,
}

impl Acceptor for Channels {
    fn serve(&self, link: Link, carrier: Carrier) -> BoxFuture<'_, Result<(), LinkError>> {
        let reads = self.reads && (self.does(Behaviour::Marking) || self.does(Behaviour::Tagging));
        let acts = reads || (self.drops && self.does(Behaviour::DroppingGoBetween));
        match (carrier, self.handed.get().filter(|_| acts)) {
            (Carrier::Channel, Some(handed)) => Box::pin(self.channel(link, handed, reads)),
            _ => self.standard.serve(link, carrier),
        }
    }
}

impl Channels {
    /// Whether this node is listed as one that does it.
    fn does(&self, behaviour: Behaviour) -> bool {
        let own = self.parts.keys.certificate();
        own.is_some_and(|own| self.hostile.has(&own.node(), behaviour))
    }

    async fn channel(&self, link: Link, handed: &Handed, reads: bool) -> Result<(), LinkError> {
        let peer = link.peer().clone();
        let (mut reader, mut writer) = link.into_cells();
        let create = reader.read().await?.to_create().map_err(ChannelError::Create)?;
        let accepted =
            if reads { Reading::accept(&self.parts, &create) } else { self.accept(&create) };
        let (Accepted { last_hop, created, early }, reading) =
            accepted.map_err(ChannelError::Handshake)?;
        writer.write(&[Cell::created(&created)]).await?;
        let mut at = Served { peer, handed, ends: (reader, writer), last_hop, reading };
        if let Some(request) = early.request {
            self.answer(&mut at, request).await?;
        }
        let (next, create) = match early.onward {
            Some(onward) => {
                let next = handed.roster.with(|roster| roster.certificate(&onward.next).cloned());
                (next, onward.create)
            }
            None => self.until_extended(&mut at).await?,
        };
        self.extend(at, &next.ok_or(LinkError::Unreachable)?, &create).await
    }

    fn accept(&self, create: &Create) -> Result<(Accepted, Option<Reading>), HandshakeError> {
        let answer = |own: &Responder<'_>| LastHop::accept(create, own, &mut rand::rng());
        let accepted = self.parts.handshake_keys.with(&create.name(), answer);
        Ok((accepted.unwrap_or(Err(HandshakeError::UnknownKey))?, None))
    }

    /// Answers a request as an honest node does.
    async fn answer(&self, at: &mut Served<'_>, request: Request) -> Result<(), LinkError> {
        if let Some(reading) = &at.reading {
            reading.was_asked(&self.ledger, &at.peer, &request);
        }
        let response = at.handed.service.handle(&at.peer, Via::Channel, request).await;
        at.ends.1.write(&at.last_hop.respond(&response).map_err(ChannelError::Cell)?).await
    }

    /// Serves a channel until it is to go on; where to, if that is a node of the network, and with what.
    async fn until_extended(
        &self,
        at: &mut Served<'_>,
    ) -> Result<(Option<NodeCertificate>, Box<Create>), LinkError> {
        loop {
            let cell = at.ends.0.read().await?;
            let cells = match &mut at.reading {
                Some(reading) => reading.take(cell),
                None => vec![cell],
            };
            for cell in cells {
                match at.last_hop.receive(cell)? {
                    Some(Request::Extend { next, create }) => {
                        return Ok((next.verify(&self.parts.network, now()).ok(), create));
                    }
                    Some(request) => self.answer(at, request).await?,
                    None => {}
                }
            }
        }
    }

    /// Extends a channel as an honest node does, and then writes into its cells or lets it down.
    async fn extend(
        &self,
        mut at: Served<'_>,
        next: &NodeCertificate,
        create: &Create,
    ) -> Result<(), LinkError> {
        let link = self.parts.links.open(next, Carrier::Channel).await?;
        let mut next = link.into_cells();
        next.1.write(&[Cell::create(create)]).await?;
        let created = next.0.read().await?.to_created().map_err(ChannelError::Cell)?;
        let (go_between, cells) = at.last_hop.extended(created).map_err(ChannelError::Cell)?;
        at.ends.1.write(&cells).await?;
        if at.reading.is_none() {
            return silence::forward(&self.ledger, &at.peer, go_between, at.ends, next).await;
        }
        let is_node = |node| at.handed.roster.with(|roster| roster.certificate(&node).is_some());
        let tags = self.does(Behaviour::Tagging) && !at.peer.node().is_some_and(is_node);
        let note = tags.then(|| tagging::note_on(&self.ledger, &at.peer));
        tagging::forward(go_between, at.ends, next, note).await
    }
}
