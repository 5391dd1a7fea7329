//! Where the two programs are: side by side.

use std::path::{Path, PathBuf};

/// The program of users and operators, beside another one.
#[must_use]
pub fn cutout(beside: &Path) -> PathBuf {
    beside.with_file_name("cutout")
}

/// The program of the demo and the audit, beside another one.
#[must_use]
pub(crate) fn lab(beside: &Path) -> PathBuf {
    beside.with_file_name("cutout-lab")
}
