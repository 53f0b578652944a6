//! How the program stops, and why it does not start: exit codes and sentences.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    checker::Checker,
    databases::{Database, Kind, each_kind},
    load::{self, Truth},
    program::{self, Program},
};

#[test]
fn a_stop_under_load_ends_in_time_whatever_clients_do_and_keeps_what_was_acknowledged() {
    each_kind(|kind| {
        let database = Database::new(kind);
        let mut program = Program::start(&database.url, &database.environment());
        let open = |start: &[u8]| {
            let mut stream = TcpStream::connect(program.otlp).unwrap();
            stream.write_all(start).unwrap();
            stream
        };
        let mut stalled: Vec<TcpStream> = (0..5).map(|_| open(b"")).collect();
        stalled.extend((0..5).map(|_| open(b"POST /v1/traces HTTP/1.1\r\nHost: a")));
        stalled.extend((0..5).map(|_| {
            open(b"POST /v1/traces HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-protobuf\r\nContent-Length: 1000\r\n\r\nabc")
        }));

        let address = program.otlp;
        let truth = Mutex::new(Truth::default());
        let stopping = AtomicBool::new(false);
        let begun = thread::scope(|scope| {
            for client in 0..4 {
                let (truth, stopping) = (&truth, &stopping);
                scope.spawn(move || {
                    let agent = program::agent();
                    for number in 0.. {
                        let sent = load::whole_traces("shop", (client * 1_000_000 + number) * 8, 8);
                        let answer = agent
                            .post(format!("http://{address}/v1/traces"))
                            .content_type("application/x-protobuf")
                            .send(&sent.body[..]);
                        match answer {
                            Ok(answer) if answer.status() == 200 => {
                                truth.lock().unwrap().add(&sent.truth);
                            }
                            // Not told that it is stored: nobody counts on it. It ends as soon as
                            // the program stops.
                            Ok(answer) => assert_eq!(answer.status(), 503),
                            Err(error) => assert!(stopping.load(Ordering::Relaxed), "{error}"),
                        }
                        if stopping.load(Ordering::Relaxed) {
                            break;
                        }
                    }
                });
            }
            let begun = Instant::now();
            while truth.lock().unwrap().requests < 400 {
                assert!(
                    begun.elapsed() < Duration::from_mins(1),
                    "the clients got stuck"
                );
                thread::yield_now();
            }
            stopping.store(true, Ordering::Relaxed);
            let begun = Instant::now();
            let status = program.terminate();
            assert!(status.success(), "{status}: {}", program.log());
            begun
        });
        assert!(
            begun.elapsed() <= Duration::from_secs(10),
            "{:?}",
            begun.elapsed()
        );
        for mut stream in stalled {
            // Whatever it is told, it is not kept waiting.
            drop(stream.read_to_end(&mut Vec::new()));
        }
        let truth = truth.into_inner().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut checker = Checker::open(&database.url, &database.schema).await;
            let mut stored = checker.texts("SELECT error_message FROM api_errors").await;
            stored.sort_unstable();
            for row in &truth.rows {
                let message = row.split('|').next().unwrap().to_owned();
                let is_stored = stored.binary_search(&message).is_ok();
                assert!(is_stored, "acknowledged and lost: {row}");
            }
            let requests = "SELECT CAST(SUM(requests) AS BIGINT) FROM request_totals";
            assert!(checker.number(requests).await >= truth.requests);
        });
    });
}

/// Runs `serve` until it ends by itself; gives its exit code and what it said.
fn refused(url: &str, environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = Command::new("timeout")
        .arg("30")
        .arg(program::path())
        .arg("serve")
        .env("REDSPAN_DATABASE_URL", url)
        .env("REDSPAN_OTLP_HTTP_LISTEN", "127.0.0.1:0")
        .env("REDSPAN_OTLP_GRPC_LISTEN", "127.0.0.1:0")
        .env("REDSPAN_HTTP_LISTEN", "127.0.0.1:0")
        .env("REDSPAN_LOG_FORMAT", "text")
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// That it says so in plain sentences, and not in Rust's words.
fn assert_refused(url: &str, environment: &[(&str, &str)], code: i32, words: &[&str]) {
    let (ended, said) = refused(url, environment);
    assert_eq!(ended, Some(code), "{url}: {said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is missing: {said}");
    }
    for word in ["panicked", "unwrap", "Error {", "Some(", "RUST_BACKTRACE"] {
        assert!(!said.contains(word), "{said}");
    }
    println!("{code}: {said}");
}

#[test]
fn a_file_that_another_process_serves_is_left_alone() {
    let database = Database::new(Kind::Sqlite);
    let mut program = Program::start(&database.url, &database.environment());
    assert_refused(&database.url, &[], 73, &["redspan.db"]);
    // The first one goes on.
    assert_eq!(
        program
            .send(&load::whole_traces("shop", 0, 8).body)
            .unwrap(),
        200
    );
    assert!(program.terminate().success());
}

#[test]
fn what_is_no_database_of_ours_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let url = |name: &str| format!("sqlite://{}", path(name).display());

    assert_refused(&url("missing/redspan.db"), &[], 64, &["missing"]);
    assert!(!path("missing").exists());

    std::fs::create_dir(path("folder")).unwrap();
    assert_refused(&url("folder"), &[], 64, &["folder"]);

    let text = "These are not the bytes of a database. ".repeat(200);
    std::fs::write(path("letter.txt"), &text).unwrap();
    assert_refused(&url("letter.txt"), &[], 65, &["letter.txt"]);
    assert_eq!(std::fs::read_to_string(path("letter.txt")).unwrap(), text);

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        use sqlx::{ConnectOptions, Connection};
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path("other.db"));
        let mut other = options.create_if_missing(true).connect().await.unwrap();
        sqlx::query("CREATE TABLE songs (title TEXT)")
            .execute(&mut other)
            .await
            .unwrap();
        other.close().await.unwrap();
    });
    let before = std::fs::read(path("other.db")).unwrap();
    assert_refused(&url("other.db"), &[], 65, &["other.db"]);
    assert_eq!(std::fs::read(path("other.db")).unwrap(), before);
}

#[test]
fn a_database_server_that_is_not_there_is_a_sentence_and_69() {
    assert_refused("postgresql://redspan@127.0.0.1:1/redspan", &[], 69, &[]);
}

#[test]
fn mistakes_in_the_configuration_are_64_before_anything_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("redspan.db");
    let url = format!("sqlite://{}", file.display());
    let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let busy = busy.local_addr().unwrap().to_string();
    assert_refused(
        "mysql://localhost/redspan",
        &[],
        64,
        &["REDSPAN_DATABASE_URL"],
    );
    for (name, value) in [
        ("REDSPAN_LIMITS_BODY_BYTES", "many"),
        ("REDSPAN_OTLP_HTTP_LISTEN", "localhost"),
        ("REDSPAN_OTLP_HTTP_LISTN", "127.0.0.1:4318"),
        // Open to everybody, and nobody said that this is wanted.
        ("REDSPAN_OTLP_HTTP_LISTEN", "0.0.0.0:0"),
        ("REDSPAN_AUTH_INGEST_TOKEN", "short"),
    ] {
        assert_refused(&url, &[(name, value)], 64, &[]);
    }
    assert_refused(&url, &[("REDSPAN_HTTP_LISTEN", &busy)], 64, &[&busy]);
    assert!(!file.exists());
}
