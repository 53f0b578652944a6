//! Borrowed views of what a request holds, the same for protobuf and JSON. Text is bytes as sent:
//! it may be invalid UTF-8 until somebody keeps it.

use super::json_values::JsonElements;
use super::protobuf_values::Elements;

/// Lists and maps within each other that are shown; what is deeper is [`TOO_DEEP`].
pub(super) const VALUE_DEPTH: u8 = 16;

/// Stands for a value with [`VALUE_DEPTH`] lists and maps around it.
pub(super) const TOO_DEEP: Value<'static> = Value::Str(b"[too deep]");

/// Attributes of an event that are given.
const EVENT_ATTRIBUTES: usize = 1_024;

/// Why a body cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is not what its content type says: 400.
    #[error("{0}")]
    Malformed(String),
    /// More than the limits allow: 413.
    #[error("{0}")]
    TooLarge(String),
}

/// OTLP `SpanKind`; 0 and unknown numbers are INTERNAL.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SpanKind {
    /// Work inside a process.
    #[default]
    Internal,
    /// A request that came in.
    Server,
    /// A request that went out.
    Client,
    /// A message sent.
    Producer,
    /// A message received or processed.
    Consumer,
}

/// OTLP `StatusCode`; unknown numbers are UNSET.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum StatusCode {
    /// Nothing said.
    #[default]
    Unset,
    /// Said to be fine.
    Ok,
    /// Said to have failed.
    Error,
}

/// An attribute's value (OTLP `AnyValue`), decoded one level deep.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// No value.
    Empty,
    /// Text.
    Str(&'a [u8]),
    /// Boolean.
    Bool(bool),
    /// Integer.
    Int(i64),
    /// Float, possibly NaN or infinite.
    Double(f64),
    /// Bytes.
    Bytes(&'a [u8]),
    /// A list; iterate with [`Value::items`].
    Array(Nested<'a>),
    /// Keys and values; iterate with [`Value::entries`].
    Map(Nested<'a>),
}

/// One key with its value.
#[derive(Clone, Copy, Debug)]
pub struct Attribute<'a> {
    /// The key as sent; may be empty.
    pub key: &'a [u8],
    /// The value.
    pub value: Value<'a>,
}

/// A list or map that is still in its encoding.
#[derive(Clone, Copy, Debug)]
pub enum Nested<'a> {
    /// Bytes of an `ArrayValue` or `KeyValueList` whose structure has been checked.
    Protobuf {
        /// The message.
        bytes: &'a [u8],
        /// Lists and maps around it.
        depth: u8,
    },
    /// A list or map that is sent in several parts, which protobuf makes one.
    Split {
        /// Bytes of the `KeyValue` or `AnyValue` that holds the parts, checked.
        bytes: &'a [u8],
        /// Parts of other values that stand before them.
        before: u32,
        /// Whether the bytes are a `KeyValue`.
        in_attribute: bool,
        /// Lists and maps around it.
        depth: u8,
    },
    /// The text of the JSON array (`values`), checked.
    Json {
        /// From `[` to `]`.
        text: &'a [u8],
        /// Where strings with escapes are unescaped to.
        arena: &'a bumpalo::Bump,
        /// Lists and maps around it.
        depth: u8,
    },
}

/// The attributes of an event or link, still in their encoding.
#[derive(Clone, Copy, Debug)]
pub enum Attributes<'a> {
    /// There are none.
    None,
    /// Bytes of the message that holds them under the field number, checked.
    Protobuf {
        /// The `Event` or `Link` message.
        bytes: &'a [u8],
        /// The number of its `attributes` field.
        field: u32,
    },
    /// The text of the JSON array, checked.
    Json {
        /// From `[` to `]`.
        text: &'a [u8],
        /// Where strings with escapes are unescaped to.
        arena: &'a bumpalo::Bump,
    },
}

