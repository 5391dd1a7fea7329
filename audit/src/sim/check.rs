//! The checks that a simulation's findings are held to.

use super::{
    estimate::Estimate,
    findings::{Findings, GOAL_EVER, GOAL_MAIL},
    mails::{Measure, Point},
    options::Scheme,
    table::Cell,
};
use crate::outcome::{Outcome, Verdict};

/// How far a value may be from its formula, standard errors, if it is one of many.
const FAR: f64 = 4.5;
/// How many of 100 may be farther than three: by chance a quarter of one is.
const STRAY_PERCENT: usize = 3;
/// Trials without which nothing is shown of a share of some hundredths.
const ENOUGH: usize = 500;
/// What the logs of lookups must link at least, of the paper's channels: else the audit sees nothing.
const SEEN_BY_LOOKUPS: f64 = 0.5;

/// The checks, by the names that the claims use.
#[must_use]
pub(crate) fn outcomes(findings: &Findings) -> Vec<Outcome> {
    vec![
        table(findings),
        formulas(findings),
        guarded(findings),
        acting(findings),
        grinding(findings),
        lookups(findings),
    ]
}

fn percent(estimate: Estimate) -> String {
    let [value, low, high] = [estimate.value, estimate.low, estimate.high].map(|v| v * 100.0);
    format!("{value:.2} % [{low:.2}, {high:.2}]")
}

/// Why a cell of the published table may differ.
fn reason(cell: &Cell) -> Option<&'static str> {
    cell.row.starts_with("everything").then_some(
        "it depends on how many nodes a lookup asks, which was not published. Ours asks 22.9 with alpha = 3; with \
         alpha = 2 it asks 21.9, and all five published figures come out (2.1, 9.5, 45, 84, 99 %)",
    )
}

fn table(findings: &Findings) -> Outcome {
    let name = "simulation.table";
    let compared: Vec<&Cell> =
        findings.table.iter().filter(|cell| cell.agrees_with_published.is_some()).collect();
    if compared.is_empty() {
        return Outcome::not_run(name, "the published table is for N = 10,000, k = 20, alpha = 3");
    }
    let differ = compared.iter().filter(|cell| cell.agrees_with_published == Some(false));
    let differ: Vec<&&Cell> = differ.collect();
    let explained = differ.iter().filter(|cell| reason(cell).is_some()).count();
    let details = differ.iter().map(|cell| {
        let published = cell.published.unwrap_or(0.0) * 100.0;
        let (f, simulated) = (cell.share * 100.0, percent(cell.simulated));
        let why = reason(cell).unwrap_or("no reason known");
        format!("{} at f = {f} %: {simulated}, published {published:.2} %: {why}", cell.row)
    });
    let seen = format!(
        "{} of {} cells agree with the published table, {explained} differ for a known reason",
        compared.len() - differ.len(),
        compared.len(),
    );
    let trials = compared.iter().map(|cell| cell.simulated.trials).min().unwrap_or(0);
    let outcome = Outcome::of(name, explained == differ.len(), seen);
    enough(trials, outcome).with_details(details.collect())
}

fn formulas(findings: &Findings) -> Outcome {
    let cells = findings.table.iter().filter_map(|cell| {
        let name = format!("{} at f = {} %", cell.row, cell.share * 100.0);
        Some((name, cell.simulated, cell.closed_form?))
    });
    let points = findings.per_mail.iter().chain(&findings.ever).filter_map(|point: &Point| {
        let (f, mails) = (point.share * 100.0, point.mails);
        let name = format!("{}, {:?} at f = {f} %, mails {mails}", point.scheme, point.measure);
        Some((name, point.simulated, point.closed_form?))
    });
    let all: Vec<_> = cells.chain(points).collect();
    let name = "simulation.closed-forms";
    if all.is_empty() {
        return Outcome::not_run(name, "no formula holds for these options");
    }
    let stray: Vec<_> = all.iter().filter(|(_, got, formula)| !got.agrees(*formula)).collect();
    let is_near = stray.iter().all(|(_, got, formula)| got.deviation(*formula) < FAR);
    let holds = is_near && stray.len() * 100 <= STRAY_PERCENT * all.len().max(34);
    let seen = format!(
        "{} of {} values within three standard errors of their formula, none farther than {FAR}: {is_near}",
        all.len() - stray.len(),
        all.len(),
    );
    let details = stray.iter().map(|(name, got, formula)| {
        format!("{name}: {}, formula {:.3} %", percent(*got), formula * 100.0)
    });
    Outcome::of(name, holds, seen).with_details(details.collect())
}

