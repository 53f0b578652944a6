//! The store on both databases, each story told once.

mod dumps;
mod ingest;
pub mod migrations;
mod opening;
mod support;
mod together;
