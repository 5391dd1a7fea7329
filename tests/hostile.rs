//! Hostile peers: what a member of the network gains by lying, and what the honest ones do about it.
//!
//! Every network here is made of `node::Node`s in this process over real sockets on loopback, and the agents are
//! the real ones. What is hostile is composed over the libraries' public API: a [`liars::Lie`] stands before the
//! honest service, a [`cells::Rogue`] serves channels in the honest acceptor's place. Often all nodes are
//! hostile and act on it only when asked in one role, so that the attack meets its role every time; each test
//! counts how often it was really mounted. Nothing is decided by a clock.
//!
//! | module | who is hostile | what is tried |
//! |---|---|---|
//! | [`go_betweens`] | X | its own Z, against the witness |
//! | [`guarded`] | a fifth of all nodes | false statements, and lists, under the guarded scheme |
//! | [`lists`] | Z, W | other replica lists |
//! | [`receipts`] | Z, a storage node | receipts that prove nothing |
//! | [`cells`] | X | cells changed, lost, repeated, moved, sent back |
//! | [`paths`] | X | paths made in one pass, taken elsewhere |
//! | [`inboxes`], [`deletions`] | a stranger | somebody else's mail |
//! | [`bodies`] | storage nodes | wrong bodies |
//! | [`bytes`] | a peer | bytes and messages that no honest peer sends |
//! | [`stalls`] | X, Y, Z, storage nodes | silence |
//! | [`limits`] | a peer, a correspondent | more than its share |
//! | [`strangers`] | peers of one or two address ranges | all of a node |

mod attempts;
mod bodies;
mod bytes;
mod cells;
mod deletions;
mod go_betweens;
mod guarded;
mod inboxes;
mod liars;
mod limits;
mod lists;
mod network;
mod paths;
mod receipts;
mod stalls;
mod strangers;
