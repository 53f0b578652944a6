//! The integration tests.

mod cli;
mod databases;
mod fixtures;
mod generate;
mod metrics;
mod model;
mod order_and_split;
mod reference;
mod signals;
mod store;
mod transport;
mod walk;
