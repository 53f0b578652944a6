//! Puts the stages together and runs them: the one place that knows everybody.

use crate::{config::Config, failure::Failure};

/// Serves until told to stop.
///
/// # Errors
/// When it cannot begin.
#[expect(clippy::unused_async, reason = "the stages are not put together yet")]
pub async fn serve(_config: Config) -> Result<(), Failure> {
    Ok(())
}
