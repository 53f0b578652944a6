//! Walks a protobuf `ExportTraceServiceRequest` or `ExportLogsServiceRequest` where it lies: no copy,
//! and no allocation but the lists that are used again for each record.

use super::limits::{KeptEvents, keep};
use super::protobuf_values::{attribute, value};
use super::protobuf_wire::{
    Fault, NESTING, bytes, fixed32, fixed64, next_key, skip_unknown, varint, varint32,
};
use super::{
    Attribute, Attributes, Counts, EventView, Limits, LinkView, LogRecordView, Records, Refusal,
    ResourceView, ScopeView, SpanKind, SpanView, StatusCode, Visitor,
};

/// `resource_spans` or `resource_logs` of the request; and of what is in it the resource or scope.
const FIRST: u32 = 0x0a;
/// `scope_spans` of `ResourceSpans`, `spans` of `ScopeSpans`; likewise of logs.
const CHILDREN: u32 = 0x12;

const SCHEMA_URL: u32 = 0x1a;
/// `flags` of a span: number 16, the only key of two bytes.
const FLAGS: u32 = 16 << 3 | 5;

/// The nesting that is left inside messages.
const IN_RESOURCE_SPANS: u32 = NESTING - 1;
const IN_SCOPE_SPANS: u32 = NESTING - 2;
const IN_RECORD: u32 = NESTING - 3;

pub(super) fn walk(
    records: Records,
    body: &[u8],
    limits: &Limits,
    visitor: &mut impl Visitor,
) -> Result<Counts, Refusal> {
    let counts = count(body, limits)?;
    Walk::new(records, limits, visitor).request(body)?;
    Ok(counts)
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::Malformed(format!("not a protobuf message of its type: {fault}"))
    }
}

/// Counts what the request holds, skipping from one to the next by their lengths.
fn count(body: &[u8], limits: &Limits) -> Result<Counts, Refusal> {
    let mut counts = Counts::default();
    let mut request = body;
    while let Some(resource_spans) = next_resource_spans(&mut request)? {
        counts.resources += 1;
        counts.check(limits)?;
        let mut input = resource_spans;
        while let Some(scope_spans) = next_child(&mut input, IN_RESOURCE_SPANS)? {
            counts.scopes += 1;
            counts.check(limits)?;
            let mut input = scope_spans;
            while next_child(&mut input, IN_SCOPE_SPANS)?.is_some() {
                counts.records += 1;
                counts.check(limits)?;
            }
        }
    }
    Ok(counts)
}

/// The next `ResourceSpans` of the request.
#[inline]
fn next_resource_spans<'a>(input: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Fault> {
    while let Some(key) = next_key(input)? {
        if key == FIRST {
            return bytes(input).map(Some);
        }
        skip_unknown(input, key, 1..=1, NESTING)?;
    }
    Ok(None)
}

/// The next child of a `ResourceSpans` or `ScopeSpans`, which have the same three fields.
#[inline]
fn next_child<'a>(input: &mut &'a [u8], nesting: u32) -> Result<Option<&'a [u8]>, Fault> {
    next_part(input, CHILDREN, nesting)
}

/// The next part of its resource or scope.
#[inline]
fn next_first<'a>(input: &mut &'a [u8], nesting: u32) -> Result<Option<&'a [u8]>, Fault> {
    next_part(input, FIRST, nesting)
}

#[inline]
fn next_part<'a>(
    input: &mut &'a [u8],
    wanted: u32,
    nesting: u32,
) -> Result<Option<&'a [u8]>, Fault> {
    while let Some(key) = next_key(input)? {
        match key {
            FIRST | CHILDREN | SCHEMA_URL => {
                let part = bytes(input)?;
                if key == wanted {
                    return Ok(Some(part));
                }
            }
            _ => skip_unknown(input, key, 1..=3, nesting)?,
        }
    }
    Ok(None)
}

