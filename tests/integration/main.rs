//! The integration tests.
mod cli;
mod metrics;
mod signals;
mod transport;

mod walk;
