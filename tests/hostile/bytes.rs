//! Bytes and messages that no honest peer sends. The node refuses or hangs up, and serves everybody else.

mod raw;

use anon::{
    cell::{CELL, Cell},
    certificate::{NodeCertificate, NodeClaims},
    create::Create,
    handshake::{Hop, Initiator},
    id::{NetworkId, NodeId},
    keys::{ChannelSecret, IdentitySecret, SigningSecret as _},
    network::Network as Params,
    position::Key,
    request::{MAX_MESSAGE, ObjectKind, ProxiedRequest, Request, Response, Store, Targets},
    time::Validity,
    wire,
};
use futures::future::join_all;
use net::{Carrier, Channel, LinkError, now};
use node::Limits;
use rand::Rng as _;
use raw::Connection;

use super::network::{Network, TIMEOUT, lookup_request, named};

/// The carrier bytes.
const REQUEST: u8 = 0;
const CHANNEL: u8 = 1;

fn noise(length: usize) -> Vec<u8> {
    let mut noise = vec![0; length];
    rand::rng().fill_bytes(&mut noise);
    noise
}

/// A frame: its length as it is claimed, and content.
fn frame(claimed: usize, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(claimed).unwrap().to_be_bytes();
    [&[REQUEST][..], &length, content].concat()
}

/// A request in its frame, however forbidden.
fn framed(request: &Request) -> Vec<u8> {
    let content = wire::encode(request);
    frame(content.len(), &content)
}

/// The victim, node 0, does for an honest peer what it always did: storage, lookup, a channel.
async fn assert_serves(network: &Network) {
    let key = Key(rand::random());
    let object = noise(100);
    let store = Store {
        key,
        kind: ObjectKind::Body,
        object: object.clone(),
        deleters: Vec::new(),
        nonce: rand::random(),
    };
    let stored = network.ask(&network.nodes[0], &Request::Store(store)).await;
    assert!(matches!(stored, Response::Receipt(_)), "{stored:?}");
    let closest = network.ask(&network.nodes[0], &lookup_request(key, 1)).await;
    assert_eq!(named(&closest), network.closest(&key, 1));
    let mut channel = open(network).await;
    let fetched = channel.request(&Request::Fetch { key }, TIMEOUT).await.unwrap();
    assert!(fetched == Response::Object(object));
}

async fn open(network: &Network) -> Channel {
    let to = network.cross_verified(0).await;
    Channel::open(&network.links(), &to, None, TIMEOUT).await.unwrap()
}

