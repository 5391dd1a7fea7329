//! The scenarios: the built binary driven as a person would, over networks of real processes.
//!
//! One test binary, one module a scenario. Those that start processes run one at a time, whoever runs them:
//! `cargo test` by the lock in [`support`], nextest by its test group.

#![allow(missing_docs, unreachable_pub, reason = "a test binary has no readers from outside")]

mod end_to_end;
mod hostile;
mod support;
