use crate::{
    domain::{OTHER, Series},
    store::MetricFamily,
};

use super::*;

fn series(endpoint: &str) -> Series {
    Series {
        service_name: "shop".to_owned(),
        environment: "test".to_owned(),
        endpoint: endpoint.to_owned(),
        method: "GET".to_owned(),
    }
}

fn commit(metrics: &Metrics, deltas: &MetricDeltas) {
    metrics.data.apply(metrics.data.stage(deltas));
}

#[test]
fn what_is_staged_is_shown_only_when_applied() {
    let metrics = Metrics::new(2_000);
    let mut deltas = MetricDeltas::default();
    deltas.request(&series("/orders"), false, 20_000_000);
    let staged = metrics.data.stage(&deltas);
    assert_eq!(
        staged,
        metrics.data.stage(&deltas),
        "staging changes nothing"
    );
    assert!(!metrics.render().contains("redspan_requests_total"));
    metrics.data.apply(staged);
    assert!(metrics.render().contains(
        "redspan_requests_total{endpoint=\"/orders\",environment=\"test\",method=\"GET\",outcome=\"ok\",service_name=\"shop\"} 1\n"
    ));
}

#[test]
fn an_endpoint_shows_its_errors_as_0_before_the_first() {
    let metrics = Metrics::new(2_000);
    let mut deltas = MetricDeltas::default();
    deltas.request(&series("/orders"), false, 1);
    commit(&metrics, &deltas);
    assert!(
        metrics
            .render()
            .contains("outcome=\"error\",service_name=\"shop\"} 0\n")
    );
}

#[test]
fn what_is_beyond_the_limit_is_folded_and_nothing_is_lost() {
    let metrics = Metrics::new(200);
    for round in 1..=3 {
        let mut deltas = MetricDeltas::default();
        for endpoint in 0..1_000 {
            deltas.request(&series(&format!("/{endpoint}")), endpoint % 2 == 0, 1);
        }
        let staged = metrics.data.stage(&deltas);
        let of = |family| staged.iter().filter(move |total| total.family == family);
        let requests: i64 = of(MetricFamily::Requests).map(|total| total.value).sum();
        assert_eq!(requests, round * 1_000);
        assert!(of(MetricFamily::RequestDuration).count() <= 100);
        assert!(of(MetricFamily::RequestDuration).any(|total| total.labels["endpoint"] == OTHER));
        metrics.data.apply(staged);
    }
}
