//! Keepers, honest ones and up to f others, over a network whose every delay follows from a seed.

use std::collections::BTreeMap;

use anon::{keeper::schedule::Moment, view::statement::StatementDigest};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::{
    honest::{Honest, Message},
    liars::{Liars, Shot},
    town::{Kind, ROUND, Town},
};

/// What the network and the clocks do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    /// As is assumed: between honest keepers a quarter of a round at most, and clocks as near.
    Timely,
    /// Anything: messages lost or late by many rounds, clocks wrong, keepers restarted. Half of the seeds are wild, and
    /// hardly a view comes about; half are nearly in time, and keepers end with different votes.
    Asynchronous,
}

/// What is wrong with a keeper that counts among the f.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    Silent,
    Slow,
    WrongClock,
    Liar,
}

enum Event {
    Wake(u8),
    Restart(u8),
    Deliver { from: u8, to: u8, message: Message },
}

pub(crate) struct Sim<'t> {
    town: &'t Town,
    network: Network,
    is_wild: bool,
    rng: StdRng,
    queue: BTreeMap<(u64, u32, u64), Event>,
    sequence: u64,
    /// Every keeper that runs the honest program, the slow ones and those with a wrong clock, too.
    pub(crate) running: BTreeMap<u8, Honest>,
    pub(crate) faults: BTreeMap<u8, Fault>,
    pub(crate) liars: Liars,
    /// Which honest keepers hold the signed view before.
    pub(crate) holders: Vec<u8>,
}

impl<'t> Sim<'t> {
    pub(crate) fn new(town: &'t Town, network: Network, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let faulty = town.ballot.keepers().faults();
        let mut order: Vec<u8> = town.ballot.numbers().collect();
        let mut faults = BTreeMap::new();
        for _ in 0..rng.random_range(0..=faulty) {
            let keeper = order.swap_remove(rng.random_range(0..order.len()));
            let kinds = [
                Fault::Silent,
                Fault::Slow,
                Fault::WrongClock,
                Fault::Liar,
                Fault::Liar,
                Fault::Liar,
            ];
            faults.insert(keeper, kinds[rng.random_range(0..kinds.len())]);
        }
        let members = faults.iter().filter(|(_, f)| **f == Fault::Liar).map(|(k, _)| *k).collect();
        let liars = Liars::new(members, &mut rng);
        let mut sim = Self {
            town,
            network,
            is_wild: seed.is_multiple_of(2),
            rng,
            queue: BTreeMap::new(),
            sequence: 0,
            running: BTreeMap::new(),
            faults,
            liars,
            holders: Vec::new(),
        };
        sim.hire();
        sim
    }

    pub(crate) fn is_honest(&self, keeper: u8) -> bool {
        !self.faults.contains_key(&keeper)
    }

    pub(crate) fn honest(&self) -> impl Iterator<Item = &Honest> {
        self.running.values().filter(|keeper| self.is_honest(keeper.me))
    }

    fn hire(&mut self) {
        let town = self.town;
        for me in town.ballot.numbers() {
            let offset = self.offset(self.faults.get(&me).copied());
            let has_before = self.rng.random_bool(0.3);
            if has_before && self.is_honest(me) {
                self.holders.push(me);
            }
            if matches!(self.faults.get(&me), Some(Fault::Silent | Fault::Liar)) {
                continue;
            }
            let (vote, statements) = self.measure(has_before);
            let keeper = Honest::new(town, me, offset, vote, statements);
            let d = town.deadlines;
            for at in [d.measured_until, d.rounds.from(), d.rounds.until().after(1)] {
                self.push(keeper.global(at), Event::Wake(me));
            }
            if self.network == Network::Asynchronous && self.rng.random_bool(0.4) {
                let at = d.rounds.from().0 + self.rng.random_range(0..12 * ROUND);
                self.push(at, Event::Restart(me));
                self.push(at + 8 * ROUND, Event::Wake(me));
            }
            self.running.insert(me, keeper);
        }
        let shots = self.liars.plan(town, &mut self.rng);
        self.shoot(shots);
    }

