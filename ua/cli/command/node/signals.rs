//! The signals that a node takes: those that end it, and those that change nothing.

use tokio::signal::{
    self,
    unix::{SignalKind, signal},
};

/// Waits for Ctrl-C or a service manager's SIGTERM.
pub(super) fn stop_signal() -> impl Future<Output = ()> {
    // Taken hold of now: whoever hears that the node listens may end it at once.
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    async {
        match signals {
            (Ok(mut terminate), Ok(mut interrupt)) => {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            }
            _ => drop(signal::ctrl_c().await),
        }
    }
}

/// Signals that others take for a wish to read the configuration again, or to say something, do not end a node. It reads
/// its files when it starts, and says so.
pub(super) fn outlive_signals() {
    let kinds = [
        ("SIGHUP", SignalKind::hangup()),
        ("SIGUSR1", SignalKind::user_defined1()),
        ("SIGUSR2", SignalKind::user_defined2()),
    ];
    for (name, kind) in kinds {
        let Ok(mut signals) = signal(kind) else { continue };
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                tracing::warn!("{name} changes nothing: a node reads its files when it starts");
            }
        });
    }
}