struct Walk<'a, 'w, V> {
    records: Records,
    limits: &'w Limits,
    visitor: &'w mut V,
    attributes: Vec<Attribute<'a>>,
    events: KeptEvents<'a>,
    links: Vec<LinkView<'a>>,
}

impl<'a, 'w, V: Visitor> Walk<'a, 'w, V> {
    fn new(records: Records, limits: &'w Limits, visitor: &'w mut V) -> Self {
        Self {
            records,
            limits,
            visitor,
            attributes: Vec::new(),
            events: KeptEvents::default(),
            links: Vec::new(),
        }
    }

    fn request(&mut self, body: &'a [u8]) -> Result<(), Fault> {
        let mut input = body;
        while let Some(message) = next_resource_spans(&mut input)? {
            self.resource_spans(message)?;
        }
        Ok(())
    }

    fn resource_spans(&mut self, message: &'a [u8]) -> Result<(), Fault> {
        // The resource may stand behind what belongs to it, and in several parts.
        let mut resource = Resource::default();
        self.attributes.clear();
        let mut input = message;
        while let Some(part) = next_first(&mut input, IN_RESOURCE_SPANS)? {
            self.resource(part, &mut resource)?;
        }
        self.visitor.resource(&ResourceView {
            attributes: &self.attributes,
            dropped_attributes_count: resource.sent.saturating_add(resource.beyond_limit),
        });
        let mut input = message;
        while let Some(scope_spans) = next_child(&mut input, IN_RESOURCE_SPANS)? {
            self.scope_spans(scope_spans)?;
        }
        Ok(())
    }

    fn resource(&mut self, message: &'a [u8], resource: &mut Resource) -> Result<(), Fault> {
        const NESTING: u32 = IN_RESOURCE_SPANS - 1;
        let mut input = message;
        while let Some(key) = next_key(&mut input)? {
            match key {
                0x0a => {
                    attribute(bytes(&mut input)?, NESTING - 1, |attribute| {
                        if !keep(&mut self.attributes, self.limits.attributes, attribute) {
                            resource.beyond_limit = resource.beyond_limit.saturating_add(1);
                        }
                    })?;
                }
                0x10 => resource.sent = varint32(&mut input)?,
                0x1a => check_entity_ref(bytes(&mut input)?, NESTING - 1)?,
                _ => skip_unknown(&mut input, key, 1..=3, NESTING)?,
            }
        }
        Ok(())
    }

    fn scope_spans(&mut self, message: &'a [u8]) -> Result<(), Fault> {
        let mut scope = ScopeView::default();
        let mut input = message;
        while let Some(part) = next_first(&mut input, IN_SCOPE_SPANS)? {
            read_scope(part, &mut scope)?;
        }
        self.visitor.scope(&scope);
        let mut input = message;
        while let Some(record) = next_child(&mut input, IN_SCOPE_SPANS)? {
            match self.records {
                Records::Spans => self.span(record)?,
                Records::Logs => self.log_record(record)?,
            }
        }
        Ok(())
    }

