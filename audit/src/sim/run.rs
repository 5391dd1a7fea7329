//! All experiments of one simulation, in order.

use super::{
    cost,
    ever::{self, Course},
    findings::{
        ActingHeadline, Findings, GOAL_EVER, GOAL_MAIL, HEADLINE_MAILS, HEADLINE_SHARE, Headline,
        Lookups, Reached,
    },
    grinding,
    guarded::{Acting, GuardedWorld, Production, Rules, Witness},
    mails::{self, Measure, Point, Setting},
    mutant::Weak,
    network::Network,
    number::real,
    options::{Options, Scheme},
    paper::Model,
    parallel::Work,
    table,
    view::Broken,
};

/// The greatest number of middle go-betweens.
const MAX_HOPS: usize = 3;
/// Senders of many mails, at most, for the headline.
const MOST_SENDERS: usize = 10_000;
/// Mails in all that senders of many mails send, at most, for each comparison.
const MOST_MAILS: usize = 100_000;
/// First mails, at most, likewise: more would show nothing that matters.
const MOST_FIRST_MAILS: (usize, usize) = (200_000, 20_000);

/// Simulates the schemes; `progress` is told how much is done, 0 to 1.
pub(crate) fn run(options: &Options, progress: &(dyn Fn(f64) + Sync)) -> Findings {
    run_with(options, &Production, progress)
}

/// The same with another selection in the place of production's.
pub(crate) fn run_with(
    options: &Options,
    rules: &dyn Rules,
    progress: &(dyn Fn(f64) + Sync),
) -> Findings {
    let network = Network::new(options.nodes, options.seed);
    let work = Work::new(options.threads, options.seed, units(options), progress);
    let (table, asked_on_each) = table::make(options, &network, &work);
    let mut findings = Findings {
        options: options.clone(),
        table,
        per_mail: Vec::new(),
        ever: Vec::new(),
        first: Vec::new(),
        headline: None,
        acting: None,
        settings: Vec::new(),
        grinding: None,
        lookups: Lookups { asked_on_each, asked_by_guarded: 0 },
        broken: Broken::default(),
        notes: Vec::new(),
    };
    if options.simulates(Scheme::Paper) {
        for model in [Model::Letter, Model::Built] {
            findings.per_mail.extend(mails::paper(options, &network, model, &work));
        }
    }
    if options.simulates(Scheme::Guarded) {
        let tries = std::thread::scope(|scope| {
            let tries = scope.spawn(|| grinding::tries(options, &network));
            single_mails(options, &network, rules, &work, &mut findings);
            many_mails(options, &network, rules, &work, &mut findings);
            findings.acting = acting(options, &network, &work, &mut findings);
            tries.join().ok().flatten()
        });
        findings.headline = headline(options, &findings);
        findings.grinding =
            tries.and_then(|tries| grinding::run(options, &network, share(options), tries, &work));
    }
    progress(1.0);
    findings.notes = notes(&findings);
    findings
}

/// The share the headline is about: a tenth, or the one nearest to it.
fn share(options: &Options) -> f64 {
    let distance = |share: &f64| (share - HEADLINE_SHARE).abs();
    let nearest = options.shares.iter().copied();
    nearest.min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap_or(HEADLINE_SHARE)
}

