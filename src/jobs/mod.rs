//! What a serving process does by the clock, beside requests.

mod check;
mod health;

pub use check::finish_check;
pub use health::{Health, watch};
