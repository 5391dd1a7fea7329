//! Over a real Tor network: see `tor/ground.rs`.

mod bridges;
mod closed;
mod doctor;
mod ground;
mod isolation;
mod onion_only;
mod through_exits;
