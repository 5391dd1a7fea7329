//! Verifpal as a process: where it is, how it is asked, what it answers (`--format json`).
//!
//! It asks the network for newer versions of itself only when its output is a terminal, which it never is here.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde::Deserialize;

use super::Model;

/// How often a running Verifpal is looked at.
const POLL: Duration = Duration::from_millis(10);

/// A Verifpal that is installed here.
#[derive(Clone, Debug)]
pub(crate) struct Tool {
    pub(super) program: PathBuf,
}

/// What Verifpal answers.
#[derive(Debug, Deserialize)]
pub(crate) struct Report {
    /// Its version.
    pub version: String,
    models: Vec<ModelReport>,
}

#[derive(Debug, Deserialize)]
struct ModelReport {
    ok: bool,
    error: Option<String>,
    analysis: Option<Analysis>,
}

#[derive(Debug, Deserialize)]
struct Analysis {
    queries: Vec<Query>,
}

/// One query's answer.
#[derive(Debug, Deserialize)]
pub(super) struct Query {
    /// The query.
    pub(super) query: String,
    /// Whether an attack was found.
    pub(super) resolved: bool,
    /// How far the search went.
    pub(super) envelope: Envelope,
    /// The attack, in a sentence.
    pub(super) conclusion: String,
}

/// How far a search went.
#[derive(Debug, Deserialize)]
pub(super) struct Envelope {
    exhausted: bool,
    truncations: Vec<String>,
}

impl Envelope {
    /// Whether nothing was left out within the number of sessions.
    pub(super) const fn is_complete(&self) -> bool {
        self.exhausted && self.truncations.is_empty()
    }
}

/// An answer, and how long it took.
#[derive(Debug)]
pub(crate) struct Verified {
    /// The answer.
    pub report: Report,
    /// From start to end.
    pub took: Duration,
}

impl Report {
    /// The answers to the queries of the one model that was asked about.
    pub(super) fn analysis(&self) -> Result<&[Query], String> {
        let [model] = self.models.as_slice() else {
            return Err(format!("verifpal answers for {} models, not 1", self.models.len()));
        };
        match (&model.analysis, &model.error) {
            (Some(analysis), None) if model.ok => Ok(&analysis.queries),
            (_, Some(error)) => Err(format!("verifpal refuses the model: {error}")),
            _ => Err(String::from("verifpal gives no analysis")),
        }
    }
}

impl Tool {
    /// The Verifpal in PATH, or where cargo installs.
    #[must_use]
    pub(crate) fn find() -> Option<Self> {
        let cargo = env::var_os("CARGO_HOME")
            .map(PathBuf::from)
            .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")));
        let path = env::var_os("PATH").unwrap_or_default();
        let mut directories = env::split_paths(&path).collect::<Vec<_>>();
        directories.extend(cargo.map(|cargo| cargo.join("bin")));
        let program = directories
            .into_iter()
            .map(|directory| directory.join("verifpal"))
            .find(|program| program.is_file())?;
        Some(Self { program })
    }

    /// Has a model verified.
    ///
    /// # Errors
    /// What is wrong, in words: no start, no end within `limit`, no answer that can be read.
    pub(crate) fn verify(
        &self,
        model: &Model,
        sessions: u8,
        limit: Duration,
    ) -> Result<Verified, String> {
        let failed = |what: &'static str| move |error: io::Error| format!("{what}: {error}");
        let directory = tempfile::tempdir().map_err(failed("no temporary directory"))?;
        let file = directory.path().join(format!("{}.vp", model.name));
        let answer = directory.path().join("answer.json");
        fs::write(&file, model.source).map_err(failed("the model cannot be written"))?;
        let output = fs::File::create(&answer).map_err(failed("no file for the answer"))?;
        let started = Instant::now();
        let mut child = Command::new(&self.program)
            .args(["verify", "--format", "json", "--sessions", &sessions.to_string()])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed("verifpal does not start"))?;
        let status = wait(&mut child, started, limit)?;
        let took = started.elapsed();
        let text = fs::read_to_string(&answer).map_err(failed("the answer cannot be read"))?;
        let report = serde_json::from_str(&text).map_err(|error| {
            format!("verifpal ({status}) says nothing that can be read: {error}")
        })?;
        Ok(Verified { report, took })
    }
}

/// Waits for a process, not longer than `limit` from its start.
fn wait(child: &mut Child, started: Instant, limit: Duration) -> Result<ExitStatus, String> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status),
            Ok(None) if started.elapsed() < limit => thread::sleep(POLL),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("verifpal did not end within {} s", limit.as_secs()));
            }
            Err(error) => return Err(format!("verifpal cannot be waited for: {error}")),
        }
    }
}
