//! How the commands talk: data on stdout, talk on stderr, and failures as `error:` / `cause:` / `try:`.
//!
//! **Invariant:** all text leaves through [`say`], [`say_json`], [`tell`], [`Failure::print`] or [`Progress`], and each of
//! them makes it harmless ([`crate::printable`]). [`pour`] alone writes bytes as they are, for those who ask for them.

use std::{
    io::{ErrorKind, IsTerminal as _, Write as _},
    sync::atomic::AtomicBool,
    time::Duration,
};

use comfy_table::{ContentArrangement, Table, TableStyle};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use parking_lot::Mutex;
use ua::{
    account::AccountError,
    compose::ComposeError,
    error::AgentError,
    event::{Event, Listener},
    maildir::MaildirError,
    profile::ProfileError,
    vault::VaultError,
};

use crate::printable;

/// The exit code when whoever read the output has gone, as a shell shows the death by SIGPIPE. Nothing is said then.
pub const NOBODY_READS: u8 = 141;

/// A command failed: what it says, and its exit code (sysexits).
#[derive(Clone, Debug)]
pub struct Failure {
    /// The exit code.
    pub code: u8,
    /// What did not work.
    pub error: String,
    /// Why.
    pub cause: String,
    /// What to do about it.
    pub remedy: String,
}

impl Failure {
    /// A failure with all it has to say.
    #[must_use]
    pub fn new(code: u8, error: &str, cause: impl ToString, remedy: &str) -> Self {
        // TOML's errors show the place on lines of their own and end with an empty one.
        let cause = cause.to_string().trim_end().to_owned();
        Self { code, error: error.to_owned(), cause, remedy: remedy.to_owned() }
    }

    /// The same failure as that of some operation.
    #[must_use]
    pub fn of(mut self, error: &str) -> Self {
        error.clone_into(&mut self.error);
        self
    }

    /// That a stream could not be written to.
    fn unwritable(error: &std::io::Error) -> Self {
        let code = if error.kind() == ErrorKind::BrokenPipe { NOBODY_READS } else { 74 };
        Self::new(code, "the output cannot be written", error, "")
    }

    /// The same failure with a node's directory in what it advises.
    #[must_use]
    pub fn at(mut self, dir: &std::path::Path) -> Self {
        self.remedy = self.remedy.replace("--dir DIR", &format!("--dir {}", dir.display()));
        self
    }

    /// Writes it to stderr.
    pub fn print(&self) {
        if self.code == NOBODY_READS {
            return;
        }
        let mut out = anstream::stderr().lock();
        let bold = "\u{1b}[1;31m";
        let _ = writeln!(out, "{bold}error:\u{1b}[0m {}", printable::text(&self.error));
        if !self.cause.is_empty() && self.cause != self.error {
            let _ = writeln!(out, "cause: {}", printable::text(&self.cause));
        }
        if !self.remedy.is_empty() {
            let _ = writeln!(out, "try:   {}", printable::text(&self.remedy));
        }
    }
}

impl From<AgentError> for Failure {
    fn from(error: AgentError) -> Self {
        let what = match error {
            AgentError::Account(error) => return error.into(),
            AgentError::Lost(lost) => return lost.into(),
            AgentError::Vault(_) | AgentError::LostGuards(_) | AgentError::BadFile(_) => {
                "the sealed files cannot be used"
            }
            AgentError::Maildir(_) => "the Maildir cannot be used",
            _ => "the network did not do what was asked",
        };
        Self::new(error.exit_code(), what, &error, error.remedy())
    }
}

impl From<VaultError> for Failure {
    fn from(error: VaultError) -> Self {
        Self::new(error.exit_code(), "the sealed files cannot be used", &error, error.remedy())
    }
}

impl From<ProfileError> for Failure {
    fn from(error: ProfileError) -> Self {
        let what = "this user's directory cannot be used";
        match error {
            ProfileError::Vault(error) => error.into(),
            ProfileError::Account(error) => error.into(),
            error => Self::new(error.exit_code(), what, &error, error.remedy()),
        }
    }
}

impl From<AccountError> for Failure {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Vault(error) => error.into(),
            error => Self::new(78, "this user's address cannot be used", &error, error.remedy()),
        }
    }
}

impl From<ComposeError> for Failure {
    fn from(error: ComposeError) -> Self {
        let remedy = match error {
            ComposeError::NotAMessage | ComposeError::Empty => {
                "hand in a file with headers, or give a subject with -s and the text on standard input"
            }
            _ => "send a smaller message",
        };
        Self::new(65, "this cannot be sent", error, remedy)
    }
}

impl From<MaildirError> for Failure {
    fn from(error: MaildirError) -> Self {
        Self::new(error.exit_code(), "the Maildir cannot be used", &error, error.remedy())
    }
}

/// Prints a line of data.
///
/// # Errors
/// [`Failure`] if stdout cannot be written to; with [`NOBODY_READS`] if it is closed.
pub fn say(line: impl AsRef<str>) -> Result<(), Failure> {
    pour(format!("{}\n", printable::text(line.as_ref())).as_bytes())
}

