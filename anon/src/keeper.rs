//! How keepers make the view of an epoch: what they exchange, until when, and what each of them may sign.
//!
//! Keepers are to the list of nodes what the certificate authority is to addresses: an outside service, made of several
//! operators. `docs/protocol.md` has the protocol, what each party may assume, and the proof. Everything here is a state
//! machine without clock or network: moments and messages come in, messages and decisions come out.
//!
//! | module | what it is |
//! |---|---|
//! | [`schedule`] | the deadlines of an epoch |
//! | [`charter`] | what the network file says of keepers |
//! | [`ballot`] | which keepers vote for which view |
//! | [`vote`] | what a keeper votes: which nodes it reached |
//! | [`chain`], [`broadcast`] | the exchange of votes, after which all honest keepers hold the same |
//! | [`equivocation`] | proof that a keeper signed two votes |
//! | [`tally`], [`compute`] | the view that follows from the votes |
//! | [`signing`] | one signature an epoch, and only after it was recorded |
//! | [`collect`] | the signatures of a quorum |
//! | [`absence`] | the keepers' word that there is no view |

pub mod absence;
pub mod ballot;
pub mod broadcast;
pub mod chain;
pub mod charter;
pub mod collect;
pub mod compute;
pub mod equivocation;
pub mod schedule;
pub mod signing;
pub mod tally;
pub mod vote;
