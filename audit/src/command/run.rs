//! `cutout audit run`: every check, one verdict.

use std::{
    fs::OpenOptions,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use clap::Args;
use cutout::{
    command::interruption::Interruption,
    terminal::{Failure, Progress, say},
};
use net::now;
use parking_lot::Mutex;

use crate::{
    canary,
    claims::Claims,
    game, host, live, mutant,
    outcome::{Outcome, Verdict},
    property,
    report::{self, Parts, Report, Run},
    sim, subnets, symbolic,
};

/// The fewest mutants that a run may have: a list that shrank must not look like one that was caught.
const FEWEST_MUTANTS: usize = 20;

/// Arguments of `cutout audit run`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 nothing fell, 1 something fell. What is known to fail, and named as a limit, does not count as fallen.\n\nExamples:\n  cutout audit run --quick                          under a minute\n  cutout audit run --html audit.html                everything, as a page: an hour in a release build\n  cutout audit run --rounds 500                     all but a long game: some minutes\n  cutout audit run --json - | jq .verdict"
)]
pub(crate) struct RunArgs {
    /// Fewer mails, samples and rounds, none of the network's mutants: under a minute
    #[arg(long)]
    quick: bool,
    /// Rounds of the game [default: 12 quick, 10000 else, of which a release build plays six a second]; with fewer than
    /// some thousands little is shown of how small an advantage is
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// Write the report as one self-contained page
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the report as JSON ("-": to stdout); `cutout audit schema` prints its form
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// What simulations and computations sample from; equal seeds give equal figures
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl RunArgs {
    fn command(&self) -> String {
        let quick = if self.quick { " --quick" } else { "" };
        let rounds = self.rounds.map_or_else(String::new, |rounds| format!(" --rounds {rounds}"));
        format!("cutout audit run{quick}{rounds} --seed {}", self.seed)
    }
}

/// Runs `cutout audit run`.
///
/// # Errors
/// [`Failure`]: 1 if something fell, other codes if the audit itself could not run.
pub(crate) async fn run(args: &RunArgs) -> Result<(), Failure> {
    // Interrupted, it cleans up all the same: processes and directories go when this returns.
    Interruption::take_hold("run it again: nothing of it is kept")?.unless(audit(args)).await?
}

async fn audit(args: &RunArgs) -> Result<(), Failure> {
    // Before the hour that it takes, not after.
    let files = [&args.html, &args.json].into_iter().flatten();
    for path in files.filter(|path| path.as_os_str() != "-") {
        can_be_written(path)?;
    }
    let claims = Claims::read()
        .map_err(|error| Failure::new(70, "the claims cannot be read", error, "report this"))?;
    let (began, started) = (Instant::now(), timestamp());
    let progress = Arc::new(Progress::start("starting the network", true));
    let parts = parts(args, &claims, &progress).await;
    progress.finish();
    let run = Run {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        profile: if args.quick { "quick" } else { "full" }.to_owned(),
        command: args.command(),
        seed: args.seed,
        commit: host::program::built_from(),
        started,
        seconds: began.elapsed().as_secs(),
    };
    let report = Report::new(run, &claims, parts?);
    write(args, &report)?;
    conclude(args, &report)
}

/// Runs everything: what only computes while the network comes up and its nodes get to know each other.
async fn parts(
    args: &RunArgs,
    claims: &Claims,
    progress: &Arc<Progress>,
) -> Result<Parts, Failure> {
    let (quick, seed) = (args.quick, args.seed);
    let step = |text: &str| progress.step(text);
    let options = if quick { live::Options::quick() } else { live::Options::full() };
    let shown = Arc::clone(progress);
    let computing = tokio::task::spawn_blocking(move || computed(quick, seed, &shown));
    let stage = live::Stage::set(options.size, step).await?;
    let computed = computing.await;
    let mut parts = computed
        .map_err(|error| Failure::new(70, "the audit's own code failed", error, "report this"))?;

    let game_options = if quick { game::Options::quick() } else { game::Options::full() };
    let rounds = args.rounds.unwrap_or(game_options.rounds);
    let game_options = game::Options { seed, rounds, ..game_options };
    let played = game::run(&stage, &game_options, step).await?;
    parts.outcomes.extend(game::outcomes(&played));
    parts.game = Some(played);
    if !quick {
        parts.mutants.extend(live::mutants(&stage, claims, step).await?);
    }
    let seen = live::run(&stage, &options, step).await?;
    parts.outcomes.extend(live::outcomes(&seen, claims));
    parts.live = Some(seen);
    drop(stage);
    let options = if quick { canary::Options::quick() } else { canary::Options::full() };
    let scanned = canary::run(&options, step).await?;
    parts.outcomes.extend(canary::outcomes(&scanned));
    parts.canary = Some(scanned);
    if !quick {
        parts.mutants.extend(canary::mutants(step).await?);
    }
    parts.outcomes.push(mutant::outcome(&parts.mutants, FEWEST_MUTANTS));
    Ok(parts)
}

/// What needs no network.
fn computed(quick: bool, seed: u64, progress: &Progress) -> Parts {
    let mut parts = Parts::default();
    progress.step("the parts of the scheme, and mutants of them");
    parts.outcomes.extend(property::checks(seed));
    parts.mutants.extend(property::mutants(seed));
    parts.outcomes.push(subnets::outcome(seed));

    progress.step("selection at scale");
    let options = if quick { sim::Options::quick() } else { sim::Options::full() };
    let options = sim::Options { seed, ..options };
    let told = Mutex::new(0_u32);
    let percent = |done: f64| {
        // Each tenth once.
        let tenths = (0..=10_u32).rev().find(|n| f64::from(*n) <= done * 10.0).unwrap_or(0);
        let mut told = told.lock();
        if tenths > *told {
            *told = tenths;
            progress.step(&format!("selection at scale: {} %", tenths * 10));
        }
    };
    let simulated = sim::run(&options, &percent);
    parts.outcomes.extend(sim::outcomes(&simulated));
    parts.mutants.extend(sim::mutants(seed));
    parts.simulation = Some(simulated);

    let extent = if quick { symbolic::Extent::Quick } else { symbolic::Extent::Full };
    let models = symbolic::run(extent, |model| progress.step(&format!("symbolic: {model}")));
    parts.outcomes.extend(symbolic::outcomes(&models));
    parts.symbolic = Some(models);
    parts
}

/// Sees to it that a report can be written there, without touching one that is there already.
fn can_be_written(path: &Path) -> Result<(), Failure> {
    let is_there = path.exists();
    let opened = OpenOptions::new().append(true).create(true).open(path);
    let tried = opened.and_then(|_| if is_there { Ok(()) } else { std::fs::remove_file(path) });
    tried.map_err(|error| {
        Failure::new(73, &format!("cannot write {}", path.display()), error, "check the path")
    })
}

fn timestamp() -> String {
    let seconds = i64::try_from(now().0).unwrap_or_default();
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |t| t.to_string())
}

