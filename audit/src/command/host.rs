//! `cutout audit host`.

use clap::Args;
use ua::terminal::Failure;

/// Arguments of `cutout audit host`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cutout audit host")]
pub struct HostArgs {
    /// Report in JSON on stdout
    #[arg(long)]
    json: bool,
}

/// Runs `cutout audit host`.
///
/// # Errors
/// [`Failure`].
pub fn run(_: &HostArgs) -> Result<(), Failure> {
    Ok(())
}
