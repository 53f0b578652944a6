//! Errors that application code logs.

use redspan::{
    domain::{
        AggregationId, Category, Dimensions, ErrorId, Fingerprint, Hour, Severity, SpanId,
        Timestamp, TraceId,
    },
    store::{
        AggregationFilter, AuditFilter, ErrorFilter, GroupFilter, NewApiError, PageRequest,
        RepositoryError, UnlinkedErrors,
    },
};
use serde_json::json;
use uuid::Uuid;

use super::{World, new_error};
use crate::databases::on_each_database;

#[test]
fn a_logged_error_comes_back_as_it_was_given() {
    on_each_database(async |database| {
        let world = World::new(database).await;
        let id = Uuid::new_v4();
        let given = NewApiError {
            id: Some(id),
            user_id: Some("ada".to_owned()),
            request_id: Some("r-1".to_owned()),
            error_code: Some("E42".to_owned()),
            error_stack: Some("at a\n\tat b\n".to_owned()),
            severity: Some(Severity::Critical),
            category: Some(Category::ExternalApi),
            status_code: Some(502),
            request_body: Some(json!({"n": 1.5, "list": [null, true, "x"]})),
            request_headers: Some(json!({"accept": "*/*"})),
            response_body: Some(json!("gone")),
            external_service: Some("meshy".to_owned()),
            external_error_code: Some("503".to_owned()),
            external_error_message: Some("over capacity".to_owned()),
            context: serde_json::from_value(json!({"deep": {"er": [1, 2]}, "ü": "ö"})).unwrap(),
            tags: vec!["checkout".to_owned(), "eu".to_owned()],
            ip_address: Some("192.0.2.0".to_owned()),
            user_agent: Some("curl/8".to_owned()),
            created_at: Some(world.now.plus_seconds(-90)),
            service_name: Some("shop".to_owned()),
            service_version: Some("1.2.3".to_owned()),
            environment: Some("prod".to_owned()),
            trace_id: TraceId::from_slice(&[7; 16]),
            span_id: SpanId::from_slice(&[8; 8]),
            ..new_error()
        };
        let [logged] = world.log(vec![given]).await.try_into().unwrap();
        let stored = world.errors.get_error_by_id(ErrorId(id)).await.unwrap();
        assert_eq!(stored, Some(logged.clone()));
        assert_eq!(logged.user_id.as_deref(), Some("ada"));
        assert_eq!(logged.created_at, world.now.plus_seconds(-90));
        assert_eq!(logged.tags, ["checkout", "eu"]);
        assert_eq!(
            logged.request_body,
            Some(json!({"n": 1.5, "list": [null, true, "x"]}))
        );
        let other = world.errors.get_error_by_id(ErrorId(Uuid::new_v4())).await;
        assert_eq!(other.unwrap(), None);
        world.end().await;
    });
}

#[test]
fn an_id_that_is_there_already_changes_nothing() {
    on_each_database(async |database| {
        let world = World::new(database).await;
        let id = Some(Uuid::new_v4());
        let first = NewApiError { id, ..new_error() };
        let second = NewApiError {
            id,
            error_message: "another".to_owned(),
            ..new_error()
        };
        let stored = world.errors.log_error(first, world.now).await.unwrap();
        let again = world.errors.log_error(second, world.now).await.unwrap();
        assert!(stored.is_new && !again.is_new);
        assert_eq!(again.error, stored.error);
        assert_eq!(world.all(&ErrorFilter::default()).await.len(), 1);
        assert_eq!(world.verify().await.mismatches, []);
        world.end().await;
    });
}

#[test]
fn a_batch_with_a_bad_error_stores_none_and_names_the_field() {
    on_each_database(async |database| {
        let world = World::new(database).await;
        let bad = NewApiError {
            method: "FARTOOLONGAMETHOD".to_owned(),
            ..new_error()
        };
        let refused = world
            .errors
            .log_errors(vec![new_error(), bad], world.now)
            .await;
        let Err(RepositoryError::InvalidItems(items)) = refused else {
            panic!("{refused:?}");
        };
        let (index, invalid) = &items[0];
        assert_eq!((*index, &*invalid.field), (1, "method"));
        assert_eq!(world.all(&ErrorFilter::default()).await, []);
        world.end().await;
    });
}

#[test]
fn the_id_of_a_merged_row_leads_to_the_one_that_stays() {
    on_each_database(async |database| {
        let world = World::new(database).await;
        let [row] = world.log(vec![new_error()]).await.try_into().unwrap();
        let gone = ErrorId(Uuid::new_v4());
        let sql = format!(
            "INSERT INTO error_redirects (id, error_id) VALUES ('{gone}', '{}')",
            row.id
        );
        world.by_hand(&sql).await;
        let found = world.errors.get_error_by_id(gone).await.unwrap();
        assert_eq!(found, Some(row));
        world.end().await;
    });
}

