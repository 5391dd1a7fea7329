//! A follower among nodes and keepers that answer as a test has it, by a clock that is set by hand.

use std::{collections::BTreeSet, path::Path};

use anon::{
    keeper::{charter::CharterTerms, signing::Promises, vote::Rules},
    keys::KeeperSecret,
    request::view::{MAX_PIECE, encode_words},
    testing::views::{Keepers, NETWORK, node},
};
use futures::future::BoxFuture;
use net::NetworkFile;
use parking_lot::Mutex;
use tempfile::TempDir;

use super::*;

/// An epoch, and a round, milliseconds.
const EPOCH: u64 = 100_000;
const ROUND: u64 = 1_000;
/// The epoch of the view that is at hand at the beginning.
const OLD: u64 = 7;

fn network(keepers: &Keepers) -> Network {
    let file = NetworkFile::parse("name = 'test.alt'\nk = 1\nepoch_seconds = 100").unwrap();
    let sets = vec![(Epoch(0), keepers.set.keys().to_vec())];
    let rules = Rules::default();
    let epoch_seconds = EPOCH / 1_000;
    let terms = CharterTerms { epoch_seconds, round: ROUND, sets, rules, is_capped: false };
    let charter = Some(Charter::new(NETWORK, terms).unwrap());
    Network { id: NETWORK, charter, ..file.network().unwrap() }
}

fn keep_in(directory: &Path, keepers: &Keepers, views: &[&View]) -> Views {
    let kept = Views::open(directory, NETWORK, network(keepers).charter.unwrap());
    for view in views {
        kept.keep((*view).clone()).unwrap();
    }
    kept
}

/// What a node or a keeper does when it is asked.
enum Manner {
    /// It has these views, and no others.
    Has(Views),
    /// It shows the latest view, and hands out this in place of every piece of it.
    Hands(Views, Vec<u8>),
    /// It has no view, and these words.
    Says(Vec<Absence>),
    /// It never answers.
    Stalls,
}

type Asked = (Moment, NodeId, ViewRequest);

struct World {
    manners: Mutex<BTreeMap<NodeId, Arc<Manner>>>,
    /// Who is none of these.
    others: Arc<Manner>,
    asked: Mutex<Vec<Asked>>,
    clock: Clock,
}

impl Exchange for World {
    fn ask<'a>(&'a self, node: &'a NodeId, request: ViewRequest) -> BoxFuture<'a, Option<Vec<u8>>> {
        self.asked.lock().push((self.clock.moment(), *node, request.clone()));
        let manner = self.manners.lock().get(node).unwrap_or(&self.others).clone();
        Box::pin(async move {
            match (&*manner, &request) {
                (
                    Manner::Hands(_, piece),
                    ViewRequest::Difference { .. } | ViewRequest::View { .. },
                ) => Some(piece.clone()),
                (Manner::Has(views) | Manner::Hands(views, _), _) => views.answer(&request),
                (Manner::Says(words), ViewRequest::Words(_)) => Some(encode_words(words)),
                (Manner::Says(_), _) => None,
                (Manner::Stalls, _) => std::future::pending().await,
            }
        })
    }
}

/// A follower that has the view of epoch [`OLD`] when epoch 8 begins.
struct Scene {
    directory: TempDir,
    world: Arc<World>,
    views: Arc<Views>,
    board: Arc<Board>,
}

impl Scene {
    fn new(keepers: &Keepers, old: &View, others: Manner, of_keepers: Vec<Manner>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Clock::stopped_at(Time((OLD + 1) * EPOCH / 1_000));
        let nodes = keepers.set.keys().iter().map(|key| NodeId(key.0));
        let manners = nodes.zip(of_keepers.into_iter().map(Arc::new)).collect();
        let manners = Mutex::new(manners);
        let asked = Mutex::default();
        let world = Arc::new(World { manners, others: Arc::new(others), asked, clock });
        let views = Arc::new(keep_in(directory.path(), keepers, &[old]));
        let network = Arc::new(network(keepers));
        let board = Arc::new(Board::new(directory.path(), node(0), Arc::clone(&network)));
        Self { directory, world, views, board }
    }

