//! How the services that send here sample: whether their estimates can be believed.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use prometheus::{IntCounter, IntGaugeVec, Opts, Registry};

use super::{data::label_value, process::registered};
use crate::domain::{OTHER, Sampling, Timestamp};

/// A kind of sampling holds until nothing has told of it for so long.
const LATELY_SECONDS: i64 = 15 * 60;

/// `redspan_sampling_info`
#[derive(Clone)]
pub struct SamplingInfo {
    info: IntGaugeVec,
    known: Arc<Mutex<BTreeMap<String, Told>>>,
    label_sets: usize,
    overflow: IntCounter,
}

/// What a service's spans told, and when they did so last.
struct Told {
    sampling: Sampling,
    at: Timestamp,
}

impl SamplingInfo {
    pub(super) fn register(registry: &Registry, label_sets: usize, overflow: IntCounter) -> Self {
        let info = IntGaugeVec::new(
            Opts::new(
                "redspan_sampling_info",
                "1; how the entry spans of a service were sampled, lately.",
            ),
            &["service_name", "kind"],
        );
        Self {
            info: registered(registry, info),
            known: Arc::default(),
            label_sets,
            overflow,
        }
    }

    /// Entry spans of the service have told this. Services beyond the limit are shown as one,
    /// `__other__`.
    ///
    /// # Panics
    /// Never: only what is shown is taken out.
    pub fn tell(&self, service_name: &str, sampling: Sampling, now: Timestamp) {
        let mut service_name = label_value(service_name);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() + 1 >= self.label_sets && !known.contains_key(&service_name) {
            OTHER.clone_into(&mut service_name);
            self.overflow.inc();
        }
        let labels = |sampling: Sampling| [service_name.clone(), sampling.as_str().to_owned()];
        let before = known.get(&service_name);
        let holds = before.is_some_and(|before| {
            before.sampling > sampling && now < before.at.plus_seconds(LATELY_SECONDS)
        });
        if holds {
            return;
        }
        match before.map(|before| before.sampling) {
            Some(before) if before == sampling => {}
            before => {
                self.info.with_label_values(&labels(sampling)).set(1);
                if let Some(before) = before {
                    self.info
                        .remove_label_values(&labels(before))
                        .expect("what is shown can be removed");
                }
            }
        }
        known.insert(service_name, Told { sampling, at: now });
    }
}
