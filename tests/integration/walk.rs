//! The walk against prost: what is seen, and what is refused.

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList, any_value},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, span},
};
use prost::Message;
use redspan::otlp::{Encoding, Limits, ResourceView, ScopeView, SpanView, Value, Visitor, walk};

#[derive(Default)]
struct Seen(String);

impl Visitor for Seen {
    fn resource(&mut self, resource: &ResourceView<'_>) {
        self.0 += &format!("resource {}\n", resource.attributes.len());
    }
    fn scope(&mut self, scope: &ScopeView<'_>) {
        self.0 += &format!("scope {}\n", String::from_utf8_lossy(scope.name));
    }
    fn span(&mut self, span: &SpanView<'_>) {
        self.0 += &format!(
            "span {} {:?}\n",
            String::from_utf8_lossy(span.name),
            span.kind
        );
        for attribute in span.attributes {
            self.value(attribute.key, &attribute.value);
        }
        for event in span.events {
            for attribute in &event.attributes {
                self.value(attribute.key, &attribute.value);
            }
        }
    }
}

impl Seen {
    fn value(&mut self, key: &[u8], value: &Value<'_>) {
        self.0 += &format!("{}:", String::from_utf8_lossy(key));
        match value {
            Value::Str(text) => self.0 += &format!("{} ", String::from_utf8_lossy(text)),
            Value::Array(_) => {
                for item in value.items() {
                    self.value(b"", &item);
                }
            }
            Value::Map(_) => {
                for entry in value.entries() {
                    self.value(entry.key, &entry.value);
                }
            }
            other => self.0 += &format!("{other:?} "),
        }
    }
}

fn any(value: any_value::Value) -> Option<AnyValue> {
    Some(AnyValue { value: Some(value) })
}

fn pair(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: any(value),
        ..KeyValue::default()
    }
}

#[test]
fn spans_are_seen_with_their_values() {
    let text = |text: &str| any_value::Value::StringValue(text.to_owned());
    let list = any_value::Value::ArrayValue(ArrayValue {
        values: vec![any(text("a")).unwrap(), any(text("b")).unwrap()],
    });
    let map = any_value::Value::KvlistValue(KeyValueList {
        values: vec![pair("x", list.clone())],
    });
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: vec![pair("service.name", text("shop"))],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                spans: vec![Span {
                    name: "GET".to_owned(),
                    kind: 2,
                    attributes: vec![
                        pair("list", list),
                        pair("n", any_value::Value::IntValue(-3)),
                    ],
                    events: vec![span::Event {
                        attributes: vec![pair("map", map)],
                        ..span::Event::default()
                    }],
                    ..Span::default()
                }],
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    };
    let mut seen = Seen::default();
    let counts = walk(
        &request.encode_to_vec(),
        Encoding::Protobuf,
        &Limits::default(),
        &mut seen,
    )
    .unwrap();
    assert_eq!((counts.resources, counts.scopes, counts.spans), (1, 1, 1));
    assert_eq!(
        seen.0,
        "resource 1\nscope \nspan GET Server\nlist::a :b n:Int(-3) map:x::a :b "
    );
}
