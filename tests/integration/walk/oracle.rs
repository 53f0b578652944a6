//! OTLP as prost understands it, with bytes where it has strings: what the walk should show.

use prost::{Message, Oneof};
use redspan::otlp::{SpanKind, StatusCode};
use serde_json::{Value as Json, json};

use super::seen::{Bytes, Seen, SeenAttributes, SeenEvent, SeenSpan, SeenValue};

#[derive(Clone, PartialEq, Message)]
pub struct Request {
    #[prost(message, repeated, tag = "1")]
    pub resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    pub resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    pub scope_spans: Vec<ScopeSpans>,
    #[prost(bytes = "vec", tag = "3")]
    pub schema_url: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub struct Resource {
    #[prost(message, repeated, tag = "1")]
    pub attributes: Vec<KeyValue>,
    #[prost(uint32, tag = "2")]
    pub dropped_attributes_count: u32,
    #[prost(message, repeated, tag = "3")]
    pub entity_refs: Vec<EntityRef>,
}

#[derive(Clone, PartialEq, Message)]
pub struct EntityRef {
    #[prost(bytes = "vec", tag = "1")]
    pub schema_url: Bytes,
    #[prost(bytes = "vec", tag = "2")]
    pub kind: Bytes,
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub id_keys: Vec<Bytes>,
    #[prost(bytes = "vec", repeated, tag = "4")]
    pub description_keys: Vec<Bytes>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    pub scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    pub spans: Vec<Span>,
    #[prost(bytes = "vec", tag = "3")]
    pub schema_url: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub struct Scope {
    #[prost(bytes = "vec", tag = "1")]
    pub name: Bytes,
    #[prost(bytes = "vec", tag = "2")]
    pub version: Bytes,
    #[prost(message, repeated, tag = "3")]
    pub attributes: Vec<KeyValue>,
    #[prost(uint32, tag = "4")]
    pub dropped_attributes_count: u32,
}

#[expect(clippy::struct_field_names, reason = "the names are OTLP's")]
#[derive(Clone, PartialEq, Message)]
pub struct Span {
    #[prost(bytes = "vec", tag = "1")]
    pub trace_id: Bytes,
    #[prost(bytes = "vec", tag = "2")]
    pub span_id: Bytes,
    #[prost(bytes = "vec", tag = "3")]
    pub trace_state: Bytes,
    #[prost(bytes = "vec", tag = "4")]
    pub parent_span_id: Bytes,
    #[prost(bytes = "vec", tag = "5")]
    pub name: Bytes,
    #[prost(int32, tag = "6")]
    pub kind: i32,
    #[prost(fixed64, tag = "7")]
    pub start_time_unix_nano: u64,
    #[prost(fixed64, tag = "8")]
    pub end_time_unix_nano: u64,
    #[prost(message, repeated, tag = "9")]
    pub attributes: Vec<KeyValue>,
    #[prost(uint32, tag = "10")]
    pub dropped_attributes_count: u32,
    #[prost(message, repeated, tag = "11")]
    pub events: Vec<Event>,
    #[prost(uint32, tag = "12")]
    pub dropped_events_count: u32,
    #[prost(message, repeated, tag = "13")]
    pub links: Vec<Link>,
    #[prost(uint32, tag = "14")]
    pub dropped_links_count: u32,
    #[prost(message, optional, tag = "15")]
    pub status: Option<Status>,
    #[prost(fixed32, tag = "16")]
    pub flags: u32,
}

#[derive(Clone, PartialEq, Message)]
pub struct Event {
    #[prost(fixed64, tag = "1")]
    pub time_unix_nano: u64,
    #[prost(bytes = "vec", tag = "2")]
    pub name: Bytes,
    #[prost(message, repeated, tag = "3")]
    pub attributes: Vec<KeyValue>,
    #[prost(uint32, tag = "4")]
    pub dropped_attributes_count: u32,
}

#[derive(Clone, PartialEq, Message)]
pub struct Link {
    #[prost(bytes = "vec", tag = "1")]
    pub trace_id: Bytes,
    #[prost(bytes = "vec", tag = "2")]
    pub span_id: Bytes,
    #[prost(bytes = "vec", tag = "3")]
    pub trace_state: Bytes,
    #[prost(message, repeated, tag = "4")]
    pub attributes: Vec<KeyValue>,
    #[prost(uint32, tag = "5")]
    pub dropped_attributes_count: u32,
    #[prost(fixed32, tag = "6")]
    pub flags: u32,
}

#[derive(Clone, PartialEq, Message)]
pub struct Status {
    #[prost(bytes = "vec", tag = "2")]
    pub message: Bytes,
    #[prost(int32, tag = "3")]
    pub code: i32,
}

#[derive(Clone, PartialEq, Message)]
pub struct KeyValue {
    #[prost(bytes = "vec", tag = "1")]
    pub key: Bytes,
    #[prost(message, optional, tag = "2")]
    pub value: Option<AnyValue>,
    #[prost(int32, tag = "3")]
    pub key_strindex: i32,
}

#[derive(Clone, PartialEq, Message)]
pub struct AnyValue {
    #[prost(oneof = "OneValue", tags = "1, 2, 3, 4, 5, 6, 7, 8")]
    pub value: Option<OneValue>,
}

#[derive(Clone, PartialEq, Oneof)]
pub enum OneValue {
    #[prost(bytes, tag = "1")]
    Str(Bytes),
    #[prost(bool, tag = "2")]
    Bool(bool),
    #[prost(int64, tag = "3")]
    Int(i64),
    #[prost(double, tag = "4")]
    Double(f64),
    #[prost(message, tag = "5")]
    Array(ArrayValue),
    #[prost(message, tag = "6")]
    Map(KeyValueList),
    #[prost(bytes, tag = "7")]
    Bytes(Bytes),
    #[prost(int32, tag = "8")]
    Strindex(i32),
}

#[derive(Clone, PartialEq, Message)]
pub struct ArrayValue {
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
pub struct KeyValueList {
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<KeyValue>,
}

impl Request {
    /// What a walk should show of it.
    pub fn seen(&self) -> Vec<Seen> {
        let mut seen = Vec::new();
        for resource_spans in &self.resource_spans {
            let resource = resource_spans.resource.clone().unwrap_or_default();
            seen.push(Seen::Resource(
                attributes(&resource.attributes, 0),
                resource.dropped_attributes_count,
            ));
            for scope_spans in &resource_spans.scope_spans {
                let scope = scope_spans.scope.clone().unwrap_or_default();
                seen.push(Seen::Scope(scope.name, scope.version));
                let spans = scope_spans.spans.iter();
                seen.extend(spans.map(|span| Seen::Span(Box::new(span.seen()))));
            }
        }
        seen
    }

