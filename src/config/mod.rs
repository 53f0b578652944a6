//! One validated configuration: flags over environment over file over defaults. What each setting
//! means stands in `settings`; how the layers are put together in `layers`; what a text must look
//! like in `values`.

mod check;
mod database_url;
mod layers;
mod rules;
mod settings;
mod trace_link;
mod values;

use std::{collections::BTreeMap, fmt, path::PathBuf};

pub use database_url::DatabaseUrl;
pub use layers::{Mistake, Source};
pub use rules::RuleSettings;
pub use settings::{
    AuthSettings, Authentication, Config, DatabaseSettings, HttpSettings, KeepAddress,
    LimitSettings, LinkSettings, LogSettings, OtlpGrpcSettings, OtlpHttpSettings, OtlpSettings,
    PrivacySettings, RetentionSettings, Setting, TelemetrySettings, WriterSettings,
};
pub use trace_link::TraceLink;
pub(crate) use values::parse_duration;
pub use values::{Bytes, HttpUrl, KeptFor, LogFormat, Origin, Patterns, Secret, local_url};

use layers::Layers;

/// What stands above the defaults, as it was given.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// `--config FILE`; without it `REDSPAN_CONFIG`, then `redspan.toml` if it is there.
    pub file: Option<PathBuf>,
    /// Setting (`http.listen`) to text.
    pub flags: BTreeMap<&'static str, String>,
    /// The process environment.
    pub environment: Vec<(String, String)>,
}

/// A setting as it is in force.
#[derive(Clone, Debug)]
pub struct InForce {
    /// Which one.
    pub setting: &'static Setting,
    /// Its value as text, without secrets; `None` when it has none.
    pub value: Option<String>,
    /// Where it was given.
    pub source: Source,
}

/// Everything that is wrong with a configuration, one sentence each.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub struct Mistakes(pub Vec<Mistake>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{mistake}")?;
        }
        Ok(())
    }
}

impl Config {
    /// Every setting, in the order of the file.
    pub fn settings() -> impl Iterator<Item = &'static Setting> {
        settings::ALL.iter().copied().flatten()
    }

    /// Puts the layers together and checks the whole.
    ///
    /// # Errors
    /// Every mistake that can be seen at once.
    pub fn load(given: &Given) -> Result<Self, Mistakes> {
        let mut mistakes = Vec::new();
        let layers = Layers::gather(given, &mut mistakes);
        let mut config = Self::read(&layers, &mut mistakes);
        if let Some(config) = &mut config {
            config.auth.read_token_files(&mut mistakes);
            check::check(config, &layers, &mut mistakes);
        }
        match config {
            Some(config) if mistakes.is_empty() => Ok(config),
            _ => Err(Mistakes(mistakes)),
        }
    }
}

impl InForce {
    /// Every setting of a configuration that is good, in the order of the file.
    ///
    /// # Errors
    /// Every mistake that can be seen at once.
    pub fn all(given: &Given) -> Result<Vec<Self>, Mistakes> {
        Config::load(given)?;
        let layers = Layers::gather(given, &mut Vec::new());
        let in_force = Config::settings().map(|setting| {
            let text = Some(layers.text(setting.path)).filter(|text| !text.is_empty());
            Self {
                setting,
                value: text.map(setting.shown),
                source: layers.source(setting.path),
            }
        });
        Ok(in_force.collect())
    }

    /// What kind of source it is: `default`, `file`, `environment` or `flag`.
    #[must_use]
    pub fn source_kind(&self) -> &'static str {
        match self.source {
            Source::Default(_) => "default",
            Source::File { .. } => "file",
            Source::Environment(_) => "environment",
            Source::Flag(_) => "flag",
        }
    }

    /// The source itself: `redspan.toml:12`, `REDSPAN_HTTP_LISTEN`, `--http-listen`.
    #[must_use]
    pub fn place(&self) -> Option<String> {
        match &self.source {
            Source::Default(_) => None,
            Source::File { file, line, .. } => Some(layers::place(file, *line)),
            Source::Environment(_) | Source::Flag(_) => Some(self.source.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
