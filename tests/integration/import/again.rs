//! What was taken over is never taken again, whatever happened to it meanwhile, here or there.

use std::thread;

use super::{
    assert_same, assert_verified, count, dump, import, imported, layer::Layer, number, redspan,
    target,
};
use crate::databases::{Database, Kind, each_kind};

const ROWS: &str = "SELECT COUNT(*) FROM api_errors";
const RUNS: &str = "SELECT COUNT(*) FROM generation_pipelines";
const COUNTED: &str = "SELECT CAST(SUM(total_errors) AS BIGINT) FROM error_aggregations";

fn numbers(database: &Database) -> [i64; 3] {
    [ROWS, RUNS, COUNTED].map(|sql| number(database, &database.schema, sql))
}

fn done(database: &Database, arguments: &[&str]) {
    let output = redspan(database, arguments, &[]);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn what_was_deleted_here_between_two_runs_stays_deleted_and_what_is_new_there_is_taken() {
    each_kind(|kind| {
        let layer = Layer::new();
        layer.fill(600, 100);
        let database = target(kind);
        imported(&database, &layer);
        let purge = ["errors", "purge", "--older-than", "1d", "--yes"];
        done(&database, &purge);
        done(
            &database,
            &["pipelines", "purge", "--older-than", "1d", "--yes"],
        );
        let [rows, runs, counted] = numbers(&database);
        assert_eq!((rows, runs, counted), (480, 40, layer.counted()));

        // With an older time and a smaller key than any that was taken, and counted.
        layer.execute(
            "INSERT INTO api_errors (id, endpoint, method, error_message, created_at) \
             VALUES ('00000000-0000-4000-8000-000000000001', '/old', 'GET', 'late', '2020-01-01Z'); \
             INSERT INTO error_aggregations (hour_bucket, endpoint, severity, category, total_errors) \
             VALUES ('2020-01-01Z', '/old', 'error', 'unknown', 3); \
             INSERT INTO generation_pipelines (id, config, created_at) VALUES ('a', '{}', '2020-01-01')",
        );
        let balance = imported(&database, &layer);
        assert_eq!(balance["errors"], count(1, 600));
        assert_eq!(balance["hours"], count(1, layer.hours()));
        assert_eq!(balance["pipelines"], count(1, 100));
        assert_eq!(numbers(&database), [481, 41, layer.counted()]);
        assert_verified(&database);
    });
}

#[test]
fn rows_that_the_layer_deletes_after_they_were_taken_are_not_counted_as_errors_without_rows() {
    each_kind(|kind| {
        let layer = Layer::new();
        layer.fill(600, 3);
        let database = target(kind);
        imported(&database, &layer);
        let before = dump(&database);
        layer.execute("DELETE FROM api_errors WHERE created_at < '2026-03-15Z'");
        let balance = imported(&database, &layer);
        assert_eq!(balance["hours"]["imported"], 0);
        assert_eq!(balance["errors"]["imported"], 0);
        assert_eq!(dump(&database), before);
    });
}

#[test]
fn label_sets_that_are_folded_here_are_counted_once() {
    let layer = Layer::new();
    layer.fill(600, 3);
    each_kind(|kind| {
        let database = target(kind);
        let few = [("REDSPAN_LIMITS_HOUR_LABEL_SETS", "1")];
        for _ in 0..2 {
            let output = import(&database, &layer, &few);
            assert!(output.status.success(), "{output:?}");
            assert_eq!(numbers(&database)[2], layer.counted());
        }
        let folded = "SELECT COUNT(*) FROM error_aggregations WHERE endpoint = '__other__'";
        assert!(number(&database, &database.schema, folded) > 0);
        assert_verified(&database);
    });
}

#[test]
fn two_layers_that_count_under_the_same_labels_are_both_counted() {
    let layers = [Layer::new(), Layer::new()];
    for layer in &layers {
        layer.fill(300, 30);
    }
    each_kind(|kind| {
        let database = target(kind);
        for _ in 0..2 {
            for layer in &layers {
                imported(&database, layer);
            }
        }
        let counted = layers.iter().map(Layer::counted).sum();
        assert_eq!(numbers(&database), [600, 30, counted]);
        assert_verified(&database);
    });
}

#[test]
fn a_layer_at_another_address_is_the_same_layer() {
    each_kind(|kind| {
        let mut layer = Layer::new();
        layer.fill(300, 30);
        let database = target(kind);
        imported(&database, &layer);
        let before = dump(&database);
        layer.rename();
        imported(&database, &layer);
        assert_eq!(dump(&database), before);
    });
}

#[test]
fn of_a_copy_of_a_layer_only_errors_without_rows_are_counted_once_more() {
    each_kind(|kind| {
        let mut layer = Layer::new();
        layer.fill(300, 30);
        let database = target(kind);
        imported(&database, &layer);
        layer.copy();
        let balance = imported(&database, &layer);
        assert_eq!(balance["errors"], count(0, 300));
        assert_eq!(balance["pipelines"], count(0, 30));
        let counted = layer.counted() + 7 * layer.hours();
        assert_eq!(numbers(&database), [300, 30, counted]);
        assert_verified(&database);
    });
}

#[test]
fn a_user_who_was_forgotten_does_not_come_back() {
    each_kind(|kind| {
        let layer = Layer::new();
        layer.fill(300, 30);
        let user = layer
            .text("SELECT CAST(user_id AS TEXT) FROM api_errors WHERE user_id IS NOT NULL LIMIT 1");
        let database = target(kind);
        imported(&database, &layer);
        done(&database, &["users", "forget", &user, "--yes"]);
        let before = dump(&database);
        imported(&database, &layer);
        assert_eq!(dump(&database), before);
        assert!(!before["users"].iter().any(|row| row.contains(&user)));
    });
}

#[test]
fn two_imports_beside_each_other_take_everything_once() {
    let layer = Layer::new();
    layer.fill(1_000, 200);
    let database = target(Kind::Postgres);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let output = import(&database, &layer, &[]);
                assert!(output.status.success(), "{output:?}");
            });
        }
    });
    assert_same(&database, &layer);
}
