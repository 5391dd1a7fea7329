//! Bytes from an enemy, for everything that `anon` decodes: they are refused, or they are what the decoded
//! value encodes to; nothing panics, nothing is allocated because a length says so.
#![cfg(test)]

#[path = "channels/by_hand.rs"]
mod by_hand;
#[path = "support/world.rs"]
mod world;

#[path = "hostile_bytes/bounds.rs"]
mod bounds;
#[path = "hostile_bytes/specimens.rs"]
mod specimens;
#[path = "hostile_bytes/sweeps.rs"]
mod sweeps;
