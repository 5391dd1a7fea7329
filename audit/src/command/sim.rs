//! `cutout audit sim`.

use clap::Args;
use ua::terminal::Failure;

/// Arguments of `cutout audit sim`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cutout audit sim")]
pub struct SimArgs {
    /// Report in JSON on stdout
    #[arg(long)]
    json: bool,
}

/// Runs `cutout audit sim`.
///
/// # Errors
/// [`Failure`].
pub fn run(_: &SimArgs) -> Result<(), Failure> {
    Ok(())
}
