//! The commands of `cutout` and the terminal: what there is to type, what is said, and what it ends with.

pub mod cli;
pub mod command;
pub mod handover;
pub mod lab;
pub mod place;
pub mod printable;
pub mod settings;
pub mod terminal;
pub mod underlay;
