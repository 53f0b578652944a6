//! `redspan errors` and `redspan aggregations`, as they print.

use clap::Parser;
use redspan::{
    cli::{aggregations, errors},
    domain::{Category, Severity},
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
    Errors(errors::Command),
    #[command(subcommand)]
    Aggregations(aggregations::Command),
}

/// What `redspan errors …` prints, read beside the running writer.
async fn print(world: &World, line: &[&str]) -> Result<String, Failure> {
    let command = Command::try_parse_from([&["redspan"], line].concat()).unwrap();
    let reader = connect_reader(&world.database.settings()).await.unwrap();
    let printed = match command {
        Command::Errors(command) => errors::answer(command, &*reader, world.now).await,
        Command::Aggregations(aggregations::Command::List(list)) => {
            list.answer(&*reader, world.now).await
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

        let list = print(
            &world,
            &["errors", "list", "--service", "shop", "--since", "2h"],
        );
        let list = list.await.unwrap();
        assert_eq!(list.lines().count(), 2, "{list}");
        assert!(list.starts_with("TIME "), "{list}");
        assert!(
            list.contains(&id) && list.ends_with("  out of memory\n"),
            "{list}"
        );
        let more = print(&world, &["errors", "list", "--limit", "1"])
            .await
            .unwrap();
        let cursor = more.split("--after ").nth(1).unwrap().trim();
        let rest = print(&world, &["errors", "list", "--after", cursor])
            .await
            .unwrap();
        assert_eq!(rest.lines().count(), 2, "{rest}");
        let none = print(&world, &["errors", "list", "--severity", "debug,info"]).await;
        assert_eq!(none.unwrap(), "No error matches.\n");
        let parsed = print(&world, &["errors", "list", "--json"]).await.unwrap();
        let parsed: Value = serde_json::from_str(&parsed).unwrap();
        assert_eq!(parsed["items"].as_array().unwrap().len(), 2);
        assert_eq!(parsed["nextCursor"], Value::Null);

        let show = print(&world, &["errors", "show", &id]).await.unwrap();
        for line in [
            "message           out of memory",
            "                  at last",
            "user              ada",
            "endpoint          GET /orders/{id}",
            "tags              eu",
            "\\u{1b}[31mred",
        ] {
            assert!(show.lines().any(|it| it == line), "{line}\n{show}");
        }
        let parsed = print(&world, &["errors", "show", &id, "--json"])
            .await
            .unwrap();
        let parsed: Value = serde_json::from_str(&parsed).unwrap();
        assert_eq!(parsed, serde_json::to_value(&rows[0]).unwrap());
        let unknown = print(&world, &["errors", "show", &Uuid::new_v4().to_string()]).await;
        assert!(matches!(unknown, Err(Failure::Usage(_))));

        let stats = print(&world, &["errors", "stats"]).await.unwrap();
        assert_eq!(
            stats,
            "2 errors (2 unresolved, 0 resolved), 1 user\n\
             \n\
             SEVERITY  ERRORS\n\
             critical  1\n\
             error     1\n\
             \n\
             CATEGORY  ERRORS\n\
             database  1\n\
             unknown   1\n\
             \n\
             ENDPOINT      ERRORS\n\
             /orders/{id}  2\n"
        );
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
                "unresolved": 1
            })
        );
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
            aggregations::run(command, &settings).await
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
