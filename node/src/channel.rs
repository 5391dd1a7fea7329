//! Serving channels (paper, 4.1): as last hop, then perhaps as go-between. A hop goes on when its sender asks it
//! to, or from the beginning, when its handshake named the next node.

mod reach;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anon::{
    cell::Cell,
    channel::{Accepted, ChannelError, GoBetween, LastHop},
    create::Create,
    handshake::{Early, HandshakeError, Responder},
    network::Network,
    request::{Request, Response},
};
use net::{
    clock::Clock,
    link::{ANSWER_TIMEOUT, CellReader, CellWriter, LinkError, Links, REQUEST_TIMEOUT},
    observer::{Edge, Observer, Via},
    roster::RosterKeeper,
    shares::{Held, RangeShare, Shares},
};
use reach::Next;

use crate::{
    clock_check::ClockCheck, config::Limits, handshake_keys::HandshakeKeys, replay::ReplayCache,
    service::Service,
};

/// How long a peer may take for its first cell, and a next node for its answer to it.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// What one cell counts against [`Limits::bytes_in_flight`], in units of [`budget`].
const CELL_UNITS: usize = 4;
/// How much longer than a direct request, or its answer, one may take through a channel, which may go over Tor.
const CHANNEL_PACE: u32 = 2;

/// What serving a channel needs.
#[derive(derive_more::Debug)]
#[debug("ChannelContext(..)")]
pub(crate) struct ChannelContext {
    pub(crate) network: Arc<Network>,
    pub(crate) keys: Arc<HandshakeKeys>,
    pub(crate) links: Links,
    pub(crate) roster: Arc<RosterKeeper>,
    pub(crate) service: Arc<dyn Service>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) replays: ReplayCache<[u8; 32]>,
    pub(crate) budget: Arc<Shares>,
    pub(crate) clock: Clock,
    pub(crate) check: Arc<ClockCheck>,
    pub(crate) idle: Duration,
    pub(crate) frame_bytes: usize,
}

/// The memory that requests may take, in units of one KiB.
pub(crate) fn budget(limits: &Limits, share: RangeShare) -> Arc<Shares> {
    let (size, each) = (limits.bytes_in_flight / 1024, limits.bytes_per_peer / 1024);
    Arc::new(Shares::new("bytes of requests", size, each, share))
}

/// Serves one channel until it ends. Whatever goes wrong, the peer only sees it end.
///
/// # Errors
/// [`LinkError`] saying why it ended, for this node's own log.
pub(crate) async fn serve_channel(
    context: &ChannelContext,
    at: Edge<'_>,
    mut reader: CellReader,
    mut writer: CellWriter,
) -> Result<(), LinkError> {
    let first = tokio::time::timeout(HANDSHAKE_TIMEOUT, reader.read());
    let create = first.await.map_err(|_| LinkError::TimedOut)??.to_create();
    let create = create.map_err(ChannelError::Create)?;
    let Accepted { last_hop, created, early } = accept(context, &create)?;
    context.observer.channel_opened(at, &create);
    writer.write(&[Cell::created(&created)]).await?;
    let mut served = Served { context, at, last_hop, reader, writer };
    if let Some(next) = served.begin(early).await? {
        return served.go_between(next).await;
    }
    loop {
        let (request, held) = served.next_request().await?;
        match request {
            Request::Extend { next, create } => {
                match reach::certified(context, &next, &create).await {
                    Some(next) => {
                        drop(held);
                        return served.go_between(next).await;
                    }
                    None => served.send(&Response::Refused).await?,
                }
            }
            request => served.answer(request).await?,
        }
        drop(held);
    }
}

/// What is no handshake for this node is not remembered as one: else anybody could fill the memory of replays.
fn accept(context: &ChannelContext, create: &Create) -> Result<Accepted, LinkError> {
    let answer = |own: &Responder<'_>| LastHop::accept(create, own, &mut rand::rng());
    let accepted = context.keys.with(&create.name(), answer);
    let accepted = accepted.unwrap_or(Err(HandshakeError::UnknownKey));
    let accepted = accepted.map_err(ChannelError::Handshake)?;
    if !context.replays.insert(create.replay_tag()) {
        return Err(LinkError::Channel(HandshakeError::BadEarlyRequest.into()));
    }
    Ok(accepted)
}

/// How long the next cell may take: as long as a channel may be silent, and what is left to a request that began so
/// long ago.
fn timeout(begun: Option<Duration>, idle: Duration) -> Duration {
    begun.map_or(idle, |ago| (REQUEST_TIMEOUT * CHANNEL_PACE).saturating_sub(ago).min(idle))
}

/// A channel of which this node is the last hop.
struct Served<'a> {
    context: &'a ChannelContext,
    at: Edge<'a>,
    last_hop: LastHop,
    reader: CellReader,
    writer: CellWriter,
}

