//! The published table made anew: how often one anonymous channel to Bob's inbox links A and Bob.

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    closed,
    estimate::Estimate,
    guarded::{GuardedWorld, Production, Witness},
    lookup::LookupSettings,
    mails::{self, Setting},
    network::Network,
    number::real,
    options::{Identifiers, Options, Scheme},
    paper::{Model, PaperWorld},
    parallel::Work,
    tally::{self, Tally},
    view::{Event, MIDDLES, Party, WITNESSES},
};

/// One cell.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Cell {
    /// The coalition.
    pub row: String,
    /// The hostile share.
    pub share: f64,
    /// What came out, the share of channels.
    pub simulated: Estimate,
    /// What was published, the share of channels.
    pub published: Option<f64>,
    /// The formula's value.
    pub closed_form: Option<f64>,
    /// Whether simulation and formula agree within three standard errors.
    pub agrees: Option<bool>,
    /// Whether simulation and publication do, the latter being taken for a sample of 4,000 channels.
    pub agrees_with_published: Option<bool>,
}

/// The published table's sample: its values are multiples of 1/4,000, rounded.
const PUBLISHED_SAMPLE: f64 = 4_000.0;
/// Its settings.
const PUBLISHED: (usize, usize, usize) = (10_000, 20, 3);
/// Its shares.
const PUBLISHED_SHARES: [f64; 5] = [0.01, 0.02, 0.05, 0.1, 0.2];

/// A row: its name, what was published in percent, and its formula.
struct Row {
    name: &'static str,
    published: Option<[f64; 5]>,
    closed: Option<fn(f64, usize) -> f64>,
}

/// Coalitions against the paper's scheme, in the order of the measures in [`paper`].
const PAPER: [Row; 5] = [
    Row {
        name: "{X, Z}, the paper's claim",
        published: Some([0.0, 0.08, 0.2, 1.05, 4.1]),
        closed: Some(|f, _| closed::two(f)),
    },
    Row {
        name: "any two of X, Y, Z",
        published: Some([0.0, 0.2, 0.7, 3.0, 10.2]),
        closed: Some(|f, _| closed::two_of_three(f)),
    },
    Row {
        name: "X and a node on Bob's side",
        published: Some([0.13, 0.65, 3.6, 9.5, 20.6]),
        closed: Some(closed::with_bobs_side),
    },
    Row {
        name: "everything, lookup logs included",
        published: Some([2.1, 9.6, 45.0, 83.0, 99.0]),
        closed: None,
    },
    Row { name: "the same without Y and its lookups", published: None, closed: None },
];

/// The same without lookups and witness.
const LOCAL: [Row; 2] = [
    Row {
        name: "X and Z from a local directory",
        published: Some([0.13, 0.65, 3.6, 9.5, 20.6]),
        closed: Some(closed::with_bobs_side),
    },
    Row {
        name: "the same with one middle go-between",
        published: Some([0.0, 0.0, 0.25, 1.07, 4.2]),
        closed: Some(|f, k| f * closed::with_bobs_side(f, k)),
    },
];

/// Makes the table; also how many nodes a lookup asks on average.
pub(super) fn make(options: &Options, network: &Network, work: &Work<'_>) -> (Vec<Cell>, f64) {
    let mut cells = Vec::new();
    let mut asked = 0.0;
    if options.simulates(Scheme::Paper) {
        let tally = paper(options, network, work);
        asked = real(tally.asked) / real(tally.looked_up).max(1.0);
        add(&mut cells, options, &PAPER, &tally, 0);
    }
    if options.simulates(Scheme::Guarded) {
        for (hops, row) in (0..).zip(LOCAL.chunks(1)) {
            add(&mut cells, options, row, &local(options, network, hops, work), 0);
        }
    }
    (cells, asked)
}

fn add(cells: &mut Vec<Cell>, options: &Options, rows: &[Row], tally: &Tally, first: usize) {
    let k = options.paper_k();
    let lookup = lookup(options);
    let is_published = (options.nodes, k, lookup.alpha) == PUBLISHED
        && options.model == Model::Letter
        && options.identifiers == Identifiers::Costly
        && !options.declared;
    for (measure, row) in (first..).zip(rows) {
        for (place, share) in options.shares.iter().copied().enumerate() {
            let simulated = tally.share(measure, place);
            let column = PUBLISHED_SHARES.iter().position(|p| (p - share).abs() < 1e-9);
            let published = row.published.filter(|_| is_published);
            let published = published.zip(column).and_then(|(row, place)| row.get(place).copied());
            let published = published.map(|percent| percent / 100.0);
            let is_plain = options.identifiers == Identifiers::Costly && !options.declared;
            let closed_form = row.closed.filter(|_| is_plain).map(|closed| closed(share, k));
            cells.push(Cell {
                row: row.name.to_owned(),
                share,
                simulated,
                published,
                closed_form,
                agrees: closed_form.map(|closed| simulated.agrees(closed)),
                agrees_with_published: published
                    .map(|p| simulated.agrees_with_sample(p, PUBLISHED_SAMPLE)),
            });
        }
    }
}

/// How the paper's scheme looks things up.
fn lookup(options: &Options) -> LookupSettings {
    let k = options.paper_k();
    match options.model {
        Model::Letter => LookupSettings { alpha: options.alpha.unwrap_or(3), count: k },
        Model::Built => LookupSettings { alpha: options.alpha.unwrap_or(10), count: k + 2 },
    }
}

/// The paper's scheme with these options.
pub(super) fn world<'a>(options: &Options, network: &'a Network) -> PaperWorld<'a> {
    PaperWorld {
        network,
        model: options.model,
        lookup: lookup(options),
        k: options.paper_k(),
        logs: true,
        free_identifiers: options.identifiers == Identifiers::Free,
    }
}

fn paper(options: &Options, network: &Network, work: &Work<'_>) -> Tally {
    let world = world(options, network);
    let shares = options.shares.as_slice();
    let trials = (options.draws, real(options.draws) * super::cost::PAPER_CHANNEL);
    tally::count(("table, paper", work), trials, shares, |tally, view, rng| {
        let sender = world.sender(rng);
        world.channel(&sender, rng, view);
        for (measure, parties) in COALITIONS.iter().enumerate() {
            tally.from(measure, shares, view.links_from(|e| parties.contains(&e.party), 0));
        }
        tally.from(3, shares, view.links_from(|_| true, 0));
        let without_y = |e: &Event| e.values & WITNESSES == 0 && e.party != Party::NamedAnonymizer;
        tally.from(4, shares, view.links_from(without_y, 0));
    })
}

/// The first rows' coalitions.
const COALITIONS: [&[Party]; 3] = [
    &[Party::X, Party::Z],
    &[Party::X, Party::Y, Party::Z, Party::NamedAnonymizer],
    &[Party::X, Party::Z, Party::Storage],
];

fn local(options: &Options, network: &Network, hops: usize, work: &Work<'_>) -> Tally {
    let shares = options.shares.as_slice();
    let setting = Setting { hops, witness: Witness::None };
    let world = mails::world(options, network, setting, &Production);
    let world = GuardedWorld { k: options.paper_k(), guards: 1, ..world };
    let (name, trials) = (format!("table, local, {hops}"), (options.draws, real(options.draws)));
    tally::count((&name, work), trials, shares, |tally, view, rng| {
        let sender = world.sender(rng);
        world.channel(&sender, rng, view);
        tally.from(0, shares, view.links_from(|_| true, MIDDLES));
    })
}
