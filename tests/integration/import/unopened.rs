//! A source that cannot be opened is told by its cause, with what to do, and without its password.

use std::{
    io::{Read, Write},
    net::TcpListener,
    thread,
};

use sqlx::{Connection, Executor, PgConnection};

use super::{block_on, imported, layer::Layer, redspan, target};
use crate::databases::{Kind, Server};

/// The exit code of an import from there, and what it says.
fn refusal(from: &str) -> (Option<i32>, String) {
    let environment = [("REDSPAN_DATABASE_CONNECT_TIMEOUT", "500ms")];
    let arguments = ["import", "--from", from];
    let output = redspan(&target(Kind::Sqlite), &arguments, &environment);
    assert!(output.stdout.is_empty(), "{output:?}");
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// That each URL is refused with its code and in these words, in one line.
fn assert_refused<'a>(cases: impl IntoIterator<Item = (&'a str, i32, &'a str, &'a str)>) {
    for (from, code, cause, advice) in cases {
        let (exited, said) = refusal(from);
        assert_eq!(exited, Some(code), "{from}: {said}");
        assert!(said.starts_with("redspan: --from "), "{from}: {said}");
        assert_eq!(said.lines().count(), 1, "{from}: {said}");
        for words in [cause, advice] {
            assert!(said.contains(words), "{from}: {words}: {said}");
        }
        assert!(!said.contains("hush"), "{from}: {said}");
    }
}

#[test]
fn a_url_that_is_none_of_postgresql_is_refused() {
    let expected =
        "must be the URL of a PostgreSQL database: postgresql://USER:PASSWORD@HOST/DATABASE";
    assert_refused([
        ("mysql://u:hush@h/x", 64, expected, ""),
        ("sqlite://hush.db", 64, expected, ""),
        ("hush", 64, expected, ""),
        ("postgres://u:hush@h:x/x", 64, "must be a URL in which", ""),
        (
            "postgres://u:hush@h/x?sslmode=most",
            64,
            "cannot be read",
            "most",
        ),
    ]);
}

#[test]
fn a_server_that_is_out_of_reach_is_named() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_port = silent.local_addr().unwrap().port();
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let plain_port = plain.local_addr().unwrap().port();
    // What a server without TLS answers to whoever asks for it.
    let answering = thread::spawn(move || {
        let (mut stream, _) = plain.accept().unwrap();
        stream.read_exact(&mut [0; 8]).unwrap();
        stream.write_all(b"N").unwrap();
    });
    let nobody = "check host and port in the URL, and whether PostgreSQL listens there";
    assert_refused([
        (
            "postgres://u:hush@127.0.0.1:1/x",
            69,
            "127.0.0.1, port 1: Connection refused",
            nobody,
        ),
        (
            "postgres://u:hush@nowhere.invalid/x",
            69,
            "nowhere.invalid, port 5432: ",
            nobody,
        ),
        (
            &format!("postgres://u:hush@127.0.0.1:{silent_port}/x"),
            69,
            &format!("127.0.0.1, port {silent_port}: no answer in time"),
            nobody,
        ),
        (
            &format!("postgres://u:hush@127.0.0.1:{plain_port}/x?sslmode=require"),
            69,
            "server does not support TLS",
            "sslmode",
        ),
    ]);
    answering.join().unwrap();
}

#[test]
fn a_server_that_does_not_let_in_says_whom() {
    let server = Server::start();
    let url = server.new_database();
    block_on(async {
        let mut connection = PgConnection::connect(&url).await.unwrap();
        let sql = "CREATE ROLE ada LOGIN PASSWORD 'right'";
        connection.execute(sql).await.unwrap();
        connection.close().await.unwrap();
    });
    server.stop();
    server.let_in(
        "local all ada scram-sha-256\n\
         local all eve reject\n\
         local all all trust\n",
    );
    server.begin();
    let of = |user: &str| url.replace("redspan@", user);
    let elsewhere = url.replace("/test_", "/nowhere_");
    assert_refused([
        (
            &*of("ada:hush@"),
            64,
            "password authentication failed for user \"ada\"",
            "give its password in the URL",
        ),
        (
            &of("eve:hush@"),
            64,
            "pg_hba.conf rejects connection",
            "whether it asks for TLS, which sslmode=require",
        ),
        (
            &of("bob:hush@"),
            64,
            "role \"bob\" does not exist",
            "check the user in the URL",
        ),
        (
            &elsewhere,
            64,
            "database \"nowhere_0\" does not exist",
            "create it, or name another in the URL",
        ),
    ]);
    server.stop();
}

#[test]
fn who_may_not_read_the_tables_is_told_what_to_grant() {
    let mut layer = Layer::new();
    layer.fill(20, 5);
    let role = format!("Reader of {}", layer.text("SELECT current_database()"));
    layer.execute(&format!(
        "CREATE ROLE \"{role}\" LOGIN; \
         GRANT SELECT ON error_aggregations, generation_pipelines TO \"{role}\""
    ));
    layer.connect_as(&role);
    let (code, said) = refusal(layer.url());
    assert_eq!(code, Some(64), "{said}");
    let may_not = format!(
        "redspan: --from connects as \"{role}\", who may not read public.api_errors, \
         public.pipeline_stages: "
    );
    assert!(said.starts_with(&may_not), "{said}");
    let grant = said.split('`').nth(1).unwrap().to_owned();
    layer.connect_as("redspan");
    layer.execute(&grant);
    layer.connect_as(&role);
    imported(&target(Kind::Sqlite), &layer);
    layer.connect_as("redspan");
    layer.execute(&format!("DROP OWNED BY \"{role}\"; DROP ROLE \"{role}\""));
}
