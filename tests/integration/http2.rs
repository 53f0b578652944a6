//! A client of HTTP/2 for what no client of gRPC does.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use hyper::{HeaderMap, Request, Response};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// Longer than anything here takes: whoever runs into it hangs.
const LONG: Duration = Duration::from_secs(20);

/// The method that takes spans.
pub const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// The header that every request of gRPC has.
pub const GRPC: (&str, &str) = ("content-type", "application/grpc");

/// A client of HTTP/2 that knows nothing of gRPC.
pub struct Raw {
    sender: SendRequest<Bytes>,
    /// Ends with the connection.
    connection: JoinHandle<Result<(), h2::Error>>,
}

impl Raw {
    pub async fn connect(address: SocketAddr) -> Self {
        Self::with_window(address, 65_535).await
    }

    /// One that takes so many bytes of an answer and no more.
    pub async fn with_window(address: SocketAddr, bytes: u32) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (sender, connection) = h2::client::Builder::new()
            .initial_window_size(bytes)
            .handshake(stream)
            .await
            .unwrap();
        Self {
            sender,
            connection: tokio::spawn(connection),
        }
    }

    /// A request whose body goes on.
    pub async fn begin(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
    ) -> (ResponseFuture, SendStream<Bytes>) {
        let mut request = Request::post(format!("http://redspan{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.sender = self.sender.clone().ready().await.unwrap();
        let request = request.body(()).unwrap();
        self.sender.send_request(request, false).unwrap()
    }

    /// A whole request and its answer.
    pub async fn send(&mut self, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
        let (response, mut sending) = self.begin(path, headers).await;
        sending.send_data(body.into(), true).unwrap();
        answer(response).await
    }

    /// Waits until the server has ended the connection.
    pub async fn ended(self) {
        drop(self.sender);
        let ended = tokio::time::timeout(LONG, self.connection).await;
        // With which words is the library's affair.
        drop(ended.expect("the server ends the connection").unwrap());
    }
}

/// An answer with everything that belongs to it.
pub struct Answer {
    /// The status of HTTP.
    pub status: u16,
    headers: HeaderMap,
    /// What came after the body.
    pub trailers: HeaderMap,
    /// All of the body.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header, or a trailer.
    pub fn header(&self, name: &str) -> Option<&str> {
        let value = self.headers.get(name).or_else(|| self.trailers.get(name));
        value.map(|value| value.to_str().unwrap())
    }

    /// The code of gRPC.
    pub fn code(&self) -> &str {
        self.header("grpc-status").expect("a status of gRPC")
    }
}

/// Waits for an answer.
pub async fn answer(response: ResponseFuture) -> Answer {
    let response = tokio::time::timeout(LONG, response).await;
    let response: Response<RecvStream> = response.expect("an answer").unwrap();
    let (head, mut receiving) = response.into_parts();
    let mut body = Vec::new();
    while let Some(data) = receiving.data().await {
        body.extend_from_slice(&data.unwrap());
    }
    let trailers = receiving.trailers().await.unwrap().unwrap_or_default();
    Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        trailers,
        body,
    }
}

/// A message as it stands in a stream.
pub fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[flag], &length[..], message].concat()
}
