//! Bodies on their way in: all of a request is here before it takes a place among those that are
//! under way.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    http::StatusCode,
};
use http_body_util::BodyExt as _;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use super::problem::Problem;

/// A body may have so many bytes.
const MAX_BODY_BYTES: usize = 2 << 20;

/// All bodies together that have come so far and are not answered.
const MAX_BYTES: usize = 64 << 20;

/// How long a body may take.
const MAX_TIME: Duration = Duration::from_secs(10);

/// Room for bodies.
pub(super) struct Bodies(Semaphore);

impl Default for Bodies {
    fn default() -> Self {
        Self(Semaphore::new(MAX_BYTES))
    }
}

/// A body that has come whole, with the room that it takes.
pub(super) struct Whole<'b> {
    pub(super) bytes: Bytes,
    _room: Option<SemaphorePermit<'b>>,
}

impl Bodies {
    /// All of a body.
    pub(super) async fn read(&self, body: Body) -> Result<Whole<'_>, Problem> {
        timeout(MAX_TIME, self.whole(body)).await.map_err(|_| {
            let seconds = MAX_TIME.as_secs();
            let detail = format!("the body may take {seconds} seconds: send it faster");
            Problem::new(StatusCode::REQUEST_TIMEOUT, detail)
        })?
    }

    async fn whole(&self, mut body: Body) -> Result<Whole<'_>, Problem> {
        let mut bytes = Vec::new();
        let mut room: Option<SemaphorePermit> = None;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| {
                tracing::debug!(%error, "a body did not come whole");
                Problem::new(StatusCode::BAD_REQUEST, "the body did not come whole")
            })?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            if bytes.len() + data.len() > MAX_BODY_BYTES {
                let detail = format!("the body may have {MAX_BODY_BYTES} bytes: send less at once");
                return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
            }
            let number = u32::try_from(data.len()).unwrap_or(u32::MAX);
            let more = self
                .0
                .try_acquire_many(number)
                .map_err(|_| Problem::try_again("too many bodies are on their way: try again"))?;
            match &mut room {
                Some(room) => room.merge(more),
                None => room = Some(more),
            }
            bytes.extend_from_slice(&data);
        }
        Ok(Whole {
            bytes: bytes.into(),
            _room: room,
        })
    }
}
