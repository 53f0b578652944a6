//! The integration tests.
mod signals;
mod transport;

mod walk;
