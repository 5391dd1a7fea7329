//! The commands of `cutout` and the terminal: what there is to type, what is said, and what it ends with.
//!
//! # Example
//!
//! Every command and option is described in one place, from which help, man pages and completions come.
//!
//! ```
//! let command = cutout::cli::command();
//! let send = command.find_subcommand("send").unwrap();
//! assert!(send.get_arguments().any(|argument| argument.get_long() == Some("reply-to")));
//! ```

pub mod cli;
pub mod command;
pub mod handover;
pub mod lab;
pub mod place;
pub mod printable;
pub mod settings;
pub mod terminal;
pub mod transport;
