//! One trace: what its new sightings do to its rows.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use crate::{
    detect::{
        ResolvedFailure, ResolvedRow, RowContext, build_row, content_of, resolve, resolve_beyond,
    },
    domain::{ApiError, Content, ErrorId, Sighting, SightingKey, SpanId, Timestamp},
    store::{TraceIdentity, TraceWrite},
};

use super::{
    Candidates, Outcome, Rows, TraceInput,
    budget::{self, Admitted},
};

/// Rows of failures beyond what a trace remembers that are written at once.
const ROWS_AT_ONCE: usize = 1_000;
const BYTES_AT_ONCE: usize = 4 * 1024 * 1024;

/// The rows that a trace needs to be read, which are all that it has, and the names of those that a
/// resent sighting may have made that the trace has no memory of. None, when nothing that came can
/// change a row.
pub(super) fn candidates(trace: &TraceInput, candidates: &mut Candidates) {
    let known: HashSet<SightingKey> = trace.before.sightings.iter().map(|it| it.key).collect();
    let new: Vec<&Sighting> = trace
        .new
        .iter()
        .filter(|sighting| !known.contains(&sighting.key))
        .collect();
    if concerns_failures(&trace.before.sightings, &new) {
        let rows = trace.before.sightings.iter().filter_map(|it| it.row);
        candidates.rows.extend(rows);
        let failures = new.into_iter().filter(|it| it.is_failure());
        candidates.names.extend(failures.map(row_id));
    }
}

/// Whether something new failed, or stands above something that did. Most spans of an open trace
/// do neither: they are only remembered.
fn concerns_failures(before: &[Sighting], new: &[&Sighting]) -> bool {
    if new.iter().any(|sighting| sighting.is_failure()) {
        return true;
    }
    let spans: HashSet<SpanId> = new.iter().filter_map(|it| it.span_id).collect();
    let is_new = |span: &Option<SpanId>| span.is_some_and(|span| spans.contains(&span));
    let ancestors = budget::ancestors_of_failures(before.iter().chain(new.iter().copied()));
    let mut failed = before.iter().filter(|it| it.is_failure());
    failed.any(|it| is_new(&it.span_id)) || ancestors.iter().any(|span| spans.contains(span))
}

/// The row that is named after the sighting.
fn row_id(sighting: &Sighting) -> ErrorId {
    ErrorId(sighting.key.0)
}

/// Puts the contents that rows keep back into their sightings, and tells which row is built from
/// which. Afterwards a failure without content is one whose row is gone.
fn attach(
    sightings: &mut [Sighting],
    stored: &HashMap<ErrorId, &ApiError>,
) -> HashMap<ErrorId, SightingKey> {
    let mut origins = HashMap::new();
    for sighting in sightings {
        if sighting.content.is_none()
            && let Some(row) = sighting.row.and_then(|id| stored.get(&id))
        {
            sighting.content = Some(Arc::new(content_of(row)));
            origins.insert(row.id, sighting.key);
        }
    }
    origins
}

/// What is to be done about a trace.
pub(super) struct Planned {
    pub(super) write: Option<TraceWrite>,
    pub(super) outcomes: Outcomes,
    pub(super) beyond: Option<Beyond>,
}

/// Adds what is new to the trace, and the difference that it makes to the rows.
pub(super) fn plan_trace(trace: TraceInput, now: Timestamp, rows: &mut Rows<'_>) -> Planned {
    let TraceInput {
        identity,
        before,
        new,
    } = trace;
    let context = RowContext {
        service_name: &identity.service_name,
        trace_id: Some(identity.trace_id),
        received_at: now,
    };
    let mut known: HashSet<SightingKey> = before.sightings.iter().map(|it| it.key).collect();
    let mut outcomes = Outcomes::default();
    let mut fresh = Vec::new();
    for sighting in new {
        let has_row = sighting.is_failure() && rows.is_known(row_id(&sighting));
        if has_row || !known.insert(sighting.key) {
            outcomes.list.push(Outcome::Duplicate);
        } else {
            outcomes.add(&sighting);
            fresh.push(sighting);
        }
    }
    if fresh.is_empty() {
        return Planned {
            write: None,
            outcomes,
            beyond: None,
        };
    }

    let concerns_failures = concerns_failures(&before.sightings, &fresh.iter().collect::<Vec<_>>());
    let mut sightings = before.sightings;
    let origins = if concerns_failures {
        attach(&mut sightings, rows.stored)
    } else {
        HashMap::new()
    };
    let Admitted {
        remembered: mut sightings,
        beyond,
        dropped,
    } = budget::admit(sightings, fresh);
    if concerns_failures {
        plan_remembered(&mut sightings, &origins, &context, rows, &mut outcomes);
    }
    let beyond = Beyond::new(&identity, &sightings, beyond);
    let write = TraceWrite {
        key: identity.key,
        sightings: budget::write(&mut sightings),
        dropped_sightings: before
            .dropped_sightings
            .saturating_add(i64::try_from(dropped).unwrap_or(i64::MAX)),
        touched_at: now,
    };
    Planned {
        write: Some(write),
        outcomes,
        beyond,
    }
}

