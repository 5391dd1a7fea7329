//! `cutout audit schema`.

use clap::Args;
use cutout::terminal::{Failure, say};

use crate::report::schema;

/// Arguments of `cutout audit schema`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cutout audit schema > report.schema.json")]
pub(crate) struct SchemaArgs {}

/// Runs `cutout audit schema`.
///
/// # Errors
/// [`Failure`] if stdout is closed.
pub(crate) fn run(_: &SchemaArgs) -> Result<(), Failure> {
    say(schema().trim_end())
}
