//! What the agent's own roster decides: whom it samples and asks, and what it holds against whom.

mod built;

use anon::{
    network::Network,
    request::ProxiedRequest,
    roster::{Operator, Source},
    selection::{Failure, SampledKeys, Wanted},
    verification::{CrossVerified, Statement, StatementClaims, cross_verify},
};
use net::{Channel, LinkError, NetworkFile, Peer, Via, now};
use node::{ChannelKeys, Identity, Node, NodeConfig, Running, Service as _};

use super::*;
use crate::event::Path;

const KEY: Key = Key([7; 32]);
/// Replicas of a key.
const K: usize = 5;
/// What a complete network needs for K replicas and one go-between: those, a guard, the go-between, and three more.
const NEEDED: u8 = 10;

fn network() -> Network {
    let network = NetworkFile::parse("name = 'guarded.alt'").unwrap().network().unwrap();
    Network { k: K, quorum: 3, ..network }
}

fn identity(seed: u8) -> Identity {
    Identity::from_seed(&[seed; 32]).unwrap()
}

fn id(seed: u8) -> NodeId {
    identity(seed).node()
}

fn certificate(seed: u8) -> NodeCertificate {
    let keys = ChannelKeys::new(String::new(), None, 1_000);
    let addresses = vec![format!("/ip4/127.{seed}.0.1/tcp/1").parse().unwrap()];
    keys.rotate(&identity(seed), &network(), addresses, now()).unwrap();
    keys.certificate().unwrap()
}

/// An agent that knows the nodes with the seeds from one on: so many that are active, and so many that only one other
/// told it of.
fn knowing(active: u8, others: u8, complete: bool) -> GuardedScheme {
    guarded_by(&[1], active, others, complete)
}

/// The same with other guards than the first of them.
fn guarded_by(guards: &[u8], active: u8, others: u8, complete: bool) -> GuardedScheme {
    let network = Arc::new(network());
    let (epoch, roster) = (
        network.epoch(now()),
        RosterKeeper::open(Arc::clone(&network), None, net::Clock::default()),
    );
    let tell = |seed, by| {
        let source = Source::Member(Operator::of(&certificate(by)));
        roster.with(|roster| roster.learn(certificate(seed), source, epoch));
    };
    for seed in 1..=active {
        tell(seed, 101);
        tell(seed, 102);
    }
    for seed in active + 1..=active + others {
        tell(seed, 103 + seed);
    }
    let evidence = Arc::new(EvidenceLog::new(Context::quiet(self::network())));
    let guards = guards.iter().map(|seed| certificate(*seed)).collect();
    let roster = Arc::new(roster);
    GuardedScheme::new(evidence, GuardedPlan { roster, guards, middle: 1, complete })
}

/// The seeds of the first so many nodes, closest to the key first.
fn closest(nodes: u8) -> Vec<u8> {
    let mut seeds: Vec<u8> = (1..=nodes).collect();
    keep_closest(&mut seeds, &KEY, usize::MAX, |seed| id(*seed).position());
    seeds
}

fn ids(seeds: &[u8]) -> Vec<NodeId> {
    seeds.iter().map(|seed| id(*seed)).collect()
}

fn nodes(certificates: &[NodeCertificate]) -> Vec<NodeId> {
    certificates.iter().map(NodeCertificate::node).collect()
}

/// What a node states to be closest to the key.
fn statement(by: u8, closest: &[u8]) -> (NodeId, Response) {
    let network = network();
    let claims = StatementClaims {
        network: network.id,
        node: id(by),
        epoch: network.epoch(now()),
        key: KEY,
        closest: ids(closest),
    };
    let statement = Statement::issue(identity(by).secret(), claims);
    (id(by), Response::Closest(Box::new(statement)))
}

fn found(seeds: &[u8]) -> Response {
    Response::LookedUp(seeds.iter().map(|seed| certificate(*seed).to_unverified()).collect())
}

fn evidence(scheme: &GuardedScheme) -> Vec<(NodeId, Violation)> {
    let evidence = scheme.evidence.take();
    assert!(evidence.iter().all(|e| !e.proof.is_empty()), "it is signed");
    evidence.into_iter().map(|e| (e.node, e.violation)).collect()
}

#[test]
fn an_agent_knows_the_replicas_only_by_a_complete_roster() {
    let replicas = knowing(20, 0, true).own_replicas(&KEY).unwrap();
    assert_eq!(nodes(&replicas), ids(&closest(20)[..K]));
    assert!(knowing(20, 0, false).own_replicas(&KEY).is_none());
    assert!(knowing(0, 0, true).own_replicas(&KEY).is_none());
}

#[test]
fn a_reader_asks_four_nodes_more_than_there_are_replicas_and_what_others_found() {
    let ask = |scheme: &GuardedScheme, answer| scheme.candidates(KEY, answer).unwrap();
    let all = closest(21);
    // The closest of all is one that only the anonymizer has found.
    let scheme = knowing(20, 0, true);
    let own = closest(20);
    assert_eq!(nodes(&ask(&scheme, Response::Refused)), ids(&own[..K + 4]));
    let scheme = knowing(20, 0, false);
    let asked = nodes(&ask(&scheme, found(&[own[0], 21])));
    let expected: Vec<u8> =
        all.into_iter().filter(|seed| own[..K + 4].contains(seed) || *seed == 21).collect();
    assert_eq!(asked, ids(&expected));
    assert!(scheme.candidates(KEY, Response::Refused).is_err());
}

