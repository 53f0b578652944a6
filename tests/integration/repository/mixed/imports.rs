//! What a hand-written layer kept, taken over more than once while it goes on.

use std::{sync::LazyLock, time::Duration};

use proptest::{collection::vec, prelude::*};
use redspan::{
    domain::Hour,
    import::{self, Balance, Source, Target},
};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::{Played, base, minutes_ago};
use crate::import::layer::Layer;

/// What the layer got since the last time.
#[derive(Clone, Debug)]
pub struct Import {
    /// User, minutes ago.
    errors: Vec<(u8, u16)>,
    /// More than it has rows of, in one hour.
    without_rows: u8,
    /// Finished or not.
    run: Option<bool>,
}

pub fn step() -> impl Strategy<Value = Import> {
    let run = prop_oneof![Just(None), any::<bool>().prop_map(Some)];
    let errors = vec((0..4_u8, 0..200_u16), 0..5);
    (errors, 0..3_u8, run).prop_map(|(errors, without_rows, run)| Import {
        errors,
        without_rows,
        run,
    })
}

/// One for all cases: a test runs them one after the other.
static LAYER: LazyLock<Layer> = LazyLock::new(Layer::new);

/// The layer as it is at the beginning of a case.
pub fn begin() {
    LAYER.execute("TRUNCATE api_errors, error_aggregations, generation_pipelines, pipeline_stages");
}

impl Played {
    pub async fn import(&self, step: &Import) -> Balance {
        let number = self.answers.len();
        let mut statements = Vec::new();
        for (index, (user, minutes)) in step.errors.iter().enumerate() {
            let at = minutes_ago(*minutes);
            statements.push(format!(
                "INSERT INTO api_errors (id, user_id, endpoint, method, error_message, created_at) \
                 VALUES ('00000000-0000-4000-8000-{number:06}{index:06}', \
                 (SELECT id FROM users ORDER BY email OFFSET {user} LIMIT 1), \
                 '/legacy', 'GET', 'no such order', '{at}')"
            ));
        }
        if step.without_rows > 0 {
            let (hour, more) = (Hour::containing(base()).start(), step.without_rows);
            statements.push(format!(
                "INSERT INTO error_aggregations (hour_bucket, endpoint, severity, category, \
                 total_errors, unique_users, first_occurrence, last_occurrence) \
                 VALUES ('{hour}', '/gone/{number}', 'error', 'unknown', {more}, 1, '{hour}', '{hour}')"
            ));
        }
        if let Some(is_finished) = step.run {
            let status = if is_finished {
                "completed"
            } else {
                "processing"
            };
            let progress = if is_finished { 100 } else { 40 };
            statements.push(format!(
                "INSERT INTO generation_pipelines (id, user_id, config, status, progress, created_at, \
                 updated_at) VALUES ('legacy-{number}', (SELECT id FROM users ORDER BY email LIMIT 1), \
                 '{{\"type\": \"legacy\"}}', '{status}', {progress}, '2026-02-01', '2026-02-01'); \
                 INSERT INTO pipeline_stages (id, pipeline_id, stage_name, stage_order, created_at) \
                 VALUES ('00000000-0000-4000-9000-{number:012}', 'legacy-{number}', 'mesh', 0, '2026-02-01')"
            ));
        }
        let mut layer = PgConnection::connect(LAYER.url()).await.unwrap();
        layer
            .execute(AssertSqlSafe(statements.join("; ")))
            .await
            .unwrap();
        layer.close().await.unwrap();
        let mut source = Source::open(LAYER.url(), Duration::from_secs(20))
            .await
            .unwrap();
        let target = Target {
            queue: self.world.queue.clone(),
            pipelines: self.world.pipelines(),
            actor: "mover".to_owned(),
        };
        let imported = import::run(&mut source, &target, base(), |_| ()).await;
        source.close().await;
        imported.unwrap()
    }
}
