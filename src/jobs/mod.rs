//! What a serving process does by the clock, beside requests.

mod check;
mod health;
mod retention;

pub use check::finish_check;
pub use health::{Health, watch};
pub use retention::{Deleted, Retention};
