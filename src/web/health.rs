//! `GET /livez` and `GET /readyz`. Alive is the process alone; ready is that telemetry can be taken.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::{extract::State, http::StatusCode, response::Response};

use super::{WebState, plain};

/// Whether redspan can take telemetry. Clones share it; begins as "starting".
#[derive(Clone, Default)]
pub struct Readiness(Arc<Mutex<Obstacles>>);

#[derive(Default)]
struct Obstacles {
    started: bool,
    draining: bool,
    database_down: bool,
}

impl Readiness {
    /// The listeners are open and the writer has its name.
    pub fn set_started(&self) {
        self.obstacles().started = true;
    }

    /// The stop signal was given.
    pub fn set_draining(&self) {
        self.obstacles().draining = true;
    }

    /// The database answers, or not.
    pub fn set_database_up(&self, up: bool) {
        self.obstacles().database_down = !up;
    }

    /// Why telemetry cannot be taken; `None` when it can.
    #[must_use]
    pub fn obstacle(&self) -> Option<&'static str> {
        let obstacles = self.obstacles();
        if obstacles.draining {
            Some("stopping")
        } else if !obstacles.started {
            Some("starting")
        } else if obstacles.database_down {
            Some("the database does not answer")
        } else {
            None
        }
    }

    fn obstacles(&self) -> MutexGuard<'_, Obstacles> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) async fn livez() -> Response {
    plain(StatusCode::OK, "alive\n")
}

pub(super) async fn readyz(State(state): State<WebState>) -> Response {
    match state.readiness.obstacle() {
        None => plain(StatusCode::OK, "ready\n"),
        Some(obstacle) => plain(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("not ready: {obstacle}\n"),
        ),
    }
}
