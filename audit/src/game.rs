//! The distinguishing game: two worlds that differ only in who wrote to whom, a coin, and whoever must guess it from what
//! they were told of sizes, counts and times.
//!
//! ```text
//!                    world 0              world 1              guessed by
//! single roles       A → B, C → D         A → D, C → B         each role alone, all its nodes in league
//! presence           A idle, E writes     A writes, E idle     the same
//! ends               as single roles                           who sees both ends: must win, or the game is blind
//! ```
//! A round has both coins: where A is idle E writes in its stead, to whom the other coin says; F writes in C's as often, so
//! that nobody is known by how often they write. Who is first is sampled for each round, apart from the coins. Rosters that
//! are due are compared before the round (L-39 says what members see). The recipients are such that no guard is near what
//! it carries: in a small network most would be, and L-31 says so.
//! Each mail fetches its recipient's certificate, so that all
//! rounds look alike, and nobody reads while a round is played. The delay between a body and its notifications is zero,
//! and the mails of a round are sent one after the other: both make it easier to guess, never harder. Names are not part
//! of a view: what roles are told by name is compared in [`crate::live`].
//!
//! The advantage is twice the share of right guesses, less one. `game/round` plays, `game/view` makes numbers of it,
//! `game/classifier` guesses, and `game/trial` says how sure that makes us.

mod classifier;
mod round;
mod trial;
mod view;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use anon::{id::NodeId, position::Key};
use cutout::terminal::Failure;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ua::{guard::Guards, session::SchemeChoice};

use self::{
    round::{Letter, Table, play},
    view::{Anchor, Round, of_ends, of_role},
};
use crate::{
    live::{Agent, Stage},
    outcome::Outcome,
};

pub use trial::{Difference, Trial};

/// The most that a single role may gain.
pub(crate) const BOUND: f64 = 0.05;
/// Bytes of a mail's text.
const TEXT: usize = 200;
/// Bytes of those that are told apart by their sizes.
const LONG_TEXT: usize = 60_000;
/// Rounds after which the recipients read, so that no inbox fills up.
const READ_EVERY: usize = 900;
/// Rounds that may fail in a row.
const MAX_FAILURES: usize = 3;
/// A, C, E and F.
const SENDERS: usize = 4;
/// How many are asked whether their keys are far from all guards.
const CANDIDATES: usize = 300;

/// Roles on the sender's side: they know the sender's guard, not for whom it is.
const OF_SENDERS: [&str; 4] = ["X", "guard", "M", "Y"];
/// Roles that know neither: they are given the one, and the other.
const OF_BODIES: [&str; 3] = ["Z1", "W1", "body nodes"];
/// Roles on the recipient's side.
const OF_RECIPIENTS: [&str; 5] = ["Z2", "W2", "Z3", "inbox nodes", "certificate nodes"];

/// How long the game is. It needs a stage of four senders, and so few replicas in so many nodes that guards may be far from
/// what they carry: 3 in 24, or 8 in 100.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Rounds of who wrote to whom, and whether A wrote.
    pub rounds: usize,
    /// Seconds after which no more of these are played: a coin does not know how late it is.
    pub seconds: u64,
    /// Rounds with bodies whose padded sizes differ by recipient: they must be told apart.
    pub unpadded: usize,
    /// Rounds in which both write at the same moment.
    pub at_once: usize,
    /// Rounds of the paper's scheme, for comparison.
    pub paper: usize,
    /// Where the coins come from.
    pub seed: u64,
}

impl Options {
    /// A look: enough to see that the game is not blind, and to refute what is badly wrong.
    #[must_use]
    pub(crate) const fn quick() -> Self {
        Self { rounds: 12, seconds: 60, unpadded: 0, at_once: 0, paper: 0, seed: 1 }
    }

    /// Enough that all fifteen views of coins are shown to gain [`BOUND`] at most, nineteen times in twenty: half an hour
    /// and more in a release build.
    #[must_use]
    pub(crate) const fn full() -> Self {
        Self { rounds: 10_000, seconds: 3_600, unpadded: 40, at_once: 200, paper: 100, seed: 1 }
    }
}

/// What the game showed.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Findings {
    /// Rounds played, and rounds lost because a mail was not sent.
    pub rounds: (usize, usize),
    /// Whether guards cannot but be near what they carry, so that nothing was played.
    pub is_too_small: bool,
    /// Each role alone.
    pub single_roles: Vec<Trial>,
    /// Whether it was A who wrote.
    pub presence: Vec<Trial>,
    /// Who sees both ends of mails that are sent one after the other, and who sees the sender: they must win.
    pub ends: Vec<Trial>,
    /// Who sees both ends of mails that are sent at the same moment.
    pub at_once: Vec<Trial>,
    /// Where the worlds can be told apart, so must be.
    pub controls: Vec<Trial>,
}

