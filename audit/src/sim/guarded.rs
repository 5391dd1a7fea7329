//! What is seen of mails that the `guarded` scheme sends. Guards, paths and who may not serve are decided by
//! [`anon::selection`], the code that sends mail; [`Rules`] is where a mutant decides otherwise.

use std::{borrow::Cow, collections::BTreeSet};

use anon::{
    position::Key,
    selection::{GuardedPath, Planner, Wanted, sample_guard},
};
use rand::{RngExt as _, rngs::ChaCha8Rng};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    lookup::LookupSettings,
    network::{Candidacy, Marks, Network, Node},
    number::node_of,
    view::{MESSAGE, Party, READING, RECIPIENT, SENDER, Value, Values, View, W1, W2, Z1, Z2, Z3},
};

/// How a sender chooses its nodes. The defaults are what production does.
pub(crate) trait Rules: Sync {
    /// The guards for a mail, given those kept so far.
    fn guards(
        &self,
        among: &Candidacy<'_>,
        kept: &[Node],
        count: usize,
        rng: &mut ChaCha8Rng,
    ) -> Vec<Node> {
        let mut guards = kept.to_vec();
        while guards.len() < count {
            let excluded = guards.iter().copied().collect();
            let Some(guard) = sample_guard(among, &excluded, rng) else { break };
            guards.push(guard);
        }
        guards
    }

    /// Who may not carry, of those near what a path is for.
    fn avoid<'n>(&self, near: &'n BTreeSet<Node>) -> Cow<'n, BTreeSet<Node>> {
        Cow::Borrowed(near)
    }

    /// A path for one channel.
    fn path(
        &self,
        among: &Candidacy<'_>,
        planner: &mut Planner<Node, Node>,
        wanted: Wanted<'_, Node>,
        rng: &mut ChaCha8Rng,
    ) -> Option<GuardedPath<Node>> {
        planner.next_path(among, wanted, rng, Vec::new)
    }

    /// Whether a node that appeared after the sampling is believed in.
    fn believes_in_minted(&self) -> bool {
        false
    }

    /// Whether nodes are looked up while a mail is sent.
    fn looks_up(&self) -> bool {
        false
    }
}

/// The rules that production keeps.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Production;

impl Rules for Production {}

/// By whom the witness is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Witness {
    /// The guard passes the question on to the witness, as the code had it once.
    Guard,
    /// The last middle go-between does, as the code has it.
    Middle,
    /// There is no witness.
    None,
}

/// To whom a sender writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Recipients {
    /// To somebody else each time; the certificate is fetched each time.
    Different,
    /// To one and the same, whose certificate is kept.
    Same,
}

/// What hostile nodes do besides remembering.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Acting {
    /// Members hand each agent versions of their accomplices' certificates that nobody else has.
    pub marks: bool,
    /// Guards write into the cells that they pass on, and anonymizers read it.
    pub tags: bool,
}

impl Acting {
    /// All that we know of.
    pub(crate) const ALL: Self = Self { marks: true, tags: true };
}

/// Members that an agent compares its roster with when its first mail of an epoch is about to go.
const MEMBERS: usize = 3;

/// The guarded scheme in one network.
#[derive(derive_more::Debug, Clone, Copy)]
#[debug("GuardedWorld(..)")]
pub(crate) struct GuardedWorld<'a> {
    /// The network.
    pub network: &'a Network,
    /// Replicas.
    pub k: usize,
    /// Go-betweens between the guard and the anonymizer, 0 to 3.
    pub hops: usize,
    /// Guards that take turns; one more is the spare.
    pub guards: usize,
    /// By whom the witness is asked.
    pub witness: Witness,
    /// To whom a sender writes.
    pub recipients: Recipients,
    /// Whether anybody can mint a node next to a key that it knows.
    pub free_identifiers: bool,
    /// The share of hostile nodes, if they all say that they are one family.
    pub declared: Option<f64>,
    /// What hostile nodes do besides remembering.
    pub acting: Acting,
    /// Who chooses.
    pub rules: &'a dyn Rules,
}

/// One sender and its recipient, with what they keep from mail to mail.
#[derive(Clone, Debug)]
pub(crate) struct GuardedSender {
    /// Which nodes are hostile to it.
    pub marks: Marks,
    guards: Vec<Node>,
    readers_guards: Vec<Node>,
    recipient: [Key; 2],
    mails: usize,
}

/// What a channel is for.
struct Target {
    near: BTreeSet<Node>,
    key: Key,
    value: Values,
    is_used: bool,
}

/// Who makes a channel, and how.
struct Maker<'m> {
    actor: Values,
    marks: Marks,
    guards: &'m [Node],
    /// The least mark of the members that it compared its roster with.
    members: f64,
}

/// What the channels of one mail owe each other.
struct Mail {
    planner: Planner<Node, Node>,
    anonymizers: BTreeSet<Node>,
}

