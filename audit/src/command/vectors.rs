//! `cutout audit vectors`.

use clap::Args;
use cutout::terminal::{Failure, say};

use crate::vectors::{FileOutcome, check};

/// Arguments of `cutout audit vectors`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cutout audit vectors\n  cutout audit vectors --json | jq '.[] | select(.different != [])'"
)]
pub(crate) struct VectorsArgs {
    /// Report in JSON on stdout
    #[arg(long)]
    json: bool,
}

/// Runs `cutout audit vectors`.
///
/// # Errors
/// [`Failure`] with exit code 1 if an answer came out different.
pub(crate) fn run(args: &VectorsArgs) -> Result<(), Failure> {
    let outcomes = check();
    if args.json {
        say(serde_json::json!(outcomes).to_string())?;
    } else {
        for outcome in &outcomes {
            say(to_line(outcome))?;
        }
    }
    let different: Vec<&str> = outcomes.iter().filter(|o| !o.holds()).map(|o| o.file).collect();
    if different.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        1,
        "known answers came out different",
        different.join(", "),
        "do not trust this program: it does not compute what the standards and the other implementation do",
    ))
}

fn to_line(outcome: &FileOutcome) -> String {
    let FileOutcome { file, source, compared, different } = outcome;
    let word = if outcome.holds() { "same" } else { "DIFFERENT" };
    let wrong =
        if different.is_empty() { String::new() } else { format!(": {}", different.join("; ")) };
    let origin: String = source.chars().take(60).collect();
    let origin = if origin.len() < source.len() { format!("{origin}…") } else { origin };
    format!(
        "{word:9} {file:16} {compared:4} compared, {} different{wrong}  ({origin})",
        different.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_came_out_different() {
        let outcome = FileOutcome {
            file: "sha256",
            source: "FIPS 180-4".into(),
            compared: 5,
            different: vec!["B.1".into()],
        };
        assert_eq!(
            to_line(&outcome),
            "DIFFERENT sha256              5 compared, 1 different: B.1  (FIPS 180-4)"
        );
        let good = FileOutcome { different: Vec::new(), ..outcome };
        assert!(
            to_line(&good).starts_with("same      sha256              5 compared, 0 different")
        );
        assert_eq!(serde_json::json!(good)["compared"], 5);
        assert!(run(&VectorsArgs { json: false }).is_ok());
    }
}