    fn follower(&self, keepers: &Keepers) -> Follower {
        let network = Arc::new(network(keepers));
        Follower {
            charter: network.charter.clone().unwrap(),
            network,
            own: node(0),
            is_keeper: false,
            clock: self.world.clock.clone(),
            exchange: Arc::clone(&self.world) as _,
            views: Arc::clone(&self.views),
            board: Arc::clone(&self.board),
        }
    }

    /// Lets the follower work until so long after the beginning of epoch 8, or until it has its view: what it asked.
    async fn run(&self, keepers: &Keepers, until: u64) -> Vec<Asked> {
        let follower = self.follower(keepers);
        let running = tokio::spawn(follower.run());
        let mut newest = self.views.newest();
        let mut before = 0;
        for step in 0..=until / 100 {
            self.world.clock.set_to(Moment((OLD + 1) * EPOCH + step * 100));
            for _ in 0..200 {
                tokio::task::yield_now().await;
            }
            // Writing is done by another thread.
            let is_fetched = |(.., request): &Asked| {
                matches!(request, ViewRequest::Difference { .. } | ViewRequest::View { .. })
            };
            let fetches = self.world.asked.lock().iter().filter(|asked| is_fetched(asked)).count();
            let writes = std::time::Duration::from_millis(if fetches > before { 200 } else { 0 });
            before = fetches;
            if tokio::time::timeout(writes, newest.changed()).await.is_ok() {
                break;
            }
        }
        running.abort();
        self.world.asked.lock().clone()
    }

    fn epoch(&self) -> u64 {
        self.views.latest().unwrap().view.epoch().0
    }
}

fn difference(base: &View, view: &View) -> Vec<u8> {
    view.difference_from(base).unwrap().flatten().collect()
}

#[tokio::test]
async fn the_view_is_had_by_difference_of_an_honest_keeper_though_all_nodes_lie() {
    let keepers = Keepers::new(4);
    let old = keepers.view_of(OLD, None, 0..60);
    let next = keepers.view_of(OLD + 1, Some(&old), 5..65);
    let shelf = tempfile::tempdir().unwrap();
    let shelves = |name: &str, views: &[&View]| {
        let path = shelf.path().join(name);
        std::fs::create_dir(&path).unwrap();
        keep_in(&path, &keepers, views)
    };
    let mut wrong = difference(&old, &next);
    let last = wrong.len() - 1;
    wrong[last] ^= 1;
    let whole: Vec<u8> = next.whole().flatten().collect();
    let growing = [whole, vec![7; MAX_PIECE]].concat();
    let lies = [
        ("old", Manner::Has(shelves("0", &[&old]))),
        ("wrong", Manner::Hands(shelves("1", &[&old, &next]), wrong)),
        ("growing", Manner::Hands(shelves("2", &[&old, &next]), growing[..MAX_PIECE].to_vec())),
        ("empty", Manner::Hands(shelves("3", &[&old, &next]), Vec::new())),
        ("stalls", Manner::Stalls),
    ];
    for (number, (lie, manner)) in lies.into_iter().enumerate() {
        let honest = (0..4).map(|keeper| {
            Manner::Has(shelves(&format!("keeper {number} {keeper}"), &[&old, &next]))
        });
        let scene = Scene::new(&keepers, &old, manner, honest.collect());
        let asked = scene.run(&keepers, EPOCH - 100).await;
        assert_eq!(scene.epoch(), OLD + 1, "{lie}");
        let liars: BTreeSet<NodeId> = old.nodes().nodes().collect();
        let (of_nodes, of_keepers): (Vec<_>, Vec<_>) =
            asked.iter().partition(|(_, node, _)| liars.contains(node));
        assert!(of_nodes.iter().any(|(.., request)| *request == ViewRequest::Latest), "{lie}");
        // Of the keeper: the latest, then the difference by ids that everybody has.
        let latest = ViewRequest::Latest;
        let by_difference = ViewRequest::Difference { base: old.id(), id: next.id(), from: 0 };
        let requests: Vec<_> = of_keepers.iter().map(|(.., request)| request.clone()).collect();
        assert_eq!(requests, [latest, by_difference], "{lie}");
        let again = keep_in(scene.directory.path(), &keepers, &[]);
        assert_eq!(again.latest().unwrap().view.id(), next.id(), "{lie}: it is on the disk");
    }
}

