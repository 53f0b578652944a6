//! Every setting: meaning, unit, default, and what breaks when it is wrong. The doc comments are
//! also the texts of `--help` and of `redspan.example.toml`.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use hyper::header::HeaderName;

use super::{
    database_url::DatabaseUrl,
    layers::{Layers, Mistake},
    rules::RuleSettings,
    trace_link::TraceLink,
    values::{Bytes, HttpUrl, KeptFor, LogFormat, Origin, Patterns, Secret, Value},
};

/// One setting, for help texts and for finding out what a key means.
#[derive(Debug)]
pub struct Setting {
    /// Its place in the file: `otlp.http.listen`. The environment name is the same in capitals.
    pub path: &'static str,
    /// As text; empty for none.
    pub default: &'static str,
    /// The doc comment.
    pub help: &'static str,
    /// What stands for its value in help texts.
    pub kind: &'static str,
    /// Never shown, and no flag.
    pub secret: bool,
    /// A text that was given for it, without its secrets.
    pub shown: fn(&str) -> String,
}

impl Setting {
    /// `REDSPAN_OTLP_HTTP_LISTEN`
    #[must_use]
    pub fn environment_name(&self) -> String {
        format!("REDSPAN_{}", self.path.replace('.', "_").to_uppercase())
    }

    /// `otlp-http-listen`
    #[must_use]
    pub fn flag_name(&self) -> String {
        self.path.replace(['.', '_'], "-")
    }
}

