//! What another program does: `cutout demo` and `cutout audit` start `cutout-lab`, which is installed beside this one.
//! Hostile nodes, plots and statistics are linked into that one and never into the program that a user or an operator runs.

use std::{ffi::OsString, os::unix::process::CommandExt as _, path::PathBuf, process::Command};

use clap::Args;

use crate::terminal::Failure;

/// The program's name.
pub const LAB: &str = "cutout-lab";

/// All that stands after the command: it is for the other program.
#[derive(Debug, Args)]
pub struct LabArgs {
    /// What `cutout-lab` is to do; `--help` lists it
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    rest: Vec<OsString>,
}

/// Whether what was typed is for the other program; `help` is asked of the one that knows.
#[must_use]
pub fn is_wanted() -> bool {
    names_lab(std::env::args_os().skip(1))
}

fn names_lab(words: impl Iterator<Item = OsString>) -> bool {
    let mut words = words.filter(|word| word != "help");
    // Options that every command has may stand before it, and some of them have a value.
    while let Some(word) = words.next() {
        match word.to_str() {
            Some("--home" | "--passphrase-file") => drop(words.next()),
            Some(option) if option.starts_with('-') => {}
            word => return matches!(word, Some("demo" | "audit")),
        }
    }
    false
}

/// Becomes the other program, with the arguments of this one.
///
/// # Errors
/// [`Failure`] with 78 if it cannot be started; otherwise this does not return.
pub fn begin() -> Result<(), Failure> {
    let program = path();
    let error = Command::new(&program).args(std::env::args_os().skip(1)).exec();
    let what = format!("{} cannot be started", program.display());
    Err(Failure::new(78, &what, error, "install cutout-lab beside cutout: both are built together"))
}

/// Where the other program is: beside this one.
fn path() -> PathBuf {
    std::env::current_exe()
        .map_or_else(|_| PathBuf::from(LAB), |program| program.with_file_name(LAB))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_decides_and_not_what_stands_round_it() {
        let names = |line: &str| names_lab(line.split_whitespace().map(OsString::from));
        for line in ["demo", "audit run --quick", "help demo", "-v --home x audit", "demo --help"] {
            assert!(names(line), "{line}");
        }
        for line in ["", "help", "--help", "send --to demo", "--home demo", "--home demo list"] {
            assert!(!names(line), "{line}");
        }
    }
}
