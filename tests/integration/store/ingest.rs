//! The writer's side: what each call does, and what a transaction leaves behind.

use redspan::{
    domain::{
        Category, ErrorId, GroupStatus, RequestDigest, Series, Severity, Sighting, SightingKind,
        SpanId, TraceId,
    },
    store::{
        AggregationDelta, Changes, MetricFamily, MetricTotal, Regression, RequestTotalsDelta,
        StoreError, TraceWrite, connect,
    },
};
use serde_json::json;
use uuid::Uuid;

use super::{
    migrations::{execute, rows},
    support::{
        USE_USER_KEY, assert_adds_up, at, changes, commit, counted, error, groups, hours, id, ten,
        trace, user_key,
    },
};
use crate::databases::on_each_database;

fn digest(number: u8) -> RequestDigest {
    RequestDigest([number; 16])
}

#[test]
fn the_ledger_tells_new_requests_from_known_ones() {
    on_each_database(async |database| {
        let store = connect(&database.settings()).await.unwrap();
        let mut writer = store.writer().await.unwrap();
        writer.begin().await.unwrap();
        let first: Vec<_> = (0..120).map(digest).collect();
        assert_eq!(writer.insert_ledger(&first, at(0)).await.unwrap(), first);
        writer.commit().await.unwrap();
        writer.begin().await.unwrap();
        let second = [digest(3), digest(119), digest(120)];
        let new = writer.insert_ledger(&second, at(9)).await.unwrap();
        assert_eq!(new, [digest(120)]);
        writer.rollback().await;
        let known = writer.known_digests(&second).await.unwrap();
        assert_eq!(known, [digest(3), digest(119)]);
        assert_eq!(writer.prune_ledger(at(0), 500).await.unwrap(), 0);
        assert_eq!(writer.prune_ledger(at(1), 50).await.unwrap(), 50);
        assert_eq!(writer.prune_ledger(at(1), 500).await.unwrap(), 70);
        assert!(writer.known_digests(&second).await.unwrap().is_empty());
    });
}

#[test]
fn whoever_claims_a_writers_name_takes_it_from_whoever_had_it() {
    on_each_database(async |database| {
        let store = connect(&database.settings()).await.unwrap();
        let mut writer = store.writer().await.unwrap();
        let first = writer.claim_writer("host", at(0)).await.unwrap();
        let other = writer.claim_writer("other", at(0)).await.unwrap();
        let second = writer.claim_writer("host", at(0)).await.unwrap();
        assert!(second > first);
        writer.begin().await.unwrap();
        assert!(!writer.hold_writer("host", first).await.unwrap());
        assert!(writer.hold_writer("host", second).await.unwrap());
        assert!(writer.hold_writer("other", other).await.unwrap());
        assert!(!writer.hold_writer("nobody", 1).await.unwrap());
        writer.commit().await.unwrap();
    });
}

