//! `cutout`: anonymous peer-to-peer e-mail. See `cutout --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    // The audit's nodes are processes of this program, which its command line does not know of.
    if std::env::args_os().nth(1).is_some_and(|first| first == audit::node::COMMAND) {
        return audit::node::main();
    }
    ua::cli::main()
}
