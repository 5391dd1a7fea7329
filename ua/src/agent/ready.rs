//! What an agent needs before it starts: a certificate that lasts, a roster, guards, and a scheme ready to choose.

use std::sync::Arc;

use anon::{certificate::NodeCertificate, roster::Completeness};

use super::Agent;
use crate::{
    account::{Account, AccountError, OWN},
    context::Context,
    error::AgentError,
    event::Event,
    evidence,
    guard::Guards,
    roster::AgentRoster,
    scheme::{GuardedPlan, GuardedScheme, PaperScheme, Scheme},
    session::{Choices, SchemeChoice},
    vault::Vault,
};

impl Agent {
    /// Makes a scheme ready for one piece of work, as [`Self::plan`] does where there is something to plan.
    ///
    /// # Errors
    /// [`AgentError`].
    pub async fn scheme(&self, choice: SchemeChoice) -> Result<Arc<dyn Scheme>, AgentError> {
        Ok(match choice {
            SchemeChoice::Paper => Arc::new(PaperScheme::new(Arc::clone(&self.bootstrap))),
            SchemeChoice::Guarded { middle } => {
                let plan = self.plan(middle).await?;
                Arc::new(GuardedScheme::new(Arc::clone(&self.evidence), plan))
            }
        })
    }

    /// What a guarded scheme chooses by: the roster is brought up to date, unless it was in this epoch, and the guards are
    /// renewed if their time has come.
    ///
    /// # Errors
    /// [`AgentError`].
    pub async fn plan(&self, middle: usize) -> Result<GuardedPlan, AgentError> {
        let mut roster = AgentRoster::read(self.profile.vault(), &self.context)?;
        self.context.unless_lost(roster.keep_up(&self.bootstrap)).await?;
        let guards = keep(self.profile.vault(), &self.context, &mut roster)?;
        let complete = match roster.completeness(self.context.epoch()) {
            Completeness::Complete => true,
            Completeness::Incomplete(reason) => {
                self.context.tell(&Event::Incomplete { reason });
                false
            }
        };
        Ok(GuardedPlan { roster: Arc::clone(roster.keeper()), guards, middle, complete })
    }

    /// One account, with a certificate that lasts for a while.
    ///
    /// # Errors
    /// [`AgentError::Account`].
    pub(crate) fn account(&self, name: &str) -> Result<Account, AgentError> {
        let (vault, now) = (self.profile.vault(), self.context.now());
        // As one change: `cutout init --certificate` may write it meanwhile.
        let _writing = vault.lock().map_err(AccountError::from)?;
        let mut account = Account::read_named(vault, name)?;
        if account.wants_renewal(&self.context.network, now) {
            account.renew(&self.context.network, now);
            account.write_named(vault, name)?;
        }
        Ok(account)
    }

    /// Keeps ready what work of this kind needs: certificates that last for a while, and the roster and the guards, or many
    /// bootstrap nodes. All of it is written down.
    ///
    /// # Errors
    /// [`AgentError`] if there is no roster to be had, or a sealed file cannot be used.
    pub async fn keep_ready(&self, choices: &Choices) -> Result<(), AgentError> {
        self.account(OWN)?;
        for name in Account::replies(self.profile.vault())? {
            self.account(&name)?;
        }
        match choices.scheme {
            SchemeChoice::Guarded { middle } if !choices.direct => {
                self.plan(middle).await?;
            }
            _ => self.bootstrap.widen().await,
        }
        self.remember();
        Ok(())
    }
}

/// Writes the roster and renews the guards, as one change: of two commands that begin at once the second one sees the
/// first one's guards, and samples none of its own. They are on the disk before they are used.
fn keep(
    vault: &Vault,
    context: &Context,
    roster: &mut AgentRoster,
) -> Result<Vec<NodeCertificate>, AgentError> {
    let (now, epoch) = (context.now(), context.epoch());
    let _writing = vault.lock()?;
    roster.write(vault, now)?;
    let mut guards = Guards::read(vault)?;
    for liar in evidence::liars(&evidence::read(vault)?) {
        guards.ban(liar);
    }
    let certificates = roster.keeper().with(|roster| {
        guards.renew(roster, epoch, now);
        guards.certificates(roster)
    });
    guards.write(vault)?;
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use anon::{
        network::Network,
        roster::{Operator, Source},
    };
    use net::{NetworkFile, now};
    use node::{ChannelKeys, Identity};

    use super::*;
    use crate::vault::{KdfCost, Passphrase};

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
        let (context, epoch) = (Context::quiet(network.clone()), network.epoch(now()));
        let sources = [1, 2].map(|seed| Operator::of(&certificate(seed, &network)));
        let command = |seeds: std::ops::Range<u8>| {
            let roster = AgentRoster::read(&vault, &context).unwrap();
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
            let guards = keep(&vault, &context, roster).unwrap();
            guards.iter().map(NodeCertificate::node).collect::<Vec<_>>()
        };
        let guards = ids(&mut first);
        assert_eq!(guards.len(), 2);
        assert_eq!(ids(&mut second), guards, "the second sampled guards of its own");
        assert_eq!(ids(&mut first), guards);
        assert_eq!(second.keeper().with(|roster| roster.len()), 20, "each has the other's nodes");
    }
}
