//! The channel keys that a handshake may name: those of the node's certificates, and those of the views that it keeps.

use std::sync::Arc;

use anon::{
    create::HopName,
    handshake::Responder,
    id::{NetworkId, NodeId},
    keys::ChannelSecret,
    network::Epoch,
    view::{accepted::is_accepted, descriptor::Descriptor},
};
use net::clock::Clock;
use parking_lot::Mutex;

use crate::{
    identity::ChannelKeys,
    view::{
        kept::{Kept, Views},
        keys::KeysOnDisk,
    },
};

/// What a handshake needs of a node that keeps views.
pub(crate) struct ViewNames {
    pub(crate) views: Arc<Views>,
    pub(crate) keys: Arc<Mutex<KeysOnDisk>>,
    pub(crate) clock: Clock,
    pub(crate) epoch_seconds: u64,
}

impl ViewNames {
    /// The view of an epoch, if it is here and a handshake may name it now.
    fn accepted(&self, epoch: Epoch) -> Option<Arc<Kept>> {
        let latest = self.views.latest()?.view.epoch();
        let is_accepted = is_accepted(epoch, latest, self.epoch_seconds, self.clock.now());
        self.views.of(epoch).filter(|_| is_accepted)
    }
}

/// A node's channel keys, by what a handshake calls them.
#[derive(derive_more::Debug)]
#[debug("HandshakeKeys(..)")]
pub struct HandshakeKeys {
    pub(crate) network: NetworkId,
    pub(crate) node: NodeId,
    pub(crate) certified: Arc<ChannelKeys>,
    /// None in a network without keepers.
    pub(crate) in_views: Option<ViewNames>,
}

