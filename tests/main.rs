//! The scenarios: the built binary driven as a person would, over networks of real processes.
//!
//! One test binary, one module a scenario. Each takes room for the nodes that it starts ([`support::room`]), and what
//! counts time or bytes takes all of it.

#![allow(missing_docs, unreachable_pub, reason = "a test binary has no readers from outside")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a scenario fails by panicking, in its helpers too, which clippy does not take for tests"
)]

mod agents;
mod asking;
mod audit_canary;
mod audit_live;
mod authority;
mod bad_input;
mod by_view;
mod cases;
mod churn;
mod cost;
mod distribution;
mod doctor;
mod end_to_end;
mod faults;
mod files;
mod first_mail;
mod garbage;
mod guarded;
mod holdings;
mod hostile;
mod hostile40;
mod keepers;
mod layers;
mod letters;
mod lookup;
mod node_toml;
mod reading;
mod round_trips;
mod strangers;
mod support;
mod texts;
mod tidy;
mod tor;
mod views;
mod walkthrough;
