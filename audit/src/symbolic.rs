//! The handshake and the path in symbols: models in `audit/symbolic/*.vp`, run by Verifpal, with what must be found.
//!
//! Verifpal (Kobeissi, Nicolas, Tiwari, "Verifpal: Cryptographic Protocol Analysis for the Real World", 2020) looks for
//! an execution in which a claim falls, with an attacker who owns the line, over so many sessions of each principal; a
//! claim that passes was not attacked within these. It is a program of its own, under a licence of its own (GPL), and
//! never a dependency.
//!
//! A model that holds must pass in every query. A model of a limit, and a variant with a weakness put back in, must fall
//! in the queries that its first lines name, and in no other: a monitor that cannot see a known weakness is blind.

mod model;
mod tool;

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use model::{MODELS, Model};
pub(crate) use tool::{Tool, Verified};

use crate::outcome::Outcome;

/// What to type where Verifpal is missing.
pub(crate) const INSTALL: &str = "cargo install verifpal --ignore-rust-version";
/// How long Verifpal may take for one model; the slowest takes some eight seconds of a core, if it gets one.
const LIMIT: Duration = Duration::from_secs(300);

/// How much is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Extent {
    /// One session of each principal: less than half a second a model, and the same findings.
    Quick,
    /// Two sessions of each principal, so that the attacker can carry things from one to the other: half a minute.
    Full,
}

impl Extent {
    /// Sessions of each principal.
    #[must_use]
    pub(crate) const fn sessions(self) -> u8 {
        match self {
            Self::Quick => 1,
            Self::Full => 2,
        }
    }
}

/// What Verifpal found in one model.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ModelFinding {
    /// The model's name: that of its file.
    pub model: String,
    /// The check that it belongs to.
    pub check: String,
    /// Whether all is as it must be.
    pub holds: bool,
    /// Queries that fell, as they had to.
    pub fallen: usize,
    /// Queries in all.
    pub queries: usize,
    /// Seconds it took.
    pub seconds: f64,
    /// What is not as it must be, a line each.
    pub problems: Vec<String>,
}

/// What came of all models.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Findings {
    /// The tool's version; `None` if there is none.
    pub verifpal: Option<String>,
    /// Sessions of each principal.
    pub sessions: u8,
    /// The models that were run.
    pub models: Vec<ModelFinding>,
}

/// Runs all models with the Verifpal that is installed here; tells `progress` before each which it is.
pub(crate) fn run(extent: Extent, progress: impl FnMut(&str)) -> Findings {
    run_with(Tool::find().as_ref(), extent, progress)
}

/// Runs all models with this tool.
pub(crate) fn run_with(
    tool: Option<&Tool>,
    extent: Extent,
    mut progress: impl FnMut(&str),
) -> Findings {
    let sessions = extent.sessions();
    let Some(tool) = tool else {
        return Findings { verifpal: None, sessions, models: Vec::new() };
    };
    let mut version = String::from("unknown");
    let mut models = Vec::new();
    for model in MODELS {
        progress(model.name);
        let (finding, seen) = judge(model, tool.verify(model, sessions, LIMIT));
        version = seen.unwrap_or(version);
        models.push(finding);
    }
    Findings { verifpal: Some(version), sessions, models }
}

/// Holds what Verifpal said of a model against what it must say. Whatever cannot be read does not hold.
fn judge(model: &Model, verified: Result<Verified, String>) -> (ModelFinding, Option<String>) {
    let (mut problems, mut fallen, mut seconds, mut version) = (Vec::new(), 0, 0.0, None);
    let expected = model.expectations();
    match verified {
        Err(why) => problems.push(why),
        Ok(Verified { report, took }) => {
            seconds = took.as_secs_f64();
            match report.analysis() {
                Err(why) => problems.push(why),
                Ok(queries) => {
                    fallen = queries.iter().filter(|query| query.resolved).count();
                    problems.extend(model::differences(&expected, queries));
                }
            }
            version = Some(report.version);
        }
    }
    if expected.is_empty() {
        problems.push(String::from("the model says nothing of what must be found"));
    }
    let (model, check) = (model.name.to_owned(), model.check.to_owned());
    let (holds, queries) = (problems.is_empty(), expected.len());
    (ModelFinding { model, check, holds, fallen, queries, seconds, problems }, version)
}

/// The findings as checks: `symbolic.handshake`, `symbolic.extend`, `symbolic.first-message`, `symbolic.variants`.
#[must_use]
pub(crate) fn outcomes(findings: &Findings) -> Vec<Outcome> {
    let mut checks: Vec<&str> = MODELS.iter().map(|model| model.check).collect();
    checks.dedup();
    checks.into_iter().map(|check| outcome(check, findings)).collect()
}

fn outcome(check: &str, findings: &Findings) -> Outcome {
    let Some(version) = &findings.verifpal else {
        return Outcome::not_run(check, format!("there is no verifpal here; try: {INSTALL}"));
    };
    let models: Vec<&ModelFinding> = findings.models.iter().filter(|m| m.check == check).collect();
    let good = models.iter().filter(|model| model.holds).count();
    let due = MODELS.iter().filter(|model| model.check == check).count();
    let queries: usize = models.iter().map(|model| model.queries).sum();
    let fallen: usize = models.iter().map(|model| model.fallen).sum();
    let seen = format!(
        "{good} of {due} models as they must be: {} of {queries} queries pass, {fallen} fall; {} sessions, verifpal {version}",
        queries.saturating_sub(fallen),
        findings.sessions,
    );
    let details = models.iter().flat_map(|model| {
        let state = if model.holds { "as it must be" } else { "NOT as it must be" };
        let line = format!(
            "{}: {state}, {} of {} queries fall, {:.1} s",
            model.model, model.fallen, model.queries, model.seconds
        );
        std::iter::once(line).chain(model.problems.iter().map(|problem| format!("  {problem}")))
    });
    Outcome::of(check, good == due && due > 0, seen).with_details(details.collect())
}

#[cfg(test)]
mod tests;
