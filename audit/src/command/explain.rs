//! `cutout audit explain`.

use clap::Args;
use cutout::terminal::{Failure, say};

use crate::{
    checks::{STATED, place},
    claims::{Claims, Statement},
};

/// Arguments of `cutout audit explain`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cutout audit explain C-03\n  cutout audit explain L-41")]
pub(crate) struct ExplainArgs {
    /// A claim or a limit of THREATMODEL.md
    id: String,
}

/// Runs `cutout audit explain`.
///
/// # Errors
/// [`Failure`], with 64 if there is no such claim or limit.
pub(crate) fn run(args: &ExplainArgs) -> Result<(), Failure> {
    let claims = super::claims::read()?;
    match claims.statement(args.id.trim()) {
        Some(statement) => lines(&claims, statement).iter().try_for_each(say),
        None => Err(unknown(&claims, args.id.trim())),
    }
}

fn lines(claims: &Claims, statement: &Statement) -> Vec<String> {
    let is_claim = claims.claims.contains(statement);
    let (kind, who, bound) = if is_claim {
        ("claim", "Against  ", "Bound    ")
    } else {
        ("limit", "Favours  ", "Ended by ")
    };
    let mut lines = vec![
        format!("{}, a {kind}", statement.id),
        format!("  {}", statement.line),
        String::new(),
        format!("{who} {}", statement.adversary),
    ];
    if !statement.bound.is_empty() {
        lines.push(format!("{bound} {}", statement.bound));
    }
    lines.push("Checks".to_owned());
    for check in &statement.checks {
        let Some(place) = place(check) else {
            let why = if check == STATED { "nothing can show it" } else { "it is not known" };
            lines.push(format!("  {check}: {why}"));
            continue;
        };
        lines.push(format!("  {check}"));
        lines.push(format!("    run   {}", place.run));
        if place.code != *check {
            lines.push(format!("    code  {}", place.code));
        }
    }
    lines
}

/// What to say of an id that is none.
fn unknown(claims: &Claims, id: &str) -> Failure {
    let close = close(claims, id);
    let remedy = if close.is_empty() {
        "run `cutout audit claims` for all of them".to_owned()
    } else {
        format!("run `cutout audit explain {}`", close.join("` or `cutout audit explain "))
    };
    let error = format!("there is no claim or limit {id}");
    let cause = "ids are C-01, C-02, … and L-01, L-02, …; one that has ended is not used again";
    Failure::new(64, &error, cause, &remedy)
}

/// The ids that somebody who typed this may have meant: those of its number, of its letter if it has one.
fn close(claims: &Claims, id: &str) -> Vec<String> {
    let digits: String = id.chars().filter(char::is_ascii_digit).collect();
    let Ok(number) = digits.parse::<u32>() else { return Vec::new() };
    let letter = id.chars().next().filter(char::is_ascii_alphabetic);
    let letter = letter.map(|letter| letter.to_ascii_uppercase());
    let all = claims.claims.iter().chain(&claims.limits).map(|statement| statement.id.clone());
    all.filter(|id| {
        let is_its = letter.is_none_or(|letter| id.starts_with(letter));
        is_its && id.split_once('-').and_then(|(_, n)| n.parse().ok()) == Some(number)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_told_with_what_checks_it() {
        let claims = Claims::read().unwrap();
        let told = lines(&claims, claims.statement("c-32").unwrap()).join("\n");
        for part in ["C-32, a claim", "simulation.grinding", "cutout audit sim", "--test grinding"]
        {
            assert!(told.contains(part), "{part} is not in\n{told}");
        }
        let told = lines(&claims, claims.statement("L-30").unwrap()).join("\n");
        assert!(told.contains("a limit") && told.contains("nothing can show it"), "{told}");
    }

    #[test]
    fn what_is_nearly_an_id_finds_it() {
        let claims = Claims::read().unwrap();
        assert_eq!(close(&claims, "c3"), ["C-03"]);
        assert_eq!(close(&claims, "L-005"), ["L-05"]);
        assert_eq!(close(&claims, "17"), ["C-17", "L-17"]);
        for none in ["L-03", "C-999", "X-01", "everything", ""] {
            assert_eq!(close(&claims, none), [""; 0], "{none}");
        }
        let failure = unknown(&claims, "c3");
        assert_eq!(
            (failure.code, failure.remedy.as_str()),
            (64, "run `cutout audit explain C-03`")
        );
    }
}
