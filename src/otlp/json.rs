//! Walks a JSON `ExportTraceServiceRequest` or `ExportLogsServiceRequest` to the same views as the protobuf walk, in one pass
//! where the resource and the scope stand before what belongs to them.

use std::mem;

use bumpalo::Bump;

use super::json_fault::Fault;
use super::json_text::Parser;
use super::json_values::{
    Read, any_value, attribute, enumeration, id, plain_attribute, unsigned, unsigned32,
};
use super::limits::{KeptEvents, emptied, keep};
use super::{
    Attribute, Attributes, Counts, EventView, Limits, LinkView, LogRecordView, Records, Refusal,
    ResourceView, ScopeView, SpanKind, SpanView, StatusCode, Visitor,
};

const KINDS: &[(&[u8], i32)] = &[
    (b"SPAN_KIND_INTERNAL", 1),
    (b"SPAN_KIND_SERVER", 2),
    (b"SPAN_KIND_CLIENT", 3),
    (b"SPAN_KIND_PRODUCER", 4),
    (b"SPAN_KIND_CONSUMER", 5),
];

const STATUS_CODES: &[(&[u8], i32)] = &[(b"STATUS_CODE_OK", 1), (b"STATUS_CODE_ERROR", 2)];

/// The names of the lists in each other.
struct Names {
    resources: &'static [u8],
    scopes: &'static [u8],
    records: &'static [u8],
}

const SPAN_NAMES: Names = Names {
    resources: b"resourceSpans",
    scopes: b"scopeSpans",
    records: b"spans",
};

const LOG_NAMES: Names = Names {
    resources: b"resourceLogs",
    scopes: b"scopeLogs",
    records: b"logRecords",
};

/// Names of severities, which are sent as numbers as a rule.
#[rustfmt::skip]
const SEVERITIES: &[(&[u8], i32)] = &[
    (b"SEVERITY_NUMBER_TRACE", 1), (b"SEVERITY_NUMBER_TRACE2", 2), (b"SEVERITY_NUMBER_TRACE3", 3),
    (b"SEVERITY_NUMBER_TRACE4", 4), (b"SEVERITY_NUMBER_DEBUG", 5), (b"SEVERITY_NUMBER_DEBUG2", 6),
    (b"SEVERITY_NUMBER_DEBUG3", 7), (b"SEVERITY_NUMBER_DEBUG4", 8), (b"SEVERITY_NUMBER_INFO", 9),
    (b"SEVERITY_NUMBER_INFO2", 10), (b"SEVERITY_NUMBER_INFO3", 11), (b"SEVERITY_NUMBER_INFO4", 12),
    (b"SEVERITY_NUMBER_WARN", 13), (b"SEVERITY_NUMBER_WARN2", 14), (b"SEVERITY_NUMBER_WARN3", 15),
    (b"SEVERITY_NUMBER_WARN4", 16), (b"SEVERITY_NUMBER_ERROR", 17), (b"SEVERITY_NUMBER_ERROR2", 18),
    (b"SEVERITY_NUMBER_ERROR3", 19), (b"SEVERITY_NUMBER_ERROR4", 20), (b"SEVERITY_NUMBER_FATAL", 21),
    (b"SEVERITY_NUMBER_FATAL2", 22), (b"SEVERITY_NUMBER_FATAL3", 23), (b"SEVERITY_NUMBER_FATAL4", 24),
];

pub(super) fn walk(
    records: Records,
    body: &[u8],
    limits: &Limits,
    visitor: &mut impl Visitor,
) -> Result<Counts, Refusal> {
    let mut walk = Walk::new(records, limits, visitor);
    walk.request(body)?;
    Ok(walk.counts)
}

struct Walk<'w, V> {
    records: Records,
    names: &'static Names,
    limits: &'w Limits,
    visitor: &'w mut V,
    counts: Counts,
    /// Text that had to be unescaped, and ids; emptied after each resource, scope and span.
    arena: Bump,
    /// Empty, but for the room they have.
    lists: Lists<'static>,
}

impl<'w, V: Visitor> Walk<'w, V> {
    fn new(records: Records, limits: &'w Limits, visitor: &'w mut V) -> Self {
        Self {
            records,
            names: match records {
                Records::Spans => &SPAN_NAMES,
                Records::Logs => &LOG_NAMES,
            },
            limits,
            visitor,
            counts: Counts::default(),
            arena: Bump::new(),
            lists: Lists::default(),
        }
    }

