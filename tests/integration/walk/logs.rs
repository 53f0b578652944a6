//! Log records: what the walk shows of them is what was sent, as protobuf and as JSON.

use opentelemetry_proto::tonic::{
    collector::logs::v1::ExportLogsServiceRequest,
    common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList, any_value},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
};
use proptest::{collection::vec, prelude::*};
use prost::Message;
use redspan::otlp::{
    Encoding, Limits, LogRecordView, Records, Refusal, ResourceView, ScopeView, SpanView, Visitor,
    walk,
};
use serde_json::json;

use super::seen::{SeenValue, value};

/// A record as the walk shows it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Seen {
    ids: [Vec<u8>; 2],
    times: [u64; 2],
    severity: (i32, Vec<u8>),
    event_name: Vec<u8>,
    body: Option<SeenValue>,
    attributes: Vec<(Vec<u8>, SeenValue)>,
    dropped: u32,
}

#[derive(Default)]
struct Seeing(Vec<Seen>);

impl Visitor for Seeing {
    fn resource(&mut self, _: &ResourceView<'_>) {}

    fn scope(&mut self, _: &ScopeView<'_>) {}

    fn span(&mut self, _: &SpanView<'_>) {
        panic!("no span was sent");
    }

    fn log_record(&mut self, record: &LogRecordView<'_>) {
        let attributes = record.attributes.iter();
        self.0.push(Seen {
            ids: [record.trace_id.to_vec(), record.span_id.to_vec()],
            times: [record.time_unix_nano, record.observed_time_unix_nano],
            severity: (record.severity_number, record.severity_text.to_vec()),
            event_name: record.event_name.to_vec(),
            body: Some(value(&record.body)),
            attributes: attributes
                .map(|attribute| (attribute.key.to_vec(), value(&attribute.value)))
                .collect(),
            dropped: record.dropped_attributes_count,
        });
    }
}

fn see(body: &[u8], encoding: Encoding) -> Result<Vec<Seen>, Refusal> {
    let mut seeing = Seeing::default();
    let counts = walk(
        Records::Logs,
        body,
        encoding,
        &Limits::default(),
        &mut seeing,
    )?;
    assert_eq!(counts.records, seeing.0.len());
    Ok(seeing.0)
}

fn expected(record: &LogRecord) -> Seen {
    Seen {
        ids: [record.trace_id.clone(), record.span_id.clone()],
        times: [record.time_unix_nano, record.observed_time_unix_nano],
        severity: (
            record.severity_number,
            record.severity_text.clone().into_bytes(),
        ),
        event_name: record.event_name.clone().into_bytes(),
        body: Some(expected_value(record.body.as_ref())),
        attributes: expected_entries(&record.attributes),
        dropped: record.dropped_attributes_count,
    }
}

fn expected_entries(entries: &[KeyValue]) -> Vec<(Vec<u8>, SeenValue)> {
    let entries = entries.iter();
    entries
        .map(|entry| {
            let key = entry.key.clone().into_bytes();
            (key, expected_value(entry.value.as_ref()))
        })
        .collect()
}

fn expected_value(any: Option<&AnyValue>) -> SeenValue {
    match any.and_then(|any| any.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => SeenValue::Str(text.clone().into_bytes()),
        Some(any_value::Value::BoolValue(value)) => SeenValue::Bool(*value),
        Some(any_value::Value::IntValue(value)) => SeenValue::Int(*value),
        Some(any_value::Value::DoubleValue(value)) => SeenValue::Double(*value),
        Some(any_value::Value::BytesValue(bytes)) => SeenValue::Bytes(bytes.clone()),
        Some(any_value::Value::ArrayValue(list)) => {
            let items = list.values.iter();
            SeenValue::Array(items.map(|item| expected_value(Some(item))).collect())
        }
        Some(any_value::Value::KvlistValue(map)) => SeenValue::Map(expected_entries(&map.values)),
        _ => SeenValue::Empty,
    }
}

fn any_value() -> impl Strategy<Value = AnyValue> {
    let leaf = prop_oneof![
        ".{0,12}".prop_map(any_value::Value::StringValue),
        any::<bool>().prop_map(any_value::Value::BoolValue),
        any::<i64>().prop_map(any_value::Value::IntValue),
        (-1e9..1e9_f64).prop_map(any_value::Value::DoubleValue),
    ];
    let leaf = leaf.prop_map(|value| AnyValue { value: Some(value) });
    leaf.prop_recursive(3, 12, 4, |inner| {
        let list = vec(inner.clone(), 0..4)
            .prop_map(|values| any_value::Value::ArrayValue(ArrayValue { values }));
        let map = vec(("[a-z]{0,4}", inner), 0..4).prop_map(|entries| {
            let values = entries.into_iter().map(|(key, value)| KeyValue {
                key,
                value: Some(value),
                ..KeyValue::default()
            });
            any_value::Value::KvlistValue(KeyValueList {
                values: values.collect(),
            })
        });
        prop_oneof![list, map].prop_map(|value| AnyValue { value: Some(value) })
    })
}

fn any_record() -> impl Strategy<Value = LogRecord> {
    let ids = (
        vec(any::<u8>(), 16),
        vec(any::<u8>(), 8),
        any::<[bool; 2]>(),
    );
    let times = (any::<u64>(), any::<u64>());
    let severity = (0..=24_i32, ".{0,6}", ".{0,12}");
    let attributes = vec(("[a-z.]{0,12}", any_value()), 0..5);
    let body = proptest::option::of(any_value());
    (ids, times, severity, attributes, body, any::<u32>()).prop_map(
        |((trace_id, span_id, has), times, severity, attributes, body, dropped)| LogRecord {
            time_unix_nano: times.0,
            observed_time_unix_nano: times.1,
            severity_number: severity.0,
            severity_text: severity.1,
            event_name: severity.2,
            body,
            attributes: attributes
                .into_iter()
                .map(|(key, value)| KeyValue {
                    key,
                    value: Some(value),
                    ..KeyValue::default()
                })
                .collect(),
            dropped_attributes_count: dropped,
            trace_id: if has[0] { trace_id } else { Vec::new() },
            span_id: if has[1] { span_id } else { Vec::new() },
            ..LogRecord::default()
        },
    )
}

fn request(records: &[LogRecord]) -> ExportLogsServiceRequest {
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            scope_logs: vec![ScopeLogs {
                log_records: records.to_vec(),
                ..ScopeLogs::default()
            }],
            ..ResourceLogs::default()
        }],
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn records_are_shown_as_they_were_sent(records in vec(any_record(), 0..4)) {
        let expected: Vec<Seen> = records.iter().map(expected).collect();
        let request = request(&records);
        prop_assert_eq!(&see(&request.encode_to_vec(), Encoding::Protobuf).unwrap(), &expected);
        let json = serde_json::to_vec(&request).unwrap();
        prop_assert_eq!(&see(&json, Encoding::Json).unwrap(), &expected);
    }

