//! What a hostile operator sees of one mail, and what it makes of it.
//!
//! Every party and everyone whom a lookup asks sees some values *together*: an [`Event`]. The operator holds the
//! events of its nodes. A and Bob are linked if a chain of events, each sharing a value with the next, leads from
//! one to the other. No coalition is written down as a formula.
//!
//! | value | what it singles out |
//! |---|---|
//! | keys, links between adjacent hops | one channel: whoever has it in common knows it is the same |
//! | a node that asks or is asked, at an end | itself; others' channels end there too (a *weak* value) |
//! | a node in the middle, known to one neighbour as the next and to the other as the one before | as weak |

use schemars::JsonSchema;
use serde::Serialize;

use super::{lookup::Lookups, network::Node};

/// A set of values, one bit each.
pub(super) type Values = u128;

/// Alice's network address.
pub(super) const SENDER: Values = 1;
/// Bob: the key of his inbox or certificate, or his network address when he reads.
pub(super) const RECIPIENT: Values = 2;
/// The key of the body's Message-ID.
pub(super) const MESSAGE: Values = 4;
/// Values that belong to no channel, and those of one.
const SHARED: u32 = 4;
const PER_CHANNEL: u32 = 14;
/// The most channels of one mail, Bob's reading included.
pub(super) const CHANNELS: u32 = 6;

/// A value of one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    KeyX,
    KeyY,
    KeyZ,
    /// The nodes themselves.
    X,
    Y,
    Z,
    /// The link by which a go-between is left: 0 is that from X.
    Link(u32),
    /// The link from the guard to the witness.
    WitnessLink,
    /// A middle go-between, by its place.
    Middle(u32),
}

/// The channels of a mail, in the order in which they are made.
pub(super) const Z3: u32 = 0;
pub(super) const Z1: u32 = 1;
pub(super) const W1: u32 = 2;
pub(super) const Z2: u32 = 3;
pub(super) const W2: u32 = 4;
/// Bob's own, by which he fetches the body.
pub(super) const READING: u32 = 5;

impl Value {
    /// The value's bit.
    pub(super) const fn of(self, channel: u32) -> Values {
        let place = match self {
            Self::KeyX => 0,
            Self::KeyY => 1,
            Self::KeyZ => 2,
            Self::X => 3,
            Self::Y => 4,
            Self::Z => 5,
            Self::Link(hop) => 6 + hop,
            Self::WitnessLink => 10,
            Self::Middle(hop) => 11 + hop,
        };
        1 << (SHARED + channel * PER_CHANNEL + place)
    }
}

/// These values of the first channel, and the same ones of all others.
const fn of_all_channels(values: Values) -> Values {
    let (mut all, mut channel) = (0, 0);
    while channel < CHANNELS {
        all |= values << (channel * PER_CHANNEL);
        channel += 1;
    }
    all
}

/// The middle go-betweens of all channels.
pub(super) const MIDDLES: Values =
    of_all_channels(Value::Middle(0).of(0) | Value::Middle(1).of(0) | Value::Middle(2).of(0));

/// What only the witness, and those who see it found or asking, see.
pub(super) const WITNESSES: Values = of_all_channels(Value::Y.of(0) | Value::KeyY.of(0));

/// Who saw an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Party {
    /// A known node that looks keyX or keyY up for A.
    Bootstrap,
    /// Asked on a lookup for keyX or keyY.
    OnFirstLookup,
    /// A member that the roster is compared with.
    Member,
    /// The go-between, or guard.
    X,
    /// A middle go-between.
    Middle,
    /// The witness.
    Y,
    /// Asked on a lookup for keyZ.
    OnFarLookup,
    /// The anonymizer.
    Z,
    /// Asked on a lookup for what the channel is for.
    OnTargetLookup,
    /// Where what the channel is for is kept.
    Storage,
    /// An anonymizer that X and Y agreed to name.
    NamedAnonymizer,
    /// A go-between or witness that two bootstrap nodes agreed to name, and what follows from it.
    NamedFirst,
}

/// What was seen together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    /// The share from which on the operator sees it: the least mark of those who do.
    pub(super) mark: f64,
    /// Who.
    pub(super) party: Party,
    /// On which channel.
    pub(super) channel: u32,
    /// What.
    pub(super) values: Values,
}

/// All that is seen of one mail.
#[derive(Debug, Default)]
pub(crate) struct View {
    pub(super) events: Vec<Event>,
    /// The nodes that weak values stand for.
    pub(super) weak: Vec<(Values, Node)>,
    /// Does the lookups, and how many nodes they asked.
    pub(super) lookups: Lookups,
    pub(super) asked: usize,
    pub(super) looked_up: usize,
    /// Broken rules of the guarded scheme.
    pub(super) broken: Broken,
}

