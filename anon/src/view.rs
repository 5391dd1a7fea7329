//! One view of the network, the same for everyone: the sorted list of an epoch's nodes under a quorum of the keepers.
//!
//! | module | what it is |
//! |---|---|
//! | [`descriptor`] | what a view says of one node |
//! | [`statement`] | what a node signs for one epoch |
//! | [`tree`] | the Merkle tree over descriptors, in chunks of 256 |
//! | [`header`] | what keepers sign |
//! | [`quorum`] | keepers, and a header that enough of them signed |

pub mod descriptor;
pub mod header;
pub mod quorum;
pub mod statement;
pub mod tree;