impl GuardedWorld<'_> {
    /// A new sender, and its recipient.
    pub(crate) fn sender(&self, rng: &mut ChaCha8Rng) -> GuardedSender {
        let marks = Marks(rng.random());
        let among = self.among(marks);
        GuardedSender {
            marks,
            guards: self.rules.guards(&among, &[], self.guards + 1, rng),
            readers_guards: self.rules.guards(&among, &[], 2, rng),
            recipient: [Key(rng.random()), Key(rng.random())],
            mails: 0,
        }
    }

    fn among(&self, marks: Marks) -> Candidacy<'_> {
        let declared = self.declared.map(|share| (marks, share));
        Candidacy { network: self.network, declared }
    }

    /// One channel for Bob's inbox, alone.
    pub(crate) fn channel(&self, sender: &GuardedSender, rng: &mut ChaCha8Rng, view: &mut View) {
        view.clear();
        let members = self.members(sender.marks, rng);
        let maker = Maker { actor: SENDER, marks: sender.marks, guards: &sender.guards, members };
        let target = self.target(Key(rng.random()), RECIPIENT, true);
        self.open(&maker, Z2, &target, &mut self.begin(&sender.guards), rng, view);
    }

    /// The sender's next mail, and how its recipient fetches the body.
    pub(crate) fn mail(&self, sender: &mut GuardedSender, rng: &mut ChaCha8Rng, view: &mut View) {
        view.clear();
        let among = self.among(sender.marks);
        sender.guards = self.rules.guards(&among, &sender.guards, self.guards + 1, rng);
        let mut guards = sender.guards.clone();
        let turn = sender.mails % self.guards.max(1);
        let turn = turn.min(guards.len());
        guards.rotate_left(turn);
        let is_known = self.recipients == Recipients::Same && sender.mails > 0;
        if self.recipients == Recipients::Different {
            sender.recipient = [Key(rng.random()), Key(rng.random())];
        }
        sender.mails += 1;
        let [certificate, inbox] = sender.recipient;
        let message = self.target(Key(rng.random()), MESSAGE, true);
        // Each mail is the first of its epoch.
        let members = self.members(sender.marks, rng);
        if self.acting.marks {
            view.see(members, Party::Member, Z3, SENDER);
        }
        let maker = Maker { actor: SENDER, marks: sender.marks, guards: &guards, members };
        let mut mail = self.begin(&guards);
        if !is_known {
            let certificate = self.target(certificate, RECIPIENT, true);
            self.open(&maker, Z3, &certificate, &mut mail, rng, view);
        }
        self.open(&maker, Z1, &message, &mut mail, rng, view);
        let message = Target { is_used: false, ..message };
        self.open(&maker, W1, &message, &mut mail, rng, view);
        let inbox = self.target(inbox, RECIPIENT, true);
        self.open(&maker, Z2, &inbox, &mut mail, rng, view);
        let inbox = Target { is_used: false, ..inbox };
        self.open(&maker, W2, &inbox, &mut mail, rng, view);
        let guards = &sender.readers_guards;
        let members = self.members(sender.marks, rng);
        let reader = Maker { actor: RECIPIENT, marks: sender.marks, guards, members };
        let message = Target { is_used: true, ..message };
        self.open(&reader, READING, &message, &mut self.begin(guards), rng, view);
    }

    /// A mail, or a reading, of which nothing is done yet.
    fn begin(&self, guards: &[Node]) -> Mail {
        Mail { planner: Planner::new(guards.to_vec(), self.hops), anonymizers: BTreeSet::new() }
    }

    /// The least mark of those that an agent compares its roster with.
    fn members(&self, marks: Marks, rng: &mut ChaCha8Rng) -> f64 {
        if !self.acting.marks {
            return f64::INFINITY;
        }
        let nodes = node_of(self.network.len()).max(1);
        let sampled = (0..MEMBERS).map(|_| marks.mark(rng.random_range(0..nodes)));
        sampled.fold(f64::INFINITY, f64::min)
    }

    fn target(&self, key: Key, value: Values, is_used: bool) -> Target {
        let near = self.network.closest(&key, self.k).into_iter().collect();
        Target { near, key, value, is_used }
    }

    /// Opens a channel, and lets its anonymizer do what it is for.
    fn open(
        &self,
        maker: &Maker<'_>,
        channel: u32,
        target: &Target,
        mail: &mut Mail,
        rng: &mut ChaCha8Rng,
        view: &mut View,
    ) {
        let avoid = self.rules.avoid(&target.near);
        let among = self.among(maker.marks);
        let wanted = Wanted { is_reading: channel == READING, near: &avoid, attempt: 0 };
        let Some(path) = self.rules.path(&among, &mut mail.planner, wanted, rng) else {
            view.broken.no_path += 1;
            return;
        };
        self.check(maker, &path, target, mail, view);
        self.observe(maker, channel, &path, target, rng, view);
    }

    /// Notes which rules a path breaks.
    fn check(
        &self,
        maker: &Maker<'_>,
        path: &GuardedPath<Node>,
        target: &Target,
        mail: &mut Mail,
        view: &mut View,
    ) {
        let is_near = |node: &Node| target.near.contains(node);
        let spared = maker.guards.iter().any(|guard| !is_near(guard));
        let carries = path.hops().any(|(_, node)| is_near(node));
        view.broken.storage_carried += u64::from(carries || (spared && is_near(&path.guard)));
        if let Some(share) = self.declared {
            let behind = path.hops().chain([&path.witness]).map(|(_, node)| *node);
            let hostile = [path.guard].into_iter().chain(behind);
            let hostile = hostile.filter(|node| maker.marks.mark(*node) < share).count();
            view.broken.family_together += u64::from(hostile > 1);
        }
        view.broken.anonymizer_twice += u64::from(!mail.anonymizers.insert(path.anonymizer.1));
    }

    /// Adds what everyone on a path sees.
    fn observe(
        &self,
        maker: &Maker<'_>,
        channel: u32,
        path: &GuardedPath<Node>,
        target: &Target,
        rng: &mut ChaCha8Rng,
        view: &mut View,
    ) {
        let of = |value: Value| value.of(channel);
        let far = of(Value::KeyZ) | of(Value::Z);
        let hops = node_of(self.hops);
        let asks_witness = match self.witness {
            Witness::Guard => Some(0),
            Witness::Middle => Some(hops),
            Witness::None => None,
        };
        // What whoever is before this place learns of who is there, and of the witness.
        let next = |place: u32| if place < hops { of(Value::Middle(place)) } else { far };
        let asked = |place| if asks_witness == Some(place) { of(Value::WitnessLink) } else { 0 };
        let mut mark = maker.marks.mark(path.guard);
        let values = maker.actor | of(Value::Link(0)) | next(0) | asked(0);
        view.see(mark, Party::X, channel, values);
        let (guards_mark, guards_values) = (mark, values);
        for (place, (key, node)) in (0..).zip(path.hops()) {
            let own = maker.marks.mark(*node);
            let is_minted = self.free_identifiers && self.rules.believes_in_minted();
            mark = if is_minted { own.min(mark) } else { own };
            if self.rules.looks_up() {
                self.look_up(maker, channel, (key, next(place)), rng, view);
            }
            let (party, who, known) = if place < hops {
                let known = of(Value::Link(place + 1)) | next(place + 1) | asked(place + 1);
                (Party::Middle, of(Value::Middle(place)), known)
            } else {
                let before = place.checked_sub(1).map_or(0, |last| of(Value::Middle(last)));
                (Party::Z, of(Value::Z), before | target.value)
            };
            let values = of(Value::Link(place)) | who | known;
            view.is_node(who, *node);
            view.see(mark, party, channel, values);
            // The first message names the version that a member of the same operator handed out.
            if self.acting.marks {
                view.see(mark.max(maker.members), party, channel, values | maker.actor);
            }
            // What the guard wrote into the cells ties its end of the channel to the anonymizer's.
            if self.acting.tags && party == Party::Z {
                view.see(mark.max(guards_mark), Party::Z, channel, values | guards_values);
            }
        }
        if asks_witness.is_some() {
            let witness = maker.marks.mark(path.witness.1);
            view.see(witness, Party::Y, channel, of(Value::WitnessLink) | far);
        }
        self.observe_target(maker, channel, target, rng, view);
    }

    /// Adds what is seen of what the anonymizer does.
    fn observe_target(
        &self,
        maker: &Maker<'_>,
        channel: u32,
        target: &Target,
        rng: &mut ChaCha8Rng,
        view: &mut View,
    ) {
        let values = Value::Z.of(channel) | target.value;
        if target.is_used {
            let stores = target.near.iter().map(|node| maker.marks.mark(*node));
            let stores = stores.fold(f64::INFINITY, f64::min);
            view.see(stores, Party::Storage, channel, values);
        }
        if self.rules.looks_up() {
            let seen = (&target.key, values);
            self.look_up_for(maker, channel, seen, Party::OnTargetLookup, rng, view);
        }
    }

    /// What the nodes see that the sender asks, if it looks up who is next.
    fn look_up(
        &self,
        maker: &Maker<'_>,
        channel: u32,
        (key, values): (&Key, Values),
        rng: &mut ChaCha8Rng,
        view: &mut View,
    ) {
        let seen = (key, values | maker.actor);
        self.look_up_for(maker, channel, seen, Party::OnFirstLookup, rng, view);
    }

    fn look_up_for(
        &self,
        maker: &Maker<'_>,
        channel: u32,
        (key, values): (&Key, Values),
        party: Party,
        rng: &mut ChaCha8Rng,
        view: &mut View,
    ) {
        let settings = LookupSettings { alpha: 10, count: self.k + 2 };
        let asker = rng.random_range(0..node_of(self.network.len()).max(1));
        let asked = view.lookups.ask(self.network, settings, asker, Network::place(key));
        let marks = asked.iter().map(|node| maker.marks.mark(*node));
        let seen = marks.fold(f64::INFINITY, f64::min);
        view.asked += asked.len();
        view.looked_up += 1;
        view.see(seen, party, channel, values);
    }
}
