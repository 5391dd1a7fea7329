//! What ends a command before its time: Ctrl-C (SIGINT) and a service manager's SIGTERM.
//!
//! **Invariant:** a command takes hold of both signals once, before it keeps anything that they must not cost and before it
//! dials anybody. From then on a signal is never lost: it ends the work that it meets, or else the work that begins next.

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::terminal::Failure;

/// The signals that end a command, held until it ends.
#[derive(Clone, Debug)]
pub struct Interruption {
    /// The exit code once a signal has come.
    raised: watch::Receiver<Option<u8>>,
    advice: &'static str,
}

impl Interruption {
    /// Takes hold of the signals, at once: the first poll of a future would be too late, since other threads may have
    /// dialled by then. `advice` says how to go on after one.
    ///
    /// # Errors
    /// [`Failure`] with 71 if the system does not allow it.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn take_hold(advice: &'static str) -> Result<Self, Failure> {
        let hold = |kind| {
            signal(kind).map_err(|error| {
                Failure::new(71, "the program cannot take hold of signals", error, "")
            })
        };
        let (mut interrupt, mut terminate) =
            (hold(SignalKind::interrupt())?, hold(SignalKind::terminate())?);
        let (raise, raised) = watch::channel(None);
        tokio::spawn(async move {
            let code = tokio::select! {
                Some(()) = interrupt.recv() => 130,
                Some(()) = terminate.recv() => 143,
                else => return,
            };
            raise.send_replace(Some(code));
        });
        Ok(Self { raised, advice })
    }

    /// Does some work, unless a signal has come or comes meanwhile.
    ///
    /// # Errors
    /// [`Failure`] with 130 or 143, as a shell shows such an end.
    pub async fn unless<T>(&self, work: impl Future<Output = T>) -> Result<T, Failure> {
        let mut raised = self.raised.clone();
        let signalled = async {
            match raised.wait_for(Option::is_some).await {
                Ok(code) => *code,
                Err(_) => None,
            }
        };
        tokio::select! {
            biased;
            Some(code) = signalled => Err(self.failure(code)),
            done = work => Ok(done),
        }
    }

    /// That a signal has come, if one has.
    ///
    /// # Errors
    /// As [`Self::unless`].
    pub fn check(&self) -> Result<(), Failure> {
        let code = *self.raised.borrow();
        code.map_or(Ok(()), |code| Err(self.failure(code)))
    }

    fn failure(&self, code: u8) -> Failure {
        Failure::new(code, "interrupted", "this command was interrupted", self.advice)
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::{Signal, getpid, kill_process};

    use super::*;

    /// Between two pieces of work, and more than once: no signal is lost, and none kills this process.
    #[tokio::test]
    async fn a_signal_ends_the_work_it_meets_and_all_that_begins_later() {
        let interruption = Interruption::take_hold("go on").unwrap();
        assert!(interruption.check().is_ok());
        assert_eq!(interruption.unless(async { 7 }).await.unwrap(), 7);
        kill_process(getpid(), Signal::TERM).unwrap();
        let failure = interruption.unless(std::future::pending::<()>()).await.unwrap_err();
        assert_eq!((failure.code, failure.remedy.as_str()), (143, "go on"));
        let failure = interruption.unless(async { panic!("it is over") }).await.unwrap_err();
        assert_eq!(failure.code, 143);
        assert_eq!(interruption.check().unwrap_err().code, 143);
    }
}
