//! Channels over nodes that run: built ahead of need, or when one is wanted.

use super::*;

/// So many nodes: a mail needs no more where one of them keeps it.
const NODES: u8 = 6;
/// Longer than anything here takes.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Tells a roster of all these nodes, as if they had long been there.
fn tell(roster: &RosterKeeper, nodes: &[Alive]) {
    let long_ago = roster.network().epoch(now()).before().before();
    for certificate in nodes.iter().map(|node| &node.certificate) {
        for source in [Source::Contact, Source::Member(Operator::of(certificate))] {
            roster.with(|roster| roster.learn(certificate.clone(), source, long_ago));
        }
    }
}

/// Nodes that know each other, the first of which is the guard of an agent that knows them all.
async fn agent() -> (Vec<Alive>, Arc<GuardedScheme>) {
    let file = NetworkFile::parse("name = 'built.alt'\nk = 1").unwrap();
    let network = Arc::new(file.network().unwrap());
    let mut nodes = Vec::new();
    for number in 0..NODES {
        nodes.push(Alive::start(90 + number, file.clone()).await);
    }
    nodes.iter().for_each(|node| tell(node.running.service().roster(), &nodes));
    let roster = Arc::new(RosterKeeper::open(Arc::clone(&network), None, net::Clock::default()));
    tell(&roster, &nodes);
    let guards = vec![nodes[0].certificate.clone()];
    let evidence = Arc::new(EvidenceLog::new(Context::quiet(file.network().unwrap())));
    let plan = GuardedPlan { roster, guards, middle: 1, complete: true };
    (nodes, Arc::new(GuardedScheme::new(evidence, plan)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_was_built_ahead_serves_first_and_the_next_one_is_built_when_it_is_wanted() {
    let (nodes, scheme) = agent().await;
    // A channel that is ready does not serve for a key that one of its nodes is near.
    let key = (0..=255)
        .map(|byte| Key([byte; 32]))
        .find(|key| !scheme.near_to(key).contains(&nodes[0].certificate.node()));
    let key = key.unwrap();
    scheme.build_ahead(1, &[key]);
    let built = async {
        while scheme.ready() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(TIMEOUT, built).await.expect("a channel is built");
    let early = Request::Closest { key, count: 1 };
    let mut anonymizers = BTreeSet::new();
    for place in ["built ahead", "built now"] {
        let OpenChannel { answer, path, .. } = scheme.open(Purpose::Body, &early).await.unwrap();
        assert_eq!(scheme.ready(), 0, "{place}");
        assert_eq!(path.go_between, nodes[0].certificate.node());
        let stated = scheme.stated(path.anonymizer, key, &answer).unwrap();
        assert_eq!(BTreeSet::from_iter(stated), scheme.near_to(&key), "{place}");
        assert!(anonymizers.insert(path.anonymizer), "no anonymizer serves twice");
    }
    assert_eq!(evidence(&scheme), []);
}
