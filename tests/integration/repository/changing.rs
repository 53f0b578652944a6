//! The commands that change a ledger, as people type them.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
};

use redspan::{domain::ErrorId, store::NewApiError};
use serde_json::Value;
use uuid::Uuid;

use super::{World, new_error};
use crate::{
    databases::{Database, Kind, on_each_database},
    program,
    pty::on_terminal,
    store::migrations::rows,
};

const ID: &str = "0a1b2c3d-0000-4000-8000-000000000001";

/// What a server asks for.
const TOKEN: &str = "sixteen-bytes-or-more";

/// Who did what to how many.
const AUDIT: &str = "SELECT actor || ' ' || action || ' ' || entity || ' ' \
    || CAST(COUNT(*) AS TEXT) FROM audit_log GROUP BY actor, action, entity";

/// What the program says, as ada, in the folder of the test.
fn redspan(database: &Database, line: &[&str]) -> (i32, String, String) {
    let output = Command::new(program::path())
        .args(line)
        .current_dir(database.folder())
        .env_clear()
        .env("USER", "ada")
        .env("REDSPAN_AUTH_API_TOKEN", TOKEN)
        .envs(database.environment())
        .output()
        .unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// What it prints when it has done what it was asked.
fn done(database: &Database, line: &[&str]) -> String {
    let (code, stdout, stderr) = redspan(database, line);
    assert_eq!((code, stderr.as_str()), (0, ""), "{line:?}");
    stdout
}

/// The sentence with which it refuses.
fn refused(database: &Database, line: &[&str]) -> String {
    let (code, stdout, stderr) = redspan(database, line);
    assert_eq!((code, stdout.as_str()), (64, ""), "{line:?}: {stderr}");
    stderr
}

fn shown(database: &Database) -> Value {
    let shown = done(database, &["errors", "show", ID, "--json"]);
    serde_json::from_str(&shown).unwrap()
}

/// So many errors of a kind, the first with an id that is known.
fn errors(number: u128) -> Vec<NewApiError> {
    let first: Uuid = ID.parse().unwrap();
    let ids = (0..number).map(|it| Uuid::from_u128(first.as_u128() + (it << 96)));
    ids.map(|id| NewApiError {
        id: Some(id),
        user_id: Some("ada".to_owned()),
        ..new_error()
    })
    .collect()
}

#[test]
fn errors_and_groups_are_resolved_reopened_and_ignored_in_the_name_of_who_typed_it() {
    on_each_database(async |database| {
        let world = World::new(database).await;
        let fingerprint = world.log(errors(2)).await[0].fingerprint.to_string();
        let database = world.end().await;
        let group = fingerprint.as_str();

        let resolve = ["errors", "resolve", "0a1b2c3d", "--by", "bob"];
        let line = [&resolve[..], &["--resolution", "restarted"]].concat();
        let said = format!("resolved error {ID}: no such order\n");
        assert_eq!(done(&database, &line), said);
        let error = shown(&database);
        assert_eq!(
            [&error["resolvedBy"], &error["resolution"]],
            ["bob", "restarted"]
        );
        let said = format!("reopened error {ID}: no such order\n");
        assert_eq!(done(&database, &["errors", "reopen", ID]), said);
        assert_eq!(shown(&database)["resolved"], false);

        let line = ["errors", "resolve", group, "--by", "bob", "--version", "2"];
        let said = format!("resolved group {group}: no such order\n");
        assert_eq!(done(&database, &line), said);
        let error = shown(&database);
        assert_eq!(error["resolved"], true);
        assert_eq!(error["group"]["resolvedVersion"], "2");
        done(&database, &["errors", "reopen", group]);
        assert_eq!(shown(&database)["resolved"], false);
        done(&database, &["errors", "ignore", group]);
        assert_eq!(shown(&database)["group"]["status"], "ignored");

        for (line, words) in [
            (
                &["errors", "resolve", "0a1b2c3f", "--by", "bob"][..],
                "there is no error and no group 0a1b2c3f",
            ),
            (
                &["errors", "resolve", "1:\u{1b}", "--by", "bob"],
                "there is no error and no group 1:\\u{1b}",
            ),
            (&["errors", "ignore", ID], "there is no group"),
            (&["errors", "resolve", ID, "--by", " "], "resolvedBy is"),
            (&["errors", "resolve", ID], "--by <NAME>"),
        ] {
            let said = refused(&database, line);
            assert!(said.contains(words), "{words}: {said}");
        }

        assert_eq!(
            rows(&database, AUDIT, AUDIT).await,
            [
                "cli:ada ignore group 1",
                "cli:ada reopen error 3",
                "cli:ada reopen group 1",
                "cli:ada resolve error 3",
                "cli:ada resolve group 1",
            ]
        );
        done(&database, &["aggregations", "verify"]);
    });
}

#[test]
fn beside_a_server_postgres_is_changed_and_a_file_is_not() {
    on_each_database(async |database| {
        let world = World::new(database).await;
        world.log(errors(1)).await;
        let line = ["errors", "resolve", ID, "--by", "bob"];
        let (code, _, stderr) = redspan(&world.database, &line);
        let id = ErrorId(ID.parse().unwrap());
        let error = world.errors.get_error_by_id(id).await.unwrap().unwrap();
        match world.database.kind {
            Kind::Sqlite => {
                assert_eq!((code, error.resolved), (73, false), "{stderr}");
                assert!(stderr.contains("--url http://127.0.0.1:9464"), "{stderr}");
            }
            Kind::Postgres => assert_eq!((code, error.resolved), (0, true), "{stderr}"),
        }
        world.end().await;
    });
}

#[test]
fn a_running_redspan_makes_the_same_changes_for_whoever_has_its_token() {
    on_each_database(async |database| {
        let world = World::new(database).await;
        let mut logged = errors(3);
        logged[2].created_at = Some(world.now.plus_seconds(-25 * 86_400));
        let fingerprint = world.log(logged).await[0].fingerprint.to_string();
        let database = world.end().await;
        let group = fingerprint.as_str();
        let token = [("REDSPAN_AUTH_API_TOKEN", TOKEN)];
        let environment = [&database.environment()[..], &token].concat();
        let program = program::Program::start(&database.url, &environment);
        let url = format!("--url=http://{}", program.http);
        let through = |line: &[&str]| done(&database, &[line, &[&url]].concat());
        let refused = |line: &[&str]| refused(&database, &[line, &[&url]].concat());

        let resolve = ["errors", "resolve", ID, "--by", "bob"];
        let said = format!("resolved error {ID}: no such order\n");
        assert_eq!(through(&resolve), said);
        assert_eq!(shown(&database)["resolvedBy"], "bob");
        let said = format!("reopened error {ID}: no such order\n");
        assert_eq!(through(&["errors", "reopen", ID]), said);
        let line = ["errors", "resolve", group, "--by", "bob", "--version", "2"];
        let said = format!("resolved group {group}: no such order\n");
        assert_eq!(through(&line), said);
        assert_eq!(shown(&database)["group"]["resolvedVersion"], "2");
        through(&["errors", "ignore", group]);
        assert_eq!(shown(&database)["group"]["status"], "ignored");

        for (line, words) in [
            (
                &["errors", "resolve", "0a1b2c3d", "--by", "bob"][..],
                "whole id with --url",
            ),
            (&["errors", "ignore", "1:none"], "there is no group 1:none"),
            (&["errors", "resolve", ID, "--by", " "], "resolvedBy is"),
            (&["errors", "purge", "--older-than", "20d"], "say --yes"),
            (&["users", "forget", "bob", "--yes"], "there is no user bob"),
        ] {
            let said = refused(line);
            assert!(said.contains(words), "{words}: {said}");
        }
        let purge = ["errors", "purge", "--older-than", "20d", "--yes"];
        assert_eq!(through(&purge), "Deleted 1 error. They stay counted.\n");
        assert_eq!(
            through(&["users", "forget", "ada", "--yes"]),
            "Forgot ada: 2 errors emptied, 0 pipelines deleted.\n"
        );
        let actors = "SELECT DISTINCT actor FROM audit_log";
        assert_eq!(rows(&database, actors, actors).await, ["cli:ada"]);

        let url = format!("--url=http://{}", program.otlp);
        let (code, _, stderr) = redspan(&database, &[&resolve[..], &[&url]].concat());
        assert_eq!(code, 69, "{stderr}");
        assert!(stderr.contains("is no API of redspan"), "{stderr}");
        // Where there is no such route, nothing can be missing.
        let url = format!("--url=http://{}/api/v1", program.http);
        for line in [
            &resolve[..],
            &purge,
            &["users", "forget", "ada", "--yes"],
            &["pipelines", "purge", "--older-than", "20d", "--yes"],
        ] {
            let (code, stdout, stderr) = redspan(&database, &[line, &[&url]].concat());
            assert_eq!((code, &*stdout), (69, ""), "{line:?} {stderr}");
            assert!(stderr.contains("is no API of redspan"), "{stderr}");
        }
        let nobody = "--url=http://127.0.0.1:1";
        let (code, _, stderr) = redspan(&database, &[&resolve[..], &[nobody]].concat());
        assert_eq!(code, 69, "{stderr}");
        assert!(stderr.contains("does not answer"), "{stderr}");
        drop(program);
        done(&database, &["aggregations", "verify"]);
    });
}

#[test]
fn a_purge_says_first_what_it_would_delete_and_everything_adds_up_after_it() {
    on_each_database(async |database| {
        let world = World::new(database).await;
        let mut old = errors(4);
        for error in &mut old[..3] {
            error.created_at = Some(world.now.plus_seconds(-25 * 86_400));
        }
        let old = world.log(old).await;
        for error in [&old[0], &old[1], &old[3]] {
            let resolved = world.errors.resolve_error(error.id, "bob", None).await;
            resolved.unwrap().unwrap();
        }
        let database = world.end().await;

        let purge = ["errors", "purge", "--older-than", "20d"];
        let said = refused(&database, &purge);
        assert!(
            said.starts_with("redspan: this deletes 2 errors for good, resolved, from before "),
            "{said}"
        );
        let yes = [&purge[..], &["--yes"]].concat();
        let deleted = done(&database, &yes);
        assert_eq!(deleted, "Deleted 2 errors. They stay counted.\n");
        let all = [&yes[..], &["--include-unresolved"]].concat();
        let deleted = done(&database, &all);
        assert_eq!(deleted, "Deleted 1 error. They stay counted.\n");
        assert_eq!(
            done(&database, &all),
            "Deleted 0 errors. They stay counted.\n"
        );
        let verified = done(&database, &["aggregations", "verify"]);
        assert!(
            verified.contains("2 hourly counts, 1 error, 1 group"),
            "{verified}"
        );
    });
}

#[test]
fn a_long_purge_tells_a_terminal_how_far_it_has_come() {
    on_each_database(async |database| {
        let world = World::new(database).await;
        let mut old = errors(1_100);
        for error in &mut old {
            error.created_at = Some(world.now.plus_seconds(-25 * 86_400));
        }
        world.log(old).await;
        let database = world.end().await;
        let line = "errors purge --older-than 20d --include-unresolved --yes";
        let mut terminal = on_terminal(&database, 80, line);
        let output = terminal.stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let steps = [
            "500 errors deleted so far",
            "1,000 errors deleted so far",
            "",
        ];
        let seen = steps.map(|step| format!("\r\u{1b}[2K{step}")).concat();
        let said = "Deleted 1,100 errors. They stay counted.\r\n";
        assert_eq!(String::from_utf8_lossy(&output.stdout), seen + said);
    });
}

#[test]
fn a_user_is_forgotten_when_it_is_meant() {
    on_each_database(async |database| {
        let world = World::new(database).await;
        world.log(errors(2)).await;
        let database = world.end().await;
        let said = refused(&database, &["users", "forget", "ada"]);
        assert!(said.ends_with("say --yes to do it\n"), "{said}");
        assert_eq!(shown(&database)["userId"], "ada");
        let forget = ["users", "forget", "ada", "--yes"];
        assert_eq!(
            done(&database, &forget),
            "Forgot ada: 2 errors emptied, 0 pipelines deleted.\n"
        );
        assert_eq!(shown(&database)["userId"], Value::Null);
        let said = refused(&database, &forget);
        assert_eq!(said, "redspan: there is no user ada\n");
        done(&database, &["aggregations", "verify"]);
    });
}

#[test]
fn a_ledger_is_copied_beside_its_server_and_the_copy_is_a_ledger() {
    on_each_database(async |database| {
        let world = World::new(database).await;
        world.log(errors(3)).await;
        let database = &world.database;
        let copy = database.folder().join("copy.db");
        if database.kind == Kind::Postgres {
            let said = refused(database, &["backup", "copy.db"]);
            assert!(
                said.contains("pg_dump --format=custom --schema=redspan"),
                "{said}"
            );
            assert!(!copy.exists());
            world.end().await;
            return;
        }
        let ledger = database.folder().join("redspan.db");
        fs::set_permissions(&ledger, fs::Permissions::from_mode(0o640)).unwrap();

        let said = done(database, &["backup", "copy.db"]);
        assert!(said.ends_with(" bytes, opened and checked\n"), "{said}");
        let mode = fs::metadata(&copy).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        let url = format!("--database-url=sqlite://{}", copy.display());
        let said = done(database, &["aggregations", "verify", &url]);
        assert!(said.contains("1 hourly count, 3 errors, 1 group"), "{said}");
        // The copy can be changed while the ledger is served, and the ledger does not follow.
        done(database, &["errors", "reopen", ID, &url]);

        fs::write(database.folder().join("other.db.partial"), "x").unwrap();
        for (to, words) in [
            (
                "copy.db",
                "copy.db is there already: a backup overwrites nothing",
            ),
            ("other.db", "other.db.partial is there: another backup"),
            ("nowhere/copy.db", "nowhere/copy.db cannot be written"),
        ] {
            let said = refused(database, &["backup", to]);
            assert!(said.contains(words), "{words}: {said}");
        }
        let mut left: Vec<_> = fs::read_dir(database.folder())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !name.starts_with("redspan.db") && !name.starts_with("copy.db"))
            .collect();
        left.sort();
        assert_eq!(left, ["other.db.partial"]);
        let nothing = format!(
            "--database-url=sqlite://{}/no.db",
            database.folder().display()
        );
        let said = refused(database, &["backup", "of-nothing.db", &nothing]);
        assert!(said.contains("there is no database at "), "{said}");
        world.end().await;
    });
}
