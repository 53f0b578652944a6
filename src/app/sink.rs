//! What becomes of a request of spans or log records: looked at, handed to the writer, answered after
//! COMMIT.

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    clock,
    commit::{self, CommitQueue, NotTaken, OPEN_SECONDS, OpenTraceSet, Place, Tally, Work},
    detect::{Detector, Findings, OpenTraces as _, TraceKeys},
    lately::Lately,
    metrics::{Metrics, RecordResult, Signal},
    otlp::{
        Encoding, Limits, Records, Refusal, answer,
        export::{ExportService, Outcome},
        walk,
    },
    store::{SharedStore, StoreError},
    telemetry,
};

use super::reload::InForce;

/// Why records were rejected that detection had taken.
const REFUSED_BY_DATABASE: &str = "refused_by_database";

/// Takes the spans and log records of requests.
pub(super) struct Sink {
    pub(super) detect: InForce,
    pub(super) limits: Limits,
    pub(super) open: Arc<OpenTraceSet>,
    pub(super) queue: CommitQueue,
    pub(super) metrics: Arc<Metrics>,
    pub(super) lately: Arc<Lately>,
    /// The database, when other processes write to it too.
    pub(super) shared_with: Option<SharedStore>,
}

impl ExportService for Sink {
    fn is_full(&self) -> bool {
        self.queue.is_full()
    }

    async fn export(&self, signal: answer::Signal, body: Bytes, encoding: Encoding) -> Outcome {
        let records = match signal {
            answer::Signal::Traces => Records::Spans,
            answer::Signal::Logs => Records::Logs,
            // They are nobody's to keep.
            answer::Signal::Metrics => return Outcome::Accepted,
        };
        if !self.queue.is_available() {
            return unavailable(&NotTaken::Unavailable.to_string());
        }
        // A log record is looked at wherever it stands.
        if records == Records::Spans
            && let Some(store) = &self.shared_with
            && let Err(outcome) = self.learn_open_traces(store, &body, encoding).await
        {
            return outcome;
        }
        let (mut findings, place) = match self.look_at(records, &body, encoding) {
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
        let Some(unsettled) = Unsettled::received(&self.metrics, records, findings.records) else {
            if findings.own_spans > 0 {
                telemetry::note_own_spans();
            }
            return Outcome::Accepted;
        };
        let left_out = std::mem::take(&mut findings.left_out);
        self.lately.note(clock::now(), left_out);
        if findings.digest.is_none() {
            // Log records without an exception: there is nothing to write.
            unsettled.settle_as_no_errors(findings.dropped);
            return Outcome::Accepted;
        }
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
                unsettled.settle(tally, &rejected);
                answer_committed(records, tally, &rejected)
            }
            Ok(commit::Outcome::Unavailable(message)) => {
                tracing::debug!(message, "a request was not committed");
                unavailable("the database could not commit the request; send it again")
            }
            Ok(commit::Outcome::Refused(message)) => {
                let rejected = unsettled.refuse();
                Outcome::Partial {
                    rejected,
                    message: format!("the database refuses the request: {message}"),
                }
            }
            Ok(other) => {
                tracing::error!(outcome = ?other, "the writer gave an answer that is none for telemetry");
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

impl Sink {
    /// What the request comes down to, with its place in the queue: a request of failed spans takes
    /// memory before it can be handed over.
    fn look_at(
        &self,
        records: Records,
        body: &[u8],
        encoding: Encoding,
    ) -> Result<(Findings, Place), Outcome> {
        let open = self.open.read();
        let mut place = self.queue.reserve();
        let now = clock::now();
        let detect = Arc::clone(&self.detect.borrow());
        let detector = match records {
            Records::Spans => Detector::new(&detect, now, &open),
            Records::Logs => Detector::of_logs(&detect, now, &open, body),
        };
        let mut detector = detector.within(&mut place);
        walk(records, body, encoding, &self.limits, &mut detector).map_err(refused)?;
        let count = detector.records();
        let Some(findings) = detector.finish() else {
            drop(Unsettled::received(&self.metrics, records, count));
            return Err(Outcome::Busy(NotTaken::Full.to_string()));
        };
        self.metrics.process.scrub(findings.scrubbed);
        for (service_name, sampling) in &findings.samplings {
            let info = &self.metrics.process.sampling;
            info.tell(service_name, *sampling, now);
        }
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
        walk(Records::Spans, body, encoding, &self.limits, &mut keys).map_err(refused)?;
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

/// The records of a request between being received and being settled. Whoever stops waiting for the
/// commit leaves them unacknowledged.
struct Unsettled<'a> {
    metrics: &'a Metrics,
    signal: Signal,
    count: u64,
}

impl<'a> Unsettled<'a> {
    fn received(metrics: &'a Metrics, records: Records, count: u64) -> Option<Self> {
        let signal = match records {
            Records::Spans => Signal::Spans,
            Records::Logs => Signal::Logs,
        };
        metrics.process.records.receive(signal, count);
        (count > 0).then_some(Self {
            metrics,
            signal,
            count,
        })
    }

    /// Nothing among them failed, or rules of the user dropped what did.
    fn settle_as_no_errors(mut self, dropped: u64) {
        let count = std::mem::take(&mut self.count);
        let records = &self.metrics.process.records;
        records.settle(self.signal, RecordResult::Dropped, dropped);
        records.settle(self.signal, RecordResult::NotError, count - dropped);
    }

    /// Committed: each record has its result, each rejected one its reason.
    fn settle(mut self, tally: Tally, reasons: &[(&'static str, u64)]) {
        let records = &self.metrics.process.records;
        for (result, count) in [
            (RecordResult::Error, tally.error),
            (RecordResult::Merged, tally.merged),
            (RecordResult::Duplicate, tally.duplicate),
            (RecordResult::Dropped, tally.dropped),
            (RecordResult::NotError, tally.not_error),
        ] {
            records.settle(self.signal, result, count);
        }
        let mut by_the_database = tally.rejected;
        for (reason, count) in reasons {
            records.reject(self.signal, reason, *count);
            by_the_database = by_the_database.saturating_sub(*count);
        }
        if by_the_database > 0 {
            records.reject(self.signal, REFUSED_BY_DATABASE, by_the_database);
        }
        self.count = 0;
    }

    /// The database will never take it. Returns how many records that is.
    fn refuse(mut self) -> u64 {
        let count = std::mem::take(&mut self.count);
        let records = &self.metrics.process.records;
        records.reject(self.signal, REFUSED_BY_DATABASE, count);
        count
    }
}

impl Drop for Unsettled<'_> {
    fn drop(&mut self) {
        if self.count > 0 {
            let records = &self.metrics.process.records;
            records.settle(self.signal, RecordResult::Unacknowledged, self.count);
        }
    }
}

/// A request that is sent again is told the same of spans with bad ids, which are found in it again.
/// Of those that the database refused it is told once: the ledger keeps nothing but the request's name.
fn answer_committed(records: Records, tally: Tally, reasons: &[(&'static str, u64)]) -> Outcome {
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
    let what = match records {
        Records::Spans => "spans",
        Records::Logs => "log records",
    };
    Outcome::Partial {
        rejected: tally.rejected,
        message: format!("{what} rejected: {}; the rest is stored", causes.join(", ")),
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