    fn request(&mut self, body: &[u8]) -> Result<(), Fault> {
        let mut parser = Parser::new(body);
        parser.object(|parser, name| match name {
            name if name == self.names.resources => {
                parser.array(|parser| self.resource_spans(parser))
            }
            _ => parser.skip(),
        })?;
        parser.end()
    }

    fn resource_spans(&mut self, parser: &mut Parser<'_>) -> Result<(), Fault> {
        self.counts.resources += 1;
        self.counts.check(self.limits)?;
        let mut resource = Owner::new(b"resource");
        parser.object(|parser, name| match name {
            b"resource" => resource.meet(parser),
            name if name == self.names.scopes => {
                if let Some(found) = resource.find(parser)? {
                    self.resource(found)
                        .map_err(|fault| fault.in_field_beside("resource"))?;
                }
                parser.array(|parser| self.scope_spans(parser))
            }
            _ => parser.skip(),
        })?;
        match resource.unused() {
            Some(found) => self
                .resource(found)
                .map_err(|fault| fault.in_field(b"resource")),
            None => Ok(()),
        }
    }

    fn resource(&mut self, mut parser: Parser<'_>) -> Result<(), Fault> {
        let arena = &self.arena;
        let mut lists: Lists<'_> = mem::take(&mut self.lists);
        let mut sent = 0;
        let mut beyond_limit = 0;
        parser.object(|parser, name| {
            match name {
                b"attributes" => beyond_limit = lists.attributes(parser, self.limits, arena)?,
                b"droppedAttributesCount" => sent = unsigned32(parser)?,
                _ => parser.skip()?,
            }
            Ok(())
        })?;
        self.visitor.resource(&ResourceView {
            attributes: &lists.attributes,
            dropped_attributes_count: sent.saturating_add(beyond_limit),
        });
        self.lists = lists.emptied();
        self.arena.reset();
        Ok(())
    }

    fn scope_spans(&mut self, parser: &mut Parser<'_>) -> Result<(), Fault> {
        self.counts.scopes += 1;
        self.counts.check(self.limits)?;
        let mut scope = Owner::new(b"scope");
        parser.object(|parser, name| match name {
            b"scope" => scope.meet(parser),
            name if name == self.names.records => {
                if let Some(found) = scope.find(parser)? {
                    self.scope(found)
                        .map_err(|fault| fault.in_field_beside("scope"))?;
                }
                parser.array(|parser| match self.records {
                    Records::Spans => self.span(parser),
                    Records::Logs => self.log_record(parser),
                })
            }
            _ => parser.skip(),
        })?;
        match scope.unused() {
            Some(found) => self.scope(found).map_err(|fault| fault.in_field(b"scope")),
            None => Ok(()),
        }
    }

    fn scope(&mut self, mut parser: Parser<'_>) -> Result<(), Fault> {
        let mut scope = ScopeView::default();
        parser.object(|parser, name| {
            match name {
                b"name" => scope.name = parser.string()?.unescape(&self.arena),
                b"version" => scope.version = parser.string()?.unescape(&self.arena),
                _ => parser.skip()?,
            }
            Ok(())
        })?;
        self.visitor.scope(&scope);
        self.arena.reset();
        Ok(())
    }

    fn span(&mut self, parser: &mut Parser<'_>) -> Result<(), Fault> {
        self.counts.records += 1;
        self.counts.check(self.limits)?;
        let arena = &self.arena;
        let limits = self.limits;
        let mut lists: Lists<'_> = mem::take(&mut self.lists);
        let mut span = SpanView::default();
        let mut attributes_beyond_limit = 0;
        let mut links_beyond_limit = 0;
        parser.object(|parser, name| {
            match name {
                b"traceId" => span.trace_id = id(parser, arena)?,
                b"spanId" => span.span_id = id(parser, arena)?,
                b"parentSpanId" => span.parent_span_id = id(parser, arena)?,
                b"traceState" => span.trace_state = parser.string()?.unescape(arena),
                b"flags" => span.flags = unsigned32(parser)?,
                b"name" => span.name = parser.string()?.unescape(arena),
                b"kind" => span.kind = SpanKind::from_number(enumeration(parser, KINDS)?),
                b"startTimeUnixNano" => span.start_time_unix_nano = unsigned(parser)?,
                b"endTimeUnixNano" => span.end_time_unix_nano = unsigned(parser)?,
                b"attributes" => {
                    attributes_beyond_limit = lists.attributes(parser, limits, arena)?;
                }
                b"droppedAttributesCount" => span.dropped_attributes_count = unsigned32(parser)?,
                b"events" => {
                    lists.events.clear();
                    parser.array(|parser| {
                        let event = event(parser, arena)?;
                        lists.events.push(limits.events, event);
                        Ok(())
                    })?;
                }
                b"droppedEventsCount" => span.dropped_events_count = unsigned32(parser)?,
                b"links" => {
                    lists.links.clear();
                    links_beyond_limit = 0_u32;
                    parser.array(|parser| {
                        let link = link(parser, arena)?;
                        if !keep(&mut lists.links, limits.links, link) {
                            links_beyond_limit = links_beyond_limit.saturating_add(1);
                        }
                        Ok(())
                    })?;
                }
                b"droppedLinksCount" => span.dropped_links_count = unsigned32(parser)?,
                b"status" => status(parser, &mut span, arena)?,
                _ => parser.skip()?,
            }
            Ok(())
        })?;
        let (events_beyond_limit, events) = lists.events.finish();
        self.visitor.span(&SpanView {
            attributes: &lists.attributes,
            dropped_attributes_count: span
                .dropped_attributes_count
                .saturating_add(attributes_beyond_limit),
            events,
            dropped_events_count: span
                .dropped_events_count
                .saturating_add(events_beyond_limit),
            links: &lists.links,
            dropped_links_count: span.dropped_links_count.saturating_add(links_beyond_limit),
            ..span
        });
        self.lists = lists.emptied();
        self.arena.reset();
        Ok(())
    }