impl HandshakeKeys {
    /// Calls `answer` with the node as it is named, and the key of that name; `None` if it has no such key, or the name is
    /// not accepted now.
    pub fn with<T>(&self, name: &HopName, answer: impl FnOnce(&Responder<'_>) -> T) -> Option<T> {
        let (network, node) = (self.network, self.node);
        let answer = |secret: &ChannelSecret| answer(&Responder { network, node, secret });
        match name {
            HopName::Certificate(digest) => self.certified.with_key(digest, answer),
            HopName::View(epoch) => {
                let names = self.in_views.as_ref()?;
                names.accepted(*epoch)?;
                names.keys.lock().with_key(*epoch, answer)
            }
        }
    }

    /// What the view of an epoch says of another node, if a handshake may name that view now.
    pub(crate) fn in_view(&self, epoch: Epoch, node: &NodeId) -> Option<Descriptor> {
        self.in_views.as_ref()?.accepted(epoch)?.view.nodes().find(node)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use anon::{
        cell::Cell,
        channel::ChannelError,
        create::Create,
        handshake::{Hop, Initiator},
        position::Key,
        request::{Request, Response},
        time::Time,
        verification::CrossVerified,
        view::signed::View,
    };
    use net::{Carrier, Channel, Edge, LinkError, Links, Observer, Via};

    use super::*;
    use crate::{Limits, Running, testing};

    const TIMEOUT: Duration = Duration::from_secs(10);
    const EPOCH: Epoch = Epoch(20_000);
    const BEGINS: Time = Time(20_000 * 86_400);

    fn verified(view: &View, node: &Running) -> CrossVerified {
        CrossVerified::in_view(view, &node.id()).unwrap()
    }

    async fn is_answered(to: &CrossVerified, cell: Cell) -> bool {
        let links = Links::disposable(testing::NETWORK).unwrap();
        let (mut reader, mut writer) =
            links.open_to(to, Carrier::Channel).await.unwrap().into_cells();
        writer.write(&[cell]).await.unwrap();
        reader.read().await.is_ok()
    }

    fn create(to: &CrossVerified) -> Cell {
        Cell::create(&Initiator::start(&to.hop(), None, &mut rand::rng()).unwrap().1)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_node_is_named_by_its_latest_view_and_for_ten_minutes_by_the_one_before() {
        let (nodes, clock) = testing::viewing(1, EPOCH, Limits::default(), |node| node).await;
        let node = &nodes[0].0;
        let epochs = [EPOCH.before(), EPOCH, EPOCH.after(1)];
        let views = epochs.map(|epoch| testing::view_of(&[node], epoch));
        let answered = async |second| {
            clock.set(BEGINS.after(second));
            let mut answered = Vec::new();
            for view in &views {
                let to = verified(view, node);
                answered.push(is_answered(&to, create(&to)).await);
            }
            answered
        };
        assert_eq!(answered(0).await, [false; 3], "no view is here yet");
        testing::keep(node, &views[0]);
        assert_eq!(answered(0).await, [true, false, false]);
        assert_eq!(answered(86_399).await, [true, false, false], "the next one is late");
        testing::keep(node, &views[1]);
        assert_eq!(answered(86_399).await, [false, true, false]);
        assert_eq!(answered(600).await, [false, true, false]);
        assert_eq!(answered(599).await, [true, true, false]);
        // The one before it is accepted for as long as its epoch has not begun, and is gone with the next but one.
        testing::keep(node, &views[2]);
        assert_eq!(answered(0).await, [false, true, true]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_no_handshake_in_a_view_drives_out_none_that_is_remembered() {
        let limits = Limits { replays: 4, ..Limits::default() };
        let (nodes, _) = testing::viewing(1, EPOCH, limits, |node| node).await;
        let node = &nodes[0].0;
        let view = testing::view_of(&[node], EPOCH);
        testing::keep(node, &view);
        let own = verified(&view, node);
        let good = create(&own);
        let again = || Cell::from_bytes(Box::new(*good.as_bytes()));
        assert!(is_answered(&own, again()).await);
        // The version, the kind of name, the epoch, what is behind it; the key, the body, the padding.
        for at in [0, 1, 9, 20, 34, 300, 2_000, 4_095] {
            let mut changed = Box::new(*create(&own).as_bytes());
            changed[at] ^= 1;
            assert!(!is_answered(&own, Cell::from_bytes(changed)).await, "byte {at}");
        }
        assert!(!is_answered(&own, again()).await, "remembered all the same");
        assert!(is_answered(&own, create(&own)).await);
    }

    /// To which nodes channels were extended.
    #[derive(Default)]
    struct Extended(Mutex<Vec<NodeId>>);

    impl Observer for Extended {
        fn received(&self, _: Edge<'_>, _: Via, _: &Request) {}
        fn channel_opened(&self, _: Edge<'_>, _: &Create) {}
        fn extended(&self, _: Edge<'_>, next: &NodeId, _: &Create) {
            self.0.lock().push(*next);
        }
        fn forwarded(&self, _: Edge<'_>, _: bool) {}
        fn answered(&self, _: &NodeId, _: &Request, _: &Response) {}
        fn looked_up(&self, _: &Key, _: &[NodeId]) {}
    }

    async fn open(hops: &[CrossVerified]) -> Result<Channel, LinkError> {
        let links = Links::disposable(testing::NETWORK).unwrap();
        let hops: Vec<_> = hops.iter().map(|hop| (hop.clone(), None)).collect();
        Channel::open_path(&links, &hops, TIMEOUT, |_, _| Ok::<_, LinkError>(())).await
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_go_between_goes_on_only_to_other_nodes_of_its_own_view_of_that_epoch() {
        let seen: Arc<Extended> = Arc::default();
        let (nodes, clock) = testing::viewing(3, EPOCH, Limits::default(), |node| {
            node.observed_by(Arc::clone(&seen) as _)
        })
        .await;
        let [a, b, c] = [0, 1, 2].map(|at| &nodes[at].0);
        let extended = || seen.0.lock().drain(..).collect::<Vec<_>>();
        let (before, view) =
            (testing::view_of(&[a, b, c], EPOCH.before()), testing::view_of(&[a, b, c], EPOCH));
        // The first node's view of the epoch is one without the last node, which its roster knows.
        let without = testing::view_of(&[a, b], EPOCH);
        a.service().roster().met(c.service().keys.certificate().unwrap());
        for node in [a, b, c] {
            testing::keep(node, &before);
        }
        let hops = [a, b, c].map(|node| verified(&before, node));
        let mut channel = open(&hops).await.unwrap();
        let answer = channel.request(&Request::Certificate, TIMEOUT).await.unwrap();
        let Response::Certificate(answer) = answer else { panic!("{answer:?}") };
        assert_eq!(answer.claimed_node(), c.id());
        assert_eq!(extended(), [b.id(), c.id()]);

        testing::keep(a, &without);
        testing::keep(b, &view);
        testing::keep(c, &view);
        let not_extended = |opened: Result<Channel, LinkError>| {
            matches!(opened, Err(LinkError::Channel(ChannelError::NotExtended)))
        };
        let [to_a, to_b, to_c] = [a, b, c].map(|node| verified(&view, node));
        let mut channel = open(&[to_a.clone(), to_b.clone()]).await.unwrap();
        // A certificate is no other way to a node of a view.
        let own = c.service().keys.certificate().unwrap();
        for (to, is_extended) in [(to_c.hop(), false), (Hop::certified(&own), true)] {
            let (next, started) =
                (Box::new(own.to_unverified()), Initiator::start(&to, None, &mut rand::rng()));
            let create = Box::new(started.unwrap().1);
            let answer = channel.request(&Request::Extend { next, create }, TIMEOUT).await.unwrap();
            assert_eq!(matches!(answer, Response::Extended(_)), is_extended, "{answer:?}");
        }
        assert!(not_extended(open(&[to_a.clone(), to_c.clone()]).await), "not in its view");
        assert!(open(&[to_b.clone(), to_c.clone()]).await.is_ok());
        // In the view before it stands, and that may be named for ten minutes.
        let [was_a, _, was_c] = [a, b, c].map(|node| verified(&before, node));
        assert!(open(&[was_a.clone(), was_c.clone()]).await.is_ok());
        let hops = [(to_a.hop(), None), (was_c.hop(), None)];
        let (.., late) = Initiator::start_path(&hops, &mut rand::rng()).unwrap();
        assert_eq!(extended(), [b.id(), c.id(), c.id(), c.id()]);
        clock.set(BEGINS.after(600));
        assert!(open(&[was_a, was_c]).await.is_err());
        let itself = [(to_a.hop(), None), (to_a.hop(), None)];
        let (.., itself) = Initiator::start_path(&itself, &mut rand::rng()).unwrap();
        for create in [late, itself] {
            let links = Links::disposable(testing::NETWORK).unwrap();
            let link = links.open_to(&to_a, Carrier::Channel).await.unwrap();
            let (mut reader, mut writer) = link.into_cells();
            writer.write(&[Cell::create(&create)]).await.unwrap();
            assert!(reader.read().await.is_ok(), "it answers");
            assert!(reader.read().await.is_ok(), "it says that it does not go on");
        }
        assert_eq!(extended(), []);
    }
}