/// The rows that follow from what the trace remembers.
fn plan_remembered(
    sightings: &mut [Sighting],
    origins: &HashMap<ErrorId, SightingKey>,
    context: &RowContext<'_>,
    rows: &mut Rows<'_>,
    outcomes: &mut Outcomes,
) {
    let resolved = resolve(sightings);
    let owners = owners(&resolved, sightings, rows.stored);
    for (at, row) in resolved.iter().enumerate() {
        let owned = owned_rows(row, at, sightings, &owners);
        let Some(placed) = place(row, &owned, sightings, context, rows, origins) else {
            continue;
        };
        if placed.is_new {
            outcomes.named(placed.row, Outcome::Error);
        }
        settle(row, &placed, sightings, rows.stored);
    }
    leave_rows(&resolved, sightings, rows.stored);
}

/// A remark may have been part of a row that now has no place for it, and that may be gone tomorrow.
fn leave_rows(
    resolved: &[ResolvedRow],
    sightings: &mut [Sighting],
    stored: &HashMap<ErrorId, &ApiError>,
) {
    let members: HashSet<usize> = resolved
        .iter()
        .flat_map(|row| &row.members)
        .copied()
        .collect();
    for (at, sighting) in sightings.iter_mut().enumerate() {
        if !members.contains(&at) && sighting.row.is_some_and(|id| stored.contains_key(&id)) {
            sighting.row = None;
        }
    }
}

/// Failures that their trace has no room for. Their names alone keep them from being stored again.
#[derive(Debug)]
pub(super) struct Beyond {
    identity: TraceIdentity,
    /// All of the trace.
    sightings: Vec<Sighting>,
    failures: std::vec::IntoIter<ResolvedFailure>,
}

impl Beyond {
    fn new(
        identity: &TraceIdentity,
        remembered: &[Sighting],
        beyond: Vec<Sighting>,
    ) -> Option<Self> {
        if !beyond.iter().any(Sighting::is_failure) {
            return None;
        }
        let mut sightings = remembered.to_vec();
        sightings.extend(beyond);
        Some(Self {
            identity: identity.clone(),
            failures: resolve_beyond(&sightings, remembered.len()).into_iter(),
            sightings,
        })
    }

    /// Stores as many of them as are written at once; false when none is left.
    pub(super) fn place_some(
        &mut self,
        now: Timestamp,
        rows: &mut Rows<'_>,
        outcomes: &mut Outcomes,
    ) -> bool {
        let context = RowContext {
            service_name: &self.identity.service_name,
            trace_id: Some(self.identity.trace_id),
            received_at: now,
        };
        let mut bytes = 0;
        for failure in self.failures.by_ref().take(ROWS_AT_ONCE) {
            let row = failure.row(&self.sightings);
            let origin = &self.sightings[row.origin.built_from];
            bytes += origin.content.as_deref().map_or(0, Content::memory_bytes);
            if let Some(built) = build_row(&row, &self.sightings, &context) {
                outcomes.named(row.id, rows.insert(without_trimmed_headers(built)));
            }
            if bytes > BYTES_AT_ONCE {
                break;
            }
        }
        self.failures.len() > 0
    }
}

/// What became of each new sighting.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    pub(super) list: Vec<Outcome>,
    at: HashMap<ErrorId, usize>,
}

impl Outcomes {
    fn add(&mut self, sighting: &Sighting) {
        if sighting.makes_row() {
            self.at.insert(row_id(sighting), self.list.len());
            self.list.push(Outcome::Merged);
        } else {
            self.list.push(Outcome::NotError);
        }
    }

    /// A row was named after a sighting, new or old.
    fn named(&mut self, row: ErrorId, outcome: Outcome) {
        if let Some(at) = self.at.get(&row) {
            self.list[*at] = outcome;
        }
    }
}

/// Which resolved row goes on as which stored one: the one that holds the sighting it is named
/// after, else the first that holds any sighting of it.
fn owners(
    resolved: &[ResolvedRow],
    sightings: &[Sighting],
    stored: &HashMap<ErrorId, &ApiError>,
) -> HashMap<ErrorId, usize> {
    let mut owners = HashMap::new();
    for (at, row) in resolved.iter().enumerate() {
        for sighting in row.members.iter().map(|member| &sightings[*member]) {
            let Some(id) = sighting.row.filter(|id| stored.contains_key(id)) else {
                continue;
            };
            if row_id(sighting) == id {
                owners.insert(id, at);
            } else {
                owners.entry(id).or_insert(at);
            }
        }
    }
    owners
}

