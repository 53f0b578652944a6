//! What is beyond the label sets of an hour is folded, counted, and still exact.

use super::{
    checker::Checker,
    databases::{Database, each_kind},
    load,
    program::Program,
};

#[test]
fn hours_beyond_their_label_sets_are_counted_as_other_and_say_so() {
    each_kind(|kind| {
        let database = Database::new(kind);
        let mut environment = database.environment();
        environment.push(("REDSPAN_LIMITS_HOUR_LABEL_SETS_PER_SERVICE", "2"));
        let program = Program::start(&database.url, &environment);
        // Sixteen failures on all seven endpoints.
        let request = load::whole_traces("shop", 0, 64);
        assert_eq!(program.send(&request.body).unwrap(), 200);
        let overflow = program.metrics().sum("redspan_series_overflow_total", &[]);
        assert!(overflow > 0.0);
        assert_numbers(
            &database,
            &[
                ("SELECT COUNT(DISTINCT endpoint) FROM api_errors", 7),
                ("SELECT COUNT(DISTINCT endpoint) FROM error_aggregations", 3),
                ("SELECT COUNT(DISTINCT endpoint) FROM request_totals", 3),
                (ERRORS, 16),
                (REQUESTS, 64),
            ],
        );
    });
}

#[test]
fn an_hour_takes_no_more_label_sets_after_a_restart() {
    each_kind(|kind| {
        let database = Database::new(kind);
        let mut environment = database.environment();
        environment.push(("REDSPAN_LIMITS_HOUR_LABEL_SETS_PER_SERVICE", "2"));
        // All of it in the hour before this one, each trace at an endpoint of its own.
        let ended = load::now_nanos() - 3_600_000_000_000;
        for traces in [0..2, 2..4] {
            let mut program = Program::start(&database.url, &environment);
            let spans = traces.flat_map(|trace| {
                [
                    load::failed(trace, 1, 0, "no stock", ended - 1_000_000),
                    load::entry(trace, 500, ended),
                ]
            });
            let body = load::body("shop", spans.collect());
            assert_eq!(program.send(&body).unwrap(), 200);
            assert!(program.terminate().success());
        }
        assert_numbers(
            &database,
            &[
                ("SELECT COUNT(DISTINCT endpoint) FROM api_errors", 4),
                ("SELECT COUNT(DISTINCT endpoint) FROM error_aggregations", 3),
                ("SELECT COUNT(DISTINCT endpoint) FROM request_totals", 3),
                (ERRORS, 4),
                (REQUESTS, 4),
            ],
        );
    });
}

#[test]
fn label_sets_that_an_hour_has_take_no_more_of_its_limit_after_a_restart() {
    each_kind(|kind| {
        let database = Database::new(kind);
        let mut environment = database.environment();
        environment.push(("REDSPAN_LIMITS_HOUR_LABEL_SETS_PER_SERVICE", "7"));
        let ended = load::now_nanos() - 3_600_000_000_000;
        // Again all seven endpoints, in other traces.
        for traces in [0..7, 7..14] {
            let mut program = Program::start(&database.url, &environment);
            let spans = traces.flat_map(|trace| {
                [
                    load::failed(trace, 1, 0, "no stock", ended - 1_000_000),
                    load::entry(trace, 500, ended),
                ]
            });
            let body = load::body("shop", spans.collect());
            assert_eq!(program.send(&body).unwrap(), 200);
            assert!(program.terminate().success());
        }
        assert_numbers(
            &database,
            &[
                ("SELECT COUNT(DISTINCT endpoint) FROM error_aggregations", 7),
                ("SELECT COUNT(DISTINCT endpoint) FROM request_totals", 7),
                (ERRORS, 14),
                (REQUESTS, 14),
            ],
        );
    });
}

const ERRORS: &str = "SELECT CAST(SUM(total_errors) AS BIGINT) FROM error_aggregations";
const REQUESTS: &str = "SELECT CAST(SUM(requests) AS BIGINT) FROM request_totals";

fn assert_numbers(database: &Database, numbers: &[(&'static str, i64)]) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(async {
            let mut checker = Checker::open(&database.url, &database.schema).await;
            for (sql, expected) in numbers {
                assert_eq!(checker.number(sql).await, *expected, "{sql}");
            }
        });
}