#[test]
fn who_lists_other_replicas_is_charged_by_its_signature_and_nobody_else() {
    let scheme = knowing(20, 0, true);
    let (honest, false_list) = (&closest(20)[..K], [31, 32, 33, 34, 35]);
    for (z_lies, w_lies) in [(false, false), (true, false), (false, true), (true, true)] {
        let list = |by, lies| statement(by, if lies { &false_list } else { honest });
        let set = scheme.compare_replicas(KEY, list(1, z_lies), list(2, w_lies));
        match set {
            Ok(set) => assert!(!z_lies && !w_lies && nodes(set.nodes()) == ids(honest)),
            Err(AgentError::Disagreement(_)) => assert!(z_lies || w_lies),
            Err(error) => panic!("{error}"),
        }
        let liars = [(1, z_lies), (2, w_lies)].into_iter().filter(|(_, lies)| *lies);
        let expected: Vec<_> = liars.map(|(seed, _)| (id(seed), Violation::FalseList)).collect();
        assert_eq!(evidence(&scheme), expected, "{z_lies} {w_lies}");
    }
}

#[test]
fn without_a_complete_roster_two_lists_that_were_looked_up_must_be_the_same() {
    let scheme = knowing(20, 0, false);
    let compare =
        |z: &[u8], w: &[u8]| scheme.compare_replicas(KEY, (id(1), found(z)), (id(2), found(w)));
    let list = closest(30)[..K].to_vec();
    assert_eq!(nodes(compare(&list, &list).unwrap().nodes()), ids(&list));
    assert!(compare(&list, &list[1..]).is_err());
    assert_eq!(evidence(&scheme), []);
}

#[test]
fn a_statement_is_held_against_the_roster_as_far_as_that_is_complete() {
    let near = closest(20);
    let own = certificate(near[0]);
    for complete in [true, false] {
        let scheme = knowing(20, 0, complete);
        let judge = |(asked, answer): (NodeId, Response)| scheme.judge(asked, KEY, &own, &answer);
        judge(statement(2, &near[..1])).unwrap();
        assert_eq!(evidence(&scheme), []);
        // Another that is next in line, as after churn.
        judge(statement(2, &near[1..2])).unwrap();
        let noted = [(id(2), Violation::OtherClosest)];
        assert_eq!(evidence(&scheme), noted[..usize::from(complete)]);
        // One that nobody knows.
        let lie = judge(statement(2, &[31]));
        assert_eq!(matches!(lie, Err(AgentError::Disagreement(_))), complete, "{lie:?}");
        let noted = [(id(2), Violation::FalseClosest)];
        assert_eq!(evidence(&scheme), noted[..usize::from(complete)]);
        // What another signed says nothing.
        let (_, others) = statement(3, &near[..1]);
        assert!(matches!(judge((id(2), others)), Err(AgentError::BadAnswer)));
    }
}

#[test]
fn an_agent_says_why_it_can_sample_no_path() {
    let why = |active, others| knowing(active, others, true).too_few();
    let (known, needed) = (usize::from(NEEDED) - 1, usize::from(NEEDED));
    let small = why(NEEDED - 1, 0);
    assert!(
        matches!(small, AgentError::NetworkTooSmall { known: k, needed: n } if (k, n) == (known, needed)),
        "{small:?}"
    );
    // Large enough, but most of it was heard of just now.
    assert!(matches!(why(NEEDED / 2 - 1, NEEDED / 2 + 1), AgentError::RosterTooSmall));
    for (active, others) in [(NEEDED, 0), (NEEDED / 2, NEEDED / 2), (20, 0)] {
        let why = why(active, others);
        assert!(matches!(why, AgentError::TooFewNodes), "{active} and {others}: {why:?}");
    }
}

const SENDING: Wanted<'static> = Wanted { is_reading: false, near: &BTreeSet::new(), attempt: 0 };

#[test]
fn a_mail_in_a_small_network_always_finds_an_anonymizer() {
    let scheme = knowing(NEEDED, 0, true);
    for number in 0..3 * NEEDED {
        assert!(scheme.next_path(SENDING).is_some(), "path {number}");
    }
}

#[test]
fn an_anonymizer_that_is_set_apart_serves_no_other_path_of_a_reading() {
    let scheme = knowing(NEEDED, 0, true);
    let reading = Wanted { is_reading: true, ..SENDING };
    let sample = || scheme.next_path(reading).unwrap().anonymizer.1.node();
    let inbox = sample();
    scheme.set_apart(inbox);
    assert!((0..5 * NEEDED).all(|_| sample() != inbox));
}

