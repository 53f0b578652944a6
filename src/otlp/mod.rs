//! Bytes to views: limits, inflation, the protobuf walk and JSON, and the answers. It has never
//! heard of SQL or of what an error is.

pub mod answer;
pub mod body;
pub mod budget;
pub mod http;
mod inflate;
mod views;

pub use views::{
    Attribute, Attributes, EventView, LinkView, Nested, Refusal, ResourceView, ScopeView, SpanKind,
    SpanView, StatusCode, Value, Visitor,
};

/// How a request is written, and therefore its answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    /// `application/x-protobuf`.
    Protobuf,
    /// `application/json`.
    Json,
}
