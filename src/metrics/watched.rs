//! Families whose values are kept elsewhere, as plain numbers, and asked for at each scrape.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use prometheus::{
    core::{Collector, Desc},
    proto,
};

type Series = (Vec<proto::LabelPair>, Ask);

type Ask = Box<dyn Fn() -> u64 + Send + Sync>;

/// One such family. Clones are the same family.
#[derive(Clone)]
pub(super) struct Watched {
    desc: Desc,
    kind: proto::MetricType,
    series: Arc<Mutex<Vec<Series>>>,
}

impl Watched {
    pub(super) fn new(kind: proto::MetricType, name: &str, help: &str) -> prometheus::Result<Self> {
        Ok(Self {
            desc: Desc::new(name.to_owned(), help.to_owned(), Vec::new(), HashMap::new())?,
            kind,
            series: Arc::default(),
        })
    }

    /// From now on shows what `ask` says under these labels, sorted by name.
    pub(super) fn watch(
        &self,
        labels: &[(&'static str, &'static str)],
        ask: impl Fn() -> u64 + Send + Sync + 'static,
    ) {
        let labels = labels
            .iter()
            .map(|(name, value)| {
                let mut pair = proto::LabelPair::default();
                pair.set_name((*name).to_owned());
                pair.set_value((*value).to_owned());
                pair
            })
            .collect();
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        series.push((labels, Box::new(ask)));
    }
}

impl Collector for Watched {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        if series.is_empty() {
            return Vec::new();
        }
        let metrics = series
            .iter()
            .map(|(labels, ask)| self.metric(labels.clone(), ask()))
            .collect();
        let mut family = proto::MetricFamily::default();
        family.set_name(self.desc.fq_name.clone());
        family.set_help(self.desc.help.clone());
        family.set_field_type(self.kind);
        family.set_metric(metrics);
        vec![family]
    }
}

impl Watched {
    fn metric(&self, labels: Vec<proto::LabelPair>, value: u64) -> proto::Metric {
        #[expect(clippy::cast_precision_loss, reason = "Prometheus keeps floats")]
        let value = value as f64;
        let mut metric = proto::Metric::from_label(labels);
        if self.kind == proto::MetricType::COUNTER {
            let mut counter = proto::Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = proto::Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        metric
    }
}