impl<'a> Value<'a> {
    /// The values of a list, in order; none when it is something else. What has 16 lists and maps
    /// around it is given as the text `[too deep]`.
    #[must_use]
    pub fn items(&self) -> Items<'a> {
        Items(match self {
            Value::Array(list) => Source::list(list, Elements::of_array),
            _ => Source::Nothing,
        })
    }

    /// The keys and values of a map, as sent; none when it is something else. A value with 16 lists
    /// and maps around it is given as the text `[too deep]`.
    #[must_use]
    pub fn entries(&self) -> Entries<'a> {
        Entries(match self {
            Value::Map(list) => Source::list(list, Elements::of_map),
            _ => Source::Nothing,
        })
    }
}

/// Goes over the values of a list: see [`Value::items`].
#[derive(Clone, Debug)]
pub struct Items<'a>(Source<'a>);

impl<'a> Iterator for Items<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        match &mut self.0 {
            Source::Nothing => None,
            Source::Protobuf(elements) => elements.next_value(),
            Source::Json(elements) => elements.next_value(),
        }
    }
}

/// Goes over the keys and values of a map: see [`Value::entries`].
#[derive(Clone, Debug)]
pub struct Entries<'a>(Source<'a>);

impl<'a> Iterator for Entries<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        match &mut self.0 {
            Source::Nothing => None,
            Source::Protobuf(elements) => elements.next_attribute(),
            Source::Json(elements) => elements.next_attribute(),
        }
    }
}

/// Where elements come from.
#[derive(Clone, Debug)]
enum Source<'a> {
    Nothing,
    Protobuf(Elements<'a>),
    Json(JsonElements<'a>),
}

impl<'a> Source<'a> {
    fn list(list: &Nested<'a>, protobuf: fn(&Nested<'a>) -> Option<Elements<'a>>) -> Self {
        match *list {
            Nested::Json { text, arena, depth } => Self::json(text, arena, depth + 1),
            _ => protobuf(list).map_or(Self::Nothing, Self::Protobuf),
        }
    }

    fn json(text: &'a [u8], arena: &'a bumpalo::Bump, depth: u8) -> Self {
        JsonElements::new(text, arena, depth).map_or(Self::Nothing, Self::Json)
    }
}

impl<'a> Attributes<'a> {
    /// Goes over them in the order sent, at most 1,024.
    #[must_use]
    pub fn iter(&self) -> AttributesIter<'a> {
        AttributesIter {
            left: EVENT_ATTRIBUTES,
            source: match *self {
                Attributes::None => Source::Nothing,
                Attributes::Protobuf { bytes, field } => {
                    Source::Protobuf(Elements::of_message(bytes, field))
                }
                Attributes::Json { text, arena } => Source::json(text, arena, 0),
            },
        }
    }
}

impl<'a> IntoIterator for &Attributes<'a> {
    type Item = Attribute<'a>;
    type IntoIter = AttributesIter<'a>;

    fn into_iter(self) -> AttributesIter<'a> {
        self.iter()
    }
}

/// Goes over the attributes of an event or link: see [`Attributes::iter`].
#[derive(Clone, Debug)]
pub struct AttributesIter<'a> {
    left: usize,
    source: Source<'a>,
}

impl<'a> Iterator for AttributesIter<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        self.left = self.left.checked_sub(1)?;
        match &mut self.source {
            Source::Nothing => None,
            Source::Protobuf(elements) => elements.next_attribute(),
            Source::Json(elements) => elements.next_attribute(),
        }
    }
}

/// OTLP `Resource`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResourceView<'a> {
    /// At most 1,024.
    pub attributes: &'a [Attribute<'a>],
    /// As sent, plus those beyond the limit.
    pub dropped_attributes_count: u32,
}

/// OTLP `InstrumentationScope`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ScopeView<'a> {
    /// Name.
    pub name: &'a [u8],
    /// Version.
    pub version: &'a [u8],
}

/// OTLP `Span.Event`.
#[derive(Clone, Copy, Debug)]
pub struct EventView<'a> {
    /// When.
    pub time_unix_nano: u64,
    /// Its name.
    pub name: &'a [u8],
    /// Iterate over them with [`Attributes::iter`]; at most 1,024 are given.
    pub attributes: Attributes<'a>,
    /// As sent.
    pub dropped_attributes_count: u32,
}

/// OTLP `Span.Link`, without its attributes.
#[derive(Clone, Copy, Debug)]
pub struct LinkView<'a> {
    /// Sixteen bytes when valid.
    pub trace_id: &'a [u8],
    /// Eight bytes when valid.
    pub span_id: &'a [u8],
}

