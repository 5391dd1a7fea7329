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
use net::{Carrier, Channel, LinkError, Links, ask, certified_addresses};
use node::Limits;
use tokio::{
    net::{TcpListener, TcpSocket},
    task::JoinSet,
};

use super::network::{Network, TIMEOUT};

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

/// Asks for this over 250 streams at once, as long as it lives: takes one cell of each answer and holds the rest, and
/// asks again where it was refused or given up. Counts the answers that it holds up.
async fn hoard(to: NodeCertificate, way: Vec<Multiaddr>, asked: Cell, held: Arc<AtomicUsize>) {
    let peer = net::peer_id(&to.node()).unwrap();
    let links = Links::disposable("hostile.alt").unwrap();
    let mut tasks = JoinSet::new();
    for _ in 0..250 {
        let (links, way, asked, held) =
            (links.clone(), way.clone(), asked.clone(), Arc::clone(&held));
        tasks.spawn(async move {
            loop {
                if let Ok(link) = links.open_at(peer, way.clone(), Carrier::Request).await {
                    let (mut reader, mut writer) = link.into_cells();
                    let _ = writer.write(std::slice::from_ref(&asked)).await;
                    if reader.read().await.is_ok() {
                        held.fetch_add(1, Ordering::Relaxed);
                        tokio::time::sleep(ANSWERED).await;
                    }
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
    }
    tasks.join_all().await;
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
    let network = Network::start_alone(2, 1, Limits::default(), |node| node).await;
    let to = network.certificate(&network.nodes[0]).await;
    let key = Key([1; 32]);
    let (kind, object, deleters) = (ObjectKind::Body, vec![7; 1 << 20], Vec::new());
    let store = Request::Store(Store { key, kind, object, deleters, nonce: [0; 16] });
    let stored = network.ask(&network.nodes[0], &store).await;
    assert!(matches!(stored, Response::Receipt(_)), "{stored:?}");

    let held = Arc::new(AtomicUsize::new(0));
    let fetch = framed(&Request::Fetch { key });
    let mut attack = JoinSet::new();
    // Two peers of the honest ones' own range, and eight of another.
    let near = certified_addresses(&to);
    let far = way_from(ELSEWHERE, &to).await;
    for way in [&near; 2].into_iter().chain([&far; 8]) {
        attack.spawn(hoard(to.clone(), way.clone(), fetch.clone(), Arc::clone(&held)));
    }
    while held.load(Ordering::Relaxed) < 40 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let good = answered(&network, &to).await;
    println!(
        "beside {} answers that nobody reads: {good} of {QUESTIONS}",
        held.load(Ordering::Relaxed)
    );
    assert!(good * 20 >= QUESTIONS * 19, "{good} of {QUESTIONS}");
    attack.shutdown().await;

    // Whoever takes nothing for ten seconds is disconnected, with all that it has.
    let slow = network.links();
    let verified = network.cross_verified(0).await;
    let mut channel =
        Channel::open(&slow, &verified, Some(&Request::Certificate), TIMEOUT).await.unwrap();
    channel.response(TIMEOUT).await.unwrap();
    let (mut reader, mut writer) = slow.open(&to, Carrier::Request).await.unwrap().into_cells();
    writer.write(&[fetch]).await.unwrap();
    let ended = channel.response(TIMEOUT).await.unwrap_err();
    assert!(matches!(ended, LinkError::Io(_)), "ended by the node: {ended:?}");
    let mut cells = 0;
    while reader.read().await.is_ok() {
        cells += 1;
    }
    assert!(cells * CELL < 1 << 20, "{cells}");
    let answer = ask(&network.links(), &to, &Request::Certificate, TIMEOUT).await;
    assert!(answer.is_ok(), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_and_a_range_have_their_shares_of_streams() {
    let limits = Limits { streams: 40, streams_per_peer: 8, ..Limits::default() };
    let network = Network::start_alone(2, 1, limits, |node| node).await;
    let to = network.certificate(&network.nodes[0]).await;
    let peer = net::peer_id(&to.node()).unwrap();
    let way = way_from(ELSEWHERE, &to).await;
    // Ten peers of one range open twelve streams each, say a byte, and no more.
    let mut open = Vec::new();
    for _ in 0..10 {
        let links = network.links();
        for _ in 0..12 {
            let link = links.open_at(peer, way.clone(), Carrier::Request).await.unwrap();
            let (reader, mut writer) = link.into_cells();
            let _ = writer.flush().await;
            open.push((reader, writer));
        }
    }
    let good = answered(&network, &to).await;
    println!("beside {} streams that say nothing: {good} of {QUESTIONS}", open.len());
    assert!(good * 20 >= QUESTIONS * 19, "{good} of {QUESTIONS}");
    // What is beyond a share is ended at once; the rest would last ten seconds.
    let mut ended = [0; 10];
    for (number, (reader, _)) in open.iter_mut().enumerate() {
        let end = tokio::time::timeout(Duration::from_millis(10), reader.read()).await;
        ended[number / 12] += usize::from(end.is_ok());
    }
    assert!(ended.iter().all(|ended| *ended >= 4), "eight for each peer: {ended:?}");
    assert!(ended.iter().sum::<usize>() >= 100, "twenty for a range: {ended:?}");
}
