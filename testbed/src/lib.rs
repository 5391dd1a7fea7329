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
//! The two programs lie side by side: whoever runs one finds the other.
//!
//! ```
//! use std::path::Path;
//! use testbed::programs;
//!
//! assert_eq!(programs::lab(Path::new("/usr/bin/cutout")), Path::new("/usr/bin/cutout-lab"));
//! assert_eq!(programs::cutout(Path::new("/usr/bin/cutout-lab")), Path::new("/usr/bin/cutout"));
//! ```

pub mod cluster;
pub mod delay;
pub mod hostile;
pub mod person;
pub mod process;
pub mod programs;
pub mod record;
pub mod tor_network;