fn single_mails(
    options: &Options,
    network: &Network,
    rules: &dyn Rules,
    work: &Work<'_>,
    findings: &mut Findings,
) {
    let share = share(options);
    for witness in [Witness::Middle, Witness::Guard] {
        for hops in 0..=MAX_HOPS {
            // Without a middle there is one way to ask.
            if hops == 0 && witness == Witness::Guard {
                continue;
            }
            let setting = Setting { hops, witness };
            let is_default = hops == options.hops && witness == Witness::Middle;
            let (headline, other) = first_mails(options);
            let mails = if is_default { headline } else { other };
            let (points, broken, asked) =
                mails::guarded(options, network, (setting, rules), mails, work);
            findings.broken.add(&broken);
            findings.lookups.asked_by_guarded += asked;
            if let Some(point) = points.iter().find(|p| p.is(Measure::Identifiers, share)) {
                let ever = setting.path(options, share).ever(HEADLINE_MAILS, real(network.len()));
                let per_mail = point.simulated;
                findings.settings.push(Reached {
                    scheme: setting.name(),
                    per_mail,
                    ever,
                    is_within_goal: per_mail.high <= GOAL_MAIL && ever <= GOAL_EVER,
                });
            }
            findings.per_mail.extend(points);
        }
    }
}

/// How many first mails are sent: for the headline, and for each comparison.
pub(super) fn first_mails(options: &Options) -> (usize, usize) {
    let (headline, other) = MOST_FIRST_MAILS;
    (options.draws.min(headline), (options.draws / 5).clamp(1, other))
}

/// How many senders of many mails there are, for the headline and for each comparison.
fn senders(options: &Options) -> (usize, usize) {
    let mails = MOST_MAILS.min(options.draws * 2);
    let some = (mails / options.mails.max(1)).min(options.draws).max(1);
    ((options.draws / 10).clamp(1, MOST_SENDERS), some)
}

/// Who sends many mails, and how many senders there are of each kind.
fn courses<'a>(
    options: &Options,
    network: &'a Network,
    rules: &'a dyn Rules,
) -> Vec<(Course<'a>, usize)> {
    let (many, some) = senders(options);
    let setting = |hops| Setting { hops, witness: Witness::Middle };
    let world = |hops| mails::world(options, network, setting(hops), rules);
    let course = |name: &str, world: GuardedWorld<'a>, is_plain| {
        let setting = setting(world.hops);
        let name = format!("{}, {name}", setting.name());
        Course { name, world, setting, is_plain }
    };
    let own = world(options.hops);
    let is_plain = |guards| guards == 1 && !rules.believes_in_minted() && !rules.looks_up();
    let named = |guards: usize| match guards {
        1 => "one guard".to_owned(),
        guards => format!("{guards} guards"),
    };
    let first = course(&named(options.guards), own, is_plain(options.guards));
    let mut all = vec![(first.clone(), many), (ever::to_one(&first), some)];
    for guards in (1..=3).filter(|guards| *guards != options.guards) {
        let world = GuardedWorld { guards, ..own };
        all.push((course(&named(guards), world, is_plain(guards)), some));
    }
    let more = GuardedWorld { guards: 1, ..world((options.hops + 1).min(MAX_HOPS)) };
    if options.hops < MAX_HOPS {
        all.push((course("one guard", more, is_plain(1)), some));
    }
    let fresh = GuardedWorld { rules: &Weak::FreshGuards, ..own };
    all.push((course("a fresh guard for each mail", fresh, false), some));
    all
}

fn many_mails(
    options: &Options,
    network: &Network,
    rules: &dyn Rules,
    work: &Work<'_>,
    findings: &mut Findings,
) {
    // A declared operator's paths depend on its size, for which there is no room here: undeclared is the worse case.
    for (course, senders) in courses(options, network, rules) {
        let (points, first) = ever::run(options, network, &course, senders, work);
        findings.ever.extend(points);
        findings.first.extend(first);
    }
}

fn headline(options: &Options, findings: &Findings) -> Option<Headline> {
    let share = share(options);
    let name = Setting { hops: options.hops, witness: Witness::Middle }.name();
    let mail = |measure| findings.mail(&name, measure, share).map(|point: &Point| point.simulated);
    let ever = findings
        .ever
        .iter()
        .filter(|point| point.is(Measure::Identifiers, share) && point.mails <= HEADLINE_MAILS);
    let first = findings.ever.first()?.scheme.as_str();
    let ever = ever.filter(|point| point.scheme == first).max_by_key(|point| point.mails)?;
    let entropy = mail(Measure::Entropy)?;
    Some(Headline {
        share,
        identifiers: mail(Measure::Identifiers)?,
        with_reading: mail(Measure::WithReading)?,
        weighed: mail(Measure::Weighed)?,
        timing: mail(Measure::Timing)?,
        entropy,
        degree: entropy.value / f64::from(options.crowd.saturating_add(1)).log2().max(1.0),
        mails: ever.mails,
        ever: ever.simulated,
        ever_by_formula: ever.closed_form,
    })
}

