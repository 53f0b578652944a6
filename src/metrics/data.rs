//! The mirror of `metric_totals`: what this writer has committed, and never anything else.

mod endings;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, PoisonError, RwLock},
};

use prometheus::{
    IntCounter,
    core::{Collector, Desc},
    proto,
};

use super::deltas::MetricDeltas;
use crate::{
    domain::{
        Category, DURATION_BUCKETS_SECONDS, ErrorLabels, OTHER, RUN_BUCKETS_SECONDS, Series,
        Severity,
    },
    store::{Labels, MetricFamily, MetricTotal},
};

/// Longest label value, in bytes.
const MAX_LABEL_BYTES: usize = 128;

const SERVICE_NAME: &str = "service_name";
const ENVIRONMENT: &str = "environment";
const ENDPOINT: &str = "endpoint";
const METHOD: &str = "method";
const OUTCOME: &str = "outcome";
const OUTCOMES: [&str; 2] = ["error", "ok"];
const SEVERITY: &str = "severity";
const CATEGORY: &str = "category";
const EXTERNAL_SERVICE: &str = "external_service";
const NAME: &str = "name";
const STAGE: &str = "stage";

/// Counters that count data. Cheap to clone: all clones are the same counters.
#[derive(Clone)]
pub struct DataCounters {
    mirror: Arc<RwLock<Mirror>>,
    label_sets: usize,
    overflow: IntCounter,
    descs: Arc<[Desc]>,
}

type Mirror = BTreeMap<MetricFamily, BTreeMap<Labels, Total>>;

/// One row's numbers.
#[derive(Clone, Debug, Default, PartialEq)]
struct Total {
    value: i64,
    sum: i64,
    buckets: Vec<i64>,
}

impl DataCounters {
    /// Empty ones, with room for so many label sets in each family; `overflow` counts what is folded.
    pub(super) fn new(label_sets: usize, overflow: IntCounter) -> Self {
        let descs = MetricFamily::ALL
            .iter()
            .map(|family| {
                Desc::new(
                    family.as_str().to_owned(),
                    help(*family).to_owned(),
                    Vec::new(),
                    HashMap::new(),
                )
                .expect("the names of families are valid")
            })
            .collect();
        Self {
            mirror: Arc::default(),
            label_sets,
            overflow,
            descs,
        }
    }

    /// The rows that make the deltas true: absolute, sorted by family and labels, to be written in
    /// the transaction that the deltas come from. Changes no counter of data, so it can be asked
    /// again when the transaction is tried again; what is folded is noted each time.
    #[must_use]
    pub fn stage(&self, deltas: &MetricDeltas) -> Vec<MetricTotal> {
        let mirror = self.mirror.read().unwrap_or_else(PoisonError::into_inner);
        let mut staging = Staging {
            mirror: &mirror,
            label_sets: self.label_sets,
            staged: Mirror::new(),
            new_sets: BTreeMap::new(),
            folded: 0,
        };
        for (series, delta) in &deltas.requests {
            let labels = staging.admit(MetricFamily::RequestDuration, request_labels(series));
            for (outcome, count) in [("ok", delta.ok), ("error", delta.errors)] {
                if count != 0 {
                    let mut labels = labels.clone();
                    labels.insert(OUTCOME.to_owned(), outcome.to_owned());
                    staging.count(MetricFamily::Requests, labels, count);
                }
            }
            let count = delta.ok + delta.errors;
            staging.observe(
                MetricFamily::RequestDuration,
                labels,
                count,
                delta.duration_nanos,
                &delta.buckets,
            );
        }
        for (labels, count) in &deltas.errors {
            let labels = staging.admit(MetricFamily::Errors, error_labels(labels));
            staging.count(MetricFamily::Errors, labels, *count);
        }
        for (family, counts) in [
            (MetricFamily::MergedRows, &deltas.merged_rows),
            (MetricFamily::NewGroups, &deltas.new_groups),
            (MetricFamily::RegressedGroups, &deltas.regressed_groups),
        ] {
            for (service_name, count) in counts {
                let labels = staging.admit(family, service_labels(service_name));
                staging.count(family, labels, *count);
            }
        }
        staging.endings(&deltas.endings);
        self.overflow.inc_by(staging.folded);
        staging.into_totals()
    }

