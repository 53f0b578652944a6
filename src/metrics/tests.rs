//! What the counters show, fold and keep.

use proptest::prelude::*;

use super::*;
use crate::{
    domain::{EndedRuns, Endings, OTHER, PipelineStatus, Sampling, Series, Timestamp},
    store::{MetricFamily, MetricTotal},
};

fn series(service_name: &str, endpoint: &str) -> Series {
    Series {
        service_name: service_name.to_owned(),
        environment: "test".to_owned(),
        endpoint: endpoint.to_owned(),
        method: "GET".to_owned(),
    }
}

fn commit(metrics: &Metrics, deltas: &MetricDeltas) -> Vec<MetricTotal> {
    let staged = metrics.data.stage(deltas);
    metrics.data.apply(staged.clone());
    staged
}

/// The value of a series of the exposition.
fn value(text: &str, series: &str) -> Option<f64> {
    text.lines()
        .find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
}

#[test]
fn what_is_staged_is_shown_only_when_applied() {
    let metrics = Metrics::new(2_000);
    let mut deltas = MetricDeltas::default();
    deltas.request(&series("shop", "/orders"), false, 20_000_000);
    let staged = metrics.data.stage(&deltas);
    assert_eq!(
        staged,
        metrics.data.stage(&deltas),
        "staging changes nothing"
    );
    assert!(!metrics.render().contains("redspan_requests_total"));
    metrics.data.apply(staged);
    assert!(metrics.render().contains(
        "redspan_requests_total{endpoint=\"/orders\",environment=\"test\",method=\"GET\",\
         outcome=\"ok\",service_name=\"shop\"} 1\n"
    ));
}

#[test]
fn an_endpoint_shows_its_errors_as_0_before_the_first() {
    let metrics = Metrics::new(2_000);
    let mut deltas = MetricDeltas::default();
    deltas.request(&series("shop", "/orders"), false, 1);
    let rows = commit(&metrics, &deltas);
    assert_eq!(rows.len(), 2, "no row is written for a 0");
    let error = "redspan_requests_total{endpoint=\"/orders\",environment=\"test\",method=\"GET\",\
                 outcome=\"error\",service_name=\"shop\"}";
    assert_eq!(value(&metrics.render(), error), Some(0.0));
    metrics.data.reload(rows);
    assert_eq!(value(&metrics.render(), error), Some(0.0));
}

#[test]
fn counters_go_on_after_a_restart_and_begin_again_under_another_name() {
    let before = Metrics::new(2_000);
    let mut deltas = MetricDeltas::default();
    deltas.new_groups("shop", 1);
    deltas.merged_rows("shop", 1);
    let rows = commit(&before, &deltas);

    let after = Metrics::new(2_000);
    after.data.reload(rows);
    commit(&after, &deltas);
    let groups = "redspan_error_groups_new_total{service_name=\"shop\"}";
    assert_eq!(value(&after.render(), groups), Some(2.0));
    after.data.reload(Vec::new());
    assert_eq!(value(&after.render(), groups), None);
}

#[test]
fn an_error_without_an_external_service_has_an_empty_label() {
    use crate::domain::{Category, Severity};
    let metrics = Metrics::new(2_000);
    let labels = |external_service: &str| crate::domain::ErrorLabels {
        service_name: "shop".to_owned(),
        environment: String::new(),
        severity: Severity::Error,
        category: Category::Database,
        external_service: (!external_service.is_empty()).then(|| external_service.to_owned()),
    };
    let mut deltas = MetricDeltas::default();
    deltas.errors.insert(labels(""), 1);
    deltas.errors.insert(labels("stripe"), 2);
    commit(&metrics, &deltas);
    let text = metrics.render();
    for (external_service, errors) in [("", 1.0), ("stripe", 2.0)] {
        let series = format!(
            "redspan_errors_total{{category=\"database\",environment=\"\",\
             external_service=\"{external_service}\",service_name=\"shop\",severity=\"error\"}}"
        );
        assert_eq!(value(&text, &series), Some(errors));
    }
}

#[test]
fn what_is_beyond_the_limit_is_folded_and_nothing_is_lost() {
    let metrics = Metrics::new(200);
    for round in 1..=3 {
        let mut deltas = MetricDeltas::default();
        for endpoint in 0..1_000 {
            let series = series("shop", &format!("/{endpoint}"));
            deltas.request(&series, endpoint % 2 == 0, 1);
        }
        let staged = commit(&metrics, &deltas);
        let of = |family| staged.iter().filter(move |total| total.family == family);
        let requests: i64 = of(MetricFamily::Requests).map(|total| total.value).sum();
        assert_eq!(requests, round * 1_000);
        let other = of(MetricFamily::RequestDuration)
            .find(|total| total.labels["endpoint"] == OTHER)
            .unwrap();
        assert_eq!(other.labels["service_name"], "shop");
        assert_eq!(other.labels["method"], OTHER);
        assert!(value(&metrics.render(), "redspan_series_overflow_total") > Some(0.0));
    }
    let text = metrics.render();
    let lines = |prefix| text.lines().filter(|line| line.starts_with(prefix)).count();
    assert!(lines("redspan_requests_total{") <= 200);
    assert!(lines("redspan_request_duration_seconds_count{") <= 100);
}

