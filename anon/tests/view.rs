//! The signed view of an epoch: what counts, what is refused and how, and what it costs in bytes.
#![cfg(test)]

#[path = "view/closest.rs"]
mod closest;
#[path = "view/difference.rs"]
mod difference;
#[path = "view/quorum.rs"]
mod quorum;
#[path = "view/sample.rs"]
mod sample;
#[path = "view/statement.rs"]
mod statement;
#[path = "view/whole.rs"]
mod whole;
