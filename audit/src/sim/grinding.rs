//! What minting nodes gains an attacker, if identifiers are free.

use anon::position::Key;
use rand::{RngExt as _, SeedableRng as _, rngs::ChaCha8Rng};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    estimate::Estimate,
    mails::{Measure, as_built, guarded},
    network::{Network, mix},
    number::real,
    options::{Identifiers, Options},
    paper::{Model, PaperWorld, tries_to_mint},
    parallel::Work,
    run::first_mails,
    table, tally,
    view::Party,
};

/// What came out, at one hostile share.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Grinding {
    /// The hostile share.
    pub share: f64,
    /// Keys tried until one is the closest to a given key, the median: about N. There is no mean.
    pub tries: f64,
    /// Channels of the paper's scheme whose X has the anonymizer it likes, identifiers being costly.
    pub paper_costly: Estimate,
    /// The same, identifiers being free: f, since one hostile X is enough.
    pub paper_free: Estimate,
    /// Mails of the guarded scheme that are linked, identifiers being costly.
    pub guarded_costly: Estimate,
    /// The same, identifiers being free: no more, since nothing is sampled that appeared after the sampling.
    pub guarded_free: Estimate,
}

/// Keys for which nodes are minted.
const MINTED: usize = 41;

/// How many keys must be tried to mint a node, the median. It takes seconds in a large network, and one thread only,
/// since every try follows from the one before.
pub(super) fn tries(options: &Options, network: &Network) -> Option<f64> {
    // Not the generator that placed the nodes: its keys would be theirs.
    let mut rng = ChaCha8Rng::seed_from_u64(mix(options.seed));
    let mut tries: Vec<f64> =
        (0..MINTED).map(|_| tries_to_mint(network, Key(rng.random()), &mut rng)).collect();
    tries.sort_by(f64::total_cmp);
    tries.get(MINTED / 2).copied()
}

pub(super) fn run(
    options: &Options,
    network: &Network,
    share: f64,
    tries: f64,
    work: &Work<'_>,
) -> Option<Grinding> {
    let one = Options { shares: vec![share], declared: false, ..options.clone() };
    let mails = |identifiers| {
        let options = Options { identifiers, ..one.clone() };
        let (points, ..) =
            guarded(&options, network, as_built(options.hops), first_mails(&options).1, work);
        let point = points.into_iter().find(|point| point.measure == Measure::Identifiers);
        point.map(|point| point.simulated)
    };
    Some(Grinding {
        share,
        tries,
        paper_costly: paper(&one, network, false, work),
        paper_free: paper(&one, network, true, work),
        guarded_costly: mails(Identifiers::Costly)?,
        guarded_free: mails(Identifiers::Free)?,
    })
}

/// How many channels of the paper's scheme are sampled.
pub(super) fn channels(options: &Options) -> usize {
    options.draws.min(100_000)
}

/// How often a hostile X has a hostile Z.
fn paper(options: &Options, network: &Network, free: bool, work: &Work<'_>) -> Estimate {
    let world = PaperWorld {
        model: Model::Letter,
        logs: false,
        free_identifiers: free,
        ..table::world(options, network)
    };
    let shares = options.shares.as_slice();
    let ends = |party| matches!(party, Party::X | Party::Z | Party::NamedAnonymizer);
    let name = format!("grinding, {free}");
    let trials = (channels(options), real(channels(options)));
    let tally = tally::count((&name, work), trials, shares, |tally, view, rng| {
        let sender = world.sender(rng);
        world.channel(&sender, rng, view);
        tally.from(0, shares, view.links_from(|event| ends(event.party), 0));
    });
    tally.share(0, 0)
}