macro_rules! sections {
    ($($(#[$meta:meta])* $section:ident {
        $($(#[doc = $doc:literal])+ $field:ident: $type:ty = $path:literal, $default:literal;)+
    })+) => {
        $(
            $(#[$meta])*
            #[derive(Clone, Debug, PartialEq)]
            pub struct $section {
                $($(#[doc = $doc])+ pub $field: $type,)+
            }

            impl $section {
                const SETTINGS: &'static [Setting] = &[$(Setting {
                    path: $path,
                    default: $default,
                    help: concat!($($doc, "\n"),+),
                    kind: <$type as Value>::KIND,
                    secret: <$type as Value>::SECRET,
                    shown: <$type as Value>::shown,
                }),+];

                fn read(layers: &Layers, mistakes: &mut Vec<Mistake>) -> Option<Self> {
                    $(let $field = layers.value::<$type>($path, mistakes);)+
                    Some(Self { $($field: $field?,)+ })
                }
            }
        )+

        /// Every setting, section by section.
        pub(super) const ALL: &[&[Setting]] = &[$($section::SETTINGS),+];
    };
}

sections! {
    /// `[database]`
    DatabaseSettings {
        /// Where errors are kept: `sqlite://FILE` (created when it is not there) or
        /// `postgresql://USER:PASSWORD@HOST/DATABASE`.
        /// A wrong one ends the start with exit code 69 (out of reach), 65 (not ours) or 73 (in use).
        url: DatabaseUrl = "database.url", "sqlite://redspan.db";
        /// The PostgreSQL schema that holds redspan's tables; `migrate` creates it.
        /// With another one redspan sees another, perhaps empty, ledger.
        schema: String = "database.schema", "redspan";
        /// Whether a pooler in transaction mode (`PgBouncer`) stands before PostgreSQL: turns named
        /// statements off. Wrongly false: statements fail; wrongly true: each costs a little more.
        pooler: bool = "database.pooler", "false";
        /// Connections to PostgreSQL for reading; writing has one of its own.
        /// Too few: the API waits; too many: PostgreSQL refuses.
        connections: u32 = "database.connections", "4";
        /// How long a connection may take to be made.
        /// Longer than 3s: clients give up before they hear that the database is away.
        connect_timeout: Duration = "database.connect_timeout", "2s";
        /// How long one statement may take on PostgreSQL, in both directions.
        /// Longer than 3s: clients give up first; much shorter: a busy database looks dead.
        statement_timeout: Duration = "database.statement_timeout", "3s";
        /// Whether `serve` brings the schema up to date (`--no-migrate` is the same as false).
        /// Wrongly false: the start ends with a sentence that says to run `redspan migrate up`.
        migrate: bool = "database.migrate", "true";
    }

    /// `[otlp.http]`
    OtlpHttpSettings {
        /// Where applications send OTLP over HTTP. An address that is not loopback needs
        /// `auth.ingest_token`, or `auth = "none"` written out; port 0 takes any free one.
        listen: SocketAddr = "otlp.http.listen", "127.0.0.1:4318";
        /// Of which origins pages in browsers may send, separated by commas: `https://shop.example`,
        /// `https://*.shop.example` for its subdomains, `*` for all. Empty: none but the site that
        /// passes it on. Anybody who opens such a page sees the token that it sends with.
        cors_origins: Vec<Origin> = "otlp.http.cors_origins", "";
        /// Headers that such pages set beside Content-Type, Authorization and those of trace context,
        /// separated by commas. One that is missing: the browser does not send.
        cors_headers: Vec<HeaderName> = "otlp.http.cors_headers", "";
    }

    /// `[otlp.grpc]`
    OtlpGrpcSettings {
        /// Where applications send OTLP over gRPC, under the same rules as `otlp.http.listen`.
        /// Empty: nowhere.
        listen: Option<SocketAddr> = "otlp.grpc.listen", "127.0.0.1:4317";
    }

    /// `[http]`
    HttpSettings {
        /// Where /metrics, /livez, /readyz, the API and the page are served. On an address that is not
        /// loopback and without `auth.api_token`, only the first three are; port 0 takes any free one.
        listen: SocketAddr = "http.listen", "127.0.0.1:9464";
    }

    /// `[auth]`
    AuthSettings {
        /// `token`: on an address that is not loopback a token must be set. `none`: it need not, and
        /// without one anybody who reaches the address may write and read. A token that is set is
        /// asked for on every address. In the file `auth = "none"` stands in place of `[auth]`.
        mode: Authentication = "auth", "token";
        /// Tokens that may send telemetry, at least 16 bytes each, separated by commas; each is sent
        /// as `Authorization: Bearer TOKEN`. Empty: none is asked for.
        ingest_token: Vec<Secret> = "auth.ingest_token", "";
        /// A file with such tokens, one a line, read at the start.
        ingest_token_file: Option<PathBuf> = "auth.ingest_token_file", "";
        /// Tokens that may read and change errors over the API and the page, like `auth.ingest_token`.
        /// Changes with a token such as `alice:SECRET` are logged as made by alice; it is sent whole.
        api_token: Vec<Secret> = "auth.api_token", "";
        /// A file with such tokens, one a line, read at the start.
        api_token_file: Option<PathBuf> = "auth.api_token_file", "";
    }

    /// `[writer]`
    WriterSettings {
        /// Under which name this process counts; empty for the host's name. Data counters go on where
        /// the last process of the same name stopped, so it must outlive restarts and be no other
        /// process's: the one that loses it goes on as NAME-RANDOM, with counters from 0.
        name: Option<String> = "writer.name", "";
    }

    /// `[retention]`
    RetentionSettings {
        /// How long requests are remembered, so that one that is sent again is counted once.
        /// Shorter than clients retry: their retries count twice.
        ledger: Duration = "retention.ledger", "6h";
        /// How long errors are kept that are resolved; those that are not stay. Counts stay.
        resolved_errors: KeptFor = "retention.resolved_errors", "30d";
        /// How long finished pipelines are kept, at least 7d, of which success rates are told.
        pipelines: KeptFor = "retention.pipelines", "30d";
        /// How long the hours of errors and requests are kept, at least 31d. Hours with errors stay.
        hours: KeptFor = "retention.hours", "400d";
        /// How long traces with failures are remembered, at least as long as requests: what comes
        /// later is a trace of its own.
        traces: KeptFor = "retention.traces", "7d";
        /// How long the audit log is kept.
        audit: KeptFor = "retention.audit", "365d";
        /// How long the counters of processes are kept that do not run any more, at least 1d. What
        /// they counted stays counted; one that comes back later starts its counters at 0.
        writers: KeptFor = "retention.writers", "7d";
        /// How long users and assets are kept that nothing points to.
        unused: KeptFor = "retention.unused", "30d";
    }

    /// `[limits]`
    LimitSettings {
        /// Largest request body as sent. More: 413.
        body_bytes: Bytes = "limits.body_bytes", "8MiB";
        /// Largest request body after inflation. More: 413.
        inflated_body_bytes: Bytes = "limits.inflated_body_bytes", "20MiB";
        /// Resources, scopes, spans and log records of one request together. More: 413.
        items_per_request: usize = "limits.items_per_request", "50000";
        /// Attributes of a resource or span. The rest is dropped and counted on the row.
        attributes_per_item: usize = "limits.attributes_per_item", "1024";
        /// Events of a span, those with an exception first. The rest is dropped and counted on the row.
        events_per_span: usize = "limits.events_per_span", "1024";
        /// Links of a span. The rest is dropped and counted on the row.
        links_per_span: usize = "limits.links_per_span", "1024";
        /// Bytes of all bodies that are being received and read. More: 429.
        /// Too small: busy hours are refused; too large: so much memory is taken.
        in_flight_bytes: Bytes = "limits.in_flight_bytes", "64MiB";
        /// Bytes of memory for what was found in requests, from then until it is committed. More: 429.
        /// One large request at a time may need more; it leaves half to the others.
        queue_bytes: Bytes = "limits.queue_bytes", "64MiB";
        /// Open connections of each listener. More are accepted and closed.
        connections: usize = "limits.connections", "1024";
        /// Largest head of a request, at least 8KiB. More: 431.
        header_bytes: Bytes = "limits.header_bytes", "16KiB";
        /// Longest URI. More: 414.
        uri_bytes: Bytes = "limits.uri_bytes", "4KiB";
        /// How long the head of a request may take to arrive. Then the connection is closed.
        header_timeout: Duration = "limits.header_timeout", "5s";
        /// How long a whole request may take to arrive. Then the connection is closed.
        request_timeout: Duration = "limits.request_timeout", "15s";
        /// How long a connection may be silent between requests. Then it is closed.
        idle_timeout: Duration = "limits.idle_timeout", "60s";
        /// How long an answer may take to be taken. Then the connection is closed.
        write_timeout: Duration = "limits.write_timeout", "10s";
        /// How long after the last byte of a request its answer may come: 503 then.
        /// More than 4s: exporters give up first and send again.
        answer_timeout: Duration = "limits.answer_timeout", "3800ms";
        /// How long a stop waits for requests that are being answered; then they are cut.
        /// Kubernetes kills after 30s, and redspan promises an exit within 10s.
        drain_timeout: Duration = "limits.drain_timeout", "5s";
        /// Label sets of each data counter on /metrics, of which an endpoint takes two (ok, error).
        /// More are folded into `__other__`. Too many: Prometheus and its bill suffer.
        label_sets: usize = "limits.label_sets", "2000";
        /// Label sets of one service in one hour of `error_aggregations`. More are folded.
        hour_label_sets_per_service: usize = "limits.hour_label_sets_per_service", "10000";
        /// Label sets of one hour of `error_aggregations`. More are folded.
        hour_label_sets: usize = "limits.hour_label_sets", "50000";
    }

    /// `[privacy]`
    PrivacySettings {
        /// How much of client addresses is kept: `whole`, `cut` to /24 (IPv4) or /48 (IPv6), or `drop`.
        /// Whole ones are personal data in many countries.
        client_address: KeepAddress = "privacy.client_address", "cut";
        /// Whether user ids are kept. Without them nobody can say how many users an error hit.
        user_id: bool = "privacy.user_id", "true";
        /// Whether user agents are kept.
        user_agent: bool = "privacy.user_agent", "true";
        /// Whether request headers that an application records are kept, scrubbed of secrets.
        request_headers: bool = "privacy.request_headers", "true";
        /// Whether query texts and their parameters (`db.query.text`, `graphql.document`, …) are kept
        /// in `context`, scrubbed. They hold what users typed.
        query_text: bool = "privacy.query_text", "false";
        /// Whether bodies of requests, responses and messages that an application records are kept in
        /// `context`, scrubbed.
        bodies: bool = "privacy.bodies", "false";
        /// Whether what is said to and by models (`gen_ai.input.messages`, …) is kept in `context`,
        /// scrubbed.
        gen_ai_messages: bool = "privacy.gen_ai_messages", "false";
        /// Whether secrets (passwords, tokens, card numbers, …) are taken out before anything is
        /// stored. Without it they are in the database, its backups and on the screens of readers.
        scrub: bool = "privacy.scrub", "true";
        /// Further keys whose values are secrets, separated by commas: `iban` stands for
        /// `customer.iban` and `customerIban` too. Upper and lower case are the same.
        scrub_keys: Vec<String> = "privacy.scrub_keys", "";
        /// Regular expressions of further secrets in texts, a list of texts in the file and one a line
        /// elsewhere. Of a match the first group is taken out, without groups all of it.
        /// Each costs time for every text of every failure.
        scrub_patterns: Patterns = "privacy.scrub_patterns", "";
    }

    /// `[links]`
    LinkSettings {
        /// Where the whole of a trace can be seen: `https://jaeger.example/trace/{trace_id}`. Makes a
        /// link of each row with a trace, in the API (`traceUrl`) and in `errors show`. Empty: none.
        trace: Option<TraceLink> = "links.trace", "";
    }

    /// `[log]`
    LogSettings {
        /// Which logs are written: `error`, `warn`, `info`, `debug`, `trace`, or by target:
        /// `info,redspan::commit=debug`. Also read from `REDSPAN_LOG`.
        level: String = "log.level", "info";
        /// `text` for people, `json` for machines, `auto`: text on a terminal, else json.
        format: LogFormat = "log.format", "auto";
    }

    /// `[telemetry]`
    TelemetrySettings {
        /// Where redspan's own spans (requests and commits) are sent, as OTLP over HTTP:
        /// `http://collector:4318`. Empty: nowhere. Never to itself: that would go on for ever.
        endpoint: Option<HttpUrl> = "telemetry.endpoint", "";
    }
}

/// Whether addresses that are not loopback ask for tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Authentication {
    /// They do.
    Token,
    /// They do not: written out by somebody who knows why.
    None,
}

impl Value for Authentication {
    const KIND: &'static str = "token|none";

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "token" => Ok(Self::Token),
            "none" => Ok(Self::None),
            _ => Err("token or none".to_owned()),
        }
    }
}

