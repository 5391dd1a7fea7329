//! When keepers do what: every deadline of an epoch, from the epoch's length and one stated round length.
//!
//! ```text
//! epoch e-1                                                       │ epoch e
//! opens        statements_until   measured_until  votes_from       starts     late_until
//!   │  statements are taken │  measuring  │  vote made │ f+1 rounds │ fetch │ sign │ late │
//!   0 ─────────────────────────────────── L-(f+4)R ── L-(f+3)R ── L-2R ── L-R ─── L ── L+2R
//! ```
//!
//! **What is assumed** for a view every epoch, and for nothing else: between two keepers that do as they should, a message
//! of any size takes at most a quarter of a round ([`Schedule::delay`]), and two clocks differ by at most a quarter of a
//! round ([`Schedule::skew`]). A relayed vote takes three messages, its announcement, the request for its body and the body,
//! and so with the skew just one round: `3 × R/4 + R/4 = R`.

use thiserror::Error;

use crate::time::{Epoch, Time};

/// The shortest round, milliseconds: a quarter of it is what a busy machine needs to answer.
pub const MIN_ROUND: u64 = 40;
/// The longest time that a keeper's word that there is no view is believed for where rounds are short, milliseconds.
pub const MAX_WORD_HOLDS: u64 = 600_000;

/// A moment, milliseconds since 1970-01-01 UTC: epochs of a test are too short for seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(pub u64);

impl Moment {
    /// The first millisecond of a second.
    #[must_use]
    pub const fn at(time: Time) -> Self {
        Self(time.0.saturating_mul(1_000))
    }

    /// The moment so many milliseconds later, at most the end of time.
    #[must_use]
    pub const fn after(self, milliseconds: u64) -> Self {
        Self(self.0.saturating_add(milliseconds))
    }

    /// The moment so many milliseconds earlier, at least the beginning of time.
    #[must_use]
    pub const fn before(self, milliseconds: u64) -> Self {
        Self(self.0.saturating_sub(milliseconds))
    }
}

/// A network file that asks for what its epochs have no room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// The round is shorter than [`MIN_ROUND`].
    #[error("a round of {0} ms is too short: the least is {MIN_ROUND} ms")]
    RoundTooShort(u64),
    /// Voting would take more than half of an epoch.
    #[error(
        "voting takes {needed} ms, more than half of an epoch of {epoch} ms: make rounds shorter or epochs longer"
    )]
    EpochTooShort {
        /// `(f + 4)` rounds, milliseconds.
        needed: u64,
        /// The epoch's length, milliseconds.
        epoch: u64,
    },
}

/// The lengths that all deadlines follow from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    epoch: u64,
    round: u64,
    faulty: u64,
}

impl Schedule {
    /// A schedule for epochs of so many seconds and rounds of so many milliseconds, where up to `faulty` keepers may be
    /// hostile.
    ///
    /// # Errors
    /// [`ScheduleError`] if a round is too short, or the epoch too short for its rounds.
    pub fn new(epoch_seconds: u64, round: u64, faulty: usize) -> Result<Self, ScheduleError> {
        if round < MIN_ROUND {
            return Err(ScheduleError::RoundTooShort(round));
        }
        let epoch = epoch_seconds.saturating_mul(1_000);
        let faulty = u64::try_from(faulty).unwrap_or(u64::MAX);
        let needed = faulty.saturating_add(4).saturating_mul(round);
        if needed > epoch / 2 {
            return Err(ScheduleError::EpochTooShort { needed, epoch });
        }
        Ok(Self { epoch, round, faulty })
    }

    /// The length of a round, milliseconds: `R`.
    #[must_use]
    pub const fn round(&self) -> u64 {
        self.round
    }

    /// The longest time that a message between two honest keepers may take, milliseconds: `R/4`.
    #[must_use]
    pub const fn delay(&self) -> u64 {
        self.round / 4
    }

    /// The most by which the clocks of two honest keepers may differ, milliseconds: `R/4`.
    #[must_use]
    pub const fn skew(&self) -> u64 {
        self.round / 4
    }

    /// How long a keeper's word that there is no view is believed, milliseconds: a quarter of an epoch, at most
    /// [`MAX_WORD_HOLDS`], at least two rounds. A keeper that stands by its word says it anew each round.
    #[must_use]
    pub fn word_holds(&self) -> u64 {
        (self.epoch / 4).min(MAX_WORD_HOLDS).max(self.round.saturating_mul(2))
    }

