//! The integration tests.
mod metrics;
mod signals;
mod transport;

mod walk;
