//! The requests of a request: entry spans, by label sets that are kept once.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasherDefault, Hasher},
};

use xxhash_rust::xxh3::xxh3_128;

use crate::domain::{EntrySpan, Sampling, Series};

use super::resource::{Resource, Resources};

/// Entry spans and their label sets.
#[derive(Default)]
pub(super) struct Requests {
    series: Vec<Series>,
    by_labels: HashMap<u128, u32, BuildHasherDefault<Hashed>>,
    entries: Vec<EntrySpan>,
    /// How the entry spans of each label of resources were sampled.
    samplings: Vec<Option<Sampling>>,
    /// Labels, one behind the other, to be hashed.
    scratch: Vec<u8>,
}

impl Requests {
    /// The index of a label set. Nothing is allocated for one that is there already.
    pub fn series(&mut self, resource: &Resource, endpoint: &str, method: &str) -> u32 {
        self.scratch.clear();
        self.scratch
            .extend_from_slice(&resource.label.to_le_bytes());
        self.scratch.extend_from_slice(endpoint.as_bytes());
        // Neither text has a NUL.
        self.scratch.push(0);
        self.scratch.extend_from_slice(method.as_bytes());
        let next = u32::try_from(self.series.len()).unwrap_or(u32::MAX);
        let index = *self
            .by_labels
            .entry(xxh3_128(&self.scratch))
            .or_insert(next);
        if index == next {
            self.series.push(Series {
                service_name: resource.facts.service_name.clone(),
                environment: resource.facts.environment.clone(),
                endpoint: endpoint.to_owned(),
                method: method.to_owned(),
            });
        }
        index
    }

    /// The label set of an entry.
    pub fn labels_of(&self, entry: u32) -> &Series {
        &self.series[self.entries[entry as usize].series as usize]
    }

    /// Adds an entry; says where it stands.
    pub fn push(&mut self, entry: EntrySpan) -> u32 {
        self.entries.push(entry);
        u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX)
    }

    /// An entry span of the resource was sampled like this.
    pub fn sampled(&mut self, resource: &Resource, sampling: Sampling) {
        let label = resource.label as usize;
        if self.samplings.len() <= label {
            self.samplings.resize(label + 1, None);
        }
        let of_label = &mut self.samplings[label];
        *of_label = (*of_label).max(Some(sampling));
    }

    /// How the entry spans of each service were sampled.
    pub fn samplings(&self, resources: &Resources) -> Vec<(String, Sampling)> {
        let mut samplings: BTreeMap<&str, Sampling> = BTreeMap::new();
        for resource in resources.iter() {
            let Some(Some(sampling)) = self.samplings.get(resource.label as usize) else {
                continue;
            };
            let of_service = samplings
                .entry(&resource.facts.service_name)
                .or_insert(*sampling);
            *of_service = (*of_service).max(*sampling);
        }
        let named = samplings.into_iter();
        named
            .map(|(service_name, sampling)| (service_name.to_owned(), sampling))
            .collect()
    }

    /// Leaves out the entries that `nested` (sorted) names, and label sets that nothing points to.
    pub fn finish(mut self, nested: &[u32]) -> (Vec<Series>, Vec<EntrySpan>) {
        if nested.is_empty() {
            return (self.series, self.entries);
        }
        let mut place = 0;
        self.entries.retain(|_| {
            let is_nested = nested.binary_search(&place).is_ok();
            place += 1;
            !is_nested
        });
        let mut kept: Vec<Option<u32>> = vec![None; self.series.len()];
        let mut series = Vec::new();
        for entry in &mut self.entries {
            let index = &mut kept[entry.series as usize];
            entry.series = *index.get_or_insert_with(|| {
                series.push(self.series[entry.series as usize].clone());
                u32::try_from(series.len() - 1).unwrap_or(u32::MAX)
            });
        }
        (series, self.entries)
    }
}

/// Hashes what is a hash already.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes
            .iter()
            .fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }

    #[expect(clippy::cast_possible_truncation, reason = "each half is a hash")]
    fn write_u128(&mut self, hash: u128) {
        self.0 = hash as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