fn guarded(findings: &Findings) -> Outcome {
    let name = "simulation.guarded";
    let Some(headline) = &findings.headline else {
        return Outcome::not_run(name, "the guarded scheme was not simulated");
    };
    let broken = findings.broken;
    let keeps = broken.storage_carried == 0
        && broken.family_together == 0
        && broken.anonymizer_twice == 0
        && broken.no_path == 0;
    // One guard is hostile with probability f, which is the second goal itself, and a spare adds to that: THREATMODEL says
    // so. What is asked is that the simulation does not show more.
    let formula = headline.ever_by_formula.unwrap_or(GOAL_EVER);
    let is_ever_so = headline.ever.value <= formula.max(GOAL_EVER) || headline.ever.agrees(formula);
    let holds = keeps && headline.identifiers.high <= GOAL_MAIL && is_ever_so;
    let seen = format!(
        "f = {} %: {} of mails by identifiers (goal {} %), {} of senders linked at least once in {} mails (goal {} %, formula {:.1} %)",
        headline.share * 100.0,
        percent(headline.identifiers),
        GOAL_MAIL * 100.0,
        percent(headline.ever),
        headline.mails,
        GOAL_EVER * 100.0,
        formula * 100.0,
    );
    let mut details = vec![
        format!("nodes in common weighed: {}", percent(headline.weighed)),
        format!("by time alone: {}", percent(headline.timing)),
        format!("with what Bob fetches: {}", percent(headline.with_reading)),
        format!("rules broken: {broken:?}"),
    ];
    details.extend(findings.settings.iter().map(|setting| {
        let reached = if setting.is_within_goal { "within" } else { "beyond" };
        let (per_mail, ever) = (percent(setting.per_mail), setting.ever * 100.0);
        format!(
            "{}: {per_mail} of mails, {ever:.1} % of senders at least once: {reached} the goal",
            setting.scheme
        )
    }));
    enough(headline.identifiers.trials, Outcome::of(name, holds, seen)).with_details(details)
}

/// Whether the goal for a mail is kept where hostile nodes act too.
fn acting(findings: &Findings) -> Outcome {
    let name = "simulation.acting";
    let Some(acting) = &findings.acting else {
        return Outcome::not_run(name, "the guarded scheme was not simulated");
    };
    let seen = format!(
        "f = {} %, first mails of an epoch: {} where sync peers mark certificates, {} where guards write into cells, {} where \
         they do both (goal {} %); {} of senders at least once in {} epochs with a mail each",
        acting.share * 100.0,
        percent(acting.marks),
        percent(acting.tags),
        percent(acting.both),
        GOAL_MAIL * 100.0,
        percent(acting.ever),
        acting.mails,
    );
    let holds = acting.both.high <= GOAL_MAIL;
    let details = vec![format!("by time alone, sync peers included: {}", percent(acting.timing))];
    enough(acting.both.trials, Outcome::of(name, holds, seen)).with_details(details)
}

/// An outcome, if it rests on trials enough to tell the goal from twice of it.
fn enough(trials: usize, outcome: Outcome) -> Outcome {
    if trials < ENOUGH && outcome.verdict == Verdict::Holds {
        let why = format!("only {trials} trials. {}", outcome.seen);
        return Outcome::not_shown(&outcome.check, why);
    }
    outcome
}

fn grinding(findings: &Findings) -> Outcome {
    let name = "simulation.grinding";
    let Some(grinding) = &findings.grinding else {
        return Outcome::not_run(name, "only the paper's scheme was simulated");
    };
    let gained = grinding.guarded_free.value - grinding.guarded_costly.value;
    let error = grinding.guarded_free.standard_error.hypot(grinding.guarded_costly.standard_error);
    let holds = gained <= 3.0 * error.max(1e-3) && grinding.paper_free.agrees(grinding.share);
    let seen = format!(
        "f = {} %, identifiers free: paper {} of channels instead of {}, guarded {} of mails instead of {}",
        grinding.share * 100.0,
        percent(grinding.paper_free),
        percent(grinding.paper_costly),
        percent(grinding.guarded_free),
        percent(grinding.guarded_costly),
    );
    let tries = format!("{:.0} keys tried to mint a node next to a key", grinding.tries);
    let trials = grinding.guarded_free.trials.min(grinding.paper_free.trials);
    enough(trials, Outcome::of(name, holds, seen)).with_details(vec![tries])
}

fn lookups(findings: &Findings) -> Outcome {
    let name = "simulation.lookups";
    if !(findings.options.simulates(Scheme::Paper) && findings.options.simulates(Scheme::Guarded)) {
        return Outcome::not_run(name, "it compares both schemes");
    }
    let share = findings.headline.as_ref().map_or(0.1, |headline| headline.share);
    let letter = findings.mail("paper, to the letter", Measure::Identifiers, share);
    let linked = letter.map_or(0.0, |point| point.simulated.value);
    let asked = findings.lookups.asked_by_guarded;
    let is_large = share >= 0.1 - f64::EPSILON;
    let holds = asked == 0 && (!is_large || linked > SEEN_BY_LOOKUPS);
    let seen = format!(
        "f = {} %: the paper's lookups link {:.1} % of mails, {:.1} nodes asked on each; guarded asks {asked}",
        share * 100.0,
        linked * 100.0,
        findings.lookups.asked_on_each,
    );
    let mails = letter.map_or(0, |point| point.simulated.trials);
    Outcome::of_some(name, mails, holds, seen)
}
