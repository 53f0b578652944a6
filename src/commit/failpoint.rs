//! Named places at which the process can be told to die, for the tests of exactly those instants.
//! `REDSPAN_FAILPOINT=before_commit:17` kills it, as `kill -9` would, when it passes the place for
//! the 17th time. Without the variable each place costs one load.

use std::{
    process,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

struct Armed {
    place: String,
    passes_left: AtomicU64,
}

static ARMED: OnceLock<Option<Armed>> = OnceLock::new();

/// Dies here if this is the place and the pass that the environment names.
pub fn pass(place: &str) {
    let Some(armed) = ARMED.get_or_init(|| parse(&std::env::var("REDSPAN_FAILPOINT").ok()?)) else {
        return;
    };
    if armed.place == place && armed.passes_left.fetch_sub(1, Ordering::Relaxed) == 1 {
        process::abort();
    }
}

fn parse(setting: &str) -> Option<Armed> {
    let (place, pass) = setting.split_once(':').unwrap_or((setting, "1"));
    let pass: u64 = pass.parse().ok().filter(|pass| *pass > 0)?;
    Some(Armed {
        place: place.to_owned(),
        passes_left: AtomicU64::new(pass),
    })
}