    /// The deadlines for the view of an epoch. `None` for epoch 0, which has no epoch before it, and past the end of time.
    #[must_use]
    pub fn deadlines(&self, view: Epoch) -> Option<Deadlines> {
        let starts = view.0.checked_mul(self.epoch)?;
        let late_until = starts.checked_add(self.round.checked_mul(2)?)?;
        let opens = starts.checked_sub(self.epoch)?;
        let back = |rounds: u64| Moment(starts.saturating_sub(rounds.saturating_mul(self.round)));
        let measured_until = back(self.faulty.saturating_add(4));
        let rounds = Rounds {
            from: back(self.faulty.saturating_add(3)),
            round: self.round,
            count: self.faulty.saturating_add(1),
        };
        Some(Deadlines {
            opens: Moment(opens),
            statements_until: measured_until.before(self.epoch / 4),
            measured_until,
            rounds,
            gathered_until: back(1),
            starts: Moment(starts),
            late_until: Moment(late_until),
        })
    }
}

/// The `f + 1` rounds of one broadcast, each as long as the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rounds {
    from: Moment,
    round: u64,
    count: u64,
}

impl Rounds {
    /// When the first round begins: a keeper sends its own vote at this moment of its own clock.
    #[must_use]
    pub const fn from(&self) -> Moment {
        self.from
    }

    /// How many rounds there are: `f + 1`, and as many signatures has the longest chain.
    #[must_use]
    pub fn count(&self) -> usize {
        usize::try_from(self.count).unwrap_or(usize::MAX)
    }

    /// Until when a chain of so many signatures is taken: the end of the round of that number. More than [`Self::count`]
    /// gives no more time.
    #[must_use]
    pub fn deadline(&self, signatures: usize) -> Moment {
        let rounds = u64::try_from(signatures).unwrap_or(u64::MAX).min(self.count);
        self.from.after(rounds.saturating_mul(self.round))
    }

    /// When the last round ends.
    #[must_use]
    pub fn until(&self) -> Moment {
        self.deadline(self.count())
    }
}

/// What is done until when for the view of one epoch, each by the keeper's own clock. A deadline itself is still in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// The epoch before begins: from here on nodes state themselves for this view.
    pub opens: Moment,
    /// Statements that come later are for the next view. A node should send its own at least [`Schedule::skew`] and
    /// [`Schedule::delay`] earlier.
    pub statements_until: Moment,
    /// Who was not reached until here was not reached. The vote is made now, and chains of quicker clocks are taken.
    pub measured_until: Moment,
    /// The rounds of the broadcast.
    pub rounds: Rounds,
    /// Until here a keeper fetches what the votes name and it does not have: statements, the view before, revocations.
    pub gathered_until: Moment,
    /// The epoch begins: with messages in time, every honest keeper has a quorum of signatures here.
    pub starts: Moment,
    /// Without a quorum a keeper says so from here on.
    pub late_until: Moment,
}

/// What a keeper is doing for the view of one epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The epoch before has not begun.
    Before,
    /// Nodes state themselves.
    Statements,
    /// Nodes that stated themselves are still measured.
    Measuring,
    /// The vote is made.
    Voting,
    /// Votes are exchanged, in the round of this number, from 1.
    Round(u64),
    /// What the votes name is fetched, and the view computed.
    Gathering,
    /// Signatures are exchanged.
    Signing,
    /// The epoch has begun, and a quorum may still come.
    Late,
    /// Who has no quorum says that there is no view.
    Over,
}

