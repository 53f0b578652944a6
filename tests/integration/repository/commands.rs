//! `redspan errors` and `redspan aggregations`, as they print.

use clap::Parser;
use redspan::{
    cli::{
        aggregations, errors,
        screen::{ColorChoice, Screen},
    },
    domain::{Category, Hour, Severity},
    failure::Failure,
    store::{ErrorFilter, ErrorStats, NewApiError, StoreError, connect_reader, migrate},
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{World, new_error};
use crate::databases::{Kind, on_each_database};

#[derive(Parser)]
enum Command {
    #[command(subcommand)]
    Errors(errors::Look),
    #[command(subcommand)]
    Aggregations(aggregations::Command),
}

/// What `redspan errors …` prints, read beside the running writer.
async fn print(world: &World, line: &[&str]) -> Result<String, Failure> {
    let command = Command::try_parse_from([&["redspan"], line].concat()).unwrap();
    let reader = connect_reader(&world.database.settings()).await.unwrap();
    let view = errors::View {
        now: world.now,
        screen: Screen {
            width: None,
            colour: false,
        },
        otlp: "0.0.0.0:4318".parse().unwrap(),
        trace_link: None,
    };
    let printed = match command {
        Command::Errors(command) => errors::answer(&command, &*reader, &view).await,
        Command::Aggregations(aggregations::Command::List(list)) => {
            list.answer(&*reader, world.now, view.screen).await
        }
        Command::Aggregations(aggregations::Command::Verify(verify)) => {
            let found = verify.find(&*reader, world.now).await.unwrap();
            verify.text(&found)
        }
        Command::Aggregations(other) => panic!("{other:?}"),
    };
    reader.close().await;
    printed
}

fn errors_of_a_shop() -> Vec<NewApiError> {
    vec![
        NewApiError {
            id: Some(Uuid::from_u128(1 << 76 | 1)),
            user_id: Some("ada".to_owned()),
            service_name: Some("shop".to_owned()),
            severity: Some(Severity::Critical),
            category: Some(Category::Database),
            status_code: Some(500),
            error_message: "out of memory\nat last".to_owned(),
            error_stack: Some("File \"a.py\", line 1\n\u{1b}[31mred".to_owned()),
            tags: vec!["eu".to_owned()],
            context: [("k".to_owned(), json!([1]))].into_iter().collect(),
            ..new_error()
        },
        NewApiError {
            service_name: Some("billing".to_owned()),
            ..new_error()
        },
    ]
}

#[test]
fn lists_shows_and_counts_for_people_and_for_programs() {
    on_each_database(async |database| {
        let world = World::new(database).await;
        let rows = world.log(errors_of_a_shop()).await;
        let id = rows[0].id.to_string();

        let rows_of_shop = [
            "errors",
            "list",
            "--rows",
            "--service",
            "shop",
            "--since",
            "2h",
        ];
        let list = print(&world, &rows_of_shop).await.unwrap();
        assert_eq!(list.lines().count(), 2, "{list}");
        assert!(list.starts_with("TIME "), "{list}");
        assert!(
            list.contains(&id) && list.ends_with("  out of memory\n"),
            "{list}"
        );
        for form in [&["errors", "list", "--rows"][..], &["errors", "list"]] {
            let line = |more: &[&'static str]| [form, more].concat();
            let more = print(&world, &line(&["--limit", "1"])).await.unwrap();
            let cursor = more.split("--after ").nth(1).unwrap().trim();
            let mut rest = line(&["--after"]);
            rest.push(cursor);
            let rest = print(&world, &rest).await.unwrap();
            assert_eq!(rest.lines().count(), 2, "{rest}");
            let parsed = print(&world, &line(&["--json"])).await.unwrap();
            let parsed: Value = serde_json::from_str(&parsed).unwrap();
            assert_eq!(parsed["items"].as_array().unwrap().len(), 2);
            assert_eq!(parsed["nextCursor"], Value::Null);
        }
        let group = print(&world, &["errors", "list", "--user-id", "ada", "--json"]).await;
        let group: Value = serde_json::from_str(&group.unwrap()).unwrap();
        assert_eq!(
            group["items"],
            json!([{
                "fingerprint": rows[0].fingerprint,
                "errors": 1,
                "firstSeenAt": rows[0].created_at,
                "lastSeenAt": rows[0].created_at,
                "latest": {
                    "id": id,
                    "serviceName": "shop",
                    "environment": "",
                    "endpoint": "/orders/{id}",
                    "method": "GET",
                    "severity": "critical",
                    "category": "database",
                    "errorCode": null,
                    "errorMessage": "out of memory\nat last"
                }
            }])
        );

        let parsed = print(&world, &["errors", "show", &id, "--json"])
            .await
            .unwrap();
        let parsed: Value = serde_json::from_str(&parsed).unwrap();
        assert_eq!(parsed["group"]["totalErrors"], 1);
        assert_eq!(parsed["sameTrace"], json!([]));
        for (key, value) in serde_json::to_value(&rows[0]).unwrap().as_object().unwrap() {
            assert_eq!(&parsed[key], value, "{key}");
        }

        let parsed = print(&world, &["errors", "stats", "--json", "--user-id", "ada"]).await;
        let parsed: Value = serde_json::from_str(&parsed.unwrap()).unwrap();
        assert_eq!(
            parsed,
            json!({
                "total": 1,
                "bySeverity": {"critical": 1},
                "byCategory": {"database": 1},
                "topEndpoints": [{"endpoint": "/orders/{id}", "errors": 1}],
                "uniqueUsers": 1,
                "resolved": 0,
                "unresolved": 1,
                "byHour": [{"hour": rows[0].hour(), "errors": 1}]
            })
        );
        world.end().await;
    });
}

#[test]
fn the_beginning_of_an_id_is_enough_when_it_is_the_only_one() {
    on_each_database(async |database| {
        let world = World::new(database).await;
        let ids = [
            "0a1b2c3d-0000-4000-8000-000000000001",
            "0a1b2c3d-ffff-4000-8000-000000000002",
            "ffffffff-ffff-4fff-bfff-ffffffffffff",
        ];
        let errors = ids.map(|id| NewApiError {
            id: Some(id.parse().unwrap()),
            ..new_error()
        });
        world.log(errors.to_vec()).await;
        world
            .by_hand(&format!(
                "INSERT INTO error_redirects (id, error_id) \
                 VALUES ('77777777-0000-8000-8000-000000000000', '{}')",
                ids[1]
            ))
            .await;
        let show = async |id: &str| print(&world, &["errors", "show", id]).await;
        for (given, found) in [
            (ids[0], ids[0]),
            ("0a1b2c3d-0", ids[0]),
            ("0A1B2C3DF", ids[1]),
            ("ffffffff", ids[2]),
            ("77777777", ids[1]),
        ] {
            let shown = show(given).await.unwrap();
            let line = format!("id                {found}");
            assert!(shown.lines().any(|it| it == line), "{given}\n{shown}");
        }
        let merged = show("77777777").await.unwrap();
        assert!(merged.contains(
            "asked for         77777777-0000-8000-8000-000000000000, which is part of this one\n"
        ));
        let several = show("0a1b2c3d").await.unwrap_err();
        assert_eq!(
            several.to_string(),
            format!(
                "0a1b2c3d is the beginning of several errors, give more of it: {}, {}",
                ids[0], ids[1]
            )
        );
        let unknown = show("0a1b2c3e").await.unwrap_err();
        assert_eq!(unknown.to_string(), "there is no error 0a1b2c3e");
        assert_eq!([several.exit_code(), unknown.exit_code()], [64, 64]);
        world.end().await;
    });
}

#[test]
fn where_there_is_nothing_it_says_whether_anything_arrives() {
    on_each_database(async |database| {
        let world = World::new(database).await;
        let list = async |more: &[&str]| {
            let line = [&["errors", "list"], more].concat();
            print(&world, &line).await.unwrap()
        };
        assert_eq!(
            list(&[]).await,
            "No errors, and no requests: is anything sending?\n\
             An application sends when its environment has\n  \
               OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318\n  \
               OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf\n\
             and `redspan serve` runs.\n"
        );
        world.requests(&[("/", false, 1)]).await;
        let hour = Hour::containing(world.now).start().to_datetime();
        assert_eq!(
            list(&["--from", "2026-05-04", "--to", "2026-05-05"]).await,
            format!(
                "No errors since 2026-05-04 00:00:00 UTC before 2026-05-05 00:00:00 UTC, nor any \
                 before. Requests do arrive, the latest in the hour from {} UTC.\n",
                hour.format("%Y-%m-%d %H:%M:%S")
            )
        );
        world.log(errors_of_a_shop()).await;
        let at = world.now.to_datetime().format("%Y-%m-%d %H:%M:%S");
        for form in [
            &["--severity", "debug,info", "--user", "\u{1b}[2J"][..],
            &["--rows", "--severity", "debug,info", "--user", "\u{1b}[2J"],
        ] {
            assert_eq!(
                list(form).await,
                format!(
                    "No errors with user \\u{{1b}}[2J, severity debug or info. The latest of all \
                     happened at {at} UTC, now.\n"
                )
            );
        }
        assert_eq!(list(&["--offset", "5"]).await, "No more errors.\n");
        world.end().await;
    });
}

#[test]
fn what_no_index_finds_needs_a_time_everywhere() {
    on_each_database(async |database| {
        let world = World::new(database).await;
        for flag in ["--environment", "--method", "--tag", "--text"] {
            for command in ["list", "stats"] {
                let line = ["errors", command, flag, "GET", "--resolved", "false"];
                let refused = print(&world, &line).await.unwrap_err();
                assert_eq!(refused.exit_code(), 64);
                let advice = format!("{flag} needs --since or --from");
                assert!(refused.to_string().starts_with(&advice), "{refused}");
                for narrow in [["--since", "1h"], ["--user", "somebody"]] {
                    let answered = print(&world, &[&line[..], &narrow].concat()).await;
                    answered.unwrap();
                }
            }
        }
        world.end().await;
    });
}

#[test]
fn a_period_that_ends_before_it_begins_is_a_mistake_everywhere() {
    on_each_database(async |database| {
        let world = World::new(database).await;
        for command in [
            &["errors", "list"][..],
            &["errors", "list", "--rows"],
            &["errors", "stats"],
            &["aggregations", "list"],
        ] {
            for from in ["2026-05-04", "2026-05-05"] {
                let line = [command, &["--from", from, "--to", "2026-05-04"]].concat();
                let refused = print(&world, &line).await.unwrap_err();
                assert_eq!(refused.exit_code(), 64, "{line:?}");
            }
        }
        world.end().await;
    });
}

#[test]
fn a_database_that_was_only_migrated_is_read_as_empty() {
    on_each_database(async |database| {
        let settings = database.settings();
        migrate::up(&settings).await.unwrap();
        let reader = connect_reader(&settings).await.unwrap();
        let all = ErrorFilter::default();
        let stats = reader.get_error_stats(&all).await.unwrap();
        assert_eq!(stats, ErrorStats::default());
        let now = redspan::clock::now();
        let found = reader.verify_aggregations(None, None, now).await.unwrap();
        assert!(found.is_clean());
        reader.close().await;
    });
}

#[test]
fn hours_are_listed_proved_and_rebuilt() {
    on_each_database(async |database| {
        let world = World::new(database).await;
        world.log(errors_of_a_shop()).await;
        let list = print(&world, &["aggregations", "list", "--service", "shop"])
            .await
            .unwrap();
        assert_eq!(list.lines().count(), 2, "{list}");
        assert_eq!(
            print(&world, &["aggregations", "verify"]).await.unwrap(),
            "Everything adds up: 2 hourly counts, 2 errors, 2 groups, the counters of 1 writer.\n"
        );
        world
            .by_hand("UPDATE error_aggregations SET total_errors = 5 WHERE service_name = 'shop'")
            .await;
        let broken = print(&world, &["aggregations", "verify"]).await.unwrap();
        assert!(
            broken.contains(
                ": total_errors is 5, but its rows and unlinked_errors make 1 (for example error "
            ),
            "{broken}"
        );
        let parsed = print(&world, &["aggregations", "verify", "--json"])
            .await
            .unwrap();
        let parsed: Value = serde_json::from_str(&parsed).unwrap();
        assert_eq!(parsed["mismatches"][0]["check"], "hour_total");

        let settings = world.database.settings();
        let run = async |line: &[&str]| {
            let line = [&["redspan", "aggregations"], line].concat();
            let Command::Aggregations(command) = Command::try_parse_from(line).unwrap() else {
                unreachable!()
            };
            aggregations::run(command, &settings, ColorChoice::Auto, "cli:ada").await
        };
        let verified = run(&["verify"]).await.unwrap_err();
        assert_eq!(verified.exit_code(), 65);
        if world.database.kind == Kind::Sqlite {
            let in_use = run(&["rebuild"]).await;
            assert!(
                matches!(in_use, Err(Failure::Store(StoreError::InUse(_)))),
                "{in_use:?}"
            );
        }
        let _database = world.end().await;
        run(&["rebuild"]).await.unwrap();
        run(&["verify"]).await.unwrap();
    });
}
