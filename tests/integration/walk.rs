//! The walk against prost and `serde_json`: what is seen, and what is refused.

mod json;
mod logs;
mod oracle;
mod protobuf;
mod seen;
mod soup;