fn nested(depth: usize) -> Request {
    let targets = Targets::LookedUp { key: Key([1; 32]), count: 1 };
    (0..depth).fold(Request::Certificate, |request, _| Request::Perform {
        targets: targets.clone(),
        request: Box::new(request),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_message_end_the_stream_and_harm_nobody() {
    let network = Network::start(3, 1, Limits::default(), |node| node).await;
    let address = network.nodes[0].addresses()[0].clone();
    for length in [0, 1, 47, 4_096, 100_000] {
        raw::spill(&address, &noise(length)).await;
    }
    let connection = Connection::dial(&address).await;
    let whole = wire::encode(&Request::Certificate);
    let streams = [
        ("an unknown carrier", vec![2]),
        ("another unknown carrier", [&[255][..], &noise(5_000)].concat()),
        ("noise", [&[REQUEST][..], &noise(5_000)].concat()),
        ("a frame of 4 GiB", frame(u32::MAX as usize, &noise(100))),
        ("a frame one byte too long", frame(MAX_MESSAGE + 1, &noise(100))),
        ("an empty frame", frame(0, &[])),
        ("noise in a frame", frame(1_000, &noise(1_000))),
        ("zeros in a frame", frame(1_000, &[0; 1_000])),
        ("a request and a byte", frame(whole.len() + 1, &[&whole[..], &[0]].concat())),
        ("a proxied request in a proxied request", framed(&nested(2))),
        ("a hundred proxied requests in one another", framed(&nested(100))),
        ("a lookup of nobody", framed(&Request::Lookup { key: Key([1; 32]), count: 0 })),
        ("a lookup of 255", framed(&Request::Lookup { key: Key([1; 32]), count: 255 })),
        ("a channel of noise", [&[CHANNEL][..], &noise(CELL)].concat()),
        ("a channel of zeros", [&[CHANNEL][..], &[0; CELL]].concat()),
    ];
    for (name, bytes) in streams {
        assert_eq!(connection.exchange(&bytes).await, b"", "{name}");
    }
    // A request cut off at any place, and then the end.
    for end in 0..whole.len() + 5 {
        let bytes = &frame(whole.len(), &whole)[..end];
        assert_eq!(connection.exchange(bytes).await, b"", "cut off after {end}");
    }
    // The very connection still carries an honest request.
    assert!(connection.exchange(&framed(&Request::Certificate)).await.len() > 100);
    assert_serves(&network).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_never_come_are_given_up_and_meanwhile_others_are_served() {
    // Room for four messages of the longest kind in all.
    let limits =
        Limits { bytes_in_flight: 4 * MAX_MESSAGE, range_percent: 100, ..Limits::default() };
    let network = Network::start(3, 1, limits, |node| node).await;
    let address = network.nodes[0].addresses()[0].clone();
    let connection = Connection::dial(&address).await;
    let mut stalled = Vec::new();
    for bytes in [frame(1 << 20, &noise(10)), vec![CHANNEL], vec![]] {
        stalled.push(connection.open(&bytes).await);
    }
    assert_serves(&network).await;
    let mut given_up = Box::pin(join_all(stalled.into_iter().map(raw::Stream::end)));
    // A frame that is too long is not waited for at all, though nothing ends it.
    for claimed in [u32::MAX as usize, MAX_MESSAGE + 1] {
        let oversized = connection.open(&frame(claimed, &noise(10))).await;
        tokio::select! {
            end = oversized.end() => assert!(end.is_empty()),
            _ = &mut given_up => panic!("a frame of {claimed} bytes is waited for"),
        }
    }
    let ends = given_up.await;
    assert!(ends.iter().all(Vec::is_empty), "given up without an answer");
    assert_serves(&network).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_a_channel_carries_is_refused_on_a_direct_link() {
    let network = Network::start(3, 1, Limits::default(), |node| node).await;
    let node = &network.nodes[0];
    let other = network.certificate(&network.nodes[1]).await;
    let (_, create) = Initiator::start(&Hop::certified(&other), None, &mut rand::rng()).unwrap();
    let extend =
        Request::Extend { next: Box::new(other.to_unverified()), create: Box::new(create) };
    let nodes = Targets::Nodes(vec![other.node()]);
    let perform = Request::Perform { targets: nodes, request: Box::new(Request::Certificate) };
    let proxied = ProxiedRequest { target: other.node(), request: Request::Certificate };
    for request in [extend, perform, nested(1), Request::PerformEach(vec![proxied])] {
        assert_eq!(network.ask(node, &request).await, Response::Refused);
    }
    assert_serves(&network).await;
}

/// A certificate of nobody in particular, valid in the network with this id.
fn certificate_in(params: &Params, id: NetworkId) -> NodeCertificate {
    let identity = IdentitySecret::generate(&mut rand::rng());
    let claims = NodeClaims {
        network: id,
        identity: NodeId(identity.verify_key().0),
        channel_key: ChannelSecret::generate(&mut rand::rng()).agreement_key(),
        addresses: vec!["/ip4/127.0.0.1/tcp/1".to_owned()],
        family: String::new(),
        validity: Validity::starting(now(), 3_600),
        admission: None,
    };
    let params = Params { id, ..params.clone() };
    NodeCertificate::issue(&identity, claims).verify(&params, now()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_is_extended_to_other_nodes_of_this_network_only() {
    let network = Network::start(3, 1, Limits::default(), |node| node).await;
    let params = network.params();
    let itself = network.certificate(&network.nodes[0]).await;
    let other = network.certificate(&network.nodes[1]).await;
    let cases = [
        ("itself", itself.clone(), itself.clone()),
        ("another network's node", certificate_in(params, NetworkId([9; 32])), other.clone()),
        ("a node that is not there", certificate_in(params, params.id), other.clone()),
        ("a node, with a handshake for another", other.clone(), itself.clone()),
    ];
    let mut channel = open(&network).await;
    for (name, next, handshake_for) in cases {
        let (_, create) =
            Initiator::start(&Hop::certified(&handshake_for), None, &mut rand::rng()).unwrap();
        let next = Box::new(next.to_unverified());
        let extend = Request::Extend { next, create: Box::new(create) };
        let answer = channel.request(&extend, TIMEOUT).await.unwrap();
        assert_eq!(answer, Response::Refused, "{name}");
    }
    // The channel is as good as before.
    let closest = channel.request(&lookup_request(Key([3; 32]), 1), TIMEOUT).await.unwrap();
    assert_eq!(named(&closest), network.closest(&Key([3; 32]), 1));
    let second = network.cross_verified(1).await;
    let mut channel = channel.extend(&second, None, TIMEOUT).await.unwrap();
    assert!(channel.request(&Request::Certificate, TIMEOUT).await.is_ok());
    assert_serves(&network).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn proxied_requests_to_strangers_or_in_one_another_are_refused_through_a_channel_too() {
    let network = Network::start(3, 1, Limits::default(), |node| node).await;
    let stranger = NodeId([9; 32]);
    let target = network.nodes[1].id();
    let mut channel = open(&network).await;
    let perform = Request::Perform {
        targets: Targets::Nodes(vec![target, stranger]),
        request: Box::new(Request::Certificate),
    };
    let Response::Performed { answers, .. } = channel.request(&perform, TIMEOUT).await.unwrap()
    else {
        panic!("nothing was performed");
    };
    assert!(matches!(answers.as_slice(), [known, unknown]
        if known.response.is_some() && unknown.node == stranger && unknown.response.is_none()));
    let too_many = Request::Perform {
        targets: Targets::Nodes(vec![target; 21]),
        request: Box::new(Request::Certificate),
    };
    let changes_at_closest = Request::Perform {
        targets: Targets::LookedUp { key: Key([1; 32]), count: 1 },
        request: Box::new(Request::Store(Store {
            key: Key([1; 32]),
            kind: ObjectKind::Body,
            object: vec![1],
            deleters: Vec::new(),
            nonce: [0; 16],
        })),
    };
    let proxied = |request| ProxiedRequest { target, request };
    let each_nested = Request::PerformEach(vec![proxied(nested(1))]);
    let each_too_many = Request::PerformEach(vec![proxied(Request::Certificate); 21]);
    let of_too_much = [too_many, changes_at_closest, each_nested, each_too_many];
    for request in [nested(2), nested(100)].into_iter().chain(of_too_much) {
        let mut channel = open(&network).await;
        let error = channel.request(&request, TIMEOUT).await.unwrap_err();
        assert!(matches!(error, LinkError::Io(_)), "the channel closes: {error:?}");
    }
    assert!(network.holders(&Key([1; 32])).await.is_empty());
    assert_serves(&network).await;
}

/// Sends a first cell on a channel of its own: whether anything comes back.
async fn is_answered(network: &Network, cell: &Cell) -> bool {
    let to = network.certificate(&network.nodes[0]).await;
    let link = network.links().open(&to, Carrier::Channel).await.unwrap();
    let (mut reader, mut writer) = link.into_cells();
    writer.write(std::slice::from_ref(cell)).await.unwrap();
    let answer =
        tokio::time::timeout(TIMEOUT, reader.read()).await.expect("it answers or hangs up");
    answer.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_counts_once_and_only_where_it_is_meant_for() {
    let network = Network::start(3, 1, Limits::default(), |node| node).await;
    let own = network.certificate(&network.nodes[0]).await;
    let other = network.certificate(&network.nodes[1]).await;
    let early = lookup_request(Key([1; 32]), 1);
    let create = |to: &NodeCertificate| {
        Cell::create(
            &Initiator::start(&Hop::certified(to), Some(&early), &mut rand::rng()).unwrap().1,
        )
    };
    let changed = |cell: &Cell, at: usize| {
        let mut bytes = Box::new(*cell.as_bytes());
        bytes[at] ^= 1;
        Cell::from_bytes(bytes)
    };
    let good = create(&own);
    assert!(is_answered(&network, &good).await);
    for _ in 0..3 {
        assert!(!is_answered(&network, &good).await, "replayed");
    }
    assert!(!is_answered(&network, &create(&other)).await, "another node's key");
    let stranger = certificate_in(network.params(), network.params().id);
    assert!(!is_answered(&network, &create(&stranger)).await, "nobody's key");
    for at in [0, 40, 64, 300, Create::LENGTH - 1, Create::LENGTH, CELL - 1] {
        assert!(!is_answered(&network, &changed(&create(&own), at)).await, "changed at {at}");
    }
    assert!(is_answered(&network, &create(&own)).await);
    assert_serves(&network).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_handshake_does_not_drive_out_those_that_are_remembered() {
    let limits = Limits { replays: 4, ..Limits::default() };
    let network = Network::start(3, 1, limits, |node| node).await;
    let own = network.certificate(&network.nodes[0]).await;
    let other = network.certificate(&network.nodes[1]).await;
    let create = |to: &NodeCertificate| {
        Cell::create(&Initiator::start(&Hop::certified(to), None, &mut rand::rng()).unwrap().1)
    };
    let good = create(&own);
    assert!(is_answered(&network, &good).await);
    for _ in 0..5 {
        assert!(!is_answered(&network, &create(&other)).await, "meant for another node");
        let mut changed = Box::new(*create(&own).as_bytes());
        changed[300] ^= 1;
        assert!(!is_answered(&network, &Cell::from_bytes(changed)).await, "changed on the way");
    }
    assert!(!is_answered(&network, &good).await, "remembered all the same");
    assert_serves(&network).await;
}
