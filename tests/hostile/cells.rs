//! X meddles with the cells that it forwards (paper, 4.1), in either direction.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use anon::{
    cell::{CELL, Cell, Layer},
    channel::{GoBetween, LastHop},
    handshake::Responder,
    position::Key,
    request::{ObjectKind, Request, Response, Store},
};
use futures::future::BoxFuture;
use net::{Carrier, CellReader, CellWriter, Channel, Link, LinkError, Peer, Via, now};
use node::{Acceptor, Limits, Node, Parts, Service as _, StandardService};

use super::network::{Network, TIMEOUT, User, mail};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attack {
    Flip,
    Drop,
    Repeat,
    Reorder,
    Reflect,
    Truncate,
    Splice,
}

impl Attack {
    const ALL: [Self; 7] = [
        Self::Flip,
        Self::Drop,
        Self::Repeat,
        Self::Reorder,
        Self::Reflect,
        Self::Truncate,
        Self::Splice,
    ];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Forward,
    Backward,
}

/// The attacks to come, those that were mounted, and cells of other channels to splice in.
#[derive(Default)]
struct Plan {
    coming: Mutex<VecDeque<(Attack, Direction)>>,
    mounted: Mutex<Vec<(Attack, Direction)>>,
    seen: Mutex<Vec<(Direction, Cell)>>,
}

impl Plan {
    fn order(&self, attack: Attack, direction: Direction) {
        self.coming.lock().unwrap().push_back((attack, direction));
    }

    /// The next attack, if it is for this direction.
    fn next(&self, direction: Direction) -> Option<Attack> {
        let mut coming = self.coming.lock().unwrap();
        let next = *coming.front().filter(|(_, d)| *d == direction)?;
        coming.pop_front();
        self.mounted.lock().unwrap().push(next);
        Some(next.0)
    }

    fn mounted(&self) -> usize {
        self.mounted.lock().unwrap().len()
    }

    fn remember(&self, direction: Direction, cell: &Cell) {
        let mut seen = self.seen.lock().unwrap();
        seen.retain(|(d, _)| *d != direction);
        seen.push((direction, cell.clone()));
    }

    fn of_another_channel(&self, direction: Direction) -> Cell {
        let seen = self.seen.lock().unwrap();
        seen.iter().find(|(d, _)| *d == direction).unwrap().1.clone()
    }
}

/// Serves channels as an honest node does, until it has extended one and the plan has an attack for it.
struct Rogue {
    parts: Parts,
    standard: Arc<dyn Acceptor>,
    service: Arc<StandardService>,
    plan: Arc<Plan>,
}

/// Puts a rogue in a node's acceptor's place.
fn rogue(node: Node, plan: &Arc<Plan>) -> Node {
    let plan = Arc::clone(plan);
    let handed: Arc<OnceLock<Arc<StandardService>>> = Arc::default();
    let taken = Arc::clone(&handed);
    node.serving(move |standard| {
        handed.set(Arc::clone(&standard)).unwrap();
        standard
    })
    .accepting(move |standard, parts| {
        let service = Arc::clone(taken.get().unwrap());
        Arc::new(Rogue { parts, standard, service, plan })
    })
}

impl Acceptor for Rogue {
    fn serve(&self, link: Link, carrier: Carrier) -> BoxFuture<'_, Result<(), LinkError>> {
        match carrier {
            Carrier::Request => self.standard.serve(link, carrier),
            Carrier::Channel => Box::pin(self.channel(link)),
        }
    }
}