    #[test]
    fn a_body_that_was_cut_is_refused_or_read_as_prost_reads_it(
        records in vec(any_record(), 1..3),
        at in any::<prop::sample::Index>(),
    ) {
        let whole = request(&records).encode_to_vec();
        let cut = &whole[..at.index(whole.len())];
        let decoded = ExportLogsServiceRequest::decode(cut);
        match see(cut, Encoding::Protobuf) {
            Ok(seen) => {
                let decoded = decoded.expect("prost reads it, too");
                let records = decoded.resource_logs.iter().flat_map(|it| &it.scope_logs);
                let records = records.flat_map(|it| &it.log_records);
                prop_assert_eq!(seen, records.map(expected).collect::<Vec<_>>());
            }
            Err(_) => prop_assert!(decoded.is_err()),
        }
    }
}

#[test]
fn json_of_real_sdks_is_read() {
    let body = json!({"resourceLogs": [{
        "resource": null,
        "scopeLogs": [{
            "scope": {},
            "logRecords": [
                {
                    "timeUnixNano": "1787227190100000000", "observedTimeUnixNano": 1_787_227_190_200_000_000_u64,
                    "severityNumber": "SEVERITY_NUMBER_ERROR", "severityText": null,
                    "body": {"stringValue": "it failed"}, "attributes": [],
                    "traceId": "", "spanId": "", "flags": null, "eventName": "exception",
                    "somethingNew": {"a": [1]}
                },
                {"severityNumber": 17, "body": null, "body2": {}}
            ]
        }]
    }], "unknown": 1});
    let seen = see(body.to_string().as_bytes(), Encoding::Json).unwrap();
    let first = Seen {
        times: [1_787_227_190_100_000_000, 1_787_227_190_200_000_000],
        severity: (17, Vec::new()),
        event_name: b"exception".to_vec(),
        body: Some(SeenValue::Str(b"it failed".to_vec())),
        ..Seen::default()
    };
    let second = Seen {
        severity: (17, Vec::new()),
        body: Some(SeenValue::Empty),
        ..Seen::default()
    };
    assert_eq!(seen, [first, second]);
}
