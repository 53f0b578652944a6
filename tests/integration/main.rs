//! The integration tests.

mod apps;
mod checker;
mod cli;
mod databases;
mod demo;
mod exactly_once;
mod fixtures;

mod generate;
mod grpc;
mod http2;
mod limits;
mod load;
mod logs;
mod lost_commit;
mod memory;
mod metrics;
mod mistakes;
mod model;
mod order_and_split;
mod outage;
mod own_spans;
mod partial;
mod program;
mod prometheus;
mod pty;
mod readme;
mod reference;
mod repository;
mod secrets;
mod signals;
mod skip;
mod stop;
mod store;
mod transport;
mod walk;
