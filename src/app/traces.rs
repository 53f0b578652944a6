//! What becomes of a request of spans: looked at, handed to the writer, answered after COMMIT.

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    clock,
    commit::{self, CommitQueue, NotTaken, OPEN_SECONDS, OpenTraceSet, Tally, Work},
    detect::{DetectSettings, Detector, Findings, OpenTraces as _, TraceKeys},
    metrics::{Metrics, RecordResult, Signal},
    otlp::{Encoding, Limits, Refusal, answer, http::Outcome, http::TraceService, walk},
    store::SharedStore,
};

/// Takes the spans of requests.
pub(super) struct Traces {
    pub(super) detect: DetectSettings,
    pub(super) limits: Limits,
    pub(super) open: Arc<OpenTraceSet>,
    pub(super) queue: CommitQueue,
    pub(super) metrics: Arc<Metrics>,
    /// The database, when other processes write to it too.
    pub(super) shared_with: Option<SharedStore>,
}

impl TraceService for Traces {
    async fn export_traces(&self, body: Bytes, encoding: Encoding) -> Outcome {
        if !self.queue.is_available() {
            return unavailable(&NotTaken::Unavailable.to_string());
        }
        if let Some(store) = &self.shared_with
            && let Err(outcome) = self.learn_open_traces(store, &body, encoding).await
        {
            return outcome;
        }
        let findings = match self.look_at(&body, encoding) {
            Ok(findings) => findings,
            Err(refusal) => return refused(refusal),
        };
        // From here on the body is not needed, and its bytes are somebody else's.
        drop(body);
        let Some(spans) = Unsettled::received(&self.metrics, findings.spans) else {
            return Outcome::Accepted;
        };
        for (reason, count) in &findings.rejected {
            self.metrics
                .process
                .records
                .reject(Signal::Spans, reason, *count);
        }
        let rejected = rejection_reasons(&findings);
        // Open before COMMIT: what other requests bring of these traces meanwhile is looked at too.
        self.open
            .open(findings.traces.iter().map(|trace| trace.key), clock::now());
        let outcome = match self.queue.submit(Work::Telemetry(findings)) {
            Ok(outcome) => outcome.await,
            Err(NotTaken::Full) => return Outcome::Busy(NotTaken::Full.to_string()),
            Err(not_taken) => return unavailable(&not_taken.to_string()),
        };
        match outcome {
            Ok(commit::Outcome::Committed(tally)) => {
                spans.settle(tally);
                answer_committed(tally, rejected)
            }
            Ok(commit::Outcome::Unavailable(message)) => {
                tracing::debug!(message, "a request was not committed");
                unavailable("the database could not commit the request; send it again")
            }
            Ok(other) => {
                tracing::error!(outcome = ?other, "the writer gave an answer that is none for spans");
                unavailable("the request was not committed; send it again")
            }
            Err(_) => unavailable(&NotTaken::Stopping.to_string()),
        }
    }

    fn answered(&self, signal: answer::Signal, status: u16) {
        let signal = match signal {
            answer::Signal::Traces => Signal::Spans,
            answer::Signal::Logs => Signal::Logs,
            answer::Signal::Metrics => Signal::Metrics,
        };
        self.metrics.process.otlp_requests.answer(signal, status);
    }
}

impl Traces {
    fn look_at(&self, body: &[u8], encoding: Encoding) -> Result<Findings, Refusal> {
        let open = self.open.read();
        let mut detector = Detector::new(&self.detect, clock::now(), &open);
        walk(body, encoding, &self.limits, &mut detector)?;
        Ok(detector.finish())
    }

    /// Another process may have opened a trace of this request a moment ago: whatever it had
    /// acknowledged before this request came is in the database by now.
    async fn learn_open_traces(
        &self,
        store: &SharedStore,
        body: &[u8],
        encoding: Encoding,
    ) -> Result<(), Outcome> {
        let mut keys = TraceKeys::default();
        walk(body, encoding, &self.limits, &mut keys).map_err(refused)?;
        let mut keys = keys.into_sorted();
        {
            let open = self.open.read();
            keys.retain(|key| !open.is_open(*key));
        }
        if keys.is_empty() {
            return Ok(());
        }
        let now = clock::now();
        let opened = store
            .open_among(&keys, now.plus_seconds(-OPEN_SECONDS))
            .await;
        match opened {
            Ok(opened) => {
                self.open.open(opened, now);
                Ok(())
            }
            Err(error) => {
                tracing::warn!(%error, "the open traces could not be read");
                Err(unavailable(
                    "the database could not be read; send the request again",
                ))
            }
        }
    }
}

/// The spans of a request between being received and being settled. Whoever stops waiting for the
/// commit leaves them unacknowledged.
struct Unsettled<'a> {
    metrics: &'a Metrics,
    spans: u64,
}

impl<'a> Unsettled<'a> {
    fn received(metrics: &'a Metrics, spans: u64) -> Option<Self> {
        metrics.process.records.receive(Signal::Spans, spans);
        (spans > 0).then_some(Self { metrics, spans })
    }

    fn settle(mut self, tally: Tally) {
        for (result, count) in [
            (RecordResult::Error, tally.error),
            (RecordResult::Merged, tally.merged),
            (RecordResult::Duplicate, tally.duplicate),
            (RecordResult::Rejected, tally.rejected),
            (RecordResult::NotError, tally.not_error),
        ] {
            self.metrics
                .process
                .records
                .settle(Signal::Spans, result, count);
        }
        self.spans = 0;
    }
}

impl Drop for Unsettled<'_> {
    fn drop(&mut self) {
        if self.spans > 0 {
            self.metrics.process.records.settle(
                Signal::Spans,
                RecordResult::Unacknowledged,
                self.spans,
            );
        }
    }
}

fn rejection_reasons(findings: &Findings) -> Option<String> {
    let reasons: Vec<String> = findings
        .rejected
        .iter()
        .map(|(reason, count)| format!("{count} with {}", reason.replace('_', " ")))
        .collect();
    (!reasons.is_empty()).then(|| reasons.join(", "))
}

fn answer_committed(tally: Tally, reasons: Option<String>) -> Outcome {
    if tally.rejected == 0 {
        return Outcome::Accepted;
    }
    let reasons = reasons.unwrap_or_else(|| "with a value that the database refuses".to_owned());
    Outcome::Partial {
        rejected: tally.rejected,
        message: format!("spans rejected: {reasons}; the rest is stored"),
    }
}

fn refused(refusal: Refusal) -> Outcome {
    match refusal {
        Refusal::Malformed(message) => Outcome::Malformed(message),
        Refusal::TooLarge(message) => Outcome::TooLarge(message),
    }
}

fn unavailable(message: &str) -> Outcome {
    Outcome::Unavailable(message.to_owned())
}
