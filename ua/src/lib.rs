//! The user agent of cutout: sends, fetches and reads anonymous mail; also the commands that run a node, keep
//! the certificate authority and show the whole thing at work.
//!
//! ```text
//! command ─► send ────► courier (anonymous │ direct) ─► scheme (guarded │ paper) ─► node::Channel
//!        └─► receive ─► route (the same) ─► roster: the nodes there are; entrance: the few that lead in
//! home, vault, account, outbox: what is kept, sealed          maildir: where mail ends up
//! ```

pub mod account;
pub mod answers;
pub mod certificates;
pub mod cli;
pub mod cluster;
pub mod command;
pub mod compose;
pub mod courier;
pub mod delay;
pub mod demo;
pub mod entrance;
pub mod error;
pub mod event;
pub mod evidence;
pub mod fields;
pub mod guard;
pub mod handover;
pub mod hedge;
pub mod home;
pub mod identifying;
pub mod maildir;
pub mod origin;
pub mod outbox;
pub mod place;
pub mod printable;
pub mod receive;
pub mod record;
pub mod roster;
pub mod scheme;
pub mod sealed;
pub mod send;
pub mod session;
pub mod settings;
pub mod terminal;
pub mod underlay;
pub mod vault;
