//! Borrowed views of what a request holds, the same for protobuf and JSON. Text is bytes as sent:
//! it may be invalid UTF-8 until somebody keeps it.

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

/// Takes what a walk finds, in the order of the body. Of each `ResourceSpans` first its resource
/// (an empty one when it has none), wherever that stands in it; likewise the scope.
pub trait Visitor {
    /// The spans that follow belong to this resource.
    fn resource(&mut self, resource: &ResourceView<'_>);
    /// The spans that follow belong to this scope.
    fn scope(&mut self, scope: &ScopeView<'_>);
    /// One span.
    fn span(&mut self, span: &SpanView<'_>);
}
