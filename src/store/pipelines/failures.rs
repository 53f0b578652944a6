//! Which rows tell of the failures of runs.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::{
    domain::{ErrorId, RunFacts, Sighting, SightingKind, SpanId, TraceKey},
    store::{Dialect, edit::EditTx, reader::Statement},
};

/// Finds the rows of the failures among what is said of runs, in the transaction that has written
/// them just now.
pub(super) async fn find_rows<DB: Dialect>(
    tx: &mut EditTx<'_, DB>,
    runs: &mut [RunFacts],
) -> Result<(), sqlx::Error> {
    let failures = || runs.iter().flat_map(RunFacts::failures);
    let keys: BTreeSet<TraceKey> = failures().map(|(trace, _)| trace).collect();
    if keys.is_empty() {
        return Ok(());
    }
    let spans: HashSet<SpanId> = failures().map(|(_, span)| span).collect();
    let mut statement =
        Statement::<DB>::new("SELECT trace_key, sightings FROM error_traces WHERE trace_key IN (");
    statement.list(keys).push(")");
    let found = tx
        .all(statement, |row| {
            let key: TraceKey = DB::get(row, "trace_key")?;
            let text: String = DB::get(row, "sightings")?;
            let sightings: Vec<Sighting> =
                serde_json::from_str(&text).map_err(|error| sqlx::Error::Decode(error.into()))?;
            Ok((key, rows_of_spans(sightings, &spans)))
        })
        .await?;
    let found: HashMap<TraceKey, HashMap<SpanId, ErrorId>> = found.into_iter().collect();
    for facts in runs {
        for (trace, span, error_id) in facts.failures_mut() {
            *error_id = found.get(&trace).and_then(|rows| rows.get(&span)).copied();
        }
    }
    Ok(())
}

/// The row of each span: that of its failure, else of the first exception that was seen on it.
fn rows_of_spans(sightings: Vec<Sighting>, spans: &HashSet<SpanId>) -> HashMap<SpanId, ErrorId> {
    let mut rows = HashMap::new();
    for sighting in sightings {
        let (Some(span), Some(row)) = (sighting.span_id, sighting.row) else {
            continue;
        };
        if !spans.contains(&span) {
            continue;
        }
        if sighting.kind == SightingKind::FailedSpan {
            rows.insert(span, row);
        } else {
            rows.entry(span).or_insert(row);
        }
    }
    rows
}
