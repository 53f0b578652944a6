//! Why a trace has the rows that it has: what was seen of it, and what became of each sighting.

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{
    Category, ErrorId, FailedBecause, Severity, Sighting, SightingKind, SpanId, StoredPart,
    Timestamp,
};

use super::resolve::{Standing, content_of, resolve};

/// What is known of one service's part of a trace.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedPart {
    /// See `api_errors.service_name`.
    pub service_name: String,
    /// When something was last added to it.
    pub touched_at: Timestamp,
    /// Sightings that it has no room to remember.
    pub dropped_sightings: i64,
    /// In order of arrival.
    pub sightings: Vec<ExplainedSighting>,
    /// What they lead to, in the order of their first sightings.
    pub rows: Vec<ExplainedRow>,
}

/// One sighting, and what became of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedSighting {
    /// What was seen.
    pub kind: SightingKind,
    /// The span it was seen on.
    pub span_id: Option<SpanId>,
    /// That span's parent.
    pub parent_span_id: Option<SpanId>,
    /// When it was thrown or logged, else when its span ended.
    pub at: Timestamp,
    /// The endpoint, when it is a request's.
    pub endpoint: Option<String>,
    /// The exception's short type.
    #[serde(rename = "type")]
    pub short_type: Option<String>,
    /// The first line of its message.
    pub message: Option<String>,
    /// Severity number of a log record.
    pub log_severity: Option<u8>,
    /// Why the span failed.
    pub because: Option<FailedBecause>,
    /// The rule of the user that decided about it.
    pub rule: Option<String>,
    /// What became of it.
    pub outcome: SightingOutcome,
    /// The row that it is part of.
    pub row: Option<ErrorId>,
}

/// What became of a sighting.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SightingOutcome {
    /// A row hangs on it.
    Failure,
    /// The failed span above says nothing of what was thrown, so it is the cause of that failure.
    CauseOfSilentSpan,
    /// The exception of the failed span above names it.
    CauseNamedAbove,
    /// An exception above it names it, or is named by it.
    SameAsAbove,
    /// It says what its failed span does not.
    SaysForItsSpan,
    /// Another exception of the trace names it, or is named by it.
    SameAsAnother,
    /// Logged below WARN, and part of no failure.
    Remark,
    /// It only says where it stands.
    DidNotFail,
    /// Its row was purged.
    RowIsGone,
}

impl SightingOutcome {
    /// For people.
    #[must_use]
    pub fn as_sentence(self) -> &'static str {
        match self {
            Self::Failure => "a row of its own",
            Self::CauseOfSilentSpan => "the cause of the failed span above, which says none itself",
            Self::CauseNamedAbove => "the cause that the failed span above names",
            Self::SameAsAbove => "the exception that was seen above",
            Self::SaysForItsSpan => "what its failed span does not say itself",
            Self::SameAsAnother => "the same failure as another that names it or that it names",
            Self::Remark => "no error: logged below WARN",
            Self::DidNotFail => "did not fail; it says where others stand",
            Self::RowIsGone => "its row was purged",
        }
    }
}

/// A row, and why it says what it says.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedRow {
    /// The row's id.
    pub id: ErrorId,
    /// Place of the sighting that it is built from.
    pub built_from: usize,
    /// Place of the failed span that it happened in, when a log record speaks for it.
    pub in_span: Option<usize>,
    /// Place of its request's entry span; unknown when that was not seen in time.
    pub entry: Option<usize>,
    /// How it ended.
    pub standing: Standing,
    /// As it is stored.
    pub endpoint: String,
    /// As it is stored.
    pub severity: Severity,
    /// As it is stored.
    pub category: Category,
    /// As they are stored.
    pub tags: Vec<String>,
    /// As it is stored.
    pub error_message: String,
}

/// Resolves the trace again and says what became of each sighting.
#[must_use]
pub fn explain(part: StoredPart) -> ExplainedPart {
    let StoredPart {
        service_name,
        touched_at,
        dropped_sightings,
        mut sightings,
        rows,
    } = part;
    let stored = |id: ErrorId| rows.iter().find(|row| row.id == id);
    for sighting in &mut sightings {
        if sighting.content.is_none()
            && let Some(row) = sighting.row.and_then(stored)
        {
            sighting.content = Some(Arc::new(content_of(row)));
        }
    }
    let resolved = resolve(&sightings);
    let mut outcomes: Vec<SightingOutcome> = sightings
        .iter()
        .map(|sighting| match sighting.kind {
            SightingKind::Span => SightingOutcome::DidNotFail,
            _ => SightingOutcome::Remark,
        })
        .collect();
    let mut explained = Vec::new();
    for row in &resolved {
        for (member, outcome) in row.members.iter().zip(&row.outcomes) {
            let is_gone = sightings[*member]
                .row
                .is_some_and(|id| stored(id).is_none());
            outcomes[*member] = if is_gone {
                SightingOutcome::RowIsGone
            } else {
                *outcome
            };
        }
        // Which stored row that is: the one that its sightings are in.
        let ids = row
            .members
            .iter()
            .filter_map(|member| sightings[*member].row);
        let Some(stored) = ids.into_iter().find_map(stored) else {
            continue;
        };
        explained.push(ExplainedRow {
            id: stored.id,
            built_from: row.origin.built_from,
            in_span: row.origin.span,
            entry: row.entry,
            standing: row.standing,
            endpoint: stored.endpoint.clone(),
            severity: stored.severity,
            category: stored.category,
            tags: stored.tags.clone(),
            error_message: stored.error_message.clone(),
        });
    }
    let sightings = sightings.into_iter().zip(outcomes);
    ExplainedPart {
        service_name,
        touched_at,
        dropped_sightings,
        sightings: sightings
            .map(|(it, outcome)| explained_sighting(it, outcome))
            .collect(),
        rows: explained,
    }
}

fn explained_sighting(sighting: Sighting, outcome: SightingOutcome) -> ExplainedSighting {
    let (short_type, message) = match sighting.thrown {
        Some(thrown) => (Some(thrown.short_type), Some(thrown.first_line)),
        None => (None, None),
    };
    let at = sighting
        .thrown_at_micros
        .unwrap_or(sighting.ended_at_micros);
    let facts = sighting.facts.filter(|_| sighting.is_entry);
    ExplainedSighting {
        kind: sighting.kind,
        span_id: sighting.span_id,
        parent_span_id: sighting.parent_span_id,
        at: Timestamp::from_micros(at),
        endpoint: facts.map(|facts| facts.endpoint),
        short_type: short_type.filter(|text| !text.is_empty()),
        message: message.filter(|text| !text.is_empty()),
        log_severity: (sighting.kind == SightingKind::Log).then_some(sighting.log_severity),
        because: sighting.because,
        rule: sighting.rule,
        outcome,
        row: sighting.row,
    }
}