    fn log_record(&mut self, parser: &mut Parser<'_>) -> Result<(), Fault> {
        self.counts.records += 1;
        self.counts.check(self.limits)?;
        let arena = &self.arena;
        let limits = self.limits;
        let mut lists: Lists<'_> = mem::take(&mut self.lists);
        let mut record = LogRecordView::default();
        let mut beyond_limit = 0;
        parser.object(|parser, name| {
            match name {
                b"traceId" => record.trace_id = id(parser, arena)?,
                b"spanId" => record.span_id = id(parser, arena)?,
                b"timeUnixNano" => record.time_unix_nano = unsigned(parser)?,
                b"observedTimeUnixNano" => record.observed_time_unix_nano = unsigned(parser)?,
                b"severityNumber" => record.severity_number = enumeration(parser, SEVERITIES)?,
                b"severityText" => record.severity_text = parser.string()?.unescape(arena),
                b"eventName" => record.event_name = parser.string()?.unescape(arena),
                b"body" => record.body = any_value(parser, Read::Shown(arena), 0)?,
                b"attributes" => beyond_limit = lists.attributes(parser, limits, arena)?,
                b"droppedAttributesCount" => record.dropped_attributes_count = unsigned32(parser)?,
                _ => parser.skip()?,
            }
            Ok(())
        })?;
        self.visitor.log_record(&LogRecordView {
            attributes: &lists.attributes,
            dropped_attributes_count: record.dropped_attributes_count.saturating_add(beyond_limit),
            ..record
        });
        self.lists = lists.emptied();
        self.arena.reset();
        Ok(())
    }
}

/// The resource or scope that owns what stands in the same object, before it or behind it.
struct Owner<'a> {
    name: &'static [u8],
    state: OwnerState<'a>,
}

enum OwnerState<'a> {
    /// Not shown yet: where the last one met begins.
    Waiting(Option<Parser<'a>>),
    /// Shown; `all` when the object was searched to its end for it.
    Shown { all: bool },
}

impl<'a> Owner<'a> {
    fn new(name: &'static [u8]) -> Self {
        Self {
            name,
            state: OwnerState::Waiting(None),
        }
    }

    /// Passes over it, remembering where it is.
    fn meet(&mut self, parser: &mut Parser<'a>) -> Result<(), Fault> {
        match &mut self.state {
            OwnerState::Waiting(at) => *at = Some(parser.clone()),
            OwnerState::Shown { all: true } => {}
            OwnerState::Shown { all: false } => {
                return Err(parser.fault("it comes twice, with what belongs to it in between"));
            }
        }
        parser.skip()
    }

    /// Finds it for what comes next and belongs to it; only the first time.
    fn find(&mut self, parser: &Parser<'a>) -> Result<Option<Parser<'a>>, Fault> {
        let OwnerState::Waiting(at) = &mut self.state else {
            return Ok(None);
        };
        let before = at.take();
        let all = before.is_none();
        let found = match before {
            Some(before) => Some(before),
            None => parser.later_field(self.name)?,
        };
        self.state = OwnerState::Shown { all };
        Ok(Some(found.unwrap_or_else(Self::absent)))
    }

    /// It, when nothing came that belongs to it.
    fn unused(self) -> Option<Parser<'a>> {
        match self.state {
            OwnerState::Waiting(at) => Some(at.unwrap_or_else(Self::absent)),
            OwnerState::Shown { .. } => None,
        }
    }

