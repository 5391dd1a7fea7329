//! `cutout audit claims`.

use clap::Args;
use comfy_table::presets::NOTHING;
use cutout::terminal::{Failure, say};

use crate::claims::{Claims, Statement};

/// Arguments of `cutout audit claims`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cutout audit claims\n  cutout audit claims --json | jq '.limits[] | .id, .bound'"
)]
pub(crate) struct ClaimsArgs {
    /// Report in JSON on stdout
    #[arg(long)]
    json: bool,
}

/// Runs `cutout audit claims`.
///
/// # Errors
/// [`Failure`].
pub(crate) fn run(args: &ClaimsArgs) -> Result<(), Failure> {
    let claims = read()?;
    if args.json {
        let all = serde_json::json!({ "claims": claims.claims, "limits": claims.limits });
        return say(all.to_string());
    }
    let mut table = cutout::terminal::table(NOTHING);
    table.set_header(["ID", "KIND", "STATEMENT", "CHECKED BY"]);
    for (kind, statements) in [("claim", &claims.claims), ("limit", &claims.limits)] {
        for statement in statements {
            table.add_row(row(kind, statement));
        }
    }
    say(table.trim_fmt())
}

fn row(kind: &str, statement: &Statement) -> [String; 4] {
    let checks = statement.checks.join(", ");
    [statement.id.clone(), kind.to_owned(), statement.line.clone(), checks]
}

/// The claims, which are part of the program.
///
/// # Errors
/// [`Failure`] if they cannot be read.
pub(super) fn read() -> Result<Claims, Failure> {
    Claims::read().map_err(|error| {
        Failure::new(70, "the program's own list of claims cannot be read", error, "report it")
    })
}