    fn span(&mut self, message: &'a [u8]) -> Result<(), Fault> {
        self.attributes.clear();
        self.events.clear();
        self.links.clear();
        let mut span = SpanView::default();
        let mut status = Status::default();
        let mut attributes_beyond_limit = 0_u32;
        let mut links_beyond_limit = 0_u32;
        let mut input = message;
        while let Some(key) = next_key(&mut input)? {
            match key {
                0x0a => span.trace_id = bytes(&mut input)?,
                0x12 => span.span_id = bytes(&mut input)?,
                0x1a => span.trace_state = bytes(&mut input)?,
                0x22 => span.parent_span_id = bytes(&mut input)?,
                0x2a => span.name = bytes(&mut input)?,
                0x30 => {
                    span.kind = SpanKind::from_number(varint32(&mut input)?.cast_signed());
                }
                0x39 => span.start_time_unix_nano = fixed64(&mut input)?,
                0x41 => span.end_time_unix_nano = fixed64(&mut input)?,
                0x4a => {
                    attribute(bytes(&mut input)?, IN_RECORD - 1, |attribute| {
                        if !keep(&mut self.attributes, self.limits.attributes, attribute) {
                            attributes_beyond_limit = attributes_beyond_limit.saturating_add(1);
                        }
                    })?;
                }
                0x50 => span.dropped_attributes_count = varint32(&mut input)?,
                0x5a => {
                    let event = read_event(bytes(&mut input)?)?;
                    self.events.push(self.limits.events, event);
                }
                0x60 => span.dropped_events_count = varint32(&mut input)?,
                0x6a => {
                    let link = read_link(bytes(&mut input)?)?;
                    if !keep(&mut self.links, self.limits.links, link) {
                        links_beyond_limit = links_beyond_limit.saturating_add(1);
                    }
                }
                0x70 => span.dropped_links_count = varint32(&mut input)?,
                0x7a => status = read_status(bytes(&mut input)?, status)?,
                FLAGS => span.flags = fixed32(&mut input)?,
                _ => skip_unknown(&mut input, key, 1..=16, IN_RECORD)?,
            }
        }
        let (events_beyond_limit, events) = self.events.finish();
        self.visitor.span(&SpanView {
            attributes: &self.attributes,
            dropped_attributes_count: span
                .dropped_attributes_count
                .saturating_add(attributes_beyond_limit),
            events,
            dropped_events_count: span
                .dropped_events_count
                .saturating_add(events_beyond_limit),
            links: &self.links,
            dropped_links_count: span.dropped_links_count.saturating_add(links_beyond_limit),
            status: status.code,
            status_message: status.message,
            ..span
        });
        Ok(())
    }

    fn log_record(&mut self, message: &'a [u8]) -> Result<(), Fault> {
        self.attributes.clear();
        let mut record = LogRecordView::default();
        let mut beyond_limit = 0_u32;
        let mut input = message;
        while let Some(key) = next_key(&mut input)? {
            match key {
                0x09 => record.time_unix_nano = fixed64(&mut input)?,
                0x10 => record.severity_number = varint32(&mut input)?.cast_signed(),
                0x1a => record.severity_text = bytes(&mut input)?,
                0x2a => record.body = value(bytes(&mut input)?, IN_RECORD - 1)?,
                0x32 => {
                    attribute(bytes(&mut input)?, IN_RECORD - 1, |attribute| {
                        if !keep(&mut self.attributes, self.limits.attributes, attribute) {
                            beyond_limit = beyond_limit.saturating_add(1);
                        }
                    })?;
                }
                0x38 => record.dropped_attributes_count = varint32(&mut input)?,
                0x45 => {
                    fixed32(&mut input)?;
                }
                0x4a => record.trace_id = bytes(&mut input)?,
                0x52 => record.span_id = bytes(&mut input)?,
                0x59 => record.observed_time_unix_nano = fixed64(&mut input)?,
                0x62 => record.event_name = bytes(&mut input)?,
                _ => skip_unknown(&mut input, key, 1..=12, IN_RECORD)?,
            }
        }
        self.visitor.log_record(&LogRecordView {
            attributes: &self.attributes,
            dropped_attributes_count: record.dropped_attributes_count.saturating_add(beyond_limit),
            ..record
        });
        Ok(())
    }
}

/// Dropped attributes of a resource.
#[derive(Default)]
struct Resource {
    sent: u32,
    beyond_limit: u32,
}

fn check_entity_ref(message: &[u8], nesting: u32) -> Result<(), Fault> {
    let mut input = message;
    while let Some(key) = next_key(&mut input)? {
        match key {
            0x0a | 0x12 | 0x1a | 0x22 => {
                bytes(&mut input)?;
            }
            _ => skip_unknown(&mut input, key, 1..=4, nesting)?,
        }
    }
    Ok(())
}

