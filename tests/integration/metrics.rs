//! What Prometheus reads.

use std::{
    io::Write,
    process::{Command, Stdio},
    time::Duration,
};

use redspan::{
    domain::{
        Category, EndedRuns, Endings, ErrorLabels, PipelineStatus, Sampling, Series, Severity,
        StageStatus, Timestamp,
    },
    metrics::{Figures, MetricDeltas, Metrics, RecordResult, Signal},
    store::{EndedInWindow, RunFigures},
};

use super::skip::skipped;

/// Metrics of a process that has seen something of everything.
pub fn busy() -> Metrics {
    let metrics = Metrics::new(2_000);
    let mut deltas = MetricDeltas::default();
    let series = Series {
        service_name: "shop/cart".to_owned(),
        environment: "production".to_owned(),
        endpoint: "/say/\"hi\"\\\n".to_owned(),
        method: "GET".to_owned(),
    };
    for (milliseconds, failed) in [(4, false), (5, false), (60, true), (20_000, true)] {
        deltas.request(&series, failed, milliseconds * 1_000_000);
    }
    let labels = ErrorLabels {
        service_name: "shop/cart".to_owned(),
        environment: "production".to_owned(),
        severity: Severity::Error,
        category: Category::ExternalApi,
        external_service: Some("bank".to_owned()),
    };
    deltas.errors(&labels, 2);
    deltas.new_groups("shop/cart", 1);
    deltas.regressed_groups("shop/cart", 1);
    deltas.merged_rows("shop/cart", 1);
    deltas.endings(endings());
    metrics.data.apply(metrics.data.stage(&deltas));

    let process = &metrics.process;
    process.records.receive(Signal::Spans, 21);
    process.records.reject(Signal::Spans, "bad_trace_id", 1);
    for (result, records) in [
        (RecordResult::Unacknowledged, 2),
        (RecordResult::Duplicate, 3),
        (RecordResult::Dropped, 0),
        (RecordResult::Error, 4),
        (RecordResult::Merged, 5),
        (RecordResult::NotError, 6),
    ] {
        process.records.settle(Signal::Spans, result, records);
    }
    process.otlp_requests.answer(Signal::Spans, 200);
    process.connections.watch_accepted("http", || 3);
    process.connections.watch_refused("http", "too_many", || 1);
    process.commits.observe(Duration::from_millis(3), 40);
    process.queue.watch(65_536, || 12);
    process.memory.watch_inflight(|| 65_536);
    process.memory.watch_evicted_traces(|| 0);
    let now = Timestamp::from_micros(1_700_000_000_000_000);
    process.sampling.tell("shop/cart", Sampling::Threshold, now);
    process.repository.set_up(true);
    let unresolved = (
        "shop/cart".to_owned(),
        Severity::Error,
        Category::Database,
        9,
    );
    let figures = Figures {
        unresolved: vec![unresolved],
        runs: RunFigures {
            by_status: [
                (PipelineStatus::Completed, 3),
                (PipelineStatus::Processing, 2),
            ]
            .into(),
            ended: [(0, 0), (1, 1), (3, 1)]
                .map(|(completed, failed)| EndedInWindow { completed, failed }),
            stuck: 1,
        },
    };
    process.repository.refresh(now, &figures);
    metrics
}

/// A run that took two minutes and failed in one of its stages.
fn endings() -> Endings {
    let mut endings = Endings::default();
    let failed = EndedRuns {
        runs: 1,
        durations: 1,
        duration_nanos: 120_000_000_000,
        buckets: std::array::from_fn(|bucket| i64::from(bucket == 5)),
    };
    let name = "text-to-3d".to_owned();
    endings.runs.insert((name, PipelineStatus::Failed), failed);
    for (stage, outcome) in [
        ("mesh", StageStatus::Completed),
        ("rig", StageStatus::Failed),
    ] {
        endings.stages.insert((stage.to_owned(), outcome), 1);
    }
    endings
}

/// All values of a family with these words among their labels.
fn sum(text: &str, family: &str, words: &str) -> f64 {
    text.lines()
        .filter(|line| line.starts_with(&format!("{family}{{")) && line.contains(words))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum()
}

#[test]
fn the_exposition_reads_as_documented() {
    let text = busy().render();
    // What differs between machines and builds.
    let stable: Vec<&str> = text
        .lines()
        .filter(|line| !line.contains("process_") && !line.contains("redspan_build_info{"))
        .collect();
    insta::assert_snapshot!(stable.join("\n"));
    assert!(text.contains("redspan_build_info{revision=\""));
    assert!(!cfg!(target_os = "linux") || text.contains("\nprocess_resident_memory_bytes "));
}

#[test]
fn received_records_equal_the_sum_over_results() {
    let text = busy().render();
    let received = sum(&text, "redspan_records_received_total", "signal=\"spans\"");
    let settled = sum(&text, "redspan_records_total", "signal=\"spans\"");
    assert_eq!((received, settled), (21.0, 21.0));
    let rejected = sum(&text, "redspan_records_total", "result=\"rejected\"");
    let by_reason = sum(&text, "redspan_records_rejected_total", "signal=\"spans\"");
    assert_eq!((rejected, by_reason), (1.0, 1.0));
}

#[test]
fn promtool_has_no_complaint() {
    for metrics in [Metrics::new(2_000), busy()] {
        let promtool = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut promtool = match promtool {
            Ok(promtool) => promtool,
            Err(error) => {
                skipped(&format!("the checks of /metrics (promtool: {error})"));
                return;
            }
        };
        let mut stdin = promtool.stdin.take().unwrap();
        stdin.write_all(metrics.render().as_bytes()).unwrap();
        drop(stdin);
        let output = promtool.wait_with_output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert_eq!(String::from_utf8_lossy(&said), "");
        assert!(output.status.success());
    }
}