impl Rogue {
    async fn channel(&self, link: Link) -> Result<(), LinkError> {
        let peer = link.peer().clone();
        let (mut reader, mut writer) = link.into_cells();
        let create = reader.read().await?.to_create().unwrap();
        let accept = |own: &Responder<'_>| LastHop::accept(&create, own, &mut rand::rng()).unwrap();
        let accepted = self.parts.handshake_keys.with(&create.name(), accept).unwrap();
        let mut last_hop = accepted.last_hop;
        writer.write(&[Cell::created(&accepted.created)]).await?;
        let mut waiting = accepted.early.request;
        loop {
            let request = match waiting.take() {
                Some(request) => request,
                None => match last_hop.receive(reader.read().await?)? {
                    Some(request) => request,
                    None => continue,
                },
            };
            if let Request::Extend { next, create } = request {
                let next = next.verify(&self.parts.network, now()).unwrap();
                let link = self.parts.links.open(&next, Carrier::Channel).await?;
                let (mut from_next, mut to_next) = link.into_cells();
                to_next.write(&[Cell::create(&create)]).await?;
                let created = from_next.read().await?.to_created().unwrap();
                let (go_between, cells) = last_hop.extended(created).unwrap();
                writer.write(&cells).await?;
                return self.meddle(go_between, (reader, writer), (from_next, to_next)).await;
            }
            writer.write(&last_hop.respond(&self.answer(&peer, request).await).unwrap()).await?;
        }
    }

    async fn answer(&self, peer: &Peer, request: Request) -> Response {
        self.service.handle(peer, Via::Channel, request).await
    }

    async fn meddle(
        &self,
        go_between: GoBetween,
        (from_sender, to_sender): (CellReader, CellWriter),
        (from_next, to_next): (CellReader, CellWriter),
    ) -> Result<(), LinkError> {
        let (to_sender, to_next) =
            (tokio::sync::Mutex::new(to_sender), tokio::sync::Mutex::new(to_next));
        let GoBetween { forward, backward } = go_between;
        let forward = self.pass(Direction::Forward, from_sender, forward, &to_next, &to_sender);
        let backward = self.pass(Direction::Backward, from_next, backward, &to_sender, &to_next);
        let ended = tokio::select! { ended = forward => ended, ended = backward => ended };
        let _ = to_next.lock().await.close().await;
        let _ = to_sender.lock().await.close().await;
        ended
    }

    /// Forwards one direction, and mounts the next attack on the first cell that it meets.
    async fn pass(
        &self,
        direction: Direction,
        mut from: CellReader,
        mut layer: Layer,
        on: &tokio::sync::Mutex<CellWriter>,
        back: &tokio::sync::Mutex<CellWriter>,
    ) -> Result<(), LinkError> {
        loop {
            let came = from.read().await?;
            let mut cell = came.clone();
            layer.apply(&mut cell);
            let mut out = match self.plan.next(direction) {
                None => {
                    self.plan.remember(direction, &cell);
                    vec![cell]
                }
                Some(Attack::Flip) => {
                    let mut bytes = Box::new(*cell.as_bytes());
                    bytes[CELL / 2] ^= 1;
                    vec![Cell::from_bytes(bytes)]
                }
                Some(Attack::Drop) => Vec::new(),
                Some(Attack::Repeat) => vec![cell.clone(), cell],
                Some(Attack::Reorder) => {
                    let mut second = from.read().await?;
                    layer.apply(&mut second);
                    vec![second, cell]
                }
                Some(Attack::Reflect) => {
                    back.lock().await.write(&[came]).await?;
                    continue;
                }
                Some(Attack::Truncate) => {
                    on.lock().await.write(&[cell]).await?;
                    return Ok(());
                }
                Some(Attack::Splice) => vec![self.plan.of_another_channel(direction)],
            };
            on.lock().await.write(&out).await?;
            out.clear();
        }
    }
}

/// A request or an answer of some ten cells.
fn store(key: Key) -> Store {
    let object = (0..40_000_u32).map(|n| n.to_le_bytes()[0] ^ key.0[0]).collect();
    Store { key, kind: ObjectKind::Body, object, deleters: Vec::new(), nonce: rand::random() }
}

