//! One view of the network, the same for everyone: the sorted list of an epoch's nodes under a quorum of the keepers.
//!
//! | module | what it is |
//! |---|---|
//! | [`descriptor`] | what a view says of one node |
//! | [`statement`] | what a node signs for one epoch |
//! | [`tree`] | the Merkle tree over descriptors, in chunks of 256 |
//! | [`header`] | what keepers sign |
//! | [`quorum`] | keepers, and a header that enough of them signed |
//! | [`two_views`] | two views under quorums that cannot both be right |
//! | [`list`], [`signed`] | the nodes in memory, and with their header |
//! | [`whole`], [`difference`] | a view as bytes, alone or from the one before it |
//! | [`keys`], [`accepted`] | a node's channel keys, one for each view, and which views a handshake may name |
//! | [`places`], [`sample`] | how many nodes count at one address, and sampling for paths |
//! | [`closest`] | the k nodes closest to a key |
//! | [`error`] | why a view is refused |

pub mod accepted;
pub mod closest;
pub mod descriptor;
pub mod difference;
pub mod error;
pub mod header;
pub mod keys;
pub mod list;
pub mod places;
pub mod quorum;
pub mod sample;
mod shares;
pub mod signed;
pub mod statement;
mod stream;
pub mod tree;
pub mod two_views;
pub mod whole;
