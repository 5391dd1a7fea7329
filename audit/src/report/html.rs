//! The page: one file that needs no network, for reading, printing and arguing with.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::{Environment, Value, context, value::Serde};
use serde::Serialize;

use super::{
    Report, Standing, coalitions,
    plot::{self, Series, percent},
};
use crate::{
    game,
    outcome::Verdict,
    sim::{self, mails::Measure},
};

const PAGE: &str = include_str!("page.html");
const ROW: &str = include_str!("row.html");

/// What each standing and verdict is called.
const WORDS: [(&str, &str); 7] = [
    ("holds", "holds"),
    ("known", "fails: known"),
    ("not-shown", "not shown"),
    ("fell", "FELL"),
    ("not-run", "not run"),
    ("by-tests", "by tests"),
    ("stated", "stated"),
];

/// The share and the mails of the second plot.
const SHARE: f64 = 0.1;

/// Makes the page.
///
/// # Errors
/// What the template engine or the plotter says: an error of this program's.
pub(crate) fn page(report: &Report) -> Result<String, String> {
    let words = |error: minijinja::Error| format!("{error:#}");
    let mut environment = Environment::new();
    environment.add_template("page.html", PAGE).map_err(words)?;
    environment.add_template("row.html", ROW).map_err(words)?;
    let mut charts = BTreeMap::new();
    for scheme in report.parts.live.iter().flat_map(|live| &live.schemes) {
        charts.insert(scheme.scheme.clone(), coalitions::draw(scheme)?);
    }
    let simulation = report.parts.simulation.as_ref();
    let plots = simulation.map(plots).transpose()?;
    let ended = |verdict| report.ended(verdict).count();
    let rows = report.claims.iter().chain(&report.limits);
    let by_tests = rows.filter(|row| row.standing == Standing::ByTests).count();
    let page = environment.get_template("page.html").map_err(words)?;
    let context = context! {
        report => Value::from(Serde(report)),
        words => WORDS.into_iter().collect::<BTreeMap<_, _>>(),
        counts => context! {
            held => ended(Verdict::Holds),
            all => report.parts.outcomes.len(),
            known => ended(Verdict::Known),
            not_shown => ended(Verdict::NotShown),
            fell => ended(Verdict::Fell),
            not_run => ended(Verdict::NotRun),
            by_tests,
        },
        counted => report.counted(),
        fallen => Value::from(Serde(report.ended(Verdict::Fell).collect::<Vec<_>>())),
        known => Value::from(Serde(report.ended(Verdict::Known).collect::<Vec<_>>())),
        sections => sections(report),
        acting => simulation.and_then(|findings| findings.acting.as_ref()).map(|acting| context! {
            both => percent(acting.both.value),
        }),
        headline => simulation.and_then(|findings| findings.headline.as_ref()).map(headline),
        plots,
        table => simulation.map(table),
        charts,
        views => views(report),
        game => report.parts.game.as_ref().map(game_rows),
    };
    page.render(context).map_err(words)
}

fn sections(report: &Report) -> Vec<(&'static str, &'static str)> {
    let all = [
        ("claims", "Claims", true),
        ("limits", "Limits", true),
        ("linked", "How often", report.parts.simulation.is_some()),
        ("coalitions", "Coalitions", report.parts.live.is_some()),
        ("roles", "Roles", report.parts.live.is_some()),
        ("game", "Two worlds", report.parts.game.is_some()),
        ("mutants", "Mutants", true),
        ("checks", "All checks", true),
        ("again", "Reproduce", true),
    ];
    all.into_iter()
        .filter(|(.., is_there)| *is_there)
        .map(|(name, title, _)| (name, title))
        .collect()
}

fn headline(found: &sim::findings::Headline) -> Value {
    context! {
        share => percent(found.share),
        identifiers => percent(found.identifiers.value),
        weighed => percent(found.weighed.value),
        timing => percent(found.timing.value),
        ever => percent(found.ever.value),
        ever_by_formula => found.ever_by_formula.map(percent),
        mails => found.mails,
    }
}

/// P(linked) against the hostile share and against mails, both schemes and the paper's claim.
fn plots(findings: &sim::Findings) -> Result<BTreeMap<&'static str, String>, String> {
    let shares = plot::draw(&by_share(findings), "share of hostile nodes", &percent)?;
    let mails = plot::draw(&by_mails(findings), "mails of one sender", &|x| format!("{x:.0}"))?;
    Ok([("share", shares), ("mails", mails)].into())
}

/// What a line of the first plot is called, of which scheme, by which measure, and whether it is what was published.
const LINES: [(&str, &str, Measure, bool); 7] = [
    ("paper: its own claim, {X, Z}", "paper, to the letter", Measure::Claim, true),
    (
        "paper: all that nodes learn, to the letter",
        "paper, to the letter",
        Measure::Identifiers,
        false,
    ),
    ("paper: the same, as built", "paper, as built", Measure::Identifiers, false),
    ("guarded: identifiers", "guarded, 1 hop", Measure::Identifiers, false),
    ("guarded, two middles: identifiers", "guarded, 2 hops", Measure::Identifiers, false),
    ("guarded: both ends seen, by time", "guarded, 1 hop", Measure::Timing, false),
    (
        "guarded, nodes mark certificates and write into cells: identifiers",
        "guarded, 1 hop, nodes mark and write",
        Measure::Identifiers,
        false,
    ),
];

fn by_share(findings: &sim::Findings) -> Vec<Series> {
    let line = |(name, scheme, measure, is_claim): (&str, &str, Measure, bool)| {
        let same = findings
            .per_mail
            .iter()
            .filter(|point| point.scheme == scheme && point.measure == measure);
        let points = same.map(|point| (point.share, point.simulated.value)).collect();
        Series { name: name.to_owned(), points, is_claim }
    };
    LINES.into_iter().map(line).filter(|series| series.points.len() > 1).collect()
}

