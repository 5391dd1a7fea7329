//! `cutout-lab`, as it is built: what `cutout demo` and `cutout audit` become.

use std::process::{Command, Output, Stdio};

#[expect(clippy::unwrap_used, reason = "a test, outside of what is marked as one")]
fn lab(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutout-lab"));
    command.args(arguments).stdin(Stdio::null()).env_remove("CUTOUT_HOME").output().unwrap()
}

#[test]
fn it_lists_what_it_does_and_none_of_its_nodes() {
    let output = lab(&["--help"]);
    assert!(output.status.success(), "{output:?}");
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(help.contains("demo") && help.contains("audit"), "{help}");
    assert!(!help.contains(testbed::process::COMMAND), "{help}");
}

#[test]
fn a_wrong_command_ends_as_it_does_everywhere() {
    let output = lab(&["audit", "nothing"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{output:?}");
}
