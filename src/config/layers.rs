//! Flags over environment over file over defaults, each value with the place it comes from, so that
//! a mistake can be named where it was made.

use std::{
    collections::BTreeMap,
    fmt, fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use super::{Given, Setting, settings, values::Value};

/// The file that is read when none is named and it is there.
const DEFAULT_FILE: &str = "redspan.toml";

/// Another name of `REDSPAN_LOG_LEVEL`.
const LOG_ALIAS: &str = "REDSPAN_LOG";

/// Names the file; no setting itself.
const FILE_VARIABLE: &str = "REDSPAN_CONFIG";

/// Where a value was given.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// `--http-listen`
    Flag(String),
    /// `REDSPAN_HTTP_LISTEN`
    Environment(String),
    /// `http.listen` in a file.
    File(String, PathBuf),
    /// Nowhere: the default of this setting.
    Default(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "--{name}"),
            Self::Environment(name) => f.write_str(name),
            Self::File(key, file) => write!(f, "{key} in {}", file.display()),
            Self::Default(key) => f.write_str(key),
        }
    }
}

/// One thing that is wrong: a plain sentence.
#[derive(Clone, Debug, PartialEq)]
pub struct Mistake(pub String);

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Setting to what was given, the strongest layer only.
pub(super) struct Layers(BTreeMap<&'static str, (String, Source)>);

impl Layers {
    /// Lays file, environment and flags over each other; unknown keys are mistakes.
    pub(super) fn gather(given: &Given, mistakes: &mut Vec<Mistake>) -> Self {
        let mut layers = Self(BTreeMap::new());
        layers.lay_file(given, mistakes);
        layers.lay_environment(given, mistakes);
        for (path, text) in &given.flags {
            let flag = setting_by_path(path).map_or_else(String::new, Setting::flag_name);
            layers.0.insert(path, (text.clone(), Source::Flag(flag)));
        }
        layers
    }

    /// The value of a setting, its default when nothing was given; `None` and a mistake when it is none.
    pub(super) fn value<T: Value>(
        &self,
        path: &'static str,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<T> {
        let text = match self.0.get(path) {
            Some((text, _)) => text,
            None => setting_by_path(path).map_or("", |setting| setting.default),
        };
        match T::parse(text) {
            Ok(value) => Some(value),
            Err(expected) => {
                let source = self.source(path);
                mistakes.push(Mistake(if T::SENSITIVE {
                    format!("{source} must be {expected}.")
                } else {
                    format!("{source} is {text:?} but must be {expected}.")
                }));
                None
            }
        }
    }

    /// Where the setting was given.
    pub(super) fn source(&self, path: &'static str) -> Source {
        self.0
            .get(path)
            .map_or(Source::Default(path), |(_, source)| source.clone())
    }

    fn lay_file(&mut self, given: &Given, mistakes: &mut Vec<Mistake>) {
        let named = given.file.clone().or_else(|| {
            given
                .environment
                .iter()
                .find(|(name, value)| name == FILE_VARIABLE && !value.is_empty())
                .map(|(_, value)| PathBuf::from(value))
        });
        let file = named.clone().unwrap_or_else(|| DEFAULT_FILE.into());
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound && named.is_none() => return,
            Err(error) => {
                mistakes.push(Mistake(format!(
                    "The configuration file {} cannot be read: {error}.",
                    file.display()
                )));
                return;
            }
        };
        match text.parse::<toml::Table>() {
            Ok(table) => self.lay_table("", &table, &file, mistakes),
            Err(error) => mistakes.push(Mistake(format!(
                "The configuration file {} is no TOML: {}.",
                file.display(),
                describe_toml_error(&error, &text)
            ))),
        }
    }

    fn lay_table(
        &mut self,
        prefix: &str,
        table: &toml::Table,
        file: &Path,
        mistakes: &mut Vec<Mistake>,
    ) {
        for (key, value) in table {
            let path = if prefix.is_empty() {
                key.clone()
            } else {
                format!("{prefix}.{key}")
            };
            if let (toml::Value::Table(table), true) = (value, is_section(&path)) {
                self.lay_table(&path, table, file, mistakes);
                continue;
            }
            let Some(setting) = setting_by_path(&path) else {
                mistakes.push(Mistake(format!(
                    "{} has an unknown key {path:?}{}.",
                    file.display(),
                    nearest_known(&path, known_paths())
                )));
                continue;
            };
            if let Some(text) = toml_text(value) {
                let source = Source::File(path, file.to_owned());
                self.0.insert(setting.path, (text, source));
            } else {
                mistakes.push(Mistake(format!(
                    "{path} in {} must be a text, a number, true, false or a list of texts.",
                    file.display()
                )));
            }
        }
    }

    fn lay_environment(&mut self, given: &Given, mistakes: &mut Vec<Mistake>) {
        let names: BTreeMap<String, &'static Setting> = super::Config::settings()
            .map(|setting| (setting.environment_name(), setting))
            .collect();
        let mut alias = None;
        for (name, text) in &given.environment {
            // An empty variable is how shells and compose files say "not set".
            if text.is_empty() || name == FILE_VARIABLE {
            } else if let Some(setting) = names.get(name) {
                let source = Source::Environment(name.clone());
                self.0.insert(setting.path, (text.clone(), source));
            } else if name == LOG_ALIAS {
                alias = Some(text);
            } else if is_misspelt(name, &names) {
                mistakes.push(Mistake(format!(
                    "The environment has an unknown variable {name}{}.",
                    nearest_known(name, names.keys().map(String::as_str))
                )));
            }
        }
        if let Some(text) = alias {
            let source = Source::Environment(LOG_ALIAS.to_owned());
            self.0.insert("log.level", (text.clone(), source));
        }
    }
}

