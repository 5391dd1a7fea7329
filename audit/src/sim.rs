//! Selection at scale.

pub mod lookup;
pub mod network;
mod number;
