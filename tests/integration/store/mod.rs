//! The store on both databases, each story told once.

mod ingest;
pub mod migrations;
mod opening;
mod support;
mod together;