    fn absent() -> Parser<'a> {
        Parser::new(b"{}")
    }
}

/// What is kept of one item.
#[derive(Default)]
struct Lists<'a> {
    attributes: Vec<Attribute<'a>>,
    events: KeptEvents<'a>,
    links: Vec<LinkView<'a>>,
}

impl<'a> Lists<'a> {
    /// Reads the list of attributes. Gives how many are beyond the limit.
    fn attributes<'t: 'a>(
        &mut self,
        parser: &mut Parser<'t>,
        limits: &Limits,
        arena: &'a Bump,
    ) -> Result<u32, Fault> {
        self.attributes.clear();
        let mut beyond_limit = 0_u32;
        parser.array(|parser| {
            if self.attributes.len() < limits.attributes {
                if plain_attribute(parser, |attribute| self.attributes.push(attribute)) {
                    return Ok(());
                }
                self.attributes
                    .push(attribute(parser, Read::Shown(arena), 0)?);
            } else {
                attribute(parser, Read::Check, 0)?;
                beyond_limit = beyond_limit.saturating_add(1);
            }
            Ok(())
        })?;
        Ok(beyond_limit)
    }

    /// The same lists without content, for another item.
    fn emptied<'b>(self) -> Lists<'b> {
        Lists {
            attributes: emptied(self.attributes),
            events: self.events.emptied(),
            links: emptied(self.links),
        }
    }
}

fn event<'a: 's, 's>(parser: &mut Parser<'a>, arena: &'s Bump) -> Result<EventView<'s>, Fault> {
    let mut event = EventView {
        time_unix_nano: 0,
        name: b"",
        attributes: Attributes::None,
        dropped_attributes_count: 0,
    };
    parser.object(|parser, name| {
        match name {
            b"timeUnixNano" => event.time_unix_nano = unsigned(parser)?,
            b"name" => event.name = parser.string()?.unescape(arena),
            b"attributes" => {
                let text = parser.text_of(|parser| {
                    parser.array(|parser| attribute(parser, Read::Check, 0).map(drop))
                })?;
                event.attributes = Attributes::Json { text, arena };
            }
            b"droppedAttributesCount" => event.dropped_attributes_count = unsigned32(parser)?,
            _ => parser.skip()?,
        }
        Ok(())
    })?;
    Ok(event)
}

fn link<'a: 's, 's>(parser: &mut Parser<'a>, arena: &'s Bump) -> Result<LinkView<'s>, Fault> {
    let mut link = LinkView {
        trace_id: b"",
        span_id: b"",
    };
    parser.object(|parser, name| {
        match name {
            b"traceId" => link.trace_id = id(parser, arena)?,
            b"spanId" => link.span_id = id(parser, arena)?,
            _ => parser.skip()?,
        }
        Ok(())
    })?;
    Ok(link)
}

fn status<'a: 's, 's>(
    parser: &mut Parser<'a>,
    span: &mut SpanView<'s>,
    arena: &'s Bump,
) -> Result<(), Fault> {
    span.status = StatusCode::Unset;
    span.status_message = b"";
    parser.object(|parser, name| {
        match name {
            b"code" => span.status = StatusCode::from_number(enumeration(parser, STATUS_CODES)?),
            b"message" => span.status_message = parser.string()?.unescape(arena),
            _ => parser.skip()?,
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nobody;

    impl Visitor for Nobody {
        fn resource(&mut self, _: &ResourceView<'_>) {}
        fn scope(&mut self, _: &ScopeView<'_>) {}
        fn span(&mut self, _: &SpanView<'_>) {}
    }

    #[test]
    fn neither_lists_nor_arena_grow_from_span_to_span() {
        let limits = Limits::default();
        let mut visitor = Nobody;
        let attribute = r#"{"key":"a\n","value":{"stringValue":"b\t"}},"#.repeat(2_000);
        let span = format!(
            r#"{{"traceId":"0123456789abcdef0123456789abcdef","attributes":[{attribute}null]}}"#
        );
        let mut walk = Walk::new(Records::Spans, &limits, &mut visitor);
        let mut room = Vec::new();
        for _ in 0..50 {
            walk.span(&mut Parser::new(span.as_bytes())).expect("valid");
            room.push((
                walk.lists.attributes.capacity(),
                walk.arena.allocated_bytes(),
            ));
        }
        assert_eq!(room[0].0, limits.attributes);
        assert!(room[1..].iter().all(|later| *later == room[1]), "{room:?}");
        assert!(room[1].1 < 64 * 1024, "{room:?}");
    }
}