#[test]
fn data_counters_come_back_as_they_were_written_last() {
    on_each_database(async |database| {
        let store = connect(&database.settings()).await.unwrap();
        let mut writer = store.writer().await.unwrap();
        let total = |endpoint: &str, value| MetricTotal {
            family: MetricFamily::RequestDuration,
            labels: [("service_name", "shop"), ("endpoint", endpoint)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            value,
            sum: i64::MAX - value,
            buckets: vec![value; 12],
        };
        // Longer than PostgreSQL's index entries, in a text that does not compress.
        let long: String = (0..4_000_u32)
            .map(|n| char::from_u32(0x4e00 + n.wrapping_mul(2_654_435_761) % 20_000).unwrap())
            .collect();
        let first = Changes {
            now: Some(at(0)),
            writer: "one".to_owned(),
            metrics: vec![total("/a", 1), total("/b \"\\\n", 2), total(&long, 3)],
            ..Changes::default()
        };
        commit(&mut *writer, &first).await;
        let second = Changes {
            metrics: vec![total("/a", 10)],
            ..first.clone()
        };
        commit(&mut *writer, &second).await;
        let others = Changes {
            writer: "two".to_owned(),
            ..second.clone()
        };
        commit(&mut *writer, &others).await;
        let mut loaded = writer.load_metric_totals("one").await.unwrap();
        loaded.sort_by_key(|total| total.value);
        assert_eq!(
            loaded,
            [total("/b \"\\\n", 2), total(&long, 3), total("/a", 10)]
        );
        assert_eq!(writer.load_metric_totals("two").await.unwrap().len(), 1);
        assert!(writer.load_metric_totals("three").await.unwrap().is_empty());
    });
}

#[test]
fn request_totals_add_up_bucket_by_bucket() {
    on_each_database(async |database| {
        let store = connect(&database.settings()).await.unwrap();
        let mut writer = store.writer().await.unwrap();
        let delta = |endpoint: &str, requests| RequestTotalsDelta {
            hour: ten(),
            series: Series {
                service_name: "shop".to_owned(),
                environment: String::new(),
                endpoint: endpoint.to_owned(),
                method: "GET".to_owned(),
            },
            requests,
            errors: 1,
            estimated_requests: 1.5,
            duration_nanos: 1 << 50,
            buckets: (0..12).map(|bucket| bucket * requests).collect(),
        };
        let first = Changes {
            now: Some(at(0)),
            writer: "one".to_owned(),
            requests: vec![delta("/a", 2), delta("/b", 3)],
            ..Changes::default()
        };
        commit(&mut *writer, &first).await;
        commit(&mut *writer, &first).await;
        let totals = rows(
            &database,
            "SELECT endpoint || ' ' || requests || ' ' || errors || ' ' || estimated_requests \
             || ' ' || duration_sum_nanos || ' ' || duration_to_5ms || ' ' || duration_to_10ms \
             || ' ' || duration_beyond FROM request_totals",
            "SELECT endpoint || ' ' || requests || ' ' || errors || ' ' \
             || estimated_requests::numeric(9, 1) \
             || ' ' || duration_sum_nanos || ' ' || duration_to_5ms || ' ' || duration_to_10ms \
             || ' ' || duration_beyond FROM request_totals",
        )
        .await;
        let sum = 1_i64 << 51;
        assert_eq!(
            totals,
            [
                format!("/a 4 2 3.0 {sum} 0 4 44"),
                format!("/b 6 2 3.0 {sum} 0 6 66")
            ]
        );
    });
}

#[test]
fn a_row_comes_back_column_for_column_and_can_be_rewritten() {
    on_each_database(async |database| {
        let store = connect(&database.settings()).await.unwrap();
        let mut writer = store.writer().await.unwrap();
        let mut full = error(1, 5, Some("ada"));
        full.request_id = Some("r-1".to_owned());
        full.error_code = Some("E".to_owned());
        full.error_message = "\u{1f4a5} it's \"broken\" \\ \n\t\u{fffd}".to_owned();
        full.error_stack = Some("at main\n".repeat(3_000));
        full.severity = Severity::Critical;
        full.category = Category::FileSystem;
        full.request_body = Some(json!({"a": [1, 2.5, null, "x"]}));
        full.request_headers = Some(json!({"accept": "*/*"}));
        full.response_body = Some(json!("text"));
        full.external_service = Some("stripe".to_owned());
        full.external_error_code = Some("503".to_owned());
        full.external_error_message = Some("no".to_owned());
        full.context = json!({"deep": {"er": true}, "n": 9_007_199_254_740_993_i64})
            .as_object()
            .unwrap()
            .clone();
        full.tags = vec!["handled".to_owned(), "probe".to_owned()];
        full.resolved = true;
        full.resolved_at = Some(at(9));
        full.resolved_by = Some("bob".to_owned());
        full.resolution = Some("fixed".to_owned());
        full.ip_address = Some("2001:db8::".to_owned());
        full.user_agent = Some("curl".to_owned());
        full.service_version = Some("1.2".to_owned());
        full.trace_id = Some(TraceId([7; 16]));
        full.span_id = Some(SpanId([8; 8]));
        full.received_at = at(6);
        full.deleted_at = Some(at(7));
        let plain = error(2, -1, None);
        commit(
            &mut *writer,
            &Changes {
                inserted: vec![full.clone(), plain.clone()],
                ..Changes::default()
            },
        )
        .await;
        writer.begin().await.unwrap();
        let mut read = writer.read_errors(&[id(1), id(2), id(3)]).await.unwrap();
        read.sort_by_key(|row| row.id);
        assert_eq!(read, [full.clone(), plain.clone()]);
        writer.rollback().await;
        // Every column of one becomes the other's.
        let rewritten = vec![
            redspan::domain::ApiError {
                id: id(1),
                ..plain.clone()
            },
            redspan::domain::ApiError {
                id: id(2),
                ..full.clone()
            },
        ];
        commit(
            &mut *writer,
            &Changes {
                updated: rewritten.clone(),
                ..Changes::default()
            },
        )
        .await;
        for row in &rewritten {
            let read = store.get_error_by_id(row.id).await.unwrap();
            assert_eq!(read.as_ref(), Some(row));
        }
    });
}

#[test]
fn the_id_of_a_merged_row_leads_to_the_row_it_is_part_of() {
    on_each_database(async |database| {
        let store = connect(&database.settings()).await.unwrap();
        let mut writer = store.writer().await.unwrap();
        let all: Vec<_> = (1..=5).map(|number| error(number, 0, None)).collect();
        commit(&mut *writer, &changes(&all, &[])).await;
        // First 1 into 2, then 2 into 3 and, in the same group, 3 into 4.
        for merged in [vec![(id(1), id(2))], vec![(id(2), id(3)), (id(3), id(4))]] {
            let gone: Vec<_> = all
                .iter()
                .filter(|row| merged.iter().any(|(gone, _)| *gone == row.id))
                .cloned()
                .collect();
            let mut merge = changes(&[], &gone);
            merge.merged = merged;
            commit(&mut *writer, &merge).await;
        }
        for (asked, answered) in [(1, 4), (2, 4), (3, 4), (4, 4), (5, 5)] {
            let found = store.get_error_by_id(id(asked)).await.unwrap().unwrap();
            assert_eq!(found.id, id(answered));
        }
        assert_eq!(store.get_error_by_id(id(6)).await.unwrap(), None);
        assert_eq!(hours(&store).await[0].total_errors, 2);
        // The failures part again: the id is its own row's.
        let mut parts = changes(&all[..1], &[]);
        parts.parted = vec![id(1)];
        commit(&mut *writer, &parts).await;
        for (asked, answered) in [(1, 1), (2, 4)] {
            let found = store.get_error_by_id(id(asked)).await.unwrap().unwrap();
            assert_eq!(found.id, id(answered));
        }
        assert_adds_up(&store).await;
    });
}

#[test]
fn unique_users_follow_rows_that_come_change_and_leave() {
    on_each_database(async |database| {
        let store = connect(&database.settings()).await.unwrap();
        let mut writer = store.writer().await.unwrap();
        let ada = [error(1, 0, Some("ada")), error(2, 1, Some("ada"))];
        let bob = [error(3, 2, Some("bob"))];
        commit(&mut *writer, &changes(&[&ada[..], &bob[..]].concat(), &[])).await;
        assert_eq!(hours(&store).await[0].unique_users, 2);
        let mut leaves = changes(&[], &ada[..1]);
        leaves.merged = vec![(id(1), id(2))];
        commit(&mut *writer, &leaves).await;
        assert_eq!(hours(&store).await[0].unique_users, 2);
        // The user of a row becomes known or another: its hour has no delta of its own.
        let mut moves = Changes {
            now: Some(at(1)),
            updated: vec![error(2, 1, Some("bob"))],
            ..changes(&[], &[])
        };
        moves.users = changes(&[error(2, 1, Some("bob"))], &[error(2, 1, Some("ada"))]).users;
        commit(&mut *writer, &moves).await;
        let hour = &hours(&store).await[0];
        assert_eq!((hour.unique_users, hour.total_errors), (1, 2));
        let members = "SELECT user_key || ' ' || errors FROM error_aggregation_users";
        assert_eq!(
            rows(&database, members, members).await,
            [format!("{} 2", user_key("bob").0)]
        );
        assert_adds_up(&store).await;
    });
}

#[test]
fn an_hour_that_shrinks_reads_its_edges_again_and_disappears_when_it_is_empty() {
    on_each_database(async |database| {
        let store = connect(&database.settings()).await.unwrap();
        let mut writer = store.writer().await.unwrap();
        let all: Vec<_> = (0..3).map(|n| error(n, 10 * i64::from(n), None)).collect();
        // One more, folded with what its endpoint would keep apart.
        let mut folded = error(9, 40, None);
        folded.aggregation_id =
            redspan::domain::AggregationId::new(folded.hour(), &folded.dimensions().folded());
        let mut stays = error(10, 50, None);
        stays.aggregation_id = folded.aggregation_id;
        let fold = |mut changes: Changes| {
            for hour in &mut changes.aggregations {
                if hour.id == folded.aggregation_id {
                    hour.dimensions = hour.dimensions.folded();
                }
            }
            changes
        };
        let came = [&all[..], &[folded.clone(), stays.clone()]].concat();
        commit(&mut *writer, &fold(changes(&came, &[]))).await;
        let gone = [all[0].clone(), folded.clone()];
        let mut leave = fold(changes(&[], &gone));
        leave.merged = vec![(id(0), id(1)), (id(9), id(10))];
        commit(&mut *writer, &leave).await;
        let of = |id| {
            let store = store.clone();
            async move { hours(&store).await.into_iter().find(|hour| hour.id == id) }
        };
        let hour = of(all[1].aggregation_id).await.unwrap();
        assert_eq!(
            (hour.first_occurrence, hour.last_occurrence),
            (at(10), at(20))
        );
        let hour = of(folded.aggregation_id).await.unwrap();
        assert_eq!(
            (hour.first_occurrence, hour.last_occurrence),
            (at(50), at(50))
        );
        assert_adds_up(&store).await;
        // The last rows of the hour move to another hour.
        let later: Vec<_> = [1, 2].map(|n| error(n, 7_200, None)).into();
        let mut moves = changes(&later, &all[1..]);
        moves.inserted = Vec::new();
        moves.updated = later.clone();
        commit(&mut *writer, &moves).await;
        assert_eq!(of(all[1].aggregation_id).await, None);
        assert_eq!(of(later[0].aggregation_id).await.unwrap().total_errors, 2);
        assert_adds_up(&store).await;
    });
}

#[test]
fn what_is_counted_without_a_row_keeps_its_hour_and_its_edges() {
    on_each_database(async |database| {
        let store = connect(&database.settings()).await.unwrap();
        let mut writer = store.writer().await.unwrap();
        let row = error(1, 100, None);
        let unlinked = AggregationDelta {
            linked_errors: 0,
            unlinked_errors: 5,
            first_occurrence: Some(at(30)),
            last_occurrence: Some(at(60)),
            ..changes(std::slice::from_ref(&row), &[])
                .aggregations
                .remove(0)
        };
        commit(
            &mut *writer,
            &Changes {
                now: Some(at(0)),
                aggregations: vec![unlinked],
                ..Changes::default()
            },
        )
        .await;
        commit(&mut *writer, &changes(std::slice::from_ref(&row), &[])).await;
        let mut other = error(2, 0, None);
        other.endpoint = "/else".to_owned();
        commit(&mut *writer, &changes(&[counted(other)], &[])).await;
        let mut leaves = changes(&[], &[row]);
        leaves.merged = vec![(id(1), id(2))];
        commit(&mut *writer, &leaves).await;
        let hour = hours(&store)
            .await
            .into_iter()
            .find(|hour| hour.unlinked_errors > 0)
            .unwrap();
        assert_eq!((hour.total_errors, hour.unlinked_errors), (5, 5));
        assert_eq!(
            (hour.first_occurrence, hour.last_occurrence),
            (at(30), at(100))
        );
    });
}

#[test]
fn a_group_counts_comes_back_when_resolved_and_disappears_when_open_and_empty() {
    on_each_database(async |database| {
        let store = connect(&database.settings()).await.unwrap();
        let mut writer = store.writer().await.unwrap();
        let mut first = error(1, 10, None);
        first.service_version = Some("2".to_owned());
        let mut earlier = error(2, 5, None);
        earlier.service_version = Some("1".to_owned());
        commit(&mut *writer, &changes(&[first.clone()], &[])).await;
        commit(&mut *writer, &changes(&[earlier.clone()], &[])).await;
        let group = groups(&store).await.remove(0);
        assert_eq!((group.total_errors, group.status), (2, GroupStatus::Open));
        assert_eq!((group.first_seen_at, group.last_seen_at), (at(5), at(10)));
        assert_eq!(group.first_version.as_deref(), Some("1"));
        assert_eq!(group.last_version.as_deref(), Some("2"));

        execute(&database, "UPDATE error_groups SET status = 'resolved'").await;
        writer.begin().await.unwrap();
        let unknown = redspan::domain::Fingerprint("1:unknown".to_owned());
        let locked = writer
            .lock_groups(&[first.fingerprint.clone(), unknown])
            .await
            .unwrap();
        assert_eq!(locked.len(), 1);
        assert_eq!(locked[0].status, GroupStatus::Resolved);
        assert_eq!(locked[0].total_errors, 2);
        writer.rollback().await;
        let mut back = changes(&[error(3, 20, None)], &[]);
        back.groups[0].regression = Some(Regression { at: at(20) });
        commit(&mut *writer, &back).await;
        let group = groups(&store).await.remove(0);
        assert_eq!((group.total_errors, group.status), (3, GroupStatus::Open));
        assert_eq!(group.regressed_at, Some(at(20)));

        let mut other = error(4, 0, None);
        other.fingerprint = redspan::domain::Fingerprint("1:other".to_owned());
        commit(&mut *writer, &changes(&[other], &[])).await;
        let mut leave = changes(&[], &[first, earlier, error(3, 20, None)]);
        leave.merged = [1, 2, 3].map(|n| (id(n), id(4))).into();
        commit(&mut *writer, &leave).await;
        let left: Vec<_> = groups(&store).await;
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].fingerprint.0, "1:other");
        assert_adds_up(&store).await;
    });
}

