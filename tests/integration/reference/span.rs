//! One span with its resource: what its attributes say, whether it failed, whether it is an entry.

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::Span as Sent,
};

use super::exception::Exception;

const SERVER: i32 = 2;
const CLIENT: i32 = 3;
const PRODUCER: i32 = 4;
const CONSUMER: i32 = 5;
const STATUS_OK: i32 = 1;
const STATUS_ERROR: i32 = 2;
const MICROS_PER_DAY: i64 = 86_400_000_000;
const MICROS_PER_MINUTE: i64 = 60_000_000;

/// gRPC codes by their number, with the HTTP status that means the same.
const GRPC: [(&str, i32); 17] = [
    ("OK", 200),
    ("CANCELLED", 499),
    ("UNKNOWN", 500),
    ("INVALID_ARGUMENT", 400),
    ("DEADLINE_EXCEEDED", 504),
    ("NOT_FOUND", 404),
    ("ALREADY_EXISTS", 409),
    ("PERMISSION_DENIED", 403),
    ("RESOURCE_EXHAUSTED", 429),
    ("FAILED_PRECONDITION", 400),
    ("ABORTED", 409),
    ("OUT_OF_RANGE", 400),
    ("UNIMPLEMENTED", 501),
    ("INTERNAL", 500),
    ("UNAVAILABLE", 503),
    ("DATA_LOSS", 500),
    ("UNAUTHENTICATED", 401),
];

#[derive(Clone)]
pub(super) struct Span<'a> {
    resource: &'a [KeyValue],
    sent: &'a Sent,
    parent_is_beside: bool,
    received_at_micros: i64,
}

impl<'a> Span<'a> {
    pub(super) fn new(
        resource: Option<&'a Resource>,
        sent: &'a Sent,
        parent_is_beside: bool,
        received_at_micros: i64,
    ) -> Self {
        Self {
            resource: resource.map_or(&[], |resource| &resource.attributes),
            sent,
            parent_is_beside,
            received_at_micros,
        }
    }

