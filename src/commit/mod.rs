//! .

pub mod plan;