    /// Shows rows of [`DataCounters::stage`]. Only after their COMMIT.
    pub fn apply(&self, committed: Vec<MetricTotal>) {
        let mut mirror = self.mirror.write().unwrap_or_else(PoisonError::into_inner);
        insert(&mut mirror, committed);
    }

    /// Forgets everything and shows these rows: at the start, after a COMMIT of unknown outcome, and
    /// when the writer's name was lost.
    pub fn reload(&self, stored: Vec<MetricTotal>) {
        let mut fresh = Mirror::new();
        insert(&mut fresh, stored);
        *self.mirror.write().unwrap_or_else(PoisonError::into_inner) = fresh;
    }
}

fn insert(mirror: &mut Mirror, totals: Vec<MetricTotal>) {
    for total in totals {
        mirror.entry(total.family).or_default().insert(
            total.labels,
            Total {
                value: total.value,
                sum: total.sum,
                buckets: total.buckets,
            },
        );
    }
}

/// The totals of one transaction in the making.
struct Staging<'a> {
    mirror: &'a Mirror,
    label_sets: usize,
    staged: Mirror,
    /// Label sets of each family that the mirror does not hold yet.
    new_sets: BTreeMap<MetricFamily, usize>,
    folded: u64,
}

impl Staging<'_> {
    /// The label set under which these labels are counted: themselves while their family has room,
    /// else their service's, else everybody's. As families never shrink, what is folded once is
    /// folded ever after, and nothing is counted under two names.
    fn admit(&mut self, family: MetricFamily, labels: Labels) -> Labels {
        let room = Room::of(family, self.label_sets);
        if self.holds(family, &labels, room.own) {
            return labels;
        }
        let of_service = folded(labels.clone(), &[ENDPOINT, METHOD, EXTERNAL_SERVICE]);
        let coarser = if self.holds(family, &of_service, room.of_service) {
            of_service
        } else {
            let of_all = folded(of_service, &[SERVICE_NAME, ENVIRONMENT, NAME, STAGE]);
            self.holds(family, &of_all, usize::MAX);
            of_all
        };
        self.folded += u64::from(coarser != labels);
        coarser
    }

    /// Whether the family has the label set, or takes it as one of its first `room`.
    fn holds(&mut self, family: MetricFamily, labels: &Labels, room: usize) -> bool {
        let in_mirror = self.mirror.get(&family);
        let in_staged = self.staged.get(&family);
        let has = |sets: Option<&BTreeMap<Labels, Total>>| {
            sets.is_some_and(|sets| sets.contains_key(labels))
        };
        if has(in_mirror) || has(in_staged) {
            return true;
        }
        let new_sets = self.new_sets.entry(family).or_default();
        if in_mirror.map_or(0, BTreeMap::len) + *new_sets >= room {
            return false;
        }
        *new_sets += 1;
        true
    }

    fn count(&mut self, family: MetricFamily, labels: Labels, count: i64) {
        self.total(family, labels).value += count;
    }

    fn observe(
        &mut self,
        family: MetricFamily,
        labels: Labels,
        count: i64,
        nanos: i64,
        buckets: &[i64],
    ) {
        let total = self.total(family, labels);
        total.value += count;
        total.sum = total.sum.saturating_add(nanos);
        total.buckets.resize(buckets.len(), 0);
        for (sum, bucket) in total.buckets.iter_mut().zip(buckets) {
            *sum += bucket;
        }
    }

    /// The staged row of the label set; begins with what is committed.
    fn total(&mut self, family: MetricFamily, labels: Labels) -> &mut Total {
        let mirror = self.mirror;
        self.staged
            .entry(family)
            .or_default()
            .entry(labels)
            .or_insert_with_key(|labels| {
                mirror
                    .get(&family)
                    .and_then(|sets| sets.get(labels))
                    .cloned()
                    .unwrap_or_default()
            })
    }

    fn into_totals(self) -> Vec<MetricTotal> {
        let families = self.staged.into_iter();
        families
            .flat_map(|(family, sets)| {
                sets.into_iter().map(move |(labels, total)| MetricTotal {
                    family,
                    labels,
                    value: total.value,
                    sum: total.sum,
                    buckets: total.buckets,
                })
            })
            .collect()
    }
}