/// How much of a client's address is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeepAddress {
    /// All of it.
    Whole,
    /// Its network: /24 for IPv4, /48 for IPv6.
    Cut,
    /// Nothing.
    Drop,
}

impl Value for KeepAddress {
    const KIND: &'static str = "whole|cut|drop";

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "whole" => Ok(Self::Whole),
            "cut" => Ok(Self::Cut),
            "drop" => Ok(Self::Drop),
            _ => Err("whole, cut or drop".to_owned()),
        }
    }
}

/// `[otlp]`
#[derive(Clone, Debug, PartialEq)]
pub struct OtlpSettings {
    /// OTLP over HTTP.
    pub http: OtlpHttpSettings,
    /// OTLP over gRPC.
    pub grpc: OtlpGrpcSettings,
}

/// Everything that can be set.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where errors are kept.
    pub database: DatabaseSettings,
    /// Where telemetry arrives.
    pub otlp: OtlpSettings,
    /// Where people and Prometheus ask.
    pub http: HttpSettings,
    /// Who may.
    pub auth: AuthSettings,
    /// Who counts.
    pub writer: WriterSettings,
    /// What is kept how long.
    pub retention: RetentionSettings,
    /// What is refused.
    pub limits: LimitSettings,
    /// What is not kept.
    pub privacy: PrivacySettings,
    /// Where more can be seen.
    pub links: LinkSettings,
    /// What is told.
    pub log: LogSettings,
    /// What is told of redspan itself.
    pub telemetry: TelemetrySettings,
    /// What users decide about failures.
    pub rules: RuleSettings,
    /// The file that was read.
    pub file: Option<PathBuf>,
}

