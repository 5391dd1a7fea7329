//! Paths made in one pass over real nodes, and a go-between that takes them elsewhere.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use anon::{
    cell::Cell,
    certificate::{NodeCertificate, NodeClaims},
    channel::{Accepted, ChannelError, LastHop},
    create::Create,
    handshake::{HandshakeError, Hop, Initiator, Onward, Responder},
    id::NodeId,
    keys::{ChannelSecret, IdentitySecret, SigningSecret as _},
    position::Key,
    request::{ObjectKind, Request, Response, Store},
    time::Validity,
    verification::{CrossVerified, cross_verify},
};
use futures::future::BoxFuture;
use net::{Carrier, Channel, Edge, Link, LinkError, Observer, Via, now};
use node::{Acceptor, Limits, Node, Parts};

use super::network::{Network, TIMEOUT};

/// Counts what a node is told about channels.
#[derive(Default)]
struct Watch {
    opened: AtomicUsize,
    extended: Mutex<Vec<NodeId>>,
}

impl Observer for Watch {
    fn received(&self, _: Edge<'_>, _: Via, _: &Request) {}
    fn channel_opened(&self, _: Edge<'_>, _: &Create) {
        self.opened.fetch_add(1, Ordering::SeqCst);
    }
    fn extended(&self, _: Edge<'_>, next: &NodeId, _: &Create) {
        self.extended.lock().unwrap().push(*next);
    }
    fn forwarded(&self, _: Edge<'_>, _: bool) {}
    fn looked_up(&self, _: &Key, _: &[NodeId]) {}
    fn answered(&self, _: &NodeId, _: &Request, _: &Response) {}
}

/// A network of which each node is watched, and every node's roster has all of them.
async fn watched(size: usize, limits: Limits) -> (Network, Vec<Arc<Watch>>) {
    let watches: Mutex<Vec<Arc<Watch>>> = Mutex::default();
    let network = Network::start(size, 1, limits, |node| {
        let watch = Arc::new(Watch::default());
        watches.lock().unwrap().push(Arc::clone(&watch));
        node.observed_by(watch)
    })
    .await;
    introduce(&network).await;
    (network, watches.into_inner().unwrap())
}

async fn introduce(network: &Network) {
    for other in &network.nodes {
        let certificate = network.certificate(other).await;
        for node in &network.nodes {
            node.service().roster().met(certificate.clone());
        }
    }
}

fn closest(key: u8) -> Request {
    Request::Closest { key: Key([key; 32]), count: 1 }
}

/// These nodes, each asked something else, the second one nothing.
async fn path(network: &Network, nodes: &[usize]) -> Vec<(CrossVerified, Option<Request>)> {
    let mut path = Vec::new();
    for (place, node) in (0..).zip(nodes) {
        let question = (place != 1).then(|| closest(place));
        path.push((network.cross_verified(*node).await, question));
    }
    path
}

/// Opens a path, and says who answered what on the way.
async fn open(
    network: &Network,
    nodes: &[usize],
) -> (Result<Channel, LinkError>, Vec<(usize, Response)>) {
    let (hops, mut heard) = (path(network, nodes).await, Vec::new());
    let hear = |hop, answer| {
        heard.push((hop, answer));
        Ok::<_, LinkError>(())
    };
    let opened = Channel::open_path(&network.links(), &hops, TIMEOUT, hear).await;
    (opened, heard)
}

fn states(answer: &Response, network: &Network, node: usize, key: u8) {
    let Response::Closest(statement) = answer else { panic!("{answer:?}") };
    let (epoch, id) = (network.params().epoch(now()), network.nodes[node].id());
    statement.verify(&network.params().id, id, Key([key; 32]), epoch).unwrap();
}

fn store() -> Request {
    let (key, object) = (Key(rand::random()), vec![7; 20_000]);
    let kind = ObjectKind::Body;
    Request::Store(Store { key, kind, object, deleters: Vec::new(), nonce: rand::random() })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_of_every_length_answers_on_the_way_and_carries_requests() {
    let (network, watches) = watched(6, Limits::default()).await;
    for nodes in [&[0][..], &[1, 0], &[2, 0, 1], &[0, 1, 2, 3], &[4, 3, 2, 1, 5]] {
        let (opened, heard) = open(&network, nodes).await;
        let mut channel = opened.unwrap();
        let last = nodes.len() - 1;
        let asked: Vec<usize> = (0..last).filter(|place| *place != 1).collect();
        assert_eq!(heard.iter().map(|(place, _)| *place).collect::<Vec<_>>(), asked);
        for (place, answer) in &heard {
            states(answer, &network, nodes[*place], u8::try_from(*place).unwrap());
        }
        if last != 1 {
            let answer = channel.response(TIMEOUT).await.unwrap();
            states(&answer, &network, nodes[last], u8::try_from(last).unwrap());
        }
        let stored = channel.request(&store(), TIMEOUT).await.unwrap();
        assert!(matches!(stored, Response::Receipt(_)), "{stored:?}");
        for pair in nodes.windows(2) {
            let extended = watches[pair[0]].extended.lock().unwrap().pop();
            assert_eq!(extended, Some(network.nodes[pair[1]].id()));
        }
    }
    let (opened, _) = open(&network, &[0, 1, 2, 3, 4, 5]).await;
    assert!(is(&opened, HandshakeError::BadPath.into()));
    let (opened, _) = open(&network, &[0, 1, 0]).await;
    assert!(is(&opened, HandshakeError::BadPath.into()));
}

fn is(opened: &Result<Channel, LinkError>, expected: ChannelError) -> bool {
    matches!(opened, Err(LinkError::Channel(error)) if *error == expected)
}

/// A certificate that anyone can make of a node that is nobody's acquaintance.
fn stranger(network: &Network, address: SocketAddr) -> CrossVerified {
    let identity = IdentitySecret::generate(&mut rand::rng());
    let claims = NodeClaims {
        network: network.params().id,
        identity: NodeId(identity.verify_key().0),
        channel_key: ChannelSecret::generate(&mut rand::rng()).agreement_key(),
        addresses: vec![format!("/ip4/{}/tcp/{}", address.ip(), address.port())],
        family: String::new(),
        validity: Validity::starting(now(), 3_600),
        admission: None,
    };
    let issued = NodeCertificate::issue(&identity, claims).verify(network.params(), now()).unwrap();
    cross_verify(issued.clone(), issued).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_goes_on_only_to_nodes_that_it_knows_itself_and_says_so() {
    let (network, _) = watched(3, Limits::default()).await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let mut hops = path(&network, &[0, 1, 2]).await;
    hops[2].0 = stranger(&network, listener.local_addr().unwrap());
    let mut heard = 0;
    let hear = |_, _| {
        heard += 1;
        Ok::<_, LinkError>(())
    };
    let opened = Channel::open_path(&network.links(), &hops, TIMEOUT, hear).await;
    assert!(is(&opened, ChannelError::NotExtended));
    assert_eq!(heard, 1, "what came before was heard");
    assert!(listener.accept().is_err(), "nobody went there");

    // With a certificate in hand the same node tries.
    let mut channel = Channel::open(&network.links(), &hops[0].0, None, TIMEOUT).await.unwrap();
    channel = channel.extend(&hops[1].0, None, TIMEOUT).await.unwrap();
    let extending = tokio::spawn(async move {
        let stranger = &hops[2].0;
        channel.extend(stranger, None, TIMEOUT).await
    });
    until("the stranger's door is knocked at", || listener.accept().is_ok()).await;
    assert!(is(&extending.await.unwrap(), ChannelError::NotExtended));
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(TIMEOUT, wait).await.expect(what);
}

/// Sends a node a first message, and counts the cells that come back at once: `created`, then one that says no.
async fn cells_back(network: &Network, node: usize, create: &Create) -> usize {
    let to = network.certificate(&network.nodes[node]).await;
    let link = network.links().open(&to, Carrier::Channel).await.unwrap();
    let (mut reader, mut writer) = link.into_cells();
    writer.write(&[Cell::create(create)]).await.unwrap();
    let mut cells = 0;
    while cells < 2 && reader.read().await.is_ok() {
        cells += 1;
    }
    cells
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_not_its_own_next_hop() {
    let (network, watches) = watched(3, Limits::default()).await;
    let own = network.certificate(&network.nodes[0]).await;
    let (.., create) =
        Initiator::start_path(&[(Hop::certified(&own), None); 2], &mut rand::rng()).unwrap();
    assert_eq!(cells_back(&network, 0, &create).await, 2);
    assert_eq!(watches[0].opened.load(Ordering::SeqCst), 1);
    assert!(watches[0].extended.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_gets_no_further_than_to_a_node_that_remembers() {
    // Nodes that remember one handshake.
    let limits = Limits { replays: 1, ..Limits::default() };
    let (network, watches) = watched(4, limits).await;
    let opened = || watches.iter().map(|w| w.opened.load(Ordering::SeqCst)).collect::<Vec<_>>();
    let mut hops = Vec::new();
    for node in &network.nodes[..3] {
        hops.push((Hop::certified(&network.certificate(node).await), None));
    }
    let (.., create) = Initiator::start_path(&hops, &mut rand::rng()).unwrap();
    assert_eq!(cells_back(&network, 0, &create).await, 2, "created, extended");
    until("all three were reached", || opened() == [1, 1, 1, 0]).await;
    assert_eq!(cells_back(&network, 0, &create).await, 0, "remembered");
    let (_, other) = Initiator::start(&hops[0].0, None, &mut rand::rng()).unwrap();
    let first = network.certificate(&network.nodes[0]).await;
    let to_other = network.links().open(&first, Carrier::Channel).await.unwrap();
    let (mut reader, mut writer) = to_other.into_cells();
    writer.write(&[Cell::create(&other)]).await.unwrap();
    assert!(reader.read().await.is_ok());
    // The first node has forgotten; the second has not, and the third hears nothing of it.
    assert_eq!(cells_back(&network, 0, &create).await, 2, "created, refused");
    assert_eq!(opened(), [3, 1, 1, 0]);
}

/// What the go-between does instead of passing on what it was given to where it was told.
#[derive(Clone, Copy, Debug)]
enum Detour {
    /// The same handshake, to another node.
    Elsewhere,
    /// A handshake of its own with the right node.
    OwnOnion,
    /// A handshake of its own with another node.
    OwnOnionElsewhere,
    /// It makes the next node's answer up.
    MadeUp,
}

/// The detour to take next, and between which nodes.
type Plan = Mutex<Option<(Detour, Vec<CrossVerified>)>>;

/// Serves channels by taking a detour while one is planned, and honestly otherwise.
struct Rogue {
    parts: Parts,
    standard: Arc<dyn Acceptor>,
    plan: Arc<Plan>,
}

impl Acceptor for Rogue {
    fn serve(&self, link: Link, carrier: Carrier) -> BoxFuture<'_, Result<(), LinkError>> {
        let planned = match carrier {
            Carrier::Request => None,
            Carrier::Channel => self.plan.lock().unwrap().take(),
        };
        match planned {
            Some((detour, others)) => Box::pin(self.detour(link, detour, others)),
            None => self.standard.serve(link, carrier),
        }
    }
}

impl Rogue {
    async fn detour(
        &self,
        link: Link,
        detour: Detour,
        others: Vec<CrossVerified>,
    ) -> Result<(), LinkError> {
        let (mut reader, mut writer) = link.into_cells();
        let create = reader.read().await?.to_create().unwrap();
        let accept = |own: &Responder<'_>| LastHop::accept(&create, own, &mut rand::rng()).unwrap();
        let accepted = self.parts.handshake_keys.with(&create.name(), accept).unwrap();
        let Accepted { last_hop, created, early } = accepted;
        writer.write(&[Cell::created(&created)]).await?;
        let Onward { next, create } = early.onward.expect("a go-between");
        let [right, wrong] = [true, false].map(|right| {
            let is_it = |other: &&CrossVerified| (other.node() == next) == right;
            others.iter().find(is_it).unwrap()
        });
        let own =
            |to: &CrossVerified| Initiator::start(&to.hop(), None, &mut rand::rng()).unwrap().1;
        let (to, create) = match detour {
            Detour::Elsewhere => (wrong, *create),
            Detour::OwnOnion => (right, own(right)),
            Detour::OwnOnionElsewhere => (wrong, own(wrong)),
            Detour::MadeUp => {
                let (_, cells) = last_hop.extended(created).unwrap();
                return writer.write(&cells).await;
            }
        };
        let link = self.parts.links.open_to(to, Carrier::Channel).await?;
        let (mut from_next, mut to_next) = link.into_cells();
        to_next.write(&[Cell::create(&create)]).await?;
        let created = from_next.read().await?.to_created().unwrap();
        let (_, cells) = last_hop.extended(created).unwrap();
        writer.write(&cells).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_go_between_that_takes_the_path_elsewhere_gets_a_closed_channel() {
    let plan: Arc<Plan> = Arc::default();
    let dress = |node: Node| {
        let plan = Arc::clone(&plan);
        node.accepting(move |standard, parts| Arc::new(Rogue { parts, standard, plan }))
    };
    let network = Network::start(4, 1, Limits::default(), dress).await;
    introduce(&network).await;
    let others = [network.cross_verified(1).await, network.cross_verified(3).await];
    for detour in [Detour::Elsewhere, Detour::OwnOnion, Detour::OwnOnionElsewhere, Detour::MadeUp] {
        // The first node to get a channel takes it: the guard of this path.
        *plan.lock().unwrap() = Some((detour, others.to_vec()));
        let hops: Vec<_> =
            path(&network, &[0, 1, 2]).await.into_iter().map(|(hop, _)| (hop, None)).collect();
        let unheard = |_, _| panic!("nobody was asked anything");
        let opened =
            Channel::open_path::<LinkError>(&network.links(), &hops, TIMEOUT, unheard).await;
        match detour {
            // The other node cannot open it and hangs up, so there is no answer to bring back.
            Detour::Elsewhere => assert!(matches!(opened, Err(LinkError::Io(_))), "{opened:?}"),
            _ => {
                assert!(is(&opened, HandshakeError::NotConfirmed.into()), "{detour:?}: {opened:?}");
            }
        }
        assert!(plan.lock().unwrap().is_none(), "{detour:?} was not tried");
        let (opened, _) = open(&network, &[0, 1, 2]).await;
        let mut channel = opened.expect("the same nodes serve an honest path");
        assert!(channel.response(TIMEOUT).await.is_ok());
    }
}
