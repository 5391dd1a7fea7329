//! The report: everything that one run of the audit saw, as data with a published schema, and as one page.

mod coalitions;
mod html;
mod plot;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    canary,
    checks::STATED,
    claims::{Claims, Statement},
    game, live,
    mutant::MutantOutcome,
    outcome::{Outcome, Verdict},
    sim, symbolic,
};

pub(crate) use html::page;

/// The name and version of the data's form.
pub(crate) const SCHEMA: &str = "cutout-audit-1";

/// How a claim or a limit stands after a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Standing {
    /// Its checks ran, and all held.
    Holds,
    /// One of its checks fell.
    Fell,
    /// One of its checks fails, and this is known: a limit says so.
    Known,
    /// One of its checks ran and looked at too little to show anything.
    NotShown,
    /// None of its checks could run here.
    NotRun,
    /// The test suite alone checks it, and a report runs no tests.
    ByTests,
    /// Nothing checks it: it is a limit that is only stated.
    Stated,
}

/// What one check says of a claim.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Evidence {
    /// The check, or the file of a test.
    pub check: String,
    /// How it ended; nothing for tests.
    pub verdict: Option<Verdict>,
    /// What it saw.
    pub seen: String,
}

/// A claim or a limit, and what became of it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Row {
    /// `C-01`, `L-01`.
    pub id: String,
    /// What it says.
    pub line: String,
    /// Against whom.
    pub adversary: String,
    /// The bound; for a limit, what would end it.
    pub bound: String,
    /// How it stands.
    pub standing: Standing,
    /// By what.
    pub evidence: Vec<Evidence>,
}

/// What a run is identified by.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Run {
    /// The program's version.
    pub version: String,
    /// `quick` or `full`.
    pub profile: String,
    /// What was typed.
    pub command: String,
    /// What everything random in simulations and computations follows from.
    pub seed: u64,
    /// The commit that the program was built from.
    pub commit: String,
    /// When it began, RFC 3339.
    pub started: String,
    /// How long it took, whole seconds.
    pub seconds: u64,
}

/// Everything.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// Which run.
    #[serde(flatten)]
    pub run: Run,
    /// `holds` if nothing fell; what fails as it is known to fail did not fall.
    pub verdict: Verdict,
    /// Every claim.
    pub claims: Vec<Row>,
    /// Every limit.
    pub limits: Vec<Row>,
    /// What its parts found.
    #[serde(flatten)]
    pub parts: Parts,
}

/// What the parts of the audit found.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub(crate) struct Parts {
    /// Every check.
    pub outcomes: Vec<Outcome>,
    /// The live run.
    pub live: Option<live::Findings>,
    /// The simulation.
    pub simulation: Option<sim::Findings>,
    /// The distinguishing game.
    pub game: Option<game::Findings>,
    /// The canary scan.
    pub canary: Option<canary::Findings>,
    /// The symbolic models.
    pub symbolic: Option<symbolic::Findings>,
    /// The mutants.
    pub mutants: Vec<MutantOutcome>,
}

impl Report {
    /// Binds what was found to the claims. A check that a claim names and that did not report counts as not run.
    #[must_use]
    pub(crate) fn new(run: Run, claims: &Claims, mut parts: Parts) -> Self {
        parts.outcomes = claims.judged(parts.outcomes);
        parts.outcomes.sort_by(|a, b| a.check.cmp(&b.check));
        let fell = parts.outcomes.iter().any(|outcome| outcome.verdict == Verdict::Fell);
        let by_check: BTreeMap<&str, &Outcome> =
            parts.outcomes.iter().map(|outcome| (outcome.check.as_str(), outcome)).collect();
        let rows = |statements: &[Statement]| -> Vec<Row> {
            statements.iter().map(|s| row(s, &by_check)).collect()
        };
        let (claims, limits) = (rows(&claims.claims), rows(&claims.limits));
        Self {
            schema: SCHEMA.to_owned(),
            run,
            verdict: if fell { Verdict::Fell } else { Verdict::Holds },
            claims,
            limits,
            parts,
        }
    }

