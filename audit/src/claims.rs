//! The machine-readable twin of THREATMODEL.md: every claim and every limit with its checks, what each role may
//! learn, and which coalitions are known to link. The checks read it; its tests keep it, page and checks from drifting
//! apart.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    outcome::Outcome,
    role::{Coalition, Role, Strength},
};

#[cfg(test)]
mod tests;

/// The file.
pub(crate) const TEXT: &str = include_str!("../claims.toml");
/// Under which name it lists the coalitions that link only once the recipient's secret keys are taken.
pub(crate) const WITH_KEYS: &str = "guarded with Bob's secret keys";
/// Under which name it lists the coalitions that link by what hostile nodes do, and not only by what they learn.
pub(crate) const ACTING: &str = "guarded where nodes act";

/// All of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// What is promised.
    #[serde(rename = "claim")]
    pub claims: Vec<Statement>,
    /// What is not.
    #[serde(rename = "limit")]
    pub limits: Vec<Statement>,
    /// What each role may learn.
    #[serde(rename = "view")]
    views: Vec<View>,
    /// Which coalitions are known to link.
    #[serde(rename = "coalition")]
    coalitions: Vec<Published>,
    /// Who sees one end of a mail, and so links by time with whoever sees the other.
    #[serde(rename = "ends")]
    ends: Vec<Ends>,
    /// Which checks are known to fail in this version.
    #[serde(default)]
    known: Vec<Known>,
}

/// A check that is known to fail in this version, and the limit that tells people so.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    check: String,
    limit: String,
}

/// A claim or a limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// `C-01`, `L-01`: never reused.
    pub id: String,
    /// What it says, as the page does.
    pub line: String,
    /// Against whom it holds, or whom it favours.
    pub adversary: String,
    /// What checks it: names of the audit's own checks, and files of tests.
    pub checks: Vec<String>,
    /// The bound that the checks hold it to, where it has one; for a limit, what would end it.
    pub bound: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct View {
    scheme: String,
    role: String,
    sees: BTreeSet<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Published {
    scheme: String,
    strength: Strength,
    /// Its members; `*` stands for each of `of` in turn.
    roles: Vec<String>,
    #[serde(default)]
    of: Vec<String>,
}

/// Who sees one end of a mail.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ends {
    scheme: String,
    /// Roles that learn who sends.
    pub sender: BTreeSet<String>,
    /// Roles that learn for whom it is.
    pub recipient: BTreeSet<String>,
}

impl Claims {
    /// Reads the file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read() -> Result<Self, String> {
        toml::from_str(TEXT).map_err(|error| error.to_string())
    }

    /// Outcomes as they count: a check that is known to fail may, and must.
    #[must_use]
    pub fn judged(&self, outcomes: Vec<Outcome>) -> Vec<Outcome> {
        let judged =
            |outcome: Outcome| match self.known.iter().find(|known| known.check == outcome.check) {
                Some(known) => outcome.known_to_fail(&known.limit),
                None => outcome,
            };
        outcomes.into_iter().map(judged).collect()
    }

    /// The claim or limit of this id.
    #[must_use]
    pub(crate) fn statement(&self, id: &str) -> Option<&Statement> {
        let same = |statement: &&Statement| statement.id.eq_ignore_ascii_case(id);
        self.claims.iter().chain(&self.limits).find(same)
    }

    /// What each role may learn, by role.
    #[must_use]
    pub(crate) fn views(&self, scheme: &str) -> BTreeMap<&str, &BTreeSet<String>> {
        let of_scheme = self.views.iter().filter(|view| view.scheme == scheme);
        of_scheme.map(|view| (view.role.as_str(), &view.sees)).collect()
    }

    /// Which coalitions are known to link.
    ///
    /// # Errors
    /// The name of a role that there is not.
    pub(crate) fn coalitions(
        &self,
        scheme: &str,
    ) -> Result<BTreeSet<(Strength, BTreeSet<Role>)>, String> {
        let mut all = BTreeSet::new();
        for published in self.coalitions.iter().filter(|published| published.scheme == scheme) {
            let once = [String::new()];
            let each = if published.of.is_empty() { &once[..] } else { &published.of };
            for end in each {
                let role = |name: &String| Role::try_from(name.replace('*', end));
                let roles = published.roles.iter().map(role).collect::<Result<_, _>>()?;
                all.insert((published.strength, roles));
            }
        }
        Ok(all)
    }

    /// Who sees one end of a mail.
    #[must_use]
    pub(crate) fn ends(&self, scheme: &str) -> Option<&Ends> {
        self.ends.iter().find(|ends| ends.scheme == scheme)
    }
}

/// How found coalitions differ from the published ones: those that are new, and those that were not found.
///
/// # Errors
/// As [`Claims::coalitions`].
pub(crate) fn compare(
    claims: &Claims,
    scheme: &str,
    found: &[Coalition],
) -> Result<(Vec<String>, Vec<String>), String> {
    let published = claims.coalitions(scheme)?;
    let found: BTreeSet<_> = found.iter().map(|c| (c.strength, c.roles.clone())).collect();
    let words = |(strength, roles): &(Strength, BTreeSet<Role>)| {
        let roles: Vec<String> = roles.iter().map(ToString::to_string).collect();
        let how = match strength {
            Strength::Value => "exact",
            Strength::Node => "probabilistic",
        };
        format!("{{{}}}, {how}", roles.join(", "))
    };
    let new = found.difference(&published).map(words).collect();
    let missing = published.difference(&found).map(words).collect();
    Ok((new, missing))
}
