//! `cutout audit run`.

use clap::Args;
use ua::terminal::{Failure, Progress, say};

use crate::{
    claims::Claims,
    live::{self, Options, Stage},
};

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
    let step =
        |text: &str| progress.step(&format!("{:.1} {text}", started.elapsed().as_secs_f64()));
    let claims = Claims::read().map_err(|error| Failure::new(70, "claims.toml", error, ""))?;
    let stage = Stage::set(options.size, step).await?;
    let mutants = live::mutants(&stage, &claims, step).await?;
    let findings = live::run(&stage, &options, step).await?;
    progress.finish();
    let outcomes = live::outcomes(&findings, &claims);
    say(serde_json::to_string_pretty(&(findings, outcomes, mutants)).unwrap_or_default())
}
