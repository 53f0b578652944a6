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
    database: Database,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Database {
    #[default]
    Up,
    Down,
    /// For good, whether it answers or not.
    Damaged,
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
        let mut obstacles = self.obstacles();
        if obstacles.database != Database::Damaged {
            obstacles.database = if up { Database::Up } else { Database::Down };
        }
    }

    /// Damage was found in the database, which nothing but an operator ends.
    pub fn set_database_damaged(&self) {
        self.obstacles().database = Database::Damaged;
    }

    /// Why telemetry cannot be taken; `None` when it can.
    #[must_use]
    pub fn obstacle(&self) -> Option<&'static str> {
        let obstacles = self.obstacles();
        if obstacles.draining {
            Some("stopping")
        } else if !obstacles.started {
            Some("starting")
        } else {
            match obstacles.database {
                Database::Up => None,
                Database::Down => Some("the database does not answer"),
                Database::Damaged => Some("the database is damaged, see the log"),
            }
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