/// How often a rule of the guarded scheme was broken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Broken {
    /// A node near the key carried.
    pub storage_carried: u64,
    /// Two nodes of one operator on a path.
    pub family_together: u64,
    /// An anonymizer served twice in one mail.
    #[serde(rename = "far_end_twice")]
    pub anonymizer_twice: u64,
    /// No path could be sampled.
    pub no_path: u64,
}

impl Broken {
    /// Adds the counts of other mails.
    pub(super) const fn add(&mut self, other: &Self) {
        self.storage_carried += other.storage_carried;
        self.family_together += other.family_together;
        self.anonymizer_twice += other.anonymizer_twice;
        self.no_path += other.no_path;
    }
}

impl View {
    /// Forgets one mail.
    pub(super) fn clear(&mut self) {
        self.events.clear();
        self.weak.clear();
        (self.asked, self.looked_up) = (0, 0);
        self.broken = Broken::default();
    }

    /// Adds what a party sees.
    pub(super) fn see(&mut self, mark: f64, party: Party, channel: u32, values: Values) {
        self.events.push(Event { mark, party, channel, values });
    }

    /// Says which node a weak value stands for.
    pub(super) fn is_node(&mut self, value: Values, node: Node) {
        self.weak.push((value, node));
    }

    /// The least share of hostile nodes at which the events that `counts` lets through link A and Bob, if the
    /// values in `ignored` join nothing. More than 1: none does.
    ///
    /// Kruskal's algorithm: events join in the order of their marks, until A and Bob are in one component.
    pub(super) fn links_from(&mut self, counts: impl Fn(&Event) -> bool, ignored: Values) -> f64 {
        self.events.sort_unstable_by(|a, b| a.mark.total_cmp(&b.mark));
        let mut components: [Values; COMPONENTS] = [0; COMPONENTS];
        let mut used = 0;
        for event in self.events.iter().filter(|event| counts(event)) {
            let mut joined = event.values & !ignored;
            let mut kept = 0;
            for place in 0..used {
                let component = components.get(place).copied().unwrap_or(0);
                if component & joined == 0 {
                    if let Some(slot) = components.get_mut(kept) {
                        *slot = component;
                    }
                    kept += 1;
                } else {
                    joined |= component;
                }
            }
            if joined & SENDER != 0 && joined & RECIPIENT != 0 {
                return event.mark;
            }
            if let Some(slot) = components.get_mut(kept) {
                *slot = joined;
            }
            used = kept + 1;
        }
        f64::INFINITY
    }

    /// The share from which on the operator saw both A, as she sent, and somebody act for Bob: what time alone
    /// may link.
    pub(super) fn meets_from(&self) -> f64 {
        let first = |value: Values| {
            let seen = self.events.iter().filter(|event| event.channel != READING);
            let marks = seen.filter(|event| event.values & value != 0).map(|event| event.mark);
            marks.fold(f64::INFINITY, f64::min)
        };
        first(SENDER).max(first(RECIPIENT))
    }
}

/// The most components there can be: each has a value of its own.
const COMPONENTS: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    fn view(events: &[(f64, Values)]) -> View {
        let mut view = View::default();
        for (mark, values) in events {
            view.see(*mark, Party::X, 0, *values);
        }
        view
    }

    #[test]
    fn values_do_not_overlap() {
        let places = [Value::KeyX, Value::KeyY, Value::KeyZ, Value::X, Value::Y, Value::Z]
            .into_iter()
            .chain((0..4).map(Value::Link))
            .chain([Value::WitnessLink])
            .chain((0..3).map(Value::Middle));
        let mut all = SENDER | RECIPIENT | MESSAGE;
        for value in places {
            for channel in 0..CHANNELS {
                assert_eq!(all & value.of(channel), 0);
                all |= value.of(channel);
            }
        }
    }

    #[test]
    fn a_chain_of_events_links_from_the_mark_of_its_weakest_member_on() {
        let (link, other) = (Value::Link(0).of(0), Value::KeyZ.of(0));
        let chain = [(0.1, SENDER | link), (0.3, link | other), (0.2, other | RECIPIENT)];
        let close = |mark: f64, to: f64| (mark - to).abs() < f64::EPSILON;
        assert!(close(view(&chain).links_from(|_| true, 0), 0.3));
        assert!(view(&chain).links_from(|_| true, link).is_infinite());
        assert!(view(&chain).links_from(|event| event.mark < 0.3, 0).is_infinite());
        assert!(close(view(&chain).meets_from(), 0.2));
    }
}