/// How many label sets a family may have before the next one is folded.
struct Room {
    /// Under its own labels.
    own: usize,
    /// Into its service's.
    of_service: usize,
}

impl Room {
    fn of(family: MetricFamily, label_sets: usize) -> Self {
        let (all, of_all) = match family {
            // An endpoint has two outcomes.
            MetricFamily::Requests | MetricFamily::RequestDuration => (label_sets / 2, 1),
            // Severity and category stay true.
            MetricFamily::Errors => (label_sets, Severity::ALL.len() * Category::ALL.len()),
            MetricFamily::MergedRows | MetricFamily::NewGroups | MetricFamily::RegressedGroups => {
                (label_sets, 1)
            }
            // Outcomes stay true. Durations are shown under the names of runs, with fewer outcomes.
            MetricFamily::Runs | MetricFamily::StageRuns | MetricFamily::RunDuration => {
                (label_sets, endings::OUTCOMES)
            }
        };
        let of_service = all.saturating_sub(of_all);
        Self {
            own: of_service - of_service / 20,
            of_service,
        }
    }
}

fn folded(mut labels: Labels, names: &[&str]) -> Labels {
    for name in names {
        if let Some(value) = labels.get_mut(*name) {
            OTHER.clone_into(value);
        }
    }
    labels
}

fn request_labels(series: &Series) -> Labels {
    labels([
        (SERVICE_NAME, series.service_name.as_str()),
        (ENVIRONMENT, &series.environment),
        (ENDPOINT, &series.endpoint),
        (METHOD, &series.method),
    ])
}

fn error_labels(error: &ErrorLabels) -> Labels {
    labels([
        (SERVICE_NAME, error.service_name.as_str()),
        (ENVIRONMENT, &error.environment),
        (SEVERITY, error.severity.as_str()),
        (CATEGORY, error.category.as_str()),
        (
            EXTERNAL_SERVICE,
            error.external_service.as_deref().unwrap_or_default(),
        ),
    ])
}

fn service_labels(service_name: &str) -> Labels {
    labels([(SERVICE_NAME, service_name)])
}

fn labels<const N: usize>(labels: [(&str, &str); N]) -> Labels {
    labels
        .map(|(name, value)| (name.to_owned(), label_value(value)))
        .into()
}

/// A value fit for a label: no control characters, and not longer than is good for Prometheus.
pub(super) fn label_value(value: &str) -> String {
    let end = value.floor_char_boundary(MAX_LABEL_BYTES);
    let replace = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let mut clean: String = value[..end].chars().map(replace).collect();
    clean.truncate(clean.floor_char_boundary(MAX_LABEL_BYTES));
    clean
}

impl Collector for DataCounters {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let mirror = self.mirror.read().unwrap_or_else(PoisonError::into_inner);
        let none = BTreeMap::new();
        MetricFamily::ALL
            .iter()
            .filter_map(|family| {
                let sets = mirror.get(family).unwrap_or(&none);
                let metrics: Vec<_> = match family {
                    MetricFamily::Requests => {
                        let endpoints = mirror.get(&MetricFamily::RequestDuration);
                        outcomes(sets, endpoints.unwrap_or(&none)).collect()
                    }
                    MetricFamily::RequestDuration => {
                        histograms(sets, &DURATION_BUCKETS_SECONDS).collect()
                    }
                    MetricFamily::RunDuration => histograms(sets, &RUN_BUCKETS_SECONDS).collect(),
                    _ => sets
                        .iter()
                        .map(|(labels, total)| counter(labels, total.value))
                        .collect(),
                };
                (!metrics.is_empty()).then(|| exposed(*family, metrics))
            })
            .collect()
    }
}