fn setting_by_path(path: &str) -> Option<&'static Setting> {
    super::Config::settings().find(|setting| setting.path == path)
}

fn known_paths() -> impl Iterator<Item = &'static str> {
    super::Config::settings().map(|setting| setting.path)
}

/// Whether some setting's path begins with this one.
fn is_section(path: &str) -> bool {
    known_paths().any(|known| {
        known
            .strip_prefix(path)
            .is_some_and(|rest| rest.starts_with('.'))
    })
}

fn toml_text(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(flag) => Some(flag.to_string()),
        toml::Value::Array(items) => items
            .iter()
            .map(|item| item.as_str())
            .collect::<Option<Vec<_>>>()
            .map(|items| items.join(",")),
        toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}

fn describe_toml_error(error: &toml::de::Error, text: &str) -> String {
    let message = error.message().trim_end_matches('.').replace('\n', ", ");
    match error.span() {
        Some(span) => {
            let line = text[..span.start.min(text.len())].matches('\n').count() + 1;
            format!("line {line}: {message}")
        }
        None => message,
    }
}

/// Whether a variable that is no setting was meant to be one. Kubernetes adds `REDSPAN_PORT`,
/// `REDSPAN_SERVICE_HOST`, … by itself where a Service is called redspan, and a deployment may have
/// variables of its own, so only what looks like one of our sections or nearly like a setting counts.
fn is_misspelt(name: &str, names: &BTreeMap<String, &'static Setting>) -> bool {
    let Some(rest) = name.strip_prefix("REDSPAN_") else {
        return false;
    };
    let of_kubernetes =
        rest.contains("SERVICE_") || rest.ends_with("PORT") || rest.contains("PORT_");
    let in_a_section = settings::ALL.iter().any(|section| {
        section.iter().any(|setting| {
            let section = setting.path.split('.').next().unwrap_or_default();
            rest.strip_prefix(&section.to_uppercase())
                .is_some_and(|rest| rest.starts_with('_'))
        })
    });
    let is_near = names.keys().any(|known| distance(name, known) <= 2);
    !of_kubernetes && (in_a_section || is_near)
}

/// The nearest known word, as the end of a sentence.
fn nearest_known<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> String {
    known
        .min_by_key(|known| distance(unknown, known))
        .map(|nearest| format!("; the nearest known one is {nearest}"))
        .unwrap_or_default()
}

/// Levenshtein distance.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}
