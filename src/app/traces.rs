//! What becomes of a request of spans: looked at, handed to the writer, answered after COMMIT.

use std::sync::{Arc, Once};

use bytes::Bytes;

use crate::{
    clock,
    commit::{self, CommitQueue, NotTaken, OPEN_SECONDS, OpenTraceSet, Place, Tally, Work},
    detect::{DetectSettings, Detector, Findings, OpenTraces as _, TraceKeys},
    metrics::{Metrics, RecordResult, Signal},
    otlp::{
        Encoding, Limits, Refusal, answer,
        export::{ExportService, Outcome},
        walk,
    },
    store::{SharedStore, StoreError},
    telemetry,
};

/// Why spans were rejected that detection had taken.
const REFUSED_BY_DATABASE: &str = "refused_by_database";

/// Takes the spans of requests.
pub(super) struct Traces {
    pub(super) detect: DetectSettings,
    pub(super) limits: Limits,
    pub(super) open: Arc<OpenTraceSet>,
    pub(super) queue: CommitQueue,
    pub(super) metrics: Arc<Metrics>,
    /// The database, when other processes write to it too.
    pub(super) shared_with: Option<SharedStore>,
    /// That log records arrive is told once.
    pub(super) logs_seen: Once,
}

impl ExportService for Traces {
    fn is_full(&self) -> bool {
        self.queue.is_full()
    }

    async fn export(&self, signal: answer::Signal, body: Bytes, encoding: Encoding) -> Outcome {
        if signal == answer::Signal::Logs {
            self.logs_seen.call_once(|| {
                tracing::info!("a client sends logs: they are answered and not kept");
            });
            return Outcome::Accepted;
        }
        if !self.queue.is_available() {
            return unavailable(&NotTaken::Unavailable.to_string());
        }
        if let Some(store) = &self.shared_with
            && let Err(outcome) = self.learn_open_traces(store, &body, encoding).await
        {
            return outcome;
        }
        let (findings, place) = match self.look_at(&body, encoding) {
            Ok(found) => found,
            Err(outcome) => return outcome,
        };
        // From here on the body is not needed, and its bytes are somebody else's.
        drop(body);
        if findings.own_spans > 0 {
            let records = &self.metrics.process.records;
            records.receive(Signal::Spans, findings.own_spans);
            records.settle(Signal::Spans, RecordResult::NotError, findings.own_spans);
        }
        let Some(spans) = Unsettled::received(&self.metrics, findings.spans) else {
            if findings.own_spans > 0 {
                telemetry::note_own_spans();
            }
            return Outcome::Accepted;
        };
        let rejected = findings.rejected.clone();
        // Open before COMMIT: what other requests bring of these traces meanwhile is looked at too.
        self.open
            .open(findings.traces.iter().map(|trace| trace.key), clock::now());
        let outcome = match self.queue.submit_at(place, Work::Telemetry(findings)) {
            Ok(outcome) => outcome.await,
            Err(NotTaken::Full) => return Outcome::Busy(NotTaken::Full.to_string()),
            Err(not_taken) => return unavailable(&not_taken.to_string()),
        };
        match outcome {
            Ok(commit::Outcome::Committed(tally)) => {
                spans.settle(tally, &rejected);
                answer_committed(tally, &rejected)
            }
            Ok(commit::Outcome::Unavailable(message)) => {
                tracing::debug!(message, "a request was not committed");
                unavailable("the database could not commit the request; send it again")
            }
            Ok(commit::Outcome::Refused(message)) => {
                let rejected = spans.refuse();
                Outcome::Partial {
                    rejected,
                    message: format!("the database refuses the request: {message}"),
                }
            }
            Ok(other) => {
                tracing::error!(outcome = ?other, "the writer gave an answer that is none for spans");
                unavailable("the request was not committed; send it again")
            }
            Err(_) => unavailable(&NotTaken::Stopping.to_string()),
        }
    }

    fn answered(&self, signal: Option<answer::Signal>, status: u16) {
        let signal = match signal {
            Some(answer::Signal::Traces) => Signal::Spans,
            Some(answer::Signal::Logs) => Signal::Logs,
            Some(answer::Signal::Metrics) => Signal::Metrics,
            None => Signal::Other,
        };
        self.metrics.process.otlp_requests.answer(signal, status);
    }
}

impl Traces {
    /// What the request comes down to, with its place in the queue: a request of failed spans takes
    /// memory before it can be handed over.
    fn look_at(&self, body: &[u8], encoding: Encoding) -> Result<(Findings, Place), Outcome> {
        let open = self.open.read();
        let mut place = self.queue.reserve();
        let mut detector = Detector::new(&self.detect, clock::now(), &open).within(&mut place);
        walk(body, encoding, &self.limits, &mut detector).map_err(refused)?;
        let spans = detector.spans();
        let Some(findings) = detector.finish() else {
            drop(Unsettled::received(&self.metrics, spans));
            return Err(Outcome::Busy(NotTaken::Full.to_string()));
        };
        self.metrics.process.scrub(findings.scrubbed);
        Ok((findings, place))
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
        // A task of its own: a client that goes away must not drop a query in its middle.
        let reading = {
            let store = Arc::clone(store);
            tokio::spawn(async move {
                store
                    .open_among(&keys, now.plus_seconds(-OPEN_SECONDS))
                    .await
            })
        };
        let opened = reading
            .await
            .unwrap_or_else(|panic| Err(StoreError::Corrupt(panic.to_string())));
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

    /// Committed: each span has its result, each rejected one its reason.
    fn settle(mut self, tally: Tally, reasons: &[(&'static str, u64)]) {
        let records = &self.metrics.process.records;
        for (result, count) in [
            (RecordResult::Error, tally.error),
            (RecordResult::Merged, tally.merged),
            (RecordResult::Duplicate, tally.duplicate),
            (RecordResult::NotError, tally.not_error),
        ] {
            records.settle(Signal::Spans, result, count);
        }
        let mut by_the_database = tally.rejected;
        for (reason, count) in reasons {
            records.reject(Signal::Spans, reason, *count);
            by_the_database = by_the_database.saturating_sub(*count);
        }
        if by_the_database > 0 {
            records.reject(Signal::Spans, REFUSED_BY_DATABASE, by_the_database);
        }
        self.spans = 0;
    }

    /// The database will never take it. Returns how many spans that is.
    fn refuse(mut self) -> u64 {
        let spans = std::mem::take(&mut self.spans);
        let records = &self.metrics.process.records;
        records.reject(Signal::Spans, REFUSED_BY_DATABASE, spans);
        spans
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

/// A request that is sent again is told the same of spans with bad ids, which are found in it again.
/// Of those that the database refused it is told once: the ledger keeps nothing but the request's name.
fn answer_committed(tally: Tally, reasons: &[(&'static str, u64)]) -> Outcome {
    if tally.rejected == 0 {
        return Outcome::Accepted;
    }
    let mut causes: Vec<String> = reasons
        .iter()
        .map(|(reason, count)| format!("{count} for {}", reason.replace('_', " ")))
        .collect();
    let named: u64 = reasons.iter().map(|(_, count)| count).sum();
    if tally.rejected > named {
        causes.push(format!(
            "{} for a value that the database refuses",
            tally.rejected - named
        ));
    }
    Outcome::Partial {
        rejected: tally.rejected,
        message: format!("spans rejected: {}; the rest is stored", causes.join(", ")),
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
