//! Whole mails: how often one links A and Bob, by scheme and hostile share.

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    closed::Guarded,
    cost,
    estimate::Estimate,
    guarded::{Acting, GuardedWorld, Production, Recipients, Rules, Witness},
    network::Network,
    number::real,
    options::{Identifiers, Options},
    paper::Model,
    parallel::Work,
    posterior::Crowd,
    table,
    tally::{self, Tally},
    view::{Broken, MIDDLES, Party, READING, View},
};

/// By what a mail links A and Bob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Measure {
    /// X and an anonymizer of one channel, which is what the paper admits.
    Claim,
    /// A chain of identifiers; the middle of a path is none, its ends are.
    Identifiers,
    /// The same with what Bob does when he fetches the body.
    WithReading,
    /// Whoever saw A, as she sent, and whoever saw somebody act for Bob: by time alone.
    Timing,
    /// The operator's mean posterior of A: nodes in common weigh what they are worth, middles included.
    Weighed,
    /// The mean entropy of the senders the operator must reckon with, bits.
    Entropy,
}

/// One value of a series.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Point {
    /// The scheme, and its settings.
    pub scheme: String,
    /// What is measured.
    pub measure: Measure,
    /// The hostile share.
    pub share: f64,
    /// Mails of the sender.
    pub mails: usize,
    /// What came out.
    pub simulated: Estimate,
    /// The formula's value.
    pub closed_form: Option<f64>,
    /// Whether they agree within three standard errors.
    pub agrees: Option<bool>,
}

impl Point {
    /// A value, and whether it agrees with what a formula says.
    pub(super) fn new(
        scheme: &str,
        (measure, share, mails): (Measure, f64, usize),
        simulated: Estimate,
        closed_form: Option<f64>,
    ) -> Self {
        let agrees = closed_form.map(|closed| simulated.agrees(closed));
        Self { scheme: scheme.to_owned(), measure, share, mails, simulated, closed_form, agrees }
    }

    /// Whether it is of this measure, at this share.
    pub(super) fn is(&self, measure: Measure, share: f64) -> bool {
        self.measure == measure && (self.share - share).abs() < f64::EPSILON
    }
}

/// Guarded settings that are compared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    pub(super) hops: usize,
    pub(super) witness: Witness,
}

impl Setting {
    /// What the formulas know of its paths.
    pub(super) fn path(self, options: &Options, f: f64) -> Guarded {
        Guarded { f, k: options.cluster_k(), hops: self.hops, witness: self.witness }
    }

    /// What people read.
    pub(super) fn name(self) -> String {
        let hops = match self.hops {
            1 => "1 hop".to_owned(),
            hops => format!("{hops} hops"),
        };
        match self.witness {
            Witness::Guard => format!("guarded, {hops}, witness through the guard"),
            Witness::Middle => format!("guarded, {hops}"),
            Witness::None => format!("guarded, {hops}, no witness"),
        }
    }
}

/// The guarded scheme as the options have it.
pub(super) fn world<'a>(
    options: &Options,
    network: &'a Network,
    setting: Setting,
    rules: &'a dyn Rules,
) -> GuardedWorld<'a> {
    GuardedWorld {
        network,
        k: options.cluster_k(),
        hops: setting.hops,
        guards: options.guards,
        witness: setting.witness,
        recipients: Recipients::Different,
        free_identifiers: options.identifiers == Identifiers::Free,
        declared: None,
        acting: Acting::default(),
        rules,
    }
}

/// Mails of the paper's scheme, read in one way.
pub(super) fn paper(
    options: &Options,
    network: &Network,
    model: Model,
    work: &Work<'_>,
) -> Vec<Point> {
    let name = match model {
        Model::Letter => "paper, to the letter",
        Model::Built => "paper, as built",
    };
    let world = table::world(&Options { model, ..options.clone() }, network);
    let shares = options.shares.as_slice();
    let crowd = Crowd { network, mails: options.crowd };
    let mails = paper_mails(options);
    let trials = (mails, real(mails) * cost::PAPER_MAIL);
    let tally = tally::count((name, work), trials, shares, |tally, view, rng| {
        let sender = world.sender(rng);
        world.mail(&sender, rng, view);
        count(tally, view, shares, &crowd);
    });
    points(name, &tally, shares, |_, _| None)
}

/// How many mails of the paper's scheme are sent: they cost much, since so much is looked up.
pub(super) fn paper_mails(options: &Options) -> usize {
    (options.draws / 25).clamp(1, 10_000)
}

