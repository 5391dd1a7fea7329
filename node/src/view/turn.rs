//! What follows from a later view, and from a later epoch: channel keys whose time is over are destroyed, and the status is
//! written.

use std::sync::Arc;

use anon::{
    keeper::schedule::Moment,
    network::{Epoch, Network},
    time::Time,
};
use net::clock::Clock;
use parking_lot::Mutex;

use super::{kept::Views, keys::KeysOnDisk, status::Board};

/// Does what a later view, or epoch, asks for.
pub(crate) struct Turn {
    pub(crate) network: Arc<Network>,
    pub(crate) clock: Clock,
    pub(crate) views: Arc<Views>,
    pub(crate) keys: Arc<Mutex<KeysOnDisk>>,
    pub(crate) board: Arc<Board>,
}

impl Turn {
    /// Does it for as long as it runs.
    pub(crate) async fn run(self) {
        let mut newest = self.views.newest();
        loop {
            let signed = *newest.borrow_and_update();
            let present = self.network.epoch(Time(self.clock.moment().0 / 1_000));
            self.expire(present, signed);
            self.board.show(&self.views);
            let next = Moment::at(self.network.begins(present.after(1)));
            tokio::select! {
                () = self.clock.reach(next) => {}
                Ok(()) = newest.changed() => {}
            }
        }
    }

    fn expire(&self, present: Epoch, signed: Option<Epoch>) {
        if let Err(error) = self.keys.lock().expire(present, signed) {
            tracing::error!(%error, "channel keys whose time is over are still on the disk");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use anon::{
        keeper::{
            charter::{Charter, CharterTerms},
            vote::Rules,
        },
        keys::{ChannelSecret, IdentitySecret},
        testing::views::{Keepers, NETWORK, node},
        view::keys::ViewKey,
    };
    use net::NetworkFile;

    use super::*;

    /// Views and keys in a directory, and what destroys the keys, which runs.
    struct Turning {
        views: Arc<Views>,
        keys: Arc<Mutex<KeysOnDisk>>,
        clock: Clock,
        board: Arc<Board>,
    }

    impl Turning {
        fn new(directory: &Path, keepers: &Keepers) -> Self {
            let text = "name = 'test.alt'\nk = 1\nepoch_seconds = 100";
            let network = Arc::new(NetworkFile::parse(text).unwrap().network().unwrap());
            let sets = vec![(Epoch(0), keepers.set.keys().to_vec())];
            let rules = Rules::default();
            let terms =
                CharterTerms { epoch_seconds: 100, round: 1_000, sets, rules, is_capped: false };
            let charter = Charter::new(NETWORK, terms).unwrap();
            let views = Arc::new(Views::open(directory, NETWORK, charter));
            let identity = IdentitySecret::from_seed(&[1; 32]);
            let keys = Arc::new(Mutex::new(KeysOnDisk::open(directory, &identity, &NETWORK)));
            let clock = Clock::stopped_at(Time(500));
            let board = Arc::new(Board::new(directory, node(3), Arc::clone(&network)));
            let turn = Turn {
                network,
                clock: clock.clone(),
                views: Arc::clone(&views),
                keys: Arc::clone(&keys),
                board: Arc::clone(&board),
            };
            tokio::spawn(turn.run());
            Self { views, keys, clock, board }
        }

        /// The epochs of 4 to 9 whose keys are there, when all is done that follows.
        async fn keys(&self) -> Vec<u64> {
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            let keys = self.keys.lock();
            (4..=9).filter(|view| keys.with_key(Epoch(*view), |_| ()).is_some()).collect()
        }
    }

    #[tokio::test]
    async fn a_key_is_destroyed_when_the_second_next_view_is_here_and_when_epochs_end_without_one()
    {
        let directory = tempfile::tempdir().unwrap();
        let keepers = Keepers::new(1);
        let turning = Turning::new(directory.path(), &keepers);
        for view in 4..=6 {
            let secret = ChannelSecret::from_seed(&[7; 32]);
            let made = Some(ViewKey { secret, statement: Vec::new() });
            turning.keys.lock().statement(Epoch(view), || made).unwrap();
        }
        assert_eq!(turning.keys().await, [4, 5, 6]);
        turning.views.keep(keepers.view_of(5, None, 0..3)).unwrap();
        assert_eq!(turning.keys().await, [4, 5, 6]);
        assert_eq!(turning.board.at_hand().map(|view| (view.epoch, view.stands)), Some((5, false)));
        turning.views.keep(keepers.view_of(6, None, 0..4)).unwrap();
        assert_eq!(turning.keys().await, [5, 6], "by the view, though its epoch has not begun");
        assert_eq!(turning.board.at_hand().map(|view| (view.epoch, view.stands)), Some((6, true)));
        // No view comes any more.
        for (second, left) in [(899, &[5, 6][..]), (900, &[6]), (999, &[6]), (1_000, &[])] {
            turning.clock.set(Time(second));
            assert_eq!(turning.keys().await, left, "{second}");
        }
    }
}
