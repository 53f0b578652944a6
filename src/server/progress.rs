//! How far a connection is with its request, and until when it may take for the next step.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::Limits;

/// What a connection is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// Waits for a request; nothing of it has come.
    Idle,
    /// A header block is coming in.
    Header,
    /// A body is coming in.
    Body,
    /// The service is at work; its time is its own affair.
    Service,
    /// The answer is going out.
    Answer,
}

/// Shared by the connection's socket, its service and its bodies, which all tell it what they see.
#[derive(Clone, Debug)]
pub(super) struct Progress(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    limits: Limits,
    phase: Phase,
    deadline: Option<Instant>,
    /// The end of the time for reading the whole request.
    request_deadline: Instant,
    /// The bytes read before the service was called: the header block, and what came with it.
    head: Vec<u8>,
    answer_unfinished: bool,
    body_abandoned: bool,
}

impl Progress {
    pub(super) fn new(limits: Limits) -> Self {
        let now = Instant::now();
        Self(Arc::new(Mutex::new(State {
            limits,
            // A new connection is not idle: whoever connects has something to say.
            phase: Phase::Header,
            deadline: Some(now + limits.header_read),
            request_deadline: now + limits.request_read,
            head: Vec::new(),
            answer_unfinished: false,
            body_abandoned: false,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it is doing, and when that must end.
    pub(super) fn now(&self) -> (Phase, Option<Instant>) {
        let state = self.lock();
        (state.phase, state.deadline)
    }

    /// A body was left unread, so the client may still be sending.
    pub(super) fn body_abandoned(&self) -> bool {
        self.lock().body_abandoned
    }

    /// The client began with HTTP/2, as gRPC does.
    pub(super) fn began_with_http2(&self) -> bool {
        self.lock().head.starts_with(b"PRI * HTTP/2")
    }

    /// The client began with the handshake of TLS.
    pub(super) fn began_with_tls(&self) -> bool {
        self.lock().head.starts_with(&[22, 3])
    }

    /// Bytes came from the client.
    pub(super) fn read(&self, bytes: &[u8]) {
        let mut state = self.lock();
        if state.phase == Phase::Idle {
            let now = Instant::now();
            state.phase = Phase::Header;
            state.deadline = Some(now + state.limits.header_read);
            state.request_deadline = now + state.limits.request_read;
        }
        if state.phase == Phase::Header {
            let room = state.limits.header_bytes.saturating_sub(state.head.len());
            state
                .head
                .extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }

    /// The header block is whole. Returns whether it states its body's length twice, with
    /// `Content-Length` and `Transfer-Encoding`: hyper drops the former before anybody sees it.
    /// Not known of pipelined requests, for which hyper itself does the safe thing: it believes
    /// `Transfer-Encoding` alone and closes the connection afterwards.
    pub(super) fn request_begins(&self, has_body: bool, is_chunked: bool) -> bool {
        let mut state = self.lock();
        if state.phase == Phase::Idle {
            state.request_deadline = Instant::now() + state.limits.request_read;
        }
        let states_length_twice = is_chunked && has_content_length(&state.head);
        // Given back, not cleared: there may be a thousand connections.
        state.head = Vec::new();
        state.body_abandoned = false;
        if has_body {
            state.phase = Phase::Body;
            state.deadline = Some(state.request_deadline);
        } else {
            state.phase = Phase::Service;
            state.deadline = None;
        }
        states_length_twice
    }

    /// No more of the body will be read: because it was read whole, or is given up.
    pub(super) fn body_ends(&self, whole: bool) {
        let mut state = self.lock();
        state.body_abandoned |= !whole;
        if state.phase == Phase::Body {
            state.phase = Phase::Service;
            state.deadline = None;
        }
    }

    /// The service has answered.
    pub(super) fn answer_begins(&self) {
        let mut state = self.lock();
        state.phase = Phase::Answer;
        state.deadline = Some(Instant::now() + state.limits.answer_write);
        state.answer_unfinished = true;
    }

    /// The answer's body has been handed over whole.
    pub(super) fn answer_ends(&self) {
        self.lock().answer_unfinished = false;
    }

    /// The operating system has taken everything that was written.
    pub(super) fn flushed(&self) {
        let mut state = self.lock();
        if state.phase == Phase::Answer && !state.answer_unfinished {
            state.phase = Phase::Idle;
            state.deadline = Some(Instant::now() + state.limits.idle);
        }
    }
}

fn has_content_length(head: &[u8]) -> bool {
    const NAME: &[u8] = b"content-length";
    head.split(|byte| *byte == b'\n')
        .take_while(|line| !line.is_empty() && *line != b"\r")
        .any(|line| {
            line.get(..NAME.len())
                .is_some_and(|name| name.eq_ignore_ascii_case(NAME))
                && line.get(NAME.len()) == Some(&b':')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_length_is_found_in_the_header_block_only() {
        assert!(has_content_length(
            b"POST / HTTP/1.1\r\nCONTENT-length: 3\r\n\r\n"
        ));
        assert!(!has_content_length(
            b"POST / HTTP/1.1\r\nX: content-length: 3\r\n\r\n"
        ));
        assert!(!has_content_length(
            b"POST / HTTP/1.1\r\n\r\ncontent-length: 3\r\n"
        ));
    }
}