/// First mails of the guarded scheme, and which of its rules were broken.
pub(super) fn guarded(
    options: &Options,
    network: &Network,
    (setting, rules): (Setting, &dyn Rules),
    mails: usize,
    work: &Work<'_>,
) -> (Vec<Point>, Broken, usize) {
    let crowd = Crowd { network, mails: options.crowd };
    let name = setting.name();
    let (mut all, mut broken, mut asked) = (Vec::new(), Broken::default(), 0);
    // What a declared operator gets depends on its size; else one sample serves for all sizes at once.
    let size = if options.declared { 1 } else { options.shares.len().max(1) };
    let parts = options.shares.chunks(size);
    let units = real(mails) * cost::GUARDED_MAIL / real(parts.len()).max(1.0);
    for shares in parts {
        let mut world = world(options, network, setting, rules);
        world.declared = shares.first().copied().filter(|_| options.declared);
        let part = format!("{name} {shares:?}");
        let tally = guarded_mails(&world, (&part, work), (mails, units), shares, &crowd);
        let is_plain = !options.declared && !rules.believes_in_minted() && !rules.looks_up();
        let closed = |measure, f| {
            let path = setting.path(options, f);
            match measure {
                Measure::Identifiers if is_plain => Some(path.mail()),
                Measure::Timing if is_plain => Some(path.timing()),
                _ => None,
            }
        };
        all.extend(points(&name, &tally, shares, closed));
        broken.add(&tally.broken);
        asked += tally.asked;
    }
    (all, broken, asked)
}

/// How a setting is called where hostile nodes act.
pub(super) fn acting_name(setting: Setting, acting: Acting) -> String {
    let what = match acting {
        Acting { marks: true, tags: true } => "nodes mark and write",
        Acting { marks: true, tags: false } => "members mark certificates",
        Acting { marks: false, tags: true } => "guards write into cells",
        Acting { marks: false, tags: false } => "nodes only remember",
    };
    format!("{}, {what}", setting.name())
}

/// First mails of the guarded scheme through nodes that act.
pub(super) fn acting(
    options: &Options,
    network: &Network,
    (setting, acting): (Setting, Acting),
    mails: usize,
    work: &Work<'_>,
) -> Vec<Point> {
    let shares = options.shares.as_slice();
    let crowd = Crowd { network, mails: options.crowd };
    let name = acting_name(setting, acting);
    let world = GuardedWorld { acting, ..world(options, network, setting, &Production) };
    let units = real(mails) * cost::GUARDED_MAIL;
    let tally = guarded_mails(&world, (&name, work), (mails, units), shares, &crowd);
    let closed = |measure, f| {
        let path = setting.path(options, f);
        match (measure, acting) {
            // With more middles each of them may be the one that is named a mark.
            (Measure::Identifiers, _) if setting.hops != 1 => None,
            (Measure::Identifiers, Acting { marks: false, tags: true }) => Some(path.tagged()),
            (Measure::Identifiers, Acting { marks: true, tags: false }) => Some(path.marked()),
            (Measure::Identifiers, Acting::ALL) => Some(path.marked_and_tagged()),
            (Measure::Timing, Acting { marks: true, .. }) => Some(path.timing_with_members()),
            _ => None,
        }
    };
    points(&name, &tally, shares, closed)
}

/// From which share on the mail that is seen links A and Bob by a yes-or-no measure.
pub(super) fn links_from(measure: Measure, view: &mut View) -> f64 {
    match measure {
        Measure::Claim => {
            view.links_from(|e| matches!(e.party, Party::X | Party::Z) && e.channel != READING, 0)
        }
        Measure::Identifiers => view.links_from(|e| e.channel != READING, MIDDLES),
        Measure::WithReading => view.links_from(|_| true, MIDDLES),
        Measure::Timing => view.meets_from(),
        Measure::Weighed | Measure::Entropy => f64::INFINITY,
    }
}

/// Counts first mails of senders of their own.
fn guarded_mails(
    world: &GuardedWorld<'_>,
    of: (&str, &Work<'_>),
    trials: (usize, f64),
    shares: &[f64],
    crowd: &Crowd<'_>,
) -> Tally {
    tally::count(of, trials, shares, |tally, view, rng| {
        let mut sender = world.sender(rng);
        world.mail(&mut sender, rng, view);
        count(tally, view, shares, crowd);
    })
}

fn count(tally: &mut Tally, view: &mut View, shares: &[f64], crowd: &Crowd<'_>) {
    for (number, measure) in Measure::value_variants().iter().enumerate().take(4) {
        tally.from(number, shares, links_from(*measure, view));
    }
    let from = view.links_from(|_| true, 0);
    for (place, share) in shares.iter().enumerate() {
        let posterior = if from < *share { crowd.posterior(view, *share) } else { 0.0 };
        tally.value(4, place, posterior);
        tally.value(5, place, crowd.entropy(posterior));
    }
}

fn points(
    scheme: &str,
    tally: &Tally,
    shares: &[f64],
    closed: impl Fn(Measure, f64) -> Option<f64>,
) -> Vec<Point> {
    let mut all = Vec::new();
    for (number, measure) in Measure::value_variants().iter().copied().enumerate() {
        for (place, share) in shares.iter().copied().enumerate() {
            let simulated =
                if number < 4 { tally.share(number, place) } else { tally.mean(number, place) };
            let of = (measure, share, 1);
            all.push(Point::new(scheme, of, simulated, closed(measure, share)));
        }
    }
    all
}

/// Production's setting.
pub(super) const fn as_built(hops: usize) -> (Setting, &'static dyn Rules) {
    (Setting { hops, witness: Witness::Middle }, &Production)
}