    pub(super) fn trace_id(&self) -> &'a [u8] {
        &self.sent.trace_id
    }

    pub(super) fn id(&self) -> &'a [u8] {
        &self.sent.span_id
    }

    pub(super) fn is(&self, other: &Span<'_>) -> bool {
        self.id() == other.id()
    }

    pub(super) fn parent_id(&self) -> &'a [u8] {
        &self.sent.parent_span_id
    }

    pub(super) fn end_nanos(&self) -> u64 {
        self.sent.end_time_unix_nano
    }

    pub(super) fn ended_at_micros(&self) -> i64 {
        self.clamped_micros(self.end_nanos())
    }

    /// 0, more than 5 minutes ahead, or older than 30 days: the time at which it was received.
    pub(super) fn clamped_micros(&self, nanos: u64) -> i64 {
        let micros = i64::try_from(nanos / 1_000).expect("2^64 / 1000 fits");
        let now = self.received_at_micros;
        let is_plausible =
            (now - 30 * MICROS_PER_DAY..=now + 5 * MICROS_PER_MINUTE).contains(&micros);
        if nanos == 0 || !is_plausible {
            now
        } else {
            micros
        }
    }

    /// The text of the first of these attributes that is there and not empty.
    fn text(&self, keys: &[&str]) -> Option<String> {
        keys.iter()
            .filter_map(|key| text(&self.sent.attributes, key))
            .find(|text| !text.is_empty())
    }

    fn number(&self, keys: &[&str]) -> Option<i32> {
        self.text(keys)?.parse().ok()
    }

    pub(super) fn has_prefix(&self, prefix: &str) -> bool {
        self.sent
            .attributes
            .iter()
            .any(|attribute| attribute.key.starts_with(prefix))
    }

    pub(super) fn service_name(&self) -> String {
        let of_resource = |key| text(self.resource, key).filter(|text| !text.is_empty());
        match (
            of_resource("service.namespace"),
            of_resource("service.name"),
        ) {
            (_, None) => "unknown_service".to_owned(),
            (None, Some(name)) => name,
            (Some(namespace), Some(name)) => format!("{namespace}/{name}"),
        }
    }

    pub(super) fn environment(&self) -> String {
        text(self.resource, "deployment.environment.name")
            .or_else(|| text(self.resource, "deployment.environment"))
            .unwrap_or_default()
    }

    pub(super) fn service_version(&self) -> Option<String> {
        text(self.resource, "service.version")
    }

    pub(super) fn http_status(&self) -> Option<i32> {
        self.number(&["http.response.status_code", "http.status_code"])
    }

    pub(super) fn http_method(&self) -> Option<String> {
        self.text(&["http.request.method", "http.method"])
    }

    fn rpc_code(&self) -> Option<String> {
        self.text(&[
            "rpc.status_code",
            "rpc.response.status_code",
            "rpc.grpc.status_code",
            "rpc.connect_rpc.error_code",
            "rpc.jsonrpc.error_code",
        ])
    }

    fn is_json_rpc(&self) -> bool {
        self.text(&["rpc.system.name", "rpc.system"]) == Some("jsonrpc".to_owned())
    }

    /// Connect has gRPC's codes in small letters, and one of them in another spelling.
    fn grpc_number(&self) -> Option<usize> {
        let code = self.rpc_code().filter(|_| !self.is_json_rpc())?;
        let name = code.to_uppercase().replace("CANCELED", "CANCELLED");
        let by_name = GRPC.iter().position(|(other, _)| *other == name);
        by_name.or_else(|| code.parse().ok().filter(|number| *number < GRPC.len()))
    }

    /// A code of an RPC that is not gRPC's.
    pub(super) fn foreign_rpc_code(&self) -> Option<String> {
        self.rpc_code().filter(|_| self.grpc_number().is_none())
    }

    pub(super) fn grpc_name(&self) -> Option<&'static str> {
        self.grpc_number().map(|number| GRPC[number].0)
    }

    pub(super) fn is_rpc(&self) -> bool {
        self.has_prefix("rpc.")
    }

    /// A request that notes what it asked a database is no call to one.
    pub(super) fn is_database(&self) -> bool {
        !self.is_server_or_consumer() && self.has_prefix("db.")
    }

    pub(super) fn is_http(&self) -> bool {
        self.http_method().is_some() || self.http_status().is_some()
    }

    /// The HTTP status, or what a gRPC code is in HTTP: that travels with status 200.
    pub(super) fn response_status(&self) -> Option<i32> {
        let of_grpc = self.grpc_number().map(|number| GRPC[number].1);
        match self.http_status() {
            None | Some(200) => of_grpc.or_else(|| self.http_status()),
            status => status,
        }
    }

    pub(super) fn is_server(&self) -> bool {
        self.sent.kind == SERVER
    }

    pub(super) fn is_client(&self) -> bool {
        self.sent.kind == CLIENT
    }

    pub(super) fn is_consumer(&self) -> bool {
        self.sent.kind == CONSUMER
    }

    pub(super) fn is_producer(&self) -> bool {
        self.sent.kind == PRODUCER
    }

    pub(super) fn is_server_or_consumer(&self) -> bool {
        self.is_server() || self.is_consumer()
    }

    pub(super) fn is_client_or_producer(&self) -> bool {
        self.is_client() || self.is_producer()
    }

    pub(super) fn name(&self) -> &'a str {
        &self.sent.name
    }

    pub(super) fn status_message(&self) -> Option<&'a str> {
        let status = self.sent.status.as_ref()?;
        Some(status.message.as_str()).filter(|message| !message.is_empty())
    }

    pub(super) fn last_event_name(&self) -> Option<&'a str> {
        let last = self.sent.events.iter().rev().find(|event| {
            let name = event.name.as_str();
            let (start, end) = (name.strip_suffix("Start"), name.strip_suffix("End"));
            let timed = start.or(end).unwrap_or(name);
            // What browsers do, one after the other; and what XMLHttpRequest and RPC note.
            !matches!(
                timed,
                "navigation"
                    | "fetch"
                    | "redirect"
                    | "domainLookup"
                    | "connect"
                    | "secureConnection"
                    | "request"
                    | "response"
                    | "unloadEvent"
                    | "domInteractive"
                    | "domContentLoadedEvent"
                    | "domComplete"
                    | "loadEvent"
                    | "firstPaint"
                    | "firstContentfulPaint"
                    | "open"
                    | "send"
                    | "loaded"
                    | "message"
            )
        })?;
        Some(last.name.as_str()).filter(|name| !name.is_empty())
    }

    pub(super) fn error_type(&self) -> Option<String> {
        self.text(&["error.type"])
    }

    fn status(&self) -> i32 {
        self.sent.status.as_ref().map_or(0, |status| status.code)
    }

    /// Whether the span failed: the first rule that matches decides.
    pub(super) fn failed(&self) -> bool {
        let status = self.status();
        let http = self.http_status();
        let grpc = self.grpc_number().unwrap_or(0);
        let has_exception = !self.recorded().is_empty();
        let is_not_found = matches!(http, Some(404 | 409 | 410 | 412)) || matches!(grpc, 5 | 6);
        if status == STATUS_OK
            || self.is_cancelled()
            || self.is_control_flow()
            || self.is_server() && http.is_some_and(|status| (400..500).contains(&status))
            || self.is_client() && is_not_found && !has_exception
        {
            return false;
        }
        status == STATUS_ERROR
            || self.is_server() && http.is_some_and(|status| status >= 500)
            || self.is_server() && matches!(grpc, 2 | 4 | 12 | 13 | 14 | 15)
            || self.is_client() && http.is_some_and(|status| status >= 500)
            || self.is_client() && matches!(http, Some(401 | 403 | 407 | 408 | 429))
            || self.is_client() && grpc != 0
            || self.is_client() && self.foreign_rpc_code().is_some()
            || self.error_type().is_some()
    }

    /// Somebody gave up waiting on purpose; a timeout is no such thing.
    fn is_cancelled(&self) -> bool {
        if self.status() == STATUS_OK {
            return false;
        }
        let last = self.recorded().pop();
        let as_error = self.as_error();
        let is_cancellation = self.grpc_number() == Some(1)
            || self.http_status() == Some(499)
            || as_error.is_cancellation()
            || last.as_ref().is_some_and(Exception::is_cancellation);
        let speaks_of_timeout =
            as_error.speaks_of_timeout() || last.is_some_and(|last| last.speaks_of_timeout());
        is_cancellation && !speaks_of_timeout
    }

    /// What the span itself says of its error. Its type counts when no exception was recorded.
    fn as_error(&self) -> Exception {
        Exception {
            full_type: self.error_type().filter(|_| self.recorded().is_empty()),
            message: self.status_message().map(str::to_owned),
            stack: None,
            at_nanos: None,
        }
    }

    /// A SERVER that answered 5xx failed all the same.
    fn is_control_flow(&self) -> bool {
        if self.is_server() && self.http_status().is_some_and(|status| status >= 500) {
            return false;
        }
        let last = self.recorded().pop();
        last.unwrap_or_else(|| self.as_error()).is_control_flow()
    }

    /// The exceptions of the span that are errors.
    pub(super) fn exceptions(&self) -> Vec<Exception> {
        if self.is_cancelled() {
            return Vec::new();
        }
        let is_error = |exception: &Exception| {
            !exception.is_control_flow()
                && (!exception.is_cancellation() || exception.speaks_of_timeout())
        };
        self.recorded().into_iter().filter(is_error).collect()
    }

    /// The exception that a failed span failed with: the last one.
    pub(super) fn thrown(&self) -> Option<Exception> {
        self.exceptions().pop()
    }

    pub(super) fn exception_times_micros(&self) -> Vec<i64> {
        self.recorded()
            .into_iter()
            .map(|exception| self.clamped_micros(exception.at_nanos.unwrap_or(self.end_nanos())))
            .collect()
    }

    fn recorded(&self) -> Vec<Exception> {
        let of_events: Vec<_> = self
            .sent
            .events
            .iter()
            .filter(|event| {
                let level = text(&event.attributes, "level").unwrap_or_default();
                !["TRACE", "DEBUG", "INFO"].contains(&level.to_uppercase().as_str())
            })
            .filter_map(|event| exception(&event.attributes, Some(event.time_unix_nano)))
            .collect();
        if of_events.is_empty() {
            exception(&self.sent.attributes, None).into_iter().collect()
        } else {
            of_events
        }
    }

    /// A request that came from elsewhere: SERVER spans whose parent is not local, and messages
    /// that are worked on.
    pub(super) fn is_entry(&self) -> bool {
        let flags = self.sent.flags;
        let parent_is_local = self.sent.parent_span_id.iter().any(|byte| *byte != 0)
            && if flags & 0x100 != 0 {
                flags & 0x200 == 0
            } else {
                self.parent_is_beside
            };
        let operation = self
            .text(&[
                "messaging.operation.type",
                "messaging.operation",
                "messaging.operation.name",
            ])
            .unwrap_or_default();
        match operation.as_str() {
            _ if self.is_server() => !parent_is_local,
            _ if !self.is_consumer() => false,
            "receive" | "poll" | "create" | "send" | "publish" | "settle" | "ack" | "commit" => {
                false
            }
            "process" | "deliver" => true,
            _ => !parent_is_local,
        }
    }

    pub(super) fn stated_severity(&self) -> Option<String> {
        self.text(&["error.severity"]).filter(|word| {
            ["debug", "info", "warning", "error", "critical"].contains(&word.as_str())
        })
    }

    pub(super) fn stated_category(&self) -> Option<String> {
        self.text(&["error.category"]).filter(|word| {
            [
                "validation",
                "authentication",
                "authorization",
                "external_api",
                "database",
                "file_system",
                "network",
                "application",
                "unknown",
            ]
            .contains(&word.as_str())
        })
    }

    pub(super) fn user_id(&self) -> Option<String> {
        self.text(&["user.id", "enduser.id", "enduser.pseudo.id", "user.hash"])
    }

    pub(super) fn request_id(&self) -> Option<String> {
        self.text(&[
            "http.request.header.x-request-id",
            "http.request.header.x_request_id",
            "request.id",
        ])
    }

    /// Who called; the agent of a call is the service itself.
    pub(super) fn user_agent(&self) -> Option<String> {
        if self.is_client_or_producer() {
            return None;
        }
        self.text(&["user_agent.original", "http.user_agent"])
    }

    /// Who called; the other side of a call is a server.
    pub(super) fn ip_address(&self) -> Option<String> {
        if !self.is_server_or_consumer() {
            return None;
        }
        let address = self.text(&[
            "client.address",
            "http.client_ip",
            "network.peer.address",
            "net.sock.peer.addr",
            "net.peer.ip",
        ])?;
        let parsed: std::net::IpAddr = address.parse().ok()?;
        Some(match parsed {
            std::net::IpAddr::V4(ip) => {
                let [a, b, c, _] = ip.octets();
                std::net::Ipv4Addr::new(a, b, c, 0).to_string()
            }
            std::net::IpAddr::V6(ip) => {
                let [a, b, c, ..] = ip.segments();
                std::net::Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).to_string()
            }
        })
    }

    pub(super) fn external_service(&self) -> Option<String> {
        self.text(&[
            "service.peer.name",
            "peer.service",
            "gen_ai.provider.name",
            "gen_ai.system",
            "server.address",
            "net.peer.name",
            "net.sock.peer.name",
        ])
        .or_else(|| self.text(&["rpc.service"]))
        .or_else(|| {
            let method = self.text(&["rpc.method"]).filter(|_| !self.is_json_rpc())?;
            Some(method.split_once('/')?.0.to_owned())
        })
        .or_else(|| self.text(&["db.system.name", "db.system"]))
        .or_else(|| self.called_host())
        .or_else(|| self.text(&["messaging.system"]))
    }

    /// The host in the URL that was called.
    fn called_host(&self) -> Option<String> {
        let url = self.text(&["url.full", "http.url"])?;
        let (_, rest) = url.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next()?;
        let host = authority.rsplit('@').next()?;
        let port = host.rfind(':').filter(|at| !host[*at..].contains(']'));
        let host = &host[..port.unwrap_or(host.len())];
        Some(host.trim_matches(['[', ']']).to_owned()).filter(|host| !host.is_empty())
    }

    /// The status code that speaks of the failure.
    pub(super) fn http_failure(&self) -> Option<i32> {
        self.http_status().filter(|status| *status >= 400)
    }

    /// Likewise the gRPC code.
    pub(super) fn grpc_failure(&self) -> Option<&'static str> {
        self.grpc_name().filter(|name| *name != "OK")
    }

    /// Whichever it is, as text.
    pub(super) fn status_text(&self) -> Option<String> {
        self.http_failure()
            .map(|status| status.to_string())
            .or_else(|| self.grpc_failure().map(str::to_owned))
            .or_else(|| self.foreign_rpc_code())
            .or_else(|| self.text(&["db.response.status_code", "db.cosmosdb.status_code"]))
    }

    pub(super) fn method(&self) -> String {
        self.http_method().unwrap_or_else(|| {
            let word = if self.is_rpc() {
                "RPC"
            } else if self.is_consumer() {
                "RECEIVE"
            } else if self.is_producer() {
                "PUBLISH"
            } else if self.is_database() {
                "DB"
            } else {
                "INTERNAL"
            };
            word.to_owned()
        })
    }

    fn path(&self) -> Option<String> {
        let path = self.text(&["url.path", "http.target"]).or_else(|| {
            let url = self.text(&["url.full", "http.url"])?;
            let (_, rest) = url.split_once("://")?;
            let path = rest.find('/').map_or("/", |at| &rest[at..]);
            Some(path.to_owned())
        })?;
        Some(path.split(['?', '#']).next().unwrap_or_default().to_owned())
    }

    pub(super) fn endpoint(&self) -> String {
        if let Some(operation) = self.text(&["graphql.operation.name"]) {
            return format!("/graphql {operation}");
        }
        if let Some(route) = self.text(&["http.route"]) {
            return route;
        }
        if self.is_server() && self.http_status() == Some(404) {
            return "(unmatched)".to_owned();
        }
        if let Some(template) = self.text(&["url.template"]) {
            return template;
        }
        if let Some(path) = self.path() {
            return templated(&path);
        }
        if let Some(method) = self.text(&["rpc.method"]) {
            return match self.text(&["rpc.service"]) {
                Some(service) => format!("{service}/{method}"),
                None => method,
            };
        }
        if let Some(template) = self.text(&[
            "messaging.destination.template",
            "messaging.source.template",
        ]) {
            return template;
        }
        let is_temporary = [
            "messaging.destination.anonymous",
            "messaging.destination.temporary",
            "messaging.source.anonymous",
            "messaging.source.temporary",
            "messaging.temp_destination",
        ]
        .iter()
        .any(|key| self.text(&[key]) == Some("true".to_owned()));
        if is_temporary {
            return "(temporary)".to_owned();
        }
        self.text(&[
            "messaging.destination.name",
            "messaging.source.name",
            "messaging.destination",
            "faas.name",
        ])
        .unwrap_or_else(|| {
            let name = self.name();
            let method = self.http_method().unwrap_or_default();
            let rest = name
                .strip_prefix(&method)
                .and_then(|rest| rest.strip_prefix(' '));
            rest.unwrap_or(name).to_owned()
        })
    }

    pub(super) fn is_probe(&self) -> bool {
        let places = [self.path(), self.text(&["http.route"])];
        let is_probe_path = places.iter().flatten().any(|path| {
            path.starts_with("/health") || ["/livez", "/readyz", "/ping"].contains(&path.as_str())
        });
        is_probe_path
            || self
                .user_agent()
                .is_some_and(|agent| agent.starts_with("kube-probe/"))
            || self.text(&["user_agent.synthetic.type"]).is_some()
    }
}

fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    let attribute = attributes.iter().find(|attribute| attribute.key == key)?;
    value_text(attribute.value.as_ref()?)
}

fn value_text(value: &AnyValue) -> Option<String> {
    Some(match value.value.as_ref()? {
        Value::StringValue(text) => text.replace('\0', "\u{fffd}"),
        Value::BoolValue(truth) => truth.to_string(),
        Value::IntValue(number) => number.to_string(),
        Value::DoubleValue(number) => number.to_string(),
        Value::ArrayValue(list) => {
            let lines: Vec<_> = list.values.iter().filter_map(value_text).collect();
            lines.join("\n")
        }
        _ => return None,
    })
}

fn exception(attributes: &[KeyValue], at_nanos: Option<u64>) -> Option<Exception> {
    let read = |key| text(attributes, key).filter(|text| !text.is_empty());
    let exception = Exception {
        full_type: read("exception.type"),
        message: read("exception.message"),
        stack: read("exception.stacktrace"),
        at_nanos,
    };
    (exception.full_type.is_some() || exception.message.is_some()).then_some(exception)
}

/// Numbers, UUIDs, hex and long tokens become `{id}`.
fn templated(path: &str) -> String {
    let is_hex = |segment: &str| segment.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_id = |segment: &str| {
        let digits_only = segment.bytes().all(|byte| byte.is_ascii_digit());
        let uuid = segment.len() == 36 && is_hex(&segment.replace('-', ""));
        !segment.is_empty()
            && (digits_only
                || uuid
                || segment.len() >= 16 && is_hex(segment)
                || segment.len() >= 32)
    };
    let segments: Vec<_> = path
        .split('/')
        .map(|segment| if is_id(segment) { "{id}" } else { segment })
        .collect();
    segments.join("/")
}
