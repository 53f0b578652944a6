//! Each filter, against a plain loop over the rows; figures, against a count by hand.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use redspan::{
    domain::{ApiError, Category, Fingerprint, Hour, Severity, TraceId},
    store::{
        ErrorFilter, ErrorStats, GroupedErrors, HourErrors, LatestError, NewApiError, PageRequest,
        RepositoryError,
    },
};

use super::{World, new_error, newest_first};
use crate::databases::on_each_database;

/// Errors that differ in everything that can be filtered by.
fn corpus(world: &World) -> Vec<NewApiError> {
    let pick = |list: &[&str], number: usize| list[number % list.len()].to_owned();
    let maybe = |text: String| Some(text).filter(|text| !text.is_empty());
    (0..90_usize)
        .map(|number| NewApiError {
            user_id: maybe(pick(&["ada", "bob", "", "eve"], number)),
            service_name: Some(pick(
                &["shop", "billing/api", "unknown_service"],
                number / 2,
            )),
            environment: maybe(pick(&["", "prod"], number / 3)),
            endpoint: pick(
                &[
                    "/a", "/b", "/c", "/d", "/e", "/f", "/g", "/h", "/i", "/j", "/k", "/l",
                ],
                number * number,
            ),
            method: pick(&["GET", "POST"], number),
            severity: Some(Severity::ALL[number % Severity::ALL.len()]),
            category: Some(Category::ALL[number % Category::ALL.len()]),
            status_code: [None, Some(500), Some(503), Some(404)][number % 4],
            external_service: maybe(pick(&["", "meshy", "stripe"], number / 5)),
            request_id: maybe(pick(&["", "r-1", "r-2"], number)),
            trace_id: [
                None,
                TraceId::from_slice(&[1; 16]),
                TraceId::from_slice(&[2; 16]),
            ][number % 3],
            tags: [
                vec![],
                vec!["probe".to_owned()],
                vec!["eu".to_owned(), "probe".to_owned()],
            ][number % 3]
                .clone(),
            error_message: pick(
                &["timeout after 5 s", "Timeout", "100% of_it", "nothing"],
                number / 4,
            ),
            created_at: Some(
                world
                    .now
                    .plus_seconds(-60 * i64::try_from(number % 30).unwrap()),
            ),
            ..new_error()
        })
        .collect()
}

/// What a filter means, without SQL.
fn matches(filter: &ErrorFilter, row: &ApiError) -> bool {
    fn is<T: PartialEq>(wanted: Option<&T>, value: &T) -> bool {
        wanted.is_none_or(|wanted| wanted == value)
    }
    fn one_of<T: PartialEq>(wanted: &[T], value: &T) -> bool {
        wanted.is_empty() || wanted.contains(value)
    }
    is(
        filter.user_id.as_ref().map(|it| Some(it.clone())).as_ref(),
        &row.user_id,
    ) && is(filter.service_name.as_ref(), &row.service_name)
        && is(filter.environment.as_ref(), &row.environment)
        && is(filter.endpoint.as_ref(), &row.endpoint)
        && is(filter.method.as_ref(), &row.method)
        && one_of(&filter.severity, &row.severity)
        && one_of(&filter.category, &row.category)
        && is(filter.status_code.map(Some).as_ref(), &row.status_code)
        && is(
            filter
                .external_service
                .as_ref()
                .map(|it| Some(it.clone()))
                .as_ref(),
            &row.external_service,
        )
        && is(filter.resolved.as_ref(), &row.resolved)
        && is(
            filter
                .request_id
                .as_ref()
                .map(|it| Some(it.clone()))
                .as_ref(),
            &row.request_id,
        )
        && is(filter.trace_id.map(Some).as_ref(), &row.trace_id)
        && is(filter.fingerprint.as_ref(), &row.fingerprint)
        && filter.tag.as_ref().is_none_or(|tag| row.tags.contains(tag))
        && filter.from.is_none_or(|from| row.created_at >= from)
        && filter.to.is_none_or(|to| row.created_at < to)
        && filter
            .text
            .as_ref()
            .is_none_or(|text| row.error_message.contains(text))
        && (filter.include_deleted || row.deleted_at.is_none())
}