    /// Which nodes a keeper reached: the honest ones, some others, and of a node that has two statements one.
    fn measure(
        &mut self,
        has_before: bool,
    ) -> (anon::keeper::vote::Vote, BTreeMap<StatementDigest, anon::view::statement::NodeStatement>)
    {
        let reached: Vec<bool> =
            self.town.stated.iter().map(|_| self.rng.random_bool(0.5)).collect();
        let face = if self.rng.random_bool(0.7) { 5 } else { 6 };
        let chosen = |i: usize, kind: Kind| match kind {
            Kind::Honest => true,
            Kind::Flaky => reached[i],
            Kind::Private => false,
            Kind::TwoFaced => i == face,
        };
        (self.town.vote(has_before, chosen), self.town.statements(chosen))
    }

    fn offset(&mut self, fault: Option<Fault>) -> i64 {
        let skew = i64::try_from(self.town.schedule.skew()).unwrap();
        let most = match (self.network, fault) {
            (Network::Asynchronous, _) if !self.is_wild => 2 * skew,
            (Network::Asynchronous, _) | (_, Some(Fault::WrongClock)) => 20 * skew,
            (Network::Timely, _) => skew / 2,
        };
        if self.rng.random_bool(0.3) {
            if self.rng.random_bool(0.5) { most } else { -most }
        } else {
            self.rng.random_range(-most..=most)
        }
    }

    /// How long a message takes, or that it is lost.
    fn delay(&mut self, from: u8) -> Option<u64> {
        let most = self.town.schedule.delay();
        let timely = match self.rng.random_range(0..4) {
            0 => 0,
            1 => most,
            _ => self.rng.random_range(0..=most),
        };
        let slow = self.rng.random_range(0..10 * ROUND);
        match self.network {
            Network::Timely if self.faults.get(&from) == Some(&Fault::Slow) => Some(slow / 2),
            Network::Timely => Some(timely),
            Network::Asynchronous => match self.rng.random_range(0..40) {
                0 => None,
                1..=3 if self.is_wild => None,
                4..=15 if self.is_wild => Some(slow),
                1..=3 => Some(slow / 4),
                _ => Some(timely),
            },
        }
    }

    fn push(&mut self, at: u64, event: Event) {
        let tie = self.rng.random();
        self.sequence += 1;
        self.queue.insert((at, tie, self.sequence), event);
    }

    fn send(&mut self, now: u64, from: u8, messages: Vec<(u8, Message)>) {
        for (to, message) in messages {
            if let Some(delay) = self.delay(from) {
                self.push(now + delay, Event::Deliver { from, to, message });
            }
        }
    }

    /// What liars send arrives when they like, by the clock of who gets it.
    fn shoot(&mut self, shots: Vec<Shot>) {
        for Shot { at, from, to, message } in shots {
            let at = self.running.get(&to).map_or(at.0, |keeper| keeper.global(at));
            self.push(at, Event::Deliver { from, to, message });
        }
    }

    pub(crate) fn run(mut self) -> Self {
        let town = self.town;
        while let Some(((now, ..), event)) = self.queue.pop_first() {
            match event {
                Event::Wake(me) => {
                    let keeper = self.running.get_mut(&me).unwrap();
                    let messages = keeper.wake(town, now);
                    self.send(now, me, messages);
                }
                Event::Restart(me) => {
                    let has_before = self.rng.random_bool(0.5);
                    let (vote, _) = self.measure(has_before);
                    let mut found: Vec<u8> = town.ballot.numbers().collect();
                    found.retain(|_| self.rng.random_bool(0.9));
                    let keeper = self.running.get_mut(&me).unwrap();
                    let messages = keeper.restart(town, vote, &found);
                    self.send(now, me, messages);
                }
                Event::Deliver { from, to, message } => {
                    if let Some(keeper) = self.running.get_mut(&to) {
                        let messages = keeper.handle(town, now, from, message);
                        self.send(now, to, messages);
                    } else if self.liars.members.contains(&to) {
                        let shots =
                            self.liars.react(town, &mut self.rng, Moment(now), from, to, message);
                        self.shoot(shots);
                    }
                }
            }
        }
        self
    }
}
