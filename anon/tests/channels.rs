//! Channels, both ends in memory: honest runs over one to three hops, and every attack on a cell, a handshake,
//! an extension or a path made in one pass that somebody on the way can try.
#![cfg(test)]

#[path = "support/line.rs"]
mod line;
#[path = "support/pass.rs"]
mod pass;
#[path = "support/world.rs"]
mod world;

#[path = "channels/by_hand.rs"]
mod by_hand;
#[path = "channels/cells.rs"]
mod cells;
#[path = "channels/extension.rs"]
mod extension;
#[path = "channels/handshake.rs"]
mod handshake;
#[path = "channels/honest.rs"]
mod honest;
#[path = "channels/in_view.rs"]
mod in_view;
#[path = "channels/onion.rs"]
mod onion;
