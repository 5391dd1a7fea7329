//! Sequential link round trips of one cold anonymous send, counted on links that a proxy delays.
//!
//! Elapsed time over the round trip of one link is the count: every link's TCP handshake, Noise handshake and
//! message is in it. What the processes compute in between only adds to it, so the count is rounded down; the
//! delay is long enough for a busy machine. The bound is 3L + 14, L being the rounds of one lookup, counted
//! the same way.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anon::{
    position::Key,
    request::{Request, Response},
};
use node::{Carrier, Links};
use ua::{
    account::Account,
    certificates::publish,
    entrance::Entrance,
    event::{Event, Listener},
    home::Home,
    outbox::Outbox,
    scheme::PaperScheme,
    send::{Mail, Sender},
    terminal::describe,
    vault::{KdfCost, Passphrase},
};

use crate::support::{Network, message};

const ONE_WAY: Duration = Duration::from_millis(250);

struct Timeline {
    start: Mutex<Instant>,
    lines: Mutex<Vec<(f64, String)>>,
}

impl Listener for Timeline {
    fn on(&self, event: &Event) {
        if let Some(text) = describe(event) {
            let at = round_trips(self.start.lock().unwrap().elapsed());
            self.lines.lock().unwrap().push((at, text));
        }
    }
}

fn round_trips(elapsed: Duration) -> f64 {
    elapsed.as_secs_f64() / (ONE_WAY * 2).as_secs_f64()
}

/// Rounds of one lookup by a node that has entered the network: a request on a warm link that makes the node
/// look a random key up, less the same request's own round trip.
async fn rounds_of_a_lookup(network: &Network) -> f64 {
    let links = Links::disposable("demo.alt").unwrap();
    let mut most = 0.0_f64;
    for entrance in network.cluster.nodes().iter().take(4) {
        let peer = node::peer_id(&entrance.id).unwrap();
        let mut address = entrance.address.clone();
        address.pop();
        let ask = async |request: Request| {
            let link = links.open_at(peer, vec![address.clone()], Carrier::Request).await.unwrap();
            link.request(&request, Duration::from_secs(20)).await.unwrap()
        };
        ask(Request::Certificate).await;
        let start = Instant::now();
        let answer = ask(Request::Closest { key: Key(rand::random()), count: 8 }).await;
        assert!(matches!(answer, Response::Closest(list) if list.len() == 8));
        most = most.max(round_trips(start.elapsed()).floor() - 1.0);
    }
    most
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cold_send_takes_at_most_3l_plus_14_round_trips() {
    let network = Network::start_with(24, |options| options.proxied = true).await;
    let text = std::fs::read_to_string(network.cluster.network_file()).unwrap();
    let passphrase = Passphrase::new("x".to_owned()).unwrap();
    let cost = KdfCost::new(8, 1).unwrap();
    let home = Home::create(&network.directory.path().join("a"), &text, &passphrase, cost).unwrap();
    let parameters = home.network().network().unwrap();
    let bob = Account::self_certifying(&parameters, node::now());
    let certificate = bob.certificate(&parameters, node::now()).unwrap();
    let silent: Arc<Entrance> = Arc::new(home.entrance(Arc::new(ua::event::Silent)).unwrap());
    publish(&silent, &certificate).await.unwrap();

    network.cluster.set_delay(ONE_WAY);
    let rounds = rounds_of_a_lookup(&network).await;
    let bound = 3.0 * rounds + 14.0;
    let mut fewest = f64::INFINITY;
    // A random key may name a node that has to be drawn again, and the machine may be busy: three chances.
    for _ in 0..3 {
        let timeline =
            Arc::new(Timeline { start: Mutex::new(Instant::now()), lines: Mutex::default() });
        let entrance = Arc::new(home.entrance(Arc::clone(&timeline) as _).unwrap());
        let sender = Sender {
            scheme: Arc::new(PaperScheme::new(Arc::clone(&entrance))),
            entrance: Arc::clone(&entrance),
            outbox: Outbox::new(home.vault()),
            account: &bob,
            delay: Duration::ZERO,
        };
        let bytes = message("count", 7);
        let recipients = [bob.address().clone()];
        let mail = Mail {
            bytes: &bytes,
            subject: "count",
            recipients: &recipients,
            signed: false,
            direct: false,
            reply_to: None,
        };
        let id = sender.prepare(&mail).unwrap();
        let start = Instant::now();
        *timeline.start.lock().unwrap() = start;
        let outcome = sender.deliver(&id).await.unwrap();
        let count = round_trips(start.elapsed());
        assert!(outcome.waiting.is_empty(), "{:?}", outcome.error);
        println!("\n{count:.1} sequential link round trips, L = {rounds}");
        for (at, text) in timeline.lines.lock().unwrap().iter() {
            println!("  {at:5.1}  {text}");
        }
        fewest = fewest.min(count.floor());
        if fewest <= bound {
            return;
        }
    }
    panic!("{fewest} round trips, at most {bound} (L = {rounds}) were promised");
}
