//! Tests of the DHT: two nodes on this machine that find each other, and lose each other.

use tokio::task::JoinHandle;

use super::*;

/// Longer than anything here takes.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A node's DHT that listens on this machine.
struct Begun {
    peer: PeerId,
    node: NodeId,
    address: Multiaddr,
    dht: Dht,
    driver: DhtLoop,
    seen: mpsc::Receiver<Seen>,
    _links: (Links, Inbound),
}

impl Begun {
    async fn new(seed: u8, bootstrap: &[(PeerId, Multiaddr)]) -> Self {
        let identity = Identity::from_seed(&[seed; 32]).unwrap();
        let (sender, seen) = mpsc::channel(16);
        let limits = Limits::default();
        let bootstrap = bootstrap.to_vec();
        let started =
            start(&identity, "dht.alt", bootstrap, &limits, sender, Carriage::Tcp).unwrap();
        let Started { dht, links, inbound, mut driver } = started;
        let bound = driver.listen(&["/ip4/127.0.0.1/tcp/0".parse().unwrap()]).await.unwrap();
        driver.advertise(&bound);
        Self {
            peer: identity.keypair().public().to_peer_id(),
            node: identity.node(),
            address: bound[0].clone(),
            dht,
            driver,
            seen,
            _links: (links, inbound),
        }
    }

    fn way_in(&self) -> (PeerId, Multiaddr) {
        (self.peer, self.address.clone())
    }

    /// Drives the swarm, event by event, until this holds.
    async fn drive(&mut self, holds: impl Fn(&DhtLoop) -> bool) {
        let driven = async {
            while !holds(&self.driver) {
                let event = self.driver.swarm.select_next_some().await;
                self.driver.on_event(event);
            }
        };
        tokio::time::timeout(TIMEOUT, driven).await.expect("it comes to hold");
    }

    /// Whether Kademlia would name this peer to others.
    fn names(&mut self, peer: PeerId) -> bool {
        let bucket = self.driver.swarm.behaviour_mut().kademlia.kbucket(peer);
        bucket.is_some_and(|bucket| bucket.iter().any(|entry| *entry.node.key.preimage() == peer))
    }
}

fn run(driver: DhtLoop) -> JoinHandle<()> {
    tokio::spawn(driver.run())
}

async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(TIMEOUT, looking).await.expect(what)
}

/// A node's address at which nobody listens.
fn nobody() -> (PeerId, Multiaddr) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    (PeerId::random(), format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_has_joined_when_another_has_answered_it_and_no_earlier() {
    let mut first = Begun::new(1, &[]).await;
    tokio::time::timeout(TIMEOUT, first.dht.joined()).await.expect("the first is in at once");
    let way_in = first.way_in();
    run(first.driver);
    let mut second = Begun::new(2, &[way_in]).await;
    run(second.driver);
    tokio::time::timeout(TIMEOUT, second.dht.joined()).await.expect("the first answers");

    let mut lonely = Begun::new(3, &[nobody()]).await;
    run(lonely.driver);
    let joined = tokio::time::timeout(Duration::from_secs(1), lonely.dht.joined()).await;
    assert!(joined.is_err(), "nobody has answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_enters_is_found_where_it_says_and_is_a_neighbour_until_it_goes() {
    let mut first = Begun::new(4, &[]).await;
    let mut second = Begun::new(5, &[first.way_in()]).await;
    let (one, _one) = (first.dht.clone(), run(first.driver));
    let (two, ended) = (second.dht.clone(), run(second.driver));

    // Each is handed on, so that its certificate is asked for: the first where it was dialled, the second where it says.
    let next = async |seen: &mut mpsc::Receiver<Seen>| {
        let (caller, found) = tokio::time::timeout(TIMEOUT, seen.recv()).await.unwrap().unwrap();
        (caller.peer, found)
    };
    let (peer, (node, _)) = next(&mut second.seen).await;
    assert_eq!((peer, node), (first.peer, first.node));
    let says = vec![second.address.clone()];
    assert_eq!(next(&mut first.seen).await, (second.peer, (second.node, says.clone())));
    let asked = async || (one.kademlia_requests() > 0).then_some(());
    until("what the second asked is counted", asked).await;
    let is_neighbour = async || one.neighbours().await.iter().any(|(peer, _)| *peer == second.peer);
    until("it is a neighbour", async || is_neighbour().await.then_some(())).await;

    let third = Begun::new(8, &[(first.peer, first.address.clone())]).await;
    let (three, _three) = (third.dht.clone(), run(third.driver));
    let is_told = async || {
        let found = three.lookup(Key([7; 32]), 3).await.unwrap();
        let (_, addresses) = found.into_iter().find(|(node, _)| *node == second.node)?;
        let plain: Vec<_> =
            addresses.iter().filter_map(|a| without_peer_id(a, &second.peer)).collect();
        (plain == says).then_some(())
    };
    until("the first tells others where the second is", is_told).await;

    drop(two);
    ended.abort();
    until("it is no neighbour any more", async || (!is_neighbour().await).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_be_dialled_is_not_named_to_others_unless_it_is_connected_all_the_same() {
    use libp2p::swarm::{ConnectionId, DialError, dial_opts::PeerCondition};

    let first = Begun::new(6, &[]).await;
    let (peer, address) = first.way_in();
    let running = run(first.driver);
    let mut second = Begun::new(7, &[(peer, address.clone())]).await;
    let failed = |error| SwarmEvent::OutgoingConnectionError {
        connection_id: ConnectionId::new_unchecked(0),
        peer_id: Some(peer),
        error,
    };
    second.driver.enter();
    second.drive(|driver| driver.swarm.is_connected(&peer)).await;
    second.driver.on_event(failed(DialError::Aborted));
    assert!(second.names(peer), "one of its addresses fails, another one is in use");

    running.abort();
    second.drive(|driver| !driver.swarm.is_connected(&peer)).await;
    second.driver.swarm.behaviour_mut().kademlia.add_address(&peer, address);
    second.driver.on_event(failed(DialError::DialPeerConditionFalse(PeerCondition::NotDialing)));
    assert!(second.names(peer), "it was not dialled at all");
    second.driver.on_event(failed(DialError::Aborted));
    assert!(!second.names(peer));
}
