//! What an anonymous command needs before it starts: the way into the network and a scheme ready to choose.

use std::{sync::Arc, time::Duration};

use anon::{certificate::NodeCertificate, network::Epoch, roster::Completeness, time::Time};
use node::now;

use crate::{
    entrance::Entrance,
    error::AgentError,
    event::Event,
    evidence,
    guard::Guards,
    roster::AgentRoster,
    scheme::{GuardedPlan, GuardedScheme, PaperScheme, Scheme},
    vault::Vault,
};

/// The schemes there are, and what each lets one choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemeChoice {
    /// Section 4 of the paper, to the letter.
    Paper,
    /// Guards, a roster and longer paths.
    Guarded {
        /// Go-betweens between the guard and the far end.
        middle: usize,
    },
}

/// Makes a scheme ready for one mail. For the guarded one the roster is brought up to date, unless it was in
/// this epoch, and the guards are renewed if their time has come.
///
/// # Errors
/// [`AgentError`].
pub async fn prepare_scheme(
    choice: SchemeChoice,
    vault: &Vault,
    entrance: &Arc<Entrance>,
) -> Result<Arc<dyn Scheme>, AgentError> {
    let middle = match choice {
        SchemeChoice::Paper => return Ok(Arc::new(PaperScheme::new(Arc::clone(entrance)))),
        SchemeChoice::Guarded { middle } => middle,
    };
    let mut roster = AgentRoster::read(vault, entrance)?;
    roster.keep_up(entrance).await?;
    let current = now();
    let epoch = entrance.network().epoch(current);
    let certificates = keep(vault, &mut roster, epoch, current)?;
    let complete = match roster.completeness(epoch) {
        Completeness::Complete => true,
        Completeness::Incomplete(reason) => {
            entrance.listener().on(&Event::Incomplete { reason });
            false
        }
    };
    let roster = Arc::clone(roster.keeper());
    let plan = GuardedPlan { roster, guards: certificates, middle, complete };
    Ok(Arc::new(GuardedScheme::new(Arc::clone(entrance), plan)))
}

/// Writes the roster and renews the guards, as one change: of two commands that begin at once the second one sees the
/// first one's guards, and draws none of its own. They are on the disk before they are used.
fn keep(
    vault: &Vault,
    roster: &mut AgentRoster,
    epoch: Epoch,
    current: Time,
) -> Result<Vec<NodeCertificate>, AgentError> {
    let _writing = vault.lock()?;
    roster.write(vault)?;
    let mut guards = Guards::read(vault)?;
    for liar in evidence::liars(&evidence::read(vault)?) {
        guards.ban(liar);
    }
    let certificates = roster.keeper().with(|roster| {
        guards.renew(roster, epoch, current);
        guards.certificates(roster)
    });
    guards.write(vault)?;
    Ok(certificates)
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
