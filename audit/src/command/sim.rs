//! `cutout audit sim`.

use std::io::IsTerminal as _;

use clap::Args;
use comfy_table::{CellAlignment, Table, presets::UTF8_HORIZONTAL_ONLY};
use cutout::terminal::{Failure, say};
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    outcome::Outcome,
    sim::{
        Findings, Options,
        mails::{Measure, Point},
        options::{Identifiers, Scheme},
        outcomes,
        paper::Model,
        run as simulate,
    },
};

/// Arguments of `cutout audit sim`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cutout audit sim
  cutout audit sim --hostile 0.1 --hops 2
  cutout audit sim --scheme paper --model built
  cutout audit sim --nodes 1000000 --draws 1000000 --mails 100 --json")]
pub(crate) struct SimArgs {
    /// Nodes of the network, 1,000 to 1,000,000
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    nodes: usize,
    /// Shares of the nodes that are hostile, 0 to 1, separated by commas
    #[arg(
        long,
        value_name = "F,F",
        value_delimiter = ',',
        default_value = "0.01,0.02,0.05,0.1,0.2"
    )]
    hostile: Vec<f64>,
    /// The most mails a sender sends, 1 to 1,000
    #[arg(long, value_name = "M", default_value_t = 100)]
    mails: usize,
    /// Channels sampled for each estimate
    #[arg(long, value_name = "D", default_value_t = 10_000)]
    draws: usize,
    /// Replicas, 1 to 20 [default: 20 for the paper to the letter, else 8]
    #[arg(short, long, value_name = "K")]
    k: Option<usize>,
    /// Nodes that a lookup asks at once [default: 3 for the paper to the letter, else 10]
    #[arg(long, value_name = "A")]
    alpha: Option<usize>,
    /// Go-betweens between the guard and the anonymizer, 0 to 3
    #[arg(long, value_name = "H", default_value_t = 1)]
    hops: usize,
    /// Guards that take turns, 1 to 3; one more is the spare
    #[arg(long, value_name = "G", default_value_t = 1)]
    guards: usize,
    /// One scheme only
    #[arg(long)]
    scheme: Option<Scheme>,
    /// How section 4 of the paper is read
    #[arg(long, default_value = "letter")]
    model: Model,
    /// What it costs to be a node under another name
    #[arg(long, default_value = "costly")]
    identifiers: Identifiers,
    /// The hostile operator says that all its nodes are one family
    #[arg(long)]
    declared: bool,
    /// Mails of others that time does not tell from this one
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    crowd: u32,
    /// What everything random follows from
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Report in JSON on stdout
    #[arg(long)]
    json: bool,
}

impl SimArgs {
    fn options(&self) -> Result<Options, Failure> {
        let within = |name: &str, value: usize, least: usize, most: usize| {
            if (least..=most).contains(&value) {
                return Ok(());
            }
            let error = format!("--{name} {value} cannot be simulated");
            let cause = format!("it must be {least} to {most}");
            Err(Failure::new(64, &error, cause, "give another value"))
        };
        within("nodes", self.nodes, 1_000, 1_000_000)?;
        within("mails", self.mails, 1, 1_000)?;
        within("draws", self.draws, 100, 100_000_000)?;
        within("k", self.k.unwrap_or(8), 1, 20)?;
        within("alpha", self.alpha.unwrap_or(3), 1, 20)?;
        within("hops", self.hops, 0, 3)?;
        within("guards", self.guards, 1, 3)?;
        if let Some(share) = self.hostile.iter().find(|share| !(0.0..=1.0).contains(*share)) {
            let error = format!("--hostile {share} is no share of the nodes");
            return Err(Failure::new(64, &error, "it must be 0 to 1", "write 10 % as 0.1"));
        }
        Ok(Options {
            nodes: self.nodes,
            shares: self.hostile.clone(),
            mails: self.mails,
            draws: self.draws,
            k: self.k,
            alpha: self.alpha,
            hops: self.hops,
            guards: self.guards,
            scheme: self.scheme,
            model: self.model,
            identifiers: self.identifiers,
            declared: self.declared,
            crowd: self.crowd,
            seed: self.seed,
            ..Options::quick()
        })
    }
}

/// Runs `cutout audit sim`.
///
/// # Errors
/// [`Failure`].
pub(crate) fn run(args: &SimArgs) -> Result<(), Failure> {
    let options = args.options()?;
    let bar = if std::io::stderr().is_terminal() {
        ProgressBar::new(1_000)
    } else {
        ProgressBar::hidden()
    };
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {percent} % ({elapsed})") {
        bar.set_style(style);
    }
    let findings = simulate(&options, &|done| bar.set_position(permille(done)));
    bar.finish_and_clear();
    let checks = super::claims::read()?.judged(outcomes(&findings));
    if args.json {
        let report = serde_json::json!({ "findings": findings, "checks": checks });
        return say(report.to_string());
    }
    print(&findings, &checks)
}

