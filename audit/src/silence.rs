//! A go-between that extends channels as it should and then stops forwarding: at once, without closing anything,
//! so that whoever waits must find out by a clock; or some cells later, by closing.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicUsize, Ordering},
};

use anon::{
    cell::{Cell, Layer},
    channel::{ChannelError, FarEnd, GoBetween},
    handshake::HandshakeError,
    request::Request,
};
use futures::future::BoxFuture;
use node::{
    Acceptor, Carrier, CellReader, CellWriter, Link, LinkError, Parts, Peer, Service, Via, now,
};

use crate::behaviour::{Act, Hostile, Ledger};

/// The most cells that pass before a channel is closed: about as many as a short mail has.
const MOST_CELLS: usize = 4;
/// One channel in so many is not closed: its sender waits half a minute.
const RARELY: usize = 3;

/// Serves channels in the honest acceptor's place while its node is hostile.
pub(crate) struct Silence {
    pub(crate) standard: Arc<dyn Acceptor>,
    pub(crate) parts: Parts,
    /// The node's service, handed over when it is made.
    pub(crate) service: Arc<OnceLock<Arc<dyn Service>>>,
    pub(crate) hostile: Hostile,
    pub(crate) ledger: Arc<Ledger>,
}

impl Acceptor for Silence {
    fn serve(&self, link: Link, carrier: Carrier) -> BoxFuture<'_, Result<(), LinkError>> {
        let own = self.parts.keys.certificate().map(|own| own.node());
        let service = self.service.get().filter(|_| own.is_some_and(|n| self.hostile.includes(&n)));
        match (carrier, service) {
            (Carrier::Channel, Some(service)) => Box::pin(self.channel(link, service)),
            _ => self.standard.serve(link, carrier),
        }
    }
}

/// The two ends of one direction or the other.
type Ends = (CellReader, CellWriter);

impl Silence {
    async fn channel(&self, link: Link, service: &Arc<dyn Service>) -> Result<(), LinkError> {
        let peer = link.peer().clone();
        let (mut reader, mut writer) = link.into_cells();
        let create = reader.read().await?.to_create().map_err(ChannelError::Cell)?;
        let accepted = self.parts.keys.with_key(&create.certificate(), |secret| {
            FarEnd::accept(&create, secret, &self.parts.network.id, &mut rand::rng())
        });
        let accepted =
            accepted.unwrap_or(Err(HandshakeError::UnknownKey)).map_err(ChannelError::Handshake)?;
        let mut far_end = accepted.far_end;
        writer.write(&[Cell::created(&accepted.created)]).await?;
        let mut waiting = accepted.early;
        loop {
            let request = match waiting.take() {
                Some(request) => request,
                None => match far_end.receive(reader.read().await?)? {
                    Some(request) => request,
                    None => continue,
                },
            };
            if let Request::Extend { next, create } = request {
                let next = next.verify(&self.parts.network, now());
                let next = next.map_err(|_| LinkError::Unreachable)?;
                let link = self.parts.links.open(&next, Carrier::Channel).await?;
                let (mut from_next, mut to_next) = link.into_cells();
                to_next.write(&[Cell::create(&create)]).await?;
                let created = from_next.read().await?.to_created().map_err(ChannelError::Cell)?;
                let (go_between, cells) = far_end.extended(created).map_err(ChannelError::Cell)?;
                writer.write(&cells).await?;
                return self
                    .forward(&peer, go_between, (reader, writer), (from_next, to_next))
                    .await;
            }
            let response = service.handle(&peer, Via::Channel, request).await;
            writer.write(&far_end.respond(&response).map_err(ChannelError::Cell)?).await?;
        }
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