fn read_scope<'a>(message: &'a [u8], scope: &mut ScopeView<'a>) -> Result<(), Fault> {
    const NESTING: u32 = IN_SCOPE_SPANS - 1;
    let mut input = message;
    while let Some(key) = next_key(&mut input)? {
        match key {
            0x0a => scope.name = bytes(&mut input)?,
            0x12 => scope.version = bytes(&mut input)?,
            0x1a => {
                attribute(bytes(&mut input)?, NESTING - 1, drop)?;
            }
            0x20 => {
                varint(&mut input)?;
            }
            _ => skip_unknown(&mut input, key, 1..=4, NESTING)?,
        }
    }
    Ok(())
}

fn read_event(message: &[u8]) -> Result<EventView<'_>, Fault> {
    const NESTING: u32 = IN_RECORD - 1;
    let mut event = EventView {
        time_unix_nano: 0,
        name: b"",
        attributes: Attributes::None,
        dropped_attributes_count: 0,
    };
    let mut input = message;
    while let Some(key) = next_key(&mut input)? {
        match key {
            0x09 => event.time_unix_nano = fixed64(&mut input)?,
            0x12 => event.name = bytes(&mut input)?,
            0x1a => {
                attribute(bytes(&mut input)?, NESTING - 1, drop)?;
                event.attributes = Attributes::Protobuf {
                    bytes: message,
                    field: 3,
                };
            }
            0x20 => event.dropped_attributes_count = varint32(&mut input)?,
            _ => skip_unknown(&mut input, key, 1..=4, NESTING)?,
        }
    }
    Ok(event)
}

fn read_link(message: &[u8]) -> Result<LinkView<'_>, Fault> {
    const NESTING: u32 = IN_RECORD - 1;
    let mut link = LinkView {
        trace_id: b"",
        span_id: b"",
    };
    let mut input = message;
    while let Some(key) = next_key(&mut input)? {
        match key {
            0x0a => link.trace_id = bytes(&mut input)?,
            0x12 => link.span_id = bytes(&mut input)?,
            0x1a => {
                bytes(&mut input)?;
            }
            0x22 => {
                attribute(bytes(&mut input)?, NESTING - 1, drop)?;
            }
            0x28 => {
                varint(&mut input)?;
            }
            0x35 => {
                fixed32(&mut input)?;
            }
            _ => skip_unknown(&mut input, key, 1..=6, NESTING)?,
        }
    }
    Ok(link)
}

#[derive(Clone, Copy, Default)]
struct Status<'a> {
    code: StatusCode,
    message: &'a [u8],
}

/// Reads a status; what it does not have is kept from the one before.
fn read_status<'a>(message: &'a [u8], before: Status<'a>) -> Result<Status<'a>, Fault> {
    const NESTING: u32 = IN_RECORD - 1;
    let mut status = before;
    let mut input = message;
    while let Some(key) = next_key(&mut input)? {
        match key {
            0x12 => status.message = bytes(&mut input)?,
            0x18 => status.code = StatusCode::from_number(varint32(&mut input)?.cast_signed()),
            _ => skip_unknown(&mut input, key, 2..=3, NESTING)?,
        }
    }
    Ok(status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::{ResourceView, ScopeView};

    struct Nobody;

    impl Visitor for Nobody {
        fn resource(&mut self, _: &ResourceView<'_>) {}
        fn scope(&mut self, _: &ScopeView<'_>) {}
        fn span(&mut self, _: &SpanView<'_>) {}
    }

    #[test]
    fn the_room_for_lists_does_not_grow_with_what_is_sent() {
        let limits = Limits::default();
        let mut visitor = Nobody;
        let span = [[0x4a, 0], [0x5a, 0], [0x6a, 0]].concat().repeat(100_000);
        let mut walk = Walk::new(Records::Spans, &limits, &mut visitor);
        walk.span(&span).expect("valid");
        let room =
            |walk: &Walk<'_, '_, Nobody>| (walk.attributes.capacity(), walk.links.capacity());
        assert_eq!(room(&walk), (1_024, 1_024));
        walk.span(&span).expect("valid");
        assert_eq!(room(&walk), (1_024, 1_024));
    }
}
