//! The number of hourly label sets has a limit; what is beyond it is counted as `__other__`.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::{
    domain::{AggregationId, Dimensions, Hour, NameHasher},
    store::LabelSets,
};

/// Decides under which dimensions something is counted.
pub trait DimensionLimit {
    /// The dimensions themselves, or [`Dimensions::folded`].
    fn fold(&mut self, hour: Hour, dimensions: &Dimensions) -> Dimensions;
}

/// How many label sets an hour may have.
#[derive(Clone, Copy, Debug)]
pub struct HourLimits {
    /// For one service. Default 10,000.
    pub per_service: u64,
    /// In all. Default 50,000.
    pub in_all: u64,
}

impl Default for HourLimits {
    fn default() -> Self {
        Self {
            per_service: 10_000,
            in_all: 50_000,
        }
    }
}

/// How many label sets and services are remembered by name, over all hours: some 10 MB.
const MAX_NAMES: usize = 250_000;

/// How many of them may come from the database at the start.
pub const MAX_STORED_NAMES: u32 = 200_000;

/// How many hours are remembered: more than telemetry can be late.
const MAX_HOURS: usize = 1_024;

/// The label sets that this process has seen in each hour.
///
/// Memory is bounded: of an hour that was not written for long only the number of its label sets
/// stays. Then a label set that is there already counts once more, so folding may begin early.
#[derive(Debug, Default)]
pub struct HourlyLabelSets {
    limits: HourLimits,
    hours: BTreeMap<Hour, HourSets>,
    names: usize,
    clock: u64,
    folded: u64,
}

#[derive(Debug, Default)]
struct HourSets {
    seen: HashSet<AggregationId>,
    by_service: HashMap<u128, u64>,
    in_all: u64,
    last_used: u64,
}

impl HourSets {
    fn names(&self) -> usize {
        self.seen.len() + self.by_service.len()
    }
}

impl HourlyLabelSets {
    /// Begins with what the database holds ([`crate::store::Reader::error_label_sets`]).
    #[must_use]
    pub fn new(limits: HourLimits, stored: &LabelSets) -> Self {
        let mut sets = Self {
            limits,
            ..Self::default()
        };
        for (hour, service_name, count) in &stored.counts {
            let count = u64::try_from(*count).unwrap_or(0);
            let hour = sets.hours.entry(*hour).or_default();
            *hour.by_service.entry(service(service_name)).or_default() += count;
            hour.in_all += count;
        }
        for (hour, id) in &stored.ids {
            sets.hours.entry(*hour).or_default().seen.insert(*id);
        }
        sets.names = sets.hours.values().map(HourSets::names).sum();
        sets.forget();
        sets
    }

    /// How many times something was counted as `__other__`.
    #[must_use]
    pub fn folded(&self) -> u64 {
        self.folded
    }

    /// Keeps within the bounds by forgetting what was not used for longest.
    fn forget(&mut self) {
        while self.hours.len() > MAX_HOURS {
            let unused = self.hours.iter().min_by_key(|(_, sets)| sets.last_used);
            let Some(hour) = unused.map(|(hour, _)| *hour) else {
                return;
            };
            let forgotten = self.hours.remove(&hour);
            self.names -= forgotten.map_or(0, |sets| sets.names());
        }
        while self.names > MAX_NAMES {
            let with_names = self.hours.values_mut().filter(|sets| sets.names() > 0);
            let Some(unused) = with_names.min_by_key(|sets| sets.last_used) else {
                return;
            };
            self.names -= unused.names();
            unused.seen = HashSet::new();
            unused.by_service = HashMap::new();
        }
    }
}

impl DimensionLimit for HourlyLabelSets {
    fn fold(&mut self, hour: Hour, dimensions: &Dimensions) -> Dimensions {
        self.clock += 1;
        let sets = self.hours.entry(hour).or_default();
        sets.last_used = self.clock;
        let id = AggregationId::new(hour, dimensions);
        if sets.seen.contains(&id) {
            return dimensions.clone();
        }
        let service = service(&dimensions.service_name);
        let of_service = sets.by_service.get(&service).copied().unwrap_or(0);
        if of_service >= self.limits.per_service || sets.in_all >= self.limits.in_all {
            self.folded += 1;
            return dimensions.folded();
        }
        let names_before = sets.names();
        sets.by_service.insert(service, of_service + 1);
        sets.seen.insert(id);
        sets.in_all += 1;
        self.names += sets.names() - names_before;
        self.forget();
        dimensions.clone()
    }
}

