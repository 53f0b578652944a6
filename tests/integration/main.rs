//! The integration tests.
mod transport;

mod walk;
