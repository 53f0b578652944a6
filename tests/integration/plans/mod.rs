//! Pages stay quick however much the ledger holds: a database looks at few more rows than it gives,
//! whatever the filter, however many match it, and though many happened at one instant.

mod examined;
pub mod fill;
mod run_statistics;
mod timings;

use redspan::{
    domain::{
        Category, Fingerprint, GroupStatus, Hour, PipelineStatus, Severity, Timestamp, TraceId,
    },
    store::{
        AggregationFilter, AuditFilter, Cursor, ErrorFilter, GroupFilter, PageRequest,
        PipelineFilter, RequestFilter,
    },
};

use self::{
    examined::Watched,
    fill::{RARE, execute},
};
use crate::databases::{Database, Kind, on_each_database};

/// Items on a page.
const LIMIT: u32 = 100;

/// Rows and entries that a page may cost.
const BOUND: u64 = 20 * LIMIT as u64 + 1_000;

/// How many errors there are.
fn errors() -> i64 {
    if std::env::var_os("FULL").is_some() {
        1_000_000
    } else {
        50_000
    }
}

/// A filter and how many errors match it.
type Case = (String, ErrorFilter, i64);

/// Each filter that an index serves with a value that nothing, little and much has.
fn served(errors: i64) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let tenth = errors / 10;
    let mut text = |name: &str, set: fn(&mut ErrorFilter, String)| {
        for (value, matches) in [("nowhere", 0), ("rare", RARE), ("common", tenth)] {
            let mut filter = ErrorFilter::default();
            set(&mut filter, value.to_owned());
            cases.push((format!("{name} {value}"), filter, matches));
        }
    };
    text("user_id", |filter, it| filter.user_id = Some(it));
    text("service_name", |filter, it| filter.service_name = Some(it));
    text("endpoint", |filter, it| filter.endpoint = Some(it));
    text("request_id", |filter, it| filter.request_id = Some(it));
    text("external_service", |filter, it| {
        filter.external_service = Some(it);
    });
    text("fingerprint", |filter, it| {
        filter.fingerprint = Some(Fingerprint(it));
    });
    text("user_id and resolved", |filter, it| {
        filter.user_id = Some(it);
        filter.resolved = Some(false);
    });
    for (byte, matches) in [(0xcc, 0), (0xaa, RARE), (0xbb, tenth)] {
        let filter = ErrorFilter {
            trace_id: TraceId::from_slice(&[byte; 16]),
            ..ErrorFilter::default()
        };
        cases.push((format!("trace_id {byte:x}"), filter, matches));
    }
    for (code, matches) in [(599, 0), (418, RARE), (404, tenth)] {
        let filter = ErrorFilter {
            status_code: Some(code),
            ..ErrorFilter::default()
        };
        cases.push((format!("status_code {code}"), filter, matches));
    }
    for (severity, category, matches) in [
        (vec![Severity::Info], vec![], 0),
        (vec![Severity::Debug], vec![], RARE),
        (vec![Severity::Warning], vec![], tenth),
        (vec![Severity::Info, Severity::Critical], vec![], 0),
        (vec![Severity::Debug, Severity::Critical], vec![], RARE),
        (
            vec![Severity::Debug, Severity::Warning],
            vec![],
            tenth + RARE,
        ),
        (Severity::ALL.to_vec(), Category::ALL.to_vec(), errors),
        (vec![], vec![Category::FileSystem], 0),
        (vec![], vec![Category::Network], RARE),
        (vec![], vec![Category::ExternalApi], tenth),
        (
            vec![],
            vec![Category::Network, Category::ExternalApi],
            tenth + RARE,
        ),
        (vec![Severity::Debug], vec![Category::Network], 0),
        (
            vec![Severity::Warning, Severity::Error],
            vec![Category::ExternalApi, Category::Database, Category::Unknown],
            i64::from(LIMIT),
        ),
    ] {
        let name = format!("severity {severity:?}, category {category:?}");
        let filter = ErrorFilter {
            severity,
            category,
            ..ErrorFilter::default()
        };
        cases.push((name, filter, matches));
    }
    cases.push(("nothing".to_owned(), ErrorFilter::default(), errors));
    let with_deleted = ErrorFilter {
        include_deleted: true,
        ..ErrorFilter::default()
    };
    cases.push(("include_deleted".to_owned(), with_deleted, errors));
    cases
}

/// `resolved`, for as many errors as are resolved now.
fn by_resolved(resolved: i64) -> Vec<Case> {
    let filter = |resolved| ErrorFilter {
        resolved: Some(resolved),
        ..ErrorFilter::default()
    };
    vec![
        (format!("resolved, of {resolved}"), filter(true), resolved),
        (
            format!("unresolved, of {resolved}"),
            filter(false),
            errors() - resolved,
        ),
    ]
}

