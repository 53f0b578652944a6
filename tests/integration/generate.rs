//! Traces as they happen, and the ways in which they may arrive: any order that exporters can
//! produce, any cuts into requests, any replays, two replicas. Everything shrinks.

use std::{collections::BTreeMap, fmt};

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, ArrayValue, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span::Event},
};
use proptest::{collection::vec, prelude::*, sample::Index};

use crate::reference;

/// When the first span of every scenario begins: 2026-08-20T10:59:58Z, so that traces cross an hour.
const BEGIN_NANOS: u64 = 1_787_223_598_000_000_000;

/// The clock of a scenario ticks ten times a second.
const TICK_NANOS: u64 = 100_000_000;

/// When every request of a scenario is received.
pub const RECEIVED_AT_MICROS: i64 = 1_787_223_660_000_000;

const SERVICES: [&str; 3] = ["shop", "billing", "mail"];

/// A few traces, and one way in which they arrive.
#[derive(Clone)]
pub struct Scenario {
    /// In the order in which they ended.
    pub spans: Vec<Made>,
    /// What is sent, in order.
    pub deliveries: Vec<Delivery>,
}

/// A span and the service that made it.
#[derive(Clone, Debug)]
pub struct Made {
    service: usize,
    span: Span,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Which spans, in order.
    pub spans: Vec<usize>,
    /// To which of two replicas.
    pub replica: usize,
    /// It is committed in one group with the request before it, if that goes to the same replica.
    pub joins_group: bool,
    /// What it is.
    pub kind: DeliveryKind,
}

/// Why a request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryKind {
    /// Its spans were not sent before.
    First,
    /// The same request again, byte by byte.
    Retry,
    /// Spans that were sent before, in a request that was not.
    Rebatched,
}

impl Scenario {
    /// The request of a delivery.
    pub fn request(&self, delivery: &Delivery) -> ExportTraceServiceRequest {
        envelope(delivery.spans.iter().map(|index| &self.spans[*index]))
    }

    /// Every span once, in one request.
    pub fn whole(&self) -> ExportTraceServiceRequest {
        envelope(&self.spans)
    }

    /// The same traces, all in one request.
    pub fn in_one_request(&self) -> Self {
        Self {
            spans: self.spans.clone(),
            deliveries: vec![Delivery {
                spans: (0..self.spans.len()).collect(),
                replica: 0,
                joins_group: false,
                kind: DeliveryKind::First,
            }],
        }
    }

    /// Whether entry spans come again in other requests at a replica that did not see them before:
    /// request totals are allowed to count those twice.
    pub fn may_count_requests_again(&self) -> bool {
        let rebatched = |delivery: &Delivery| delivery.kind == DeliveryKind::Rebatched;
        self.deliveries.iter().any(rebatched)
            && self.deliveries.iter().any(|delivery| delivery.replica != 0)
    }
}

impl fmt::Debug for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "spans, in the order in which they ended:")?;
        for (index, Made { service, span }) in self.spans.iter().enumerate() {
            let failed = if reference::failed(span) {
                "FAILED"
            } else {
                ""
            };
            write!(
                f,
                "  #{index} {} trace {} span {} parent {} kind {} flags {:x} end +{}ms {} {failed}",
                SERVICES[*service],
                span.trace_id[15],
                span.span_id[7],
                span.parent_span_id.last().unwrap_or(&0),
                span.kind,
                span.flags,
                (span.end_time_unix_nano - BEGIN_NANOS) / 1_000_000,
                span.name,
            )?;
            if let Some(status) = &span.status {
                write!(f, " status {} {:?}", status.code, status.message)?;
            }
            writeln!(f)?;
            print_attributes(f, "     ", &span.attributes)?;
            for event in &span.events {
                let at = event.time_unix_nano.saturating_sub(BEGIN_NANOS) / 1_000_000;
                writeln!(f, "     event {} +{at}ms", event.name)?;
                print_attributes(f, "       ", &event.attributes)?;
            }
        }
        writeln!(f, "deliveries:")?;
        for delivery in &self.deliveries {
            writeln!(f, "  {delivery:?}")?;
        }
        Ok(())
    }
}

fn print_attributes(
    f: &mut fmt::Formatter<'_>,
    indent: &str,
    attributes: &[KeyValue],
) -> fmt::Result {
    for attribute in attributes {
        let value = attribute.value.as_ref().and_then(|any| any.value.as_ref());
        writeln!(f, "{indent}{} = {value:?}", attribute.key)?;
    }
    Ok(())
}