/// A channel by node 0 to node 1.
async fn channel(network: &Network) -> Channel {
    let (x, z) = (network.cross_verified(0).await, network.cross_verified(1).await);
    let channel = Channel::open(&network.links(), &x, None, TIMEOUT).await.unwrap();
    channel.extend(&z, None, TIMEOUT).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_go_between_does_to_a_cell_closes_the_channel_and_does_nothing_else() {
    let plan = Arc::new(Plan::default());
    let network = Network::start(3, 1, Limits::default(), |node| rogue(node, &plan)).await;
    let kept = store(Key(rand::random()));
    let fetch = Request::Fetch { key: kept.key };
    // An honest channel first; its cells are what is spliced into others.
    let mut honest = channel(&network).await;
    let stored = honest.request(&Request::Store(kept.clone()), TIMEOUT).await.unwrap();
    assert!(matches!(stored, Response::Receipt(_)));

    for direction in [Direction::Forward, Direction::Backward] {
        for attack in Attack::ALL {
            let mounted = plan.mounted();
            let mut attacked = channel(&network).await;
            plan.order(attack, direction);
            let attempt = store(Key(rand::random()));
            let request = match direction {
                Direction::Forward => Request::Store(attempt.clone()),
                Direction::Backward => fetch.clone(),
            };
            let name = format!("{attack:?} {direction:?}");
            let error = attacked.request(&request, TIMEOUT).await.expect_err(&name);
            assert!(!matches!(error, LinkError::TimedOut), "{name}: {error}");
            assert_eq!(plan.mounted(), mounted + 1, "{name}");
            assert!(network.holders(&attempt.key).await.is_empty(), "{name}");
            assert!(attacked.request(&fetch, TIMEOUT).await.is_err(), "{name}: still open");

            // The same nodes serve the next channel as ever, and what was stored is as it was.
            let mut next = channel(&network).await;
            let fetched = next.request(&fetch, TIMEOUT).await.unwrap();
            assert!(fetched == Response::Object(kept.object.clone()), "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_over_meddling_go_betweens_completes_over_others() {
    let plan = Arc::new(Plan::default());
    let network = Network::start(12, 5, Limits::default(), |node| rogue(node, &plan)).await;
    let (alice, bob) = (network.user("alice").await, network.user("bob").await);
    let mut mails = vec![mail("nothing yet", 12)];
    alice.send(&mails[0], &bob).await;
    let mut objects = Vec::new();
    // Forward they meet the body on its way to Z. Backward they meet an answer of one cell: to lose that one is
    // to stall (see `stalls`), and there is none to swap it with.
    let forward = Attack::ALL.map(|attack| (attack, Direction::Forward));
    let backward =
        [Attack::Flip, Attack::Repeat, Attack::Reflect, Attack::Truncate, Attack::Splice]
            .map(|attack| (attack, Direction::Backward));
    for (number, (attack, direction)) in forward.into_iter().chain(backward).enumerate() {
        plan.order(attack, direction);
        let sent = mail(&format!("{attack:?} {direction:?}"), 12);
        objects.push(deliver_one(&alice, &bob, &sent).await);
        assert_eq!(plan.mounted(), number + 1, "{attack:?} {direction:?}");
        mails.push(sent);
    }
    for (key, object) in &objects {
        let holders = network.holders(key).await;
        assert_eq!(holders.len(), 5);
        assert!(holders.iter().all(|(_, held)| held == object), "stored as it was sealed");
    }
    let inbox = bob.address().inbox();
    for id in network.closest(&inbox, 5) {
        let store = network.node(&id).service().store();
        let held = store.list_inbox(inbox.0, 0, usize::MAX).await.unwrap().digests;
        assert_eq!(held.len(), mails.len(), "each once");
    }
    assert_eq!(bob.fetch().await.delivered.len(), mails.len());
    mails.sort();
    assert!(bob.mails() == mails);
}

async fn deliver_one(alice: &User, bob: &User, sent: &[u8]) -> (Key, Vec<u8>) {
    let id = alice.prepare(sent, bob, false);
    let body = alice.body(&id);
    let delivered = tokio::time::timeout(Duration::from_secs(120), alice.deliver(&id)).await;
    let outcome = delivered.expect("nothing hangs");
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    assert_eq!(outcome.delivered, [bob.address().clone()]);
    body
}
