//! Connections: their number, their time, their end.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use hyper::body::{Body, Frame};
use hyper_util::service::TowerToHyperService;
use redspan::otlp::Encoding;
use redspan::otlp::export::{self, Outcome};
use redspan::server::{self, Counts, Limits};
use redspan::shutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::Instant;

use super::{Client, JSON, LONG, PROTOBUF, Server, request, start, started, until};

/// As long as it takes to run out of time.
const SHORT: Duration = Duration::from_millis(250);

async fn with_limits(change: impl FnOnce(&mut Limits)) -> Server {
    let mut settings = server::Settings::default();
    change(&mut settings.limits);
    start(export::Settings::default(), settings).await
}

fn count(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

#[tokio::test]
async fn a_connection_serves_many_requests() {
    let server = started().await;
    let mut client = server.connect().await;
    for _ in 0..100 {
        client.write(&request(PROTOBUF, b"abc")).await;
        assert_eq!(client.answer().await.unwrap().status, 200);
        client.write(&request("GET /v1/traces", b"")).await;
        assert_eq!(client.answer().await.unwrap().status, 405);
    }
    assert_eq!(count(&server.counts.accepted), 1);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = started().await;
    let mut client = server.connect().await;
    let three = [
        request(JSON, b"{}"),
        request("GET /v1/traces", b""),
        request(PROTOBUF, b""),
    ];
    client.write(&three.concat()).await;
    for status in [200, 405, 200] {
        assert_eq!(client.answer().await.unwrap().status, status);
    }
}

#[tokio::test]
async fn a_small_refused_body_does_not_cost_the_connection() {
    let server = started().await;
    let mut client = server.connect().await;
    for _ in 0..10 {
        client
            .write(&request("POST /v1/traces", b"some text"))
            .await;
        let answer = client.answer().await.unwrap();
        assert_eq!((answer.status, answer.header("connection")), (415, None));
    }
}

#[tokio::test]
async fn a_header_block_that_trickles_is_cut_off() {
    let server = with_limits(|limits| limits.header_read = SHORT).await;
    let silent = server.connect().await;
    let started = server.connect().await;
    let mut trickling = server.connect().await;
    for mut client in [silent, started] {
        client.closed().await;
    }
    // Each byte that comes does not buy more time.
    let started = Instant::now();
    while tokio::io::AsyncWriteExt::write_all(&mut trickling.stream, b"x")
        .await
        .is_ok()
    {
        assert!(started.elapsed() < LONG, "still open");
        tokio::task::yield_now().await;
    }
    assert_eq!(count(&server.counts.header_timeouts), 3);
}

#[tokio::test]
async fn a_second_header_block_has_no_more_time_than_the_first() {
    let server = with_limits(|limits| limits.header_read = SHORT).await;
    let mut client = server.connect().await;
    client.write(&request(JSON, b"{}")).await;
    client.answer().await.unwrap();
    client.write(b"POST /v1/tra").await;
    client.closed().await;
    assert_eq!(count(&server.counts.header_timeouts), 1);
}

#[tokio::test]
async fn a_body_that_trickles_is_cut_off() {
    let server = with_limits(|limits| limits.request_read = SHORT).await;
    for path in ["/v1/traces", "/v1/metrics"] {
        let mut client = server.connect().await;
        let head = format!(
            "POST {path} HTTP/1.1\r\nContent-Type: application/json\r\n\
             Content-Length: 100000\r\n\r\n{{"
        );
        client.write(head.as_bytes()).await;
        client.closed().await;
    }
    assert_eq!(count(&server.counts.body_timeouts), 2);
}

#[tokio::test]
async fn the_time_for_reading_does_not_run_while_the_service_works() {
    let limits = |limits: &mut Limits| {
        limits.header_read = SHORT;
        limits.request_read = SHORT;
        limits.idle = SHORT;
        limits.answer_write = SHORT;
    };
    let server = with_limits(limits).await;
    server.hold(true);
    let mut client = server.connect().await;
    client.write(&request(JSON, b"{}")).await;
    // Another connection lives through all of its time.
    let mut other = server.connect().await;
    until(|| server.taken() == 1).await;
    other.closed().await;
    server.hold(false);
    assert_eq!(client.answer().await.unwrap().status, 200);
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let limits = |limits: &mut Limits| {
        limits.header_read = 2 * LONG;
        limits.idle = SHORT;
    };
    let server = with_limits(limits).await;
    let mut client = server.connect().await;
    client.write(&request(JSON, b"{}")).await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    client.closed().await;
    assert_eq!(count(&server.counts.header_timeouts), 0);
}

/// A client of the same server with an axum router on it.
async fn with_router(router: Router, limits: Limits) -> (Client, Arc<Counts>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let settings = server::Settings {
        limits,
        ..server::Settings::default()
    };
    let counts = Arc::clone(&settings.counts);
    let (_, stop) = shutdown::switch();
    tokio::spawn(server::serve(
        listener,
        TowerToHyperService::new(router),
        settings,
        stop,
    ));
    (
        Client {
            stream,
            read: Vec::new(),
        },
        counts,
    )
}

/// An answer larger than any socket buffer.
fn large_answer() -> Router {
    Router::new().route("/", get(|| async { vec![b'x'; 64 << 20] }))
}

#[tokio::test]
async fn a_client_that_does_not_take_its_answer_is_cut_off() {
    let limits = Limits {
        answer_write: SHORT,
        ..Limits::default()
    };
    let (mut client, counts) = with_router(large_answer(), limits).await;
    client.write(&request("GET /", b"")).await;
    until(|| count(&counts.answer_timeouts) == 1).await;
}

#[tokio::test]
async fn a_large_answer_is_written_whole() {
    let (mut client, _) = with_router(large_answer(), Limits::default()).await;
    client.write(&request("GET /", b"")).await;
    let answer = client.answer().await.unwrap();
    assert_eq!((answer.status, answer.body.len()), (200, 64 << 20));
}

/// An answer that comes in pieces, as somebody gives them.
struct Pieces(UnboundedReceiver<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0
            .poll_recv(context)
            .map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

#[tokio::test]
async fn an_answer_in_pieces_has_its_time_and_no_more() {
    let (pieces, receiver) = unbounded_channel();
    let receiver = Arc::new(Mutex::new(Some(receiver)));
    let answer = move || {
        let receiver = receiver.lock().unwrap().take().unwrap();
        async { axum::body::Body::new(Pieces(receiver)) }
    };
    let router = Router::new().route("/", get(answer));
    // It is not taken for an idle connection, which would have far longer.
    let limits = Limits {
        answer_write: SHORT,
        ..Limits::default()
    };
    let (mut client, counts) = with_router(router, limits).await;
    client.write(&request("GET /", b"")).await;
    pieces.send(Bytes::from_static(b"one")).unwrap();
    while !client.read.ends_with(b"3\r\none\r\n") {
        client.read_more().await.unwrap();
    }
    client.closed().await;
    assert_eq!(count(&counts.answer_timeouts), 1);
    assert!(pieces.is_closed());
}

#[tokio::test]
async fn a_large_header_block_is_refused() {
    let server = started().await;
    let fits = format!("{JSON}\nX-Filler: {}", "x".repeat(16_000));
    assert_eq!(server.send(&fits, b"{}").await.status, 200);
    let too_large = format!("{JSON}\nX-Filler: {}", "x".repeat(17_000));
    assert_eq!(server.send(&too_large, b"{}").await.status, 431);
    let too_many = format!("{JSON}{}", "\nX: y".repeat(200));
    assert_eq!(server.send(&too_many, b"{}").await.status, 431);
}

#[tokio::test]
async fn a_long_uri_is_refused_in_the_encoding_of_the_request() {
    let server = started().await;
    let json = "Content-Type: application/json";
    let fits = format!("POST /v1/traces?{}\n{json}", "x".repeat(4_000));
    assert_eq!(server.send(&fits, b"{}").await.status, 200);
    let too_long = format!("POST /v1/traces?{}\n{json}", "x".repeat(4_090));
    let answer = server.send(&too_long, b"{}").await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (414, Some("application/json"))
    );
    assert!(answer.body.starts_with(b"{\"code\":3,"));
    assert_eq!(count(&server.counts.bad_heads), 1);
}

#[tokio::test]
async fn two_statements_of_the_length_are_refused() {
    let server = started().await;
    let chunked = "Transfer-Encoding: chunked\r\n";
    let length = "Content-Length: 2\r\n";
    for lengths in [[chunked, length], [length, chunked]] {
        let mut client = server.connect().await;
        let head = format!(
            "POST /v1/traces HTTP/1.1\r\nContent-Type: application/json\r\n{}\r\n",
            lengths.concat()
        );
        client.write(head.as_bytes()).await;
        client.write(b"2\r\n{}\r\n0\r\n\r\n").await;
        let answer = client.answer().await.unwrap();
        assert_eq!(
            (answer.status, answer.header("connection")),
            (400, Some("close"))
        );
        client.closed().await;
    }
    let differing = format!("{JSON}\nContent-Length: 1");
    assert_eq!(server.send(&differing, b"{}").await.status, 400);
    assert_eq!(server.taken(), 0);
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_and_those_before_it_serve() {
    let server = started().await;
    let mut clients = Vec::new();
    for _ in 0..2_000 {
        clients.push(server.connect().await);
    }
    until(|| count(&server.counts.refused) == 976).await;
    for client in &mut clients[1_024..] {
        client.closed().await;
    }
    for client in &mut clients[..1_024] {
        client.write(&request(JSON, b"{}")).await;
        assert_eq!(client.answer().await.unwrap().status, 200);
    }
    // A place that becomes free is taken again.
    clients.truncate(1_023);
    let accepted = count(&server.counts.accepted);
    loop {
        let mut client = server.connect().await;
        client.write(&request(JSON, b"{}")).await;
        if client.answer().await.is_ok() {
            break;
        }
    }
    assert_eq!(count(&server.counts.accepted), accepted + 1);
}

#[tokio::test]
async fn a_panic_closes_the_connection_and_answers_no_500() {
    let server = started().await;
    server.will_panic();
    let mut client = server.connect().await;
    client.write(&request(JSON, b"{}")).await;
    client.closed().await;
    server.will_answer(Outcome::Accepted);
    assert_eq!(server.send(JSON, b"{}").await.status, 200);
}

#[tokio::test]
async fn the_drain_closes_idle_connections_and_finishes_requests() {
    let server = started().await;
    let mut fresh = server.connect().await;
    let mut idle = server.connect().await;
    idle.write(&request(JSON, b"{}")).await;
    idle.answer().await.unwrap();
    server.hold(true);
    let mut busy = server.connect().await;
    busy.write(&request(PROTOBUF, b"")).await;
    until(|| server.taken() == 2).await;

    server.stopper.stop();
    fresh.closed().await;
    idle.closed().await;
    until_refused(&server).await;
    assert!(!server.serving.is_finished());

    server.hold(false);
    let answer = busy.answer().await.unwrap();
    assert_eq!(
        (answer.status, answer.header("connection")),
        (200, Some("close"))
    );
    assert_eq!(
        server.told.taken.lock().unwrap()[1].encoding,
        Encoding::Protobuf
    );
    busy.closed().await;
    tokio::time::timeout(LONG, server.serving)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(count(&server.counts.cut_at_stop), 0);
}

async fn until_refused(server: &Server) {
    while let Ok(stream) = TcpStream::connect(server.address).await {
        drop(stream);
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_drain_ends_in_time_whatever_clients_do() {
    let settings = server::Settings {
        drain: SHORT,
        ..server::Settings::default()
    };
    let server = start(export::Settings::default(), settings).await;
    server.hold(true);
    let mut in_header = server.connect().await;
    in_header.write(b"POST /v1/tr").await;
    let mut in_body = server.connect().await;
    in_body
        .write(format!("{}{}", &CHUNKED_HEAD, "1\r\n{\r\n").as_bytes())
        .await;
    let mut at_work = server.connect().await;
    at_work.write(&request(JSON, b"{}")).await;
    until(|| server.taken() == 1 && count(&server.counts.accepted) == 3).await;
    // The first two have been read as well when a fourth, that came later, is answered.
    server.send("GET /v1/traces", b"").await;

    server.stopper.stop();
    let stopped = Instant::now();
    tokio::time::timeout(LONG, server.serving)
        .await
        .unwrap()
        .unwrap();
    assert!(stopped.elapsed() >= SHORT);
    for mut client in [in_header, in_body, at_work] {
        client.closed().await;
    }
    assert_eq!(count(&server.counts.cut_at_stop), 3);
}

const CHUNKED_HEAD: &str = "POST /v1/traces HTTP/1.1\r\nContent-Type: application/json\r\n\
                            Transfer-Encoding: chunked\r\n\r\n";

#[tokio::test]
async fn a_client_that_speaks_http2_is_told_why_closed_and_counted() {
    let server = started().await;
    let mut client = server.connect().await;
    client.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    while client.read_more().await.is_ok() {}
    let said = String::from_utf8_lossy(&client.read);
    assert!(said.contains("OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"));
    until(|| count(&server.counts.http2_refused) == 1).await;
}

/// Set in the process that has few files.
const FEW_FILES: &str = "REDSPAN_TEST_FEW_FILES";

#[test]
fn running_out_of_files_neither_ends_nor_spins_the_accept_loop() {
    if std::env::var_os(FEW_FILES).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        return runtime.unwrap().block_on(with_few_files());
    }
    let name =
        "transport::connections::running_out_of_files_neither_ends_nor_spins_the_accept_loop";
    let output = std::process::Command::new("sh")
        .args([
            "-c",
            r#"ulimit -n 40 && exec "$0" --exact "$1" --nocapture"#,
        ])
        .arg(std::env::current_exe().unwrap())
        .arg(name)
        .env(FEW_FILES, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

async fn with_few_files() {
    let server = started().await;
    let mut clients = Vec::new();
    while let Ok(stream) = TcpStream::connect(server.address).await {
        clients.push(Client {
            stream,
            read: Vec::new(),
        });
        tokio::task::yield_now().await;
    }
    let errors = || count(&server.counts.accept_errors);
    until(|| errors() > 0).await;
    let (first, since) = (errors(), Instant::now());
    until(|| errors() >= first + 4).await;
    assert!(since.elapsed() >= Duration::from_millis(3 * 50), "it spins");
    // The last one waits to be accepted; it is served when others have gone.
    let mut last = clients.pop().unwrap();
    clients.clear();
    last.write(&request(JSON, b"{}")).await;
    assert_eq!(last.answer().await.unwrap().status, 200);
}
