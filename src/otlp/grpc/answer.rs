//! The answers of gRPC: one message and its trailers, or a status alone.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, Response, StatusCode};
use tonic::{Code, Status};

use super::super::answer::{put_bytes, put_number, shortened};
use super::super::body::BodyError;
use super::super::export::status_of;
use super::message;

/// The body of an answer.
#[derive(Debug, Default)]
pub struct Answer {
    message: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let message = self.message.take().map(Frame::data);
        let frame = message.or_else(|| self.trailers.take().map(Frame::trailers));
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.message.is_none() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let message = self.message.as_ref().map_or(0, Bytes::len);
        SizeHint::with_exact(message as u64)
    }
}

/// The request was taken; this is the answer's message.
pub(super) fn accepted(message: &[u8]) -> Response<Answer> {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(Status::GRPC_STATUS, HeaderValue::from_static("0"));
    let mut response = Response::new(Answer {
        message: Some(message::framed(message)),
        trailers: Some(trailers),
    });
    let content_type = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// The request was refused: the code that says the same as the status of HTTP, and for what is worth
/// another try, when.
pub(super) fn refused(status: StatusCode, message: &str) -> Response<Answer> {
    let message = shortened(message);
    let (code, _) = code_of(status);
    let details = match code {
        Code::Unavailable => try_again(code, message),
        _ => Vec::new(),
    };
    Status::with_details(code, message, details.into()).into_http()
}

/// The message could not be read. Also says which status that is.
pub(super) fn unread(error: &BodyError) -> (StatusCode, Response<Answer>) {
    let status = match error {
        // A stream that breaks off is like a connection that does: worth another try.
        BodyError::Broken => StatusCode::SERVICE_UNAVAILABLE,
        error => status_of(error),
    };
    (status, refused(status, &error.to_string()))
}

/// What was asked about does not exist.
pub(super) fn not_found(message: &str) -> Response<Answer> {
    Status::not_found(message).into_http()
}

/// The code of gRPC that says the same as the status of HTTP, and its name. Exporters send again
/// what is unavailable; what is exhausted some do not, whatever is said beside it.
pub(super) fn code_of(status: StatusCode) -> (Code, &'static str) {
    match status {
        StatusCode::OK => (Code::Ok, "OK"),
        StatusCode::UNAUTHORIZED => (Code::Unauthenticated, "UNAUTHENTICATED"),
        StatusCode::NOT_FOUND | StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            (Code::Unimplemented, "UNIMPLEMENTED")
        }
        StatusCode::PAYLOAD_TOO_LARGE => (Code::ResourceExhausted, "RESOURCE_EXHAUSTED"),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            (Code::Unavailable, "UNAVAILABLE")
        }
        _ => (Code::InvalidArgument, "INVALID_ARGUMENT"),
    }
}

/// A `google.rpc.Status` with a `RetryInfo` of one second: exporters drop the batch when they are
/// told to wait for longer than the time they have left.
fn try_again(code: Code, message: &str) -> Vec<u8> {
    let mut delay = Vec::new();
    put_number(&mut delay, 1, 1);
    let mut retry = Vec::new();
    put_bytes(&mut retry, 1, &delay);
    let mut any = Vec::new();
    put_bytes(&mut any, 1, b"type.googleapis.com/google.rpc.RetryInfo");
    put_bytes(&mut any, 2, &retry);
    let mut status = Vec::new();
    put_number(&mut status, 1, u64::from(code as u32));
    put_bytes(&mut status, 2, message.as_bytes());
    put_bytes(&mut status, 3, &any);
    status
}
