//! Sequential link round trips of one anonymous send, counted on links that a proxy delays: cold in the paper's
//! scheme; in the guarded one with channels that stand, and with none.
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
use cutout::terminal::describe;
use net::{Carrier, Links};
use testbed::person::Person;
use ua::{
    event::{Event, Listener, Silent},
    scheme::Scheme,
    session::SchemeChoice,
};

use crate::support::{Network, message};

/// How often a send may be counted until it takes as few round trips as were promised.
const CHANCES: usize = 6;
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
    for node in network.cluster.nodes().iter().take(4) {
        let peer = net::peer_id(&node.id).unwrap();
        let mut address = node.address.clone();
        address.pop();
        let ask = async |request: Request| {
            let link = links.open_at(peer, vec![address.clone()], Carrier::Request).await.unwrap();
            link.request(&request, Duration::from_secs(20)).await.unwrap()
        };
        ask(Request::Certificate).await;
        let start = Instant::now();
        let answer = ask(Request::Lookup { key: Key(rand::random()), count: 8 }).await;
        assert!(matches!(answer, Response::LookedUp(list) if list.len() == 8));
        most = most.max(round_trips(start.elapsed()).floor() - 1.0);
    }
    most
}

/// Somebody who writes to an address of their own, and what an attempt took.
struct Writer(Person);

impl Writer {
    async fn new(network: &Network) -> Self {
        let text = std::fs::read_to_string(network.cluster.network_file()).unwrap();
        let profile = network.directory.path().join("a");
        let person = Person::new(&text, &profile, Arc::new(Silent)).unwrap();
        person.publish().await.unwrap();
        Self(person)
    }

    /// Round trips of one send by a scheme that `prepare` makes over the undelayed network, and prepares for these keys.
    async fn count(
        &self,
        network: &Network,
        choice: SchemeChoice,
        prepare: impl AsyncFnOnce(&Arc<dyn Scheme>, Vec<Key>),
    ) -> f64 {
        network.cluster.set_delay(Duration::ZERO);
        let timeline =
            Arc::new(Timeline { start: Mutex::new(Instant::now()), lines: Mutex::default() });
        let own = self.0.anew(Arc::clone(&timeline) as _, net::Transport::Tcp).unwrap();
        let id = own.hand_in(&message("count", 7), "count", own.address(), false).unwrap();
        let (body, _) = own.body(&id).unwrap();
        let keys = vec![body, own.address().inbox(), own.address().certificate()];
        let scheme = own.agent.scheme(choice).await.unwrap();
        prepare(&scheme, keys).await;
        timeline.lines.lock().unwrap().clear();
        network.cluster.set_delay(ONE_WAY);
        let start = Instant::now();
        *timeline.start.lock().unwrap() = start;
        let outcome = own.deliver(&id, scheme).await.unwrap();
        let count = round_trips(start.elapsed());
        assert!(outcome.waiting.is_empty(), "{:?}", outcome.error);
        println!("\n{count:.1} sequential link round trips");
        for (at, text) in timeline.lines.lock().unwrap().iter() {
            println!("  {at:5.1}  {text}");
        }
        count.floor()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cold_send_takes_at_most_3l_plus_14_round_trips() {
    let network = Network::start_with(24, |options| options.proxied = true).await;
    let writer = Writer::new(&network).await;
    network.cluster.set_delay(ONE_WAY);
    let rounds = rounds_of_a_lookup(&network).await;
    let bound = 3.0 * rounds + 14.0;
    let mut fewest = f64::INFINITY;
    // A random key may name a node that has to be sampled again, and the machine may be busy: that only ever adds to a
    // count.
    for _ in 0..CHANCES {
        let count = writer.count(&network, SchemeChoice::Paper, async |_, _| ()).await;
        fewest = fewest.min(count);
        if fewest <= bound {
            return;
        }
    }
    panic!("{fewest} round trips, at most {bound} (L = {rounds}) were promised");
}

/// Channels of a mail to one recipient: its certificate, and Z and W for the body and for the inbox.
const CHANNELS: usize = 5;
/// The floor of the path sender-X-M-Z-replica, for the body and for the notification.
const WARM: f64 = 8.0;
/// What building the channels adds.
const COLD: f64 = WARM + 6.0;

#[tokio::test(flavor = "multi_thread")]
async fn a_guarded_send_takes_8_round_trips_and_6_more_without_channels() {
    let epoch = 4;
    let network = Network::start_with(36, |options| {
        options.proxied = true;
        options.k = 4;
        options.network.epoch_seconds = epoch;
    })
    .await;
    let writer = Writer::new(&network).await;
    tokio::time::sleep(Duration::from_secs(3 * epoch)).await;
    let (mut warm, mut cold) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..CHANCES {
        let choice = SchemeChoice::Guarded { middle: 1 };
        let standing = async |scheme: &Arc<dyn Scheme>, keys: Vec<Key>| {
            let guarded = Arc::clone(scheme).guarded().unwrap();
            guarded.build_ahead(CHANNELS, &keys);
            for _ in 0..200 {
                if guarded.ready() == CHANNELS {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            assert_eq!(guarded.ready(), CHANNELS, "the channels do not come to stand");
        };
        warm = warm.min(writer.count(&network, choice, standing).await);
        cold = cold.min(writer.count(&network, choice, async |_, _| ()).await);
        if warm <= WARM && cold <= COLD {
            return;
        }
    }
    panic!("{warm} and {cold} round trips, at most {WARM} and {COLD} were promised");
}