    /// How many checks ended in which way, in words.
    #[must_use]
    pub(crate) fn counted(&self) -> String {
        let count = |verdict| self.ended(verdict).count();
        let all = self.parts.outcomes.len();
        let mut words = vec![format!("{} of {all} checks held", count(Verdict::Holds))];
        let more = [
            (count(Verdict::Fell), "fell"),
            (count(Verdict::Known), "failed as they are known to, see the limits"),
            (count(Verdict::NotShown), "looked at too little to show anything"),
            (count(Verdict::NotRun), "were not run"),
        ];
        words.extend(more.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")));
        words.join(", ")
    }

    /// The checks that ended so.
    pub(crate) fn ended(&self, verdict: Verdict) -> impl Iterator<Item = &Outcome> {
        self.parts.outcomes.iter().filter(move |outcome| outcome.verdict == verdict)
    }
}

fn row(statement: &Statement, outcomes: &BTreeMap<&str, &Outcome>) -> Row {
    let evidence: Vec<Evidence> = statement
        .checks
        .iter()
        .map(|check| {
            let (verdict, seen) = match outcomes.get(check.as_str()) {
                Some(outcome) => (Some(outcome.verdict), outcome.seen.clone()),
                None if is_test(check) => (None, "by the test suite".to_owned()),
                None if check == STATED => (None, "nothing shows it".to_owned()),
                None => (Some(Verdict::NotRun), "not in this profile".to_owned()),
            };
            Evidence { check: check.clone(), verdict, seen }
        })
        .collect();
    let verdicts: Vec<Verdict> = evidence.iter().filter_map(|evidence| evidence.verdict).collect();
    let by_verdict = [
        (Verdict::Fell, Standing::Fell),
        (Verdict::Known, Standing::Known),
        (Verdict::NotShown, Standing::NotShown),
        (Verdict::Holds, Standing::Holds),
        (Verdict::NotRun, Standing::NotRun),
    ];
    let is_tested = statement.checks.iter().any(|check| is_test(check));
    let otherwise = if is_tested { Standing::ByTests } else { Standing::Stated };
    let found = by_verdict.into_iter().find(|(verdict, _)| verdicts.contains(verdict));
    let standing = found.map_or(otherwise, |(_, standing)| standing);
    Row {
        id: statement.id.clone(),
        line: statement.line.clone(),
        adversary: statement.adversary.clone(),
        bound: statement.bound.clone(),
        standing,
        evidence,
    }
}

/// Whether a check is a file of tests.
#[must_use]
pub(crate) fn is_test(check: &str) -> bool {
    check.contains('/')
}

/// The published schema of a report's data, JSON Schema 2020-12.
#[must_use]
pub(crate) fn schema() -> String {
    let schema = schemars::schema_for!(Report);
    serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(checks: &[&str]) -> Statement {
        Statement {
            id: "C-01".to_owned(),
            line: String::new(),
            adversary: String::new(),
            checks: checks.iter().map(|check| (*check).to_owned()).collect(),
            bound: String::new(),
        }
    }

    #[test]
    fn a_claim_stands_as_its_worst_check_and_never_on_one_that_did_not_run() {
        let held = Outcome::of("a.held", true, "");
        let fell = Outcome::of("a.fell", false, "");
        let absent = Outcome::not_run("a.absent", "");
        let known = Outcome::of("a.known", false, "").known_to_fail("L-01");
        let little = Outcome::not_shown("a.little", "");
        let outcomes = [&held, &fell, &absent, &known, &little]
            .into_iter()
            .map(|o| (o.check.as_str(), o))
            .collect();
        let standing = |checks: &[&str]| row(&statement(checks), &outcomes).standing;
        assert_eq!(standing(&["a.held"]), Standing::Holds);
        assert_eq!(standing(&["a.held", "a.fell"]), Standing::Fell);
        assert_eq!(standing(&["a.known", "a.fell"]), Standing::Fell);
        assert_eq!(standing(&["a.held", "a.known"]), Standing::Known);
        assert_eq!(standing(&["a.held", "a.little"]), Standing::NotShown);
        assert_eq!(standing(&["a.absent"]), Standing::NotRun);
        assert_eq!(standing(&["a.unheard-of"]), Standing::NotRun);
        assert_eq!(standing(&["a.absent", "tests/views.rs"]), Standing::NotRun);
        assert_eq!(standing(&["tests/views.rs"]), Standing::ByTests);
        assert_eq!(standing(&[STATED]), Standing::Stated);
    }

    #[test]
    fn the_schema_in_the_repository_is_the_one_that_is_printed() {
        let published = include_str!("../report.schema.json");
        assert_eq!(
            schema(),
            published,
            "write it anew: cutout audit schema > audit/report.schema.json"
        );
    }
}
