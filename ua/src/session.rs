//! What a user chooses for a piece of work: by which scheme channels are made, how long a notification waits, and whether
//! the agent hides at all.

use std::time::Duration;

/// The schemes there are, and what each lets one choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemeChoice {
    /// Section 4 of the paper, to the letter.
    Paper,
    /// Guards, a roster and longer paths.
    Guarded {
        /// Go-betweens between the guard and the anonymizer.
        middle: usize,
    },
}

/// What a user chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choices {
    /// How channels are made.
    pub scheme: SchemeChoice,
    /// The mean delay between a mail's body and its notifications; zero: none.
    pub delay: Duration,
    /// Whether the agent itself goes to the nodes that keep its own address's inbox and certificate (paper, 3).
    pub direct: bool,
}

impl Choices {
    /// By this scheme, without any delay.
    #[must_use]
    pub const fn hurried(scheme: SchemeChoice) -> Self {
        Self { scheme, delay: Duration::ZERO, direct: false }
    }

    /// Whether an agent that goes this way asks bootstrap nodes, so that it wants to know many of them: it goes to its own
    /// inbox and certificate itself. The paper's scheme knows no other way (2.4).
    #[must_use]
    pub fn asks_bootstrap_nodes(&self) -> bool {
        self.direct || self.scheme == SchemeChoice::Paper
    }
}

/// A random delay with this mean (exponential, at most ten times it): long enough, on average, for other mails
/// to come between the two steps of this one.
#[must_use]
pub fn random_delay(mean: Duration) -> Duration {
    let uniform: f64 = rand::random_range(f64::EPSILON..1.0);
    mean.mul_f64((-uniform.ln()).min(10.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_have_the_mean_that_was_asked_for() {
        let mean = Duration::from_secs(10);
        let sum: Duration = (0..10_000).map(|_| random_delay(mean)).sum();
        let ratio = (sum / 10_000).as_secs_f64() / mean.as_secs_f64();
        assert!((0.9..1.1).contains(&ratio), "{ratio}");
        assert_eq!(random_delay(Duration::ZERO), Duration::ZERO);
    }
}
