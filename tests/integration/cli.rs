//! The program as a person or a script meets it: sentences and exit codes.

use std::process::{Command, Output};

use serde_json::{Value, json};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::databases::{Database, Kind};

/// Runs the program in an empty folder with this environment and nothing else.
fn redspan(arguments: &[&str], environment: &[(&str, &str)]) -> (i32, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_redspan"))
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .current_dir(folder.path())
        .output()
        .unwrap();
    (
        status.code().unwrap(),
        String::from_utf8(stdout).unwrap(),
        String::from_utf8(stderr).unwrap(),
    )
}

#[test]
fn a_good_configuration_is_ok() {
    let (code, stdout, stderr) = redspan(&["config", "check"], &[]);
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (0, "ok\n", ""));
}

#[test]
fn the_configuration_is_shown_with_its_sources_and_without_its_secrets() {
    let environment = [
        (
            "REDSPAN_DATABASE_URL",
            "postgresql://red:hush@db/app?password=hush",
        ),
        ("REDSPAN_AUTH_API_TOKEN", "hush-hush-hush-hush"),
        // Of a terminal, which this is not.
        ("COLUMNS", "20"),
        ("REDSPAN_WRITER_NAME", "\u{1b}[2Jpod"),
    ];
    let flag = "--otlp-http-listen=127.0.0.1:7";
    let (code, text, stderr) = redspan(&["config", "show", flag], &environment);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let rows: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    for row in [
        ["SETTING", "VALUE", "SOURCE"],
        [
            "database.url",
            "postgresql://red@db/app",
            "REDSPAN_DATABASE_URL",
        ],
        ["otlp.http.listen", "127.0.0.1:7", "--otlp-http-listen"],
        ["auth.api_token", "***", "REDSPAN_AUTH_API_TOKEN"],
        ["auth.ingest_token", "(none)", "default"],
        ["writer.name", "\\u{1b}[2Jpod", "REDSPAN_WRITER_NAME"],
        ["http.listen", "127.0.0.1:9464", "default"],
    ] {
        assert!(rows.iter().any(|it| *it == row), "{row:?}\n{text}");
    }
    let (_, json, _) = redspan(&["config", "show", "--json", flag], &environment);
    let json: Vec<Value> = serde_json::from_str(&json).unwrap();
    assert_eq!(json.len(), rows.len() - 1);
    assert_eq!(
        json[0],
        json!({
            "setting": "database.url",
            "value": "postgresql://red@db/app",
            "source": "environment",
            "place": "REDSPAN_DATABASE_URL"
        })
    );
    assert!(!text.contains("hush") && !format!("{json:?}").contains("hush"));
    assert_eq!(
        redspan(&["config", "show", "--http-listen", "x"], &[]).0,
        64
    );
}

#[test]
fn a_shell_learns_to_complete_whatever_the_configuration_says() {
    let broken = [("REDSPAN_HTTP_LISTEN", "nowhere")];
    let (code, script, stderr) = redspan(&["completions", "bash"], &broken);
    assert_eq!((code, stderr.as_str()), (0, ""));
    // Bash itself says what it would offer.
    let ask = "COMP_WORDS=(redspan errors li); COMP_CWORD=2; _redspan redspan li errors\n\
               echo \"${COMPREPLY[@]}\"\n";
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, [&script, ask].concat()).unwrap();
    let asked = Command::new("bash").arg(file.path()).output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&asked.stdout),
        "list\n",
        "{asked:?}"
    );
    assert_eq!(redspan(&["completions", "tcsh"], &[]).0, 64);
}

#[test]
fn every_mistake_is_a_sentence_and_the_exit_code_is_64() {
    let environment = [
        ("REDSPAN_LIMITS_BODY_BYTES", "9MB"),
        ("REDSPAN_HTTP_LISTN", "127.0.0.1:1"),
    ];
    for command in [&["config", "check"][..], &["serve"], &[]] {
        let (code, stdout, stderr) = redspan(command, &environment);
        assert_eq!((code, stdout.as_str()), (64, ""));
        assert_eq!(
            stderr,
            "redspan: The environment has an unknown variable REDSPAN_HTTP_LISTN; the nearest known \
             one is REDSPAN_HTTP_LISTEN.\n\
             redspan: REDSPAN_LIMITS_BODY_BYTES is \"9MB\" but must be a size above 0, like 4096, \
             64KiB or 8MiB.\n"
        );
    }
}