#[expect(clippy::too_many_lines, reason = "a list")]
fn filters(world: &World, rows: &[ApiError]) -> Vec<ErrorFilter> {
    let text = |text: &str| Some(text.to_owned());
    let all = ErrorFilter::default;
    vec![
        all(),
        ErrorFilter {
            user_id: text("ada"),
            ..all()
        },
        ErrorFilter {
            service_name: text("billing/api"),
            ..all()
        },
        ErrorFilter {
            environment: text("prod"),
            ..all()
        },
        ErrorFilter {
            environment: text(""),
            ..all()
        },
        ErrorFilter {
            endpoint: text("/b"),
            ..all()
        },
        ErrorFilter {
            method: text("POST"),
            ..all()
        },
        ErrorFilter {
            severity: vec![Severity::Critical],
            ..all()
        },
        ErrorFilter {
            severity: vec![Severity::Debug, Severity::Warning],
            ..all()
        },
        ErrorFilter {
            category: vec![Category::FileSystem],
            ..all()
        },
        ErrorFilter {
            category: Category::ALL.to_vec(),
            ..all()
        },
        ErrorFilter {
            status_code: Some(503),
            ..all()
        },
        ErrorFilter {
            external_service: text("meshy"),
            ..all()
        },
        ErrorFilter {
            resolved: Some(true),
            ..all()
        },
        ErrorFilter {
            resolved: Some(false),
            ..all()
        },
        ErrorFilter {
            request_id: text("r-2"),
            ..all()
        },
        ErrorFilter {
            trace_id: TraceId::from_slice(&[2; 16]),
            ..all()
        },
        ErrorFilter {
            fingerprint: Some(rows[0].fingerprint.clone()),
            ..all()
        },
        ErrorFilter {
            tag: text("probe"),
            ..all()
        },
        ErrorFilter {
            tag: text("prob"),
            ..all()
        },
        ErrorFilter {
            from: Some(world.now.plus_seconds(-600)),
            ..all()
        },
        ErrorFilter {
            to: Some(world.now.plus_seconds(-600)),
            ..all()
        },
        ErrorFilter {
            from: Some(world.now.plus_seconds(-600)),
            to: Some(world.now.plus_seconds(-300)),
            ..all()
        },
        ErrorFilter {
            text: text("imeout"),
            ..all()
        },
        ErrorFilter {
            text: text("timeout"),
            ..all()
        },
        ErrorFilter {
            text: text("%"),
            ..all()
        },
        ErrorFilter {
            text: text("_"),
            ..all()
        },
        ErrorFilter {
            text: text(""),
            ..all()
        },
        ErrorFilter {
            include_deleted: true,
            ..all()
        },
        ErrorFilter {
            user_id: text("nobody"),
            ..all()
        },
        ErrorFilter {
            service_name: text("shop"),
            severity: vec![Severity::Error, Severity::Critical],
            resolved: Some(false),
            include_deleted: true,
            ..all()
        },
    ]
}

/// The figures of these rows, counted by hand.
fn count(rows: &[ApiError]) -> ErrorStats {
    let mut stats = ErrorStats::default();
    let mut endpoints = BTreeMap::<&str, i64>::new();
    let mut users = BTreeSet::new();
    for row in rows {
        stats.total += 1;
        *stats.by_severity.entry(row.severity).or_default() += 1;
        *stats.by_category.entry(row.category).or_default() += 1;
        *endpoints.entry(&row.endpoint).or_default() += 1;
        users.extend(row.user_id.as_ref());
        *(if row.resolved {
            &mut stats.resolved
        } else {
            &mut stats.unresolved
        }) += 1;
    }
    stats.unique_users = i64::try_from(users.len()).unwrap();
    let mut endpoints: Vec<_> = endpoints.into_iter().collect();
    endpoints.sort_by_key(|(endpoint, errors)| (-errors, *endpoint));
    stats.top_endpoints = endpoints
        .into_iter()
        .take(10)
        .map(|(endpoint, errors)| redspan::store::EndpointErrors {
            endpoint: endpoint.to_owned(),
            errors,
        })
        .collect();
    stats
}

/// Hours with their errors, in order, counted by hand.
fn by_hour(rows: &[ApiError]) -> Vec<HourErrors> {
    let mut hours = BTreeMap::<Hour, i64>::new();
    for row in rows {
        *hours.entry(row.hour()).or_default() += 1;
    }
    let hours = hours.into_iter();
    hours
        .map(|(hour, errors)| HourErrors { hour, errors })
        .collect()
}

/// Groups with their errors, last seen first, counted by hand from rows that come newest first.
fn by_group(rows: &[ApiError]) -> Vec<GroupedErrors> {
    let mut groups = BTreeMap::<&Fingerprint, Vec<&ApiError>>::new();
    for row in rows {
        groups.entry(&row.fingerprint).or_default().push(row);
    }
    let mut groups: Vec<_> = groups
        .into_iter()
        .map(|(fingerprint, rows)| GroupedErrors {
            fingerprint: fingerprint.clone(),
            errors: i64::try_from(rows.len()).unwrap(),
            first_seen_at: rows[rows.len() - 1].created_at,
            last_seen_at: rows[0].created_at,
            latest: LatestError {
                id: rows[0].id,
                service_name: rows[0].service_name.clone(),
                environment: rows[0].environment.clone(),
                endpoint: rows[0].endpoint.clone(),
                method: rows[0].method.clone(),
                severity: rows[0].severity,
                category: rows[0].category,
                error_code: rows[0].error_code.clone(),
                error_message: rows[0].error_message.clone(),
            },
        })
        .collect();
    groups.sort_by_key(|group| Reverse((group.last_seen_at, group.fingerprint.0.clone())));
    groups
}