    /// The same request in JSON, with 64-bit integers as strings.
    pub fn json(&self) -> Json {
        let resource_spans = self.resource_spans.iter();
        json!({"resourceSpans": resource_spans.map(ResourceSpans::json).collect::<Vec<_>>()})
    }
}

impl ResourceSpans {
    fn json(&self) -> Json {
        let scope_spans: Vec<_> = self.scope_spans.iter().map(ScopeSpans::json).collect();
        let resource = self.resource.as_ref().map(|resource| {
            json!({
                "attributes": json_attributes(&resource.attributes),
                "droppedAttributesCount": resource.dropped_attributes_count,
            })
        });
        json!({"resource": resource, "scopeSpans": scope_spans, "schemaUrl": text(&self.schema_url)})
    }
}

impl ScopeSpans {
    fn json(&self) -> Json {
        let spans: Vec<_> = self.spans.iter().map(Span::json).collect();
        let scope = self.scope.as_ref().map(|scope| {
            json!({
                "name": text(&scope.name),
                "version": text(&scope.version),
                "attributes": json_attributes(&scope.attributes),
            })
        });
        json!({"scope": scope, "spans": spans})
    }
}

impl Span {
    fn seen(&self) -> SeenSpan {
        let status = self.status.clone().unwrap_or_default();
        SeenSpan {
            trace_id: self.trace_id.clone(),
            span_id: self.span_id.clone(),
            parent_span_id: self.parent_span_id.clone(),
            trace_state: self.trace_state.clone(),
            flags: self.flags,
            name: self.name.clone(),
            kind: match self.kind {
                2 => SpanKind::Server,
                3 => SpanKind::Client,
                4 => SpanKind::Producer,
                5 => SpanKind::Consumer,
                _ => SpanKind::Internal,
            },
            start_time_unix_nano: self.start_time_unix_nano,
            end_time_unix_nano: self.end_time_unix_nano,
            attributes: attributes(&self.attributes, 0),
            dropped_attributes_count: self.dropped_attributes_count,
            events: self
                .events
                .iter()
                .map(|event| SeenEvent {
                    time_unix_nano: event.time_unix_nano,
                    name: event.name.clone(),
                    attributes: attributes(&event.attributes, 0),
                    dropped_attributes_count: event.dropped_attributes_count,
                })
                .collect(),
            dropped_events_count: self.dropped_events_count,
            links: self
                .links
                .iter()
                .map(|link| (link.trace_id.clone(), link.span_id.clone()))
                .collect(),
            dropped_links_count: self.dropped_links_count,
            status: match status.code {
                1 => StatusCode::Ok,
                2 => StatusCode::Error,
                _ => StatusCode::Unset,
            },
            status_message: status.message,
        }
    }

