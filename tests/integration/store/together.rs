//! Several writers on one PostgreSQL, and connections that are lost.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use redspan::{
    domain::{ApiError, Fingerprint, RequestDigest},
    store::{Changes, DatabaseSettings, Ingest, SharedStore, StoreError, TraceWrite, connect},
};

use super::{
    migrations::{execute, rows},
    support::{assert_adds_up, at, changes, commit, counted, error, groups, hours, id, trace},
};
use crate::databases::{Database, Kind, on_each_database, server};

fn on_postgres(test: impl AsyncFn(Database)) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .unwrap()
        .block_on(test(Database::new(Kind::Postgres)));
}

/// One group of a writer: rows of the same few hours, users, groups and traces as everybody's.
fn group(writer: u32, round: u32) -> Changes {
    let came: Vec<ApiError> = (0..12)
        .map(|number| {
            let user = format!("user-{}", (number + round) % 3);
            let mut row = error(
                writer * 1_000_000 + round * 100 + number,
                600 * i64::from(number),
                Some(&user),
            );
            row.fingerprint = Fingerprint(format!("1:{}", (number * 7 + round) % 9));
            row.endpoint = format!("/{}", (number * 5) % 4);
            counted(row)
        })
        .collect();
    // What the round before stored moves, and half of it leaves.
    let before: Vec<ApiError> = if round == 0 {
        Vec::new()
    } else {
        group(writer, round - 1).inserted[..6].to_vec()
    };
    let mut group = changes(&came, &before);
    group.merged = before.iter().map(|row| (row.id, came[0].id)).collect();
    group.writer = format!("writer-{writer}");
    group
}

async fn write(writer: &mut dyn Ingest, group: &Changes) -> Result<(), StoreError> {
    let mut traces = [trace(1), trace(2), trace(3)];
    traces.sort_by_key(|trace| trace.key);
    writer.begin().await?;
    writer.lock_traces(&traces[..2], at(0)).await?;
    let fingerprints: Vec<_> = group
        .groups
        .iter()
        .map(|group| group.fingerprint.clone())
        .collect();
    writer.lock_groups(&fingerprints).await?;
    writer.apply(group).await?;
    writer.commit().await
}