fn sighting(number: u128) -> Sighting {
    Sighting {
        key: redspan::domain::SightingKey(Uuid::from_u128(number)),
        kind: SightingKind::Span,
        ..serde_json::from_value(json!({
            "key": Uuid::nil(), "kind": "span", "isEntry": true, "endedAtMicros": 5
        }))
        .unwrap()
    }
}

#[test]
fn a_trace_is_what_the_transaction_before_left() {
    on_each_database(async |database| {
        let store = connect(&database.settings()).await.unwrap();
        let mut writer = store.writer().await.unwrap();
        let mut identities = [trace(1), trace(2), trace(3)];
        identities.sort_by_key(|trace| trace.key);
        writer.begin().await.unwrap();
        let stored = writer.lock_traces(&identities, at(0)).await.unwrap();
        assert!(stored.iter().all(|trace| trace.sightings.is_empty()));
        let keys: Vec<_> = stored.iter().map(|trace| trace.key).collect();
        assert_eq!(keys, identities.clone().map(|trace| trace.key));
        let seen = vec![sighting(1), sighting(2)];
        let write = TraceWrite {
            key: identities[1].key,
            sightings: serde_json::to_string(&seen).unwrap(),
            dropped_sightings: 3,
            touched_at: at(60),
        };
        let touch = TraceWrite {
            key: identities[2].key,
            sightings: "[]".to_owned(),
            dropped_sightings: 0,
            touched_at: at(-60),
        };
        writer
            .apply(&Changes {
                traces: vec![write, touch],
                ..Changes::default()
            })
            .await
            .unwrap();
        writer.commit().await.unwrap();
        writer.begin().await.unwrap();
        let stored = writer.lock_traces(&identities, at(0)).await.unwrap();
        assert_eq!(stored[1].sightings, seen);
        assert_eq!(stored[1].dropped_sightings, 3);
        assert!(stored[2].sightings.is_empty());
        writer.rollback().await;
        let open = store.open_traces(at(30), 10).await.unwrap();
        assert_eq!(open, [(identities[1].key, at(60))]);
    });
}

