//! A go-between that extends channels as it should and then stops forwarding: at once, without closing anything,
//! so that whoever waits must find out by a clock; or some cells later, by closing.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicUsize, Ordering},
};

use anon::{
    cell::{Cell, Layer},
    certificate::NodeCertificate,
    channel::{ChannelError, GoBetween, LastHop},
    create::Create,
    handshake::HandshakeError,
    request::Request,
};
use futures::future::BoxFuture;
use net::{Carrier, CellReader, CellWriter, Link, LinkError, Peer, RosterKeeper, Via, now};
use node::{Acceptor, Parts, Service};

use crate::hostile::behaviour::{Act, Behaviour, Hostile, Ledger};

/// The most cells that pass before a channel is closed: about as many as a short mail has.
const MOST_CELLS: usize = 4;
/// One channel in so many is not closed: its sender waits half a minute.
const RARELY: usize = 3;

/// What channels need of the node's service.
pub(crate) struct Handed {
    pub(crate) service: Arc<dyn Service>,
    pub(crate) roster: Arc<RosterKeeper>,
}

/// Serves channels in the honest acceptor's place while its node is hostile.
pub(crate) struct Silence {
    pub(crate) standard: Arc<dyn Acceptor>,
    pub(crate) parts: Parts,
    /// What the node's service hands over when it is made.
    pub(crate) handed: Arc<OnceLock<Handed>>,
    pub(crate) hostile: Hostile,
    pub(crate) ledger: Arc<Ledger>,
}

impl Acceptor for Silence {
    fn serve(&self, link: Link, carrier: Carrier) -> BoxFuture<'_, Result<(), LinkError>> {
        let own = self.parts.keys.certificate().map(|own| own.node());
        let drops = |node| self.hostile.has(&node, Behaviour::DroppingGoBetween);
        let handed = self.handed.get().filter(|_| own.is_some_and(drops));
        match (carrier, handed) {
            (Carrier::Channel, Some(handed)) => Box::pin(self.channel(link, handed)),
            _ => self.standard.serve(link, carrier),
        }
    }
}

/// The two ends of one direction or the other.
type Ends = (CellReader, CellWriter);

impl Silence {
    async fn channel(&self, link: Link, handed: &Handed) -> Result<(), LinkError> {
        let peer = link.peer().clone();
        let (mut reader, mut writer) = link.into_cells();
        let create = reader.read().await?.to_create().map_err(ChannelError::Cell)?;
        let accepted = self.parts.keys.with_key(&create.certificate(), |secret| {
            LastHop::accept(&create, secret, &self.parts.network.id, &mut rand::rng())
        });
        let accepted =
            accepted.unwrap_or(Err(HandshakeError::UnknownKey)).map_err(ChannelError::Handshake)?;
        let mut last_hop = accepted.last_hop;
        writer.write(&[Cell::created(&accepted.created)]).await?;
        if let Some(request) = accepted.early.request {
            let response = handed.service.handle(&peer, Via::Channel, request).await;
            writer.write(&last_hop.respond(&response).map_err(ChannelError::Cell)?).await?;
        }
        if let Some(onward) = accepted.early.onward {
            let next = handed.roster.with(|roster| roster.certificate(&onward.next).cloned());
            let next = next.ok_or(LinkError::Unreachable)?;
            return self.go_on(&peer, last_hop, (reader, writer), &next, &onward.create).await;
        }
        loop {
            let Some(request) = last_hop.receive(reader.read().await?)? else { continue };
            if let Request::Extend { next, create } = request {
                let next = next.verify(&self.parts.network, now());
                let next = next.map_err(|_| LinkError::Unreachable)?;
                return self.go_on(&peer, last_hop, (reader, writer), &next, &create).await;
            }
            let response = handed.service.handle(&peer, Via::Channel, request).await;
            writer.write(&last_hop.respond(&response).map_err(ChannelError::Cell)?).await?;
        }
    }

    /// Extends the channel as an honest node does.
    async fn go_on(
        &self,
        peer: &Peer,
        last_hop: LastHop,
        (reader, mut writer): Ends,
        next: &NodeCertificate,
        create: &Create,
    ) -> Result<(), LinkError> {
        let link = self.parts.links.open(next, Carrier::Channel).await?;
        let (mut from_next, mut to_next) = link.into_cells();
        to_next.write(&[Cell::create(create)]).await?;
        let created = from_next.read().await?.to_created().map_err(ChannelError::Cell)?;
        let (go_between, cells) = last_hop.extended(created).map_err(ChannelError::Cell)?;
        writer.write(&cells).await?;
        self.forward(peer, go_between, (reader, writer), (from_next, to_next)).await
    }

    async fn forward(
        &self,
        peer: &Peer,
        go_between: GoBetween,
        (from_sender, to_sender): Ends,
        (from_next, to_next): Ends,
    ) -> Result<(), LinkError> {
        let closes = !self.ledger.turn().is_multiple_of(RARELY);
        let left = AtomicUsize::new(if closes { rand::random_range(0..=MOST_CELLS) } else { 0 });
        let GoBetween { forward, backward } = go_between;
        let told = OnceLock::new();
        let stop = || {
            if told.set(()).is_ok() {
                let act = if closes { Act::ClosedChannel } else { Act::StoppedForwarding };
                self.ledger.write(peer, act);
            }
            !closes
        };
        let forward = pass(from_sender, to_next, forward, &left, &stop);
        let backward = pass(from_next, to_sender, backward, &left, &stop);
        tokio::select! { ended = forward => ended, ended = backward => ended }
    }
}

async fn pass(
    mut from: CellReader,
    mut to: CellWriter,
    mut layer: Layer,
    left: &AtomicUsize,
    goes_on: &(impl Fn() -> bool + Sync),
) -> Result<(), LinkError> {
    loop {
        let mut cell = from.read().await?;
        let one_less = |left: usize| left.checked_sub(1);
        if left.try_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_err() {
            if goes_on() {
                continue;
            }
            return Ok(());
        }
        layer.apply(&mut cell);
        to.write(&[cell]).await?;
    }
}
