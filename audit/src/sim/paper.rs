//! What is seen of mails that the `paper` scheme sends. The keys are sampled by [`anon::selection::SampledKeys::fresh`].

use anon::{position::Key, selection::SampledKeys};
use clap::ValueEnum;
use rand::{RngExt as _, rngs::ChaCha8Rng};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    lookup::LookupSettings,
    network::{Marks, Network, Node, random_position},
    number::node_of,
    view::{MESSAGE, Party, READING, RECIPIENT, SENDER, Value, Values, View, W1, W2, Z1, Z2, Z3},
};

/// Which reading of section 4 is simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Model {
    /// A looks keyX and keyY up itself.
    Letter,
    /// Two of the nodes that A knows look keyX up for it, and two keyY, as the code has it.
    #[value(help = "As the code does it: bootstrap nodes look them up")]
    Built,
}

/// How often keys are sampled again that do not name different nodes; as in `ua::scheme::paper`.
const RESAMPLES: usize = 16;
/// How many nodes an agent knows to enter by; as `ua::bootstrap` has it.
const BOOTSTRAP_NODES: usize = 40;

/// The paper's scheme in one network.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PaperWorld<'a> {
    /// The network.
    pub network: &'a Network,
    /// Which reading.
    pub model: Model,
    /// How lookups are done.
    pub lookup: LookupSettings,
    /// Replicas.
    pub k: usize,
    /// Whether whoever is asked on lookups is looked at.
    pub logs: bool,
    /// Whether X can mint a node next to keyZ.
    pub free_identifiers: bool,
}

/// One sender, with what it keeps from mail to mail.
#[derive(Clone, Debug)]
pub(crate) struct PaperSender {
    /// Which nodes are hostile to it.
    pub marks: Marks,
    /// Where it is itself, if it is a node.
    origin: Node,
    /// The nodes it knows.
    bootstrap_nodes: Vec<Node>,
}

/// What a channel is for.
struct Target {
    key: Key,
    value: Values,
    /// Whether the anonymizer turns to the nodes that keep it.
    is_used: bool,
}

