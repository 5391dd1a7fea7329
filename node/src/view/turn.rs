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
