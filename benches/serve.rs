//! Spans acknowledged a second over loopback with every stage on, against a hyper server that
//! throws the body away. Both servers are pinned to one core, the clients to the other, and take
//! turns in one run; figures are medians of five rounds. `REDSPAN_BIN` names the program under test
//! (default target/release/redspan).

use std::{
    convert::Infallible,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Instant,
};

use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Bytes, service::service_fn};
use hyper_util::rt::TokioIo;
use libdeflater::{CompressionLvl, Compressor};
use numbered::Payload;
use payload::{SPANS, median};

#[path = "payload/numbered.rs"]
mod numbered;
mod payload;

const ROUNDS: usize = 5;
const CLIENTS: usize = 16;
const REQUESTS: usize = 800;

/// Numbers requests through the whole run, so that none is sent twice.
static NEXT: AtomicU32 = AtomicU32::new(0);

fn main() {
    if std::env::args().any(|argument| argument == "--discard") {
        return discard();
    }
    let redspan = Server::redspan();
    let discard = Server::discard();
    for (title, gzip, failing) in [
        ("no failed spans, raw", false, 0),
        ("no failed spans, gzip", true, 0),
        ("1 % failed spans, raw", false, 1),
        ("1 % failed spans, gzip", true, 1),
    ] {
        let rounds: Vec<(f64, f64)> = (0..ROUNDS)
            .map(|_| (redspan.round(gzip, failing), discard.round(gzip, failing)))
            .collect();
        let ours = median(rounds.iter().map(|round| round.0).collect());
        let theirs = median(rounds.iter().map(|round| round.1).collect());
        let ratio = median(rounds.iter().map(|round| round.0 / round.1).collect());
        println!(
            "{title}: {:.2} million spans/s; discarded by hyper {:.2}; ratio {ratio:.2}",
            ours / 1e6,
            theirs / 1e6
        );
    }
}

struct Server {
    child: Child,
    address: SocketAddr,
    _folder: Option<tempfile::TempDir>,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn redspan() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let program =
            std::env::var("REDSPAN_BIN").unwrap_or_else(|_| "target/release/redspan".to_owned());
        let mut child = pinned(&program)
            .env(
                "REDSPAN_DATABASE_URL",
                format!("sqlite://{}/bench.db", folder.path().display()),
            )
            .env("REDSPAN_OTLP_HTTP_LISTEN", "127.0.0.1:0")
            .env("REDSPAN_OTLP_GRPC_LISTEN", "127.0.0.1:0")
            .env("REDSPAN_HTTP_LISTEN", "127.0.0.1:0")
            .env("REDSPAN_LOG_FORMAT", "json")
            .stderr(Stdio::piped())
            .spawn()
            .expect("redspan is built: cargo build --release");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(&line).ok())
            .find_map(|event| event["otlp_http"].as_str()?.parse().ok())
            .expect("redspan says where it listens");
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            address,
            _folder: Some(folder),
        }
    }

    fn discard() -> Self {
        let program = std::env::current_exe().expect("this program has a path");
        let mut child = pinned(&program.display().to_string())
            .arg("--discard")
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program can be started again");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped"))
            .read_line(&mut line)
            .expect("it says where it listens");
        Self {
            child,
            address: line.trim().parse().expect("an address"),
            _folder: None,
        }
    }

    /// Sends the requests over some connections; spans acknowledged a second.
    fn round(&self, gzip: bool, failing: usize) -> f64 {
        let mut batches: Vec<Vec<Vec<u8>>> =
            (0..CLIENTS).map(|_| requests(gzip, failing)).collect();
        let start = Instant::now();
        std::thread::scope(|scope| {
            for batch in &mut batches {
                scope.spawn(|| self.send(batch));
            }
        });
        #[expect(clippy::cast_precision_loss, reason = "a figure to be read")]
        let spans = (REQUESTS * SPANS) as f64;
        spans / start.elapsed().as_secs_f64()
    }

    fn send(&self, requests: &[Vec<u8>]) {
        let mut stream = TcpStream::connect(self.address).expect("the server listens");
        stream.set_nodelay(true).expect("a socket has the option");
        let mut answer = [0; 4_096];
        for request in requests {
            stream.write_all(request).expect("the server reads");
            let mut read = 0;
            while !answer[..read]
                .windows(4)
                .any(|window| window == b"\r\n\r\n")
            {
                read += stream
                    .read(&mut answer[read..])
                    .expect("the server answers");
            }
            assert!(
                answer.starts_with(b"HTTP/1.1 200"),
                "{}",
                String::from_utf8_lossy(&answer[..read])
            );
        }
    }
}

/// One client's requests of a round, as they go over the wire.
fn requests(gzip: bool, failing: usize) -> Vec<Vec<u8>> {
    let mut payload = Payload::new(|index| failing > 0 && index % 100 == 50);
    let mut compressor = Compressor::new(CompressionLvl::fastest());
    (0..REQUESTS / CLIENTS)
        .map(|_| {
            payload.renumber(NEXT.fetch_add(1, Ordering::Relaxed));
            let mut compressed = Vec::new();
            let (body, encoding) = if gzip {
                compressed.resize(compressor.gzip_compress_bound(payload.body.len()), 0);
                let length = compressor.gzip_compress(&payload.body, &mut compressed).expect("the bound is enough");
                (&compressed[..length], "content-encoding: gzip\r\n")
            } else {
                (&payload.body[..], "")
            };
            let head = format!(
                "POST /v1/traces HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-protobuf\r\n\
                 {encoding}content-length: {}\r\n\r\n",
                body.len()
            );
            [head.as_bytes(), body].concat()
        })
        .collect()
}

/// A program on the first core.
fn pinned(program: &str) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", "0", program]);
    command
}

/// Reads bodies and throws them away.
#[tokio::main]
async fn discard() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    println!("{}", listener.local_addr().expect("it is bound"));
    loop {
        let (stream, _) = listener.accept().await.expect("a client");
        let answer = service_fn(|mut request: Request<hyper::body::Incoming>| async move {
            while let Some(Ok(frame)) = request.frame().await {
                drop(frame);
            }
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
        });
        tokio::spawn(
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), answer),
        );
    }
}
