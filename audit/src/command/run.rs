//! `cutout audit run`.

use clap::Args;
use ua::terminal::{Failure, Progress, say};

use crate::live::{self, Options, Stage};

/// Arguments of `cutout audit run`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cutout audit run --quick\n  cutout audit run --html audit.html --json audit.json"
)]
pub struct RunArgs {
    /// Fewer mails and draws: under a minute
    #[arg(long)]
    quick: bool,
}

/// Runs `cutout audit run`.
///
/// # Errors
/// [`Failure`].
pub async fn run(args: &RunArgs) -> Result<(), Failure> {
    let options = if args.quick { Options::quick() } else { Options::full() };
    let started = std::time::Instant::now();
    let progress = Progress::start("starting the network", true);
    let stage = Stage::set(options.size, |text| progress.step(text)).await?;
    let findings = live::run(&stage, &options, |text| {
        progress.step(&format!("{:.1} {text}", started.elapsed().as_secs_f64()))
    })
    .await?;
    progress.finish();
    say(serde_json::to_string_pretty(&findings).unwrap_or_default())
}