#[test]
fn a_name_of_runs_is_shown_or_folded_with_all_of_its_outcomes() {
    let metrics = Metrics::new(60);
    let mut endings = Endings::default();
    for name in 0..100 {
        endings.names.insert(format!("{name:03}"));
    }
    for name in 0..100 {
        let ended = EndedRuns {
            runs: 3,
            durations: 2,
            ..EndedRuns::default()
        };
        let key = (format!("{name:03}"), PipelineStatus::Failed);
        endings.runs.insert(key, ended);
    }
    let mut deltas = MetricDeltas::default();
    deltas.endings(endings);
    let staged = commit(&metrics, &deltas);
    let of = |family| staged.iter().filter(move |total| total.family == family);
    assert!(of(MetricFamily::Runs).count() <= 60);
    for (family, expected) in [(MetricFamily::Runs, 300), (MetricFamily::RunDuration, 200)] {
        let all: i64 = of(family).map(|total| total.value).sum();
        assert_eq!(all, expected, "{family:?}");
    }
    let text = metrics.render();
    for name in ["000", OTHER] {
        for outcome in ["completed", "failed", "cancelled"] {
            let series =
                format!("redspan_pipeline_runs_total{{name=\"{name}\",outcome=\"{outcome}\"}}");
            let shown = value(&text, &series).unwrap();
            assert_eq!(shown > 0.0, outcome == "failed", "{series} {shown}");
        }
    }
    let again = metrics.data.stage(&{
        let mut known = MetricDeltas::default();
        let names = ["000", "099"].map(str::to_owned).into();
        known.endings(Endings {
            names,
            ..Endings::default()
        });
        known
    });
    assert_eq!(again, [], "what is shown already is not written again");
}

#[test]
fn too_many_services_become_one() {
    let metrics = Metrics::new(200);
    let mut deltas = MetricDeltas::default();
    for service in 0..1_000 {
        let name = format!("service-{service}");
        deltas.request(&series(&name, "/"), true, 1);
        deltas.new_groups(&name, 1);
    }
    let staged = commit(&metrics, &deltas);
    for family in [MetricFamily::RequestDuration, MetricFamily::NewGroups] {
        let sets: Vec<_> = staged
            .iter()
            .filter(|total| total.family == family)
            .collect();
        assert!(sets.len() <= 200, "{family:?} has {}", sets.len());
        let sum: i64 = sets.iter().map(|total| total.value).sum();
        assert_eq!(sum, 1_000);
        assert!(
            sets.iter()
                .any(|total| total.labels["service_name"] == OTHER)
        );
    }
}

#[test]
fn unresolved_errors_are_shown_until_they_are_gone_and_folded_beyond_the_limit() {
    use crate::domain::{Category, Severity, Timestamp};
    let metrics = Metrics::new(100);
    let repository = &metrics.process.repository;
    let errors = |service: usize| {
        let name = format!("service-{service}");
        (name, Severity::Error, Category::Network, 2)
    };
    let many: Vec<_> = (0..1_000).map(errors).collect();
    let refresh = |micros, unresolved: &[UnresolvedErrors]| {
        let figures = Figures {
            unresolved: unresolved.to_vec(),
            ..Figures::default()
        };
        repository.refresh(Timestamp::from_micros(micros), &figures);
    };
    refresh(1_500_000, &many);
    let text = metrics.render();
    let shown: Vec<f64> = text
        .lines()
        .filter(|line| line.starts_with("redspan_errors_unresolved{"))
        .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
        .collect();
    assert!(shown.len() <= 100);
    assert!((shown.iter().sum::<f64>() - 2_000.0).abs() < 0.5);
    let refreshed = "redspan_repository_refresh_timestamp_seconds";
    assert_eq!(value(&text, refreshed), Some(1.5));

    refresh(2_000_000, &many[..1]);
    let text = metrics.render();
    assert_eq!(text.matches("redspan_errors_unresolved{").count(), 1);
}

#[test]
fn labels_are_short_and_hold_no_control_characters() {
    let long = "é".repeat(100);
    let clean = data::label_value(&format!("a\u{0}\n{long}"));
    assert!(clean.starts_with("a\u{fffd}\u{fffd}éé"));
    assert!(clean.len() <= 128);
    assert_eq!(data::label_value("\u{1}".repeat(200).as_str()).len() % 3, 0);
    assert_eq!(data::label_value("say \"hi\" \\"), "say \"hi\" \\");
}

