//! What goes on on a connection of HTTP/2, where requests run side by side, and until when it may.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use super::Limits;

/// How long a client that was told to leave has for saying that it knows; requests that it sent
/// before it heard of it come in this time.
const GOODBYE: Duration = Duration::from_secs(1);

/// Why a connection must end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// Nothing was asked for so long.
    Silence,
    /// The client does not take its answers.
    Answer,
}

/// Shared by the connection, its socket and its requests, which all tell it what they see.
#[derive(Clone, Debug)]
pub(super) struct Activity(Arc<watch::Sender<State>>);

/// Says when the activity, and perhaps its deadline, is another.
#[derive(Debug)]
pub(super) struct Changes(watch::Receiver<State>);

#[derive(Debug)]
struct State {
    limits: Limits,
    requests: usize,
    /// The end of the last request.
    quiet_since: Instant,
    /// The answers that are going out, by number, with the time of their beginning. Later numbers
    /// have later times.
    answers: BTreeMap<u64, Instant>,
    next_answer: u64,
    /// The operating system has taken nothing since.
    blocked_since: Option<Instant>,
    leaving_since: Option<Instant>,
}

impl Activity {
    pub(super) fn new(limits: Limits) -> Self {
        Self(Arc::new(watch::Sender::new(State {
            limits,
            requests: 0,
            quiet_since: Instant::now(),
            answers: BTreeMap::new(),
            next_answer: 0,
            blocked_since: None,
            leaving_since: None,
        })))
    }

    pub(super) fn changes(&self) -> Changes {
        Changes(self.0.subscribe())
    }

    /// What ends the connection next, and when.
    pub(super) fn deadline(&self) -> Option<(End, Instant)> {
        let state = self.0.borrow();
        let first_answer = state.answers.first_key_value().map(|(_, since)| *since);
        let unanswered = first_answer.into_iter().chain(state.blocked_since).min();
        let answer = unanswered.map(|since| (End::Answer, since + state.limits.answer_write));
        let silence = (state.requests == 0).then(|| {
            let until = match state.leaving_since {
                Some(leaving) => leaving.max(state.quiet_since) + GOODBYE,
                None => state.quiet_since + state.limits.idle,
            };
            (End::Silence, until)
        });
        answer.into_iter().chain(silence).min_by_key(|(_, at)| *at)
    }

    /// The client is told to take its next requests elsewhere.
    pub(super) fn leave(&self) {
        self.0
            .send_modify(|state| state.leaving_since = Some(Instant::now()));
    }

    /// Whether the client was told so.
    pub(super) fn is_leaving(&self) -> bool {
        self.0.borrow().leaving_since.is_some()
    }

    /// The operating system took something of what is to be written, or nothing.
    pub(super) fn written(&self, something: bool) {
        self.0.send_if_modified(|state| {
            let changes = state.blocked_since.is_none() != something;
            if changes {
                state.blocked_since = (!something).then(Instant::now);
            }
            changes
        });
    }

    /// A request begins, in a place that it has until it ends.
    pub(super) fn request_begins(&self, place: OwnedSemaphorePermit) -> InRequest {
        self.0.send_modify(|state| state.requests += 1);
        InRequest {
            activity: self.clone(),
            answer: None,
            _place: place,
        }
    }
}

impl Changes {
    /// Waits for the next one.
    pub(super) async fn made(&mut self) {
        // The connection holds the other side for as long as it waits.
        let _ = self.0.changed().await;
    }
}

/// A request, until its answer has been handed over whole or nobody waits for it any more.
#[derive(Debug)]
pub(super) struct InRequest {
    activity: Activity,
    answer: Option<u64>,
    _place: OwnedSemaphorePermit,
}

impl InRequest {
    /// The service has answered.
    pub(super) fn answer_begins(&mut self) {
        self.activity.0.send_modify(|state| {
            let number = state.next_answer;
            state.next_answer += 1;
            state.answers.insert(number, Instant::now());
            self.answer = Some(number);
        });
    }
}

impl Drop for InRequest {
    fn drop(&mut self) {
        self.activity.0.send_modify(|state| {
            state.requests -= 1;
            state.quiet_since = Instant::now();
            if let Some(number) = self.answer {
                state.answers.remove(&number);
            }
        });
    }
}
