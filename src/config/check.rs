//! What only shows when settings are seen together.

use std::{fs, net::SocketAddr};

use super::{
    AuthSettings, Authentication, Config, RetentionSettings, Secret, WriterSettings,
    layers::{Layers, Mistake},
    values::{Bytes, Value},
};

/// Looks for settings that contradict each other.
pub(super) fn check(config: &Config, layers: &Layers, mistakes: &mut Vec<Mistake>) {
    let mut complain = |sentence: String| mistakes.push(Mistake(sentence));
    let ports: Vec<(&str, SocketAddr)> = [
        ("otlp.http.listen", Some(config.otlp.http.listen)),
        ("otlp.grpc.listen", config.otlp.grpc.listen),
        ("http.listen", Some(config.http.listen)),
    ]
    .into_iter()
    .filter_map(|(path, address)| Some((path, address?)))
    .collect();

    for (path, address) in config.exposed_ingest() {
        complain(format!(
            "{} is {address}, which others than this machine can reach: set auth.ingest_token, or \
             auth = \"none\" if anybody may send.",
            layers.source(path)
        ));
    }
    for (index, (path, address)) in ports.iter().enumerate() {
        let same = |other: &&(&str, SocketAddr)| other.1 == *address && address.port() != 0;
        if let Some((earlier, _)) = ports[..index].iter().find(same) {
            complain(format!(
                "{earlier} and {path} are both {address}: they need different ports."
            ));
        }
    }
    if let Some(endpoint) = &config.telemetry.endpoint
        && let Some((path, _)) = ports
            .iter()
            .filter(|(path, address)| path.starts_with("otlp.") && address.port() != 0)
            .find(|(_, address)| endpoint.leads_to(*address))
    {
        complain(format!(
            "{} is {}, where redspan itself listens ({path}): its own spans must go to another one.",
            layers.source("telemetry.endpoint"),
            endpoint.as_str()
        ));
    }
    let limits = &config.limits;
    for (smaller, larger, names) in [
        (
            limits.body_bytes,
            limits.inflated_body_bytes,
            ("limits.body_bytes", "limits.inflated_body_bytes"),
        ),
        (
            limits.inflated_body_bytes,
            limits.in_flight_bytes,
            ("limits.inflated_body_bytes", "limits.in_flight_bytes"),
        ),
    ] {
        if smaller > larger {
            complain(format!(
                "{} is more than {}: a request of that size could never be taken.",
                layers.source(names.0),
                layers.source(names.1)
            ));
        }
    }
    if limits.label_sets < 100 {
        complain(format!(
            "{} is {} but must be at least 100: folded label sets need room too.",
            layers.source("limits.label_sets"),
            limits.label_sets
        ));
    }
    if limits.header_bytes < Bytes(8 << 10) {
        complain(format!(
            "{} must be at least 8KiB.",
            layers.source("limits.header_bytes")
        ));
    }
    if !is_identifier(&config.database.schema) {
        complain(format!(
            "{} is {:?} but must be a PostgreSQL name: lower-case letters, digits and _, at most 63.",
            layers.source("database.schema"),
            config.database.schema
        ));
    }
    if config
        .writer
        .name
        .as_ref()
        .is_some_and(|name| name.len() > WriterSettings::MAX_NAME_BYTES)
    {
        complain(format!(
            "{} must be at most {} bytes long.",
            layers.source("writer.name"),
            WriterSettings::MAX_NAME_BYTES
        ));
    }
    if let Err(error) = tracing_subscriber::EnvFilter::try_new(&config.log.level) {
        complain(format!(
            "{} is {:?} but must be a level or a list of target=level: {error}.",
            layers.source("log.level"),
            config.log.level
        ));
    }
    check_retention(config, layers, mistakes);
}

