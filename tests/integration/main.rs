//! The integration tests.
mod transport;
