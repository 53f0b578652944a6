//! The transports of OTLP on real sockets: answers, limits, budget and drain.

mod answers;
mod bodies;
mod connections;
mod cors;
mod grpc;
mod grpc_frames;

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use redspan::otlp::Encoding;
use redspan::otlp::answer::Signal;
use redspan::otlp::cors::Cors;
use redspan::otlp::export::{self, ExportService, Intake, Outcome};
use redspan::otlp::grpc::{Http1Advice, OtlpGrpc};
use redspan::otlp::http::OtlpHttp;
use redspan::server;
use redspan::shutdown::{self, Stopper};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Longer than anything here takes: whoever runs into it hangs.
const LONG: Duration = Duration::from_secs(20);

/// Answers what it is told to, when it is told to.
#[derive(Clone)]
struct Service(Arc<Told>);

struct Told {
    /// None: it panics.
    outcome: Mutex<Option<Outcome>>,
    full: AtomicBool,
    held: watch::Sender<bool>,
    taken: Mutex<Vec<Taken>>,
    answered: Mutex<Vec<(Option<Signal>, u16)>>,
    ready: AtomicBool,
}

/// What the service was given.
#[derive(PartialEq, Debug)]
struct Taken {
    signal: Signal,
    body: Bytes,
    encoding: Encoding,
}

impl ExportService for Service {
    fn is_full(&self) -> bool {
        self.0.full.load(Ordering::Relaxed)
    }

    async fn export(&self, signal: Signal, body: Bytes, encoding: Encoding) -> Outcome {
        self.0.taken.lock().unwrap().push(Taken {
            signal,
            body,
            encoding,
        });
        self.0
            .held
            .subscribe()
            .wait_for(|held| !held)
            .await
            .unwrap();
        let outcome = self.0.outcome.lock().unwrap().clone();
        outcome.expect("what the test wants")
    }

    fn answered(&self, signal: Option<Signal>, status: u16) {
        self.0.answered.lock().unwrap().push((signal, status));
    }
}

/// A server on a port of its own.
struct Server {
    address: SocketAddr,
    told: Arc<Told>,
    counts: Arc<server::Counts>,
    stopper: Stopper,
    serving: JoinHandle<()>,
}

impl Told {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            outcome: Mutex::new(Some(Outcome::Accepted)),
            full: AtomicBool::new(false),
            held: watch::Sender::new(false),
            taken: Mutex::default(),
            answered: Mutex::default(),
            ready: AtomicBool::new(true),
        })
    }
}

async fn start(export: export::Settings, server: server::Settings) -> Server {
    start_with_cors(export, server, None).await
}

async fn start_with_cors(
    export: export::Settings,
    mut server: server::Settings,
    cors: Option<Cors>,
) -> Server {
    let told = Told::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let counts = Arc::clone(&server.counts);
    let (stopper, stop) = shutdown::switch();
    let service = OtlpHttp::new(Intake::new(Service(Arc::clone(&told)), export), cors);
    server.refusals = Arc::new(service.clone());
    let serving = tokio::spawn(server::serve(listener, service, server, stop));
    Server {
        address,
        told,
        counts,
        stopper,
        serving,
    }
}

/// The same for OTLP over gRPC.
async fn start_grpc(export: export::Settings, mut server: server::Settings) -> Server {
    let told = Told::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let counts = Arc::clone(&server.counts);
    let (stopper, stop) = shutdown::switch();
    let intake = Intake::new(Service(Arc::clone(&told)), export);
    let health = Arc::clone(&told);
    let service = OtlpGrpc::new(intake, move || health.ready.load(Ordering::Relaxed));
    server.refusals = Arc::new(service.clone());
    let advice = Http1Advice::new(service.clone());
    let serving = server::serve_http2(listener, service, advice, server, stop);
    Server {
        address,
        told,
        counts,
        stopper,
        serving: tokio::spawn(serving),
    }
}

async fn started() -> Server {
    start(export::Settings::default(), server::Settings::default()).await
}

/// Waits until something holds, which other tasks bring about.
async fn until(condition: impl Fn() -> bool) {
    let holds = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, holds)
        .await
        .expect("it comes to hold");
}

impl Server {
    fn will_answer(&self, outcome: Outcome) {
        *self.told.outcome.lock().unwrap() = Some(outcome);
    }

    fn will_panic(&self) {
        *self.told.outcome.lock().unwrap() = None;
    }

    fn fill(&self, full: bool) {
        self.told.full.store(full, Ordering::Relaxed);
    }

    fn hold(&self, held: bool) {
        self.told.held.send_replace(held);
    }

    fn taken(&self) -> usize {
        self.told.taken.lock().unwrap().len()
    }

    fn forget(&self) {
        self.told.taken.lock().unwrap().clear();
    }

    async fn connect(&self) -> Client {
        Client {
            stream: TcpStream::connect(self.address).await.unwrap(),
            read: Vec::new(),
        }
    }

    /// One request on a connection of its own.
    async fn send(&self, head: &str, body: &[u8]) -> Answer {
        let mut client = self.connect().await;
        client.write(&request(head, body)).await;
        client.answer().await.unwrap()
    }
}

/// A whole request: the lines of the head, without the length of the body.
fn request(head: &str, body: &[u8]) -> Vec<u8> {
    let mut lines = head.trim().lines();
    let mut request = format!(
        "{} HTTP/1.1\r\nHost: redspan\r\n",
        lines.next().unwrap().trim()
    );
    for line in lines {
        request += line.trim();
        request += "\r\n";
    }
    let length = format!("Content-Length: {}\r\n\r\n", body.len());
    [request.as_bytes(), length.as_bytes(), body].concat()
}

const PROTOBUF: &str = "POST /v1/traces\nContent-Type: application/x-protobuf";
const JSON: &str = "POST /v1/traces\nContent-Type: application/json";

struct Client {
    stream: TcpStream,
    read: Vec<u8>,
}

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: String,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find_map(|(found, value)| found.eq_ignore_ascii_case(name).then_some(value))
    }
}

impl Client {
    async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    async fn read_more(&mut self) -> io::Result<()> {
        let read = tokio::time::timeout(LONG, self.stream.read_buf(&mut self.read)).await;
        match read.expect("the server answers or closes")? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// The next answer on this connection.
    async fn answer(&mut self) -> io::Result<Answer> {
        loop {
            let end = self
                .read
                .windows(4)
                .position(|window| window == b"\r\n\r\n");
            if let Some(end) = end {
                let headers = String::from_utf8(self.read[..end].to_vec()).unwrap();
                let status = headers[9..12].parse().unwrap();
                let mut answer = Answer {
                    status,
                    headers,
                    body: Vec::new(),
                };
                if !matches!(status, 100 | 204) {
                    let length: usize = answer.header("content-length").unwrap().parse().unwrap();
                    while self.read.len() < end + 4 + length {
                        self.read_more().await?;
                    }
                    answer.body = self.read[end + 4..end + 4 + length].to_vec();
                }
                self.read.drain(..end + 4 + answer.body.len());
                return Ok(answer);
            }
            self.read_more().await?;
        }
    }

    /// Waits until the server closes the connection, with nothing more said.
    async fn closed(&mut self) {
        let error = self.read_more().await.expect_err("nothing more is said");
        assert!(
            matches!(
                error.kind(),
                ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset
            ),
            "{error}"
        );
    }
}
