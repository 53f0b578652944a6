//! Spans and log records as applications make them, from a plan that shrinks.

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, ArrayValue, KeyValue, any_value::Value},
    logs::v1::LogRecord,
    trace::v1::{Span, Status, span::Event},
};
use proptest::{collection::vec, prelude::*, sample::Index};

use super::{Made, Record};
use crate::reference;

/// When the first span of every scenario begins: 2026-08-20T10:59:58Z, so that traces cross an hour.
pub(super) const BEGIN_NANOS: u64 = 1_787_223_598_000_000_000;

/// The clock of a scenario ticks ten times a second.
const TICK_NANOS: u64 = 100_000_000;

pub(super) const SERVICES: [&str; 3] = ["shop", "billing", "mail"];

/// What a span does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    HttpServer,
    Internal,
    HttpClient,
    DatabaseClient,
    RpcClient,
    RpcServer,
    Consumer,
    Receive,
    Producer,
}

impl Role {
    /// May run in another service than its parent.
    fn is_asked_from_outside(self) -> bool {
        matches!(self, Self::HttpServer | Self::RpcServer | Self::Consumer)
    }
}

/// How an exception speaks of one below it.
#[derive(Clone, Copy, Debug)]
enum Wraps {
    Nothing,
    TypeInMessage,
    MessageInMessage,
    BothInStack,
    /// It is the same exception, on its way up.
    Same,
}

#[derive(Clone, Debug)]
struct ExceptionPlan {
    which: usize,
    wraps: Wraps,
    inner: Index,
    /// Ticks before the end of its span.
    before_end: u64,
    level: Option<&'static str>,
}

/// An exception that is logged in a span.
#[derive(Clone, Debug)]
struct LogPlan {
    exception: ExceptionPlan,
    severity: i32,
    /// The logger does not know the span, only the trace.
    lacks_span: bool,
    names_user: bool,
}

#[derive(Clone, Debug)]
pub(super) struct SpanPlan {
    parent: Index,
    service: usize,
    role: Role,
    status: i32,
    response: usize,
    exceptions: Vec<ExceptionPlan>,
    logs: Vec<LogPlan>,
    /// Bits that switch on what not every span has.
    extras: u16,
    flags_are_set: bool,
    is_local: bool,
    /// Ticks after the end of the last span that ended; 0 makes ties.
    takes: u64,
    /// Ticks by which a failed span outlives what comes after it.
    outlives: u64,
    /// Failing siblings of the same kind before it.
    retries: usize,
}

fn exception_plan() -> impl Strategy<Value = ExceptionPlan> {
    (
        0..EXCEPTIONS.len(),
        prop_oneof![
            2 => Just(Wraps::Nothing),
            1 => Just(Wraps::TypeInMessage),
            1 => Just(Wraps::MessageInMessage),
            1 => Just(Wraps::BothInStack),
            1 => Just(Wraps::Same),
        ],
        any::<Index>(),
        0..4_u64,
        prop_oneof![8 => Just(None), 1 => Just(Some("INFO")), 1 => Just(Some("ERROR"))],
    )
        .prop_map(|(which, wraps, inner, before_end, level)| ExceptionPlan {
            which,
            wraps,
            inner,
            before_end,
            level,
        })
}

fn log_plan() -> impl Strategy<Value = LogPlan> {
    (
        exception_plan(),
        prop_oneof![
            4 => Just(17),
            1 => Just(0),
            1 => Just(21),
            2 => Just(13),
            2 => Just(9),
        ],
        prop_oneof![5 => Just(false), 1 => Just(true)],
        prop_oneof![5 => Just(false), 1 => Just(true)],
    )
        .prop_map(|(exception, severity, lacks_span, names_user)| LogPlan {
            exception,
            severity,
            lacks_span,
            names_user,
        })
}

pub(super) fn span_plan() -> impl Strategy<Value = SpanPlan> {
    let role = prop_oneof![
        3 => Just(Role::Internal),
        4 => Just(Role::HttpServer),
        3 => Just(Role::HttpClient),
        1 => Just(Role::DatabaseClient),
        1 => Just(Role::RpcClient),
        1 => Just(Role::RpcServer),
        1 => Just(Role::Consumer),
        1 => Just(Role::Receive),
        1 => Just(Role::Producer),
    ];
    let status = prop_oneof![3 => Just(0), 1 => Just(1), 3 => Just(2)];
    let exceptions = prop_oneof![
        5 => Just(Vec::new()),
        4 => vec(exception_plan(), 1),
        1 => vec(exception_plan(), 2..4),
    ];
    let logs = prop_oneof![
        8 => Just(Vec::new()),
        3 => vec(log_plan(), 1),
        1 => vec(log_plan(), 2..4),
    ];
    (
        (any::<Index>(), 0..SERVICES.len(), role, status),
        (0..8_usize, exceptions, logs, any::<u16>(), any::<bool>()),
        (any::<bool>(), 0..3_u64),
        (
            prop_oneof![4 => Just(0_u64), 1 => 1..20_u64],
            prop_oneof![4 => Just(0_usize), 1 => 1..4_usize],
        ),
    )
        .prop_map(
            |(
                (parent, service, role, status),
                (response, exceptions, logs, extras, flags_are_set),
                (is_local, takes),
                (outlives, retries),
            )| SpanPlan {
                parent,
                service,
                role,
                status,
                response,
                exceptions,
                logs,
                extras,
                flags_are_set,
                is_local,
                takes,
                outlives,
                retries,
            },
        )
}