proptest! {
    /// However requests are cut into transactions, and wherever the process starts again, the
    /// counters never go back and hold every request once.
    #[test]
    fn nothing_is_lost_counted_twice_or_taken_back(
        groups in prop::collection::vec(
            prop::collection::vec((0..12_u8, 0..40_u8, any::<bool>()), 0..60),
            1..12,
        ),
        restart_after in 0..12_usize,
    ) {
        let mut metrics = Metrics::new(100);
        let mut stored = std::collections::BTreeMap::new();
        let mut sent = (0, 0);
        for (index, group) in groups.iter().enumerate() {
            let mut deltas = MetricDeltas::default();
            for (service, endpoint, failed) in group {
                let series = series(&service.to_string(), &endpoint.to_string());
                deltas.request(&series, *failed, 7);
                sent.0 += 1;
                sent.1 += i64::from(*failed);
            }
            for total in commit(&metrics, &deltas) {
                let key = (total.family, total.labels.clone());
                let before = stored.insert(key, total.clone());
                prop_assert!(before.is_none_or(|before| before.value <= total.value));
            }
            if index == restart_after {
                metrics = Metrics::new(100);
                metrics.data.reload(stored.values().cloned().collect());
            }
        }
        let sum = |family, outcome: Option<&str>| -> i64 {
            stored
                .values()
                .filter(|total: &&MetricTotal| total.family == family)
                .filter(|total| {
                    outcome.is_none_or(|outcome| total.labels["outcome"] == outcome)
                })
                .map(|total| total.value)
                .sum()
        };
        prop_assert_eq!(sum(MetricFamily::RequestDuration, None), sent.0);
        prop_assert_eq!(sum(MetricFamily::Requests, None), sent.0);
        prop_assert_eq!(sum(MetricFamily::Requests, Some("error")), sent.1);
    }
}

#[test]
fn the_sampling_that_says_least_of_the_requests_holds_for_a_while() {
    let metrics = Metrics::new(3);
    let tell = |service, sampling, minute: i64| {
        let now = Timestamp::from_micros(minute * 60_000_000);
        metrics.process.sampling.tell(service, sampling, now);
        let shown = metrics.render();
        let shown = shown
            .lines()
            .filter_map(|line| line.strip_prefix("redspan_sampling_info"));
        shown.map(str::to_owned).collect::<Vec<_>>()
    };
    let shop = |kind| vec![format!("{{kind=\"{kind}\",service_name=\"shop\"}} 1")];
    assert_eq!(tell("shop", Sampling::None, 0), shop("none"));
    assert_eq!(tell("shop", Sampling::Threshold, 1), shop("threshold"));
    assert_eq!(tell("shop", Sampling::Unknown, 2), shop("unknown"));
    assert_eq!(tell("shop", Sampling::Threshold, 16), shop("unknown"));
    assert_eq!(tell("shop", Sampling::Threshold, 17), shop("threshold"));
    assert_eq!(tell("shop", Sampling::None, 31), shop("threshold"));
    assert_eq!(tell("shop", Sampling::None, 32), shop("none"));

    tell("bank", Sampling::None, 33);
    tell("mail", Sampling::Threshold, 33);
    let shown = tell("news", Sampling::None, 33);
    assert_eq!(shown.len(), 3);
    assert!(shown.contains(&format!(
        "{{kind=\"threshold\",service_name=\"{OTHER}\"}} 1"
    )));
}

#[test]
fn a_success_ratio_is_absent_while_no_run_ended() {
    use crate::store::{EndedInWindow, RunFigures};
    let metrics = Metrics::new(100);
    let repository = &metrics.process.repository;
    let refresh = |ended: [(i64, i64); 3]| {
        let ended = ended.map(|(completed, failed)| EndedInWindow { completed, failed });
        let runs = RunFigures {
            ended,
            ..RunFigures::default()
        };
        let figures = Figures {
            runs,
            ..Figures::default()
        };
        repository.refresh(Timestamp::EPOCH, &figures);
        let text = metrics.render();
        ["1h", "24h", "7d"].map(|window| {
            let series = format!("redspan_pipeline_success_ratio{{window=\"{window}\"}}");
            value(&text, &series)
        })
    };
    assert_eq!(refresh([(0, 0); 3]), [None; 3]);
    let ratios = refresh([(0, 2), (1, 3), (9, 1)]);
    assert_eq!(ratios, [Some(0.0), Some(0.25), Some(0.9)]);
    assert_eq!(refresh([(0, 0), (0, 0), (9, 1)]), [None, None, Some(0.9)]);
    assert_eq!(
        value(&metrics.render(), "redspan_pipelines{status=\"failed\"}"),
        Some(0.0)
    );
}