#[tokio::test]
async fn who_was_away_for_two_epochs_has_the_whole_view() {
    let keepers = Keepers::new(1);
    let old = keepers.view_of(OLD - 1, None, 0..30);
    let missed = keepers.view_of(OLD, Some(&old), 0..30);
    let next = keepers.view_of(OLD + 1, Some(&missed), 0..30);
    let shelf = tempfile::tempdir().unwrap();
    let others = Manner::Has(keep_in(shelf.path(), &keepers, &[&missed, &next]));
    let scene = Scene::new(&keepers, &old, others, vec![Manner::Stalls]);
    let asked = scene.run(&keepers, EPOCH / 2).await;
    assert_eq!(scene.views.latest().unwrap().view, next);
    let requests: Vec<_> = asked.into_iter().map(|(.., request)| request).collect();
    assert_eq!(requests, [ViewRequest::Latest, ViewRequest::View { id: next.id(), from: 0 }]);
}

#[tokio::test]
async fn a_view_of_an_epoch_that_is_far_away_or_of_other_keepers_is_not_taken() {
    let keepers = Keepers::new(1);
    let old = keepers.view_of(OLD, None, 0..30);
    let strangers = Keepers::new(2);
    let theirs = strangers.view_of(OLD + 1, Some(&old), 0..30);
    let far = keepers.view_of(OLD + 3, Some(&old), 0..30);
    let near = keepers.view_of(OLD + 2, Some(&old), 0..30);
    for (view, is_taken) in [(far, false), (near, true)] {
        let shelves = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let others = Manner::Has(keep_in(shelves[0].path(), &strangers, &[&theirs]));
        let keeper = Manner::Has(keep_in(shelves[1].path(), &keepers, &[&view]));
        let scene = Scene::new(&keepers, &old, others, vec![keeper]);
        scene.run(&keepers, EPOCH / 4).await;
        assert_eq!(scene.epoch() == OLD + 2, is_taken);
        assert_eq!(scene.epoch() == OLD, !is_taken);
    }
}

/// Keepers' words that epoch 8 has no view, said at a moment.
fn words(keepers: &Keepers, numbers: std::ops::Range<u8>, said: Moment) -> Vec<Absence> {
    let ballot = network(keepers).charter.unwrap().ballot(Epoch(OLD + 1)).unwrap();
    let word = |number: u8| {
        let secret = KeeperSecret::from_seed(&[0xC0 | number; 32]);
        let promised = Promises::new(None).promise_none(ballot.epoch(), said).unwrap();
        promised.recorded(&ballot, &secret).unwrap()
    };
    numbers.map(word).collect()
}

