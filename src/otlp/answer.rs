//! The answers of OTLP over HTTP, in the encoding of the request.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};

use super::Encoding;

/// Answers are small: messages are cut to this many bytes.
const MESSAGE_BYTES: usize = 1_024;

/// What a request carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Log records.
    Logs,
    /// Metric data points.
    Metrics,
}

impl Signal {
    /// As it stands in paths and labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Logs => "logs",
            Self::Metrics => "metrics",
        }
    }
}

/// All of the request was accepted: the empty message.
#[must_use]
pub fn accepted(encoding: Encoding) -> Response<Full<Bytes>> {
    let body = match encoding {
        Encoding::Protobuf => Bytes::new(),
        Encoding::Json => Bytes::from_static(b"{}"),
    };
    respond(StatusCode::OK, encoding, body)
}

/// The request was accepted but for some of its items, which the client must not send again; or,
/// with none rejected, with a warning.
#[must_use]
pub fn partly_accepted(
    encoding: Encoding,
    signal: Signal,
    rejected: u64,
    message: &str,
) -> Response<Full<Bytes>> {
    let body = match encoding {
        Encoding::Protobuf => partial_success(rejected, message),
        Encoding::Json => {
            let name = match signal {
                Signal::Traces => "rejectedSpans",
                Signal::Logs => "rejectedLogRecords",
                Signal::Metrics => "rejectedDataPoints",
            };
            // 64-bit numbers are text in protobuf's JSON.
            let partial = serde_json::json!({
                name: rejected.to_string(),
                "errorMessage": shortened(message),
            });
            serde_json::json!({ "partialSuccess": partial })
                .to_string()
                .into_bytes()
        }
    };
    respond(StatusCode::OK, encoding, body.into())
}

/// The message that [`partly_accepted`] is about; its fields have the same numbers for each signal.
pub(super) fn partial_success(rejected: u64, message: &str) -> Vec<u8> {
    let mut partial = Vec::new();
    put_number(&mut partial, 1, rejected);
    put_bytes(&mut partial, 2, shortened(message).as_bytes());
    let mut body = Vec::new();
    put_bytes(&mut body, 1, &partial);
    body
}

/// The request was refused: a `google.rpc.Status`, and the header that belongs to its status.
#[must_use]
pub fn refused(encoding: Encoding, status: StatusCode, message: &str) -> Response<Full<Bytes>> {
    let message = shortened(message);
    let code = rpc_code(status);
    let body = match encoding {
        Encoding::Protobuf => {
            let mut body = Vec::new();
            put_number(&mut body, 1, code);
            put_bytes(&mut body, 2, message.as_bytes());
            body
        }
        Encoding::Json => serde_json::json!({ "code": code, "message": message })
            .to_string()
            .into_bytes(),
    };
    let mut response = respond(status, encoding, body.into());
    let advice = match status {
        // One second: exporters drop the batch when they are told to wait for longer than the
        // time they have left.
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Some((RETRY_AFTER, "1")),
        StatusCode::METHOD_NOT_ALLOWED => Some((ALLOW, "POST")),
        StatusCode::UNAUTHORIZED => Some((WWW_AUTHENTICATE, "Bearer")),
        _ => None,
    };
    if let Some((name, value)) = advice {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The code of `google.rpc.Code` that says the same as the HTTP status.
fn rpc_code(status: StatusCode) -> u64 {
    match status {
        StatusCode::UNAUTHORIZED => 16,
        StatusCode::FORBIDDEN => 7,
        StatusCode::NOT_FOUND => 5,
        StatusCode::METHOD_NOT_ALLOWED => 12,
        StatusCode::PAYLOAD_TOO_LARGE | StatusCode::TOO_MANY_REQUESTS => 8,
        StatusCode::SERVICE_UNAVAILABLE => 14,
        _ => 3,
    }
}

fn respond(status: StatusCode, encoding: Encoding, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    // To the letter: the Go exporter compares it.
    let content_type = HeaderValue::from_static(match encoding {
        Encoding::Protobuf => "application/x-protobuf",
        Encoding::Json => "application/json",
    });
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// As much of a message as an answer may hold.
pub(super) fn shortened(message: &str) -> &str {
    &message[..message.floor_char_boundary(MESSAGE_BYTES)]
}

/// A protobuf field of wire type 0; zero is not written, as proto3 has it.
pub(super) fn put_number(out: &mut Vec<u8>, field: u8, number: u64) {
    if number > 0 {
        out.push(field << 3);
        put_varint(out, number);
    }
}

/// A protobuf field of wire type 2; an empty one is written, as a message that is set.
pub(super) fn put_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}
