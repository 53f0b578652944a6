//! SIGHUP: rules and what is kept of telemetry are read anew. Requests that are under way end by the
//! old ones, those that come later are looked at by the new ones; none waits or is lost.

use std::{io, sync::Arc};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

use crate::{
    config::{Config, Mistakes},
    detect::DetectSettings,
    shutdown::Stop,
};

/// The settings of detection that are in force.
pub(super) type InForce = watch::Receiver<Arc<DetectSettings>>;

/// What is read anew, and where it comes from.
pub(super) struct Reload<L> {
    hangup: Signal,
    /// As it was read last.
    config: Config,
    load: L,
    in_force: watch::Sender<Arc<DetectSettings>>,
}

impl<L: Fn() -> Result<Config, Mistakes>> Reload<L> {
    /// From now on SIGHUP does not end the process.
    ///
    /// # Errors
    /// When the signal's handler cannot be installed.
    pub(super) fn new(config: Config, load: L) -> io::Result<(Self, InForce)> {
        let hangup = signal(SignalKind::hangup())?;
        let settings = Arc::new(super::detect_settings(&config));
        let (in_force, seen) = watch::channel(settings);
        let reload = Self {
            hangup,
            config,
            load,
            in_force,
        };
        Ok((reload, seen))
    }

    /// Reads the configuration anew at each signal, until the stop.
    pub(super) async fn run(mut self, mut stop: Stop) {
        loop {
            tokio::select! {
                () = stop.given() => return,
                signal = self.hangup.recv() => match signal {
                    Some(()) => self.reload(),
                    None => return,
                },
            }
        }
    }

    fn reload(&mut self) {
        let new = match (self.load)() {
            Ok(new) => new,
            Err(mistakes) => {
                tracing::error!("SIGHUP: the configuration stays as it was: {mistakes}");
                return;
            }
        };
        if let (Some(file), None) = (&self.config.file, &new.file) {
            tracing::error!(
                "SIGHUP: {} is not there any more: the configuration stays as it was",
                file.display()
            );
            return;
        }
        for remark in new.rules.remarks() {
            tracing::warn!("{remark}");
        }
        let settings = Arc::new(super::detect_settings(&new));
        let rules = settings.rules.0.len();
        self.in_force.send_replace(settings);
        tracing::info!(rules, "SIGHUP: rules and [privacy] are read anew");
        let before = Config {
            rules: new.rules.clone(),
            privacy: new.privacy.clone(),
            file: new.file.clone(),
            ..self.config.clone()
        };
        if before != new {
            tracing::warn!(
                "SIGHUP: other settings have changed, too; they wait for the next start"
            );
        }
        self.config = Config {
            rules: new.rules,
            privacy: new.privacy,
            ..before
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Given,
        detect::{Condition, Effect, Rule},
    };

    fn config(file: Option<&str>, rules: usize) -> Config {
        let mut config = Config::load(&Given::default()).expect("the defaults are good");
        config.file = file.map(Into::into);
        let rule = Rule {
            name: "any".to_owned(),
            condition: Condition::default(),
            effect: Effect::default(),
        };
        config.rules.rules.0 = vec![rule; rules];
        config
    }

    #[tokio::test]
    async fn a_file_that_is_gone_changes_nothing_and_one_that_is_there_does() {
        for (file, kept) in [(None, 1), (Some("redspan.toml"), 0)] {
            let load = move || Ok(config(file, 0));
            let (mut reload, seen) =
                Reload::new(config(Some("redspan.toml"), 1), load).expect("signals can be had");
            reload.reload();
            assert_eq!(seen.borrow().rules.0.len(), kept, "{file:?}");
        }
    }
}