impl RetentionSettings {
    /// Success rates are told of so long a time.
    pub const LONGEST_WINDOW: Duration = Duration::from_hours(7 * 24);

    /// A process is seen every hour, unless the database is away.
    pub const SHORTEST_ABSENCE: Duration = Duration::from_hours(24);

    /// What happened so long ago is not believed to have, and a day for what is on its way.
    pub const LATEST_ARRIVAL: Duration = Duration::from_hours(31 * 24);
}

impl Config {
    /// Every section, so that every mistake is found; `None` when there is one.
    pub(super) fn read(layers: &Layers, mistakes: &mut Vec<Mistake>) -> Option<Self> {
        let database = DatabaseSettings::read(layers, mistakes);
        let otlp_http = OtlpHttpSettings::read(layers, mistakes);
        let otlp_grpc = OtlpGrpcSettings::read(layers, mistakes);
        let http = HttpSettings::read(layers, mistakes);
        let auth = AuthSettings::read(layers, mistakes);
        let writer = WriterSettings::read(layers, mistakes);
        let retention = RetentionSettings::read(layers, mistakes);
        let limits = LimitSettings::read(layers, mistakes);
        let privacy = PrivacySettings::read(layers, mistakes);
        let links = LinkSettings::read(layers, mistakes);
        let log = LogSettings::read(layers, mistakes);
        let telemetry = TelemetrySettings::read(layers, mistakes);
        Some(Self {
            database: database?,
            otlp: OtlpSettings {
                http: otlp_http?,
                grpc: otlp_grpc?,
            },
            http: http?,
            auth: auth?,
            writer: writer?,
            retention: retention?,
            limits: limits?,
            privacy: privacy?,
            links: links?,
            log: log?,
            telemetry: telemetry?,
            rules: layers.rules.clone(),
            file: layers.file.clone(),
        })
    }
}