/// The mails of a round: by both coins, and with texts of one length or of a length for each recipient.
fn letters(world: bool, is_a: bool, is_c: bool, lengths: [usize; 2]) -> Vec<Letter> {
    let letter = |from, to, is_first| {
        let bytes = if to == 0 { lengths[0] } else { lengths[1] };
        Letter { from, to, bytes, is_first }
    };
    let (first, second) = (if is_a { 0 } else { 2 }, if is_c { 1 } else { 3 });
    let to = usize::from(world);
    vec![letter(first, to, true), letter(second, 1 - to, false)]
}

/// Whoever plays, and how far they are.
struct Player<'a, S> {
    table: Table<'a>,
    rng: StdRng,
    rounds: (usize, usize),
    step: S,
    until: Instant,
}

impl<S: Fn(&str)> Player<'_, S> {
    async fn play(
        &mut self,
        choice: SchemeChoice,
        at_once: bool,
        lengths: [usize; 2],
        count: usize,
    ) -> Result<Vec<Round>, Failure> {
        let (mut rounds, mut failed) = (Vec::new(), 0);
        while rounds.len() < count && Instant::now() < self.until {
            (self.step)(&format!("the game: round {} of {count}", rounds.len() + 1));
            let (world, is_a) = (self.rng.random(), self.rng.random());
            let mut letters = letters(world, is_a, self.rng.random(), lengths);
            letters.shuffle(&mut self.rng);
            match play(self.table, &letters, at_once, choice).await {
                Ok(mails) => {
                    rounds.push(Round { world, is_a, mails });
                    (self.rounds.0, failed) = (self.rounds.0 + 1, 0);
                }
                Err(error) if failed == MAX_FAILURES => return Err(error),
                // It is lost whatever the coin was.
                Err(_) => (self.rounds.1, failed) = (self.rounds.1 + 1, failed + 1),
            }
            if self.rounds.0.is_multiple_of(READ_EVERY) {
                let readers = self.table.recipients.iter().map(|recipient| recipient.fetch(None));
                futures::future::try_join_all(readers).await?;
            }
        }
        Ok(rounds)
    }
}

/// Plays.
///
/// # Errors
/// [`Failure`] if mails are not sent, one round after the other.
pub async fn run(
    stage: &Stage,
    options: &Options,
    step: impl Fn(&str),
) -> Result<Findings, Failure> {
    let guarded = SchemeChoice::Guarded { middle: 1 };
    let rng = StdRng::seed_from_u64(options.seed);
    let Some(recipients) = recipients(stage, guarded).await? else {
        return Ok(Findings { is_too_small: true, ..Findings::default() });
    };
    let table = Table { stage, recipients: &recipients };
    let until = Instant::now() + Duration::from_secs(options.seconds);
    let mut player = Player { table, rng, rounds: (0, 0), step, until };
    for from in 0..SENDERS {
        let first = Letter { from, to: from % 2, bytes: TEXT, is_first: true };
        play(table, &[first], false, guarded).await?;
    }
    let (same, two) = ([TEXT; 2], [TEXT, LONG_TEXT]);
    let rounds = player.play(guarded, false, same, options.rounds).await?;
    player.until += Duration::from_secs(options.seconds);
    let unpadded = player.play(guarded, false, two, options.unpadded).await?;
    let at_once = player.play(guarded, true, same, options.at_once).await?;
    let paper = player.play(SchemeChoice::Paper, false, same, options.paper).await?;
    (player.step)("the game: guessing");
    Ok(Findings {
        rounds: player.rounds,
        is_too_small: false,
        single_roles: single_roles(&rounds),
        presence: presence(&rounds),
        ends: ends(&rounds, "guarded, one after the other")
            .into_iter()
            .chain(ends(&paper, "paper, one after the other"))
            .chain(guard(&rounds))
            .collect(),
        at_once: ends(&at_once, "guarded, at the same moment"),
        controls: controls(&rounds, &unpadded),
    })
}

