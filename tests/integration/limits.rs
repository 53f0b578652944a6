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
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(async {
                let mut checker = Checker::open(&database.url, &database.schema).await;
                for (sql, expected) in [
                    ("SELECT COUNT(DISTINCT endpoint) FROM api_errors", 7),
                    ("SELECT COUNT(DISTINCT endpoint) FROM error_aggregations", 3),
                    (
                        "SELECT CAST(SUM(total_errors) AS BIGINT) FROM error_aggregations",
                        16,
                    ),
                    ("SELECT COUNT(DISTINCT endpoint) FROM request_totals", 3),
                    (
                        "SELECT CAST(SUM(requests) AS BIGINT) FROM request_totals",
                        64,
                    ),
                ] {
                    assert_eq!(checker.number(sql).await, expected, "{sql}");
                }
            });
    });
}
