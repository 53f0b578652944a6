//! Bytes to views: limits, inflation, the protobuf walk and JSON, and the answers. It has never
//! heard of SQL or of what an error is.

mod views;

pub use views::{
    Attribute, Attributes, EventView, LinkView, Nested, Refusal, ResourceView, ScopeView, SpanKind,
    SpanView, StatusCode, Value, Visitor,
};