    fn json(&self) -> Json {
        let events: Vec<_> = self
            .events
            .iter()
            .map(|event| {
                json!({
                    "timeUnixNano": event.time_unix_nano.to_string(),
                    "name": text(&event.name),
                    "attributes": json_attributes(&event.attributes),
                    "droppedAttributesCount": event.dropped_attributes_count,
                })
            })
            .collect();
        let links: Vec<_> = self
            .links
            .iter()
            .map(|link| json!({"traceId": hex(&link.trace_id), "spanId": hex(&link.span_id)}))
            .collect();
        let status = self
            .status
            .as_ref()
            .map(|status| json!({"code": status.code, "message": text(&status.message)}));
        json!({
            "traceId": hex(&self.trace_id),
            "spanId": hex(&self.span_id),
            "parentSpanId": hex(&self.parent_span_id),
            "traceState": text(&self.trace_state),
            "name": text(&self.name),
            "kind": self.kind,
            "startTimeUnixNano": self.start_time_unix_nano.to_string(),
            "endTimeUnixNano": self.end_time_unix_nano.to_string(),
            "attributes": json_attributes(&self.attributes),
            "droppedAttributesCount": self.dropped_attributes_count,
            "events": events,
            "droppedEventsCount": self.dropped_events_count,
            "links": links,
            "droppedLinksCount": self.dropped_links_count,
            "status": status,
            "flags": self.flags,
        })
    }
}

fn attributes(pairs: &[KeyValue], around: usize) -> SeenAttributes {
    pairs
        .iter()
        .map(|pair| (pair.key.clone(), value(pair.value.as_ref(), around)))
        .collect()
}

fn value(any: Option<&AnyValue>, around: usize) -> SeenValue {
    if around >= 16 {
        return SeenValue::Str(b"[too deep]".to_vec());
    }
    match any.and_then(|any| any.value.as_ref()) {
        None | Some(OneValue::Strindex(_)) => SeenValue::Empty,
        Some(OneValue::Str(text)) => SeenValue::Str(text.clone()),
        Some(OneValue::Bool(value)) => SeenValue::Bool(*value),
        Some(OneValue::Int(value)) => SeenValue::Int(*value),
        Some(OneValue::Double(value)) => SeenValue::Double(*value),
        Some(OneValue::Bytes(bytes)) => SeenValue::Bytes(bytes.clone()),
        Some(OneValue::Array(array)) => {
            let items = array.values.iter();
            SeenValue::Array(items.map(|item| value(Some(item), around + 1)).collect())
        }
        Some(OneValue::Map(map)) => SeenValue::Map(attributes(&map.values, around + 1)),
    }
}

fn json_attributes(pairs: &[KeyValue]) -> Json {
    let pairs = pairs
        .iter()
        .map(|pair| json!({"key": text(&pair.key), "value": pair.value.as_ref().map(json_value)}));
    pairs.collect()
}

fn json_value(any: &AnyValue) -> Json {
    match &any.value {
        None | Some(OneValue::Strindex(_)) => json!({}),
        Some(OneValue::Str(value)) => json!({"stringValue": text(value)}),
        Some(OneValue::Bool(value)) => json!({"boolValue": value}),
        Some(OneValue::Int(value)) => json!({"intValue": value.to_string()}),
        Some(OneValue::Double(value)) if value.is_nan() => json!({"doubleValue": "NaN"}),
        Some(OneValue::Double(value)) if value.is_infinite() => {
            json!({"doubleValue": if *value > 0.0 { "Infinity" } else { "-Infinity" }})
        }
        Some(OneValue::Double(value)) => json!({"doubleValue": value}),
        Some(OneValue::Bytes(bytes)) => json!({"bytesValue": base64(bytes)}),
        Some(OneValue::Array(array)) => {
            let items: Vec<_> = array.values.iter().map(json_value).collect();
            json!({"arrayValue": {"values": items}})
        }
        Some(OneValue::Map(map)) => {
            json!({"kvlistValue": {"values": json_attributes(&map.values)}})
        }
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("requests that become JSON hold text")
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut group = [0; 3];
        group[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        for index in 0..4 {
            text.push(if index <= chunk.len() {
                char::from(ALPHABET[(bits >> (18 - 6 * index) & 63) as usize])
            } else {
                '='
            });
        }
    }
    text
}
