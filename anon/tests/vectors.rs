//! Known answers: published ones for the primitives, and our own for the protocol, which
//! `tests/vectors/generate.py` computed a second time in another language.
#![cfg(test)]

#[path = "support/line.rs"]
mod line;
#[path = "support/pass.rs"]
mod pass;
#[path = "support/tape.rs"]
mod tape;
#[path = "support/vector.rs"]
mod vector;
#[path = "support/world.rs"]
mod world;

#[path = "vectors/channel.rs"]
mod channel;
#[path = "vectors/mail.rs"]
mod mail;
#[path = "vectors/messages.rs"]
mod messages;
#[path = "vectors/names.rs"]
mod names;
#[path = "vectors/onion.rs"]
mod onion;
#[path = "vectors/primitives.rs"]
mod primitives;
#[path = "vectors/view.rs"]
mod view;
