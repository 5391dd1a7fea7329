//! What an anonymous command needs before it starts: the way into the network and a scheme ready to choose.

use std::{sync::Arc, time::Duration};

use anon::{certificate::NodeCertificate, network::Epoch, roster::Completeness, time::Time};
use net::now;

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
    use anon::{
        network::Network,
        roster::{Operator, Source},
    };
    use net::NetworkFile;
    use node::{ChannelKeys, Identity};

    use super::*;
    use crate::{
        event::Silent,
        vault::{KdfCost, Passphrase},
    };

    fn certificate(seed: u8, network: &Network) -> NodeCertificate {
        let keys = ChannelKeys::new(String::new(), None, 1_000);
        let identity = Identity::from_seed(&[seed; 32]).unwrap();
        let addresses = vec![format!("/ip4/127.{seed}.0.1/tcp/1").parse().unwrap()];
        keys.rotate(&identity, network, addresses, now()).unwrap();
        keys.certificate().unwrap()
    }

    /// Two commands that started before either wrote anything, and have met different nodes since.
    #[test]
    fn commands_that_begin_at_once_have_the_same_guards() {
        let directory = tempfile::tempdir().unwrap();
        let passphrase = Passphrase::new("x".to_owned()).unwrap();
        let cost = KdfCost::new(8, 1).unwrap();
        let vault = Vault::create(&directory.path().join("vault"), &passphrase, cost).unwrap();
        let network = NetworkFile::parse("name = 'guards.alt'").unwrap().network().unwrap();
        let network = Arc::new(network);
        let (current, epoch) = (now(), network.epoch(now()));
        let entrance = Entrance::new(Arc::clone(&network), Arc::new(Silent), Vec::new());
        let sources = [1, 2].map(|seed| Operator::of(&certificate(seed, &network)));
        let command = |seeds: std::ops::Range<u8>| {
            let roster = AgentRoster::read(&vault, &entrance).unwrap();
            roster.keeper().with(|roster| {
                for (seed, source) in seeds.flat_map(|seed| sources.iter().map(move |s| (seed, s)))
                {
                    let node = certificate(seed, &network);
                    roster.learn(node, Source::Member(source.clone()), epoch);
                }
            });
            roster
        };
        let (mut first, mut second) = (command(10..20), command(30..40));
        let ids = |roster: &mut AgentRoster| {
            let guards = keep(&vault, roster, epoch, current).unwrap();
            guards.iter().map(NodeCertificate::node).collect::<Vec<_>>()
        };
        let guards = ids(&mut first);
        assert_eq!(guards.len(), 2);
        assert_eq!(ids(&mut second), guards, "the second drew guards of its own");
        assert_eq!(ids(&mut first), guards);
        assert_eq!(second.keeper().with(|roster| roster.len()), 20, "each has the other's nodes");
    }

    #[test]
    fn delays_have_the_mean_that_was_asked_for() {
        let mean = Duration::from_secs(10);
        let sum: Duration = (0..10_000).map(|_| random_delay(mean)).sum();
        let ratio = (sum / 10_000).as_secs_f64() / mean.as_secs_f64();
        assert!((0.9..1.1).contains(&ratio), "{ratio}");
        assert_eq!(random_delay(Duration::ZERO), Duration::ZERO);
    }
}