/// A planned span with the place of its parent in the list.
struct Planned {
    plan: SpanPlan,
    parent: Option<usize>,
    service: usize,
}

pub(super) fn make_records(traces: &[Vec<SpanPlan>]) -> Vec<Made> {
    let (mut spans, mut logs) = (Vec::new(), Vec::new());
    for (number, plans) in traces.iter().enumerate() {
        let planned = plant(plans);
        let mut maker = Maker {
            trace: u8::try_from(number + 1).expect("a few traces"),
            clock: 5 * u64::try_from(number).expect("a few traces"),
            planned: &planned,
            made: Vec::new(),
            logs: Vec::new(),
        };
        for root in (0..planned.len()).filter(|index| planned[*index].parent.is_none()) {
            maker.make(root);
        }
        spans.append(&mut maker.made);
        logs.append(&mut maker.logs);
    }
    spans.sort_by_key(|made| made.span().map(|span| span.end_time_unix_nano));
    spans.extend(logs);
    spans
}

/// Hangs each span below one that was planned before it, and multiplies what is retried.
fn plant(plans: &[SpanPlan]) -> Vec<Planned> {
    let mut planned: Vec<Planned> = Vec::new();
    for plan in plans {
        let parent = (!planned.is_empty()).then(|| plan.parent.index(planned.len()));
        let service = match parent {
            Some(parent) if !plan.role.is_asked_from_outside() => planned[parent].service,
            _ => plan.service,
        };
        let is_retried = matches!(plan.role, Role::HttpClient | Role::RpcClient);
        for _ in 0..if is_retried { plan.retries } else { 0 } {
            let mut attempt = plan.clone();
            attempt.status = 2;
            attempt.response = 6;
            planned.push(Planned {
                plan: attempt,
                parent,
                service,
            });
        }
        planned.push(Planned {
            plan: plan.clone(),
            parent,
            service,
        });
    }
    planned
}

struct Maker<'p> {
    trace: u8,
    clock: u64,
    planned: &'p [Planned],
    made: Vec<Made>,
    logs: Vec<Made>,
}

impl Maker<'_> {
    /// Makes the spans below, then the span: so they end in this order. Returns the exceptions
    /// recorded on it and below it.
    fn make(&mut self, index: usize) -> Vec<(String, String)> {
        let planned = self.planned;
        let start = self.clock;
        let mut below = Vec::new();
        for (child, _) in planned
            .iter()
            .enumerate()
            .filter(|(_, it)| it.parent == Some(index))
        {
            below.extend(self.make(child));
        }
        let Planned {
            plan,
            parent,
            service,
        } = &planned[index];
        self.clock += plan.takes;
        let mut span = Span {
            trace_id: [vec![7; 15], vec![self.trace]].concat(),
            span_id: [
                vec![9; 7],
                vec![u8::try_from(index + 1).expect("few spans")],
            ]
            .concat(),
            parent_span_id: parent.map_or_else(Vec::new, |parent| {
                [
                    vec![9; 7],
                    vec![u8::try_from(parent + 1).expect("few spans")],
                ]
                .concat()
            }),
            start_time_unix_nano: nanos(start),
            end_time_unix_nano: nanos(self.clock),
            status: Some(Status {
                code: plan.status,
                message: if plan.status == 2 && has(plan, 0) {
                    "it did not work".to_owned()
                } else {
                    String::new()
                },
            }),
            flags: flags(plan, parent.map(|parent| planned[parent].service), *service),
            ..Span::default()
        };
        describe(&mut span, plan);
        for (number, exception) in plan.exceptions.iter().enumerate() {
            let (event, thrown) = throw(exception, &below, self.clock);
            if has(plan, 8) && has(plan, 9) {
                span.attributes.extend(event.attributes);
            } else {
                span.events.push(event);
            }
            if exception.level != Some("INFO") {
                below.push(thrown);
            }
            if number == 0 && has(plan, 1) {
                span.events.push(Event {
                    time_unix_nano: nanos(start),
                    name: "cache.miss".to_owned(),
                    ..Event::default()
                });
            }
        }
        for log in &plan.logs {
            let (event, thrown) = throw(&log.exception, &below, self.clock);
            let record = self.log(log, event, &span);
            self.logs.push(Made {
                service: *service,
                record: Record::Log(record),
            });
            below.push(thrown);
        }
        if reference::failed(&span) {
            span.end_time_unix_nano += plan.outlives * TICK_NANOS;
        }
        let is_lost = has(plan, 13) && has(plan, 14) && has(plan, 15);
        if !is_lost {
            self.made.push(Made {
                service: *service,
                record: Record::Span(span),
            });
        }
        below
    }

    /// The record of what was thrown. No two have the same time.
    fn log(&self, plan: &LogPlan, event: Event, span: &Span) -> LogRecord {
        let number = u64::try_from(self.logs.len() + 1).expect("few records");
        let mut attributes = event.attributes;
        if plan.names_user {
            attributes.push(text("user.id", "u-3"));
        }
        LogRecord {
            time_unix_nano: event.time_unix_nano + number * 1_000,
            severity_number: plan.severity,
            body: Some(AnyValue {
                value: Some(Value::StringValue("it did not go well".to_owned())),
            }),
            attributes,
            trace_id: span.trace_id.clone(),
            span_id: if plan.lacks_span {
                Vec::new()
            } else {
                span.span_id.clone()
            },
            ..LogRecord::default()
        }
    }
}