/// Two recipients such that no sender's guards are near what they carry; `None` if there are none in this network.
async fn recipients(stage: &Stage, choice: SchemeChoice) -> Result<Option<Vec<Agent>>, Failure> {
    let mut guards: BTreeSet<NodeId> = BTreeSet::new();
    for sender in stage.senders.iter().take(SENDERS) {
        // The first scheme samples them.
        sender.agent.scheme(choice).await?;
        guards.extend(Guards::read(sender.vault())?.all().iter().map(|guard| guard.node));
    }
    let mut found = Vec::new();
    for _ in 0..CANDIDATES {
        let candidate = stage.newcomer()?;
        let k = candidate.network().k;
        let is_near =
            |key: Key| stage.cluster.closest(&key, k).iter().any(|node| guards.contains(node));
        if !is_near(candidate.address().inbox()) && !is_near(candidate.address().certificate()) {
            candidate.publish().await?;
            found.push(candidate);
        }
        if found.len() == 2 {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn role(rounds: &[Round], role: &str, anchor: Anchor) -> Option<Trial> {
    let given = match anchor {
        Anchor::Sender => "knowing the sender",
        Anchor::Recipient => "knowing the recipient",
    };
    let (names, samples) = of_role(rounds, role, anchor);
    Trial::of(&format!("{role}, {given}"), &names, &samples)
}

fn single_roles(rounds: &[Round]) -> Vec<Trial> {
    let near = OF_SENDERS.iter().chain(&OF_BODIES).map(|name| role(rounds, name, Anchor::Sender));
    let far = OF_BODIES.iter().chain(&OF_RECIPIENTS);
    let far = far.map(|name| role(rounds, name, Anchor::Recipient));
    near.chain(far).flatten().collect()
}

/// The rounds of the other game: was it A? Those who are to say are shown which mail is in question.
fn whether_a(rounds: &[Round]) -> Vec<Round> {
    rounds.iter().map(|round| Round { world: round.is_a, ..round.clone() }).collect()
}

fn presence(rounds: &[Round]) -> Vec<Trial> {
    let rounds = whether_a(rounds);
    // The guard alone sees whether A writes: that is a limit.
    let roles = OF_SENDERS.iter().skip(2).chain(&OF_BODIES).chain(&OF_RECIPIENTS);
    roles.filter_map(|name| role(&rounds, name, Anchor::Sender)).collect()
}

/// What A's guard sees: nothing where A is idle.
fn guards(rounds: &[Round]) -> Vec<Round> {
    let mut rounds = whether_a(rounds);
    for round in &mut rounds {
        let is_a = round.is_a;
        for mail in &mut round.mails {
            mail.places.retain(|place, _| place == "X" && is_a && mail.is_first);
        }
    }
    rounds
}

fn ends(rounds: &[Round], how: &str) -> Vec<Trial> {
    let coalitions: [(&str, &[&str], &[&str]); 3] = [
        ("{X, Z2}", &["X"], &["Z2"]),
        ("{X, inbox nodes}", &["X"], &["inbox nodes"]),
        ("whoever sees all links", &["X", "M", "Y"], &OF_RECIPIENTS),
    ];
    let trial = |(name, near, far): (&str, &[&str], &[&str])| {
        let (names, samples) = of_ends(rounds, near, far);
        Trial::of(&format!("{name}: {how}"), &names, &samples)
    };
    coalitions.into_iter().filter_map(trial).collect()
}

fn guard(rounds: &[Round]) -> Option<Trial> {
    let (names, samples) = of_role(&guards(rounds), "X", Anchor::Sender);
    Trial::of("X: whether its own user writes", &names, &samples)
}

fn controls(whom: &[Round], unpadded: &[Round]) -> Vec<Trial> {
    let mut all = Vec::new();
    // Some padding, taken away from one recipient's bodies in what was seen.
    let mut told = whom.to_vec();
    for mail in told.iter_mut().flat_map(|round| &mut round.mails).filter(|mail| mail.to == 1) {
        if let Some(place) = mail.places.get_mut("Z1") {
            place.longest += 64;
        }
    }
    let (names, samples) = of_role(&told, "Z1", Anchor::Sender);
    all.extend(Trial::of("Z1, of bodies that differ by 64 bytes", &names, &samples));
    for name in ["X", "Z1", "body nodes"] {
        let (names, samples) = of_role(unpadded, name, Anchor::Sender);
        all.extend(Trial::of(&format!("{name}, of bodies of two sizes"), &names, &samples));
    }
    all
}

/// What that says.
#[must_use]
pub fn outcomes(findings: &Findings) -> Vec<Outcome> {
    if findings.is_too_small {
        let why = "all recipients are near a guard (L-31): give it more nodes, or fewer replicas";
        let checks = ["game.single-roles", "game.presence", "game.ends"];
        return checks.map(|check| Outcome::not_run(check, why)).into();
    }
    let lost: Vec<String> =
        findings.controls.iter().filter(|trial| trial.is_lost()).map(Trial::to_string).collect();
    let bounded = |check: &str, trials: &[Trial]| trial::bounded(check, trials, &lost);
    let blind: Vec<String> =
        findings.ends.iter().filter(|trial| trial.is_lost()).map(Trial::to_string).collect();
    let all = findings.ends.iter().chain(&findings.at_once).chain(&findings.controls);
    let details = all.map(Trial::to_string).collect();
    let in_doubt = findings.ends.iter().filter(|trial| !trial.is_won()).count();
    let ends = if findings.ends.is_empty() {
        Outcome::not_run("game.ends", "no round was played")
    } else if blind.is_empty() && in_doubt > 0 {
        let of = findings.ends.len();
        let seen =
            format!("{in_doubt} of {of} who see both ends are not shown to do better than a coin");
        Outcome::not_shown("game.ends", seen)
    } else if blind.is_empty() {
        let least =
            |trials: &[Trial]| trials.iter().map(|trial| trial.advantage).fold(1.0, f64::min);
        let mut seen = format!("whoever sees both ends gains {:.2}", least(&findings.ends));
        if !findings.at_once.is_empty() {
            seen += &format!(", and {:.2} where two write at once", least(&findings.at_once));
        }
        Outcome::of("game.ends", true, seen)
    } else {
        Outcome::of("game.ends", false, format!("blind: {}", blind.join("; ")))
    };
    vec![
        bounded("game.single-roles", &findings.single_roles),
        bounded("game.presence", &findings.presence),
        ends.with_details(details),
    ]
}
