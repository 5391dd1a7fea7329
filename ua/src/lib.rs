//! The user agent of cutout: it sends, fetches and keeps anonymous mail. [`agent::Agent`] is the way in.
//!
//! ```text
//! Agent ─► send ────► courier (anonymous │ direct) ─► scheme (guarded │ paper) ─► net::Channel
//!      └─► receive ─► route (the same) ─► roster: the nodes there are; bootstrap: the few that lead in
//! context: network, clock, listener, transport       evidence: what nodes did that honest ones do not do
//! home, vault, account, outbox: what is kept, sealed          maildir: where mail ends up
//! ```

pub mod account;
pub mod agent;
pub mod answers;
pub mod bootstrap;
pub mod certificates;
pub mod compose;
pub mod context;
pub mod courier;
pub mod error;
pub mod event;
pub mod evidence;
pub mod fields;
pub mod guard;
pub mod hedge;
pub mod home;
pub mod identifying;
pub mod maildir;
pub mod misdeed;
pub mod origin;
pub mod outbox;
pub mod receive;
pub mod roster;
pub mod scheme;
pub mod sealed;
pub mod send;
pub mod session;
pub mod vault;