const fn nanos(ticks: u64) -> u64 {
    BEGIN_NANOS + ticks * TICK_NANOS
}

/// Without flags a nested SERVER span is told by what else the request holds, which is not what
/// this test is about: there flags are always set.
fn flags(plan: &SpanPlan, parent_service: Option<usize>, service: usize) -> u32 {
    let Some(parent_service) = parent_service else {
        return if plan.flags_are_set { 0x101 } else { 0 };
    };
    let is_elsewhere = parent_service != service;
    let is_remote = is_elsewhere || plan.role.is_asked_from_outside() && !plan.is_local;
    let may_be_unset = is_elsewhere || !plan.role.is_asked_from_outside();
    if may_be_unset && !plan.flags_are_set {
        0
    } else if is_remote {
        0x301
    } else {
        0x101
    }
}

/// Types and messages, few enough to meet again.
const EXCEPTIONS: [(&str, &str); 13] = [
    ("shop.errors.PaymentDeclined", "the bank said no to card 4"),
    ("java.sql.SQLException", "no such column: total_amount"),
    ("Error", "the printer is jammed"),
    ("*errors.errorString", "short"),
    ("shop::TimeoutError", "took too long"),
    ("", "a message without a type"),
    ("java.lang.OutOfMemoryError", "Java heap space"),
    ("ValidationError", "total must be positive\nat field total"),
    ("builtins.ValueError", "bad"),
    ("asyncio.exceptions.CancelledError", "gone away"),
    ("shop.errors.Bare", ""),
    ("builtins.KeyError", "no ValueError_code here"),
    ("App\\Domain\\OrderMissing", "order 17 is not there"),
];

fn throw(
    plan: &ExceptionPlan,
    below: &[(String, String)],
    clock: u64,
) -> (Event, (String, String)) {
    let (mut own_type, own_message) = EXCEPTIONS[plan.which];
    let mut message = own_message.to_owned();
    let mut stack = format!(
        "{own_type}: {own_message}\n  at handle (app.js:{})",
        plan.which
    );
    if !below.is_empty() {
        let (inner_type, inner_message) = plan.inner.get(below);
        match plan.wraps {
            Wraps::Nothing => {}
            Wraps::Same => {
                own_type = inner_type;
                message.clone_from(inner_message);
            }
            Wraps::TypeInMessage => message = format!("{own_message} <- {inner_type}"),
            Wraps::MessageInMessage => message = format!("{own_message}: {inner_message}"),
            Wraps::BothInStack => {
                stack = format!("{stack}\nCaused by: {inner_type}: {inner_message}");
            }
        }
    }
    let mut attributes = Vec::new();
    if !message.is_empty() {
        attributes.push(text("exception.message", &message));
    }
    if !own_type.is_empty() {
        attributes.push(text("exception.type", own_type));
    }
    if matches!(plan.wraps, Wraps::BothInStack) || plan.which.is_multiple_of(2) {
        attributes.push(text("exception.stacktrace", &stack));
    }
    if let Some(level) = plan.level {
        attributes.push(text("level", level));
    }
    let event = Event {
        time_unix_nano: nanos(clock) - plan.before_end * TICK_NANOS,
        name: "exception".to_owned(),
        attributes,
        ..Event::default()
    };
    (event, (own_type.to_owned(), message))
}

