//! An import that is killed anywhere goes on where it ended.

use serde_json::json;

use super::{assert_same, assert_verified, balance, count, import, layer::Layer, size, target};
use crate::databases::each_kind;

/// Rows that are written at once.
const ROWS_AT_ONCE: i64 = 250;

/// Stages of each run.
const STAGES: i64 = 2;

#[test]
fn an_import_that_is_killed_anywhere_goes_on_where_it_ended() {
    let (errors, runs) = size();
    let layer = Layer::new();
    layer.fill(errors, runs);
    // Each writes all errors once more, as far as that is to be done, and gets further than the one
    // before. The first edit notes that it began; then come the runs.
    let hours = (errors / ROWS_AT_ONCE) + 1;
    let half_the_runs = 1 + (runs / 2) / (ROWS_AT_ONCE / (1 + STAGES));
    let killed = [
        "after_insert:1".to_owned(),
        "after_insert:3".to_owned(),
        "after_commit:5".to_owned(),
        format!("after_insert:{hours}"),
        format!("after_commit:{hours}"),
        "after_edit:2".to_owned(),
        format!("after_edit:{half_the_runs}"),
        format!("after_edit_commit:{half_the_runs}"),
    ];
    each_kind(|kind| {
        let database = target(kind);
        for failpoint in &killed {
            let output = import(&database, &layer, &[("REDSPAN_FAILPOINT", failpoint)]);
            assert!(!output.status.success(), "{failpoint}: {output:?}");
            assert_verified(&database);
        }
        let output = import(&database, &layer, &[]);
        assert!(output.status.success(), "{output:?}");
        let balance = balance(&output);
        assert_eq!(balance["errors"], count(0, errors));
        assert_eq!(balance["hours"], count(0, layer.hours()));
        let taken = (half_the_runs - 1) * (ROWS_AT_ONCE / (1 + STAGES));
        assert_eq!(balance["pipelines"], count(runs - taken, taken));
        assert_eq!(balance["reasons"], json!([]));
        assert_same(&database, &layer);
    });
}