fn write(args: &RunArgs, report: &Report) -> Result<(), Failure> {
    if let Some(path) = &args.html {
        let page = report::page(report)
            .map_err(|error| Failure::new(70, "the page cannot be made", error, "report this"))?;
        cutout::command::write_file(path, page.as_bytes())?;
    }
    if let Some(path) = &args.json {
        let json = serde_json::to_string_pretty(report)
            .map_err(|error| Failure::new(70, "the report cannot be made", error, "report this"))?;
        if path.as_os_str() == "-" {
            return say(json);
        }
        cutout::command::write_file(path, (json + "\n").as_bytes())?;
    }
    Ok(())
}

/// Says how it ended, on stdout unless the report went there.
fn conclude(args: &RunArgs, report: &Report) -> Result<(), Failure> {
    let fallen: Vec<&Outcome> = report.ended(Verdict::Fell).collect();
    if args.json.as_ref().is_none_or(|path| path.as_os_str() != "-") {
        for outcome in &report.parts.outcomes {
            say(format!(
                "{:12} {:34} {}",
                outcome.verdict.to_string(),
                outcome.check,
                outcome.seen
            ))?;
            if outcome.verdict == Verdict::Fell {
                for line in &outcome.details {
                    say(format!("          {line}"))?;
                }
            }
        }
        say(format!("{}, in {} s", report.counted(), report.run.seconds))?;
    }
    if fallen.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = fallen.iter().map(|outcome| outcome.check.as_str()).collect();
    let remedy = "`cutout audit explain ID` says what a claim means; a claim that does not hold is a bug: SECURITY.md";
    Err(Failure::new(1, &format!("{} checks fell", names.len()), names.join(", "), remedy))
}