/// Every group that matches, read in pages of three.
async fn groups(world: &World, filter: &ErrorFilter) -> Vec<GroupedErrors> {
    let reader = world.store.patient();
    let mut groups = Vec::new();
    let mut page = PageRequest::first(3);
    loop {
        let read = reader.get_errors_by_group(filter, &page).await.unwrap();
        assert!(read.items.len() <= 3);
        groups.extend(read.items);
        match read.next {
            Some(next) => page = PageRequest::after(3, next),
            None => return groups,
        }
    }
}

#[test]
fn every_filter_finds_what_a_plain_loop_finds_and_figures_equal_a_count_by_hand() {
    on_each_database(async |database| {
        let world = World::new(database).await;
        let logged = world.log(corpus(&world)).await;
        for (number, row) in logged.iter().enumerate() {
            if number % 7 == 0 {
                let resolved = if world.database.kind == crate::databases::Kind::Sqlite {
                    "1"
                } else {
                    "true"
                };
                let set =
                    format!("resolved = {resolved}, resolved_at = created_at, resolved_by = 'me'");
                world
                    .by_hand(&format!(
                        "UPDATE api_errors SET {set} WHERE id = '{}'",
                        row.id
                    ))
                    .await;
            }
            if number % 11 == 0 {
                let set = "deleted_at = received_at";
                world
                    .by_hand(&format!(
                        "UPDATE api_errors SET {set} WHERE id = '{}'",
                        row.id
                    ))
                    .await;
            }
        }
        let everything = ErrorFilter {
            include_deleted: true,
            ..ErrorFilter::default()
        };
        let rows = world.all(&everything).await;
        assert_eq!(rows.len(), 90);
        assert_eq!(rows, newest_first(rows.clone()));
        for filter in filters(&world, &rows) {
            let expected: Vec<_> = rows
                .iter()
                .filter(|row| matches(&filter, row))
                .cloned()
                .collect();
            assert_eq!(world.all(&filter).await, expected, "{filter:?}");
            let stats = world.store.get_error_stats(&filter).await.unwrap();
            assert_eq!(stats, count(&expected), "{filter:?}");
            let by_hour_too = world.store.get_error_stats_by_hour(&filter).await.unwrap();
            assert_eq!(by_hour_too, (stats, by_hour(&expected)), "{filter:?}");
            assert_eq!(
                groups(&world, &filter).await,
                by_group(&expected),
                "{filter:?}"
            );
        }
        let unresolved = world.store.unresolved().await.unwrap();
        let expected = rows
            .iter()
            .filter(|row| !row.resolved && row.deleted_at.is_none());
        assert_eq!(
            unresolved
                .iter()
                .map(|(_, _, _, errors)| errors)
                .sum::<i64>(),
            i64::try_from(expected.count()).unwrap()
        );
        world.end().await;
    });
}

#[test]
fn figures_and_hours_are_of_one_moment_whatever_is_written_meanwhile() {
    on_each_database(async |database| {
        let world = World::new(database).await;
        let writing = async {
            for _ in 0..100 {
                world.log(vec![new_error()]).await;
            }
        };
        let reading = async {
            let all = ErrorFilter::default();
            loop {
                let read = world.store.get_error_stats_by_hour(&all).await;
                let (stats, hours) = read.unwrap();
                let total: i64 = hours.iter().map(|hour| hour.errors).sum();
                assert_eq!(total, stats.total);
            }
        };
        tokio::select! {
            () = writing => {}
            () = reading => {}
        }
        world.end().await;
    });
}

#[test]
fn what_no_index_finds_is_refused_without_a_time_or_what_narrows_it() {
    on_each_database(async |database| {
        let world = World::new(database).await;
        let text = |text: &str| Some(text.to_owned());
        let all = ErrorFilter::default;
        let filters = [
            (
                "environment",
                ErrorFilter {
                    environment: text("test"),
                    ..all()
                },
            ),
            (
                "method",
                ErrorFilter {
                    method: text("GET"),
                    resolved: Some(false),
                    ..all()
                },
            ),
            (
                "tag",
                ErrorFilter {
                    tag: text("probe"),
                    to: Some(world.now),
                    ..all()
                },
            ),
            (
                "text",
                ErrorFilter {
                    text: text("refused"),
                    ..all()
                },
            ),
        ];
        for (name, filter) in filters {
            let page = PageRequest::first(10);
            let answers = [
                world.errors.get_errors(&filter, &page).await.err(),
                world.errors.get_error_stats(&filter).await.err(),
            ];
            for refused in answers {
                let Some(RepositoryError::Invalid(fields)) = refused else {
                    panic!("{filter:?}: {refused:?}");
                };
                assert_eq!(fields.len(), 1);
                assert_eq!(fields[0].field, name);
                assert!(fields[0].advice.contains("give from"), "{}", fields[0]);
            }
            let since = ErrorFilter {
                from: Some(world.now),
                ..filter.clone()
            };
            let of_user = ErrorFilter {
                user_id: text("somebody"),
                ..filter
            };
            for filter in [since, of_user] {
                let answer = world.errors.get_errors(&filter, &page).await.unwrap();
                assert_eq!(answer.items, []);
            }
        }
        world.end().await;
    });
}
