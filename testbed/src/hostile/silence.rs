//! A go-between that extends channels as it should and then stops forwarding: at once, without closing anything,
//! so that whoever waits must find out by a clock; or some cells later, by closing.

use std::sync::{
    OnceLock,
    atomic::{AtomicUsize, Ordering},
};

use anon::{cell::Layer, channel::GoBetween};
use net::{CellReader, CellWriter, LinkError, Peer};

use super::{
    behaviour::{Act, Ledger},
    channels::Ends,
};

/// The most cells that pass before a channel is closed: about as many as a short mail has.
const MOST_CELLS: usize = 4;
/// One channel in so many is not closed: its sender waits half a minute.
const RARELY: usize = 3;

/// Forwards some cells of a channel, or none, and then stops.
pub(super) async fn forward(
    ledger: &Ledger,
    peer: &Peer,
    go_between: GoBetween,
    (from_sender, to_sender): Ends,
    (from_next, to_next): Ends,
) -> Result<(), LinkError> {
    let closes = !ledger.turn().is_multiple_of(RARELY);
    let left = AtomicUsize::new(if closes { rand::random_range(0..=MOST_CELLS) } else { 0 });
    let GoBetween { forward, backward } = go_between;
    let told = OnceLock::new();
    let stop = || {
        if told.set(()).is_ok() {
            let act = if closes { Act::ClosedChannel } else { Act::StoppedForwarding };
            ledger.write(peer, act);
        }
        !closes
    };
    let forward = pass(from_sender, to_next, forward, &left, &stop);
    let backward = pass(from_next, to_sender, backward, &left, &stop);
    tokio::select! { ended = forward => ended, ended = backward => ended }
}

async fn pass(
    mut from: CellReader,
    mut to: CellWriter,
    mut layer: Layer,
    left: &AtomicUsize,
    goes_on: &(impl Fn() -> bool + Sync),
) -> Result<(), LinkError> {
    loop {
        let mut cell = from.read().await?;
        let one_less = |left: usize| left.checked_sub(1);
        if left.try_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_err() {
            if goes_on() {
                continue;
            }
            return Ok(());
        }
        layer.apply(&mut cell);
        to.write(&[cell]).await?;
    }
}