/// The first page, one from the middle, and one that begins among those of one instant.
fn pages(errors: i64) -> [(&'static str, PageRequest); 3] {
    let after = |at, id: &str| {
        let cursor = Cursor {
            at: Timestamp::from_micros(at),
            id: id.to_owned(),
        };
        PageRequest::after(LIMIT, cursor)
    };
    [
        ("first", PageRequest::first(LIMIT)),
        (
            "middle",
            after(
                fill::at(errors, errors / 2),
                "80000000-0000-8000-8000-000000000000",
            ),
        ),
        (
            "one instant",
            after(fill::last(errors), "80000000-0000-8000-8000-000000000000"),
        ),
    ]
}

async fn assert_pages_are_cheap(watched: &mut Watched, cases: &[Case]) {
    let errors = errors();
    for (name, filter, matches) in cases {
        for (which, page) in pages(errors) {
            let (answer, examined) = watched
                .ask(async |reader| reader.get_errors(filter, &page).await.unwrap())
                .await;
            let found = i64::try_from(answer.items.len()).unwrap();
            if page.after.is_none() {
                assert_eq!(found, (*matches).min(i64::from(LIMIT)), "{name}");
            }
            assert!(
                examined <= BOUND,
                "{name}, {which} page: {examined} for {found}"
            );
        }
    }
}

#[test]
fn a_page_of_errors_costs_little_whatever_the_filter_and_however_many_match() {
    on_each_database(async |database| {
        let errors = errors();
        fill::errors(&database, errors).await;
        let mut watched = Watched::new(&database).await;
        assert_pages_are_cheap(&mut watched, &served(errors)).await;
        assert_figures_cost_what_they_count(&mut watched, &served(errors)).await;
        for resolved in [0, RARE, errors / 10] {
            resolve(&database, resolved).await;
            assert_pages_are_cheap(&mut watched, &by_resolved(resolved)).await;
        }
        timings::errors(&database, errors).await;
    });
}

/// Figures look at each error that matches, but not at others; so do errors by group.
async fn assert_figures_cost_what_they_count(watched: &mut Watched, cases: &[Case]) {
    // Of many that match, a database may well look at all.
    for (name, filter, matches) in cases.iter().filter(|(.., matches)| *matches <= RARE) {
        let (stats, examined) = watched
            .ask(async |reader| reader.get_error_stats(filter).await.unwrap())
            .await;
        assert_eq!(stats.total, *matches, "{name}");
        assert!(examined <= BOUND, "figures of {name}: {examined}");
        let page = PageRequest::first(LIMIT);
        let (_, examined) = watched
            .ask(async |reader| reader.get_errors_by_group(filter, &page).await.unwrap())
            .await;
        assert!(examined <= BOUND, "groups of {name}: {examined}");
    }
}

/// Resolves errors until so many are: those with a rare method first.
async fn resolve(database: &Database, resolved: i64) {
    let sql = format!(
        "UPDATE api_errors SET resolved = TRUE WHERE id IN \
         (SELECT id FROM api_errors WHERE method <> 'GET' ORDER BY method LIMIT {resolved})"
    );
    execute(database, &[sql]).await;
}

#[test]
fn a_page_of_groups_costs_little_whatever_the_filter() {
    on_each_database(async |database| {
        let errors = errors();
        fill::groups(&database, errors).await;
        let mut watched = Watched::new(&database).await;
        let all = GroupFilter::default;
        let first = Timestamp::from_micros(fill::FIRST);
        let last = first.plus_seconds(fill::tied_groups_at(errors));
        let middle = first.plus_seconds(fill::tied_groups_at(errors) / 2);
        let filters = [
            all(),
            GroupFilter {
                since: Some(middle),
                ..all()
            },
            GroupFilter {
                status: Some(GroupStatus::Resolved),
                ..all()
            },
            GroupFilter {
                status: Some(GroupStatus::Ignored),
                ..all()
            },
            GroupFilter {
                status: Some(GroupStatus::Open),
                ..all()
            },
            GroupFilter {
                service_name: Some("nowhere".to_owned()),
                ..all()
            },
            GroupFilter {
                service_name: Some("rare".to_owned()),
                ..all()
            },
            GroupFilter {
                service_name: Some("shop-1".to_owned()),
                ..all()
            },
        ];
        let after = |at, id: &str| {
            let id = id.to_owned();
            PageRequest::after(LIMIT, Cursor { at, id })
        };
        for filter in &filters {
            for page in [
                PageRequest::first(LIMIT),
                after(last, "1:kind-7"),
                after(middle, "1:kind"),
            ] {
                let (_, examined) = watched
                    .ask(async |reader| reader.get_groups(filter, &page).await.unwrap())
                    .await;
                assert!(examined <= BOUND, "{filter:?}, {page:?}: {examined}");
            }
        }
    });
}

#[test]
fn a_page_of_runs_costs_little_whatever_the_filter_and_however_many_match() {
    on_each_database(async |database| {
        let runs = errors();
        fill::runs(&database, runs).await;
        let mut watched = Watched::new(&database).await;
        let mut cases = vec![("nothing".to_owned(), PipelineFilter::default(), runs)];
        let mut text = |name: &str, set: fn(&mut PipelineFilter, String)| {
            for (value, matches) in [("nowhere", 0), ("rare", RARE), ("common", runs / 10)] {
                let mut filter = PipelineFilter::default();
                set(&mut filter, value.to_owned());
                cases.push((format!("{name} {value}"), filter, matches));
            }
        };
        text("user_id", |filter, it| filter.user_id = Some(it));
        text("asset_id", |filter, it| filter.asset_id = Some(it));
        text("meshy_task_id", |filter, it| {
            filter.meshy_task_id = Some(it);
        });
        text("name", |filter, it| filter.name = Some(it));
        for (status, matches) in [
            (vec![PipelineStatus::Cancelled], 0),
            (vec![PipelineStatus::Initializing], RARE),
            (vec![PipelineStatus::Failed], runs / 10),
            (
                vec![PipelineStatus::Initializing, PipelineStatus::Processing],
                RARE,
            ),
            (
                vec![PipelineStatus::Initializing, PipelineStatus::Failed],
                RARE + runs / 10,
            ),
            (PipelineStatus::ALL.to_vec(), runs),
        ] {
            let filter = PipelineFilter {
                status: status.clone(),
                ..PipelineFilter::default()
            };
            cases.push((format!("{status:?}"), filter, matches));
        }
        for (name, filter, matches) in &cases {
            for (which, page) in pages(runs) {
                let (answer, examined) = watched
                    .ask(async |reader| reader.find_pipelines(filter, &page).await.unwrap())
                    .await;
                let found = i64::try_from(answer.items.len()).unwrap();
                if page.after.is_none() {
                    assert_eq!(found, (*matches).min(i64::from(LIMIT)), "{name}");
                }
                assert!(
                    examined <= BOUND,
                    "{name}, {which} page: {examined} for {found}"
                );
            }
        }
    });
}

#[test]
fn figures_of_metrics_need_no_rows_of_finished_runs() {
    on_each_database(async |database| {
        fill::runs(&database, errors()).await;
        let now = Timestamp::from_micros(fill::FIRST).plus_seconds(9 * 86_400);
        // The runs here are so short that PostgreSQL reads all of them as quickly as the index.
        let mut watched = Watched::with(&database, &[("enable_seqscan", "off")]).await;
        let (figures, rows) = watched
            .ask_for_rows(async |reader| reader.get_run_figures(now).await.unwrap())
            .await;
        assert_eq!(figures.by_status.values().sum::<i64>(), errors());
        // The unfinished ones: whether they are silent their rows say.
        assert!(rows.is_none_or(|rows| rows <= 1_000.0), "{rows:?}");
        timings::tell(&database, "figures of /metrics", async |store| {
            store.get_run_figures(now).await.unwrap();
        })
        .await;
    });
}

#[test]
fn a_page_of_hours_costs_little_whatever_the_filter() {
    on_each_database(async |database| {
        let errors = errors();
        fill::hours(&database, errors).await;
        let mut watched = Watched::new(&database).await;
        let all = AggregationFilter::default;
        let hours = errors / 5 / 5_000;
        let middle =
            Hour::containing(Timestamp::from_micros(fill::FIRST).plus_seconds(hours / 2 * 3_600));
        let text = |value: &str| Some(value.to_owned());
        let mut filters = vec![
            all(),
            AggregationFilter {
                from: Some(middle),
                ..all()
            },
            AggregationFilter {
                to: Some(middle),
                ..all()
            },
        ];
        for value in ["nowhere", "rare", "common"] {
            filters.extend([
                AggregationFilter {
                    service_name: text(value),
                    ..all()
                },
                AggregationFilter {
                    endpoint: text(value),
                    ..all()
                },
                AggregationFilter {
                    external_service: text(value),
                    ..all()
                },
            ]);
        }
        for severity in [Severity::Info, Severity::Debug, Severity::Error] {
            filters.push(AggregationFilter {
                severity: Some(severity),
                ..all()
            });
        }
        for category in [Category::FileSystem, Category::Network, Category::Unknown] {
            filters.push(AggregationFilter {
                category: Some(category),
                ..all()
            });
        }
        let after = Cursor {
            at: middle.start(),
            id: "80000000-0000-8000-8000-000000000000".to_owned(),
        };
        for filter in &filters {
            for page in [
                PageRequest::first(LIMIT),
                PageRequest::after(LIMIT, after.clone()),
            ] {
                let (_, examined) = watched
                    .ask(async |reader| reader.get_aggregations(filter, &page).await.unwrap())
                    .await;
                assert!(examined <= BOUND, "{filter:?}, {page:?}: {examined}");
            }
        }
    });
}

#[test]
fn a_page_of_the_audit_log_costs_little_whatever_the_filter_and_however_many_match() {
    on_each_database(async |database| {
        let entries = errors();
        fill::audit(&database, entries).await;
        let mut watched = Watched::new(&database).await;
        let of = |entity: Option<&str>, entity_id: Option<&str>| AuditFilter {
            entity: entity.map(str::to_owned),
            entity_id: entity_id.map(str::to_owned),
        };
        let tenth = entries / 10;
        let cases = [
            (of(None, None), entries),
            (of(Some("purge"), None), 0),
            (of(Some("user"), None), RARE),
            (of(Some("group"), None), tenth),
            (of(None, Some("nowhere")), 0),
            (of(None, Some("rare")), RARE),
            (of(None, Some("common")), tenth),
            (of(Some("error"), Some("nowhere")), 0),
            (of(Some("error"), Some("rare")), RARE),
            (of(Some("error"), Some("common")), tenth),
            (of(Some("purge"), Some("rare")), 0),
        ];
        let middle = Cursor {
            at: Timestamp::from_micros(fill::at(entries, entries / 2)),
            id: format!("{:08x}-0000-7000-8000-000000000000", entries / 2),
        };
        for (filter, matches) in &cases {
            for page in [
                PageRequest::first(LIMIT),
                PageRequest::after(LIMIT, middle.clone()),
            ] {
                let (answer, examined) = watched
                    .ask(async |reader| reader.get_audit(filter, &page).await.unwrap())
                    .await;
                if page.after.is_none() {
                    let found = i64::try_from(answer.items.len()).unwrap();
                    assert_eq!(found, (*matches).min(i64::from(LIMIT)), "{filter:?}");
                }
                assert!(examined <= BOUND, "{filter:?}, {page:?}: {examined}");
            }
        }
    });
}

/// Totals of requests have no index but that of their hour: a page looks at the hours that it is
/// asked for, which without `from` are the last 24, and at no others.
#[test]
fn a_page_of_requests_costs_the_hours_that_are_asked_for() {
    on_each_database(async |database| {
        let errors = errors();
        fill::requests(&database, errors).await;
        let mut watched = Watched::new(&database).await;
        let rows_an_hour = 2 * fill::REQUEST_SETS.cast_unsigned();
        let from = Timestamp::from_micros(fill::FIRST).plus_seconds(3_600);
        let all = RequestFilter {
            from: Some(Hour::containing(from)),
            to: Some(Hour::containing(from.plus_seconds(2 * 3_600))),
            ..RequestFilter::default()
        };
        let filters = [
            RequestFilter {
                service_name: Some("shop-1".to_owned()),
                ..all.clone()
            },
            RequestFilter {
                endpoint: Some("nowhere".to_owned()),
                ..all.clone()
            },
            all,
        ];
        let after = Cursor {
            at: from.plus_seconds(3_600),
            id: r#"["shop-1", "", "/orders-1", "GET"]"#.to_owned(),
        };
        for filter in &filters {
            for page in [
                PageRequest::first(LIMIT),
                PageRequest::after(LIMIT, after.clone()),
            ] {
                let (_, examined) = watched
                    .ask(async |reader| reader.get_requests(filter, &page).await.unwrap())
                    .await;
                // Rows by their entries in the index; SQLite's steps for grouping count, too.
                let bound = match database.kind {
                    Kind::Sqlite => 20 * 2 * rows_an_hour,
                    Kind::Postgres => 2 * 2 * rows_an_hour,
                };
                assert!(examined <= bound, "{filter:?}, {page:?}: {examined}");
            }
        }
        let day = RequestFilter {
            to: Some(Hour::containing(from.plus_seconds(24 * 3_600))),
            ..filters[2].clone()
        };
        timings::tell(&database, "a page of a day of requests", async |store| {
            store
                .get_requests(&day, &PageRequest::first(LIMIT))
                .await
                .unwrap();
        })
        .await;
    });
}