impl PaperWorld<'_> {
    /// A new sender.
    pub(crate) fn sender(&self, rng: &mut ChaCha8Rng) -> PaperSender {
        let nodes = node_of(self.network.len());
        let marks = Marks(rng.random());
        let mut node = || rng.random_range(0..nodes.max(1));
        PaperSender {
            marks,
            origin: node(),
            bootstrap_nodes: (0..BOOTSTRAP_NODES).map(|_| node()).collect(),
        }
    }

    /// One channel for Bob's inbox, alone.
    pub(crate) fn channel(&self, sender: &PaperSender, rng: &mut ChaCha8Rng, view: &mut View) {
        view.clear();
        let target = Target { key: Key(rng.random()), value: RECIPIENT, is_used: true };
        self.open(sender, Z2, &target, rng, view);
    }

    /// One mail to a recipient whose certificate is not known yet.
    pub(crate) fn mail(&self, sender: &PaperSender, rng: &mut ChaCha8Rng, view: &mut View) {
        view.clear();
        let [certificate, message, inbox] = [(); 3].map(|()| Key(rng.random()));
        for (channel, key, value, is_used) in [
            (Z3, certificate, RECIPIENT, true),
            (Z1, message, MESSAGE, true),
            (W1, message, MESSAGE, false),
            (Z2, inbox, RECIPIENT, true),
            (W2, inbox, RECIPIENT, false),
        ] {
            self.open(sender, channel, &Target { key, value, is_used }, rng, view);
        }
        // Bob fetches the body from its nodes, from his own address.
        let body = least(sender, &self.network.closest(&message, self.k));
        view.see(body, Party::Storage, READING, MESSAGE | RECIPIENT);
    }

    /// Opens a channel, and lets its anonymizer do what it is for.
    fn open(
        &self,
        sender: &PaperSender,
        channel: u32,
        target: &Target,
        rng: &mut ChaCha8Rng,
        view: &mut View,
    ) {
        let (sample, [x, y, z]) = self.nodes(rng);
        let of = |value: Value| value.of(channel);
        let mark = |node| sender.marks.mark(node);
        let keys = [
            (sample.go_between, of(Value::KeyX) | of(Value::X)),
            (sample.witness, of(Value::KeyY) | of(Value::Y)),
        ];
        let mut named = [mark(x), mark(y)];
        for (key, named) in keys.into_iter().zip(&mut named) {
            *named = named.min(self.find(sender, channel, key, rng, view));
        }
        let far = of(Value::KeyZ) | of(Value::Z);
        let link = of(Value::Link(0));
        let at_x = SENDER | of(Value::X) | link | far;
        let at_y = SENDER | of(Value::Y) | far;
        view.see(mark(x), Party::X, channel, at_x);
        view.see(mark(y), Party::Y, channel, at_y);
        let [named_x, named_y] = named;
        view.see(named_x, Party::NamedFirst, channel, at_x);
        view.see(named_y, Party::NamedFirst, channel, at_y);
        if self.logs {
            for (asker, value) in [(x, Value::X), (y, Value::Y)] {
                let seen = self.look_up(sender, asker, &sample.anonymizer, view);
                view.see(seen, Party::OnFarLookup, channel, of(value) | far);
            }
        }
        let at_end = of(Value::Z) | target.value;
        let at_z = at_end | of(Value::X) | link;
        view.see(mark(z), Party::Z, channel, at_z);
        // A believes what X and Y both say; and a node minted by X next to keyZ is what an honest Y finds too.
        let agree = |x: f64, y: f64| if self.free_identifiers { x } else { x.max(y) };
        view.see(agree(mark(x), mark(y)), Party::NamedAnonymizer, channel, at_z);
        view.see(agree(named_x, named_y), Party::NamedFirst, channel, at_z);
        if self.logs {
            let seen = self.look_up(sender, z, &target.key, view);
            view.see(seen, Party::OnTargetLookup, channel, at_end);
        }
        if target.is_used {
            let stores = least(sender, &self.network.closest(&target.key, self.k));
            view.see(stores, Party::Storage, channel, at_end);
        }
        for (value, node) in [(Value::X, x), (Value::Y, y), (Value::Z, z)] {
            view.is_node(of(value), node);
        }
    }

    /// Finds who is closest to the key of a first node: from which mark on another may be named in its place, because
    /// both bootstrap nodes that are asked are hostile.
    fn find(
        &self,
        sender: &PaperSender,
        channel: u32,
        (key, values): (Key, Values),
        rng: &mut ChaCha8Rng,
        view: &mut View,
    ) -> f64 {
        match self.model {
            Model::Letter if self.logs => {
                let seen = self.look_up(sender, sender.origin, &key, view);
                view.see(seen, Party::OnFirstLookup, channel, SENDER | values);
                f64::INFINITY
            }
            Model::Letter => f64::INFINITY,
            Model::Built => {
                // Who is asked on a bootstrap node's lookup learns the key, and not for whom it is.
                let [first, second] =
                    self.two_bootstrap_nodes(sender, rng).map(|node| sender.marks.mark(node));
                view.see(first.min(second), Party::Bootstrap, channel, SENDER | values);
                first.max(second)
            }
        }
    }

    /// Samples until the keys name three nodes.
    fn nodes(&self, rng: &mut ChaCha8Rng) -> (SampledKeys, [Node; 3]) {
        let closest = |key: &Key| self.network.closest_one(key).unwrap_or(0);
        let mut sample = SampledKeys::fresh(rng);
        let mut nodes =
            [sample.go_between, sample.witness, sample.anonymizer].map(|key| closest(&key));
        for _ in 0..RESAMPLES {
            let [x, y, z] = nodes;
            if x == y {
                sample = SampledKeys::fresh(rng);
                nodes =
                    [sample.go_between, sample.witness, sample.anonymizer].map(|key| closest(&key));
            } else if z == x || z == y {
                sample.anonymizer = SampledKeys::fresh(rng).anonymizer;
                nodes = [x, y, closest(&sample.anonymizer)];
            } else {
                break;
            }
        }
        (sample, nodes)
    }

    fn two_bootstrap_nodes(&self, sender: &PaperSender, rng: &mut ChaCha8Rng) -> [Node; 2] {
        let first = rng.random_range(0..BOOTSTRAP_NODES);
        let second = (first + rng.random_range(1..BOOTSTRAP_NODES)) % BOOTSTRAP_NODES;
        [first, second].map(|place| sender.bootstrap_nodes.get(place).copied().unwrap_or(0))
    }

    /// Looks a key up: the least mark of whom the lookup asked.
    fn look_up(&self, sender: &PaperSender, asker: Node, key: &Key, view: &mut View) -> f64 {
        let target = Network::place(key);
        let asked = view.lookups.ask(self.network, self.lookup, asker, target);
        let seen = least(sender, asked);
        view.asked += asked.len();
        view.looked_up += 1;
        seen
    }
}

/// The least mark of these nodes.
fn least(sender: &PaperSender, nodes: &[Node]) -> f64 {
    nodes.iter().map(|node| sender.marks.mark(*node)).fold(f64::INFINITY, f64::min)
}

/// How many positions must be tried to mint a node that is closer to a key than all others.
pub(super) fn tries_to_mint(network: &Network, key: Key, rng: &mut ChaCha8Rng) -> f64 {
    let target = Network::place(&key);
    let closest =
        network.closest_one(&key).map_or(u64::MAX, |node| network.position(node) ^ target);
    let mut tries = 1.0;
    while random_position(rng) ^ target >= closest {
        tries += 1.0;
    }
    tries
}
