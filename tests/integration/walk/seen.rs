//! Everything a walk shows, as owned values that can be compared.

use redspan::otlp::{
    Attribute, Counts, Encoding, Limits, Records, Refusal, ResourceView, ScopeView, SpanKind,
    SpanView, StatusCode, Value, Visitor, walk,
};

pub type Bytes = Vec<u8>;

#[derive(Clone, Debug)]
pub enum SeenValue {
    Empty,
    Str(Bytes),
    Bool(bool),
    Int(i64),
    Double(f64),
    Bytes(Bytes),
    Array(Vec<SeenValue>),
    Map(Vec<(Bytes, SeenValue)>),
}

/// Floats are compared by their bits, so that NaN is itself.
impl PartialEq for SeenValue {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Empty, Self::Empty) => true,
            (Self::Str(a), Self::Str(b)) | (Self::Bytes(a), Self::Bytes(b)) => a == b,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Double(a), Self::Double(b)) => a.to_bits() == b.to_bits(),
            (Self::Array(a), Self::Array(b)) => a == b,
            (Self::Map(a), Self::Map(b)) => a == b,
            _ => false,
        }
    }
}

pub type SeenAttributes = Vec<(Bytes, SeenValue)>;

#[derive(Clone, Debug, PartialEq)]
pub struct SeenEvent {
    pub time_unix_nano: u64,
    pub name: Bytes,
    pub attributes: SeenAttributes,
    pub dropped_attributes_count: u32,
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct SeenSpan {
    pub trace_id: Bytes,
    pub span_id: Bytes,
    pub parent_span_id: Bytes,
    pub trace_state: Bytes,
    pub flags: u32,
    pub name: Bytes,
    pub kind: SpanKind,
    pub start_time_unix_nano: u64,
    pub end_time_unix_nano: u64,
    pub attributes: SeenAttributes,
    pub dropped_attributes_count: u32,
    pub events: Vec<SeenEvent>,
    pub dropped_events_count: u32,
    pub links: Vec<(Bytes, Bytes)>,
    pub dropped_links_count: u32,
    pub status: StatusCode,
    pub status_message: Bytes,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    Resource(SeenAttributes, u32),
    Scope(Bytes, Bytes),
    Span(Box<SeenSpan>),
}

/// All that a body holds, in the order shown.
pub fn see(body: &[u8], encoding: Encoding) -> Result<Vec<Seen>, Refusal> {
    let mut seeing = Seeing::default();
    let counts = walk(
        Records::Spans,
        body,
        encoding,
        &Limits::default(),
        &mut seeing,
    )?;
    assert_eq!(counts, seeing.counts);
    Ok(seeing.seen)
}

pub fn see_json(body: &str) -> Result<Vec<Seen>, Refusal> {
    see(body.as_bytes(), Encoding::Json)
}

#[derive(Default)]
struct Seeing {
    seen: Vec<Seen>,
    counts: Counts,
}

impl Visitor for Seeing {
    fn resource(&mut self, resource: &ResourceView<'_>) {
        self.counts.resources += 1;
        self.seen.push(Seen::Resource(
            attributes(resource.attributes.iter().copied()),
            resource.dropped_attributes_count,
        ));
    }

    fn scope(&mut self, scope: &ScopeView<'_>) {
        self.counts.scopes += 1;
        self.seen
            .push(Seen::Scope(scope.name.to_vec(), scope.version.to_vec()));
    }

    fn span(&mut self, span: &SpanView<'_>) {
        self.counts.records += 1;
        self.seen.push(Seen::Span(Box::new(SeenSpan {
            trace_id: span.trace_id.to_vec(),
            span_id: span.span_id.to_vec(),
            parent_span_id: span.parent_span_id.to_vec(),
            trace_state: span.trace_state.to_vec(),
            flags: span.flags,
            name: span.name.to_vec(),
            kind: span.kind,
            start_time_unix_nano: span.start_time_unix_nano,
            end_time_unix_nano: span.end_time_unix_nano,
            attributes: attributes(span.attributes.iter().copied()),
            dropped_attributes_count: span.dropped_attributes_count,
            events: span
                .events
                .iter()
                .map(|event| SeenEvent {
                    time_unix_nano: event.time_unix_nano,
                    name: event.name.to_vec(),
                    attributes: attributes(event.attributes.iter()),
                    dropped_attributes_count: event.dropped_attributes_count,
                })
                .collect(),
            dropped_events_count: span.dropped_events_count,
            links: span
                .links
                .iter()
                .map(|link| (link.trace_id.to_vec(), link.span_id.to_vec()))
                .collect(),
            dropped_links_count: span.dropped_links_count,
            status: span.status,
            status_message: span.status_message.to_vec(),
        })));
    }
}

fn attributes<'a>(attributes: impl Iterator<Item = Attribute<'a>>) -> SeenAttributes {
    attributes
        .map(|attribute| (attribute.key.to_vec(), value(&attribute.value)))
        .collect()
}

pub fn value(of: &Value<'_>) -> SeenValue {
    match of {
        Value::Empty => SeenValue::Empty,
        Value::Str(text) => SeenValue::Str(text.to_vec()),
        Value::Bool(value) => SeenValue::Bool(*value),
        Value::Int(value) => SeenValue::Int(*value),
        Value::Double(value) => SeenValue::Double(*value),
        Value::Bytes(bytes) => SeenValue::Bytes(bytes.to_vec()),
        Value::Array(_) => SeenValue::Array(of.items().map(|item| value(&item)).collect()),
        Value::Map(_) => SeenValue::Map(attributes(of.entries())),
    }
}
