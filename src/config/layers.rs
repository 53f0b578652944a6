//! Flags over environment over file over defaults, each value with the place it comes from, so that
//! a mistake can be named where it was made.

use std::{
    collections::BTreeMap,
    fmt, fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use toml::{Spanned, de::DeTable};

use super::{Given, RuleSettings, Setting, rules, settings, values::Value};

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
    File {
        /// The key as it stands there.
        key: String,
        /// The file.
        file: PathBuf,
        /// On which line.
        line: Option<usize>,
    },
    /// Nowhere: the default of this setting.
    Default(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "--{name}"),
            Self::Environment(name) => f.write_str(name),
            Self::File { key, file, line } => write!(f, "{key} in {}", place(file, *line)),
            Self::Default(key) => f.write_str(key),
        }
    }
}

/// `redspan.toml:12`
pub(super) fn place(file: &Path, line: Option<usize>) -> String {
    let line = line.map_or_else(String::new, |line| format!(":{line}"));
    format!("{}{line}", file.display())
}

/// One thing that is wrong: a plain sentence.
#[derive(Clone, Debug, PartialEq)]
pub struct Mistake(pub String);

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What was given.
pub(super) struct Layers {
    /// Setting to its text, of the strongest layer only.
    values: BTreeMap<&'static str, (String, Source)>,
    /// Of the file: nobody else can give lists of tables.
    pub(super) rules: RuleSettings,
    /// The file that was read.
    pub(super) file: Option<PathBuf>,
}

impl Layers {
    /// Lays file, environment and flags over each other; unknown keys are mistakes.
    pub(super) fn gather(given: &Given, mistakes: &mut Vec<Mistake>) -> Self {
        let mut layers = Self {
            values: BTreeMap::new(),
            rules: RuleSettings::default(),
            file: None,
        };
        layers.lay_file(given, mistakes);
        layers.lay_environment(given, mistakes);
        for (path, text) in &given.flags {
            let flag = setting_by_path(path).map_or_else(String::new, Setting::flag_name);
            layers
                .values
                .insert(path, (text.clone(), Source::Flag(flag)));
        }
        layers
    }

    /// The value of a setting, its default when nothing was given; `None` and a mistake when it is none.
    pub(super) fn value<T: Value>(
        &self,
        path: &'static str,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<T> {
        match T::parse(self.text(path)) {
            Ok(value) => Some(value),
            Err(expected) => {
                let source = self.source(path);
                let text = self.text(path);
                mistakes.push(Mistake(if T::SENSITIVE {
                    format!("{source} must be {expected}.")
                } else {
                    format!("{source} is {text:?} but must be {expected}.")
                }));
                None
            }
        }
    }

    /// What was given, else the default.
    pub(super) fn text(&self, path: &'static str) -> &str {
        match self.values.get(path) {
            Some((text, _)) => text,
            None => setting_by_path(path).map_or("", |setting| setting.default),
        }
    }

    /// Where the setting was given.
    pub(super) fn source(&self, path: &'static str) -> Source {
        self.values
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
            Ok(table) => {
                // The same once more, for the places of the keys.
                let places = DeTable::parse(&text).ok();
                let places = places.as_ref().map(Spanned::get_ref);
                self.rules = RuleSettings::read(&file, &text, mistakes);
                self.file = Some(file.clone());
                let file = File { file, text: &text };
                self.lay_table("", &table, places, &file, mistakes);
            }
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
        places: Option<&DeTable<'_>>,
        file: &File<'_>,
        mistakes: &mut Vec<Mistake>,
    ) {
        for (key, value) in table {
            let at = places.and_then(|places| places.get_key_value(key.as_str()));
            let line = at.map(|(key, _)| file.line(key.span().start));
            let path = if prefix.is_empty() {
                key.clone()
            } else {
                format!("{prefix}.{key}")
            };
            if let (toml::Value::Table(table), true) = (value, is_section(&path)) {
                let places = at.and_then(|(_, value)| value.get_ref().as_table());
                self.lay_table(&path, table, places, file, mistakes);
                continue;
            }
            if path == rules::KEY {
                continue;
            }
            let Some(setting) = setting_by_path(&path) else {
                mistakes.push(Mistake(format!(
                    "{} has an unknown key {path:?}{}.",
                    place(&file.file, line),
                    nearest_known(&path, known_paths())
                )));
                continue;
            };
            if let Some(text) = toml_text(value) {
                let source = Source::File {
                    key: path,
                    file: file.file.clone(),
                    line,
                };
                self.values.insert(setting.path, (text, source));
            } else {
                mistakes.push(Mistake(format!(
                    "{path} in {} must be a text, a number, true, false or a list of texts.",
                    place(&file.file, line)
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
                self.values.insert(setting.path, (text.clone(), source));
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
            self.values.insert("log.level", (text.clone(), source));
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
            .map(|items| items.join("\n")),
        toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}

/// A file that is being laid.
struct File<'a> {
    file: PathBuf,
    text: &'a str,
}

impl File<'_> {
    fn line(&self, at: usize) -> usize {
        line_at(self.text, at)
    }
}

/// The line, from 1 on, in which a byte of the text stands.
pub(super) fn line_at(text: &str, at: usize) -> usize {
    let before = text.bytes().take(at);
    before.filter(|byte| *byte == b'\n').count() + 1
}

fn describe_toml_error(error: &toml::de::Error, text: &str) -> String {
    let message = error.message().trim_end_matches('.').replace('\n', ", ");
    match error.span() {
        Some(span) => {
            format!("line {}: {message}", line_at(text, span.start))
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