#[test]
fn a_refused_value_names_its_class_and_leaves_the_connection_usable() {
    on_each_database(async |database| {
        let store = connect(&database.settings()).await.unwrap();
        let mut writer = store.writer().await.unwrap();
        let stranger = error(1, 0, Some("nobody registered me"));
        let mut long = error(2, 0, None);
        long.endpoint = "é".repeat(513);
        for (row, is_foreign_key) in [(stranger, true), (long, false)] {
            writer.begin().await.unwrap();
            let refused = writer.apply(&changes(&[row], &[])).await.unwrap_err();
            assert!(
                matches!(refused, StoreError::Refused { foreign_key, .. } if foreign_key == is_foreign_key),
                "{refused:?}"
            );
            writer.rollback().await;
        }
        let mut edge = error(3, 0, None);
        edge.endpoint = "é".repeat(512);
        commit(&mut *writer, &changes(&[edge], &[])).await;
        assert_eq!(hours(&store).await.len(), 1);
    });
}

#[test]
fn a_transaction_that_is_rolled_back_leaves_nothing() {
    on_each_database(async |database| {
        let store = connect(&database.settings()).await.unwrap();
        let mut writer = store.writer().await.unwrap();
        writer.rollback().await;
        writer.begin().await.unwrap();
        writer
            .apply(&changes(&[error(1, 0, None)], &[]))
            .await
            .unwrap();
        writer.rollback().await;
        writer.rollback().await;
        assert_eq!(store.get_error_by_id(id(1)).await.unwrap(), None);
        assert!(hours(&store).await.is_empty());
        assert!(groups(&store).await.is_empty());
        drop(writer);
        let mut writer = store.writer().await.unwrap();
        writer.begin().await.unwrap();
        writer
            .apply(&changes(&[error(1, 0, None)], &[]))
            .await
            .unwrap();
        drop(writer);
        let mut writer = store.writer().await.unwrap();
        commit(&mut *writer, &changes(&[error(2, 0, None)], &[])).await;
        assert_eq!(store.get_error_by_id(id(1)).await.unwrap(), None);
        assert_adds_up(&store).await;
    });
}

