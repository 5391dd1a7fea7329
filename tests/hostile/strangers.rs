//! Strangers who want a node for themselves: identities and connections cost them nothing. Beside the worst of them,
//! of the same address range and of another, others are served nineteen times of twenty.

mod poison;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anon::{
    cell::{CELL, Cell},
    certificate::NodeCertificate,
    position::Key,
    request::{ObjectKind, Request, Response, Store},
    wire,
};
use libp2p::{Multiaddr, multiaddr::Protocol};
use node::{Carrier, Channel, Limits, LinkError, Links, ask, certified_addresses};
use tokio::{
    net::{TcpListener, TcpSocket},
    task::JoinSet,
};

use super::network::{Network, PATIENCE};

/// Honest questions that are asked beside an attack, of which one in twenty may fail.
const QUESTIONS: usize = 40;
/// How long each may take.
const ANSWERED: Duration = Duration::from_secs(10);
/// Where attackers come from that are not honest agents' neighbours.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 66, 0, 1);

/// A way to a node by which one comes from this address.
async fn way_from(source: Ipv4Addr, to: &NodeCertificate) -> Vec<Multiaddr> {
    let addresses = certified_addresses(to);
    let parts: Vec<_> = addresses[0].iter().collect();
    let [Protocol::Ip4(ip), Protocol::Tcp(port)] = parts.as_slice() else { panic!() };
    let target = SocketAddr::from((*ip, *port));
    let way = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = way.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut inner, _)) = way.accept().await {
            tokio::spawn(async move {
                let socket = TcpSocket::new_v4().unwrap();
                socket.bind((source, 0).into()).unwrap();
                let Ok(mut outer) = socket.connect(target).await else { return };
                let _ = tokio::io::copy_bidirectional(&mut inner, &mut outer).await;
            });
        }
    });
    vec![Multiaddr::from(at.ip()).with(Protocol::Tcp(at.port()))]
}

/// A request as the bytes that follow its stream's first, in a cell, which is what one can write.
fn framed(request: &Request) -> Cell {
    let bytes = wire::encode(request);
    let mut cell = Box::new([0_u8; CELL]);
    cell[..4].copy_from_slice(&u32::try_from(bytes.len()).unwrap().to_be_bytes());
    cell[4..4 + bytes.len()].copy_from_slice(&bytes);
    Cell::from_bytes(cell)
}

/// Opens streams one after the other as long as it lives, sends this on each, takes one cell of what comes and no more,
/// and holds them.
async fn hoard(
    to: NodeCertificate,
    way: Vec<Multiaddr>,
    first: Option<Cell>,
    served: Arc<AtomicUsize>,
) {
    let peer = node::peer_id(&to.node()).unwrap();
    loop {
        let links = Links::disposable("hostile.alt").unwrap();
        let mut tasks = JoinSet::new();
        for _ in 0..250 {
            let (links, way, first, served) =
                (links.clone(), way.clone(), first.clone(), Arc::clone(&served));
            tasks.spawn(async move {
                let link = links.open_at(peer, way, Carrier::Request).await.ok()?;
                let (mut reader, mut writer) = link.into_cells();
                match first {
                    Some(first) => writer.write(&[first]).await.ok()?,
                    None => writer.flush().await.ok()?,
                }
                let answered = tokio::time::timeout(ANSWERED, reader.read()).await;
                served.fetch_add(usize::from(matches!(answered, Ok(Ok(_)))), Ordering::Relaxed);
                tokio::time::sleep(ANSWERED).await;
                drop((reader, writer));
                Some(())
            });
        }
        while tasks.join_next().await.is_some() {}
    }
}