impl Served<'_> {
    /// Does what the handshake brought along: reaches the next node, if it names one, and answers meanwhile. The
    /// answer goes back first. A next node that cannot be reached is a refusal, as it is for `Extend`.
    async fn begin(&mut self, early: Early) -> Result<Option<Next>, LinkError> {
        let (context, Early { request, onward }) = (self.context, early);
        let answering = async {
            match request {
                Some(request) => self.answer(request).await,
                None => Ok(()),
            }
        };
        let Some(onward) = onward else { return answering.await.map(|()| None) };
        let reaching = async { Ok(reach::known(context, &onward).await) };
        let ((), next) = tokio::try_join!(answering, reaching)?;
        if next.is_none() {
            self.send(&Response::Refused).await?;
        }
        Ok(next)
    }

    /// The sender's next request, and the memory it holds. Between two requests a channel may be silent; a request that
    /// has begun must come.
    async fn next_request(&mut self) -> Result<(Request, Vec<Held>), LinkError> {
        let Self { context, at, last_hop, reader, .. } = self;
        let mut held = Vec::new();
        let mut begun: Option<Instant> = None;
        loop {
            let timeout = timeout(begun.map(|begun| begun.elapsed()), context.idle);
            let cell = tokio::time::timeout(timeout, reader.read());
            let cell = cell.await.map_err(|_| LinkError::TimedOut)??;
            let more = context.budget.wait(at.peer.caller(), CELL_UNITS, HANDSHAKE_TIMEOUT).await;
            held.push(more.ok_or(LinkError::Busy)?);
            if let Some(request) = last_hop.receive(cell)? {
                return Ok((request, held));
            }
            if last_hop.is_amid_request() {
                begun.get_or_insert_with(Instant::now);
            } else {
                (held, begun) = (Vec::new(), None);
            }
        }
    }

    async fn answer(&mut self, request: Request) -> Result<(), LinkError> {
        let Self { context, at, .. } = *self;
        context.observer.received(at, Via::Channel, &request);
        let response = context.service.handle(at.peer, Via::Channel, request).await;
        self.send(&response).await
    }

    async fn send(&mut self, response: &Response) -> Result<(), LinkError> {
        let cells = self.last_hop.respond(response).map_err(ChannelError::Cell)?;
        let written = self.writer.write(&cells);
        let written = tokio::time::timeout(ANSWER_TIMEOUT * CHANNEL_PACE, written);
        written.await.map_err(|_| LinkError::TimedOut)?
    }

    /// Reports the next node's answer, and from then on only forwards.
    async fn go_between(self, next: Next) -> Result<(), LinkError> {
        let Self { context, at, last_hop, reader, mut writer } = self;
        context.observer.extended(at, &next.node, &next.create);
        let (go_between, cells) = last_hop.extended(next.created).map_err(ChannelError::Cell)?;
        writer.write(&cells).await?;
        forward(context, at, go_between, (reader, writer), next.cells).await
    }
}

/// Forwards cells both ways, one layer off or on, until either side ends or both are silent.
async fn forward(
    context: &ChannelContext,
    at: Edge<'_>,
    go_between: GoBetween,
    (mut from_sender, mut to_sender): (CellReader, CellWriter),
    (mut from_next, mut to_next): (CellReader, CellWriter),
) -> Result<(), LinkError> {
    let GoBetween { forward: mut strip, backward: mut wrap } = go_between;
    let forward = async {
        loop {
            let mut cell = from_sender.read().await?;
            context.observer.forwarded(at, true);
            strip.apply(&mut cell);
            pass(&from_sender, &mut to_next, &cell).await?;
        }
    };
    let backward = async {
        loop {
            let cell = tokio::time::timeout(context.idle, from_next.read());
            let mut cell = cell.await.map_err(|_| LinkError::TimedOut)??;
            context.observer.forwarded(at, false);
            wrap.apply(&mut cell);
            pass(&from_next, &mut to_sender, &cell).await?;
        }
    };
    let ended: Result<std::convert::Infallible, LinkError> =
        tokio::select! { ended = forward => ended, ended = backward => ended };
    let _ = tokio::join!(to_next.close(), to_sender.close());
    match ended {
        Err(LinkError::Io(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(()),
        Err(error) => Err(error),
    }
}

async fn pass(from: &CellReader, to: &mut CellWriter, cell: &Cell) -> Result<(), LinkError> {
    to.feed(cell).await?;
    if from.has_more() { Ok(()) } else { to.flush().await }
}

#[cfg(test)]
mod tests {
    use anon::handshake::{Hop, Initiator};
    use net::Carrier;

    use super::*;
    use crate::testing;

    #[test]
    fn a_request_through_a_channel_has_a_minute_and_is_never_silent_for_longer_than_the_channel_may()
     {
        let left = |begun: Option<u64>, idle| {
            timeout(begun.map(Duration::from_secs), Duration::from_secs(idle)).as_secs()
        };
        assert_eq!([left(None, 120), left(None, 20)], [120, 20]);
        assert_eq!([0, 10, 59, 60, 99].map(|ago| left(Some(ago), 120)), [60, 50, 1, 0, 0]);
        assert_eq!([0, 39, 41].map(|ago| left(Some(ago), 20)), [20, 20, 19]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_no_handshake_drives_out_none_that_is_remembered() {
        let limits = Limits { replays: 4, ..Limits::default() };
        let (node, _directory) = testing::within(limits).await;
        let own = node.service().keys.certificate().unwrap();
        let create = || {
            Cell::create(
                &Initiator::start(&Hop::certified(&own), None, &mut rand::rng()).unwrap().1,
            )
        };
        let is_answered = async |cell: Cell| {
            let links = Links::disposable(testing::NETWORK).unwrap();
            let (mut reader, mut writer) =
                links.open(&own, Carrier::Channel).await.unwrap().into_cells();
            writer.write(&[cell]).await.unwrap();
            reader.read().await.is_ok()
        };
        let good = create();
        let again = || Cell::from_bytes(Box::new(*good.as_bytes()));
        assert!(is_answered(again()).await);
        for junk in 0..6 {
            let mut changed = Box::new(*create().as_bytes());
            // Of every second one the certificate is nobody's; the others do not open.
            changed[if junk % 2 == 0 { 2 } else { 300 }] ^= 1;
            assert!(!is_answered(Cell::from_bytes(changed)).await);
        }
        assert!(!is_answered(again()).await, "remembered all the same");
        assert!(is_answered(create()).await);
    }
}
