//! Whole mails: how often one links A and Bob, by scheme and hostile share.

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    closed::Guarded,
    cost,
    estimate::Estimate,
    guarded::{Acting, GuardedWorld, Production, Recipients, Rules, Witness},
    lookup::LookupSettings,
    network::Network,
    number::real,
    options::{CLUSTER_K, Identifiers, Options},
    paper::{Model, PaperWorld},
    parallel::Work,
    posterior::Crowd,
    tally::Tally,
    view::{Broken, MIDDLES, Party, READING, View},
};

/// By what a mail links A and Bob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
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

/// All of them, those that are yes or no first.
const MEASURES: [Measure; 6] = [
    Measure::Claim,
    Measure::Identifiers,
    Measure::WithReading,
    Measure::Timing,
    Measure::Weighed,
    Measure::Entropy,
];

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
    pub(super) fn with_formula(mut self, closed: Option<f64>) -> Self {
        self.agrees = closed.map(|closed| self.simulated.agrees(closed));
        self.closed_form = closed;
        self
    }
}

/// Guarded settings that are compared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    pub(super) hops: usize,
    pub(super) witness: Witness,
}

impl Setting {
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
    let (name, k, alpha, spare) = match model {
        Model::Letter => ("paper, to the letter", 20, 3, 0),
        Model::Built => ("paper, as built", CLUSTER_K, 10, 2),
    };
    let k = options.k.unwrap_or(k);
    let lookup = LookupSettings { alpha: options.alpha.unwrap_or(alpha), count: k + spare };
    let free_identifiers = options.identifiers == Identifiers::Free;
    let world = PaperWorld { network, model, lookup, k, logs: true, free_identifiers };
    let shares = options.shares.as_slice();
    let crowd = Crowd { network, mails: options.crowd };
    let mails = paper_mails(options);
    let tally = work.run(name, mails, real(mails) * cost::PAPER_MAIL, |trials, rng| {
        let (mut tally, mut view) = (Tally::new(shares.len()), View::default());
        for _ in 0..trials {
            let sender = world.sender(rng);
            world.mail(&sender, rng, &mut view);
            count(&mut tally, &mut view, shares, &crowd);
        }
        tally
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
        let tally = work.run(&format!("{name} {shares:?}"), mails, units, |trials, rng| {
            let (mut tally, mut view) = (Tally::new(shares.len()), View::default());
            for _ in 0..trials {
                let mut sender = world.sender(rng);
                world.mail(&mut sender, rng, &mut view);
                count(&mut tally, &mut view, shares, &crowd);
            }
            tally
        });
        let is_plain = !options.declared && !rules.believes_in_minted() && !rules.looks_up();
        let closed = |measure, f| {
            let Setting { hops, witness } = setting;
            let path = Guarded { f, k: options.cluster_k(), hops, witness };
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
    let tally = work.run(&name, mails, units, |trials, rng| {
        let (mut tally, mut view) = (Tally::new(shares.len()), View::default());
        for _ in 0..trials {
            let mut sender = world.sender(rng);
            world.mail(&mut sender, rng, &mut view);
            count(&mut tally, &mut view, shares, &crowd);
        }
        tally
    });
    let closed = |measure, f| {
        let path =
            Guarded { f, k: options.cluster_k(), hops: setting.hops, witness: setting.witness };
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

fn count(tally: &mut Tally, view: &mut View, shares: &[f64], crowd: &Crowd<'_>) {
    tally.trial(view);
    for (number, measure) in MEASURES.into_iter().enumerate().take(4) {
        tally.from(number, shares, links_from(measure, view));
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
    for (number, measure) in MEASURES.into_iter().enumerate() {
        for (place, share) in shares.iter().copied().enumerate() {
            let simulated =
                if number < 4 { tally.share(number, place) } else { tally.mean(number, place) };
            let scheme = scheme.to_owned();
            let point = Point {
                scheme,
                measure,
                share,
                mails: 1,
                simulated,
                closed_form: None,
                agrees: None,
            };
            all.push(point.with_formula(closed(measure, share)));
        }
    }
    all
}

/// Production's setting.
pub(super) const fn as_built(hops: usize) -> (Setting, &'static dyn Rules) {
    (Setting { hops, witness: Witness::Middle }, &Production)
}
