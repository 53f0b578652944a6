//! Bytes to views: limits, inflation, the protobuf walk and JSON, and the answers. It has never
//! heard of SQL or of what an error is.

pub mod answer;
pub mod body;
pub mod budget;
pub mod cors;
pub mod export;
pub mod grpc;
pub mod http;
mod inflate;
mod json;
mod json_fault;
mod json_string;
mod json_text;
mod json_values;
mod limits;
mod mistake;
mod protobuf;
mod protobuf_values;
mod protobuf_wire;
mod views;
mod walk;

pub use limits::Limits;
pub use views::{
    Attribute, Attributes, AttributesIter, Entries, EventView, Items, LinkView, LogRecordView,
    Nested, Refusal, ResourceView, ScopeView, SpanKind, SpanView, StatusCode, Value, Visitor,
};
pub use walk::{Counts, Records, walk};

/// How a request is written, and therefore its answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    /// `application/x-protobuf`.
    Protobuf,
    /// `application/json`.
    Json,
}
