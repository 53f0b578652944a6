//! The store on both databases, each story told once.

mod ingest;
mod migrations;
mod opening;
mod support;
mod together;