#[test]
fn writers_that_change_the_same_rows_never_collide_and_lose_nothing() {
    on_postgres(async |database| {
        const WRITERS: u32 = 4;
        const ROUNDS: u32 = 15;
        let store = connect(&database.settings()).await.unwrap();
        let users: Vec<_> = (0..3).map(|user| format!("user-{user}")).collect();
        let tasks: Vec<_> = (1..=WRITERS)
            .map(|number| {
                let (store, users) = (store.clone(), users.clone());
                tokio::spawn(async move {
                    let mut writer = store.writer().await.unwrap();
                    writer.register_users(&users, at(0)).await.unwrap();
                    for round in 0..ROUNDS {
                        write(&mut *writer, &group(number, round)).await.unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        // Each round but the last lost half of its rows again.
        let left = i64::from(WRITERS * (ROUNDS * 6 + 6));
        let in_hours: i64 = hours(&store)
            .await
            .iter()
            .map(|hour| hour.total_errors)
            .sum();
        let in_groups: i64 = groups(&store)
            .await
            .iter()
            .map(|group| group.total_errors)
            .sum();
        assert_eq!((in_hours, in_groups), (left, left));
        assert_adds_up(&store).await;
    });
}

#[test]
fn writers_whose_keys_come_in_other_orders_do_not_deadlock() {
    on_postgres(async |database| {
        let store = connect(&database.settings()).await.unwrap();
        let tasks: Vec<_> = (0..4_usize)
            .map(|number| {
                let store = store.clone();
                tokio::spawn(async move {
                    let mut writer = store.writer().await.unwrap();
                    for round in 0..20_u8 {
                        // Each in an order of its own: the statements sort.
                        let mut traces: Vec<_> = (0..20).map(trace).collect();
                        traces.rotate_left(number * 5);
                        let mut digests: Vec<_> =
                            (0..20).map(|n| RequestDigest([n ^ round; 16])).collect();
                        digests.rotate_left(number * 5);
                        writer.begin().await.unwrap();
                        writer.insert_ledger(&digests, at(0)).await.unwrap();
                        let stored = writer.lock_traces(&traces, at(0)).await.unwrap();
                        let traces = stored
                            .iter()
                            .map(|trace| TraceWrite {
                                key: trace.key,
                                sightings: "[]".to_owned(),
                                dropped_sightings: trace.dropped_sightings + 1,
                                touched_at: at(0),
                            })
                            .collect();
                        let changes = Changes {
                            traces,
                            ..Changes::default()
                        };
                        writer.apply(&changes).await.unwrap();
                        writer.commit().await.unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        // Whoever locks a trace sees what everybody before wrote.
        let dropped = "SELECT DISTINCT dropped_sightings::text FROM error_traces";
        assert_eq!(rows(&database, dropped, dropped).await, ["80"]);
    });
}

#[test]
fn a_trace_is_locked_until_the_transaction_ends() {
    on_postgres(async |database| {
        let store = connect(&database.settings()).await.unwrap();
        let (mut one, mut other) = (store.writer().await.unwrap(), store.writer().await.unwrap());
        one.begin().await.unwrap();
        one.lock_traces(&[trace(1)], at(0)).await.unwrap();
        let second = tokio::spawn(async move {
            other.begin().await.unwrap();
            let stored = other.lock_traces(&[trace(1)], at(0)).await.unwrap();
            other.rollback().await;
            stored
        });
        wait_for_a_lock(&database).await;
        let write = TraceWrite {
            key: trace(1).key,
            sightings: "[]".to_owned(),
            dropped_sightings: 42,
            touched_at: at(0),
        };
        one.apply(&Changes {
            traces: vec![write],
            ..Changes::default()
        })
        .await
        .unwrap();
        one.commit().await.unwrap();
        assert_eq!(second.await.unwrap()[0].dropped_sightings, 42);
    });
}

#[test]
fn a_claimed_name_waits_for_the_transaction_that_holds_it() {
    on_postgres(async |database| {
        let store = connect(&database.settings()).await.unwrap();
        let (mut one, mut other) = (store.writer().await.unwrap(), store.writer().await.unwrap());
        let epoch = one.claim_writer("host", at(0)).await.unwrap();
        one.begin().await.unwrap();
        assert!(one.hold_writer("host", epoch).await.unwrap());
        let claim = tokio::spawn(async move { other.claim_writer("host", at(0)).await.unwrap() });
        wait_for_a_lock(&database).await;
        one.commit().await.unwrap();
        assert!(claim.await.unwrap() > epoch);
        one.begin().await.unwrap();
        assert!(!one.hold_writer("host", epoch).await.unwrap());
    });
}

#[test]
fn a_request_that_two_replicas_take_at_once_is_new_to_one_of_them() {
    on_postgres(async |database| {
        let store = connect(&database.settings()).await.unwrap();
        let (mut one, mut other) = (store.writer().await.unwrap(), store.writer().await.unwrap());
        let digest = RequestDigest([5; 16]);
        one.begin().await.unwrap();
        let new = one.insert_ledger(&[digest], at(0)).await.unwrap();
        assert_eq!(new, [digest]);
        let second = tokio::spawn(async move {
            other.begin().await.unwrap();
            other.insert_ledger(&[digest], at(0)).await.unwrap()
        });
        wait_for_a_lock(&database).await;
        one.commit().await.unwrap();
        assert!(second.await.unwrap().is_empty());
    });
}

#[test]
fn a_lost_connection_is_given_up_and_the_next_one_works() {
    on_postgres(async |database| {
        let store = connect(&database.settings()).await.unwrap();
        let mut writer = store.writer().await.unwrap();
        writer.begin().await.unwrap();
        writer
            .apply(&changes(&[error(1, 0, None)], &[]))
            .await
            .unwrap();
        cut_connections(&database).await;
        let lost = writer.read_errors(&[id(1)]).await.unwrap_err();
        assert!(is_lost(&lost), "{lost:?}");
        let still_lost = writer.begin().await.unwrap_err();
        assert!(is_lost(&still_lost), "{still_lost:?}");
        writer.rollback().await;
        let mut writer = store.writer().await.unwrap();
        commit(&mut *writer, &changes(&[error(1, 0, None)], &[])).await;
        // The readers' connections were cut, too.
        store.ping().await.unwrap();
        assert_adds_up(&store).await;
    });
}

#[test]
fn a_commit_whose_answer_is_lost_has_an_unknown_outcome() {
    on_postgres(async |database| {
        let store = connect(&database.settings()).await.unwrap();
        let mut writer = store.writer().await.unwrap();
        writer.begin().await.unwrap();
        writer
            .apply(&changes(&[error(1, 0, None)], &[]))
            .await
            .unwrap();
        cut_connections(&database).await;
        let unknown = writer.commit().await.unwrap_err();
        assert!(
            matches!(unknown, StoreError::UnknownOutcome { .. }),
            "{unknown:?}"
        );
    });
}

#[test]
fn a_statement_that_waits_too_long_is_given_up_by_the_server() {
    on_postgres(async |database| {
        let settings = DatabaseSettings {
            statement_timeout: Duration::from_millis(300),
            ..database.settings()
        };
        let store = connect(&settings).await.unwrap();
        let (mut one, mut other) = (store.writer().await.unwrap(), store.writer().await.unwrap());
        one.begin().await.unwrap();
        one.lock_traces(&[trace(1)], at(0)).await.unwrap();
        other.begin().await.unwrap();
        let start = Instant::now();
        let slow = other.lock_traces(&[trace(1)], at(0)).await.unwrap_err();
        assert!(
            matches!(
                slow,
                StoreError::Unavailable {
                    connection_lost: false,
                    ..
                }
            ),
            "{slow:?}"
        );
        assert!(start.elapsed() < Duration::from_secs(2));
        // The transaction is gone, whatever the caller believes.
        other.commit().await.unwrap_err();
        other.rollback().await;
        one.commit().await.unwrap();
        other.begin().await.unwrap();
        other.lock_traces(&[trace(1)], at(0)).await.unwrap();
        other.commit().await.unwrap();
    });
}

#[test]
fn behind_a_pooler_statements_have_no_names_and_stand_in_transactions() {
    on_postgres(async |database| {
        let name = rows(&database, "", "SELECT current_database()::text")
            .await
            .remove(0);
        execute(
            &database,
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET log_statement = %L', \
             current_database(), 'all'); END $$",
        )
        .await;
        let settings = DatabaseSettings {
            pooler: true,
            ..database.settings()
        };
        let store = connect(&settings).await.unwrap();
        let mut writer = store.writer().await.unwrap();
        let epoch = writer.claim_writer("host", at(0)).await.unwrap();
        write_everything(&store, &mut *writer, epoch).await;
        assert_adds_up(&store).await;

        let mut in_transaction = HashSet::new();
        let mut executed = 0;
        let log = server().log();
        for line in log
            .lines()
            .filter(|line| line.starts_with(&format!("{name} ")))
        {
            let session = line.split(' ').nth(1).unwrap();
            if line.contains("statement: BEGIN") {
                in_transaction.insert(session);
            } else if line.contains("statement: COMMIT") || line.contains("statement: ROLLBACK") {
                in_transaction.remove(session);
            } else if line.contains("LOG:  execute ") {
                assert!(line.contains("execute <unnamed>"), "{line}");
                assert!(in_transaction.contains(session), "{line}");
                executed += 1;
            }
        }
        assert!(executed > 50, "{executed}");
    });
}

async fn write_everything(store: &SharedStore, writer: &mut dyn Ingest, epoch: i64) {
    writer.load_metric_totals("host").await.unwrap();
    writer
        .known_digests(&[RequestDigest([1; 16])])
        .await
        .unwrap();
    let users: Vec<_> = (0..3).map(|user| format!("user-{user}")).collect();
    writer.register_users(&users, at(0)).await.unwrap();
    writer.begin().await.unwrap();
    assert!(writer.hold_writer("host", epoch).await.unwrap());
    writer
        .insert_ledger(&[RequestDigest([1; 16])], at(0))
        .await
        .unwrap();
    writer.commit().await.unwrap();
    write(writer, &group(1, 0)).await.unwrap();
    write(writer, &group(1, 1)).await.unwrap();
    writer
        .rebuild_aggregations(None, None, "ada", at(0))
        .await
        .unwrap();
    writer.prune_ledger(at(9), 10).await.unwrap();
    store.ping().await.unwrap();
    hours(store).await;
    groups(store).await;
}

#[test]
fn two_stores_of_one_database_have_one_user_key() {
    on_each_database(async |database| {
        let store = connect(&database.settings()).await.unwrap();
        let key = store.user_hash_key();
        store.close().await;
        drop(store);
        let again = connect(&database.settings()).await.unwrap();
        assert_eq!(again.user_hash_key(), key);
        assert_ne!(key, [0; 16]);
    });
}

fn is_lost(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Unavailable {
            connection_lost: true,
            ..
        }
    )
}

async fn cut_connections(database: &Database) {
    execute(
        database,
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    .await;
}

/// Waits until some connection to this database waits for a lock.
async fn wait_for_a_lock(database: &Database) {
    const SQL: &str = "SELECT count(*)::text FROM pg_stat_activity \
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while rows(database, SQL, SQL).await == ["0"] {
        tokio::task::yield_now().await;
    }
}
