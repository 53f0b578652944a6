//! Traces: what was seen of one, in every service.

use std::collections::HashMap;

use crate::{
    domain::{ErrorId, Sighting, StoredPart, TraceId, TraceKey},
    store::StoreError,
};

use super::{
    SqlReader,
    dialect::{Dialect, Limit},
    end,
    rows::{ERROR_COLUMNS, api_error},
    statement::Statement,
};

/// Services that are looked for; more than any ledger has.
const MAX_SERVICES: i64 = 4_096;

impl<DB: Dialect> SqlReader<DB> {
    /// See [`crate::store::Reader::get_trace`]. A trace is stored under a hash of it and its service,
    /// so the services are asked for first.
    ///
    /// # Errors
    /// When the database cannot answer, or what it holds is damaged.
    pub async fn get_trace(&self, trace: TraceId) -> Result<Vec<StoredPart>, StoreError> {
        const DURING: &str = "reading a trace";
        let failed = |error| StoreError::of(DURING, error);
        let mut snapshot = self.snapshot(Limit::Page, DURING).await?;
        let mut services = Statement::<DB>::new("SELECT DISTINCT service_name FROM error_groups");
        services.with(" ORDER BY service_name LIMIT ", MAX_SERVICES);
        let services: Vec<String> = services
            .all(&mut snapshot, |row| DB::get(row, "service_name"))
            .await
            .map_err(failed)?;
        let services = services.into_iter();
        let services: HashMap<TraceKey, String> = services
            .map(|service| (TraceKey::new(&service, trace), service))
            .collect();
        let keys: Vec<TraceKey> = services.keys().copied().collect();
        if keys.is_empty() {
            end(snapshot).await;
            return Ok(Vec::new());
        }
        let mut stored = Statement::<DB>::new(
            "SELECT trace_key, touched_at, dropped_sightings, sightings FROM error_traces",
        );
        stored.when_one_of(" WHERE trace_key IN (", &keys);
        let mut parts = stored
            .all(&mut snapshot, |row| {
                let key: TraceKey = DB::get(row, "trace_key")?;
                let text: String = DB::get(row, "sightings")?;
                let part = StoredPart {
                    service_name: services.get(&key).cloned().unwrap_or_default(),
                    touched_at: DB::get(row, "touched_at")?,
                    dropped_sightings: DB::get(row, "dropped_sightings")?,
                    sightings: Vec::new(),
                    rows: Vec::new(),
                };
                Ok((key, text, part))
            })
            .await
            .map_err(failed)?;
        for (key, text, part) in &mut parts {
            part.sightings = serde_json::from_str(text).map_err(|error| {
                StoreError::Corrupt(format!(
                    "the sightings of error_traces {key} cannot be read: {error}"
                ))
            })?;
            let mut ids: Vec<ErrorId> = sightings_rows(&part.sightings).collect();
            ids.sort_unstable();
            ids.dedup();
            if ids.is_empty() {
                continue;
            }
            let mut rows = Statement::<DB>::new("SELECT ");
            rows.push(ERROR_COLUMNS)
                .push(" FROM api_errors")
                .when_one_of(" WHERE id IN (", &ids);
            part.rows = rows
                .all(&mut snapshot, api_error::<DB>)
                .await
                .map_err(failed)?;
        }
        end(snapshot).await;
        let mut parts: Vec<StoredPart> = parts.into_iter().map(|(.., part)| part).collect();
        parts.sort_by(|one, other| one.service_name.cmp(&other.service_name));
        Ok(parts)
    }
}

fn sightings_rows(sightings: &[Sighting]) -> impl Iterator<Item = ErrorId> {
    sightings.iter().filter_map(|sighting| sighting.row)
}