/// A part of 1 in thousandths, rounded down.
fn permille(done: f64) -> u64 {
    (0..=1_000_u32).rev().find(|n| f64::from(*n) <= done * 1_000.0).map_or(0, u64::from)
}

fn print(findings: &Findings, checks: &[Outcome]) -> Result<(), Failure> {
    let options = &findings.options;
    say(format!(
        "Anonymous channels that link A and Bob, % ± standard error (N = {})",
        options.nodes
    ))?;
    say(channels(findings).to_string())?;
    say("\nMails that link A and Bob, % ± standard error")?;
    say(mails(findings).to_string())?;
    if !findings.ever.is_empty() {
        say("\nSenders linked at least once, by identifiers, % ± standard error")?;
        say(ever(findings).to_string())?;
    }
    say("")?;
    for note in &findings.notes {
        say(note)?;
    }
    say("")?;
    for check in checks {
        say(format!("{:12} {}: {}", check.verdict.to_string(), check.check, check.seen))?;
        for detail in &check.details {
            say(format!("          {detail}"))?;
        }
    }
    Ok(())
}

fn table(first: &str, shares: &[f64]) -> Table {
    let mut table = cutout::terminal::table(UTF8_HORIZONTAL_ONLY);
    let shares = shares.iter().map(|share| format!("{} %", round(share * 100.0)));
    table.set_header([first.to_owned()].into_iter().chain(shares));
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// As many digits as tell something.
fn round(percent: f64) -> f64 {
    (percent * 1_000.0).round() / 1_000.0
}

fn channels(findings: &Findings) -> Table {
    let shares = &findings.options.shares;
    let mut table = table("coalition \\ f", shares);
    for row in findings.table.chunks(shares.len().max(1)) {
        let Some(first) = row.first() else { continue };
        let cells = row.iter().map(|cell| {
            let percent = |value: f64| format!("{:.2}", value * 100.0);
            let mut text = format!(
                "{} ± {}",
                percent(cell.simulated.value),
                percent(cell.simulated.standard_error)
            );
            if let Some(published) = cell.published {
                let mark = if cell.agrees_with_published == Some(false) { " !" } else { "" };
                text.push_str(&format!("\npublished {}{mark}", percent(published)));
            }
            if let Some(closed) = cell.closed_form {
                let mark = if cell.agrees == Some(false) { " !" } else { "" };
                text.push_str(&format!("\nformula {}{mark}", percent(closed)));
            }
            text
        });
        table.add_row([first.row.clone()].into_iter().chain(cells));
    }
    table
}

fn value(point: &Point) -> String {
    let (value, error) = (point.simulated.value, point.simulated.standard_error);
    if point.measure == Measure::Entropy {
        return format!("{value:.2} ± {error:.2}");
    }
    let mark = if point.agrees == Some(false) { " !" } else { "" };
    format!("{:.2} ± {:.2}{mark}", value * 100.0, error * 100.0)
}

fn mails(findings: &Findings) -> Table {
    let shares = &findings.options.shares;
    let mut table = table("one mail \\ f", shares);
    for row in findings.per_mail.chunks(shares.len().max(1)) {
        let Some(first) = row.first() else { continue };
        let by = match first.measure {
            Measure::Claim => "X and an anonymizer",
            Measure::Identifiers => "by identifiers",
            Measure::WithReading => "and what Bob fetches",
            Measure::Timing => "by time alone",
            Measure::Weighed => "nodes in common weighed",
            Measure::Entropy => "entropy, bits",
        };
        let is_guarded = first.scheme.starts_with("guarded");
        // The paper's claim is about its own scheme.
        if is_guarded && first.measure == Measure::Claim {
            continue;
        }
        let name = format!("{}: {by}", first.scheme);
        table.add_row([name].into_iter().chain(row.iter().map(value)));
    }
    table
}

fn ever(findings: &Findings) -> Table {
    let shares = &findings.options.shares;
    let mut table = table("many mails \\ f", shares);
    for row in findings.ever.chunks(shares.len().max(1)) {
        let Some(first) = row.first() else { continue };
        if first.measure == Measure::Identifiers {
            let name = format!("{}, mails: {}", first.scheme, first.mails);
            table.add_row([name].into_iter().chain(row.iter().map(value)));
        }
    }
    table
}