#[tokio::test]
async fn f_plus_one_words_are_believed_and_handed_on_and_the_node_asks_ever_more_seldom() {
    let keepers = Keepers::new(4);
    let old = keepers.view_of(OLD, None, 0..60);
    let epoch = Epoch(OLD + 1);
    let said = Moment(epoch.0 * EPOCH + 5 * ROUND);
    for (count, are_believed) in [(1, false), (2, true)] {
        let one_by_one = (0..4).map(|keeper| {
            Manner::Says(if keeper < count {
                words(&keepers, keeper..keeper + 1, said)
            } else {
                Vec::new()
            })
        });
        let scene = Scene::new(&keepers, &old, Manner::Says(Vec::new()), one_by_one.collect());
        let asked = scene.run(&keepers, EPOCH / 4).await;
        let told = scene.views.answer(&ViewRequest::Words(epoch));
        assert_eq!(told.is_some(), are_believed);
        assert_eq!(scene.views.answer(&ViewRequest::Words(Epoch(OLD))), None);
        if let Some(told) = told {
            let words = decode_words(&told).unwrap();
            assert_eq!(words.iter().map(Absence::keeper).collect::<Vec<_>>(), [0, 1]);
        }
        let status = crate::ViewStatus::read(scene.directory.path()).unwrap();
        assert_eq!(status.and_then(|status| status.no_view), are_believed.then_some(epoch.0));
        // Nobody is asked for words before the view is late.
        let late = Moment(epoch.0 * EPOCH + 2 * ROUND);
        let is_words = |request: &ViewRequest| matches!(request, ViewRequest::Words(_));
        assert!(asked.iter().all(|(at, _, request)| !is_words(request) || *at > late));

        let keeper = NodeId(keepers.set.keys()[0].0);
        let looks: Vec<Moment> = asked
            .into_iter()
            .filter(|(_, node, request)| *node == keeper && *request == ViewRequest::Latest)
            .map(|(at, ..)| at)
            .collect();
        assert!((4..=12).contains(&looks.len()), "{looks:?}");
        for (number, pair) in looks.windows(2).enumerate() {
            let longest = (ROUND << number.min(8)).min(EPOCH / LONGEST_WAIT);
            let waited = pair[1].0 - pair[0].0;
            assert!((longest / 2..=longest + 200).contains(&waited), "{number}: {looks:?}");
        }
        assert!(looks[0].0 <= epoch.0 * EPOCH + FIRST_WITHIN * ROUND + 100);
    }
}

#[tokio::test]
async fn in_a_large_network_few_nodes_ask_keepers_first_and_in_a_while_all_do() {
    let keepers = Keepers::new(4);
    let old = keepers.view_of(OLD, None, 1..6_401);
    let scene = Scene::new(&keepers, &old, Manner::Says(Vec::new()), Vec::new());
    let follower = scene.follower(&keepers);
    let asking = |ask_keepers| (0..1_000).filter(|_| follower.asks_keepers(ask_keepers)).count();
    assert_eq!(follower.sources(Epoch(OLD + 1), false).len(), 3);
    assert_eq!(follower.sources(Epoch(OLD + 1), true).len(), 3 + 4);
    // One of a hundred, half of them, all of them: the first two are farther off once in 10^9 times.
    assert!((0..=40).contains(&asking(ASK_KEEPERS)));
    assert!((400..=600).contains(&asking(3_200)));
    assert_eq!(asking(6_400), 1_000);
}

#[tokio::test]
async fn a_keeper_leaves_its_own_epochs_to_its_work_and_gets_the_views_of_others() {
    let keepers = Keepers::new(4);
    let old = keepers.view_of(OLD, None, 0..30);
    let scene = Scene::new(&keepers, &old, Manner::Says(Vec::new()), Vec::new());
    let keeper = NodeId(keepers.set.keys()[2].0);
    for (own, is_keeper, makes) in
        [(keeper, true, true), (keeper, false, false), (node(0), true, false)]
    {
        let follower = Follower { own, is_keeper, ..scene.follower(&keepers) };
        assert_eq!(follower.makes(Epoch(OLD + 1)), makes);
        let set = keepers.set.keys().iter().map(|key| NodeId(key.0));
        let asked = follower.sources(Epoch(OLD + 1), true);
        assert!(set.filter(|node| *node != own).all(|keeper| asked.contains(&keeper)));
        assert!(!asked.contains(&own));
    }
}
