//! The user agent of cutout: sends, fetches and reads anonymous mail; also the commands that run a node, keep
//! the certificate authority and show the whole thing at work.
//!
//! ```text
//! command ─► send ────► courier (anonymous │ direct) ─► scheme (guarded │ paper) ─► net::Channel
//!        └─► receive ─► route (the same) ─► roster: the nodes there are; entrance: the few that lead in
//! home, vault, account, outbox: what is kept, sealed          maildir: where mail ends up
//! ```

pub mod account;
pub mod answers;
pub mod certificates;
pub mod compose;
pub mod courier;
pub mod entrance;
pub mod error;
pub mod event;
pub mod evidence;
pub mod fields;
pub mod guard;
pub mod hedge;
pub mod home;
pub mod identifying;
pub mod maildir;
pub mod origin;
pub mod outbox;
pub mod receive;
pub mod roster;
pub mod scheme;
pub mod sealed;
pub mod send;
pub mod session;
pub mod vault;