fn service(service_name: &str) -> u128 {
    let mut hasher = NameHasher::new("service");
    hasher.field(service_name.as_bytes()).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PER_SERVICE: u64 = 10_000;
    use crate::domain::{Category, OTHER, Severity, Timestamp};

    fn dimensions(service_name: &str, endpoint: u64) -> Dimensions {
        Dimensions {
            service_name: service_name.to_owned(),
            environment: String::new(),
            endpoint: format!("/{endpoint}"),
            method: "GET".to_owned(),
            severity: Severity::Error,
            category: Category::Application,
            external_service: Some("shop".to_owned()),
            status_code: Some(500),
        }
    }

    fn hour(number: i64) -> Hour {
        Hour::containing(Timestamp::from_micros(number * 3_600_000_000))
    }

    #[test]
    fn beyond_the_limit_of_a_service_new_label_sets_are_folded_and_known_ones_are_not() {
        let mut sets = HourlyLabelSets::default();
        for endpoint in 0..PER_SERVICE {
            let dimensions = dimensions("shop", endpoint);
            assert_eq!(sets.fold(hour(1), &dimensions), dimensions);
        }
        let one_more = sets.fold(hour(1), &dimensions("shop", PER_SERVICE));
        assert_eq!(one_more.endpoint, OTHER);
        assert_eq!(one_more.external_service, None);
        assert_eq!(sets.folded(), 1);
        for known in [("shop", 3), ("cart", 1)] {
            let dimensions = dimensions(known.0, known.1);
            assert_eq!(sets.fold(hour(1), &dimensions), dimensions);
        }
        let next_hour = dimensions("shop", PER_SERVICE);
        assert_eq!(sets.fold(hour(2), &next_hour), next_hour);
    }

    fn stored(counts: Vec<(Hour, String, i64)>) -> LabelSets {
        LabelSets {
            counts,
            ids: Vec::new(),
        }
    }

    #[test]
    fn what_the_database_holds_counts_from_the_start() {
        let stored = stored(vec![(hour(1), "shop".to_owned(), 9_999)]);
        let mut sets = HourlyLabelSets::new(HourLimits::default(), &stored);
        assert_eq!(sets.fold(hour(1), &dimensions("shop", 1)).endpoint, "/1");
        assert_eq!(sets.fold(hour(1), &dimensions("shop", 2)).endpoint, OTHER);
        assert_eq!(sets.fold(hour(1), &dimensions("cart", 2)).endpoint, "/2");
    }

    #[test]
    fn what_the_database_holds_by_name_is_not_counted_again() {
        let known = dimensions("shop", 1);
        let stored = LabelSets {
            ids: vec![(hour(1), AggregationId::new(hour(1), &known))],
            ..stored(vec![(hour(1), "shop".to_owned(), 10_000)])
        };
        let mut sets = HourlyLabelSets::new(HourLimits::default(), &stored);
        assert_eq!(sets.fold(hour(1), &known), known);
        assert_eq!(sets.fold(hour(1), &dimensions("shop", 2)).endpoint, OTHER);
        assert_eq!(sets.names, 2);
    }

    #[test]
    fn an_hour_has_a_limit_over_all_services() {
        let full = (0..5).map(|service| (hour(1), service.to_string(), 10_000));
        let stored = stored(full.collect());
        let mut sets = HourlyLabelSets::new(HourLimits::default(), &stored);
        assert_eq!(sets.fold(hour(1), &dimensions("new", 1)).endpoint, OTHER);
    }

    #[test]
    fn memory_is_bounded_whatever_hours_come() {
        let mut sets = HourlyLabelSets::default();
        for number in 0..3_000 {
            for endpoint in 0..100 {
                sets.fold(hour(number), &dimensions("shop", endpoint));
            }
        }
        assert!(sets.names <= MAX_NAMES && sets.hours.len() <= MAX_HOURS);
        let names: usize = sets.hours.values().map(HourSets::names).sum();
        assert_eq!(names, sets.names);
    }
}