#[test]
fn errors_are_counted_in_their_hours_and_groups() {
    on_each_database(async |database| {
        let world = World::new(database).await;
        let hour = Hour::containing(world.now.plus_seconds(-7_200));
        let at = |seconds| Some(hour.start().plus_seconds(seconds));
        let by = |user: &str, seconds| NewApiError {
            user_id: Some(user.to_owned()),
            created_at: at(seconds),
            fingerprint: Some(Fingerprint("1:mine".to_owned())),
            ..new_error()
        };
        world
            .log(vec![
                by("ada", 20),
                by("bob", 10),
                by("ada", 3_599),
                by("ada", 3_600),
            ])
            .await;
        let page = PageRequest::default();
        let hours = world
            .errors
            .get_aggregations(&AggregationFilter::default(), &page)
            .await;
        let hours = hours.unwrap().items;
        assert_eq!(hours.len(), 2);
        let (later, earlier) = (&hours[0], &hours[1]);
        assert_eq!((later.total_errors, later.unique_users), (1, 1));
        assert_eq!((earlier.total_errors, earlier.unique_users), (3, 2));
        assert_eq!(earlier.hour_bucket, hour);
        assert_eq!(Some(earlier.first_occurrence), at(10));
        assert_eq!(Some(earlier.last_occurrence), at(3_599));
        assert_eq!(earlier.id, AggregationId::new(hour, &earlier.dimensions));

        let only_later = AggregationFilter {
            from: Some(later.hour_bucket),
            ..AggregationFilter::default()
        };
        let found = world
            .errors
            .get_aggregations(&only_later, &page)
            .await
            .unwrap();
        assert_eq!(found.items, std::slice::from_ref(later));

        let groups = world
            .errors
            .get_groups(&GroupFilter::default(), &page)
            .await
            .unwrap();
        assert_eq!(groups.items.len(), 1);
        assert_eq!(groups.items[0].total_errors, 4);
        assert_eq!(groups.items[0].first_seen_at, hour.start().plus_seconds(10));
        assert_eq!(groups.items[0].last_seen_at, hour.end());
        assert_eq!(world.verify().await.mismatches, []);
        world.end().await;
    });
}

#[test]
fn counts_without_rows_are_added_and_the_proof_knows_them() {
    on_each_database(async |database| {
        let world = World::new(database).await;
        let [row] = world.log(vec![new_error()]).await.try_into().unwrap();
        let counts = |errors, seconds| UnlinkedErrors {
            dimensions: row.dimensions(),
            errors,
            first_occurrence: row.hour().start().plus_seconds(seconds),
            last_occurrence: row.hour().start().plus_seconds(seconds),
        };
        world.errors.upsert_aggregation(counts(5, 0)).await.unwrap();
        world
            .errors
            .upsert_aggregation(counts(2, 3_599))
            .await
            .unwrap();
        let page = PageRequest::default();
        let hours = world
            .errors
            .get_aggregations(&AggregationFilter::default(), &page)
            .await;
        let [hour] = hours.unwrap().items.try_into().unwrap();
        assert_eq!((hour.total_errors, hour.unlinked_errors), (8, 7));
        assert_eq!(hour.first_occurrence, row.hour().start());
        assert_eq!(hour.last_occurrence, row.hour().start().plus_seconds(3_599));
        assert_eq!(world.verify().await.mismatches, []);
        let audit = world.store.get_audit(&AuditFilter::default(), &page).await;
        let said = audit.unwrap().items.into_iter().rev().map(|entry| {
            assert_eq!(entry.entity_id, hour.id.to_string());
            let counts =
                [entry.before, entry.after].map(|it| it.unwrap()["unlinkedErrors"].clone());
            (entry.actor, entry.action, counts)
        });
        let entry = |before: i64, after: i64| {
            let (actor, action) = ("library".to_owned(), "upsert".to_owned());
            (actor, action, [json!(before), json!(after)])
        };
        assert_eq!(said.collect::<Vec<_>>(), [entry(0, 5), entry(5, 7)]);

        for refused in [
            counts(0, 0),
            UnlinkedErrors {
                last_occurrence: Timestamp::EPOCH,
                ..counts(1, 0)
            },
            UnlinkedErrors {
                dimensions: Dimensions {
                    endpoint: "x".repeat(513),
                    ..row.dimensions()
                },
                ..counts(1, 0)
            },
        ] {
            let answer = world.errors.upsert_aggregation(refused).await;
            assert!(
                matches!(answer, Err(RepositoryError::Invalid(_))),
                "{answer:?}"
            );
        }
        world.end().await;
    });
}