#[test]
fn rebuilt_hours_say_what_the_rows_say_and_keep_what_has_no_row() {
    on_each_database(async |database| {
        let store = connect(&database.settings()).await.unwrap();
        execute(&database, USE_USER_KEY).await;
        let mut writer = store.writer().await.unwrap();
        let came: Vec<_> = (1..=6)
            .map(|n| {
                error(
                    n,
                    1_500 * i64::from(n),
                    Some(if n % 2 == 0 { "ada" } else { "bob" }),
                )
            })
            .collect();
        let mut stored = changes(&came, &[]);
        stored.aggregations[0].unlinked_errors = 7;
        commit(&mut *writer, &stored).await;
        let right = hours(&store).await;
        let range = (None, None, at(0));
        let unchanged = writer
            .rebuild_aggregations(range.0, range.1, "ada", range.2)
            .await;
        assert_eq!(unchanged.unwrap(), 0);
        for damage in [
            "UPDATE error_aggregations SET total_errors = total_errors + 2",
            "UPDATE error_aggregations SET unique_users = 40, \
             first_occurrence = last_occurrence WHERE unlinked_errors = 0",
            "DELETE FROM error_aggregations WHERE unlinked_errors = 0",
            "UPDATE api_errors SET aggregation_id = '00000000-0000-8000-8000-000000000000' \
             WHERE user_id = 'ada'",
            "DELETE FROM error_aggregation_users WHERE aggregation_id IN \
             (SELECT id FROM error_aggregations WHERE unlinked_errors = 0)",
        ] {
            execute(&database, damage).await;
            writer
                .rebuild_aggregations(None, None, "ada", at(1))
                .await
                .unwrap();
            let mut rebuilt = hours(&store).await;
            for (rebuilt, right) in rebuilt.iter_mut().zip(&right) {
                rebuilt.updated_at = right.updated_at;
            }
            assert_eq!(rebuilt, right, "{damage}");
            assert_adds_up(&store).await;
        }
        // Only the hours of the range.
        execute(
            &database,
            "UPDATE error_aggregations SET total_errors = 100",
        )
        .await;
        let one = writer.rebuild_aggregations(
            Some(redspan::domain::Hour::containing(at(3_600))),
            Some(redspan::domain::Hour::containing(at(7_200))),
            "ada",
            at(1),
        );
        assert_eq!(one.await.unwrap(), 1);
    });
}