/// The stored rows that go on in this resolved one, the oldest first.
fn owned_rows(
    row: &ResolvedRow,
    at: usize,
    sightings: &[Sighting],
    owners: &HashMap<ErrorId, usize>,
) -> Vec<ErrorId> {
    let mut owned = Vec::new();
    for id in row.members.iter().filter_map(|it| sightings[*it].row) {
        if owners.get(&id) == Some(&at) && !owned.contains(&id) {
            owned.push(id);
        }
    }
    owned
}

/// Where a resolved row went.
struct Placed {
    row: ErrorId,
    /// The sighting that the row is built from and keeps the content of.
    origin: Option<SightingKey>,
    is_new: bool,
}

/// Writes one resolved row: over the stored ones that go on in it, or as a new one; not at all
/// when it is part of a failure that an operator purged.
fn place(
    row: &ResolvedRow,
    owned: &[ErrorId],
    sightings: &[Sighting],
    context: &RowContext<'_>,
    rows: &mut Rows<'_>,
    origins: &HashMap<ErrorId, SightingKey>,
) -> Option<Placed> {
    let built = build_row(row, sightings, context);
    let origin = sightings[row.origin.built_from].key;
    if let Some((stays, merged)) = owned.split_first() {
        let old = rows.stored[stays];
        let merged: Vec<&ApiError> = merged.iter().map(|id| rows.stored[id]).collect();
        // Without the content of its origin, which went with a purged row, a row says what it said.
        let (new, origin) = match built {
            Some(built) => (built, Some(origin)),
            None => (old.clone(), origins.get(stays).copied()),
        };
        rows.update(old, take_over(new, old, &merged));
        for gone in merged {
            rows.merge(gone, *stays);
        }
        return Some(Placed {
            row: *stays,
            origin,
            is_new: false,
        });
    }
    let mut ids = row.members.iter().filter_map(|it| sightings[*it].row);
    if let Some(purged) = ids.find(|id| !rows.stored.contains_key(id)) {
        return Some(Placed {
            row: purged,
            origin: None,
            is_new: false,
        });
    }
    let is_new = rows.insert(without_trimmed_headers(built?)) == Outcome::Error;
    let was_part_of_another = sightings[row.members[0]].row.is_some();
    if is_new && was_part_of_another {
        rows.parted.push(row.id);
    }
    Some(Placed {
        row: row.id,
        origin: Some(origin),
        is_new,
    })
}

/// Notes in the sightings where their row is, and takes out the content that it keeps.
fn settle(
    row: &ResolvedRow,
    placed: &Placed,
    sightings: &mut [Sighting],
    stored: &HashMap<ErrorId, &ApiError>,
) {
    for member in &row.members {
        let sighting = &mut sightings[*member];
        let is_purged = sighting.row.is_some_and(|id| !stored.contains_key(&id));
        if !is_purged {
            sighting.row = Some(placed.row);
        }
        if placed.origin == Some(sighting.key) {
            sighting.content = None;
        }
    }
}

/// What a row keeps of the stored ones that it goes on for: its name, its time of arrival, and
/// what operators did.
fn take_over(mut new: ApiError, old: &ApiError, merged: &[&ApiError]) -> ApiError {
    new.id = old.id;
    new.received_at = old.received_at;
    new.request_body.clone_from(&old.request_body);
    new.response_body.clone_from(&old.response_body);
    if has_trimmed_headers(&new) {
        new.request_headers.clone_from(&old.request_headers);
    }
    let resolved = merged.iter().find(|row| row.resolved && !old.resolved);
    let resolved = resolved.copied().unwrap_or(old);
    new.resolved = resolved.resolved;
    new.resolved_at = resolved.resolved_at;
    new.resolved_by.clone_from(&resolved.resolved_by);
    new.resolution.clone_from(&resolved.resolution);
    let is_deleted = merged.iter().all(|row| row.deleted_at.is_some());
    new.deleted_at = old.deleted_at.filter(|_| is_deleted);
    new
}

fn has_trimmed_headers(row: &ApiError) -> bool {
    let headers = row.request_headers.as_ref();
    headers.is_some_and(|headers| headers.as_object().is_some_and(serde_json::Map::is_empty))
}

fn without_trimmed_headers(mut row: ApiError) -> ApiError {
    if has_trimmed_headers(&row) {
        row.request_headers = None;
    }
    row
}