/// How many of [`QUESTIONS`] honest questions are answered.
async fn answered(network: &Network, to: &NodeCertificate) -> usize {
    let mut good = 0;
    for _ in 0..QUESTIONS {
        let links = network.links();
        let answer = ask(&links, to, &Request::Certificate, ANSWERED).await;
        good += usize::from(matches!(answer, Ok(Response::Certificate(_))));
    }
    good
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_who_do_not_read_their_answers_hold_nobody_up() {
    let network = Network::start(2, 1, Limits::default(), |node| node).await;
    let to = network.certificate(&network.nodes[0]).await;
    let key = Key([1; 32]);
    let (kind, object, deleters) = (ObjectKind::Body, vec![7; 1 << 20], Vec::new());
    let store = Request::Store(Store { key, kind, object, deleters, nonce: [0; 16] });
    let stored = network.ask(&network.nodes[0], &store).await;
    assert!(matches!(stored, Response::Receipt(_)), "{stored:?}");

    let served = Arc::new(AtomicUsize::new(0));
    let fetch = framed(&Request::Fetch { key });
    let mut attack = JoinSet::new();
    // Two peers of the honest ones' own range, and eight of another.
    let near = certified_addresses(&to);
    let far = way_from(ELSEWHERE, &to).await;
    for way in [&near; 2].into_iter().chain([&far; 8]) {
        attack.spawn(hoard(to.clone(), way.clone(), Some(fetch.clone()), Arc::clone(&served)));
    }
    while served.load(Ordering::Relaxed) < 40 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let good = answered(&network, &to).await;
    println!(
        "beside {} answers that nobody reads: {good} of {QUESTIONS}",
        served.load(Ordering::Relaxed)
    );
    assert!(good * 20 >= QUESTIONS * 19, "{good} of {QUESTIONS}");
    attack.shutdown().await;

    // Whoever takes nothing for ten seconds is disconnected, with all that it has.
    let slow = network.links();
    let verified = network.cross_verified(0).await;
    let mut channel =
        Channel::open(&slow, &verified, Some(&Request::Certificate), PATIENCE).await.unwrap();
    channel.response(PATIENCE).await.unwrap();
    let (mut reader, mut writer) = slow.open(&to, Carrier::Request).await.unwrap().into_cells();
    writer.write(&[fetch]).await.unwrap();
    let ended = channel.response(PATIENCE).await.unwrap_err();
    assert!(matches!(ended, LinkError::Io(_)), "ended by the node: {ended:?}");
    let mut cells = 0;
    while reader.read().await.is_ok() {
        cells += 1;
    }
    assert!(cells * CELL < 1 << 20, "{cells}");
    let answer = ask(&network.links(), &to, &Request::Certificate, PATIENCE).await;
    assert!(answer.is_ok(), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_say_nothing_are_a_range_s_own_matter() {
    let network = Network::start(2, 1, Limits::default(), |node| node).await;
    let to = network.certificate(&network.nodes[0]).await;
    let served = Arc::new(AtomicUsize::new(0));
    let way = way_from(ELSEWHERE, &to).await;
    let mut attack = JoinSet::new();
    for _ in 0..20 {
        // The stream's first byte, and nothing of a request.
        attack.spawn(hoard(to.clone(), way.clone(), None, Arc::clone(&served)));
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let good = answered(&network, &to).await;
    println!("beside 5,000 silent streams: {good} of {QUESTIONS}");
    assert!(good * 20 >= QUESTIONS * 19, "{good} of {QUESTIONS}");
    assert_eq!(served.load(Ordering::Relaxed), 0);
    // A peer has its share of streams, over all its connections, and no more.
    let peer = node::peer_id(&to.node()).unwrap();
    let greedy = network.links();
    let mut held = Vec::new();
    for _ in 0..300 {
        let link = greedy.open_at(peer, way.clone(), Carrier::Request).await.unwrap();
        let (reader, mut writer) = link.into_cells();
        writer.flush().await.unwrap();
        held.push((reader, writer));
    }
    let mut gone = 0;
    for (reader, _) in &mut held {
        let end = tokio::time::timeout(Duration::from_millis(20), reader.read()).await;
        gone += usize::from(end.is_ok());
    }
    assert!(gone >= 300 - Limits::default().streams_per_peer, "{gone} are gone");
    attack.shutdown().await;
}
