//! One flag for each setting, made from their declarations, good before and after the subcommand.

use std::{collections::BTreeMap, path::PathBuf};

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, value_parser};

use crate::config::{Config, Given, Setting};

/// Id of `--config`; no setting's path.
const CONFIG: &str = "config-file";

/// The flags that `-h` shows; `--help` shows all.
const COMMON: [&str; 5] = [
    "database.url",
    "otlp.http.listen",
    "http.listen",
    "log.level",
    "log.format",
];

/// What the command line says about settings.
pub(super) struct SettingFlags {
    file: Option<PathBuf>,
    flags: BTreeMap<&'static str, String>,
}

impl SettingFlags {
    pub(super) fn given(&self, environment: Vec<(String, String)>) -> Given {
        Given {
            file: self.file.clone(),
            flags: self.flags.clone(),
            environment,
        }
    }
}

impl Args for SettingFlags {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new(CONFIG)
            .long("config")
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .global(true)
            .help("Read settings from this file; without it redspan.toml, if it is there")
            .long_help(
                "Read settings from this file; without it redspan.toml, if it is there\n\
                 [env: REDSPAN_CONFIG]",
            );
        flags().fold(command.arg(file), |command, setting| {
            command.arg(flag(setting))
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self {
            file: matches.get_one(CONFIG).cloned(),
            flags: flags()
                .filter_map(|setting| {
                    let text = matches.get_one::<String>(setting.path)?;
                    Some((setting.path, text.clone()))
                })
                .collect(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Settings that may stand on a command line, where every process of the machine can read them.
fn flags() -> impl Iterator<Item = &'static Setting> {
    Config::settings().filter(|setting| !setting.secret)
}

fn flag(setting: &'static Setting) -> Arg {
    let lines: Vec<&str> = setting.help.lines().map(str::trim).collect();
    let text = lines.join(" ");
    let first_sentence = text
        .split_once(". ")
        .map_or(text.as_str(), |(first, _)| first);
    let default = match setting.default {
        "" => String::new(),
        default => format!("[default: {default}] "),
    };
    let environment = setting.environment_name();
    Arg::new(setting.path)
        .long(setting.flag_name())
        .value_name(setting.kind)
        .global(true)
        .help_heading("Settings")
        .hide_short_help(!COMMON.contains(&setting.path))
        .help(first_sentence.trim_end_matches('.').to_owned())
        .long_help(format!("{text}\n{default}[env: {environment}]"))
}
