//! Fetching: the inboxes of all of a user's addresses, read into a Maildir.

use std::sync::Arc;

use super::Agent;
use crate::{
    account::{Account, OWN},
    error::AgentError,
    event::Event,
    maildir::Maildir,
    receive::{AnonymousRoute, DirectRoute, Fetched, Reader, Route},
    scheme::Scheme,
    session::Choices,
};

/// How often one fetch catches up with the network and reads on.
const MAX_RUNS: usize = 64;

/// What one reading did, which is added to what others did when it ends, also where it is cut off.
#[derive(derive_more::Deref, derive_more::DerefMut)]
struct Part<'a> {
    whole: &'a mut Fetched,
    #[deref]
    #[deref_mut]
    part: Fetched,
    add: fn(&mut Fetched, Fetched),
}

impl<'a> Part<'a> {
    fn of(whole: &'a mut Fetched, add: fn(&mut Fetched, Fetched)) -> Self {
        Self { whole, part: Fetched::default(), add }
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        (self.add)(self.whole, std::mem::take(&mut self.part));
    }
}

impl Agent {
    /// Reads the user's own address and, if that can be read, those for answers: each as [`Self::fetch_account`] does. An
    /// address for answers that cannot be read keeps no other from being read; the listener is told. `fetched` has what was
    /// read also where this fails or is dropped.
    ///
    /// # Errors
    /// [`AgentError`] if the own address cannot be read, or if the keys of another one are damaged.
    pub async fn fetch(
        &self,
        choices: &Choices,
        maildir: &Maildir,
        fetched: &mut Fetched,
    ) -> Result<(), AgentError> {
        let replies = Account::replies(self.profile.vault())?;
        self.fetch_account(OWN, true, choices, maildir, fetched).await?;
        fetched.has_read_own = true;
        let mut lost = Ok(());
        for name in replies {
            self.context.tell(&Event::ReadingAnswers);
            let read = self.fetch_account(&name, true, choices, maildir, fetched).await;
            let Err(error) = read else { continue };
            self.context.tell(&Event::NotRead { reason: error.to_string() });
            // The others are read; that a key is damaged is told by the exit code as well.
            if matches!(error.exit_code(), 74 | 78) {
                lost = Err(error);
            }
        }
        lost
    }

    /// Reads one account and, if it is to be checked, sees to it that its certificate is published (paper, 2.4), by the
    /// same way: an address made for answers never directly, two addresses never through one channel. `all` gets what was
    /// read, also where not everything was.
    ///
    /// # Errors
    /// [`AgentError`].
    pub async fn fetch_account(
        &self,
        name: &str,
        check: bool,
        choices: &Choices,
        maildir: &Maildir,
        all: &mut Fetched,
    ) -> Result<(), AgentError> {
        let account = self.account(name)?;
        let certificate = account.certificate(&self.context.network, self.context.now())?;
        let is_direct = choices.asks_bootstrap_nodes() && name == OWN;
        // A scheme of its own each time: what served one reading is free again.
        let scheme = async || {
            Ok::<_, AgentError>(match is_direct {
                true => None,
                false => Some(self.scheme(choices.scheme).await?),
            })
        };
        let mut fetched = Part::of(all, Fetched::merge);
        for _ in 0..MAX_RUNS {
            let mut some = Part::of(&mut fetched, Fetched::go_on);
            self.read(&account, scheme().await?, maildir, &mut some).await?;
            if !some.is_cut_short || some.tried == 0 {
                break;
            }
        }
        drop(fetched);
        if check {
            let publishing = async { self.publish(&certificate, scheme().await?).await };
            if let Err(error) = publishing.await {
                self.context.tell(&Event::NotPublished { reason: error.to_string() });
            }
        }
        Ok(())
    }

    /// Reads an account's mail until its inbox is empty, or the roster is too old to make paths with: through channels of
    /// this scheme or, without one, directly.
    ///
    /// # Errors
    /// [`AgentError`] if no inbox answers or the disk fails; then nothing was acknowledged that is not safe.
    pub async fn read(
        &self,
        account: &Account,
        scheme: Option<Arc<dyn Scheme>>,
        maildir: &Maildir,
        fetched: &mut Fetched,
    ) -> Result<(), AgentError> {
        let context = self.context.clone();
        let certificate = account.certificate(&context.network, context.now())?;
        let route: Box<dyn Route> = match scheme {
            Some(scheme) => Box::new(AnonymousRoute { scheme, k: context.network.k }),
            None => Box::new(DirectRoute::new(Arc::clone(&self.bootstrap))?),
        };
        let vault = self.profile.vault();
        let reader = Reader { context, route, vault, account, certificate, maildir };
        self.context.unless_lost(reader.fetch(fetched)).await
    }
}

#[cfg(test)]
mod tests {
    use net::Clock;

    use super::*;
    use crate::agent::tests::agent;

    #[test]
    fn what_was_read_is_there_also_where_the_reading_was_cut_off() {
        let mut all = Fetched { tried: 1, inboxes: 1, ..Fetched::default() };
        let mut account = Part::of(&mut all, Fetched::merge);
        for (tried, inboxes, missing) in [(3, 5, 2), (4, 4, 1)] {
            let mut run = Part::of(&mut account, Fetched::go_on);
            (run.tried, run.inboxes, run.missing) = (tried, inboxes, missing);
        }
        drop(account);
        assert_eq!((all.tried, all.inboxes, all.missing), (8, 6, 1));
    }

    #[tokio::test]
    async fn where_the_own_inbox_is_not_read_no_other_is() {
        let (directory, agent) = agent(Clock::default());
        let maildir = Maildir::open(&directory.path().join("mail")).unwrap();
        let mut fetched = Fetched::default();
        let choices = Choices::hurried(crate::session::SchemeChoice::Paper);
        let read = agent.fetch(&choices, &maildir, &mut fetched).await;
        assert!(matches!(read, Err(AgentError::NoNode)), "{read:?}");
        assert!(!fetched.has_read_own && fetched.inboxes == 0);
    }
}