fn check_retention(config: &Config, layers: &Layers, mistakes: &mut Vec<Mistake>) {
    let mut complain = |sentence: String| mistakes.push(Mistake(sentence));
    let retention = &config.retention;
    if (retention.pipelines.0).is_some_and(|kept| kept < RetentionSettings::LONGEST_WINDOW) {
        complain(format!(
            "{} must be at least 7d, of which success rates are told.",
            layers.source("retention.pipelines")
        ));
    }
    if (retention.hours.0).is_some_and(|kept| kept < RetentionSettings::LATEST_ARRIVAL) {
        complain(format!(
            "{} must be at least 31d: until then errors may still arrive that happened in them.",
            layers.source("retention.hours")
        ));
    }
    if (retention.writers.0).is_some_and(|kept| kept < RetentionSettings::SHORTEST_ABSENCE) {
        complain(format!(
            "{} must be at least 1d: a process that has not been seen for less may still run.",
            layers.source("retention.writers")
        ));
    }
    if (retention.traces.0).is_some_and(|kept| kept < retention.ledger) {
        complain(format!(
            "{} must be at least {}: what is sent again until then belongs to them.",
            layers.source("retention.traces"),
            layers.source("retention.ledger")
        ));
    }
}

impl Config {
    /// Where anybody on the network may send telemetry although nobody said so.
    fn exposed_ingest(&self) -> impl Iterator<Item = (&'static str, SocketAddr)> {
        let is_open = self.auth.ingest_token.is_empty() && self.auth.mode == Authentication::Token;
        let http = ("otlp.http.listen", Some(self.otlp.http.listen));
        let grpc = ("otlp.grpc.listen", self.otlp.grpc.listen);
        [http, grpc]
            .into_iter()
            .filter_map(|(path, address)| Some((path, address?)))
            .filter(move |(_, address)| is_open && !is_private(*address))
    }

    /// Whether the API and the page are closed, because anybody on the network could use them.
    #[must_use]
    pub fn api_is_closed(&self) -> bool {
        !is_private(self.http.listen)
            && self.auth.api_token.is_empty()
            && self.auth.mode == Authentication::Token
    }

    /// Whether the API is open to whoever is on this machine, and to nobody else.
    #[must_use]
    pub fn api_is_local(&self) -> bool {
        is_private(self.http.listen)
            && self.auth.api_token.is_empty()
            && self.auth.mode == Authentication::Token
    }
}

impl Config {
    /// The name under which this process counts: the one given, else the host's.
    #[must_use]
    pub fn writer_name(&self) -> String {
        let given = self.writer.name.clone();
        given
            .or_else(host_name)
            .unwrap_or_else(|| "redspan".to_owned())
    }
}

impl AuthSettings {
    /// Adds the tokens of the files to those given directly.
    pub(super) fn read_token_files(&mut self, mistakes: &mut Vec<Mistake>) {
        for (key, file, tokens) in [
            (
                "auth.ingest_token_file",
                &self.ingest_token_file,
                &mut self.ingest_token,
            ),
            (
                "auth.api_token_file",
                &self.api_token_file,
                &mut self.api_token,
            ),
        ] {
            let Some(file) = file else { continue };
            match fs::read_to_string(file) {
                Ok(text) => {
                    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
                    for line in lines {
                        match Secret::parse(line) {
                            Ok(token) => tokens.push(token),
                            Err(expected) => mistakes.push(Mistake(format!(
                                "A token in {} ({key}) must be {expected}.",
                                file.display()
                            ))),
                        }
                    }
                }
                Err(error) => mistakes.push(Mistake(format!(
                    "{key} is {} but that cannot be read: {error}.",
                    file.display()
                ))),
            }
        }
    }
}

impl WriterSettings {
    /// So that it fits its column.
    const MAX_NAME_BYTES: usize = 200;
}

fn host_name() -> Option<String> {
    let kernel = fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = kernel.or_else(|| std::env::var("HOSTNAME").ok())?;
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

fn is_private(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

fn is_identifier(name: &str) -> bool {
    name.len() <= 63
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}
