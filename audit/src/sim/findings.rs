//! Everything that a simulation found.

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    estimate::Estimate,
    ever::First,
    grinding::Grinding,
    mails::{Measure, Point},
    options::Options,
    table::Cell,
    view::Broken,
};

/// Everything that a simulation found.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Findings {
    /// What was simulated.
    pub options: Options,
    /// The published table, made anew.
    pub table: Vec<Cell>,
    /// One mail, against the hostile share.
    pub per_mail: Vec<Point>,
    /// Many mails, against their number.
    pub ever: Vec<Point>,
    /// When a sender is linked first.
    pub first: Vec<First>,
    /// The default, at the headline's share.
    pub headline: Option<Headline>,
    /// The same where hostile nodes act.
    pub acting: Option<ActingHeadline>,
    /// Guarded settings, at the headline's share, and whether they reach the goal.
    pub settings: Vec<Reached>,
    /// What minting nodes gains.
    pub grinding: Option<Grinding>,
    /// What lookups show.
    pub lookups: Lookups,
    /// How often production broke a rule of the guarded scheme.
    pub broken: Broken,
    /// What a reader should know besides.
    pub notes: Vec<String>,
}

/// The guarded scheme as it is set by default, at one hostile share.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Headline {
    /// The hostile share.
    pub share: f64,
    /// Mails linked by identifiers, link by link.
    pub identifiers: Estimate,
    /// The same with what Bob does when he fetches the body.
    pub with_reading: Estimate,
    /// The operator's mean posterior, nodes in common weighed.
    pub weighed: Estimate,
    /// Mails of which the operator sees both sides, so that time may link them.
    pub timing: Estimate,
    /// The mean entropy of the senders the operator must reckon with, bits.
    pub entropy: Estimate,
    /// The mean degree of anonymity: that entropy over the logarithm of all senders, 0 to 1.
    pub degree: f64,
    /// Mails after which senders are counted, at most 100.
    pub mails: usize,
    /// Senders linked by identifiers at least once in so many mails.
    pub ever: Estimate,
    /// The same by the formula, where there is one.
    pub ever_by_formula: Option<f64>,
}

/// The guarded scheme as it is set by default, at one hostile share, where hostile nodes do more than remember.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct ActingHeadline {
    /// The hostile share.
    pub share: f64,
    /// First mails of an epoch that are linked by identifiers where sync peers mark certificates.
    pub marks: Estimate,
    /// The same where guards write into cells.
    pub tags: Estimate,
    /// Where they do both.
    pub both: Estimate,
    /// Where they do both, mails of which the operator sees both sides.
    pub timing: Estimate,
    /// Mails after which senders are counted, one an epoch.
    pub mails: usize,
    /// Senders linked by identifiers at least once in so many mails.
    pub ever: Estimate,
}

/// One setting of the guarded scheme.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Reached {
    /// The setting.
    pub scheme: String,
    /// Mails linked by identifiers.
    pub per_mail: Estimate,
    /// Senders linked at least once in 100 mails, by the formula, for one guard and a spare.
    pub ever: f64,
    /// Whether both are within the goal.
    pub is_within_goal: bool,
}

/// What lookups show the nodes that are asked.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub(crate) struct Lookups {
    /// Nodes asked on one lookup of the paper's scheme, on average.
    pub asked_on_each: f64,
    /// Nodes asked while mails of the guarded scheme were sent.
    pub asked_by_guarded: usize,
}

/// The goal: mails that may be linked by identifiers at a hostile share of a tenth.
pub(super) const GOAL_MAIL: f64 = 0.02;
/// The goal: senders that may be linked at least once in 100 mails.
pub(super) const GOAL_EVER: f64 = 0.1;
/// The share and the mails for which the goal is set.
pub(super) const HEADLINE_SHARE: f64 = 0.1;
pub(super) const HEADLINE_MAILS: usize = 100;

impl Findings {
    /// The point of one mail with this scheme, measure and share.
    pub(super) fn mail(&self, scheme: &str, measure: Measure, share: f64) -> Option<&Point> {
        self.per_mail.iter().find(|point| point.scheme == scheme && point.is(measure, share))
    }
}
