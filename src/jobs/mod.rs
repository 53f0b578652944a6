//! What a serving process does by the clock, beside requests.

mod health;

pub use health::{Health, watch};
