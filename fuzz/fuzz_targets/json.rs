//! Any bytes: what the JSON walk takes is JSON, and JSON that it does not look into is taken.
#![no_main]

use libfuzzer_sys::fuzz_target;
use redspan::otlp::Encoding;
use serde::de::IgnoredAny;

#[path = "../../tests/integration/walk/seen.rs"]
#[expect(dead_code, reason = "shared with the tests, which use all of it")]
mod seen;

fuzz_target!(|data: &[u8]| {
    let valid = |text: &[u8]| serde_json::from_slice::<IgnoredAny>(text).is_ok();
    if seen::see(data, Encoding::Json).is_ok() {
        assert!(valid(data), "taken, but not JSON");
    }
    let unknown = [br#"{"unknown":"#, data, b"}"].concat();
    let refusal = seen::see(&unknown, Encoding::Json).err();
    let too_deep = refusal
        .as_ref()
        .is_some_and(|refusal| refusal.to_string().contains("more than 64 deep"));
    assert!(
        too_deep || refusal.is_none() == valid(&unknown),
        "{refusal:?}"
    );
});
