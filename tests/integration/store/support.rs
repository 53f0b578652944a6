//! Errors, and the changes that store them, counted by hand.

use std::collections::BTreeMap;

use redspan::{
    domain::{
        Aggregation, AggregationId, ApiError, Category, ErrorGroup, ErrorId, Fingerprint, Hour,
        Severity, Timestamp, TraceId, TraceKey, UserHasher, UserKey,
    },
    store::{
        AggregationDelta, AggregationFilter, Changes, GroupDelta, GroupFilter, Ingest, PageRequest,
        SharedStore, TraceIdentity, UserDelta,
    },
};
use serde_json::Map;
use uuid::Uuid;

/// 2026-03-01T10:00:00Z.
const TEN_O_CLOCK: i64 = 1_772_359_200_000_000;

/// So many seconds after ten.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(TEN_O_CLOCK).plus_seconds(seconds)
}

/// The name of an error.
pub fn id(number: u32) -> ErrorId {
    ErrorId(Uuid::from_u128(number.into()))
}

/// A plain error of `GET /orders` in the service `shop`.
pub fn error(number: u32, seconds: i64, user: Option<&str>) -> ApiError {
    let error = ApiError {
        id: id(number),
        user_id: user.map(ToOwned::to_owned),
        request_id: None,
        endpoint: "/orders".to_owned(),
        method: "GET".to_owned(),
        error_code: None,
        error_message: "boom".to_owned(),
        error_stack: None,
        severity: Severity::Error,
        category: Category::Application,
        status_code: Some(500),
        request_body: None,
        request_headers: None,
        response_body: None,
        external_service: None,
        external_error_code: None,
        external_error_message: None,
        context: Map::new(),
        tags: Vec::new(),
        resolved: false,
        resolved_at: None,
        resolved_by: None,
        resolution: None,
        ip_address: None,
        user_agent: None,
        created_at: at(seconds),
        service_name: "shop".to_owned(),
        service_version: None,
        environment: "prod".to_owned(),
        trace_id: None,
        span_id: None,
        fingerprint: Fingerprint("1:boom".to_owned()),
        aggregation_id: AggregationId(Uuid::nil()),
        received_at: at(seconds),
        deleted_at: None,
    };
    counted(error)
}

/// The error, counted in the hour that its dimensions name.
pub fn counted(mut error: ApiError) -> ApiError {
    error.aggregation_id = AggregationId::new(error.hour(), &error.dimensions());
    error
}

/// Makes [`user_key`] the database's own hash of users.
pub const USE_USER_KEY: &str =
    "UPDATE settings SET value = '07070707070707070707070707070707' WHERE name = 'user_key'";

/// The hash of a user.
pub fn user_key(user: &str) -> UserKey {
    UserHasher::new([7; 16]).key(user)
}

/// The changes that store these rows and take those out.
pub fn changes(came: &[ApiError], left: &[ApiError]) -> Changes {
    let mut hours = BTreeMap::<AggregationId, AggregationDelta>::new();
    let mut users = BTreeMap::<(AggregationId, UserKey), i64>::new();
    let mut groups = BTreeMap::<Fingerprint, GroupDelta>::new();
    let rows = came
        .iter()
        .map(|row| (row, 1))
        .chain(left.iter().map(|row| (row, -1)));
    for (row, count) in rows {
        let came_at = (count > 0).then_some(row.created_at);
        let hour = hours
            .entry(row.aggregation_id)
            .or_insert_with(|| AggregationDelta {
                id: row.aggregation_id,
                hour: row.hour(),
                dimensions: row.dimensions(),
                linked_errors: 0,
                unlinked_errors: 0,
                first_occurrence: None,
                last_occurrence: None,
                shrinks: false,
            });
        hour.linked_errors += count;
        hour.shrinks |= count < 0;
        hour.first_occurrence = earlier(hour.first_occurrence, came_at);
        hour.last_occurrence = hour.last_occurrence.max(came_at);
        let group = groups
            .entry(row.fingerprint.clone())
            .or_insert_with(|| GroupDelta {
                fingerprint: row.fingerprint.clone(),
                service_name: row.service_name.clone(),
                title: row.error_message.clone(),
                category: row.category,
                errors: 0,
                first_seen_at: None,
                last_seen_at: None,
                first_version: row.service_version.clone(),
                last_version: row.service_version.clone(),
                regression: None,
            });
        group.errors += count;
        group.first_seen_at = earlier(group.first_seen_at, came_at);
        group.last_seen_at = group.last_seen_at.max(came_at);
        if let Some(user) = &row.user_id {
            *users
                .entry((row.aggregation_id, user_key(user)))
                .or_default() += count;
        }
    }
    Changes {
        now: Some(at(0)),
        writer: "w".to_owned(),
        inserted: came.to_vec(),
        users: users
            .into_iter()
            .map(|((aggregation_id, user_key), errors)| UserDelta {
                aggregation_id,
                user_key,
                errors,
            })
            .collect(),
        aggregations: hours.into_values().collect(),
        groups: groups.into_values().collect(),
        ..Changes::default()
    }
}

fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.into_iter().chain(other).min()
}

/// Registers the users of the rows and commits the changes.
pub async fn commit(writer: &mut dyn Ingest, changes: &Changes) {
    let mut users: Vec<_> = changes
        .inserted
        .iter()
        .chain(&changes.updated)
        .filter_map(|row| row.user_id.clone())
        .collect();
    users.sort();
    users.dedup();
    writer.register_users(&users, at(0)).await.unwrap();
    writer.begin().await.unwrap();
    writer.apply(changes).await.unwrap();
    writer.commit().await.unwrap();
}

/// Every hour.
pub async fn hours(store: &SharedStore) -> Vec<Aggregation> {
    let (filter, page) = (AggregationFilter::default(), PageRequest::first(500));
    store.get_aggregations(&filter, &page).await.unwrap().items
}

/// Every group.
pub async fn groups(store: &SharedStore) -> Vec<ErrorGroup> {
    let (filter, page) = (GroupFilter::default(), PageRequest::first(500));
    store.get_groups(&filter, &page).await.unwrap().items
}

/// Proves hours, groups and counters.
pub async fn assert_adds_up(store: &SharedStore) {
    let found = store
        .verify_aggregations(None, None, at(3_600))
        .await
        .unwrap();
    // These tests count rows without counting them on /metrics.
    let mismatches: Vec<_> = found
        .mismatches
        .into_iter()
        .filter(|mismatch| mismatch.check != redspan::store::Check::ErrorsCounter)
        .collect();
    assert!(mismatches.is_empty(), "{mismatches:#?}");
}

/// A trace of `shop`.
pub fn trace(number: u8) -> TraceIdentity {
    let trace_id = TraceId([number; 16]);
    TraceIdentity {
        key: TraceKey::new("shop", trace_id),
        service_name: "shop".to_owned(),
        trace_id,
    }
}

/// The hour that begins at ten.
pub fn ten() -> Hour {
    Hour::containing(at(0))
}
