//! The models, and what their first lines say must be found.
//!
//! ```text
//! // expect: pass confidentiality? request
//! // expect: fail authentication? Node -> Sender: back
//! ```
//! One such line for each query of the model, written as in its `queries` block.

use super::tool::Query;

/// A model in Verifpal's language, carried by the program so that it needs no sources.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Model {
    /// Its file's name, without `.vp`.
    pub name: &'static str,
    /// The check that it belongs to.
    pub check: &'static str,
    /// Its text.
    pub source: &'static str,
}

macro_rules! models {
    ($($check:literal: $($name:literal)+;)+) => {
        &[$($(Model {
            name: $name,
            check: $check,
            source: include_str!(concat!("../../symbolic/", $name, ".vp")),
        },)+)+]
    };
}

/// All models, those of one check together.
pub(crate) const MODELS: &[Model] = models! {
    "symbolic.handshake": "handshake" "network" "compact";
    "symbolic.extend": "extend";
    "symbolic.first-message": "first-message";
    "symbolic.variants": "one-key" "no-counter" "no-first-key" "no-second-key" "no-confirmation" "sealed-key"
        "given-key" "unbound-network" "unbound-certificate";
};

/// What must be found of one query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expectation<'a> {
    /// The query, as Verifpal writes it.
    pub query: &'a str,
    /// Whether it must pass; otherwise an attack on it must be found.
    pub passes: bool,
}

impl Model {
    /// What must be found, in the order of the queries. A line that says neither is taken for a query that must pass
    /// and that no model has, so that the model falls.
    #[must_use]
    pub(crate) fn expectations(&self) -> Vec<Expectation<'static>> {
        let lines = self.source.lines().filter_map(|line| line.strip_prefix("// expect: "));
        lines
            .map(|line| match (line.strip_prefix("pass "), line.strip_prefix("fail ")) {
                (Some(query), _) => Expectation { query, passes: true },
                (None, Some(query)) => Expectation { query, passes: false },
                (None, None) => Expectation { query: line, passes: true },
            })
            .collect()
    }
}

/// How what was found differs from what must be; nothing if it does not.
pub(super) fn differences(expected: &[Expectation<'_>], found: &[Query]) -> Vec<String> {
    let mut problems = Vec::new();
    if found.len() != expected.len() {
        problems.push(format!("{} queries were answered, not {}", found.len(), expected.len()));
    }
    for Expectation { query, passes } in expected {
        let Some(answer) = found.iter().find(|answer| answer.query == *query) else {
            problems.push(format!("`{query}` was not answered"));
            continue;
        };
        if answer.resolved == *passes {
            problems.push(if answer.resolved {
                format!("`{query}` falls: {}", answer.conclusion)
            } else {
                format!("`{query}` passes, and must fall")
            });
        } else if *passes && !answer.envelope.is_complete() {
            problems.push(format!("`{query}` was not searched to the end"));
        }
    }
    problems
}
