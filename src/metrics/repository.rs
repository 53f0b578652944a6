//! Whether the database answers, and the figures that are read from it now and then.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use prometheus::{Gauge, GaugeVec, IntCounter, IntGauge, IntGaugeVec, Opts, Registry};

use super::{
    data::label_value,
    process::{gauge, registered},
};
use crate::{
    domain::{Category, OTHER, PipelineStatus, Severity, Timestamp},
    store::RunFigures,
};

/// Unresolved errors of one service, severity and category.
pub type UnresolvedErrors = (String, Severity, Category, i64);

/// What is read at once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// Errors that nobody has resolved.
    pub unresolved: Vec<UnresolvedErrors>,
    /// Runs of pipelines.
    pub runs: RunFigures,
}

/// `redspan_database_up` and the figures that are read from the database now and then.
#[derive(Clone)]
pub struct Repository {
    database_up: IntGauge,
    refreshed_at: Gauge,
    unresolved: IntGaugeVec,
    shown: Arc<Mutex<BTreeSet<UnresolvedLabels>>>,
    runs: IntGaugeVec,
    success_ratio: GaugeVec,
    stuck: IntGauge,
    label_sets: usize,
    overflow: IntCounter,
}

type UnresolvedLabels = (String, Severity, Category);

impl Repository {
    pub(super) fn register(registry: &Registry, label_sets: usize, overflow: IntCounter) -> Self {
        Self {
            database_up: gauge(
                registry,
                "redspan_database_up",
                "1 while the database answers.",
            ),
            refreshed_at: registered(
                registry,
                Gauge::new(
                    "redspan_repository_refresh_timestamp_seconds",
                    "When the figures of the repository were last read; 0 before the first time.",
                ),
            ),
            unresolved: registered(
                registry,
                IntGaugeVec::new(
                    Opts::new(
                        "redspan_errors_unresolved",
                        "Errors that nobody has resolved, as of the last refresh.",
                    ),
                    &["service_name", "severity", "category"],
                ),
            ),
            shown: Arc::default(),
            runs: registered(
                registry,
                IntGaugeVec::new(
                    Opts::new(
                        "redspan_pipelines",
                        "Runs of pipelines that are stored, by where they stand, as of the last refresh.",
                    ),
                    &["status"],
                ),
            ),
            success_ratio: registered(
                registry,
                GaugeVec::new(
                    Opts::new(
                        "redspan_pipeline_success_ratio",
                        "Completed runs among the completed and failed ones that ended in the window; \
                         absent when none did.",
                    ),
                    &["window"],
                ),
            ),
            stuck: gauge(
                registry,
                "redspan_pipelines_stuck",
                "Runs that are not finished and were silent for an hour, as of the last refresh.",
            ),
            label_sets,
            overflow,
        }
    }

    /// The database answers, or not.
    pub fn set_up(&self, up: bool) {
        self.database_up.set(i64::from(up));
    }

    /// The figures have been read.
    pub fn refresh(&self, at: Timestamp, figures: &Figures) {
        self.show_unresolved(&figures.unresolved);
        self.show_runs(&figures.runs);
        #[expect(
            clippy::cast_precision_loss,
            reason = "microseconds are exact for the next two centuries"
        )]
        self.refreshed_at.set(at.as_micros() as f64 / 1e6);
    }

    /// Label sets beyond the limit are shown as one service `__other__`.
    fn show_unresolved(&self, unresolved: &[UnresolvedErrors]) {
        let mut sums = BTreeMap::new();
        let own = self
            .label_sets
            .saturating_sub(Severity::ALL.len() * Category::ALL.len());
        for (service_name, severity, category, errors) in unresolved {
            let mut key = (label_value(service_name), *severity, *category);
            if sums.len() >= own && !sums.contains_key(&key) {
                OTHER.clone_into(&mut key.0);
                self.overflow.inc();
            }
            *sums.entry(key).or_insert(0) += errors;
        }
        for ((service_name, severity, category), errors) in &sums {
            self.unresolved
                .with_label_values(&[service_name, severity.as_str(), category.as_str()])
                .set(*errors);
        }
        // What is gone is taken out one by one, so that no scrape finds the others missing.
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let now: BTreeSet<UnresolvedLabels> = sums.into_keys().collect();
        for (service_name, severity, category) in shown.difference(&now) {
            let labels = [service_name, severity.as_str(), category.as_str()];
            self.unresolved
                .remove_label_values(&labels)
                .expect("what is shown can be removed");
        }
        *shown = now;
    }

    fn show_runs(&self, figures: &RunFigures) {
        for status in PipelineStatus::ALL {
            let runs = figures.by_status.get(status).copied().unwrap_or(0);
            self.runs.with_label_values(&[status.as_str()]).set(runs);
        }
        for (window, ratio) in figures.success_ratios() {
            match ratio {
                Some(ratio) => self.success_ratio.with_label_values(&[window]).set(ratio),
                // It may never have been shown.
                None => drop(self.success_ratio.remove_label_values(&[window])),
            }
        }
        self.stuck.set(figures.stuck);
    }
}