fn envelope<'a>(spans: impl IntoIterator<Item = &'a Made>) -> ExportTraceServiceRequest {
    let mut by_service: Vec<(usize, Vec<Span>)> = Vec::new();
    for Made { service, span } in spans {
        match by_service.iter_mut().find(|(name, _)| name == service) {
            Some((_, spans)) => spans.push(span.clone()),
            None => by_service.push((*service, vec![span.clone()])),
        }
    }
    let resource_spans = by_service
        .into_iter()
        .map(|(service, spans)| ResourceSpans {
            resource: Some(Resource {
                attributes: vec![
                    text("service.name", SERVICES[service]),
                    text("deployment.environment.name", "test"),
                    text("service.version", "1.2.3"),
                ],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                spans,
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        })
        .collect();
    ExportTraceServiceRequest { resource_spans }
}

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

#[derive(Clone, Debug)]
struct SpanPlan {
    parent: Index,
    service: usize,
    role: Role,
    status: i32,
    response: usize,
    exceptions: Vec<ExceptionPlan>,
    extras: u8,
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

fn span_plan() -> impl Strategy<Value = SpanPlan> {
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
    (
        (any::<Index>(), 0..SERVICES.len(), role, status),
        (0..8_usize, exceptions, any::<u8>(), any::<bool>()),
        (any::<bool>(), 0..3_u64),
        (
            prop_oneof![4 => Just(0_u64), 1 => 1..20_u64],
            prop_oneof![4 => Just(0_usize), 1 => 1..4_usize],
        ),
    )
        .prop_map(
            |(
                (parent, service, role, status),
                (response, exceptions, extras, flags_are_set),
                (is_local, takes),
                (outlives, retries),
            )| SpanPlan {
                parent,
                service,
                role,
                status,
                response,
                exceptions,
                extras,
                flags_are_set,
                is_local,
                takes,
                outlives,
                retries,
            },
        )
}

#[derive(Clone, Debug)]
struct ReplayPlan {
    what: Index,
    to: Index,
    at: Index,
    replica: usize,
    same_request: bool,
}

fn replay_plan() -> impl Strategy<Value = ReplayPlan> {
    (
        any::<Index>(),
        any::<Index>(),
        any::<Index>(),
        0..2_usize,
        any::<bool>(),
    )
        .prop_map(|(what, to, at, replica, same_request)| ReplayPlan {
            what,
            to,
            at,
            replica,
            same_request,
        })
}

/// Every scenario that this test is about.
pub fn scenario() -> impl Strategy<Value = Scenario> {
    let traces = vec(vec(span_plan(), 1..9), 1..3);
    let places = vec(any::<u16>(), 64);
    let cuts = vec((any::<bool>(), 0..2_usize, any::<bool>()), 64);
    let replays = vec(replay_plan(), 0..4);
    (traces, places, cuts, replays).prop_map(|(traces, places, cuts, replays)| {
        let spans = make_spans(&traces);
        let deliveries = deliver(&spans, &places, &cuts, &replays);
        Scenario { spans, deliveries }
    })
}

// ---- spans ----

/// A planned span with the place of its parent in the list.
struct Planned {
    plan: SpanPlan,
    parent: Option<usize>,
    service: usize,
}

fn make_spans(traces: &[Vec<SpanPlan>]) -> Vec<Made> {
    let mut spans = Vec::new();
    for (number, plans) in traces.iter().enumerate() {
        let planned = plant(plans);
        let mut maker = Maker {
            trace: u8::try_from(number + 1).expect("a few traces"),
            clock: 5 * u64::try_from(number).expect("a few traces"),
            planned: &planned,
            made: Vec::new(),
        };
        for root in (0..planned.len()).filter(|index| planned[*index].parent.is_none()) {
            maker.make(root);
        }
        spans.append(&mut maker.made);
    }
    spans.sort_by_key(|made| made.span.end_time_unix_nano);
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
                message: if plan.status == 2 && plan.extras & 1 != 0 {
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
            span.events.push(event);
            if exception.level != Some("INFO") {
                below.push(thrown);
            }
            if number == 0 && plan.extras & 2 != 0 {
                span.events.push(Event {
                    time_unix_nano: nanos(start),
                    name: "cache.miss".to_owned(),
                    ..Event::default()
                });
            }
        }
        if reference::failed(&span) {
            span.end_time_unix_nano += plan.outlives * TICK_NANOS;
        }
        self.made.push(Made {
            service: *service,
            span,
        });
        below
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
const EXCEPTIONS: [(&str, &str); 11] = [
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
    ("App\\Domain\\OrderMissing", "order 17 is not there"),
];

fn throw(
    plan: &ExceptionPlan,
    below: &[(String, String)],
    clock: u64,
) -> (Event, (String, String)) {
    let (own_type, own_message) = EXCEPTIONS[plan.which];
    let mut message = own_message.to_owned();
    let mut stack = format!(
        "{own_type}: {own_message}\n  at handle (app.js:{})",
        plan.which
    );
    if !below.is_empty() {
        let (inner_type, inner_message) = plan.inner.get(below);
        match plan.wraps {
            Wraps::Nothing => {}
            Wraps::TypeInMessage => message = format!("{own_message} <- {inner_type}"),
            Wraps::MessageInMessage => message = format!("{own_message}: {inner_message}"),
            Wraps::BothInStack => {
                stack = format!("{stack}\nCaused by: {inner_type}: {inner_message}");
            }
        }
    }
    let mut attributes = vec![text("exception.message", &message)];
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

/// Name, kind and attributes.
fn describe(span: &mut Span, plan: &SpanPlan) {
    let extra = |bit: u8| plan.extras & 1 << bit != 0;
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
        Role::Internal => ("work", 1),
        Role::HttpServer => {
            attributes.push(text("http.request.method", "POST"));
            if let Some(status) = http {
                let names = ["http.response.status_code", "http.status_code"];
                attributes.push(number(names[usize::from(extra(2))], status));
            }
            attributes.push(text("url.path", "/orders/4711"));
            if extra(3) {
                attributes.push(text("http.route", "/orders/{order}"));
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
            attributes.push(text("rpc.system.name", "grpc"));
            attributes.push(text("rpc.method", "bank.Cards/Charge"));
            attributes.push(number("rpc.grpc.status_code", grpc));
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
    name.clone_into(&mut span.name);
    span.kind = kind;
    span.attributes = attributes;
}

fn text(key: &str, value: &str) -> KeyValue {
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

// ---- how they arrive ----

/// An order that exporters can produce: within one service's part of a trace, spans that did not
/// fail come as they ended; failed ones anywhere before the first span above them that did not
/// fail. Whatever belongs to different services or traces is shuffled freely.
fn order(spans: &[Made], places: &[u16]) -> Vec<usize> {
    let mut parts: BTreeMap<(usize, &[u8]), Vec<usize>> = BTreeMap::new();
    for (index, made) in spans.iter().enumerate() {
        let part = (made.service, made.span.trace_id.as_slice());
        parts.entry(part).or_default().push(index);
    }
    let place = |index: usize| usize::from(places[index % places.len()]);
    let mut order: Vec<(usize, usize)> = Vec::new();
    for part in parts.values() {
        let (failed, mut sequence): (Vec<usize>, Vec<usize>) = part
            .iter()
            .partition(|index| reference::failed(&spans[**index].span));
        for index in failed {
            let latest = first_success_above(spans, part, index)
                .and_then(|above| sequence.iter().position(|other| *other == above))
                .unwrap_or(sequence.len());
            sequence.insert(latest - place(index) % (latest + 1), index);
        }
        let mut keys: Vec<usize> = part.iter().map(|index| place(index + 31)).collect();
        keys.sort_unstable();
        order.extend(keys.into_iter().zip(sequence));
    }
    order.sort_by_key(|(key, _)| *key);
    order.into_iter().map(|(_, index)| index).collect()
}

fn first_success_above(spans: &[Made], part: &[usize], index: usize) -> Option<usize> {
    let parent = &spans[index].span.parent_span_id;
    let above = *part
        .iter()
        .find(|other| spans[**other].span.span_id == *parent)?;
    if reference::failed(&spans[above].span) {
        first_success_above(spans, part, above)
    } else {
        Some(above)
    }
}

fn deliver(
    spans: &[Made],
    places: &[u16],
    cuts: &[(bool, usize, bool)],
    replays: &[ReplayPlan],
) -> Vec<Delivery> {
    let mut deliveries: Vec<Delivery> = Vec::new();
    let mut is_cut = true;
    for (position, index) in order(spans, places).into_iter().enumerate() {
        let (cut, replica, joins_group) = cuts[position % cuts.len()];
        if is_cut {
            deliveries.push(Delivery {
                spans: Vec::new(),
                replica,
                joins_group,
                kind: DeliveryKind::First,
            });
        }
        let last = deliveries.last_mut().expect("the first span is cut off");
        last.spans.push(index);
        is_cut = cut;
    }
    for replay in replays {
        let what = replay.what.index(deliveries.len());
        let (mut again, kind) = if replay.same_request {
            (deliveries[what].spans.clone(), DeliveryKind::Retry)
        } else {
            let to = replay.to.index(deliveries.len());
            let range = what.min(to)..=what.max(to);
            let mut spans: Vec<usize> = deliveries[range]
                .iter()
                .flat_map(|delivery| delivery.spans.iter().copied())
                .collect();
            spans.sort_unstable();
            spans.dedup();
            (spans, DeliveryKind::Rebatched)
        };
        // A batch that happens to be one that was sent is a retry.
        let is_sent = |delivery: &Delivery| delivery.spans == again;
        let kind = if deliveries.iter().any(is_sent) {
            DeliveryKind::Retry
        } else {
            kind
        };
        let after = match kind {
            DeliveryKind::Rebatched => what.max(replay.to.index(deliveries.len())),
            _ => deliveries.iter().position(is_sent).unwrap_or(what),
        };
        let at = after + 1 + replay.at.index(deliveries.len() - after);
        deliveries.insert(
            at,
            Delivery {
                spans: std::mem::take(&mut again),
                replica: replay.replica,
                joins_group: false,
                kind,
            },
        );
    }
    deliveries
}