/// OTLP `Span`. Ids are bytes (decoded from hex in JSON), whatever their length; the reader judges.
#[derive(Clone, Copy, Debug, Default)]
pub struct SpanView<'a> {
    /// Sixteen bytes when valid.
    pub trace_id: &'a [u8],
    /// Eight bytes when valid.
    pub span_id: &'a [u8],
    /// Eight bytes, or none for a root.
    pub parent_span_id: &'a [u8],
    /// W3C `tracestate`.
    pub trace_state: &'a [u8],
    /// Bits 0x100: "parent is remote" is known; 0x200: it is.
    pub flags: u32,
    /// Its name.
    pub name: &'a [u8],
    /// Its kind.
    pub kind: SpanKind,
    /// When it started, nanoseconds since the Unix epoch.
    pub start_time_unix_nano: u64,
    /// When it ended.
    pub end_time_unix_nano: u64,
    /// In the order sent, at most 1,024.
    pub attributes: &'a [Attribute<'a>],
    /// As sent, plus those beyond the limit.
    pub dropped_attributes_count: u32,
    /// At most 1,024; events with an attribute `exception.*` are kept before others.
    pub events: &'a [EventView<'a>],
    /// As sent, plus those beyond the limit.
    pub dropped_events_count: u32,
    /// At most 1,024.
    pub links: &'a [LinkView<'a>],
    /// As sent, plus those beyond the limit.
    pub dropped_links_count: u32,
    /// Its status.
    pub status: StatusCode,
    /// The status' message.
    pub status_message: &'a [u8],
}

/// OTLP `LogRecord`. Ids are as in [`SpanView`], and most records have none.
#[derive(Clone, Copy, Debug)]
pub struct LogRecordView<'a> {
    /// Sixteen bytes when it was logged in a trace.
    pub trace_id: &'a [u8],
    /// Eight bytes when it was logged in a span.
    pub span_id: &'a [u8],
    /// When it happened, nanoseconds since the Unix epoch; 0 is unknown.
    pub time_unix_nano: u64,
    /// When it was collected.
    pub observed_time_unix_nano: u64,
    /// 1 to 24 as OTLP has them; 0 is unknown.
    pub severity_number: i32,
    /// The source's own word for its severity.
    pub severity_text: &'a [u8],
    /// Which kind of event it is, for records that are one.
    pub event_name: &'a [u8],
    /// What was logged: mostly a text.
    pub body: Value<'a>,
    /// In the order sent, at most 1,024.
    pub attributes: &'a [Attribute<'a>],
    /// As sent, plus those beyond the limit.
    pub dropped_attributes_count: u32,
}

impl Default for LogRecordView<'_> {
    fn default() -> Self {
        Self {
            trace_id: b"",
            span_id: b"",
            time_unix_nano: 0,
            observed_time_unix_nano: 0,
            severity_number: 0,
            severity_text: b"",
            event_name: b"",
            body: Value::Empty,
            attributes: &[],
            dropped_attributes_count: 0,
        }
    }
}

impl SpanKind {
    pub(super) fn from_number(number: i32) -> Self {
        match number {
            2 => Self::Server,
            3 => Self::Client,
            4 => Self::Producer,
            5 => Self::Consumer,
            _ => Self::Internal,
        }
    }
}

impl StatusCode {
    pub(super) fn from_number(number: i32) -> Self {
        match number {
            1 => Self::Ok,
            2 => Self::Error,
            _ => Self::Unset,
        }
    }
}

/// Takes what a walk finds, in the order of the body. Of each `ResourceSpans` first its resource
/// (an empty one when it has none), wherever that stands in it; likewise the scope.
pub trait Visitor {
    /// The records that follow belong to this resource.
    fn resource(&mut self, resource: &ResourceView<'_>);
    /// The records that follow belong to this scope.
    fn scope(&mut self, scope: &ScopeView<'_>);
    /// One span.
    fn span(&mut self, span: &SpanView<'_>);
    /// One log record. Whoever asks for spans only is shown none.
    fn log_record(&mut self, _record: &LogRecordView<'_>) {}
}
