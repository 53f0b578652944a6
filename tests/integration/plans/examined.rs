//! How many rows and index entries a database looks at to answer a question of the reader, counted
//! while the reader's own statements run.
//!
//! PostgreSQL writes the plan of each statement into its log, with what each node of it came by
//! (`auto_explain`). SQLite's machine counts its steps, of which each row or entry takes some; a scan
//! that only looks at each takes fewest.

use std::{
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use redspan::store::{PipelineReader, Reader, SqlReader};
use serde_json::Value;
use sqlx::{
    Postgres, Sqlite, SqlitePool,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};

use super::fill::USERS;
use crate::databases::{Database, Kind, server};

/// Reads errors and runs.
pub trait Reads: Reader + PipelineReader {}

impl<T: Reader + PipelineReader> Reads for T {}

/// A reader whose database tells what it looked at.
pub struct Watched {
    reader: Box<dyn Reads>,
    counter: Counter,
}

enum Counter {
    Sqlite {
        steps: Arc<AtomicU64>,
        /// For each row, at least.
        steps_a_row: u64,
    },
    Postgres {
        database: String,
        /// Plans of earlier questions.
        plans: usize,
    },
}

impl Watched {
    /// A reader of this database, which is filled.
    pub async fn new(database: &Database) -> Self {
        Self::with(database, &[]).await
    }

    /// The same with settings of PostgreSQL's.
    pub async fn with(database: &Database, settings: &[(&str, &str)]) -> Self {
        match database.kind {
            Kind::Sqlite => {
                let options = SqliteConnectOptions::from_str(&database.url).unwrap();
                let pool = SqlitePoolOptions::new()
                    .max_connections(1)
                    .connect_with(options.read_only(true))
                    .await
                    .unwrap();
                let steps = count_steps(&pool).await;
                let none = "SELECT COUNT(*) FROM users WHERE first_seen_at < 0";
                let found: i64 = sqlx::query_scalar(none).fetch_one(&pool).await.unwrap();
                assert_eq!(found, 0);
                let steps_a_row = steps.load(Ordering::Relaxed) / USERS.cast_unsigned();
                assert!(steps_a_row > 0);
                Self {
                    reader: Box::new(SqlReader::<Sqlite>::without_limits(pool)),
                    counter: Counter::Sqlite { steps, steps_a_row },
                }
            }
            Kind::Postgres => {
                let options = PgConnectOptions::from_str(&database.url).unwrap();
                let name = options.get_database().unwrap().to_owned();
                let options = options.options([
                    ("search_path", &*database.schema),
                    ("session_preload_libraries", "auto_explain"),
                    ("auto_explain.log_min_duration", "0"),
                    ("auto_explain.log_analyze", "on"),
                    ("auto_explain.log_timing", "off"),
                    ("auto_explain.log_format", "json"),
                ]);
                let options = options.options(settings.iter().copied());
                let pool = PgPoolOptions::new().max_connections(1);
                let pool = pool.connect_with(options).await.unwrap();
                let plans = plans(&name).len();
                Self {
                    reader: Box::new(SqlReader::<Postgres>::new(pool)),
                    counter: Counter::Postgres {
                        database: name,
                        plans,
                    },
                }
            }
        }
    }

    /// The answer, and how many rows of tables were looked at for it that no index held whole; `None`
    /// on SQLite, which does not tell.
    pub async fn ask_for_rows<T>(
        &mut self,
        question: impl AsyncFnOnce(&dyn Reads) -> T,
    ) -> (T, Option<f64>) {
        let seen = match &self.counter {
            Counter::Sqlite { .. } => 0,
            Counter::Postgres { plans, .. } => *plans,
        };
        let (answer, _) = self.ask(question).await;
        let rows = match &self.counter {
            Counter::Sqlite { .. } => None,
            Counter::Postgres { database, .. } => {
                let plans = plans(database);
                let not_by_index = |kind: &str| kind != "Index Only Scan";
                let rows = plans[seen..].iter().map(|it| scanned(it, not_by_index));
                Some(rows.sum())
            }
        };
        (answer, rows)
    }

    /// The answer, and how many rows and entries were looked at for it; on SQLite at most.
    pub async fn ask<T>(&mut self, question: impl AsyncFnOnce(&dyn Reads) -> T) -> (T, u64) {
        if let Counter::Sqlite { steps, .. } = &self.counter {
            steps.store(0, Ordering::Relaxed);
        }
        let answer = question(&*self.reader).await;
        let examined = match &mut self.counter {
            Counter::Sqlite { steps, steps_a_row } => steps.load(Ordering::Relaxed) / *steps_a_row,
            Counter::Postgres {
                database,
                plans: seen,
            } => {
                let plans = plans(database);
                let new = &plans[*seen..];
                assert!(!new.is_empty(), "no plan in the log");
                *seen = plans.len();
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a count"
                )]
                let examined = new
                    .iter()
                    .map(|it| scanned(it, |_| true))
                    .sum::<f64>()
                    .round() as u64;
                examined
            }
        };
        (answer, examined)
    }
}

/// Counts, from now on, the steps of SQLite's loops on the pool's one connection.
async fn count_steps(pool: &SqlitePool) -> Arc<AtomicU64> {
    let steps = Arc::new(AtomicU64::new(0));
    let counting = Arc::clone(&steps);
    let mut connection = pool.acquire().await.unwrap();
    let mut handle = connection.lock_handle().await.unwrap();
    handle.set_progress_handler(1, move || {
        counting.fetch_add(1, Ordering::Relaxed);
        true
    });
    drop(handle);
    steps
}

/// The plans of the statements on this database that the log holds.
fn plans(database: &str) -> Vec<Value> {
    let log = server().log();
    let begin = format!("{database} ");
    let mut lines = log.lines().peekable();
    let mut plans = Vec::new();
    while let Some(line) = lines.next() {
        if line.starts_with(&begin) && line.ends_with("plan:") {
            let mut text = String::new();
            while let Some(line) = lines.next_if(|line| line.starts_with('\t')) {
                text.push_str(line);
            }
            let plan: Value = serde_json::from_str(&text).unwrap();
            plans.push(plan["Plan"].clone());
        }
    }
    plans
}

/// Rows and index entries that the scans of some kinds below this node came by, those that they left
/// out too.
fn scanned(node: &Value, counts: impl Fn(&str) -> bool + Copy) -> f64 {
    let number = |key: &str| node[key].as_f64().unwrap_or(0.0);
    let kind = node["Node Type"].as_str().unwrap();
    // What is scanned again has been counted where it was made.
    let is_table = kind.ends_with("Scan")
        && !["CTE Scan", "Subquery Scan", "WorkTable Scan"].contains(&kind)
        && counts(kind);
    let rows = number("Actual Rows")
        + number("Rows Removed by Filter")
        + number("Rows Removed by Index Recheck");
    let own = if is_table {
        rows * number("Actual Loops")
    } else {
        0.0
    };
    let below = node["Plans"].as_array().into_iter().flatten();
    own + below.map(|it| scanned(it, counts)).sum::<f64>()
}