impl Deadlines {
    /// The phase that a moment lies in.
    #[must_use]
    pub fn phase(&self, now: Moment) -> Phase {
        let rounds = &self.rounds;
        let in_round = || now.0.saturating_sub(rounds.from.0).div_ceil(rounds.round.max(1));
        match now {
            now if now < self.opens => Phase::Before,
            now if now <= self.statements_until => Phase::Statements,
            now if now <= self.measured_until => Phase::Measuring,
            now if now < rounds.from => Phase::Voting,
            now if now <= rounds.until() => Phase::Round(in_round().max(1)),
            now if now <= self.gathered_until => Phase::Gathering,
            now if now <= self.starts => Phase::Signing,
            now if now <= self.late_until => Phase::Late,
            _ => Phase::Over,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A day, rounds of a minute, four keepers: by hand.
    #[test]
    fn deadlines_of_a_day_are_as_worked_out_by_hand() {
        let schedule = Schedule::new(86_400, 60_000, 1).unwrap();
        let d = schedule.deadlines(Epoch(10)).unwrap();
        assert_eq!(d.opens, Moment(9 * 86_400_000));
        assert_eq!(d.starts, Moment(864_000_000));
        assert_eq!(d.late_until, Moment(864_120_000));
        assert_eq!(d.gathered_until, Moment(863_940_000));
        assert_eq!(d.rounds.from(), Moment(863_760_000));
        assert_eq!(d.rounds.deadline(1), Moment(863_820_000));
        assert_eq!(d.rounds.until(), Moment(863_880_000));
        assert_eq!(d.measured_until, Moment(863_700_000));
        // A quarter of a day, 21,600 s, earlier.
        assert_eq!(d.statements_until, Moment(842_100_000));
        assert_eq!((schedule.delay(), schedule.skew()), (15_000, 15_000));
        assert_eq!((schedule.round(), schedule.word_holds()), (60_000, 600_000));
        assert_eq!(d.opens, Moment::at(Time(9 * 86_400)));
    }

    #[test]
    fn a_word_holds_for_a_quarter_of_a_short_epoch_and_at_least_for_two_rounds() {
        let holds = |seconds, round| Schedule::new(seconds, round, 0).unwrap().word_holds();
        assert_eq!(holds(1_000, 60_000), 250_000);
        assert_eq!(holds(400, 50_000), 100_000);
        assert_eq!(holds(399, 49_875), 99_750);
        assert_eq!(holds(40_000, 400_000), 800_000);
    }

    #[test]
    fn a_test_of_three_seconds_has_room_for_its_rounds() {
        for (faulty, round) in [(0, 375), (1, 300), (2, 250), (3, 214), (5, 166)] {
            let schedule = Schedule::new(3, round, faulty).unwrap();
            let d = schedule.deadlines(Epoch(1)).unwrap();
            assert!(d.statements_until >= d.opens.after(750), "{faulty}: {d:?}");
            let needed = u64::try_from(faulty + 4).unwrap() * (round + 1);
            let refused = Err(ScheduleError::EpochTooShort { needed, epoch: 3_000 });
            assert_eq!(Schedule::new(3, round + 1, faulty), refused);
        }
        assert_eq!(Schedule::new(3, 39, 1), Err(ScheduleError::RoundTooShort(39)));
    }

    #[test]
    fn each_phase_ends_with_its_deadline() {
        let d = Schedule::new(3, 300, 1).unwrap().deadlines(Epoch(5)).unwrap();
        let ends = [
            (d.statements_until, Phase::Statements),
            (d.measured_until, Phase::Measuring),
            (d.rounds.from().before(1), Phase::Voting),
            (d.rounds.deadline(1), Phase::Round(1)),
            (d.rounds.deadline(2), Phase::Round(2)),
            (d.gathered_until, Phase::Gathering),
            (d.starts, Phase::Signing),
            (d.late_until, Phase::Late),
        ];
        assert_eq!(d.phase(d.opens.before(1)), Phase::Before);
        assert_eq!(d.phase(d.opens), Phase::Statements);
        assert_eq!(d.phase(d.rounds.from()), Phase::Round(1));
        for pair in ends.windows(2) {
            let [(end, phase), (_, next)] = pair else { panic!("two") };
            assert_eq!((d.phase(*end), d.phase(end.after(1))), (*phase, *next));
        }
        assert_eq!(d.phase(d.late_until), Phase::Late);
        assert_eq!(d.phase(d.late_until.after(1)), Phase::Over);
    }

    #[test]
    fn epoch_zero_and_the_end_of_time_have_no_view() {
        let schedule = Schedule::new(86_400, 60_000, 1).unwrap();
        assert_eq!(schedule.deadlines(Epoch(0)), None);
        assert_eq!(schedule.deadlines(Epoch(u64::MAX)), None);
        assert!(schedule.deadlines(Epoch(1)).is_some());
    }

    #[test]
    fn a_longer_chain_than_the_longest_gets_no_more_time() {
        let rounds = Schedule::new(3, 300, 1).unwrap().deadlines(Epoch(5)).unwrap().rounds;
        assert_eq!(rounds.deadline(3), rounds.until());
        assert_eq!(rounds.deadline(usize::MAX), rounds.until());
    }

    proptest! {
        #[test]
        fn deadlines_follow_each_other(seconds in 1_u64..40_000_000, round in 0_u64..4_000_000, faulty in 0_usize..6, view in 1_u64..1_000_000) {
            let Ok(schedule) = Schedule::new(seconds, round, faulty) else { return Ok(()) };
            let d = schedule.deadlines(Epoch(view)).unwrap();
            let order = [d.opens, d.statements_until, d.measured_until, d.rounds.from(), d.rounds.until(), d.gathered_until, d.starts, d.late_until];
            prop_assert!(order.is_sorted(), "{order:?}");
            // A quarter of the epoch for statements, one for measuring; a relay and the skew fit in a round.
            prop_assert!(d.statements_until.0 - d.opens.0 >= seconds * 1_000 / 4);
            prop_assert!(3 * schedule.delay() + schedule.skew() <= round);
            // The next view's statements are still taken when this one comes late.
            let next = schedule.deadlines(Epoch(view + 1)).unwrap();
            prop_assert!(d.late_until < next.rounds.from());
        }
    }
}
