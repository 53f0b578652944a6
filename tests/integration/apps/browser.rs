//! A page under the OpenTelemetry web SDK (`tests/apps/browser`) with README's lines, in a browser
//! that sends to redspan from the page's own origin.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver, Sender},
    thread,
    time::Duration,
};

use serde_json::Value;

use super::{Expected, Row, browser_packages, check, closed_address, file, note_that_ran, tool};
use crate::{
    databases::{Database, Kind},
    program::Program,
    readme::snippets,
};

/// What README's lines take the place of.
const PLACE: &str = "// README's lines for browsers.\n";

/// How long a browser may take for the page.
const PATIENCE: Duration = Duration::from_mins(1);

/// Quiet, without windows, and on nobody's network but the test's.
const FLAGS: [&str; 8] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// Bundles the page, with README's lines that send to this redspan.
fn bundle(packages: &Path, folder: &Path, redspan: SocketAddr) -> Vec<u8> {
    let source = fs::read_to_string(file("browser/page.js")).unwrap();
    assert!(source.contains(PLACE));
    let lines = snippets::block("js").replace("127.0.0.1:4318", &redspan.to_string());
    let page = folder.join("page.js");
    fs::write(&page, source.replace(PLACE, &lines)).unwrap();
    let bundled = Command::new("node")
        .arg(packages.join(".bin/esbuild"))
        .args(["--bundle", "--format=esm", "--log-level=warning"])
        .arg(&page)
        .env("NODE_PATH", packages)
        .output()
        .unwrap();
    assert!(bundled.status.success(), "{bundled:?}");
    bundled.stdout
}

/// Serves the page, and what it asks for, as long as the test runs.
struct Site {
    /// Says that the page has done everything.
    done: Receiver<()>,
}

impl Site {
    fn start(listener: TcpListener, script: Vec<u8>) -> Self {
        let (done, is_done) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (script, done) = (script.clone(), done.clone());
                // Browsers open connections that they may never use.
                thread::spawn(move || serve(&stream.unwrap(), &script, &done));
            }
        });
        Self { done: is_done }
    }
}

/// Answers one request.
fn serve(mut stream: &TcpStream, script: &[u8], done: &Sender<()>) {
    let mut request = BufReader::new(stream).lines().map_while(Result::ok);
    let Some(line) = request.next() else { return };
    let _headers = request.take_while(|line| !line.is_empty()).count();
    let path = line.split([' ', '?']).nth(1).unwrap_or_default();
    let (status, content_type, body): (_, _, &[u8]) = match path {
        "/" => (
            "200 OK",
            "text/html",
            b"<script type=module src=/page.js></script>",
        ),
        "/page.js" => ("200 OK", "text/javascript", script),
        "/orders/17" => ("200 OK", "text/plain", b"17"),
        "/orders/17/pay" => ("500 Internal Server Error", "text/plain", b"no lines"),
        "/orders/17/recommend" => ("503 Service Unavailable", "text/plain", b""),
        "/done" => {
            // Nobody waits for it when the test is over.
            let _ = done.send(());
            ("204 No Content", "text/plain", b"")
        }
        _ => ("404 Not Found", "text/plain", b""),
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n"
    );
    // The browser may be gone.
    drop(stream.write_all(&[head.as_bytes(), body].concat()));
}

/// A browser that shows a page.
struct Browser(Child);

impl Browser {
    fn show(url: &str, profile: &Path) -> Self {
        let browser = Command::new("chromium")
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg(url)
            .process_group(0)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(browser.unwrap())
    }
}

impl Drop for Browser {
    /// With all its processes.
    fn drop(&mut self) {
        let group = format!("-{}", self.0.id());
        drop(Command::new("kill").args(["-KILL", "--", &group]).status());
        drop(self.0.wait());
    }
}

/// What the page's failures lead to.
fn expected() -> Expected {
    let mut expected = Expected {
        spans: 9,
        ..Expected::default()
    };
    let unavailable = |code, message| Row {
        external: Some(("127.0.0.1", code)),
        ..Row::new(code, message, "external_api")
    };
    let thrown = |code, message| Row {
        stack: Some("page.js"),
        ..Row::new(code, message, "application")
    };
    let rows = [
        (
            "/orders/{id}/recommend",
            "GET",
            unavailable("503", "HTTP 503"),
        ),
        (
            "/orders/{id}/pay",
            "GET",
            unavailable("500", "HTTP 500").handled(),
        ),
        (
            "pay",
            "INTERNAL",
            thrown("RangeError", "order 17 is not paid: no lines"),
        ),
        ("ship", "INTERNAL", thrown("TypeError", "Failed to fetch")),
        (
            "uncaught",
            "INTERNAL",
            Row {
                kind: "uncaught",
                ..thrown(
                    "TypeError",
                    "Cannot read properties of undefined (reading 'lines')",
                )
            },
        ),
    ];
    for (endpoint, method, row) in rows {
        let mut columns = row.columns();
        columns.extend([
            ("endpoint", endpoint.into()),
            ("method", method.into()),
            ("status_code", Value::Null),
            ("user_id", "user-1".into()),
            ("request_id", Value::Null),
            ("ip_address", Value::Null),
            ("user_agent", Value::Null),
            ("service_name", "shop".into()),
            ("service_version", Value::Null),
            ("environment", "".into()),
            ("entry", "unknown".into()),
        ]);
        expected.add_row(columns, row.kind, row.severity);
    }
    expected
}

/// The folder with the packages of the page, where there is a browser for it.
fn packages() -> Option<PathBuf> {
    let packages = browser_packages()?;
    tool("chromium", "--version")?;
    Some(packages)
}

/// Shows the page, which may send to redspan or not, until it has tried everything.
fn show_page(database: &Database, may_send: bool) -> Option<Program> {
    let packages = packages()?;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let mut environment = database.environment();
    if may_send {
        environment.push(("REDSPAN_OTLP_HTTP_CORS_ORIGINS", &origin));
    }
    let program = Program::start(&database.url, &environment);
    let folder = database.folder();
    let site = Site::start(listener, bundle(&packages, folder, program.otlp));
    let url = format!("{origin}/?closed=http://{}", closed_address());
    let browser = Browser::show(&url, &folder.join("profile"));
    let done = site.done.recv_timeout(PATIENCE);
    drop(browser);
    done.expect("the page ends");
    Some(program)
}

fn run_page(kind: Kind) {
    let database = Database::new(kind);
    let Some(program) = show_page(&database, true) else {
        return;
    };
    let expected = expected();
    check::tables(&database, &expected);
    check::requests(&program.metrics(), &expected);
    check::errors(&program.metrics(), &expected);
    note_that_ran(&format!("browser over http/json on {kind:?}"));
}

#[test]
fn a_page_whose_origin_is_named_is_told_exactly_on_sqlite() {
    run_page(Kind::Sqlite);
}

#[test]
fn a_page_whose_origin_is_named_is_told_exactly_on_postgresql() {
    run_page(Kind::Postgres);
}

#[test]
fn a_page_of_any_other_origin_leaves_nothing_but_the_advice_to_name_it() {
    let database = Database::new(Kind::Sqlite);
    let Some(mut program) = show_page(&database, false) else {
        return;
    };
    check::tables(&database, &Expected::default());
    check::requests(&program.metrics(), &Expected::default());
    assert!(program.terminate().success());
    let log = program.whole_log();
    assert!(log.contains("name it in otlp.http.cors_origins"), "{log}");
}