/// Both outcomes of every endpoint that is known, so that a rate is there before the first error.
fn outcomes<'a>(
    requests: &'a BTreeMap<Labels, Total>,
    endpoints: &'a BTreeMap<Labels, Total>,
) -> impl Iterator<Item = proto::Metric> + 'a {
    endpoints.keys().flat_map(move |endpoint| {
        OUTCOMES.map(|outcome| {
            let mut labels = endpoint.clone();
            labels.insert(OUTCOME.to_owned(), outcome.to_owned());
            let value = requests.get(&labels).map_or(0, |total| total.value);
            counter(&labels, value)
        })
    })
}

fn counter(labels: &Labels, value: i64) -> proto::Metric {
    let mut counter = proto::Counter::default();
    counter.set_value(as_float(value));
    let mut metric = proto::Metric::from_label(pairs(labels));
    metric.set_counter(counter);
    metric
}

fn histograms<'a>(
    sets: &'a BTreeMap<Labels, Total>,
    bounds: &'a [f64],
) -> impl Iterator<Item = proto::Metric> + 'a {
    sets.iter()
        .map(move |(labels, total)| histogram(labels, total, bounds))
}

fn histogram(labels: &Labels, total: &Total, bounds: &[f64]) -> proto::Metric {
    let mut cumulative = 0;
    let buckets = bounds
        .iter()
        .zip(&total.buckets)
        .map(|(bound, count)| {
            cumulative += count.unsigned_abs();
            let mut bucket = proto::Bucket::default();
            bucket.set_upper_bound(*bound);
            bucket.set_cumulative_count(cumulative);
            bucket
        })
        .collect();
    let mut histogram = proto::Histogram::default();
    histogram.set_bucket(buckets);
    histogram.set_sample_count(total.value.unsigned_abs());
    histogram.set_sample_sum(as_float(total.sum) / 1e9);
    let mut metric = proto::Metric::from_label(pairs(labels));
    metric.set_histogram(histogram);
    metric
}

fn pairs(labels: &Labels) -> Vec<proto::LabelPair> {
    labels
        .iter()
        .map(|(name, value)| {
            let mut pair = proto::LabelPair::default();
            pair.set_name(name.clone());
            pair.set_value(value.clone());
            pair
        })
        .collect()
}

fn exposed(family: MetricFamily, metrics: Vec<proto::Metric>) -> proto::MetricFamily {
    let mut exposed = proto::MetricFamily::default();
    exposed.set_name(family.as_str().to_owned());
    exposed.set_help(help(family).to_owned());
    exposed.set_field_type(match family {
        MetricFamily::RequestDuration | MetricFamily::RunDuration => proto::MetricType::HISTOGRAM,
        _ => proto::MetricType::COUNTER,
    });
    exposed.set_metric(metrics);
    exposed
}

const fn help(family: MetricFamily) -> &'static str {
    match family {
        MetricFamily::Requests => "Requests served, by endpoint and outcome; from entry spans.",
        MetricFamily::RequestDuration => "How long requests took, by endpoint; from entry spans.",
        MetricFamily::Errors => {
            "Errors, each once, when it was first stored, with the labels it had then."
        }
        MetricFamily::MergedRows => "Stored errors that turned out to be another's.",
        MetricFamily::NewGroups => "Kinds of failure seen for the first time.",
        MetricFamily::RegressedGroups => {
            "Kinds of failure that came back after they were resolved."
        }
        MetricFamily::Runs => "Runs of pipelines that ended, each once, with its first outcome.",
        MetricFamily::StageRuns => {
            "Stages of runs that ended, each once, with their first outcome."
        }
        MetricFamily::RunDuration => "How long runs of pipelines took, by outcome.",
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "Prometheus keeps floats; counts are exact up to 2^53"
)]
const fn as_float(value: i64) -> f64 {
    value as f64
}