fn has(plan: &SpanPlan, extra: u16) -> bool {
    plan.extras & 1 << extra != 0
}

/// Name, kind and attributes.
fn describe(span: &mut Span, plan: &SpanPlan) {
    let extra = |bit| has(plan, bit);
    let http = [
        None,
        Some(200),
        Some(404),
        Some(422),
        Some(401),
        Some(500),
        Some(503),
        Some(429),
    ];
    let http = http[plan.response];
    let grpc = [0, 0, 3, 5, 13, 14, 14, 16][plan.response];
    let mut attributes = Vec::new();
    let (name, kind) = match plan.role {
        Role::Internal => {
            if extra(12) && extra(13) {
                let types = ["shop.errors.Odd", "AbortError", "celery.exceptions.Retry"];
                attributes.push(text("error.type", types[plan.response % 3]));
            }
            ("work", 1)
        }
        Role::HttpServer => {
            attributes.push(text("http.request.method", "POST"));
            if let Some(status) = http {
                let names = ["http.response.status_code", "http.status_code"];
                attributes.push(number(names[usize::from(extra(2))], status));
            }
            attributes.push(text("url.path", "/orders/4711"));
            if extra(3) {
                let is_probe = extra(10) && extra(11);
                let route = if is_probe {
                    "/healthz"
                } else {
                    "/orders/{order}"
                };
                attributes.push(text("http.route", route));
            }
            if extra(4) {
                attributes.push(text("user.id", "u-1"));
                attributes.push(text("client.address", "203.0.113.77"));
            }
            if extra(5) {
                attributes.push(text("user_agent.original", "curl/8"));
                attributes.push(list("http.request.header.x-request-id", &["r-9"]));
            }
            ("POST", 2)
        }
        Role::HttpClient => {
            attributes.push(text("http.request.method", "GET"));
            attributes.push(text("server.address", "bank.example"));
            attributes.push(text("url.full", "https://bank.example/charge"));
            if let Some(status) = http {
                attributes.push(number("http.response.status_code", status));
                if status >= 400 && extra(2) {
                    attributes.push(text("error.type", &status.to_string()));
                }
            }
            ("GET", 3)
        }
        Role::DatabaseClient => {
            attributes.push(text("db.system.name", "postgresql"));
            ("SELECT orders", 3)
        }
        Role::RpcClient | Role::RpcServer => {
            attributes.extend(rpc(grpc, extra(2), extra(3)));
            let kind = if plan.role == Role::RpcServer { 2 } else { 3 };
            ("bank.Cards/Charge", kind)
        }
        Role::Consumer | Role::Receive | Role::Producer => {
            attributes.push(text("messaging.system", "kafka"));
            attributes.push(text("messaging.destination.name", "orders"));
            let (operation, kind) = match plan.role {
                Role::Consumer => ("process", 5),
                Role::Receive => ("receive", 5),
                _ => ("send", 4),
            };
            attributes.push(text("messaging.operation.type", operation));
            ("orders", kind)
        }
    };
    if extra(6) && extra(7) {
        attributes.push(text("enduser.id", "u-2"));
    }
    if extra(7) && extra(8) && extra(14) {
        attributes.push(text("error.category", "file_system"));
        attributes.push(text("error.severity", "critical"));
    }
    name.clone_into(&mut span.name);
    span.kind = kind;
    span.attributes = attributes;
}

/// What a call of any generation says.
fn rpc(code: i64, is_named_anew: bool, is_coded_anew: bool) -> Vec<KeyValue> {
    let [system_key, system, code_key] = match (is_named_anew, is_coded_anew) {
        (false, false) => ["rpc.system", "grpc", "rpc.grpc.status_code"],
        (true, false) => ["rpc.system.name", "grpc", "rpc.response.status_code"],
        (false, true) => ["rpc.system.name", "grpc", "rpc.status_code"],
        (true, true) => ["rpc.system", "jsonrpc", "rpc.jsonrpc.error_code"],
    };
    let method = text("rpc.method", "bank.Cards/Charge");
    let mut said = vec![text(system_key, system), method];
    if system == "grpc" || code != 0 {
        said.push(number(code_key, code));
    }
    said
}

pub(super) fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn number(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::IntValue(value))
}

fn list(key: &str, values: &[&str]) -> KeyValue {
    let values = values
        .iter()
        .map(|value| AnyValue {
            value: Some(Value::StringValue((*value).to_owned())),
        })
        .collect();
    attribute(key, Value::ArrayValue(ArrayValue { values }))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}
