//! The user agent of cutout: it sends, fetches and keeps anonymous mail. [`agent::Agent`] is the way in.
//!
//! ```text
//! Agent ─► send ────► replica client (anonymous │ direct) ─► scheme (guarded │ paper) ─► net::Channel
//!      └─► receive ─► route (the same) ─► roster: the nodes there are; bootstrap: the few that lead in
//! context: network, clock, listener, transport       evidence: what nodes did that honest ones do not do
//! profile, vault, account, outbox: what is kept, sealed       maildir: where mail ends up
//! ```
//!
//! # Example
//!
//! A new user's profile, and the agent over it. Nobody is asked for what the agent knows.
//!
//! ```
//! use std::sync::Arc;
//! use net::{Clock, Transport};
//! use ua::{account::Account, agent::Agent, event::Silent, profile::Profile, vault::{KdfCost, Passphrase}};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let directory = tempfile::tempdir()?;
//! let passphrase = Passphrase::new("correct horse".to_owned())?;
//! let profile =
//!     Profile::create(directory.path(), "name = 'demo.alt'", &passphrase, KdfCost::new(8, 1)?)?;
//! let context = profile.context(Clock::default(), Arc::new(Silent), Transport::Tcp)?;
//! profile.write_account(&Account::self_certifying(&context.network, context.now()))?;
//!
//! let agent = Agent::new(profile, context)?;
//! let status = agent.status()?;
//! assert_eq!((status.known, status.outbox.waiting.len()), (0, 0));
//! assert_eq!(status.address.domain(), "demo.alt");
//! # Ok(())
//! # }
//! ```

pub mod account;
pub mod agent;
pub mod answers;
pub mod bootstrap;
pub(crate) mod certificates;
pub mod compose;
pub mod context;
pub mod error;
pub mod event;
pub mod evidence;
pub mod fields;
pub mod guard;
pub(crate) mod hedge;
pub mod identifying;
pub mod maildir;
pub mod origin;
pub mod outbox;
pub mod profile;
pub mod receive;
pub mod replica_client;
pub mod roster;
pub mod scheme;
pub mod sealed;
pub mod send;
pub mod session;
pub mod vault;
pub mod violation;