#[test]
fn only_what_broke_can_be_the_guards_doing() {
    for (error, failure) in [
        (AgentError::Link(LinkError::Unreachable), Failure::Unreachable),
        (AgentError::Link(LinkError::TimedOut), Failure::Broke),
        (AgentError::BadAnswer, Failure::BadAnswer),
    ] {
        assert_eq!(build::failure(&error), failure);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_guard_that_is_not_there_the_spare_serves() {
    // Nobody listens at the address of either.
    let scheme = guarded_by(&[1, 2], 20, 0, true);
    let serves = || scheme.next_path(SENDING).unwrap().guard.node();
    assert_eq!(serves(), id(1));
    let early = Request::Closest { key: KEY, count: 1 };
    let open = scheme.open(Purpose::Body, &early).await;
    assert!(matches!(open, Err(AgentError::NoGuard)), "{open:?}");
    assert_eq!(serves(), id(2));
}

#[test]
fn a_request_is_about_the_key_that_it_names_nodes_by() {
    let about = |request: &Request| key_of(request).copied();
    let (key, count) = (KEY, 1);
    assert_eq!(about(&Request::Closest { key, count }), Some(KEY));
    assert_eq!(about(&Request::Lookup { key, count }), Some(KEY));
    let perform = |targets| {
        let request = Box::new(Request::Fetch { key: Key([8; 32]) });
        about(&Request::Perform { targets, request })
    };
    assert_eq!(perform(Targets::Closest { key, count }), Some(KEY));
    assert_eq!(perform(Targets::LookedUp { key, count }), Some(KEY));
    assert_eq!(perform(Targets::Nodes(vec![id(1)])), None);
    let proxied = ProxiedRequest { target: id(1), request: Request::Fetch { key } };
    assert_eq!(about(&Request::PerformEach(vec![proxied])), None);
}

/// A node that runs in a directory of its own.
struct Alive {
    _directory: tempfile::TempDir,
    running: Running,
    certificate: NodeCertificate,
}

impl Alive {
    async fn start(number: u8, file: NetworkFile) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listen = vec![format!("/ip4/127.{number}.0.1/tcp/0")];
        let config = NodeConfig { listen, ..NodeConfig::default() };
        let node = Node::new(directory.path().to_path_buf(), file, config).start().await.unwrap();
        let peer =
            Peer { id: net::peer_id(&node.id()).unwrap(), address: node.addresses()[0].clone() };
        let own = node.service().handle(&peer, Via::Direct, Request::Certificate).await;
        let Response::Certificate(own) = own else { panic!("{own:?}") };
        let certificate = own.verify(node.network(), now()).unwrap();
        Self { _directory: directory, running: node, certificate }
    }
}

/// A node, and a way to have channels to it, however many.
struct Far {
    _node: Alive,
    links: Links,
    hop: CrossVerified,
}

impl Far {
    async fn start() -> Self {
        let node = Alive::start(83, NetworkFile::parse("name = 'pool.alt'").unwrap()).await;
        let hop = cross_verify(node.certificate.clone(), node.certificate.clone()).unwrap();
        let links = Links::disposable("pool.alt").unwrap();
        Self { _node: node, links, hop }
    }

    /// A channel that says to lead through one node to another.
    async fn ready(&self, go_between: u8, middle: &[u8], anonymizer: u8) -> ReadyChannel {
        let hop = std::slice::from_ref(&self.hop);
        let open = Channel::open(&self.links, &hop[0], None, HANDSHAKE_TIMEOUT).await;
        let path = Path {
            go_between: id(go_between),
            middle: ids(middle),
            witness: id(99),
            anonymizer: id(anonymizer),
        };
        ReadyChannel { channel: open.unwrap(), path }
    }
}

const KEYS: SampledKeys = SampledKeys { go_between: KEY, witness: KEY, anonymizer: KEY };

#[tokio::test(flavor = "multi_thread")]
async fn of_what_stands_ready_that_is_taken_which_is_not_near_the_key() {
    let (far, scheme) = (Far::start().await, knowing(20, 0, true));
    let order = closest(20);
    let (near, aside) = (&order[..K], &order[K..]);
    let paths = [
        (near[0], [aside[1]], aside[2]),
        (aside[0], [near[1]], aside[3]),
        (aside[0], [aside[1]], near[4]),
        (aside[0], [aside[1]], aside[4]),
    ];
    for (go_between, middle, anonymizer) in paths {
        let ready = far.ready(go_between, &middle, anonymizer).await;
        scheme.state.lock().pool.put(ready, KEYS);
    }
    let take = || scheme.take_ready(Purpose::Body, &KEY).map(|ready| ready.path.anonymizer);
    assert_eq!((take(), take()), (Some(id(aside[4])), None));
    assert_eq!(scheme.ready(), 3, "the others serve for other keys");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_channels_wait_than_there_is_room_for_and_all_can_be_given_up() {
    let (far, mut pool) = (Far::start().await, Pool::default());
    let seeds: Vec<u8> = (1..=33).collect();
    for seed in &seeds {
        pool.put(far.ready(100, &[], *seed).await, KEYS);
    }
    assert_eq!(pool.len(), 32);
    assert_eq!(pool.discard(), ids(&seeds[..32]));
    assert_eq!((pool.len(), pool.discard()), (0, Vec::new()));
}
