//! redspan: an error ledger and metrics exporter for applications that export OpenTelemetry data.
//!
//! The modules are the way of the data, in order. `domain` is the vocabulary that every other
//! module may use; otherwise each stage knows only the stage it feeds.

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
pub mod jobs;
pub mod server;
pub mod shutdown;
pub mod telemetry;
