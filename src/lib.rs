//! redspan: an error ledger and metrics exporter for applications that export OpenTelemetry data.
//!
//! The modules are the way of the data, in order; each knows the vocabulary and the one it feeds:
//!
//! - [`domain`]: the vocabulary: errors, hours, sightings, and their names
//! - [`otlp`]: bytes to views: limits, inflation, the protobuf walk, JSON, and the answers
//! - [`detect`]: views to findings, and sightings to rows; no clock, no I/O
//! - [`commit`]: findings to one transaction, and the answer after COMMIT
//! - [`store`]: the two databases and everything SQL
//! - [`metrics`]: what was committed and what the process did, for Prometheus
//! - [`web`]: /metrics, health
//! - [`jobs`]: what happens by the clock
//! - [`import`]: what a hand-written layer kept, taken over
//! - [`cli`]: one file a subcommand
//!
//! [`app`] puts them together; the rest cuts across.

pub mod domain;

pub mod otlp;

pub mod detect;

pub mod commit;

pub mod store;

pub mod metrics;

pub mod web;

pub mod cli;

pub mod app;
pub mod build;
pub mod clock;
pub mod config;
pub mod failure;
pub mod import;
pub mod jobs;
pub mod lately;
pub mod repeats;
pub mod server;
pub mod shutdown;
pub mod telemetry;
pub mod tokens;
