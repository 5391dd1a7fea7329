//! Many mails: how often a sender is linked at least once, and when first.

use rand::rngs::ChaCha8Rng;
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    estimate::Estimate,
    guarded::{GuardedWorld, Recipients},
    mails::{Measure, Point, Setting, links_from},
    network::Network,
    number::{node_of, real},
    options::Options,
    parallel::{Gather, Work},
    tally::Tally,
    view::View,
};

/// After how many mails is asked whether a sender was linked, besides after the last one.
const CHECKPOINTS: [usize; 4] = [1, 10, 100, 1_000];
/// What is asked.
const ASKED: [Measure; 2] = [Measure::Identifiers, Measure::Timing];

/// When the first mail is linked.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct First {
    /// The scheme, and its settings.
    pub scheme: String,
    /// The hostile share.
    pub share: f64,
    /// The number of the mail that links the median sender first; `None` if fewer than half were linked at all.
    pub median: Option<u32>,
    /// Senders linked within all mails.
    pub linked: Estimate,
}

/// A way to send many mails.
#[derive(Clone, Debug)]
pub(super) struct Course<'a> {
    pub(super) name: String,
    pub(super) world: GuardedWorld<'a>,
    pub(super) setting: Setting,
    /// Whether the formula is for this.
    pub(super) is_plain: bool,
}

#[derive(Default)]
struct Ever {
    tally: Tally,
    /// For each share, the mail by which a sender was linked first.
    firsts: Vec<Vec<u32>>,
}

impl Gather for Ever {
    fn add(&mut self, other: Self) {
        self.tally.add(other.tally);
        self.firsts.resize(self.firsts.len().max(other.firsts.len()), Vec::new());
        for (all, new) in self.firsts.iter_mut().zip(other.firsts) {
            all.extend(new);
        }
    }
}

impl Ever {
    /// Lets one sender send as many mails as the last checkpoint says. From which share on it was linked, by each of
    /// what is asked, after the mails of each checkpoint.
    fn sender(
        &mut self,
        shares: &[f64],
        checkpoints: &[usize],
        course: &Course<'_>,
        rng: &mut ChaCha8Rng,
        view: &mut View,
    ) -> Vec<[f64; ASKED.len()]> {
        let smallest = shares.iter().copied().fold(f64::INFINITY, f64::min);
        let mut sender = course.world.sender(rng);
        let mut least = [f64::INFINITY; ASKED.len()];
        let mut after = vec![least; checkpoints.len()];
        for mail in 1..=checkpoints.last().copied().unwrap_or(0) {
            // Linked at every share: it stays linked.
            if least.iter().all(|least| *least < smallest) {
                break;
            }
            course.world.mail(&mut sender, rng, view);
            let before = least;
            for (least, measure) in least.iter_mut().zip(ASKED) {
                *least = least.min(links_from(measure, view));
            }
            let (Some(before), Some(now)) = (before.first(), least.first()) else { continue };
            for (share, firsts) in shares.iter().zip(&mut self.firsts) {
                if now < share && before >= share {
                    firsts.push(node_of(mail));
                }
            }
            for (checkpoint, after) in checkpoints.iter().zip(&mut after) {
                if mail <= *checkpoint {
                    *after = least;
                }
            }
        }
        after
    }
}

/// Lets `senders` senders send.
pub(super) fn run(
    options: &Options,
    network: &Network,
    course: &Course<'_>,
    senders: usize,
    work: &Work<'_>,
) -> (Vec<Point>, Vec<First>) {
    let shares = options.shares.as_slice();
    let mut checkpoints: Vec<usize> =
        CHECKPOINTS.into_iter().filter(|mails| *mails < options.mails).collect();
    checkpoints.push(options.mails);
    let units = real(senders) * real(options.mails) * super::cost::GUARDED_MAIL;
    let ever = work.run(&course.name, senders, units, |trials, rng| {
        let (mut ever, mut view) = (Ever::default(), View::default());
        ever.tally = Tally::new(shares.len());
        ever.firsts = vec![Vec::new(); shares.len()];
        for _ in 0..trials {
            let after = ever.sender(shares, &checkpoints, course, rng, &mut view);
            ever.tally.trial(&view);
            for (number, from) in after.iter().flatten().enumerate() {
                ever.tally.from(number, shares, *from);
            }
        }
        ever
    });
    let mut points = Vec::new();
    for (checkpoint, mails) in checkpoints.iter().copied().enumerate() {
        for (asked, measure) in ASKED.into_iter().enumerate() {
            for (place, share) in shares.iter().copied().enumerate() {
                let simulated = ever.tally.share(checkpoint * ASKED.len() + asked, place);
                let path = course.setting.path(options, share);
                let has_formula = course.is_plain && measure == Measure::Identifiers;
                let formula = has_formula.then(|| path.ever(mails, real(network.len())));
                let of = (measure, share, mails);
                points.push(Point::new(&course.name, of, simulated, formula));
            }
        }
    }
    let firsts = shares.iter().zip(ever.firsts).map(|(share, mut firsts)| {
        firsts.sort_unstable();
        First {
            scheme: course.name.clone(),
            share: *share,
            median: firsts.get(senders / 2).copied(),
            linked: Estimate::share(firsts.len(), senders),
        }
    });
    (points, firsts.collect())
}

/// The same to one recipient only.
pub(super) fn to_one<'a>(course: &Course<'a>) -> Course<'a> {
    let world = GuardedWorld { recipients: Recipients::Same, ..course.world };
    let name = format!("{}, to one recipient", course.name);
    Course { name, world, is_plain: false, ..course.clone() }
}
