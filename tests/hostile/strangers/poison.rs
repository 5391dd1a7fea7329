//! A peer that tells of ever new addresses of its own, until answers that name it fit no message any more.

use std::time::Duration;

use futures::StreamExt as _;
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder, identify,
    identity::Keypair,
    kad, noise,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use node::Limits;

use super::{Network, TIMEOUT};

/// How often the peer pushes four new addresses: on a node that takes all, 90 suffice.
const PUSHES: u32 = 200;

#[derive(NetworkBehaviour)]
struct Member {
    identify: identify::Behaviour,
    kademlia: kad::Behaviour<kad::store::MemoryStore>,
}

fn member(mode: kad::Mode) -> Swarm<Member> {
    let keypair = Keypair::generate_ed25519();
    let local = keypair.public().to_peer_id();
    let protocol = StreamProtocol::new("/cutout/hostile.alt/kad/1");
    let store = kad::store::MemoryStore::new(local);
    let mut kademlia = kad::Behaviour::with_config(local, store, kad::Config::new(protocol));
    kademlia.set_mode(Some(mode));
    let described = identify::Config::new("/cutout/1".into(), keypair.public());
    let identify = identify::Behaviour::new(described.with_hide_listen_addrs(true));
    SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|_| Member { identify, kademlia })
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(TIMEOUT))
        .build()
}

/// Whether a node answers a stranger's lookup, and how many addresses it names of this peer.
async fn looked_up(node: &Multiaddr, peer: &Multiaddr, named: PeerId) -> (bool, usize) {
    let mut stranger = member(kad::Mode::Client);
    let libp2p::multiaddr::Protocol::P2p(id) = peer.iter().last().unwrap() else { panic!() };
    stranger.behaviour_mut().kademlia.add_address(&id, node.clone());
    stranger.behaviour_mut().kademlia.get_closest_peers(id);
    loop {
        let event = tokio::time::timeout(TIMEOUT, stranger.select_next_some()).await.unwrap();
        if let SwarmEvent::Behaviour(MemberEvent::Kademlia(kad::Event::OutboundQueryProgressed {
            result: kad::QueryResult::GetClosestPeers(result),
            stats,
            ..
        })) = event
        {
            let found = result.map(|found| found.peers).unwrap_or_default();
            let named = found.iter().find(|found| found.peer_id == named);
            return (stats.num_successes() > 0, named.map_or(0, |named| named.addrs.len()));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_tells_of_ever_new_addresses_of_its_own_breaks_no_lookup() {
    let network = Network::start_alone(2, 1, Limits::default(), |node| node).await;
    let address = network.nodes[0].addresses()[0].clone();
    let libp2p::multiaddr::Protocol::P2p(node) = address.iter().last().unwrap() else { panic!() };
    let mut evil = member(kad::Mode::Server);
    let id = *evil.local_peer_id();
    evil.dial(address.clone()).unwrap();
    let (mut pushed, mut number) = (0, 0);
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    let mut known = false;
    while pushed < PUSHES {
        tokio::select! {
            event = evil.select_next_some() => match event {
                SwarmEvent::Behaviour(MemberEvent::Identify(identify::Event::Sent { .. })) => known = true,
                SwarmEvent::Behaviour(MemberEvent::Identify(identify::Event::Pushed { .. })) => pushed += 1,
                _ => {}
            },
            _ = tick.tick(), if known => {
                let old: Vec<_> = evil.external_addresses().cloned().collect();
                old.iter().for_each(|address| evil.remove_external_address(address));
                for _ in 0..4 {
                    number += 1;
                    let new = format!("/ip4/198.51.{}.{}/tcp/{}", number / 250, number % 250, 1_000 + number);
                    evil.add_external_address(new.parse().unwrap());
                }
                evil.behaviour_mut().identify.push([node]);
            }
        }
    }
    let keeping = tokio::spawn(async move {
        loop {
            evil.select_next_some().await;
        }
    });
    let mut good = 0;
    for _ in 0..20 {
        let (answered, named) = looked_up(&address, &address, id).await;
        good += usize::from(answered);
        assert!(named <= 5, "{named} addresses of one peer");
    }
    println!("after {PUSHES} pushes: {good} of 20 lookups are answered");
    assert!(good >= 19, "{good} of 20");
    keeping.abort();
}