#[test]
fn a_database_that_is_not_there_is_named_without_its_password() {
    let url = [("REDSPAN_DATABASE_URL", "postgresql://u:hush@127.0.0.1:1/x")];
    let (code, _, stderr) = redspan(&["errors", "list"], &url);
    assert_eq!(code, 69, "{stderr}");
    assert!(stderr.contains(": 127.0.0.1, port 1: "), "{stderr}");
    assert!(!stderr.contains("hush"), "{stderr}");

    let (code, _, stderr) = redspan(&["errors", "list"], &[]);
    assert_eq!(code, 64, "{stderr}");
    let words = "redspan: there is no database at /";
    assert!(stderr.starts_with(words), "{stderr}");
    assert!(stderr.contains("/redspan.db: `redspan` "), "{stderr}");
}

#[test]
fn a_server_without_the_database_says_what_to_do() {
    let database = Database::new(Kind::Postgres);
    let elsewhere = database.url.replace("/test_", "/nowhere_");
    let (code, _, stderr) = redspan(&["errors", "list"], &[("REDSPAN_DATABASE_URL", &elsewhere)]);
    assert_eq!(code, 64, "{stderr}");
    for words in [
        "redspan: the database refuses what redspan needs (connect): database \"nowhere_",
        "\" does not exist: create it, or name another in the URL\n",
    ] {
        assert!(stderr.contains(words), "{stderr}");
    }
}

#[test]
fn wrong_usage_is_64_and_help_is_0() {
    assert_eq!(redspan(&["frobnicate"], &[]).0, 64);
    assert_eq!(redspan(&["--http-listen"], &[]).0, 64);
    let (code, help, _) = redspan(&["--help"], &[]);
    assert_eq!(code, 0);
    for words in [
        "--database-url",
        "REDSPAN_OTLP_HTTP_LISTEN",
        "[default: 6h]",
    ] {
        assert!(help.contains(words), "{words}");
    }
    assert!(!help.contains("--auth-api-token "));
    let (code, version, _) = redspan(&["--version"], &[]);
    assert_eq!(code, 0);
    assert!(version.starts_with(concat!("redspan ", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn migrating_up_and_down_says_what_was_done_and_nothing_else() {
    let database = Database::new(Kind::Postgres);
    for (command, said) in [
        ("up", "applied 0001\n"),
        ("up", "the schema is up to date\n"),
        ("down", "took back "),
        ("up", "applied "),
    ] {
        let (code, stdout, stderr) = redspan(&["migrate", command], &database.environment());
        assert_eq!((code, stderr.as_str()), (0, ""), "{command}");
        assert!(stdout.starts_with(said), "{command}: {stdout}");
    }
}

/// Runs a statement as the owner of a PostgreSQL database.
fn as_owner(database: &Database, sql: String) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(async {
            let mut connection = PgConnection::connect(&database.url).await.unwrap();
            connection.execute(AssertSqlSafe(sql)).await.unwrap();
            connection.close().await.unwrap();
        });
}

#[test]
fn a_role_without_privileges_is_told_what_to_run_and_that_is_enough() {
    let database = Database::new(Kind::Postgres);
    let name = database.url.split('?').next().unwrap();
    let name = name.rsplit_once('/').unwrap().1;
    let role = format!("newcomer_of_{name}");
    let as_role = database.url.replace("redspan@", &format!("{role}@"));
    let environment = [
        ("REDSPAN_DATABASE_URL", as_role.as_str()),
        ("REDSPAN_OTLP_HTTP_LISTEN", "127.0.0.1:0"),
        ("REDSPAN_OTLP_GRPC_LISTEN", "127.0.0.1:0"),
        ("REDSPAN_HTTP_LISTEN", "127.0.0.1:0"),
    ];
    as_owner(&database, format!("CREATE ROLE {role} LOGIN"));
    for (schema, missing, grant) in [
        ("redspan", "make the schema redspan", "CREATE ON DATABASE"),
        ("theirs", "tables in the schema theirs", "CREATE ON SCHEMA"),
    ] {
        let environment = [&environment[..], &[("REDSPAN_DATABASE_SCHEMA", schema)]].concat();
        if schema == "theirs" {
            as_owner(&database, "CREATE SCHEMA theirs".to_owned());
        }
        let mut sentence = String::new();
        for command in [&["migrate", "up"][..], &["serve"]] {
            let (code, _, stderr) = redspan(command, &environment);
            assert_eq!(code, 64, "{stderr}");
            for words in [missing, grant, &role, name] {
                assert!(stderr.contains(words), "{words}: {stderr}");
            }
            sentence = stderr;
        }
        as_owner(&database, sentence.split('`').nth(1).unwrap().to_owned());
        let (code, _, stderr) = redspan(&["migrate", "up"], &environment);
        assert_eq!((code, stderr.as_str()), (0, ""));
    }
}