/// Mails through nodes that act, first ones and many of one sender.
fn acting(
    options: &Options,
    network: &Network,
    work: &Work<'_>,
    findings: &mut Findings,
) -> Option<ActingHeadline> {
    let share = share(options);
    let setting = Setting { hops: options.hops, witness: Witness::Middle };
    let (_, mails) = first_mails(options);
    let here = |points: &[Point], measure| {
        points.iter().find(|point| point.is(measure, share)).map(|point| point.simulated)
    };
    let mut first = |marks, tags| {
        let points =
            mails::acting(options, network, (setting, Acting { marks, tags }), mails, work);
        let found = (here(&points, Measure::Identifiers), here(&points, Measure::Timing));
        findings.per_mail.extend(points);
        found
    };
    let ((marks, _), (tags, _), (both, timing)) =
        (first(true, false), first(false, true), first(true, true));
    let world = GuardedWorld {
        acting: Acting::ALL,
        ..mails::world(options, network, setting, &Production)
    };
    let name = mails::acting_name(setting, Acting::ALL);
    let course = Course { name, world, setting, is_plain: false };
    let (_, some) = senders(options);
    let (points, firsts) = ever::run(options, network, &course, some, work);
    let last = points.iter().filter(|point| point.mails <= HEADLINE_MAILS).map(|p| p.mails).max();
    let at_last: Vec<Point> =
        points.iter().filter(|point| Some(point.mails) == last).cloned().collect();
    let ever = here(&at_last, Measure::Identifiers);
    findings.ever.extend(points);
    findings.first.extend(firsts);
    let (marks, tags, both, timing) = (marks?, tags?, both?, timing?);
    Some(ActingHeadline { share, marks, tags, both, timing, mails: last?, ever: ever? })
}

fn notes(findings: &Findings) -> Vec<String> {
    let mut notes = vec![
        "Nodes are hostile independently of each other, and each sender meets hostile nodes of its own: a share is \
         that of all senders in all such networks."
            .to_owned(),
        format!(
            "A node in common is one of those that {} other mails may have gone through.",
            findings.options.crowd
        ),
    ];
    if findings.options.simulates(Scheme::Paper) {
        notes.push(format!(
            "A lookup of the table asks {:.1} nodes on average, all of whom see who asks for what.",
            findings.lookups.asked_on_each
        ));
    }
    if findings.options.simulates(Scheme::Guarded) {
        notes.push(
            "Guarded: a witness that is asked through the guard alone is as good as the middle to a hostile guard: {X, \
             Y, a node on Bob's side} links then. Asked through the last middle, as the code does, it is not."
                .to_owned(),
        );
    }
    notes
}

/// What all experiments cost together.
fn units(options: &Options) -> f64 {
    let draws = real(options.draws);
    let mut units = 0.0;
    if options.simulates(Scheme::Paper) {
        units += draws * cost::PAPER_CHANNEL;
        units += 2.0 * real(mails::paper_mails(options)) * cost::PAPER_MAIL;
    }
    if options.simulates(Scheme::Guarded) {
        let (first, others) = first_mails(options);
        let (many, some) = senders(options);
        let many = (many + 6 * some) * options.mails;
        units += 2.0 * draws + 2.0 * real(grinding::channels(options));
        units += cost::GUARDED_MAIL * real(first + 11 * others + many);
    }
    units.max(1.0)
}