/// Prints a JSON value as a line of data.
///
/// # Errors
/// As [`say`].
pub fn say_json(value: &serde_json::Value) -> Result<(), Failure> {
    pour(format!("{}\n", printable::json(value)).as_bytes())
}

/// Prints one finding of a check, as a line for people or in JSON.
///
/// # Errors
/// [`Failure`] if nobody reads it.
pub fn finding(what: &str, is_good: bool, detail: &str, json: bool) -> Result<(), Failure> {
    if json {
        return say_json(&serde_json::json!({ "check": what, "good": is_good, "detail": detail }));
    }
    let mark = if is_good { "ok " } else { "BAD" };
    say(format!("{mark}  {what:14} {detail}"))
}

/// Writes bytes to stdout as they are.
///
/// # Errors
/// As [`say`].
pub fn pour(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(bytes).and_then(|()| out.flush());
    written.map_err(|error| Failure::unwritable(&error))
}

/// Prints a line of talk.
pub fn tell(line: impl AsRef<str>) {
    let _ = writeln!(anstream::stderr().lock(), "{}", printable::text(line.as_ref()));
}

/// The narrowest terminal that tables are fitted into, columns.
const NARROWEST: u16 = 20;

/// A table that fits into the terminal: into as many columns as COLUMNS says, or else as stdout has if it is a terminal.
#[must_use]
pub fn table(style: TableStyle) -> Table {
    let mut table = Table::new();
    table.load_style(style).set_truncation_indicator("…");
    let columns = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    let columns = columns.filter(|columns| *columns > 0).or_else(|| table.width());
    if let Some(columns) = columns {
        table.set_width(columns.max(NARROWEST));
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    table
}

/// Shows what an agent does: one moving line on a terminal, nothing elsewhere unless it was asked for.
#[derive(derive_more::Debug)]
#[debug("Progress(..)")]
pub struct Progress {
    bar: ProgressBar,
    verbose: bool,
    last: Mutex<String>,
    warned: AtomicBool,
}

impl Progress {
    /// Starts to show; with `verbose` each step gets a line of its own.
    #[must_use]
    pub fn start(first: &str, verbose: bool) -> Self {
        let bar = if std::io::stderr().is_terminal() && !verbose {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        } else {
            ProgressBar::hidden()
        };
        let progress = Self { bar, verbose, last: Mutex::default(), warned: AtomicBool::default() };
        progress.step(first);
        progress
    }

    /// Shows a step.
    pub fn step(&self, text: &str) {
        self.bar.set_message(printable::line(text));
        if self.verbose {
            let mut last = self.last.lock();
            if *last != text {
                tell(text);
                text.clone_into(&mut last);
            }
        }
    }

    /// Shows nothing for a while: somebody is typing.
    pub fn hide(&self) {
        self.bar.set_draw_target(ProgressDrawTarget::hidden());
    }

    /// Shows what is done again.
    pub fn show(&self) {
        if !self.verbose {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }

    /// Stops showing.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Listener for Progress {
    fn on(&self, event: &Event) {
        let Some(text) = describe(event) else { return };
        let is_news = match event {
            // What is hidden less well than usual is said once, not flashed.
            Event::Incomplete { .. } => {
                !self.warned.swap(true, std::sync::atomic::Ordering::Relaxed)
            }
            Event::NotRead { .. } | Event::NotPublished { .. } => true,
            _ => return self.step(&text),
        };
        if is_news {
            self.bar.suspend(|| tell(format!("warning: {text}")));
        }
    }
}

/// An event in words; `None` if it is of no interest to people.
#[must_use]
pub fn describe(event: &Event) -> Option<String> {
    Some(match event {
        Event::Channel { purpose, path, .. } => format!(
            "{purpose}: channel through X {} to {}, confirmed by Y {}",
            path.go_between.short(),
            path.anonymizer.short(),
            path.witness.short(),
        ),
        Event::Identity(_) => return None,
        Event::Disagreed { purpose, disagreement } => {
            format!("{purpose}: answers disagree, asking others ({disagreement})")
        }
        Event::Agreed { purpose, replicas } => {
            format!("{purpose}: both lists name the same {} replicas", replicas.len())
        }
        Event::Receipts { purpose, valid, wanted } => {
            format!("{purpose}: {valid} of {wanted} receipts verified")
        }
        Event::Evidence(evidence) => {
            format!("evidence: {} {}", evidence.node.short(), evidence.violation)
        }
        Event::Waiting { seconds } => {
            format!(
                "inbox: waiting {seconds} s, so that body and notification cannot be matched by time"
            )
        }
        Event::Incomplete { reason } => format!(
            "the roster is incomplete ({reason}): storage nodes are looked up through channels, which the nodes \
             near them see"
        ),
        Event::Tried { all: 0 | 1, .. } => return None,
        Event::Tried { tried, all } => format!("{tried} of {all} announced mails were tried"),
        Event::ReadingAnswers => "reading the inboxes of your addresses for answers".to_owned(),
        Event::NotRead { reason } => format!("an address for answers was not read: {reason}"),
        Event::NotPublished { reason } => {
            format!("your certificate could not be checked: {reason}")
        }
        Event::Retry { purpose, reason } => format!("{purpose}: trying again ({reason})"),
    })
}
