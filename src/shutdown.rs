//! The stop signal: one switch, seen by everything that serves.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// Turns the switch. The signal is not given when this is dropped unused: what serves goes on.
#[derive(Debug)]
pub struct Stopper(watch::Sender<bool>);

/// Says whether, and waits until, the program is to stop. Clones see the same switch.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

/// A switch and the signal that it gives.
#[must_use]
pub fn switch() -> (Stopper, Stop) {
    let (sender, receiver) = watch::channel(false);
    (Stopper(sender), Stop(receiver))
}

/// The stop signal that SIGTERM and SIGINT give. A second one of either ends the process at once,
/// with the exit code that a shell reports for that signal.
///
/// # Errors
/// The signal handlers could not be installed.
pub fn on_signals() -> io::Result<Stop> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (stopper, stop) = switch();
    tokio::spawn(async move {
        let name = either(&mut terminate, &mut interrupt).await.0;
        tracing::info!(signal = name, "stopping; a second signal ends at once");
        stopper.stop();
        let (name, code) = either(&mut terminate, &mut interrupt).await;
        tracing::warn!(signal = name, "second signal: ending at once");
        std::process::exit(code);
    });
    Ok(stop)
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) -> (&'static str, i32) {
    tokio::select! {
        _ = terminate.recv() => ("SIGTERM", 143),
        _ = interrupt.recv() => ("SIGINT", 130),
    }
}

impl Stopper {
    /// Gives the signal.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// Whether the signal was given.
    #[must_use]
    pub fn is_given(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns once the signal is given; for ever pending when it never can be.
    pub async fn given(&mut self) {
        if self.0.wait_for(|stopping| *stopping).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_clone_sees_the_signal_also_those_made_before_it() {
        let (stopper, stop) = switch();
        let mut before = stop.clone();
        assert!(!before.is_given());
        stopper.stop();
        before.given().await;
        stop.clone().given().await;
        assert!(stop.is_given());
    }

    #[tokio::test]
    async fn a_dropped_stopper_is_no_signal() {
        let (stopper, mut stop) = switch();
        drop(stopper);
        let given = tokio::time::timeout(std::time::Duration::from_millis(1), stop.given()).await;
        assert!(given.is_err());
    }
}
