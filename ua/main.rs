//! `cutout`: anonymous peer-to-peer e-mail. See `cutout --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ua::cli::main::<audit::command::Audit>()
}