#[test]
fn a_group_larger_than_any_statement_is_one_transaction() {
    on_each_database(async |database| {
        let store = connect(&database.settings()).await.unwrap();
        let mut writer = store.writer().await.unwrap();
        let all: Vec<_> = (0..2_345)
            .map(|number| error(number, i64::from(number % 3_000), None))
            .collect();
        commit(&mut *writer, &changes(&all, &[])).await;
        writer.begin().await.unwrap();
        let ids: Vec<_> = all.iter().map(|row| row.id).collect();
        assert_eq!(writer.read_errors(&ids).await.unwrap().len(), all.len());
        writer.rollback().await;
        assert_adds_up(&store).await;
        // One row among them that is refused: none is stored.
        let mut second: Vec<_> = (5_000..7_345)
            .map(|number| error(number, 0, None))
            .collect();
        second[2_300].method = "MUCHTOOLONG".to_owned();
        writer.begin().await.unwrap();
        writer.apply(&changes(&second, &[])).await.unwrap_err();
        writer.rollback().await;
        assert_eq!(hours(&store).await[0].total_errors, 2_345);
        assert_eq!(store.get_error_by_id(id(5_000)).await.unwrap(), None);
    });
}

#[test]
fn an_unknown_id_is_not_an_error() {
    on_each_database(async |database| {
        let store = connect(&database.settings()).await.unwrap();
        let mut writer = store.writer().await.unwrap();
        writer.begin().await.unwrap();
        assert!(writer.read_errors(&[]).await.unwrap().is_empty());
        assert!(writer.lock_groups(&[]).await.unwrap().is_empty());
        assert!(writer.lock_traces(&[], at(0)).await.unwrap().is_empty());
        let nobody = ErrorId(Uuid::from_u128(99));
        assert!(writer.read_errors(&[nobody]).await.unwrap().is_empty());
        writer.apply(&Changes::default()).await.unwrap();
        writer.commit().await.unwrap();
    });
}
