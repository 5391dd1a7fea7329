//! Networks of nodes on one machine, for the demo, the tests, the benchmarks and the audit.
//!
//! | module | what it is |
//! |---|---|
//! | [`cluster`] | nodes as processes, and users beside them |
//! | [`person`] | users in this process |
//! | [`delay`] | links that are as slow as those of a real network |
//! | [`record`] | what a node learns, written down by an observer at its edge |
//! | [`process`] | a recording or hostile node, as a process |
//! | [`programs`] | where the programs are |
//! | [`hostile`] | nodes that do what honest ones would not |
//! | [`tor_network`] | a Tor network of Debian's tor, of this machine's own |
//!
//! # Example
//!
//! A small network has as many replicas of each object as it has nodes, and eight at most.
//!
//! ```
//! use testbed::cluster::ClusterOptions;
//!
//! let of = |nodes| ClusterOptions::new("target/debug/cutout".into(), "network".into(), nodes);
//! assert_eq!((of(3).k, of(40).k), (3, 8));
//! ```

pub mod cluster;
pub mod delay;
pub mod hostile;
pub mod person;
pub mod process;
pub mod programs;
pub mod record;
pub mod tor_network;