fn by_mails(findings: &sim::Findings) -> Vec<Series> {
    let at_share = findings.ever.iter().filter(|point| (point.share - SHARE).abs() < 1e-9);
    let mut lines: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    for point in at_share.filter(|point| point.measure == Measure::Identifiers) {
        let mails = u32::try_from(point.mails).map_or(f64::MAX, f64::from);
        lines.entry(&point.scheme).or_default().push((mails, point.simulated.value));
    }
    let series = |(name, mut points): (&str, Vec<(f64, f64)>)| {
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        Series { name: name.to_owned(), points, is_claim: false }
    };
    lines.into_iter().map(series).filter(|series| series.points.len() > 1).collect()
}

#[derive(Serialize)]
struct TableCell {
    simulated: String,
    published: Option<String>,
}

#[derive(Serialize)]
struct TableRow {
    name: String,
    cells: Vec<TableCell>,
}

/// The published table, made anew: shares, and a row for each coalition.
fn table(findings: &sim::Findings) -> Value {
    let mut shares: Vec<f64> = findings.table.iter().map(|cell| cell.share).collect();
    shares.sort_by(f64::total_cmp);
    shares.dedup();
    let mut rows: Vec<TableRow> = Vec::new();
    for cell in &findings.table {
        let estimate = &cell.simulated;
        let hundred = |share: f64| share * 100.0;
        let (value, error) = (hundred(estimate.value), hundred(estimate.standard_error));
        let simulated = format!("{value:.2} ± {error:.2}");
        let published = cell.published.map(|share| format!("{:.2}", hundred(share)));
        let here = TableCell { simulated, published };
        match rows.iter_mut().find(|row| row.name == cell.row) {
            Some(row) => row.cells.push(here),
            None => rows.push(TableRow { name: cell.row.clone(), cells: vec![here] }),
        }
    }
    let shares: Vec<String> = shares.into_iter().map(percent).collect();
    context! { shares, rows => Value::from(Serde(rows)) }
}

#[derive(Serialize)]
struct ViewRow {
    role: String,
    cells: Vec<bool>,
}

/// For each scheme, which role learned what.
fn views(report: &Report) -> Vec<Value> {
    let schemes = report.parts.live.iter().flat_map(|live| &live.schemes);
    schemes
        .map(|scheme| {
            let labels: BTreeSet<&String> = scheme.views.values().flatten().collect();
            let rows: Vec<ViewRow> = scheme
                .views
                .iter()
                .map(|(role, seen)| ViewRow {
                    role: role.clone(),
                    cells: labels.iter().map(|label| seen.contains(*label)).collect(),
                })
                .collect();
            let labels: Vec<String> = labels.into_iter().cloned().collect();
            context! { scheme => scheme.scheme.clone(), labels, rows => Value::from(Serde(rows)) }
        })
        .collect()
}

#[derive(Serialize)]
struct GameRow {
    game: &'static str,
    who: String,
    hits: String,
    advantage: String,
    interval: String,
}

fn game_rows(findings: &game::Findings) -> Value {
    let games = [
        ("who wrote to whom", &findings.single_roles),
        ("whether A wrote", &findings.presence),
        ("who sees both ends", &findings.ends),
        ("the same, both at once", &findings.at_once),
        ("controls", &findings.controls),
    ];
    let row = |game: &'static str, trial: &game::Trial| GameRow {
        game,
        who: trial.who.clone(),
        hits: format!("{} of {}", trial.hits.0, trial.hits.1),
        advantage: format!("{:+.3}", trial.advantage),
        interval: format!("{:+.3} … {:+.3}", trial.interval.low, trial.interval.high),
    };
    let rows: Vec<GameRow> = games
        .into_iter()
        .flat_map(|(game, trials)| trials.iter().map(move |t| row(game, t)))
        .collect();
    Value::from(Serde(rows))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        claims::Claims,
        live::Findings,
        outcome::Outcome,
        report::{Parts, Run},
        role::{Coalition, Role, Strength},
    };

    #[test]
    fn the_page_counts_what_was_run_and_shows_what_hostile_nodes_found() {
        let member = Role::Member(String::new());
        let found = Coalition {
            roles: [member, Role::Anonymizer("Z2".to_owned())].into(),
            strength: Strength::Value,
            mails: (1, 1),
            chain: vec!["member and Z2 share a mark".to_owned()],
        };
        let mut live = Findings::default();
        live.acting.coalitions.push(found);
        let outcomes = vec![
            Outcome::of("a.held", true, ""),
            Outcome::of("acting.certificates", false, "linked"),
            Outcome::not_shown("a.little", "six rounds"),
            Outcome::not_run("a.absent", ""),
        ];
        let parts = Parts { outcomes, live: Some(live), ..Parts::default() };
        let run = Run {
            version: String::new(),
            profile: "quick".to_owned(),
            command: String::new(),
            seed: 1,
            commit: String::new(),
            started: String::new(),
            seconds: 1,
        };
        let page = page(&Report::new(run, &Claims::read().unwrap(), parts)).unwrap();
        for part in [
            "<title>cutout audit: 1 of 4 checks held</title>",
            "cutout is e-mail without a server",
            "1 of 4 checks held, 1 failed as they are known to, see the limits, 1 looked at too little",
            "see L-63. linked",
            "not shown",
            "member and Z2 share a mark",
        ] {
            assert!(page.contains(part), "{part} is not on the page");
        }
        assert!(!page.contains("all holds"));
    }
}
